"""Least squares of many small problems at once: min Σ w (y − b₀ − xᵀb)² + α ‖b‖².

A group of `lanes` problems lies side by side (`interleave`), each with its own rows that count:
those of weight 0 do not.  Row i of the panel holds, in vectors, √w_i·(1, x_i, y_i); with α > 0
there follow d rows √α·e_j.  Then b = U⁻¹ u_y from A = QU by `orthogonal_lanes`, or from AᵀA = UᵀDU
by `normal_equations`, or by gradient descent.  Where the condition asks for it, Q is used to refine
b and the standard errors, by `refinement`.
"""

from __future__ import annotations

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes
from mmlfast.kernels._vectors import any_lane, read, select, splat, sqrt, write
from mmlfast.kernels.interleave import interleave
from mmlfast.kernels.normal_equations import (
    TILE,
    add_products,
    factor,
    inverse_form,
    padded,
    substitute,
)
from mmlfast.kernels.orthogonal_lanes import orthogonalise
from mmlfast.kernels.refinement import refine

QR, CHOLESKY, GD = range(3)

# Rows of the report after p coefficients, the one of the ones first, and p standard errors.
RSS, TSS, LOST, BAD_INPUT, COUNT, N_ITER, GRADIENT = range(7)
REPORT = 7

# Rows put side by side at a time: the memory in between stays in the first cache.
LOAD_ROWS = 8
# A lane is refined if some column keeps less than a share 1/this of its squared length when all
# others are taken away: beyond 1e7, more than 10⁻⁹ of a coefficient may be wrong.
WELL_CONDITIONED = 1e5


def layout(n, d, ones, penalty, tiles):
    """Where a group keeps what it needs, in vectors, and how many vectors that is.

    (step from row to row, U and G, 1/d_k, lengths, x and what is made of it, scratch of the
    loading, a second panel).  With `tiles` a row has whole tiles after the ones, for G.
    """
    rows, p = n + (d if penalty else 0), d + ones
    step = ones + padded(d + 1) if tiles else p + 1
    U = rows * step
    inverses = U + (p + TILE) * step
    x = inverses + 3 * p
    spare = x + 3 * p + rows
    second = spare + LOAD_ROWS * d + 2 * n
    return (step, U, inverses, inverses + p, x, spare, second), second + rows * step


@ordered_kernel
def load_rows(data, first, present, sizes, S, panel, spare):
    """√w·(1, x, y) of the group's problems to the panel = (place, step).

    data = (X, y, w) and their strides from problem to problem, the last −1 for no weights; sizes =
    (n, d, 1 for a column of ones, problems).  Returns the number of rows with w > 0.
    """
    X, y, w, x_stride, y_stride, w_stride = data
    n, d, ones, _ = sizes
    place, step = panel
    width = lanes(S)
    y0 = spare + LOAD_ROWS * d * width
    w0 = y0 + n * width
    interleave(y, first * y_stride, y_stride, n, present, S, y0)
    if w_stride >= 0:
        interleave(w, first * w_stride, w_stride, n, present, S, w0)
    n_rows, one = splat(S, 0), splat(S, 1)
    for i in range(0, n, LOAD_ROWS):
        rows = min(LOAD_ROWS, n - i)
        interleave(X, first * x_stride + i * d, x_stride, rows * d, present, S, spare)
        for r in range(rows):
            at, source = place + (i + r) * step, spare + r * d * width
            value = read(S, y0 + (i + r) * width)
            if w_stride >= 0:
                weight = read(S, w0 + (i + r) * width)
                n_rows = n_rows + select(weight > 0.0, 1.0, 0.0)
                weight = sqrt(weight)
                if ones:
                    write(S, at, weight)
                for j in range(0, d * width, width):
                    write(S, at + ones * width + j, read(S, source + j) * weight)
                value = value * weight
            else:
                n_rows = n_rows + 1.0
                if ones:
                    write(S, at, one)
                for j in range(0, d * width, width):
                    write(S, at + ones * width + j, read(S, source + j))
            for j in range((ones + d) * width, step, width):
                write(S, at + j, value)
                value = splat(S, 0)
    return n_rows


