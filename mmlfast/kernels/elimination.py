"""Gaussian elimination with partial pivoting of many small matrices at once.

    P A = L U,    X = U⁻¹ L⁻¹ P B,    det A = ± Π u_kk

A group of `lanes` matrices lies side by side (`interleave`), each lane with its own pivots: the row
of the largest |a_ik| is found by comparing and selecting, and rows change places by selecting too,
while they are updated.  The workspace S of a group holds, in vectors,

    [A | B | 0], n rows of n + m + 3: overwritten by U and, below it, the multipliers, and by X
    1/u_kk and the numbers 0 … n − 1, n each
    Uᵀ w and Σ_i |u_ij|, n each, for an estimate of the condition

Factors 1/u_kk are multiplied by: a division takes 16 times as long.  Columns are worked on by four;
where that goes over the end of a row it meets the three zeros.
"""

from __future__ import annotations

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes
from mmlfast.kernels._vector_bits import exponent, significand
from mmlfast.kernels._vectors import (
    absolute,
    read,
    select,
    splat,
    write,
)
from mmlfast.kernels.interleave import deinterleave, interleave, spread

# Rows of the report that `solve_groups` gives on each matrix.
BAD_INPUT, ZERO_PIVOT, CONDITION = range(3)

PADDING = 3


def workspace_size(n, m):
    """Vectors that a group of n × n systems with m right-hand sides needs."""
    return n * (n + m + PADDING + 4) + n * max(n, m)


@ordered_kernel
def prepare(S, n, m):
    """Write the zeros and the numbers 0 … n − 1 to their places in S, once for all groups."""
    width = lanes(S)
    row = n + m + PADDING
    for i in range(n):
        write(S, (n * (row + 1) + i) * width, splat(S, i))
        for j in range(n + m, row):
            write(S, (i * row + j) * width, splat(S, 0))


@ordered_kernel
def eliminate(S, n, m):
    """[A | B] → [L, U | L⁻¹ P B] in S.

    Returns det P, the first k with u_kk = 0 (−1 for none), and a lower bound of ‖U‖₁‖U⁻¹‖₁, which
    is as a rule near the condition number of A.
    """
    width = lanes(S)
    row = n + m + PADDING
    step = row * width
    inverses, numbers = n * step, n * step + n * width
    growth = numbers + n * width
    for at in range(growth, growth + 2 * n * width, width):
        write(S, at, splat(S, 0))
    sign, zero_pivot = splat(S, 1), splat(S, -1)
    norm, largest_w = splat(S, 0), splat(S, 0)
    for k in range(n):
        corner = k * step + k * width
        top = read(S, corner)
        pivot, largest, chosen = top, absolute(top), splat(S, 0)
        for i in range(1, n - k):
            value = read(S, corner + i * step)
            larger = absolute(value) > largest
            largest = select(larger, absolute(value), largest)
            chosen = select(larger, read(S, numbers + i * width), chosen)
            pivot = select(larger, value, pivot)
        inverse = 1.0 / pivot
        write(S, corner, pivot)
        write(S, inverses + k * width, inverse)
        for i in range(1, n - k):
            at = corner + i * step
            here = chosen == read(S, numbers + i * width)
            write(S, at, select(here, top, read(S, at)) * inverse)
        for j in range(k + 1, n + m, 4):
            update_columns(S, corner, (j - k) * width, step, n - k, chosen, numbers)
        column, w = grow(S, k, n, corner, growth, largest, inverse)
        norm = select(column > norm, column, norm)
        largest_w = select(w > largest_w, w, largest_w)
        sign = select(chosen > 0.0, 0.0 - sign, sign)
        first_zero = select(largest == 0.0, read(S, numbers + k * width), -1.0)
        zero_pivot = select(zero_pivot < 0.0, first_zero, zero_pivot)
    return sign, zero_pivot, norm * largest_w


@ordered_kernel
def grow(S, k, n, corner, growth, pivot_size, inverse):
    """Σ_i |u_ik| and |w_k| for Uᵀ w = ±1, with the sign that makes w larger.

    ‖U⁻¹‖₁ ≥ ‖w‖∞: Cline, Moler, Stewart and Wilkinson, An estimate for the condition number of a
    matrix, SIAM J. Numer. Anal. 16, 1979.  What row k of U adds to later ones is added here, while
    it is at hand: n numbers of Uᵀ w from `growth`, then n sums.
    """
    width = lanes(S)
    sums = growth + n * width
    total = read(S, growth + k * width)
    w = select(total < 0.0, 1.0 - total, -1.0 - total) * inverse
    for j in range(k + 1, n):
        value = read(S, corner + (j - k) * width)
        at = j * width
        write(S, growth + at, read(S, growth + at) + w * value)
        write(S, sums + at, read(S, sums + at) + absolute(value))
    return read(S, sums + k * width) + pivot_size, absolute(w)


