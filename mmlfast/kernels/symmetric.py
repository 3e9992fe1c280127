"""A symmetric matrix times vectors, reading the lower triangle alone.

    y_i = Σ_{j<i} a_ij x_j + a_ii x_i,      y_j += a_ij x_i   for j < i

Each element below the diagonal is read once and used twice: where the product is bound by reading
the matrix it takes half the time.  Rows lo … hi − 1 add to y_0 … y_{hi−1} only, so ranges of rows
of equal area are shared out with a y of their own each, and added in order: see `triangle_cuts`.

The matrix is an array taken as base address, with the elements of a row side by side and `stride`
elements between rows.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types

from mmlfast.kernels._jit import kernel, literal_intrinsic
from mmlfast.kernels._simd import (
    _ARM,
    LANE_BYTES,
    _address,
    _constant,
    _counted_loop,
    _lanes,
    _load_vector,
    _multiply_add,
    _splat,
    _store_vector,
    load,
)
from mmlfast.kernels.crew import WHAT, finish, opened, take

# Bytes of a row of a block of vectors: one cache line, 8 float64 or 16 float32.
BLOCK_BYTES = 64
VECTORS = BLOCK_BYTES // LANE_BYTES
# Rows of the register tile: two registers for each row and vector, and three more for each vector.
ROWS = 8 if LANE_BYTES == 64 else 2 if LANE_BYTES == 32 or _ARM else 1
ROWS_PER_PART = 300
MOST_PARTS = 32
# Rows and columns of the squares in which a matrix is compared with its transpose.
SQUARE = 32


def block_width(dtype):
    """Vectors of a block."""
    return BLOCK_BYTES // dtype.itemsize


def triangle_cuts(n):
    """Cut the rows of a lower triangle into ranges of nearly equal area: 0 = c₀ < … < c_p = n.

    They depend on n alone, so that any number of threads gives the same bits.  To add up the parts
    costs a few per cent of the product at 500 rows a part.
    """
    parts = min(max(n // ROWS_PER_PART, 1), MOST_PARTS)
    cuts = [round(n * math.sqrt(i / parts)) // 8 * 8 for i in range(parts)]
    return [*cuts, n]


@kernel
def times_vector(A, stride, rows, x, y):
    """y[:hi] = the share of rows = (lo, hi) in A x;  y is overwritten.

    Four rows at a time load and store y_j once: one row takes 1.09 times as long, eight 1.00; four
    of the upper triangle, whose ends are ragged on the left, 1.40.
    """
    lo, hi = rows
    y[:hi] = 0
    i = lo
    while i + 4 <= hi:
        a0 = i * stride
        a1, a2, a3 = a0 + stride, a0 + 2 * stride, a0 + 3 * stride
        x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
        s0 = s1 = s2 = s3 = y.dtype.type(0)
        for j in range(i):
            xj = x[j]
            b0, b1, b2, b3 = load(A, a0 + j), load(A, a1 + j), load(A, a2 + j), load(A, a3 + j)
            s0 += b0 * xj
            s1 += b1 * xj
            s2 += b2 * xj
            s3 += b3 * xj
            y[j] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
        y[i] += s0
        y[i + 1] += s1
        y[i + 2] += s2
        y[i + 3] += s3
        for r in range(i, i + 4):
            _one_row(A, r * stride, i, r, x, y)
        i += 4
    for r in range(i, hi):
        _one_row(A, r * stride, 0, r, x, y)


@kernel
def _one_row(A, a0, first, i, x, y):
    """Row i from column `first` up to its diagonal."""
    total = load(A, a0 + i) * x[i]
    for j in range(first, i):
        a = load(A, a0 + j)
        total += a * x[j]
        y[j] += a * x[i]
    y[i] += total


@literal_intrinsic
def _tile(typing_context, rows, A, a0, stride, V, v0, vj0, Y, y0, yj0, count):
    """Y_i += Σ_j a_ij V_j  and  Y_j += Σ_i a_ij V_i   for `rows` rows i and `count` columns j.

    a_ij is read at a0 + i·stride + j, V_i at v0, Y_i at y0, V_j at vj0, Y_j at yj0, each followed
    by the next; the ranges of i and j have no index in common.  V_i and the sums over j stay in
    registers; each a_ij is spread over a register once and used twice.
    """
    height = rows.literal_value

    def generate(context, builder, signature, arguments):
        _, a, a0, stride, v, v0, vj0, y, y0, yj0, count = arguments
        vector = ir.VectorType(context.get_data_type(V.dtype), _lanes(V.dtype))
        width = VECTORS * vector.count
        steps = [k * vector.count for k in range(VECTORS)]
        cells = [(r * VECTORS + k, r * width + steps[k])
                 for r in range(height) for k in range(VECTORS)]  # fmt: skip
        v_rows, y_rows = (_address(context, builder, *at) for at in ((V, v, v0), (Y, y, y0)))
        kept = [_load_vector(builder, v_rows, vector, offset) for _, offset in cells]
        a_rows = [_address(context, builder, A, a, a0)]
        for _ in range(height - 1):
            a_rows.append(builder.gep(a_rows[-1], [stride]))

        def column(values):
            sums, (j, v_j, y_j) = values[: len(cells)], values[len(cells) :]
            right = [_load_vector(builder, v_j, vector, k) for k in steps]
            below = [_load_vector(builder, y_j, vector, k) for k in steps]
            for r in range(height):
                factor = _splat(builder, vector, builder.load(builder.gep(a_rows[r], [j])))
                for k in range(VECTORS):
                    at = r * VECTORS + k
                    sums[at] = _multiply_add(builder, vector, factor, right[k], sums[at])
                    below[k] = _multiply_add(builder, vector, factor, kept[at], below[k])
            for k, value in zip(steps, below, strict=True):
                _store_vector(builder, value, y_j, k)
            pointers = [builder.gep(p, [_constant(width)]) for p in (v_j, y_j)]
            return [*sums, builder.add(j, _constant(1)), *pointers]

        zeros = [ir.Constant(vector, [0.0] * vector.count)] * len(cells)
        v_j, y_j = (_address(context, builder, *at) for at in ((V, v, vj0), (Y, y, yj0)))
        sums = _counted_loop(builder, count, [*zeros, _constant(0), v_j, y_j], column)
        for at, offset in cells:
            total = builder.fadd(sums[at], _load_vector(builder, y_rows, vector, offset))
            _store_vector(builder, total, y_rows, offset)
        return context.get_dummy_value()

    index = types.intp
    return (
        types.void(rows, A, index, index, V, index, index, Y, index, index, index),
        generate,
    )


@kernel
def times_block(A, stride, rows, V, Y):
    """Y[:hi] = the share of rows = (lo, hi) in A V;  V and Y (n, block_width), C-contiguous.

    Y is overwritten.  V and Y are read through all their rows for each tile: in column blocks of
    128 … 512 that stay in L1 it takes 1.0 … 1.2 times as long, from A packed tile by tile 0.97.
    """
    lo, hi = rows
    width = V.shape[1]
    Y[:hi] = 0
    i = lo
    while i + ROWS <= hi:
        _tile(ROWS, A, i * stride, stride, V, i * width, 0, Y, i * width, 0, i)
        for r in range(i, i + ROWS):
            _one_block_row(A, r * stride, i, r, V, Y)
        i += ROWS
    for r in range(i, hi):
        _one_block_row(A, r * stride, 0, r, V, Y)


@kernel
def _one_block_row(A, a0, first, i, V, Y):
    """Row i from column `first` up to its diagonal."""
    width = V.shape[1]
    at, start = i * width, first * width
    _tile(1, A, a0 + first, 0, V, at, start, Y, at, start, i - first)
    diagonal = load(A, a0 + i)
    for k in range(width):
        Y[i, k] += diagonal * V[i, k]


@kernel
def add_parts(parts, cuts, width, y):
    """y = Σ_p parts[p], in order;  part p holds rows 0 … cuts[p + 1] − 1 of `width` numbers, flat.

    y is overwritten.
    """
    y[:] = 0
    for p in range(parts.shape[0]):
        part = parts[p]
        for j in range(cuts[p + 1] * width):
            y[j] += part[j]


VECTOR, BLOCK = 1, 2  # what a section is


@kernel
def work(control, patience, A, stride, cuts, vector, block, parts):
    """Parts of sections VECTOR and BLOCK until none has opened within `patience` looks.

    parts = (vector_parts, block_parts), each with a row for a range of rows.
    """
    n = vector.shape[0]
    while opened(control, patience):
        p = take(control)
        while p >= 0:
            rows = (cuts[p], cuts[p + 1])
            if control[WHAT] == VECTOR:
                times_vector(A, stride, rows, vector, parts[0][p])
            else:
                times_block(A, stride, rows, block, parts[1][p].reshape(n, block.shape[1]))
            finish(control)
            p = take(control)


@kernel
def triangle_squares(A, strides, rows, square, sums):
    """sums = [Σ a_ij² + a_ji²,  Σ (a_ij − a_ji)²] over i in rows = (lo, hi) and j ≤ i, in float64.

    The diagonal counts twice in the first.  `square` (SQUARE, SQUARE) of A's dtype is scratch: what
    lies above the diagonal is turned over in it, so that both sums run along rows.  A NaN or Inf in
    A makes the first sum NaN or Inf.
    """
    row, column = strides
    lo, hi = rows
    total, difference = 0.0, 0.0
    for first in range(lo, hi, SQUARE):
        last = min(first + SQUARE, hi)
        for left in range(0, last, SQUARE):
            for j in range(left, min(left + SQUARE, last)):
                above = j * row + first * column
                for i in range(last - first):
                    square[i, j - left] = load(A, above + i * column)
            for i in range(first, last):
                below = i * row + left * column
                mirrored = square[i - first]
                for j in range(min(SQUARE, i + 1 - left)):
                    a, b = np.float64(load(A, below + j * column)), np.float64(mirrored[j])
                    total += a * a + b * b
                    difference += (a - b) * (a - b)
    sums[0], sums[1] = total, difference
