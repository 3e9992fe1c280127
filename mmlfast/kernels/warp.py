"""An image seen through an affine map: every output pixel looks up where it comes from.

    out[r, c] = f(x, y),   (x, y) = M·(c, r, 1)      M: 2 × 3, from output to input coordinates

x runs along a row, y along a column, and pixel centres have whole numbers.  Each coordinate is
computed from its row and column in float64; nothing is stepped or rounded to a grid.  f is the
nearest pixel (1 tap), bilinear (2) or a cubic spline of given coefficients (4).

Along an output row the coordinates are affine, so the columns that look inside the image are one
run, found by division.  Outside of it the row is filled, or the coordinates are folded back inside
first: the border modes are nothing but foldings, and what reads pixels never meets an edge.
"""

from __future__ import annotations

import math

import numpy as np

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd_warp import fetch, interpolate, ramp

FILL, CLAMP, TRIANGLE, SAWTOOTH = range(4)  # what is done outside of [first, last]

# Rows of an image are far apart, and no prefetcher of the processor follows a slope: the input of
# the next tile is asked for while this one is written.  Measured, ns a pixel, 2160 × 3840 float32
# turned by 30°: 64 × 256 1.6, 128 × 256 1.6, 64 × 128 2.5, 64 × 64 2.4; never asking 3.1.
BAND_ROWS, TILE_COLUMNS = 64, 256
_REACH = 8  # pixels between two fetches


@ordered_kernel
def fold(xs, begin, end, rule, edge):
    """xs[begin:end] brought into [first, last]; edge = (first, last, period, centre).

    TRIANGLE mirrors at centre and half a period on, SAWTOOTH goes on at the other end.
    """
    first, last, period, centre = edge
    if rule == TRIANGLE:
        for j in range(begin, end):
            x = xs[j] - centre
            xs[j] = abs(x - period * np.rint(x / period)) + centre
    elif rule == SAWTOOTH:
        for j in range(begin, end):
            x = xs[j] - centre
            if xs[j] < first:
                xs[j] -= period * (np.ceil(x / period) - 1.0)
            elif xs[j] > last:
                xs[j] -= period * np.floor(x / period)
    for j in range(begin, end):
        xs[j] = min(max(xs[j], first), last)


@ordered_kernel
def columns_inside(base, step, first, last, width):
    """The run of columns c in 0 … width − 1 with first ≤ base + step·c ≤ last."""
    if step == 0.0:
        return (0, width) if first <= base <= last else (0, 0)
    # numpy's ceil and floor: those of math give integers, which huge quotients overflow.
    a, b = (first - base) / step, (last - base) / step
    begin = min(max(np.ceil(min(a, b)), 0.0), width)
    end = min(max(np.floor(max(a, b)) + 1.0, begin), width)
    return int(begin), int(end)


@ordered_kernel
def row_inside(matrix, row, edges, width):
    """The run of columns of an output row that look at [first, last] of both axes."""
    x, y = matrix[0, 1] * row + matrix[0, 2], matrix[1, 1] * row + matrix[1, 2]
    a, b = columns_inside(x, matrix[0, 0], edges[0][0], edges[0][1], width)
    c, d = columns_inside(y, matrix[1, 0], edges[1][0], edges[1][1], width)
    begin = max(a, c)
    return begin, max(begin, min(b, d))


@ordered_kernel
def coordinates(matrix, row, begin, end, xs, ys):
    """(xs[j], ys[j]) = M·(begin + j, row, 1)."""
    x, y = matrix[0, 1] * row + matrix[0, 2], matrix[1, 1] * row + matrix[1, 2]
    ramp(x, matrix[0, 0], begin, end - begin, xs)
    ramp(y, matrix[1, 0], begin, end - begin, ys)


@ordered_kernel
def fetch_tile(source, start, layout, matrix, top, left, begins, ends, depth):
    """Have the input of a tile brought in: some rows of it at every few pixels."""
    channels, _, _, stride, _ = layout
    stretch = max(
        math.hypot(matrix[0, 0], matrix[1, 0]), math.hypot(matrix[0, 1], matrix[1, 1]), 1e-3
    )
    reach = max(1, min(_REACH, 64 // (channels * source.itemsize)))
    step = max(1, min(_REACH, int(reach / stretch)))
    lines = int(step * stretch) + 1 if step > 1 else 2
    for r in range(0, depth, step):
        x, y = matrix[0, 1] * (top + r) + matrix[0, 2], matrix[1, 1] * (top + r) + matrix[1, 2]
        for c in range(max(left, begins[r]), min(left + TILE_COLUMNS, ends[r]), step):
            column, row = int(x + matrix[0, 0] * c), int(y + matrix[1, 0] * c)
            at = start + row * stride + column * channels
            for k in range(lines):
                fetch(source, at + k * stride)


@ordered_kernel
def fill_pixels(out, at, count, pattern):
    """out[at : at + count] = pattern[:count]."""
    for k in range(count):
        out[at + k] = pattern[k]


@ordered_kernel
def warp(taps, source, layout, matrices, border, fill, out, span):
    """Rows span[0] … span[1] − 1 of all output rows, counted through the images.

    source   the images, flat from the first pixel of the first; any rows, whole pixels side by side
    layout   channels (1 … 4), rows, columns (as stored), elements between rows and between images
    matrices (1 or the number of images, 2, 3): M
    border   the rule, and (first, last, period, centre) for x and for y
    fill     the numbers of TILE_COLUMNS pixels that look outside, for the rule FILL
    out      (images, rows, columns · channels), overwritten
    """
    channels, rows, columns, stride, image_stride = layout
    stored = (rows, columns, stride)
    rule, edges = border
    _, height, length = out.shape
    width = length // channels
    written = out.reshape(out.size)
    # Zeros: what `interpolate` reads beyond a line's end shall be some coordinate.
    xs, ys = np.zeros(TILE_COLUMNS), np.zeros(TILE_COLUMNS)
    begins, ends = np.empty(BAND_ROWS, np.int64), np.empty(BAND_ROWS, np.int64)
    row, stop = span
    while row < stop:
        image = row // height
        top = row - image * height
        depth = min(BAND_ROWS, height - top, stop - row)
        matrix = matrices[min(image, len(matrices) - 1)]
        start = image * image_stride
        for r in range(depth):
            begins[r], ends[r] = row_inside(matrix, top + r, edges, width)
        fetch_tile(source, start, layout, matrix, top, 0, begins, ends, depth)
        for left in range(0, width, TILE_COLUMNS):
            right = min(left + TILE_COLUMNS, width)
            fetch_tile(source, start, layout, matrix, top, right, begins, ends, depth)
            for r in range(depth):
                at = (row + r) * length
                begin = min(max(begins[r], left), right)
                end = max(begin, min(ends[r], right))
                if rule == FILL:
                    fill_pixels(written, at + left * channels, (begin - left) * channels, fill)
                    fill_pixels(written, at + end * channels, (right - end) * channels, fill)
                    first, count = begin, end - begin
                    coordinates(matrix, top + r, begin, end, xs, ys)
                else:
                    first, count = left, right - left
                    coordinates(matrix, top + r, left, right, xs, ys)
                    fold(xs, 0, begin - left, rule, edges[0])
                    fold(ys, 0, begin - left, rule, edges[1])
                    fold(xs, end - left, count, rule, edges[0])
                    fold(ys, end - left, count, rule, edges[1])
                at += first * channels
                interpolate(taps, channels, source, start, stored, xs, ys, count, written, at)
        row += depth
