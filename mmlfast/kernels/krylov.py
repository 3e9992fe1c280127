"""The covariance operator applied to a block of vectors, in one read of the rows.

    Y = (X − s) Q        Z += (X − s)ᵀ Y        for rows lo … hi − 1

Rows are centred into a panel as for the Gram matrix; both products read that panel, so X is read
once for each block of vectors and no centred copy of it exists.
"""

from __future__ import annotations

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import (
    CONTINUE,
    LANE_BYTES,
    TILE_ROWS,
    ZERO,
    lanes,
    tile_fma,
)
from mmlfast.kernels.covariance import all_finite, centre_rows, padded_columns, tile_width

# GFLOP/s of both products at 2000 × 64 f32, AVX-512: 160, 168, 190, 161 at 32, 64, 96, 128 rows.
PANEL_ROWS = 96


def block_panel_shape(n_features, dtype):
    """Shape of the panel: groups of 9 vectors, an odd number of cache lines, spread over L1."""
    width = LANE_BYTES // dtype.itemsize * 9
    while width % TILE_ROWS:
        width += LANE_BYTES // dtype.itemsize * 9
    columns = padded_columns(n_features, dtype)
    width = columns if columns <= width else width
    return (columns // width + 2, PANEL_ROWS + TILE_ROWS, width)


def projection_shape(n_vectors, dtype):
    """Shape of Y: whole tiles of rows, whole vectors of columns."""
    return (PANEL_ROWS + TILE_ROWS, padded_columns(n_vectors, dtype))


def product_shape(n_features, n_vectors, dtype):
    """Shape of Z: the groups of the panel, whole tiles of rows; whole vectors of columns."""
    groups, _, width = block_panel_shape(n_features, dtype)
    return ((groups - 1) * width + TILE_ROWS, padded_columns(n_vectors, dtype))


@ordered_kernel
def project(panel, n_rows, n_features, Q, Y):
    """Y[r, :] = Σ_c panel[r, c]·Q[c, :] for r < n_rows rounded up to whole tiles."""
    rows, width = panel.shape[1], panel.shape[2]
    stride = Q.shape[1]
    vectors = stride // lanes(Y)
    v = 0
    while v < vectors:
        tile = tile_width(vectors - v)
        j = v * lanes(Y)
        for c in range(0, n_features, width):
            depth = min(width, n_features - c)
            for r in range(0, n_rows, TILE_ROWS):
                a0 = (c // width * rows + r) * width
                b0, y0 = c * stride + j, r * stride + j
                if c == 0:
                    tile_fma(
                        ZERO, True, tile, panel, a0, width, Q, b0, stride, Y, y0, stride, depth
                    )
                else:
                    tile_fma(
                        CONTINUE, True, tile, panel, a0, width, Q, b0, stride, Y, y0, stride, depth
                    )
        v += tile


@ordered_kernel
def project_back(panel, n_rows, n_features, Y, Z):
    """Z[c, :] += Σ_{r < n_rows} panel[r, c]·Y[r, :]."""
    rows, width = panel.shape[1], panel.shape[2]
    stride = Y.shape[1]
    vectors = stride // lanes(Y)
    v = 0
    while v < vectors:
        tile = tile_width(vectors - v)
        j = v * lanes(Y)
        for first in range(0, n_features, width):
            group = first // width * rows * width
            for c in range(first, min(first + width, n_features), TILE_ROWS):
                a0, z0 = group + c - first, c * stride + j
                tile_fma(
                    CONTINUE, False, tile, panel, a0, width, Y, j, stride, Z, z0, stride, n_rows
                )
        v += tile


@ordered_kernel
def add_squares(panel, n_rows, squares):
    """squares[c] += Σ_{r < n_rows} panel[r, c]²."""
    width = panel.shape[2]
    for first in range(0, squares.shape[0], width):
        block = panel[first // width]
        here = squares[first : first + width]
        for r in range(n_rows):
            row = block[r]
            for c in range(here.shape[0]):
                here[c] += row[c] * row[c]


@ordered_kernel
def covariance_rows(X, strides, rows, shift, Q, panel, Y, moments, Z):
    """Z += (X − s)ᵀ(X − s) Q for rows = (lo, hi);  moments += [Σ(x − s), Σ(x − s)²].

    Q (n_features, whole vectors), Y and Z of one dtype; panel and Y are scratch.  Returns hi, or
    the first row of a panel with a bad number.  The squares are left out if moments has one row.
    """
    lo, hi = rows
    n_features = shift.shape[0]
    for r in range(lo, hi, PANEL_ROWS):
        n_rows = min(PANEL_ROWS, hi - r)
        centre_rows(X, strides, r, n_rows, shift, panel, 0, moments[0])
        if not all_finite(moments[0]):
            return r
        if moments.shape[0] > 1:
            add_squares(panel, n_rows, moments[1])
        project(panel, n_rows, n_features, Q, Y)
        project_back(panel, n_rows, n_features, Y, Z)
    return hi


@ordered_kernel
def project_rows(X, strides, rows, shift, Q, panel, Y, sums, out):
    """out[r − lo] = (X[r] − shift) Q for rows = (lo, hi); out has as many columns as it wants of Q.

    panel, Y and sums are scratch.
    """
    lo, hi = rows
    for r in range(lo, hi, PANEL_ROWS):
        n_rows = min(PANEL_ROWS, hi - r)
        centre_rows(X, strides, r, n_rows, shift, panel, 0, sums)
        project(panel, n_rows, shift.shape[0], Q, Y)
        for i in range(n_rows):
            for j in range(out.shape[1]):
                out[r - lo + i, j] = Y[i, j]


@ordered_kernel
def add_to(Z, total):
    """total += Z over the rows and columns of `total`;  Z is set to zero."""
    for i in range(total.shape[0]):
        source, target = Z[i], total[i]
        for j in range(target.shape[0]):
            target[j] += source[j]
    Z[:] = 0
