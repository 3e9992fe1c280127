"""Modified Gram–Schmidt of many small panels at once: A = QU, QᵀQ = D, with y beside A.

    u_kj = q_kᵀ a_j / d_k,   a_j ← a_j − u_kj q_k,   d_k = q_kᵀ q_k

A group of `lanes` panels lies side by side, each number of it a vector; a row holds p columns of A
and y, rows are `step` numbers apart.  Without square roots, and with y taken along as a column, the
solution x = U⁻¹ u_y is as accurate as Householder's, and y ends as the residual (Björck, Solving
linear least squares problems by Gram–Schmidt orthogonalization, BIT 7, 1967).  A column that
depends on those before it drops out of its lane by u_k = 0, which takes no pivoting.
"""

from __future__ import annotations

from mmlfast.kernels._jit import inlined_kernel, ordered_kernel
from mmlfast.kernels._simd import lanes
from mmlfast.kernels._vectors import read, select, splat, write
from mmlfast.kernels.normal_equations import add_four, read_four, write_four


@ordered_kernel
def orthogonalise(S, panel, shape, factors, tolerance):
    """A → Q in the panel = (place, step), y → residual, u_kj for j > k to U, 1/d_k or 0.

    shape = (rows, first, end, p): of the p columns those from `first` to `end`, where the ones
    before `first` are done.  factors = (U, its step, place of 1/d_k, of lengths); row p of U ends
    as the sum of squares of the residual.  The squared lengths of the columns before and after go
    to `lengths`, p each; those before by Pythagoras, for d_k and Σ_{l<k} u_lk² d_l are at hand.  A
    column is lost if it keeps no more than `tolerance` of its squared length.  Returns how many
    were.
    """  # fmt: skip
    width = lanes(S)
    place, step = panel
    rows, first, end, p = shape
    U, u_step, inverses, lengths = factors
    lost = splat(S, 0)
    for k in range(first, end):
        top = U + k * u_step
        if k == 0:
            _products(S, place, step, rows, p + 1, top)
        square = read(S, top + k * width)
        before = square
        for l in range(k):
            u = read(S, U + l * u_step + k * width)
            before = before + u * u * read(S, lengths + (p + l) * width)
        kept = square > tolerance * before
        inverse = select(kept, 1.0 / square, 0.0)
        lost = lost + select(kept, 0.0, 1.0)
        write(S, lengths + k * width, before)
        write(S, lengths + (p + k) * width, square)
        write(S, inverses + k * width, inverse)
        for j in range((k + 1) * width, (p + 1) * width, width):
            write(S, top + j, read(S, top + j) * inverse)
        at, sums = top + (k + 1) * width, top + u_step + (k + 1) * width
        _subtract(S, place + k * width, step, rows, p - k, at, sums)
    return lost


@ordered_kernel
def _products(S, a, step, rows, columns, sums):
    """sums[j] = Σ_i a_i0 a_ij."""
    width = lanes(S)
    zero = splat(S, 0)
    for j in range(0, columns - 3, 4):
        total, at = (zero, zero, zero, zero), a
        for _ in range(rows):
            total = add_four(total, read(S, at), read_four(S, at + j * width))
            at += step
        write_four(S, sums + j * width, total)
    for j in range(columns - columns % 4, columns):
        value, at = zero, a
        for _ in range(rows):
            value = value + read(S, at) * read(S, at + j * width)
            at += step
        write(S, sums + j * width, value)


@ordered_kernel
def _subtract(S, q, step, rows, columns, u, sums):
    """a_j −= u_j q for the `columns` after q, and sums[j] = Σ_i a_i1 a_ij, a_1 the first of them.

    What the next column needs is summed while this one's share is taken away, and up to five
    columns at a time: one read and one write of each.
    """
    width = lanes(S)
    others = columns - 1
    j = min(others, 4) * width + width
    if others == 0:
        _sweep(S, q, step, rows, width, u, sums, 0, True)
    elif others == 1:
        _sweep(S, q, step, rows, width, u, sums, 1, True)
    elif others == 2:
        _sweep(S, q, step, rows, width, u, sums, 2, True)
    elif others == 3:
        _sweep(S, q, step, rows, width, u, sums, 3, True)
    else:
        _sweep(S, q, step, rows, width, u, sums, 4, True)
    while j + 4 * width <= columns * width:
        _sweep(S, q, step, rows, j, u, sums, 4, False)
        j += 4 * width
    while j < columns * width:
        _sweep(S, q, step, rows, j, u, sums, 1, False)
        j += width


@inlined_kernel
def _reduced(S, at, negative, factor, lead, total):
    """a − u q at `at`, which it overwrites; total + lead·(a − u q)."""
    value = read(S, at) + negative * factor
    write(S, at, value)
    return total + lead * value


@inlined_kernel
def _sweep(S, q, step, rows, j, u, sums, others, first):
    """Up to four `others`, from j numbers after the first column on, and that itself if `first`.

    Both are literals, so that the sums are registers.
    """
    w = lanes(S)
    s0 = s1 = s2 = s3 = s4 = splat(S, 0)
    u0, u1, u2, u3, u4 = read(S, u), s0, s0, s0, s0
    if others > 0:
        u1 = read(S, u + j)
    if others > 1:
        u2 = read(S, u + j + w)
    if others > 2:
        u3 = read(S, u + j + 2 * w)
    if others > 3:
        u4 = read(S, u + j + 3 * w)
    for _ in range(rows):
        negative, lead, a = 0.0 - read(S, q), read(S, q + w), q + w + j
        if first:
            lead = lead + negative * u0
            write(S, q + w, lead)
            s0 = s0 + lead * lead
        if others > 0:
            s1 = _reduced(S, a, negative, u1, lead, s1)
        if others > 1:
            s2 = _reduced(S, a + w, negative, u2, lead, s2)
        if others > 2:
            s3 = _reduced(S, a + 2 * w, negative, u3, lead, s3)
        if others > 3:
            s4 = _reduced(S, a + 3 * w, negative, u4, lead, s4)
        q += step
    if first:
        write(S, sums, s0)
    if others > 0:
        write(S, sums + j, s1)
    if others > 1:
        write(S, sums + j + w, s2)
    if others > 2:
        write(S, sums + j + 2 * w, s3)
    if others > 3:
        write(S, sums + j + 3 * w, s4)
