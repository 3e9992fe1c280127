"""Regressions written out: least squares in fractions, logistic regression step by step."""

from __future__ import annotations

from fractions import Fraction
from math import exp, log1p

import numpy as np


def with_ones(X, ones):
    """X with a first column of ones if `ones`."""
    return [[1.0] * ones + list(row) for row in np.asarray(X, np.float64).tolist()]


def solved(A, B):
    """A⁻¹ B by elimination, of lists of rows of Fractions."""
    n = len(A)
    M = [list(a) + list(b) for a, b in zip(A, B, strict=True)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if M[i][k] != 0)
        M[k], M[pivot] = M[pivot], M[k]
        M[k] = [value / M[k][k] for value in M[k]]
        for i in range(n):
            if i != k and M[i][k] != 0:
                M[i] = [a - M[i][k] * b for a, b in zip(M[i], M[k], strict=True)]
    return [row[n:] for row in M]


def least_squares(X, y, w=None, alpha=0.0, ones=1):
    """(coefficients, standard errors, residual sum of squares) of these numbers, rounded last."""
    A = [[Fraction(v) for v in row] for row in with_ones(X, ones)]
    y = [Fraction(v) for v in np.asarray(y, np.float64).tolist()]
    w = [Fraction(1)] * len(y) if w is None else [Fraction(v) for v in w.tolist()]
    p = len(A[0])
    rows = range(len(y))
    G = [[sum(w[i] * A[i][j] * A[i][k] for i in rows) for k in range(p)] for j in range(p)]
    for j in range(ones, p):
        G[j][j] += Fraction(alpha)
    c = [[sum(w[i] * A[i][j] * y[i] for i in rows)] for j in range(p)]
    identity = [[Fraction(int(j == k)) for k in range(p)] for j in range(p)]
    solution = solved(G, [c[j] + identity[j] for j in range(p)])
    b = [row[0] for row in solution]
    rss = sum(w[i] * (y[i] - sum(A[i][j] * b[j] for j in range(p))) ** 2 for i in rows)
    freedom = sum(weight > 0 for weight in w) - p
    errors = [float(rss * solution[j][1 + j] / freedom) ** 0.5 if freedom > 0 else np.nan
              for j in range(p)]  # fmt: skip
    return np.array([float(v) for v in b]), np.array(errors), float(rss)


def logistic(X, y, w=None, alpha=0.0, ones=1, steps=60):
    """(coefficients, standard errors, loss) by Newton's method, steps halved while uphill."""
    A = np.array(with_ones(X, ones))
    w = np.ones(len(y)) if w is None else w
    penalty = np.full(A.shape[1], alpha)
    penalty[:ones] = 0

    def objective(b):
        loss = 0.0
        for row, label, weight in zip(A @ b, y, w, strict=True):
            loss += weight * (max(row, 0.0) - label * row + log1p(exp(-abs(row))))
        return loss + 0.5 * penalty @ b**2

    b = np.zeros(A.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(A @ b)))
        H = (A.T * (w * p * (1 - p))) @ A + np.diag(penalty)
        step = np.linalg.solve(H, A.T @ (w * (p - y)) + penalty * b)
        while objective(b - step) > objective(b) + 1e-9:
            step = step / 2
        b = b - step
    loss = objective(b) - 0.5 * penalty @ b**2
    return b, np.sqrt(np.diag(np.linalg.inv(H))), loss
