"""A turned photograph: 2160 × 3840 pixels by 30°, bilinear, beside OpenCV, Pillow and scipy.

error = max |image − exact| over the pixels whose footprint lies inside, 1 being white
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.case import Call, Case, Contestant, Size

DEGREES = 30.0
SHAPE, TINY = (2160, 3840), (40, 60)


class Picture(NamedTuple):
    """The image, and the matrix that leads from a pixel of the result to one of the image."""

    image: np.ndarray
    inverse: np.ndarray  # (2, 3), of (x, y, 1)


@lru_cache(maxsize=1)
def picture(height: int, width: int, dtype: str) -> Picture:
    """Smooth waves under a little noise: float32 in 0 … 1 of one channel, or uint8 RGB."""
    rng = np.random.default_rng(0)
    channels = 3 if dtype == "uint8" else 1
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x / (17 + 5 * c) + y / (23 + 3 * c)) for c in range(channels)]
    image = 0.5 + 0.4 * np.stack(waves, axis=-1)
    image += 0.05 * rng.standard_normal(image.shape, dtype=np.float32)
    if dtype == "uint8":
        image = np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)
    turn = np.deg2rad(DEGREES)
    # Counter-clockwise on a screen, whose y runs down, about the middle of the image.
    R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    inverse = np.column_stack([R, middle - R @ middle])
    return Picture(np.ascontiguousarray(image if channels == 3 else image[..., 0]), inverse)


def picture_input(size: Size, dtype: str) -> Picture:
    """The picture of a case."""
    return picture(*(TINY if size == "tiny" else SHAPE), dtype)


def picture_error(turned: np.ndarray, given: Picture) -> float:
    """The largest error, 1 being white, on every seventh row and column, the rim left out."""
    if turned.shape != given.image.shape or turned.dtype != given.image.dtype:
        return np.inf
    height, width = turned.shape[:2]
    y, x = (grid.ravel() for grid in np.mgrid[0:height:7, 0:width:7])
    sx, sy = given.inverse @ np.stack([x, y, np.ones(len(x))])
    inside = (sx >= 1) & (sx < width - 2) & (sy >= 1) & (sy < height - 2)
    x, y, sx, sy = x[inside], y[inside], sx[inside], sy[inside]
    x0, y0 = np.floor(sx).astype(int), np.floor(sy).astype(int)
    fx, fy = sx - x0, sy - y0
    if turned.ndim == 3:
        fx, fy = fx[:, None], fy[:, None]
    image = given.image.astype(np.float64)
    upper = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
    lower = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
    error = np.abs(turned[y, x] - (upper * (1 - fy) + lower * fy)).max()
    return float(error / 255 if turned.dtype == np.uint8 else error)


def ours() -> Call:
    """`mmlfast.rotate_image`."""
    import mmlfast

    return lambda given: mmlfast.rotate_image(given.image, DEGREES)


def opencv() -> Call:
    """`cv2.warpAffine`, whose coordinates are multiples of 1/32 pixel."""
    import cv2

    return lambda given: cv2.warpAffine(
        given.image, given.inverse, given.image.shape[1::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )  # fmt: skip


def scipy() -> Call:
    """`scipy.ndimage.affine_transform` of order 1."""
    from scipy.ndimage import affine_transform

    def call(given: Picture) -> np.ndarray:
        by_rows = given.inverse[::-1, [1, 0]]
        return affine_transform(given.image, by_rows, given.inverse[::-1, 2], order=1)

    return call


def pillow() -> Call:
    """`PIL.Image.transform`, bilinear; the image object is made beforehand."""
    from PIL import Image

    kept: dict[int, Any] = {}

    def call(given: Picture) -> np.ndarray:
        if id(given) not in kept:
            kept.clear()
            kept[id(given)] = Image.fromarray(given.image)
        # Pillow counts from the corner of a pixel, not from its middle.
        shift = given.inverse[:, :2].sum(axis=1) / 2 - 0.5
        inverse = given.inverse.copy()
        inverse[:, 2] -= shift
        turned = kept[id(given)].transform(
            given.image.shape[1::-1], Image.Transform.AFFINE, tuple(inverse.ravel()),
            Image.Resampling.BILINEAR,
        )  # fmt: skip
        return np.asarray(turned)

    return call


def case(dtype: str, rivals: dict[str, Contestant], bar: dict[str, float]) -> Case:
    """One kind of picture."""
    kind = {"float32": "f32", "uint8": "rgb_u8"}[dtype]
    pixels = float(np.prod(SHAPE))
    return Case(
        name=f"rotate_2160x3840_{kind}",
        group="images",
        inputs=partial(picture_input, dtype=dtype),
        ours=ours,
        rivals=rivals,
        check=picture_error,
        # Of uint8 half a step is rounding.
        tolerance=0.51 / 255 if dtype == "uint8" else 1e-6,
        flops=8 * pixels,
        bytes=8 * pixels if dtype == "float32" else 6 * pixels,
        bar=bar,
        quick=dtype == "float32",
    )


CASES = [
    case("float32", {"opencv": opencv, "scipy": scipy}, {"opencv": 1.0, "scipy": 15.0}),
    case("uint8", {"opencv": opencv, "pillow": pillow}, {"opencv": 0.8, "pillow": 5.0}),
]
