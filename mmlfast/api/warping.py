"""Warp images by affine maps: the output's size, exact moves, channels; then bands on the pool.

out(T·p) = image(p)      computed as      out(q) = f(T⁻¹·q)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.affine import Matrix, inverted
from mmlfast.api.borders import EXTENSIONS, Prepared, prepare
from mmlfast.api.pixels import as_fill, as_out, as_pixels
from mmlfast.runtime.memory import available_bytes, format_bytes
from mmlfast.runtime.threads import n_threads, parallel_for
from mmlfast.runtime.validate import base_of, refuse_bad_numbers

TAPS = {0: 1, 1: 2, 3: 4}  # pixels across the footprint, by order

PART_PIXELS = 1 << 18  # of one task, some 0.3 ms
PARALLEL_PIXELS = 1 << 16  # below, a hand-over costs more than it saves
LARGEST_SIDE = 2**31 - 64
FARTHEST = 2.0**40  # beyond, float64 tells pixels apart by less than a thousandth


def warp_images(
    image: ArrayLike,
    forward: Matrix,
    *,
    order: int,
    mode: str,
    cval: ArrayLike,
    expand: bool,
    y_up: bool,
    out: NDArray[Any] | None,
    n_jobs: int | None,
) -> NDArray[Any]:
    """The image or images moved by `forward`, maps of pixel coordinates."""
    if order not in tuple(TAPS) or isinstance(order, bool):
        raise ValueError(f"order must be 0 (nearest), 1 (linear) or 3 (cubic); got {order!r}.")
    if mode not in tuple(EXTENSIONS):
        raise ValueError(f"mode must be one of {', '.join(EXTENSIONS)}; got {mode!r}.")
    threads = n_threads(n_jobs)
    pixels = as_pixels(image)
    given = pixels.array
    count, height, width, channels = given.shape
    if len(forward) not in (1, count):
        raise ValueError(
            f"{len(forward)} transforms need as many images; got {count}. Give images of shape "
            "(N, H, W, C) and one transform, or N of them."
        )
    dtype = given.dtype.newbyteorder("=")
    fill = as_fill(cval, dtype, channels)
    size = (height, width)
    if y_up:
        flip = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, height - 1.0], [0.0, 0.0, 1.0]])
        forward = flip @ forward @ flip
    if expand:
        forward, size = _expanded(forward, size)
        _refuse_absurd(size, count * channels * dtype.itemsize)
    back = inverted(forward)[:, :2]
    slack = _slack(back, size, (height, width))
    exact = _whole(back, size, slack)
    if exact is not None:
        back, order = exact, 0
    if order == 3:
        _refuse_not_finite(given)
    shape = (count, *size, channels)
    if out is not None:
        out = as_out(out, _without(shape, pixels.added), dtype, given)
    result = np.empty(shape, dtype) if out is None else np.expand_dims(out, pixels.added)
    planes = 1 if order == 3 else 4
    for k in range(0, channels, planes):
        part = given[..., k : k + planes]
        view = result[..., k : k + planes]
        straight = view.flags.c_contiguous and view.flags.aligned
        target = view if straight else np.empty(view.shape, dtype)
        if target.size:
            shown = fill[k : k + planes]
            prepared = prepare(part, TAPS[order], mode, shown, slack, threads)
            _run(prepared, back, target, shown, TAPS[order], threads)
        if not straight:
            view[...] = target
    return pixels.restored(result) if out is None else out


def _corners(size: tuple[int, int]) -> NDArray[np.float64]:
    """(x, y, 1) of the four corner pixels, as columns."""
    right, bottom = size[1] - 1.0, size[0] - 1.0
    return np.array([[0, right, 0, right], [0, 0, bottom, bottom], [1, 1, 1, 1]])


@np.errstate(over="ignore", invalid="ignore")
def _expanded(forward: Matrix, size: tuple[int, int]) -> tuple[Matrix, tuple[int, int]]:
    """The maps shifted so that all of each image lies centred on the smallest common output."""
    corners = (forward @ _corners(size))[:, :2]
    low, high = corners.min(axis=2), corners.max(axis=2)
    # A hair's breadth is rounding, not a pixel more.
    sides = np.ceil((high - low) * (1 - 1e-12) - 1e-9) + 1
    most = sides.max(axis=0, initial=1.0)
    if not (most <= LARGEST_SIDE).all():
        raise ValueError(
            f"expand=True asks for {most[1]:.3g} × {most[0]:.3g} pixels; the most is "
            f"{LARGEST_SIDE} a side. Scale down, or warp without expand."
        )
    shifted = forward.copy()
    # Whole pixels lie between the smaller outputs of a stack and the common one.
    shifted[:, :2, 2] += (sides - 1) / 2 - (low + high) / 2 + (most - sides) // 2
    return shifted, (int(most[1]), int(most[0]))


def _refuse_absurd(size: tuple[int, int], pixel_bytes: int) -> None:
    needed, available = size[0] * size[1] * pixel_bytes, available_bytes()
    if available is not None and needed > available:
        raise ValueError(
            f"expand=True asks for an output of {size[0]} × {size[1]} pixels, "
            f"{format_bytes(needed)}; {format_bytes(available)} of memory are available. "
            "Scale down, or warp without expand."
        )


@np.errstate(over="ignore", invalid="ignore")
def _slack(back: Matrix, size: tuple[int, int], stored: tuple[int, int]) -> float:
    """How far, in pixels, rounding of the matrices may put a coordinate off."""
    reach = np.abs(back) @ np.abs(_corners(size))
    farthest = max(float(reach.max(initial=0.0)), *stored)
    if not farthest <= FARTHEST:
        raise ValueError(
            f"The transform looks up pixels as far as {farthest:.3g} from the origin; "
            f"coordinates are exact up to {FARTHEST:.3g}."
        )
    return 64 * float(np.finfo(np.float64).eps) * farthest


def _whole(back: Matrix, size: tuple[int, int], slack: float) -> Matrix | None:
    """`back` with whole numbers, if every output pixel looks at the very centre of an input pixel.

    So do quarter turns, mirrors and whole translations: pixels are moved then, not interpolated.
    """
    rounded = np.rint(back)
    error = np.abs(back - rounded) @ np.abs(_corners(size))
    return rounded if (error <= slack).all() else None


def _refuse_not_finite(given: NDArray[Any]) -> None:
    for image in given:
        for channel in np.moveaxis(image, -1, 0):
            refuse_bad_numbers(channel, 0, "image (with order=3, which spreads it everywhere)")


def _without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for axis, side in enumerate(shape) if axis not in axes)


def _run(
    prepared: Prepared,
    back: Matrix,
    target: NDArray[Any],
    fill: NDArray[Any],
    taps: int,
    threads: int,
) -> None:
    """Fill `target` (N, h, w, C), in parts that do not depend on the number of threads."""
    from mmlfast.kernels.warp import BAND_ROWS, TILE_COLUMNS, warp

    stored, rule, edges, origin = prepared
    count, height, width, channels = target.shape
    _, rows, columns, _ = stored.shape
    source, (image_stride, stride, _, _) = base_of(stored)
    layout = (channels, rows, columns, stride, image_stride)
    matrices = back.copy()
    matrices[:, :, 2] += origin
    border = (rule, edges)
    pattern = np.tile(fill, TILE_COLUMNS)
    flat = target.reshape(count, height, width * channels)
    step = -(-PART_PIXELS // (width * BAND_ROWS)) * BAND_ROWS
    total = count * height

    def part(index: int) -> None:
        span = (index * step, min((index + 1) * step, total))
        warp(taps, source, layout, matrices, border, pattern, flat, span)

    threads = threads if total * width >= PARALLEL_PIXELS else 1
    parallel_for(part, -(-total // step), threads)
