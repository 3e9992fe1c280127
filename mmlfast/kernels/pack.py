"""Copy blocks of a strided matrix into the order in which a register tile reads them.

    rows:     packed[p·R·K + k·R + r] = A[p·R + r, k]        panels of R = TILE_ROWS rows
    columns:  packed[p·K·W + k·W + j] = B[k, p·W + j]        panels of W = TILE_VECTORS vectors

A matrix is an array taken as base address, the offset of its element [0, 0] and the strides
(between rows, between columns) in elements: transposed, sliced, reversed and Fortran inputs are all
the same thing here.  What lies beyond the edge is packed as zero, so that tiles need no edge case.
"""

from __future__ import annotations

from mmlfast.kernels._jit import kernel
from mmlfast.kernels._simd import TILE_ROWS, TILE_VECTORS, copy_vectors, lanes, load, store


@kernel
def pack_rows(A, a0, strides, n_rows, depth, packed):
    """Panels of TILE_ROWS rows of A (n_rows × depth), the last one filled up with zeros."""
    row_stride, column_stride = strides
    zero = packed.dtype.type(0)
    for first in range(0, n_rows, TILE_ROWS):
        out = first * depth
        at = a0 + first * row_stride
        height = min(TILE_ROWS, n_rows - first)
        if height == TILE_ROWS:
            for _ in range(depth):
                for r in range(TILE_ROWS):
                    store(packed, out + r, load(A, at + r * row_stride))
                out += TILE_ROWS
                at += column_stride
        else:
            for _ in range(depth):
                for r in range(TILE_ROWS):
                    value = load(A, at + r * row_stride) if r < height else zero
                    store(packed, out + r, value)
                out += TILE_ROWS
                at += column_stride


@kernel
def pack_columns(B, b0, strides, depth, n_columns, packed):
    """Panels of TILE_VECTORS vectors of columns of B (depth × n_columns), the last filled up."""
    row_stride, column_stride = strides
    width = TILE_VECTORS * lanes(packed)
    zero = packed.dtype.type(0)
    for first in range(0, n_columns, width):
        out = first * depth
        at = b0 + first * column_stride
        valid = min(width, n_columns - first)
        if valid == width and column_stride == 1:
            for k in range(depth):
                copy_vectors(TILE_VECTORS, B, at + k * row_stride, packed, out + k * width)
        else:
            for _ in range(depth):
                for j in range(valid):
                    store(packed, out + j, load(B, at + j * column_stride))
                for j in range(valid, width):
                    store(packed, out + j, zero)
                out += width
                at += row_stride