@ordered_kernel
def update_columns(S, corner, column, step, n, chosen, numbers):
    """Swap row `chosen` of four columns to the top, subtract multiples of it from the others.

    The multipliers stand in the rows below `corner`, `step` apart, the columns `column` beside it.
    """
    # Straight code for each number of rows up to 8, masks in registers, gains 10 %: not worth it.
    width = lanes(S)
    at = corner + column
    t0, t1 = read(S, at), read(S, at + width)
    t2, t3 = read(S, at + 2 * width), read(S, at + 3 * width)
    p0, p1, p2, p3 = t0, t1, t2, t3
    for i in range(1, n):
        o = at + i * step
        here = chosen == read(S, numbers + i * width)
        p0 = select(here, read(S, o), p0)
        p1 = select(here, read(S, o + width), p1)
        p2 = select(here, read(S, o + 2 * width), p2)
        p3 = select(here, read(S, o + 3 * width), p3)
    write(S, at, p0)
    write(S, at + width, p1)
    write(S, at + 2 * width, p2)
    write(S, at + 3 * width, p3)
    for i in range(1, n):
        o = at + i * step
        here = chosen == read(S, numbers + i * width)
        factor = read(S, corner + i * step)
        write(S, o, select(here, t0, read(S, o)) - factor * p0)
        write(S, o + width, select(here, t1, read(S, o + width)) - factor * p1)
        write(S, o + 2 * width, select(here, t2, read(S, o + 2 * width)) - factor * p2)
        write(S, o + 3 * width, select(here, t3, read(S, o + 3 * width)) - factor * p3)


@ordered_kernel
def substitute_back(S, n, m, X0):
    """X = U⁻¹ (L⁻¹ P B), to the n × m vectors at X0.  Returns NaN where X is not finite, else 0."""
    width = lanes(S)
    step = (n + m + PADDING) * width
    inverses = n * step
    total = splat(S, 0)
    for j in range(m):
        for i in range(n - 1, -1, -1):
            x = read(S, i * step + (n + j) * width)
            for k in range(i + 1, n):
                x = x - read(S, i * step + k * width) * read(S, X0 + (k * m + j) * width)
            x = x * read(S, inverses + i * width)
            write(S, X0 + (i * m + j) * width, x)
            total = total + 0.0 * x
    return total


@ordered_kernel
def solve_groups(A, B, b_stride, X, sizes, groups, S, report):
    """X[l] = A[l]⁻¹ B[l] for the groups (first, end) of `count` matrices in all.

    A, B and X are base addresses of C-contiguous stacks, sizes = (n, m, count); with b_stride 0 all
    matrices share one B.  report (3, whole groups of matrices): NaN where A or B is not finite; the
    row of the first pivot that is exactly zero, or −1; a lower bound of the condition of U, Inf or
    NaN where a pivot is zero or A, B or X is not finite.  S is scratch of `workspace_size` vectors.
    """
    n, m, count = sizes
    width = lanes(S)
    step = (n + m + PADDING) * width
    space = n * (step + 4 * width)
    prepare(S, n, m)
    for group in range(groups[0], groups[1]):
        first = group * width
        present = min(width, count - first)
        interleave(A, first * n * n, n * n, n * n, present, S, space)
        bad = spread(S, space, n, n, 0, step)
        interleave(B, first * b_stride, b_stride, n * m, present, S, space)
        bad = bad + spread(S, space, n, m, n * width, step)
        _, zero_pivot, condition = eliminate(S, n, m)
        overflow = substitute_back(S, n, m, space)
        write(report[BAD_INPUT], first, bad)
        write(report[ZERO_PIVOT], first, zero_pivot)
        write(report[CONDITION], first, condition + overflow + bad)
        deinterleave(S, space, n * m, present, X, first * n * m, n * m)


@ordered_kernel
def determinant_groups(A, sizes, groups, S, report):
    """det A[l] = report[1, l] · 2^report[2, l] for the groups (first, end), without overflow.

    report[0] is NaN where A is not finite, report[3] a lower bound of the condition of U; sizes =
    (n, count).  The significand is the product of n numbers from 1 to 2, so n must be below 100 in
    float32.
    """
    n, count = sizes
    width = lanes(S)
    lift = 2.0**60
    # The smallest number whose exponent field is not zero.
    normal = 1.1754943508222875e-38 if S.itemsize == 4 else 2.2250738585072014e-308
    step = (n + PADDING) * width
    space = n * (step + 4 * width)
    prepare(S, n, 0)
    for group in range(groups[0], groups[1]):
        first = group * width
        present = min(width, count - first)
        interleave(A, first * n * n, n * n, n * n, present, S, space)
        write(report[0], first, spread(S, space, n, n, 0, step))
        product, zero_pivot, condition = eliminate(S, n, 0)
        power = splat(S, 0)
        for k in range(n):
            pivot = read(S, k * (step + width))
            small = absolute(pivot) < normal
            shifted = select(small, pivot * lift, pivot)
            power = power + exponent(shifted) - select(small, 60.0, 0.0)
            # The bits of Inf and NaN say nothing: they give NaN.
            product = product * (significand(shifted) + 0.0 * pivot)
        # What follows a pivot of zero has been divided by it.
        product = select(zero_pivot < 0.0, product, 0.0)
        write(report[1], first, product)
        write(report[2], first, select(zero_pivot < 0.0, power, 0.0))
        write(report[3], first, condition)
