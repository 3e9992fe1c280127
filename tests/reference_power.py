"""Products and steps of the eigenvalue solvers, written to be read: the specification."""

from __future__ import annotations

import math

import numpy as np


def lower_triangle_product(A, rows, x):
    """What rows lo … hi − 1 of the lower triangle of a symmetric A give to A x."""
    y = np.zeros((rows[1], *x.shape[1:]), x.dtype)
    for i in range(*rows):
        for j in range(i):
            y[i] += A[i, j] * x[j]
            y[j] += A[i, j] * x[i]
        y[i] += A[i, i] * x[i]
    return y


def triangle_squares(A, rows):
    """Σ a_ij² + a_ji² and Σ (a_ij − a_ji)² over i in rows and j ≤ i."""
    total = difference = 0.0
    for i in range(*rows):
        for j in range(i + 1):
            a, b = float(A[i, j]), float(A[j, i])
            total += a * a + b * b
            difference += (a - b) ** 2
    return total, difference


def product_of_rows(A, span, x):
    """(A x)_i for i in span."""
    y = np.zeros((span[1] - span[0], *x.shape[1:]), x.dtype)
    for i in range(*span):
        for j in range(A.shape[1]):
            y[i - span[0]] += A[i, j] * x[j]
    return y


def coordinates(V, W):
    """H = V W."""
    return product_of_rows(V, (0, len(V)), W)


def project_out(V, W):
    """W − Vᵀ V W and V W."""
    H = coordinates(V, W)
    return W - V.T @ H, H


def power_iteration(A, v, steps, shift=0.0):
    """Values and residuals of `steps` steps of v ← B v / ‖B v‖, B = A − shift·I; the last v."""
    v = v / math.sqrt(sum(v * v))
    values, residuals = [], []
    for step in range(steps):
        w = A @ v - shift * v
        along = sum(v * w)
        values.append(along + shift)
        residuals.append(math.sqrt(sum((w - along * v) ** 2)))
        if step < steps - 1:
            v = w / math.sqrt(sum(w * w))
    return np.array(values), np.array(residuals), v
