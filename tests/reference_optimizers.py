"""The optimisers one number at a time: the specification of `mmlfast.kernels.optimizers`."""

from __future__ import annotations

from math import sqrt


def update(rule, p, g, m, v, settings):
    """(p, m, v) of one parameter after a step; settings = (η, β₁, β₂, ε, λ, δ)."""
    rate, beta_1, beta_2, epsilon, penalty, decay = settings
    g = g + penalty * p
    p = p - decay * p
    if rule == "gd":
        return p - rate * g, m, v
    if rule == "momentum":
        m = beta_1 * m - rate * g
        return p + m, m, v
    if rule == "nesterov":
        m = beta_1 * m - rate * g
        return p + beta_1 * m - rate * g, m, v
    if rule == "adagrad":
        v = v + g**2
        return p - rate * g / (sqrt(v) + epsilon), m, v
    if rule == "rmsprop":
        v = beta_2 * v + (1 - beta_2) * g**2
        return p - rate * g / (sqrt(v) + epsilon), m, v
    if rule == "adam":
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        return p - rate * m / (sqrt(v) + epsilon), m, v
    raise ValueError(rule)
