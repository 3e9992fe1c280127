"""Shifted second moments of rows, upper triangle only.

    G += Σ_r w_r (x_r − s)(x_r − s)ᵀ        t += Σ_r w_r (x_r − s)

Rows are copied, cast and centred into a panel of a few hundred kilobytes, and a register tile runs
over the panel: X is read once and never converted as a whole.  A panel (groups, rows, width) holds
`width` neighbouring columns in each group, so that its rows lie close together for any number of
columns; both factors of the product are read from it.

Every element of G and t is *one* chain of additions over the rows, continued from call to call.
Cutting the rows, or the columns among threads, differently therefore gives the same bits.
"""

from __future__ import annotations

import math

import numpy as np

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import (
    CONTINUE,
    LANE_BYTES,
    TILE_ROWS,
    TILE_VECTORS,
    centre_vectors,
    lanes,
    load_as,
    store,
    tile_fma,
)

# Rows of a panel.  GFLOP/s on AVX-512, 784 × f32: 140, 150, 139 at 128, 192, 256 rows; 2000 × f64:
# 65, 56, 56, since the panel should leave room for G in L2.
PANEL_ROWS = 192
PANEL_ROWS_WIDE = 128
PANEL_BYTES = 768 << 10


def padded_columns(n_features, dtype):
    """Columns of a row of G in memory: `n_features` rounded up to whole vectors."""
    width = LANE_BYTES // np.dtype(dtype).itemsize
    return -(-n_features // width) * width


def panel_shape(n_features, dtype):
    """Shape of the scratch panel; one more group keeps the last tile's reads inside it."""
    columns = padded_columns(n_features, dtype)
    width = _panel_width(columns, LANE_BYTES // np.dtype(dtype).itemsize)
    fits = PANEL_ROWS * columns * np.dtype(dtype).itemsize <= PANEL_BYTES
    return (columns // width + 2, PANEL_ROWS if fits else PANEL_ROWS_WIDE, width)


def _panel_width(columns, lanes_of_dtype):
    """Columns of a group: whole tiles of rows and of vectors, and as few as that allows.

    12 vectors a group cost 4 % at 784 columns: rows 768 bytes apart meet in a quarter of L1's sets.
    """
    width = TILE_VECTORS * lanes_of_dtype
    while width % TILE_ROWS:
        width += TILE_VECTORS * lanes_of_dtype
    return columns if columns <= 2 * width else width


_panel_width_compiled = ordered_kernel(_panel_width)


def gram_shape(n_features, dtype):
    """Shape of G in memory: whole tiles of rows, whole vectors of columns."""
    rows = -(-n_features // TILE_ROWS) * TILE_ROWS
    return (rows, padded_columns(n_features, dtype))


@ordered_kernel
def centre_rows(X, strides, lo, n_rows, shift, panel, at, sums):
    """panel[:, at + r, :] = X[lo + r] − shift;  sums += Σ_r (X[lo + r] − shift).

    X: base array with strides in elements.  Columns past the last are left alone: they stay zero.
    """
    row_stride, column_stride = strides
    n_features = shift.shape[0]
    rows, width = panel.shape[1], panel.shape[2]
    step = lanes(panel)
    x0 = lo * row_stride
    for first in range(0, n_features, width):
        last = min(first + width, n_features)
        out = (first // width * rows + at) * width - first
        c = first
        if column_stride == 1:
            while c + 3 * step <= last:
                centre_vectors(
                    3, X, x0 + c, row_stride, n_rows, shift, sums, c, panel, out + c, width
                )
                c += 3 * step
            while c + step <= last:
                centre_vectors(
                    1, X, x0 + c, row_stride, n_rows, shift, sums, c, panel, out + c, width
                )
                c += step
        while c < last:
            total = sums[c]
            for r in range(n_rows):
                value = load_as(X, x0 + r * row_stride + c * column_stride, panel) - shift[c]
                store(panel, out + c + r * width, value)
                total += value
            sums[c] = total
            c += 1


@ordered_kernel
def weigh_rows(panel, weights, lo, at, n_rows, weighted, sums):
    """weighted[:, at + r, :] = weights[lo + r] · panel[:, at + r, :];  sums += Σ_r of it."""
    width = panel.shape[2]
    for group in range((sums.shape[0] + width - 1) // width):
        first = group * width
        valid = min(width, sums.shape[0] - first)
        for r in range(n_rows):
            weight = panel.dtype.type(weights[lo + r])
            for c in range(valid):
                value = weight * panel[group, at + r, c]
                weighted[group, at + r, c] = value
                sums[first + c] += value


@ordered_kernel
def tile_width(remaining):
    """Vectors of the next tile when so many remain.

    4 go as 2 + 2: a tile of one vector is bound by its loads.
    """
    return 2 if TILE_VECTORS == 3 and remaining == 4 else min(TILE_VECTORS, remaining)


@ordered_kernel
def rank_update(left, right, n_rows, first_vector, last_vector, G):
    """G[i, j] += Σ_{r < n_rows} left[r, i]·right[r, j] for i ≤ j, j in vectors first … last − 1."""
    step = lanes(G)
    rows, width = right.shape[1], right.shape[2]
    stride = G.shape[1]
    vector = first_vector
    while vector < last_vector:
        column = vector * step
        group_end = min(last_vector, (column // width + 1) * (width // step))
        vectors = tile_width(group_end - vector)
        right0 = column // width * rows * width + column % width
        for i in range(0, min(column + vectors * step, G.shape[0]), TILE_ROWS):
            a0 = i // width * rows * width + i % width
            below = max(0, (i - column) // step) * step  # columns wholly below the diagonal
            b0, c0 = right0 + below, i * stride + column + below
            v = vectors - below // step
            tile_fma(
                CONTINUE, False, v, left, a0, width, right, b0, width, G, c0, stride, n_rows
            )
        vector += vectors


@ordered_kernel
def gram_rows(X, strides, lo, hi, shift, panel, columns, sums, G):
    """G and sums of rows lo … hi − 1, in the vectors columns = (first, last) of G.

    Returns hi, or the first row of a panel whose sums are not finite: then NaN or Inf stands in it,
    or it overflows; G holds the rows before it, and `sums` is spoilt.
    """
    # Fetching the next panel's rows between the tiles of this one wins nothing: 121 ms for 122.
    for r in range(lo, hi, panel.shape[1]):
        n_rows = min(panel.shape[1], hi - r)
        centre_rows(X, strides, r, n_rows, shift, panel, 0, sums)
        if not all_finite(sums):
            return r
        rank_update(panel, panel, n_rows, columns[0], columns[1], G)
    return hi


@ordered_kernel
def all_finite(values):
    """Whether no value is NaN or ±Inf."""
    finite = True
    for value in values:
        finite &= math.isfinite(value)
    return finite


@ordered_kernel
def add_upper(G, sums, columns, total, total_sums):
    """total[i, j] += G[i, j] for i ≤ j in columns (first, last);  G is set to zero there.

    `sums` is added to `total_sums` and cleared by whoever owns column 0.
    """
    n_features = total.shape[0]
    last = min(columns[1], n_features)
    zero = G.dtype.type(0)
    for i in range(last):
        source, target = G[i], total[i]
        for j in range(max(i, columns[0]), last):
            target[j] += source[j]
        # Tiles on the diagonal reach at most a tile's height and a vector below it.
        for j in range(max(i - TILE_ROWS - lanes(G), columns[0]), columns[1]):
            source[j] = zero
    for i in range(last, G.shape[0]):
        G[i, columns[0] : columns[1]] = zero
    if columns[0] == 0:
        for j in range(n_features):
            total_sums[j] += sums[j]
            sums[j] = zero


@ordered_kernel
def fill_symmetric(total, G, out):
    """out[i, j] = out[j, i] = total[i, j] + G[i, j] for i ≤ j; out is overwritten."""
    d = total.shape[0]
    for row in range(0, d, 32):
        for column in range(row, d, 32):
            for i in range(row, min(row + 32, d)):
                for j in range(max(column, i), min(column + 32, d)):
                    value = total[i, j] + G[i, j]
                    out[i, j] = value
                    out[j, i] = value


@ordered_kernel
def centred_products(G, sums, weight, divisor, C):
    """C = (G − t tᵀ/w)/divisor for symmetric G: symmetric, its diagonal never below zero."""
    d = G.shape[0]
    for i in range(d):
        for j in range(d):
            # One product, whichever triangle: t_i t_j rounds the same as t_j t_i.
            C[i, j] = (G[i, j] - sums[i] * sums[j] / weight) / divisor
        C[i, i] = max(C[i, i], 0.0)


@ordered_kernel
def gram_superblocks(X, strides, lo, hi, size, shift, panel, sums, G):
    """G[b], sums[b] of each superblock b of `size` rows in lo … hi − 1.

    Returns the number of superblocks before the first with a bad number.
    """
    vectors = (0, G.shape[2] // lanes(G))
    for r in range(lo, hi, size):
        b = (r - lo) // size
        end = min(r + size, hi)
        if gram_rows(X, strides, r, end, shift, panel, vectors, sums[b], G[b]) < end:
            return b
    return (hi - lo + size - 1) // size


@ordered_kernel
def gram_columns(X, strides, rows, shift, panel, columns, sums, G, totals):
    """Superblocks of rows = (lo, hi, size) in some columns of G, each added to `totals`.

    columns: (first, last) vectors.  totals: (total, total_sums), float64.  Returns the number of
    superblocks added: fewer than asked for if a bad number stands in the next one.
    """
    lo, hi, size = rows
    step = lanes(G)
    span = (columns[0] * step, columns[1] * step)
    done = 0
    for r in range(lo, hi, size):
        end = min(r + size, hi)
        if gram_rows(X, strides, r, end, shift, panel, columns, sums, G) < end:
            return done
        add_upper(G, sums, span, totals[0], totals[1])
        if span[0] > 0:
            sums[:] = 0
        done += 1
    return done


@ordered_kernel
def gram(X, shift, G):
    """G = Σ_r (x_r − shift)(x_r − shift)ᵀ, both triangles, from any compiled function.

    X (n, d) of any layout, shift (d,) and G (d, d) of one float dtype; G is overwritten.  Scratch
    is allocated.  The rows are one chain of additions: cut long X into blocks of a few thousand.
    """
    n, d = X.shape
    step = lanes(G)
    padded = (d + step - 1) // step * step
    width = _panel_width_compiled(padded, step)
    panel = np.zeros((padded // width + 2, PANEL_ROWS, width), G.dtype)
    work = np.zeros(((d + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS, padded), G.dtype)
    sums = np.zeros(d, G.dtype)
    strides = (X.strides[0] // X.itemsize, X.strides[1] // X.itemsize)
    gram_rows(X, strides, 0, n, shift, panel, (0, padded // step), sums, work)
    for i in range(d):
        for j in range(i, d):
            G[i, j] = work[i, j]
            G[j, i] = work[i, j]
