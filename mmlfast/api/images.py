"""Images turned about a point."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.affine import numbers
from mmlfast.api.pixels import as_fill, as_pixels
from mmlfast.api.transforms import Transform


def rotate_image(
    image: ArrayLike,
    degrees: ArrayLike,
    *,
    order: int = 1,
    mode: str = "constant",
    cval: ArrayLike = 0,
    expand: bool = False,
    center: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    n_jobs: int | None = None,
) -> NDArray[Any]:
    """The image turned by `degrees`, counter-clockwise as it is seen on the screen.

    Quarter turns move pixels and interpolate nothing, unless the centre falls between them: that of
    an H × W image does if H − W is odd, and then ``expand=True`` is exact.

    Parameters
    ----------
    image : array-like of shape (H, W), (H, W, C) with C ≤ 4, or (N, H, W, C)
        uint8, uint16, float32 or float64.
    degrees : float or array-like of shape (N,)
        One angle, or one for each image.
    order, mode, cval, out, n_jobs
        See :meth:`Transform.warp`.
    expand : bool, default=False
        Whether the output grows to hold the whole turned image; otherwise the corners are cut off.
    center : array-like of shape (2,), default=None
        (x, y) of the point that stays, x to the right and y down; the image's centre by default.

    Returns
    -------
    ndarray
        Of the image's dtype, and of its shape unless `expand`.

    Raises
    ------
    ValueError, TypeError
        If an angle is not finite, or an argument does not fit, as in :meth:`Transform.warp`.

    See Also
    --------
    Transform.warp : Any affine map.
    PIL.Image.Image.rotate : The same direction.
    scipy.ndimage.rotate : The same for any two axes, at another speed.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import rotate_image
    >>> image = np.array([[1, 2, 3], [4, 5, 6]], dtype="uint8")
    >>> rotate_image(image, 90, expand=True)
    array([[3, 6],
           [2, 5],
           [1, 4]], dtype=uint8)
    >>> rotate_image(image, 180)
    array([[6, 5, 4],
           [3, 2, 1]], dtype=uint8)
    """
    pixels = np.asanyarray(image)
    _, height, width, _ = as_pixels(pixels).array.shape
    middle = ((width - 1) / 2, (height - 1) / 2) if center is None else center
    # On the screen y runs down, and what turns from x to y turns clockwise.
    turn = Transform.rotation(-numbers(degrees, "degrees"), degrees=True, center=middle)
    return turn.warp(
        pixels, order=order, mode=mode, cval=cval, expand=expand, out=out, n_jobs=n_jobs
    )


def rotate_transparent(
    image: NDArray[Any], degrees: float, *, cval: ArrayLike = 0, **options: Any
) -> NDArray[Any]:
    """`rotate_image` of uint8 pixels whose last channel is alpha: colours weigh by their alpha.

    So what is transparent lends no colour to what is next to it.
    """
    height, width = image.shape[:2]
    moves = degrees % 180 == 0 or (
        degrees % 90 == 0 and (options.get("expand") or (height - width) % 2 == 0)
    )
    if moves or options.get("order") == 0:
        return rotate_image(image, degrees, cval=cval, **options)
    fill = as_fill(cval, image.dtype, image.shape[2])
    turned = rotate_image(_by_alpha(image), degrees, cval=_by_alpha(fill), **options)
    alpha = turned[..., -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        colours = np.where(alpha > 0, turned[..., :-1] / alpha * 255, 0)
    pixels = np.concatenate([colours, alpha], axis=-1)
    return np.floor(pixels + 0.5).clip(0, 255).astype(np.uint8)


def _by_alpha(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Colours times alpha, in units of the colours; alpha itself unchanged."""
    weighed = pixels.astype(np.float32)
    weighed[..., :-1] *= weighed[..., -1:] / 255
    return weighed
