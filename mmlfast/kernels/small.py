"""Products of many small matrices, each too small to be worth packing.

    C_i = A_i · B_i        A_i (m, k), B_i (k, n), C_i (m, n)   for i of lo … hi − 1

B_i and C_i lie by rows with unit column stride, A_i anyhow; a matrix is found through its offset.
From 8 × 8 float64 on the products run at the speed of memory: a plain c = a + b over the same
arrays takes as long.  Prefetching the next matrices won nothing; storing past the caches won 15 %
at 16 × 16 and 20 % at 32 × 32 once C is larger than what the caches keep.
"""

from __future__ import annotations

from mmlfast.kernels._jit import kernel
from mmlfast.kernels._simd import TILE_ROWS, lanes
from mmlfast.kernels._simd_small import SMALL_VECTORS, small_tile

# Up to this many rows, columns and terms a product runs unpacked: in cache 83 GFLOP/s against 58
# packed at 48 × 48, 77 against 53 at 64 × 64, even at 96 × 96.
SMALL = 64


@kernel
def multiply_each(A, a_at, a_strides, B, b_at, b_row, C, c_at, c_row, shape, span, streamed):
    """C_i = A_i·B_i for span[0] ≤ i < span[1]; `*_at` are the matrices' offsets; C_i overwritten.

    shape = (m, n, k), the same for all.  With `streamed` every row of every C_i begins on a
    multiple of STREAM_ALIGNMENT bytes.
    """
    for i in range(span[0], span[1]):
        multiply_one(A, a_at[i], a_strides, B, b_at[i], b_row, C, c_at[i], c_row, shape, streamed)


@kernel
def multiply_one(A, a0, a_strides, B, b0, b_row, C, c0, c_row, shape, streamed):
    """One product, in tiles of TILE_ROWS rows and then of 4, 2 and 1; C is overwritten."""
    m, n, k = shape
    a_row, a_column = a_strides
    width = SMALL_VECTORS * lanes(C)
    for j in range(0, n, width):
        columns = min(width, n - j)
        vectors = (columns + lanes(C) - 1) // lanes(C)
        valid = columns - (vectors - 1) * lanes(C)
        b = b0 + j
        i = 0
        while i < m:
            a, c, left = a0 + i * a_row, c0 + i * c_row + j, m - i
            # A literal number of rows: it is the size of the register tile.
            if left >= TILE_ROWS:
                small_tile(
                    TILE_ROWS,
                    vectors, valid, streamed, A, a, a_row, a_column, B, b, b_row, C, c, c_row, k,
                )  # fmt: skip
                i += TILE_ROWS
            elif left >= 4:
                small_tile(
                    4,
                    vectors, valid, streamed, A, a, a_row, a_column, B, b, b_row, C, c, c_row, k,
                )  # fmt: skip
                i += 4
            elif left >= 2:
                small_tile(
                    2,
                    vectors, valid, streamed, A, a, a_row, a_column, B, b, b_row, C, c, c_row, k,
                )  # fmt: skip
                i += 2
            else:
                small_tile(
                    1,
                    vectors, valid, streamed, A, a, a_row, a_column, B, b, b_row, C, c, c_row, k,
                )  # fmt: skip
                i += 1
