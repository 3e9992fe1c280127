"""Derivatives by the definition, written to be read: the specification."""

from __future__ import annotations

import math

import numpy as np

# Where the errors of truncation, h²f‴/6, and of rounding, eps·f/h, balance; likewise for h⁴ and h².
FIRST, SECOND = np.finfo(float).eps ** (1 / 3), np.finfo(float).eps ** (1 / 4)


def derivative(f, x, h=FIRST):
    """(f(x + h) − f(x − h)) / 2h."""
    return (f(x + h) - f(x - h)) / (2 * h)


def moved(x, steps):
    """x with x[i] + step for each (i, step)."""
    y = np.array(x, float)
    for i, step in steps:
        y[i] += step
    return y


def gradient(f, x, h=FIRST):
    """∂f/∂xⱼ, one variable after another."""
    g = np.empty(len(x))
    for j in range(len(x)):
        g[j] = (f(moved(x, [(j, h)])) - f(moved(x, [(j, -h)]))) / (2 * h)
    return g


def jacobian(f, x, h=FIRST):
    """J[i, j] = ∂fᵢ/∂xⱼ: the rows are the outputs."""
    m = len(f(np.array(x, float)))
    J = np.empty((m, len(x)))
    for i in range(m):
        J[i] = gradient(lambda y, i=i: f(y)[i], x, h)
    return J


def hessian(f, x, h=SECOND):
    """H[i, j] = ∂²f/∂xᵢ∂xⱼ from four corners."""
    n = len(x)
    H = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            total = 0.0
            for a in (1, -1):
                for b in (1, -1):
                    total += a * b * f(moved(x, [(i, a * h), (j, b * h)]))
            H[i, j] = total / (4 * h * h)
    return H


def taylor_coefficients(derivatives):
    """f⁽ᵏ⁾(x0)/k! from the derivatives of order 0, 1, 2, …"""
    return np.array([d / math.factorial(k) for k, d in enumerate(derivatives)])


def taylor_value(coefficients, t):
    """Σ a_k tᵏ, term by term."""
    total = 0.0
    for k, a in enumerate(coefficients):
        total += a * t**k
    return total
