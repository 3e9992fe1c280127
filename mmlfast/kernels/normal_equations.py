"""Normal equations of small problems side by side: G = AᵀB, G = UᵀDU, x = U⁻¹ t.

A group of `lanes` problems lies side by side (`interleave`), each number of it a vector.  G is the
upper triangle of a symmetric p × p matrix with further columns beside it, right-hand sides, rows
`step` numbers apart.  U has ones on its diagonal; the reciprocals of D are kept, and where a pivot
is lost in rounding its reciprocal is 0 instead: so a column that depends on those before it takes
no part, in its lane alone.
"""

from __future__ import annotations

from mmlfast.kernels._jit import inlined_kernel, ordered_kernel
from mmlfast.kernels._simd import lanes
from mmlfast.kernels._vectors import read, select, splat, write

TILE = 4


def padded(columns):
    """Columns in whole tiles."""
    return -(-columns // TILE) * TILE


@inlined_kernel
def read_four(S, at):
    """Four vectors side by side."""
    width = lanes(S)
    first, second = read(S, at), read(S, at + width)
    return first, second, read(S, at + 2 * width), read(S, at + 3 * width)


@inlined_kernel
def write_four(S, at, values):
    """Four vectors side by side."""
    width = lanes(S)
    write(S, at, values[0])
    write(S, at + width, values[1])
    write(S, at + 2 * width, values[2])
    write(S, at + 3 * width, values[3])


@inlined_kernel
def add_four(sums, x, values):
    """sums + x·values."""
    first, second = sums[0] + x * values[0], sums[1] + x * values[1]
    return first, second, sums[2] + x * values[2], sums[3] + x * values[3]


@ordered_kernel
def add_products(S, places, steps, columns, rows, first):
    """G += Σ_i a_i b_iᵀ over rows i, in the tiles from column `first` on, not below the diagonal.

    places = (A, B, G), steps from row to row, both in numbers; columns = (of A, of B), in vectors:
    whole tiles of them are read and written.
    """  # fmt: skip
    width = lanes(S)
    for j in range(0, columns[0], TILE):
        for k in range(max(j, first), columns[1], TILE):
            a, b = places[0] + j * width, places[1] + k * width
            _add_tile(S, (a, b, places[2] + j * steps[2] + k * width), steps, rows)


@ordered_kernel
def _add_tile(S, places, steps, rows):
    """Sixteen sums stay in registers: eight loads for sixteen multiply-adds."""
    width = lanes(S)
    a, b, g0 = places
    g1, g2, g3 = g0 + steps[2], g0 + 2 * steps[2], g0 + 3 * steps[2]
    s0, s1, s2, s3 = read_four(S, g0), read_four(S, g1), read_four(S, g2), read_four(S, g3)
    for _ in range(rows):
        values = read_four(S, b)
        s0 = add_four(s0, read(S, a), values)
        s1 = add_four(s1, read(S, a + width), values)
        s2 = add_four(s2, read(S, a + 2 * width), values)
        s3 = add_four(s3, read(S, a + 3 * width), values)
        a += steps[0]
        b += steps[1]
    write_four(S, g0, s0)
    write_four(S, g1, s1)
    write_four(S, g2, s2)
    write_four(S, g3, s3)


@ordered_kernel
def factor(S, g, step, p, columns, inverses, tolerance):
    """G → U and, in columns p … columns − 1, t = D⁻¹U⁻ᵀ b; 1/d_k, or 0, to `inverses`.

    A pivot is lost if it is at most `tolerance` times the diagonal element it comes from.  Returns
    how many were, for each lane.
    """
    width = lanes(S)
    for k in range(p):
        write(S, inverses + k * width, read(S, g + k * (step + width)))
    lost = splat(S, 0)
    for k in range(p):
        top = g + k * step
        pivot = read(S, top + k * width)
        kept = pivot > tolerance * read(S, inverses + k * width)
        inverse = select(kept, 1.0 / pivot, 0.0)
        lost = lost + select(kept, 0.0, 1.0)
        write(S, inverses + k * width, inverse)
        for i in range(k + 1, p):
            u = read(S, top + i * width) * inverse
            row = g + i * step
            for j in range(i * width, columns * width, width):
                write(S, row + j, read(S, row + j) - u * read(S, top + j))
        for j in range((k + 1) * width, columns * width, width):
            write(S, top + j, read(S, top + j) * inverse)
    return lost


@ordered_kernel
def substitute(S, u, step, p, t, t_step, x):
    """x = U⁻¹ t, t_step numbers between the elements of t; x and t may be the same."""
    width = lanes(S)
    for i in range(p - 1, -1, -1):
        value = read(S, t + i * t_step)
        for j in range(i + 1, p):
            value = value - read(S, u + i * step + j * width) * read(S, x + j * width)
        write(S, x + i * width, value)


@ordered_kernel
def inverse_form(S, u, step, p, inverses, v, first):
    """vᵀ (UᵀDU)⁻¹ v for a v that is 0 before element `first`: the variance of vᵀx.

    v is overwritten by U⁻ᵀ v.
    """
    width = lanes(S)
    total = splat(S, 0)
    for k in range(first, p):
        value = read(S, v + k * width)
        for j in range(first, k):
            value = value - read(S, v + j * width) * read(S, u + j * step + k * width)
        write(S, v + k * width, value)
        total = total + value * value * read(S, inverses + k * width)
    return total
