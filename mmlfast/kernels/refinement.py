"""Least squares to full precision: iterative refinement of r + Ax = b, Aᵀr = g, given A ≈ QU.

    f = b − r − Ax,   g' = g − Aᵀr              in twice the precision
    h = U⁻ᵀg',   t_k = (q_kᵀf − h_k)/d_k,   f ← f − t_k q_k,   x ← x + U⁻¹t,   r ← r + f

Björck, Iterative refinement of linear least squares solutions II, BIT 8, 1968.  With g = 0 that is
the solution and the residual; with b = 0 and g = e_j, x is −(AᵀA)⁻¹ e_j, so that the variances of
the coefficients gain the same digits.  All is done for a group of panels side by side.
"""

from __future__ import annotations

from mmlfast.kernels._jit import inlined_kernel, ordered_kernel
from mmlfast.kernels._simd import lanes
from mmlfast.kernels._vector_bits import product_error
from mmlfast.kernels._vectors import any_lane, both, read, select, splat, write
from mmlfast.kernels.normal_equations import substitute

MOST_STEPS = 20


@inlined_kernel
def add_doubled(total, x):
    """(hi, lo) + x: h + x = s + ((h − (s − t)) + (x − t)) exactly, for t = s − h.

    Ogita, Rump and Oishi, Accurate sum and dot product, SIAM J. Sci. Comput. 26, 2005.
    """
    hi, lo = total
    s = hi + x
    t = s - hi
    return s, lo + ((hi - (s - t)) + (x - t))


@inlined_kernel
def add_product(total, a, b):
    """(hi, lo) + a·b."""
    product = a * b
    hi, lo = add_doubled(total, product)
    return hi, lo + product_error(a, b, product)


@ordered_kernel
def refine(S, where, factors, unit, x, wanted):
    """Solve for the y beside A and g = 0, or, with unit ≥ 0, for y = 0 and g = e_unit.

    where = (Q, A, step, rows, p): panels of p columns and y, whose y in Q is overwritten; factors
    as `orthogonalise` left them.  x gets the p numbers of the solution, p more of scratch, and r.
    A lane ends when its correction no longer halves or is below rounding, in units of the columns'
    lengths.  Returns the corrections of each lane of `wanted`.
    """
    Q, _, step, rows, p = where
    U, _, inverses, lengths = factors
    width = lanes(S)
    t, r = x + p * width, x + 2 * p * width
    for at in range(x, r + rows * width, width):
        write(S, at, splat(S, 0))
    n_iter, before = splat(S, 0), splat(S, float("inf"))
    active = wanted
    for _ in range(MOST_STEPS):
        _residuals(S, where, unit, x, r, t)
        for k in range(p):
            h = read(S, t + k * width)
            for l in range(k):
                h = h - read(S, U + l * step + k * width) * read(S, t + l * width)
            write(S, t + k * width, h)
        for k in range(p):
            total = 0.0 - read(S, t + k * width)
            for i in range(rows):
                at = Q + i * step
                total = total + read(S, at + k * width) * read(S, at + p * width)
            total = total * read(S, inverses + k * width)
            write(S, t + k * width, total)
            for i in range(rows):
                at = Q + i * step
                f = read(S, at + p * width) - total * read(S, at + k * width)
                write(S, at + p * width, f)
        substitute(S, U, step, p, t, width, t)
        change, size = splat(S, 0), splat(S, 0)
        for k in range(0, p * width, width):
            norm = read(S, lengths + k)
            change = change + norm * read(S, t + k) * read(S, t + k)
            size = size + norm * read(S, x + k) * read(S, x + k)
        active = both(active, change < 0.25 * before)
        n_iter = n_iter + select(active, 1.0, 0.0)
        for k in range(0, p * width, width):
            write(S, x + k, read(S, x + k) + select(active, read(S, t + k), 0.0))
        for i in range(rows):
            f = select(active, read(S, Q + i * step + p * width), 0.0)
            write(S, r + i * width, read(S, r + i * width) + f)
        active = both(active, change > 1e-32 * size)
        before = change
        if not any_lane(active):
            break
    return n_iter


@ordered_kernel
def _residuals(S, where, unit, x, r, g):
    """f = b − r − Ax to the y of Q, and g − Aᵀr, summed in twice the precision."""
    Q, A, step, rows, p = where
    width = lanes(S)
    for i in range(rows):
        at = A + i * step
        b = read(S, at + p * width) if unit < 0 else splat(S, 0)
        total = add_doubled((b, splat(S, 0)), 0.0 - read(S, r + i * width))
        for j in range(0, p * width, width):
            total = add_product(total, read(S, at + j), 0.0 - read(S, x + j))
        write(S, Q + i * step + p * width, total[0] + total[1])
    for k in range(p):
        total = splat(S, 1.0 if k == unit else 0.0), splat(S, 0)
        for i in range(rows):
            a = read(S, A + i * step + k * width)
            total = add_product(total, a, 0.0 - read(S, r + i * width))
        write(S, g + k * width, total[0] + total[1])
