"""What lies outside of an image: scipy.ndimage's border modes, made into the kernel's four rules.

    outside → a number            FILL        constant, grid-constant
    outside → the edge            CLAMP       nearest
    outside → mirrored back       TRIANGLE    reflect, mirror
    outside → the other end       SAWTOOTH    wrap, grid-wrap

With that every coordinate is inside, and the kernel needs no edge cases.  Where the mode says what
lies between the last pixel and the next one, or the spline's footprint reaches out, the image is
first padded in the same manner.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.runtime.threads import parallel_for
from mmlfast.runtime.validate import readable

# How the pixels go on beyond the edge, in np.pad's words.  For the spline, scipy.ndimage takes them
# as mirrored under "constant" and "wrap" too.
EXTENSIONS = {
    "constant": "reflect", "grid-constant": "constant", "nearest": "edge", "reflect": "symmetric",
    "mirror": "reflect", "wrap": "reflect", "grid-wrap": "wrap",
}  # fmt: skip

LONGEST_ROW = 2**31 - 1  # bytes
# From here on a spline has come to rest: |√3 − 2|²⁰ = 4e-12.
_REST = 20
_COLUMNS, _ROWS = 512, 64  # of one task of the spline filter
_PARALLEL = 1 << 16  # pixels; below, a hand-over costs more than it saves


class Prepared(NamedTuple):
    """An image as stored for the kernel, the rule for its border, and where its origin lies."""

    stored: NDArray[Any]  # (N, rows, columns, C), whole pixels side by side
    rule: int
    edges: tuple[tuple[float, float, float, float], ...]  # first, last, period, centre of x and y
    origin: int  # x and y of the image's first pixel


def prepare(
    image: NDArray[Any], taps: int, mode: str, fill: NDArray[Any], slack: float, threads: int
) -> Prepared:
    """Pad and filter images (N, H, W, C) as taps and mode want it; coordinates err by `slack`."""
    from mmlfast.kernels.spline import MARGIN
    from mmlfast.kernels.warp import CLAMP, FILL, SAWTOOTH, TRIANGLE

    rule = {"nearest": CLAMP, "reflect": TRIANGLE, "mirror": TRIANGLE, "wrap": SAWTOOTH,
            "grid-wrap": SAWTOOTH}.get(mode, FILL)  # fmt: skip
    pad = MARGIN if taps == 4 else 1 if mode.startswith("grid-") else 0
    origin = pad - 2 if taps == 4 else pad
    _, height, width, _ = image.shape
    edges = tuple(_edge(side, taps, mode, slack, origin) for side in (width, height))
    if pad:
        image = _padded(image, pad, mode, fill)
    if taps == 4:
        image = _spline_coefficients(image, threads)
    return Prepared(_large_enough(image, taps), rule, edges, origin)


def _edge(
    side: int, taps: int, mode: str, slack: float, origin: int
) -> tuple[float, float, float, float]:
    """(first, last, period, centre) of an axis, counted from `origin` before the first pixel."""
    spline = taps == 4
    reach = {
        "constant": slack,
        "grid-constant": _REST if spline else 1 + slack,
        "nearest": _REST if spline else 0.0,
        # Half a pixel out the bilinear value is still the last pixel's own.
        "reflect": 0.5 if spline else 0.0,
    }.get(mode, 0.0)
    last = side if mode == "grid-wrap" else side - 1
    period = {"mirror": 2 * side - 2, "reflect": 2 * side, "wrap": side - 1, "grid-wrap": side}
    centre = origin - 0.5 if mode == "reflect" else float(origin)
    return origin - reach, origin + last + reach, float(max(period.get(mode, 1), 1)), centre


def _padded(image: NDArray[Any], pad: int, mode: str, fill: NDArray[Any]) -> NDArray[Any]:
    widths = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    if mode != "grid-constant":
        return np.pad(image, widths, mode=EXTENSIONS[mode])  # type: ignore[call-overload]
    count, height, width, channels = image.shape
    padded = np.empty((count, height + 2 * pad, width + 2 * pad, channels), image.dtype)
    padded[...] = fill
    padded[:, pad:-pad, pad:-pad] = image
    return padded


def _spline_coefficients(padded: NDArray[Any], threads: int) -> NDArray[np.float64]:
    """Coefficients of the cubic splines through images (N, rows, columns, 1), float64."""
    from mmlfast.kernels.spline import filter_along, filter_down

    coefficients = padded.astype(np.float64, order="C")
    count, height, width, _ = coefficients.shape
    threads = threads if coefficients.size >= _PARALLEL else 1
    images = coefficients.reshape(count, height, width)
    rows = coefficients.reshape(count * height, width)

    def down(index: int) -> None:
        filter_down(images, index * _COLUMNS, min((index + 1) * _COLUMNS, count * width))

    def along(index: int) -> None:
        filter_along(rows, index * _ROWS, min((index + 1) * _ROWS, count * height))

    parallel_for(down, -(-count * width // _COLUMNS), threads)
    parallel_for(along, -(-count * height // _ROWS), threads)
    return coefficients


def _large_enough(image: NDArray[Any], taps: int) -> NDArray[Any]:
    """The image as the kernel can read it: whole pixels side by side, room for a footprint."""
    _, height, width, channels = image.shape
    size = image.dtype.itemsize
    columns = max(taps, -(-8 // (channels * size)))
    if height < taps or width < columns:
        widths = ((0, 0), (0, max(0, taps - height)), (0, max(0, columns - width)), (0, 0))
        image = np.pad(image, widths, mode="edge")
    image = readable(image)
    side_by_side = image.strides[3] == size or channels == 1
    if not (side_by_side and image.strides[2] == channels * size and _near(image.strides[1])):
        image = np.ascontiguousarray(image)
    if not _near(image.strides[1]):
        raise ValueError(
            f"a row of the image takes {image.strides[1]} bytes; the most is {LONGEST_ROW}. Warp "
            "it in parts."
        )
    return image


def _near(stride: int) -> bool:
    return abs(stride) <= LONGEST_ROW
