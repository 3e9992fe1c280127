"""Descent, Newton–Raphson and least squares as the books have them: loops and lists, no policy.

Same rules as `mmlfast.minimize`, `newton_root` and `fit_curve`; derivatives are given.
"""

from __future__ import annotations

import math

import numpy as np

from tests.reference_optimizers import update

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def descent_path(f, gradient, hessian, x0, method, rate, steps, radius=2.0, step_rule=None):
    """The points x_0 … x_steps."""
    x = [float(entry) for entry in x0]
    n = len(x)
    m, v = [0.0] * n, [0.0] * n
    path = [list(x)]
    for t in range(1, steps + 1):
        g = [float(slope) for slope in gradient(np.array(x))]
        if step_rule is not None:
            step = step_rule(f(np.array(x)), np.array(g), np.array(hessian(np.array(x))))
            x = [x[i] + step[i] for i in range(n)]
        elif method in ("newton", "hybrid"):
            step = newton_step(g, hessian(np.array(x)))
            if method == "hybrid":
                downhill = sum(step[i] * -g[i] for i in range(n))
                if downhill <= 0 or math.hypot(*step) > radius:
                    step = [-rate * g[i] for i in range(n)]
            x = [x[i] + step[i] for i in range(n)]
        else:
            for i in range(n):
                x[i], m[i], v[i] = optimiser_step(method, rate, t, x[i], g[i], m[i], v[i])
        path.append(list(x))
    return np.array(path)


def newton_step(g, H):
    return [-entry for entry in np.linalg.solve(np.array(H, float), np.array(g))]


def optimiser_step(method, rate, t, x, g, m, v):
    """(x, m, v) after step t, for one parameter."""
    if method == "adam":
        rate *= math.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
    return update(method, x, g, m, v, (rate, BETA_1, BETA_2, EPSILON, 0.0, 0.0))


def newton_path(f, df, x, steps):
    """The iterates x_0 … x_steps of Newton–Raphson."""
    path = [x]
    for _ in range(steps):
        x = x - f(x) / df(x)
        path.append(x)
    return path


def gauss_newton_path(f, jac, x, y, p, steps):
    """p ← p + (JᵀJ)⁻¹Jᵀr."""
    path = [np.array(p, float)]
    for _ in range(steps):
        J, r = jac(x, *path[-1]), y - f(x, *path[-1])
        path.append(path[-1] + np.linalg.solve(J.T @ J, J.T @ r))
    return np.array(path)


def steepest_path(f, jac, x, y, p, aggression, steps):
    """p ← p − aggression·∇χ², as the course's lab on heights has it."""
    path = [np.array(p, float)]
    for _ in range(steps):
        J, r = jac(x, *path[-1]), y - f(x, *path[-1])
        slope = [-2 * sum(r[k] * J[k, i] for k in range(len(y))) for i in range(J.shape[1])]
        path.append(path[-1] - aggression * np.array(slope))
    return np.array(path)
