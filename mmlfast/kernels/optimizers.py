"""One step of an optimiser over a range of a flat array of parameters.

    p ← p − η·d(g + λ·p) − δ·p          d: the direction that the rule makes of a gradient

    GD        d = g
    MOMENTUM  m ← β₁m − ηg,              p ← p + m
    NESTEROV  m ← β₁m − ηg,              p ← p + β₁m − ηg
    ADAGRAD   v ← v + g²,                d = g/(√v + ε)         Duchi, Hazan and Singer, 2011
    RMSPROP   v ← β₂v + (1 − β₂)g²,      d = g/(√v + ε)         Tieleman and Hinton, 2012
    ADAM      m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  d = m/(√v + ε)

Adam's η is the caller's to correct, η√(1 − β₂ᵗ)/(1 − β₁ᵗ): the efficient order of Kingma and Ba
(2015, end of section 2), which scikit-learn follows too.  One loop reads and writes p, g, m and v
together, so that a step costs one pass over memory.  δ is the share of p that decays in the step
(Loshchilov and Hutter, 2019), λ an ordinary penalty.
"""

from __future__ import annotations

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes, load, store
from mmlfast.kernels._vectors import read, splat, sqrt, sum_lanes, write

GD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM = range(6)


@ordered_kernel
def _next(rule, p, g, m, v, settings):
    """(p, m, v) after one step; each a number or a Vector of numbers."""
    rate, beta_1, beta_2, epsilon, penalty, decay = settings
    g = g + penalty * p
    p = p - decay * p
    if rule == GD:
        p = p - rate * g
    elif rule == MOMENTUM:
        m = beta_1 * m - rate * g
        p = p + m
    elif rule == NESTEROV:
        m = beta_1 * m - rate * g
        p = p + (beta_1 * m - rate * g)
    elif rule == ADAGRAD:
        v = v + g * g
        p = p - rate * g / (sqrt(v) + epsilon)
    elif rule == RMSPROP:
        v = beta_2 * v + (1 - beta_2) * g * g
        p = p - rate * g / (sqrt(v) + epsilon)
    else:
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        p = p - rate * m / (sqrt(v) + epsilon)
    return p, m, v, g


@ordered_kernel
def update(rule, p, g, m, v, span, settings):
    """p, m, v ← one step on their elements lo … hi − 1, for span = (lo, hi).

    settings = (η, β₁, β₂, ε, λ, δ), all of p's dtype.  p, m and v are overwritten, g is not.
    Returns Σ (g + λp)² before the step and Σ p² after it, in p's dtype.
    """
    lo, hi = span
    width = lanes(p)
    squares, sizes = splat(p, 0), splat(p, 0)
    i = lo
    while i + width <= hi:
        new_p, new_m, new_v, slope = _next(
            rule, read(p, i), read(g, i), read(m, i), read(v, i), settings
        )
        write(p, i, new_p)
        write(m, i, new_m)
        write(v, i, new_v)
        squares = squares + slope * slope
        sizes = sizes + new_p * new_p
        i += width
    square, size = sum_lanes(squares), sum_lanes(sizes)
    while i < hi:
        new_p, new_m, new_v, slope = _next(
            rule, load(p, i), load(g, i), load(m, i), load(v, i), settings
        )
        store(p, i, new_p)
        store(m, i, new_m)
        store(v, i, new_v)
        square += slope * slope
        size += new_p * new_p
        i += 1
    return square, size
