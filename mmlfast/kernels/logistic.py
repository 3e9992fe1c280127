"""Logistic regression of many small problems at once, by Newton's method or gradient descent.

    min Σ w (log(1 + e^η) − y η) + α/2 ‖b‖²,   η = b₀ + xᵀb,   y ∈ {0, 1}
    p = 1/(1 + e^−η),   g = Xᵀw(p − y) + αb,   H = Xᵀ diag(w p(1 − p)) X + α,   b ← b − s H⁻¹g

A group of `lanes` problems lies side by side (`interleave`).  The rows of the panel are centred, so
that a large mean costs neither digits nor steps of descent, and end in a one for the intercept.
The first step, which is the least squares fit of y, is lengthened by 1/(1 − R²) to be Fisher's
discriminant: that saves one step in five.  A step is halved, in its lane alone, until the objective
falls as Armijo asks; a lane that has ended keeps what it had.  Newton's step does not shrink where
the maximum lies at infinity: so separated classes are told from converged ones.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._elementary import exp, log
from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes
from mmlfast.kernels._vectors import (
    absolute,
    any_lane,
    both,
    maximum,
    minimum,
    read,
    select,
    splat,
    sqrt,
    write,
)
from mmlfast.kernels.interleave import interleave
from mmlfast.kernels.normal_equations import (
    TILE,
    add_products,
    factor,
    inverse_form,
    padded,
    substitute,
    write_four,
)

NEWTON, GD = range(2)

# Rows of the report after p coefficients, the intercept last, and p standard errors.
LOSS, N_ITER, STATE, LOST, BAD_INPUT, COUNT, POSITIVE, GRADIENT = range(8)
REPORT = 8
CONVERGED, UNFINISHED, SEPARATED = range(3)

# Rows whose weighted copies stay in the first cache between being made and being summed.
BLOCK = 16
# Largest step that counts as none, in units of the columns' root mean squares.
SETTLED = 1e-3
# A gradient this much below the tolerance, with steps that do not shrink, tends to a maximum at
# infinity.
VANISHED = 1e-4
ARMIJO, LEAST_SIZE, NEGLIGIBLE = 1e-4, 1e-9, 1e-6
LOAD_ROWS = 8
# 1 − R² at the first step is taken to be no less.
LEAST_REST = 1 / 16


def layout(n, d, ones):
    """Where a group keeps what it needs, in vectors, and how many vectors that is.

    (step of the panel and of B, y, w, B, G, kept G, U, vectors): `vectors` are of the length of
    a row of B, as many as `fit_groups` names.
    """
    p = d + ones
    step, wide = padded(p), padded(p + 1)
    y = n * step
    weighted = y + 2 * n
    G = weighted + BLOCK * wide
    square = (padded(p) + 1) * wide
    vectors = G + 3 * square
    return (step, wide, y, y + n, weighted, G, square, vectors), vectors + 10 * wide + 2 * BLOCK


@ordered_kernel
def load_rows(data, first, present, sizes, layout, S, means):
    """x − mean and 1 to the panel, y and w behind it; the weighted means, or 0, to `means`.

    data = (X, y, w) and their strides from problem to problem, the last −1 for no weights.  Returns
    Σ w, the numbers of rows with w > 0 and of those with y = 1, and NaN in lanes that hold NaN, Inf
    or a negative weight, else 0.
    """
    X, y, w, x_stride, y_stride, w_stride = data
    n, d, ones, _ = sizes
    width = lanes(S)
    step, y0, w0 = layout[0] * width, layout[2] * width, layout[3] * width
    spare = layout[4] * width
    interleave(y, first * y_stride, y_stride, n, present, S, y0)
    if w_stride >= 0:
        interleave(w, first * w_stride, w_stride, n, present, S, w0)
    for j in range(means, means + d * width, width):
        write(S, j, splat(S, 0))
    mass, n_rows, positive, bad = splat(S, 0), splat(S, 0), splat(S, 0), splat(S, 0)
    weight = splat(S, 1)
    for i in range(0, n, LOAD_ROWS):
        rows = min(LOAD_ROWS, n - i)
        interleave(X, first * x_stride + i * d, x_stride, rows * d, present, S, spare)
        for r in range(rows):
            at = (i + r) * step
            if w_stride >= 0:
                weight = read(S, w0 + (i + r) * width)
                n_rows = n_rows + select(weight > 0.0, 1.0, 0.0)
                bad = bad + 0.0 * sqrt(weight)
            else:
                n_rows = n_rows + 1.0
            mass = mass + weight
            label = read(S, y0 + (i + r) * width)
            positive = positive + select(weight > 0.0, label, 0.0)
            total = 0.0 * label
            for j in range(0, d * width, width):
                value = read(S, spare + r * d * width + j)
                total = total + 0.0 * value
                write(S, means + j, read(S, means + j) + weight * value)
                write(S, at + j, value)
            bad = bad + total
            value = splat(S, ones)
            for j in range(d * width, step, width):
                write(S, at + j, value)
                value = splat(S, 0)
    inverse = select(mass > 0.0, 1.0 / mass, 0.0) if ones else splat(S, 0)
    for j in range(means, means + d * width, width):
        write(S, j, read(S, j) * inverse)
    if ones:
        for i in range(0, n * step, step):
            for j in range(0, d * width, width):
                write(S, i + j, read(S, i + j) - read(S, means + j))
    return mass, n_rows, positive, bad


@ordered_kernel
def scores(S, at, step, rows, p, beta, eta):
    """η_i = x_iᵀβ of `rows` rows; four at a time share the reading of β."""
    width = lanes(S)
    i = 0
    while i + 4 <= rows:
        s0 = s1 = s2 = s3 = splat(S, 0)
        for j in range(0, p * width, width):
            b = read(S, beta + j)
            s0 = s0 + b * read(S, at + j)
            s1 = s1 + b * read(S, at + step + j)
            s2 = s2 + b * read(S, at + 2 * step + j)
            s3 = s3 + b * read(S, at + 3 * step + j)
        write_four(S, eta + i * width, (s0, s1, s2, s3))
        at += 4 * step
        i += 4
    while i < rows:
        total = splat(S, 0)
        for j in range(0, p * width, width):
            total = total + read(S, beta + j) * read(S, at + j)
        write(S, eta + i * width, total)
        at += step
        i += 1


@ordered_kernel
def evaluate(S, layout, n, p, weighted, beta, eta, first):
    """H and, in column p, g without the penalty, to G, of the tiles from column `first` on.

    Returns the loss and the smallest margin, η or −η as y has it: above 0 the classes are apart.
    """
    width = lanes(S)
    step, wide, y0, w0 = layout[0] * width, layout[1] * width, layout[2] * width, layout[3] * width
    B, G = layout[4] * width, layout[5] * width
    for at in range(G, G + layout[6] * width, width):
        write(S, at, splat(S, 0))
    loss, smallest, weight = splat(S, 0), splat(S, np.inf), splat(S, 1)
    for i in range(0, n, BLOCK):
        rows = min(BLOCK, n - i)
        scores(S, i * step, step, rows, p, beta, eta)
        product = splat(S, 1)
        for r in range(rows):
            value, y = read(S, eta + r * width), read(S, y0 + (i + r) * width)
            e = exp(0.0 - absolute(value))
            inverse = 1.0 / (1.0 + e)
            h = e * inverse
            residual = select(value > 0.0, inverse, h) - y
            h = h * inverse
            part = maximum(value, 0.0) - y * value
            margin = select(y > 0.5, value, 0.0 - value)
            if weighted:
                weight = read(S, w0 + (i + r) * width)
                h, residual = h * weight, residual * weight
                part = weight * (part + log(1.0 + e))
                margin = select(weight > 0.0, margin, np.inf)
            else:
                product = product * (1.0 + e)
            loss = loss + part
            smallest = minimum(smallest, margin)
            to = B + r * wide
            for j in range(0, p * width, width):
                write(S, to + j, h * read(S, (i + r) * step + j))
            write(S, to + p * width, residual)
        if not weighted:
            # One logarithm for a block: no product of factors from 1 to 2 overflows in it.
            loss = loss + log(product)
        columns = layout[0], layout[1]
        add_products(S, (i * step, B, G), (step, wide, wide), columns, rows, first)
    return loss, smallest


@ordered_kernel
def add_penalty(S, G, wide, d, p, alpha, beta):
    """α to the diagonal, αb to the gradient; returns α/2 ‖b‖²."""
    width = lanes(S)
    total = splat(S, 0)
    for j in range(d):
        b = read(S, beta + j * width)
        at = G + j * wide
        write(S, at + j * width, read(S, at + j * width) + alpha)
        write(S, at + p * width, read(S, at + p * width) + alpha * b)
        total = total + b * b
    return 0.5 * alpha * total


@ordered_kernel
def descent_rate(S, G, wide, p):
    """1/max_i Σ_j |h_ij|/√(h_ii h_jj) ≤ 1/λ for the eigenvalues λ of H in units of its diagonal."""
    width = lanes(S)
    largest = splat(S, 0)
    for i in range(p):
        total = splat(S, 0)
        for j in range(p):
            h = read(S, G + min(i, j) * wide + max(i, j) * width)
            units = read(S, G + i * (wide + width)) * read(S, G + j * (wide + width))
            total = total + select(units > 0.0, absolute(h) / sqrt(units), 0.0)
        largest = maximum(largest, total)
    return select(largest > 0.0, 1.0 / largest, 0.0)


@ordered_kernel
def fit_groups(data, sizes, options, layout, groups, S, report):
    """Fit the groups (first, end, place of the first problem in the report).

    data and sizes as in `least_squares.fit_groups`, y of zeros and ones; options = (solver, α, tol,
    max_iter).  A lane has converged if the gradient is at most tol·Σw in units of the columns' root
    mean squares, or the step expected to gain less than rounding, and Newton's step is settled.
    report (2p + REPORT, whole groups) gets, for p = d + ones, the coefficients, their standard
    errors, and LOSS …: the loss without the penalty, steps, state, columns lost, NaN for bad input,
    rows that count, those of them with y = 1, and the length of the gradient.
    """
    n, d, ones, count = sizes
    solver, alpha, tolerance, max_iter = options
    width = lanes(S)
    p, weighted = d + ones, data[5] >= 0
    wide, G = layout[1] * width, layout[5] * width
    kept = G + layout[6] * width
    U = kept + layout[6] * width
    means = layout[7] * width
    beta, trial, change = means + wide, means + 2 * wide, means + 3 * wide
    inverses, units = means + 4 * wide, means + 5 * wide
    v, eta = means + 6 * wide, means + 7 * wide
    rounding = 16.0 * max(n, p) * 2.220446049250313e-16
    for at in range(layout[4] * width, G, width):
        write(S, at, splat(S, 0))
    for group in range(groups[0], groups[1]):
        first = group * width
        place = groups[2] + first
        mass, n_rows, positive, bad = load_rows(
            data, first, min(width, count - first), sizes, layout, S, means
        )
        for at in range(beta, inverses, width):
            write(S, at, splat(S, 0))
        state, n_iter, size = splat(S, UNFINISHED), splat(S, 0), splat(S, 1)
        objective, expected, rate = splat(S, np.inf), splat(S, 0), splat(S, 0)
        lost, running = splat(S, 0), select(mass > 0.0, bad + 1.0, 0.0)
        for iteration in range(max_iter + 1):
            for j in range(0, p * width, width):
                write(S, trial + j, read(S, beta + j) + size * read(S, change + j))
            tile = p - p % TILE if solver == GD and iteration > 0 else 0
            loss, margin = evaluate(S, layout, n, p, weighted, trial, eta, tile)
            loss = loss + add_penalty(S, G, wide, d, p, alpha, trial)
            slack = 4e-16 * (absolute(loss) + n)
            falls = loss < objective + ARMIJO * size * expected + slack
            if solver == GD or iteration == 0:
                falls = loss < np.inf
            accepted = both(running > 0.0, falls)
            objective = select(accepted, loss, objective)
            for j in range(0, p * width, width):
                write(S, beta + j, select(accepted, read(S, trial + j), read(S, beta + j)))
            for at in range(0, layout[6] * width, width):
                write(S, kept + at, select(accepted, read(S, G + at), read(S, kept + at)))
                write(S, U + at, read(S, kept + at))
            if iteration == 0:
                rate = descent_rate(S, G, wide, p)
                for j in range(p):
                    write(S, units + j * width, read(S, G + j * (wide + width)))
            collapsed = splat(S, 0)
            if solver == NEWTON or iteration == 0:
                now = factor(S, U, wide, p, p + 1, inverses, rounding)
                collapsed = now - lost
            if iteration == 0:
                lost, collapsed = collapsed, splat(S, 0)
            if solver == NEWTON:
                substitute(S, U, wide, p, U + p * width, wide, change)
            gradient, step, expected = splat(S, 0), splat(S, 0), splat(S, 0)
            for j in range(p):
                g = read(S, kept + j * wide + p * width)
                unit = 4.0 * read(S, units + j * width)
                if solver == GD:
                    write(S, change + j * width, select(unit > 0.0, 4.0 * rate * g / unit, 0.0))
                c = 0.0 - read(S, change + j * width)
                write(S, change + j * width, c)
                gradient = gradient + select(unit > 0.0, g * g / unit, 0.0)
                step = maximum(step, c * c * unit)
                expected = expected + c * g
            bound = tolerance * tolerance * mass
            gains_nothing = 0.0 - expected < NEGLIGIBLE * slack
            done, endless = ended(S, gradient, bound, step, mass, gains_nothing)
            if solver == GD:
                done, endless = select(gradient < bound, 1.0, 0.0), 0.0 * mass
            endless = select(collapsed > 0.0, 1.0, endless)
            if iteration > 0:
                endless = select(margin > 0.0, 1.0, endless)
            if alpha > 0.0:
                endless = 0.0 * mass
            live = both(accepted, done + endless > 0.0)
            state = select(live, select(endless > 0.0, SEPARATED, CONVERGED), state)
            running = select(live, 0.0, select(size < LEAST_SIZE, 0.0, running))
            if iteration == max_iter or not any_lane(running > 0.0):
                break
            n_iter = n_iter + select(running > 0.0, 1.0, 0.0)
            size = select(accepted, 1.0, 0.5 * size)
            if solver == NEWTON and iteration == 0:
                size = 1.0 / maximum(1.0 + expected / mass, LEAST_REST)
        if solver == GD:
            evaluate(S, layout, n, p, weighted, beta, eta, 0)
            add_penalty(S, G, wide, d, p, alpha, beta)
            for at in range(0, layout[6] * width, width):
                write(S, U + at, read(S, G + at))
            factor(S, U, wide, p, p + 1, inverses, rounding)
        else:
            # The step at hand squares what error is left; it has been found to be settled.
            for j in range(0, p * width, width):
                step = select(state < UNFINISHED, read(S, change + j), 0.0)
                write(S, beta + j, read(S, beta + j) + step)
        places = beta, means, kept, U, wide, inverses, v
        write_report(S, places, sizes, state, bad, place, report)
        penalty = splat(S, 0)
        for j in range(beta, beta + d * width, width):
            penalty = penalty + 0.5 * alpha * read(S, j) * read(S, j)
        write(report[2 * p + LOSS], place, objective - penalty + bad)
        write(report[2 * p + N_ITER], place, n_iter)
        write(report[2 * p + STATE], place, state)
        write(report[2 * p + LOST], place, lost)
        write(report[2 * p + BAD_INPUT], place, bad)
        write(report[2 * p + COUNT], place, n_rows)
        write(report[2 * p + POSITIVE], place, positive)


@ordered_kernel
def ended(S, gradient, bound, step, mass, gains_nothing):
    """Where Newton's method has converged, 1 or 0, and where the maximum lies at infinity."""
    small = select(gradient < bound, 1.0, select(gains_nothing, 1.0, 0.0))
    calm = step < SETTLED**2 * mass
    vanished = select(gradient < VANISHED**2 * bound, 1.0, 0.0)
    return select(calm, small, 0.0), select(calm, 0.0, vanished)


