"""Blocked matrix product of float32 or float64 matrices with any strides.

    C = A · B        A (m, k), B (k, n), C (m, n)

The loops are those of Goto and van de Geijn (ACM TOMS 34(3), 2008) as BLIS orders them: a
DEPTH × COLUMNS block of B is packed, then ROWS × DEPTH blocks of A, and a register tile runs over
both.  Every element of C is one fma chain over a DEPTH of k, the chains are added in order, so the
result does not depend on how C is divided between threads.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._jit import kernel
from mmlfast.kernels._simd import ADD, TILE_ROWS, TILE_VECTORS, ZERO, lanes, load, store, tile_fma
from mmlfast.kernels.pack import pack_columns, pack_rows
from mmlfast.kernels.small import SMALL, multiply_one

# DEPTH·TILE_VECTORS vectors of packed B stay in L1 while ROWS × DEPTH of packed A stream from L2.
DEPTH = 256
ROWS = 192
COLUMNS = 2064
WIDEST = 48  # elements of the widest tile; every tile's width divides it, and it divides COLUMNS


@kernel
def workspace_size(m, n, k):
    """Elements of scratch that `multiply` wants for an (m, k) by (k, n) product."""
    depth = min(DEPTH, k)
    rows = (min(ROWS, m) + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
    columns = (min(COLUMNS, n) + WIDEST - 1) // WIDEST * WIDEST
    return TILE_ROWS * WIDEST + (rows + columns) * depth


@kernel
def _tile(vectors, first, A, a0, B, b0, width, C, c0, c_stride, depth):
    """One tile from packed panels: C = A·B for the first depth block, C += A·B afterwards."""
    step = TILE_ROWS
    if first:
        tile_fma(ZERO, False, vectors, A, a0, step, B, b0, width, C, c0, c_stride, depth)
    else:
        tile_fma(ADD, False, vectors, A, a0, step, B, b0, width, C, c0, c_stride, depth)


@kernel
def _edge(first, edge, width, C, c0, strides, height, valid):
    """The part of a tile that lies inside C: C = edge or C += edge, over any strides."""
    row_stride, column_stride = strides
    for i in range(height):
        for j in range(valid):
            at = c0 + i * row_stride + j * column_stride
            value = load(edge, i * width + j)
            store(C, at, value if first else load(C, at) + value)


@kernel
def multiply(A, a_strides, B, b_strides, C, c_strides, shape, workspace):
    """C = A·B.   A, B, C: base arrays with strides in elements; shape = (m, n, k); C overwritten.

    `workspace` holds at least `workspace_size(m, n, k)` numbers of C's dtype, overwritten.
    """
    m, n, k = shape
    width = TILE_VECTORS * lanes(C)
    depth_block = min(DEPTH, k)
    column_block = (min(COLUMNS, n) + width - 1) // width * width
    edge = workspace
    packed_b = workspace[TILE_ROWS * WIDEST :]
    packed_a = packed_b[column_block * depth_block :]
    if k == 0:
        for i in range(m):
            for j in range(n):
                store(C, i * c_strides[0] + j * c_strides[1], C.dtype.type(0))
    for column in range(0, n, COLUMNS):
        n_columns = min(COLUMNS, n - column)
        for start in range(0, k, DEPTH):
            depth = min(DEPTH, k - start)
            b0 = start * b_strides[0] + column * b_strides[1]
            pack_columns(B, b0, b_strides, depth, n_columns, packed_b)
            for row in range(0, m, ROWS):
                n_rows = min(ROWS, m - row)
                a0 = row * a_strides[0] + start * a_strides[1]
                pack_rows(A, a0, a_strides, n_rows, depth, packed_a)
                c0 = row * c_strides[0] + column * c_strides[1]
                size = (n_rows, n_columns, depth)
                _tiles(start == 0, packed_a, packed_b, size, edge, C, c0, c_strides)


@kernel
def _tiles(first, packed_a, packed_b, size, edge, C, c0, c_strides):
    """C[:rows, :columns] (+)= packed A · packed B, tile by tile; the panel of B stays in L1."""
    n_rows, n_columns, depth = size
    row_stride, column_stride = c_strides
    width = TILE_VECTORS * lanes(C)
    for j in range(0, n_columns, width):
        valid = min(width, n_columns - j)
        vectors = (valid + lanes(C) - 1) // lanes(C)
        whole_width = column_stride == 1 and valid == vectors * lanes(C)
        for i in range(0, n_rows, TILE_ROWS):
            height = min(TILE_ROWS, n_rows - i)
            at = c0 + i * row_stride + j * column_stride
            a, b = i * depth, j * depth
            if whole_width and height == TILE_ROWS:
                _tile(vectors, first, packed_a, a, packed_b, b, width, C, at, row_stride, depth)
            else:
                _tile(vectors, True, packed_a, a, packed_b, b, width, edge, 0, width, depth)
                _edge(first, edge, width, C, at, c_strides, height, valid)


@kernel
def matmul(A, B, C):
    """C = A·B for three arrays of one float dtype, from any compiled function.

    A (m, k), B (k, n) and C (m, n) may have any layout; C is overwritten and must not overlap A or
    B.  Scratch is allocated; call `multiply` to bring your own.  Shapes are the caller's to check.
    """
    m, k = A.shape
    n = B.shape[1]
    size = A.itemsize
    if max(m, n, k) <= SMALL and B.strides[1] == size and C.strides[1] == size:
        a_strides = (A.strides[0] // size, A.strides[1] // size)
        b_row, c_row = B.strides[0] // size, C.strides[0] // size
        multiply_one(A, 0, a_strides, B, 0, b_row, C, 0, c_row, (m, n, k), False)
        return
    workspace = np.empty(workspace_size(m, n, k), C.dtype)
    multiply(
        A, (A.strides[0] // size, A.strides[1] // size),
        B, (B.strides[0] // size, B.strides[1] // size),
        C, (C.strides[0] // size, C.strides[1] // size),
        (m, n, k), workspace,
    )  # fmt: skip
