"""Images and what comes with them, checked: arrays of (images, rows, columns, channels)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

DTYPES = ("uint8", "uint16", "float32", "float64")


class Pixels(NamedTuple):
    """A view of shape (N, H, W, C) and the axes that the given image did not have."""

    array: NDArray[Any]
    added: tuple[int, ...]

    def restored(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array of images without the added axes."""
        return array.squeeze(self.added)


def as_pixels(image: ArrayLike, name: str = "image") -> Pixels:
    """(H, W), (H, W, C) with C ≤ 4, or (N, H, W, C) as a view of four axes, or a precise error."""
    if np.ma.is_masked(image):
        raise ValueError(f"{name} has masked pixels. Fill them first, with {name}.filled(value).")
    array = np.asarray(image)
    if array.dtype.newbyteorder("=").name not in DTYPES:
        raise TypeError(
            f"{name} must have dtype {', '.join(DTYPES[:-1])} or {DTYPES[-1]}; got {array.dtype}. "
            f"Convert first, for example with {name}.astype('float32')."
        )
    if array.ndim not in (2, 3, 4):
        raise ValueError(
            f"{name} must have shape (H, W), (H, W, C) or (N, H, W, C); got {array.shape}."
        )
    if array.ndim == 3 and array.shape[2] > 4:
        raise ValueError(
            f"{name} with three axes is read as (H, W, C) with at most 4 channels; got "
            f"{array.shape}. Give a stack of grey images as {name}[..., None], one image of more "
            f"channels as {name}[None]."
        )
    added = {2: (0, 3), 3: (0,), 4: ()}[array.ndim]
    pixels = np.expand_dims(array, added)
    if 0 in pixels.shape[1:]:
        raise ValueError(f"{name} must have at least one pixel; got shape {array.shape}.")
    return Pixels(pixels, added)


def as_fill(cval: ArrayLike, dtype: np.dtype[Any], channels: int) -> NDArray[Any]:
    """`cval` as one number of `dtype` for each channel."""
    values = np.asarray(cval)
    if values.shape not in ((), (1,), (channels,)) or values.dtype.kind not in "biuf":
        raise ValueError(
            f"cval must be a number, or {channels} numbers, one for each channel; got {cval!r}."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        fill = values.astype(dtype)
    if dtype.kind == "u" and (fill != values).any():
        limits = np.iinfo(dtype)
        raise ValueError(
            f"cval must be a whole number from 0 to {limits.max} for an image of {dtype}; "
            f"got {cval!r}."
        )
    return np.broadcast_to(fill, (channels,))


def as_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *inputs: NDArray[Any]) -> Any:
    """`out` if it can hold the result and does not lie over an input, or a precise error."""
    if not isinstance(out, np.ndarray) or out.shape != shape:
        raise ValueError(
            f"out must be an array of shape {shape}; got {getattr(out, 'shape', type(out))}."
        )
    if out.dtype != dtype:
        raise TypeError(f"out must have dtype {dtype}, as the image has; got {out.dtype}.")
    if not out.flags.writeable:
        raise ValueError("out must be writeable; got a read-only array.")
    if any(np.may_share_memory(out, array) for array in inputs):
        raise ValueError("out must not share memory with the image; pass a separate array.")
    return out