@ordered_kernel
def write_report(S, places, sizes, state, bad, place, report):
    """Coefficients and standard errors of the columns as they came, and the gradient's length."""
    beta, means, kept, U, wide, inverses, v = places
    _, d, ones, _ = sizes
    width = lanes(S)
    p = d + ones
    length, intercept = splat(S, 0), splat(S, 0)
    last = read(S, kept + d * wide + p * width) if ones else splat(S, 0)
    if ones:
        intercept = read(S, beta + d * width)
        length = last * last
    for j in range(d):
        b, mean = read(S, beta + j * width), read(S, means + j * width)
        intercept = intercept - mean * b
        write(report[j], place, b + bad)
        g = read(S, kept + j * wide + p * width) + mean * last
        length = length + g * g
    for j in range(p):
        for k in range(p):
            write(S, v + k * width, splat(S, 1.0 if k == j else 0.0))
            if j == d and k < d:
                write(S, v + k * width, 0.0 - read(S, means + k * width))
        variance = inverse_form(S, U, wide, p, inverses, v, 0)
        known = both(read(S, inverses + j * width) > 0.0, state < SEPARATED)
        write(report[p + j], place, select(known, sqrt(variance), np.nan) + bad)
    if ones:
        write(report[d], place, intercept + bad)
    write(report[2 * p + GRADIENT], place, sqrt(length))