@ordered_kernel
def load_penalty(S, place, step, d, ones, alpha):
    """d rows √α·e_j, in the columns after the ones."""
    width = lanes(S)
    root = alpha**0.5
    for i in range(d):
        for j in range(0, step, width):
            write(S, place + i * step + j, splat(S, root if j == (ones + i) * width else 0.0))


@ordered_kernel
def column_square(S, at, step, rows):
    """Σ_i a_i² of one column."""
    s0, s1 = splat(S, 0), splat(S, 0)
    for _ in range(rows // 2):
        a, b = read(S, at), read(S, at + step)
        s0, s1 = s0 + a * a, s1 + b * b
        at += 2 * step
    if rows % 2:
        s0 = s0 + read(S, at) * read(S, at)
    return s0 + s1


@ordered_kernel
def residual_square(S, place, step, rows, columns, x):
    """Σ_i (y_i − Σ_j a_ij x_j)² of rows that hold `columns` of A, and y."""
    width = lanes(S)
    total = splat(S, 0)
    for i in range(rows):
        at = place + i * step
        value = read(S, at + columns * width)
        for j in range(0, columns * width, width):
            value = value - read(S, at + j) * read(S, x + j)
        total = total + value * value
    return total


@ordered_kernel
def descend(S, G, step, d, x, limits, scale):
    """Gradient descent on ½xᵀGx − cᵀx from x = 0, in units that make the diagonal of G one.

    G is the upper triangle with c beside it; limits = (tol, max_iter).  The step is the reciprocal
    of the largest row of |G| in those units, which bounds its eigenvalues.  A lane stops when its
    gradient, in those units, is at most tol·√scale.  Returns the steps of each lane and the
    squared length of its gradient in the units of x.
    """
    tolerance, max_iter = limits
    width = lanes(S)
    largest = splat(S, 0)
    inverse = x + d * width
    for i in range(d):
        pivot = read(S, G + i * (step + width))
        write(S, inverse + i * width, select(pivot > 0.0, 1.0 / pivot, 0.0))
        write(S, x + i * width, splat(S, 0))
    for i in range(d):
        total = splat(S, 0)
        for j in range(d):
            value = read(S, G + min(i, j) * step + max(i, j) * width)
            value = value * value * read(S, inverse + i * width) * read(S, inverse + j * width)
            total = total + sqrt(value)
        largest = select(total > largest, total, largest)
    rate = select(largest > 0.0, 1.0 / largest, 0.0)
    bound = tolerance * tolerance * scale
    gradients = inverse + d * width
    n_iter, length = splat(S, 0), splat(S, 0)
    for iteration in range(max_iter + 1):
        size, length = splat(S, 0), splat(S, 0)
        for i in range(d):
            value = 0.0 - read(S, G + i * step + d * width)
            for j in range(d):
                g = read(S, G + min(i, j) * step + max(i, j) * width)
                value = value + g * read(S, x + j * width)
            write(S, gradients + i * width, value)
            size = size + value * value * read(S, inverse + i * width)
            length = length + value * value
        active = size > bound
        if iteration == max_iter or not any_lane(active):
            break
        n_iter = n_iter + select(active, 1.0, 0.0)
        for i in range(0, d * width, width):
            change = rate * read(S, inverse + i) * read(S, gradients + i)
            write(S, x + i, read(S, x + i) - select(active, change, 0.0))
    return n_iter, length


@ordered_kernel
def fit_groups(data, sizes, options, layout, groups, S, report):
    """Fit the groups (first, end, place of the first problem in the report).

    data = (X, y, w, x_stride, y_stride, w_stride): base addresses and strides from problem to
    problem, 0 where all share it, w_stride −1 for no weights.  sizes = (n, d, ones, count);
    options = (solver, α, tol, max_iter).  report (2p + REPORT, whole groups) gets, for p = ones +
    d, the coefficients, their standard errors, and RSS …: the residual sum of squares, the one
    about the mean (about 0 without ones), columns lost, NaN for bad input, rows that count, steps
    or 1 and refinements, and of gradient descent the squared length of the gradient.
    """
    n, d, ones, count = sizes
    solver, alpha, tolerance, max_iter = options
    width = lanes(S)
    p, rows = d + ones, n + (d if alpha > 0.0 else 0)
    step, U, inverses = layout[0] * width, layout[1] * width, layout[2] * width
    lengths, x, spare = layout[3] * width, layout[4] * width, layout[5] * width
    A = layout[6] * width
    rounding = 16.0 * max(n, p) * 2.220446049250313e-16
    factors = U, step, inverses, lengths
    for group in range(groups[0], groups[1]):
        first = group * width
        place = groups[2] + first
        present = min(width, count - first)
        n_rows = load_rows(data, first, present, sizes, S, (0, step), spare)
        load_penalty(S, n * step, step, rows - n, ones, alpha)
        # The ones go first in any case: what they leave is centred.
        lost = orthogonalise(S, (0, step), (rows, 0, ones, p), factors, rounding**2)
        tss = column_square(S, p * width, step, n)
        n_iter, gradient = splat(S, 1), splat(S, 0)
        if solver == QR:
            lost = lost + orthogonalise(
                S, (0, step), (rows, ones, p, p), factors, rounding**2
            )  # fmt: skip
            substitute(S, U, step, p, U + p * width, step, x)
            rss = read(S, U + p * (step + width))
            if alpha > 0.0:
                rss = column_square(S, p * width, step, n)
        else:
            right, G = ones * width, U + ones * (step + width)
            for at in range(G, inverses, width):
                write(S, at, splat(S, 0))
            columns = layout[0] - ones
            add_products(S, (right, right, G), (step, step, step), (columns, columns), rows, 0)
            if solver == GD:
                limits = tolerance, max_iter
                n_iter, gradient = descend(S, G, step, d, x + right, limits, tss)
            lost = lost + factor(S, G, step, d, d + 1, inverses + right, rounding)
            if solver == CHOLESKY:
                substitute(S, G, step, d, G + d * width, step, x + right)
            if ones:
                b = read(S, U + p * width)
                for j in range(width, p * width, width):
                    b = b - read(S, U + j) * read(S, x + j)
                write(S, x, b)
            rss = residual_square(S, right, step, n, d, x + right)
        v = x + p * width
        largest = splat(S, 0)
        for j in range(p):
            for k in range(j, p):
                write(S, v + k * width, splat(S, 1.0 if k == j else 0.0))
            variance = inverse_form(S, U, step, p, inverses, v, j)
            write(report[p + j], place, variance)
            share = variance * read(S, lengths + j * width)
            largest = select(share > largest, share, largest)
        refined = largest > WELL_CONDITIONED
        if solver == QR and any_lane(refined):
            # What was orthogonalised is gone: the rows are read once more.
            load_rows(data, first, present, sizes, S, (A, step), spare)
            load_penalty(S, A + n * step, step, rows - n, ones, alpha)
            where = 0, A, step, rows, p
            for j in range(p):
                refine(S, where, factors, j, v, refined)
                variance = 0.0 - read(S, v + j * width)
                write(report[p + j], place, select(refined, variance, read(report[p + j], place)))
            n_iter = n_iter + refine(S, where, factors, -1, v, refined)
            rss = select(refined, column_square(S, v + 2 * p * width, width, n), rss)
            for j in range(0, p * width, width):
                write(S, x + j, select(refined, read(S, v + j), read(S, x + j)))
        # What is not finite, or not when squared, has spoilt the residual.
        bad = 0.0 * (tss + rss)
        freedom = n_rows - p + lost
        noise = sqrt(rss / select(freedom > 0.0, freedom, float("nan")))
        for j in range(p):
            kept = read(S, inverses + j * width) > 0.0
            error = noise * sqrt(read(report[p + j], place))
            write(report[j], place, read(S, x + j * width) + bad)
            write(report[p + j], place, select(kept, error, float("nan")) + bad)
        write(report[2 * p + RSS], place, rss)
        write(report[2 * p + TSS], place, tss)
        write(report[2 * p + LOST], place, lost)
        write(report[2 * p + BAD_INPUT], place, bad)
        write(report[2 * p + COUNT], place, n_rows)
        write(report[2 * p + N_ITER], place, n_iter)
        write(report[2 * p + GRADIENT], place, gradient)
