"""Vectors, bases and projections by their definitions, written to be read: the specification."""

from __future__ import annotations

import math

import numpy as np


def dot(a, b):
    """Σ_k a_k b_k."""
    return sum((x * y for x, y in zip(a, b, strict=True)), start=a.dtype.type(0))


def length(v):
    """√(v · v)."""
    return math.sqrt(dot(v, v))


def products(X, V):
    """C[i, l] = x_i · v_l."""
    return np.array([[dot(x, v) for v in V] for x in X], X.dtype).reshape(len(X), len(V))


def subtract_products(C, V, X):
    """x_i − Σ_l C[i, l] v_l."""
    return np.array([x - sum(c * v for c, v in zip(row, V, strict=True))
                     for x, row in zip(X, C, strict=True)])  # fmt: skip


def normalised(v, least):
    """v / ‖v‖, or zero where ‖v‖ ≤ least."""
    return v / length(v) if length(v) > least else np.zeros_like(v)


def classical(vectors, tol):
    """From each vector its projections on those before it."""
    Q = []
    for a in vectors:
        r = a.copy()
        for q in Q:
            r -= dot(q, a) * q
        Q.append(normalised(r, tol * length(a)))
    return np.array(Q)


def modified(vectors, tol):
    """From what is left of each vector its projection on those before it, one after the other."""
    Q = []
    for a in vectors:
        r = a.copy()
        for q in Q:
            r -= dot(q, r) * q
        Q.append(normalised(r, tol * length(a)))
    return np.array(Q)


def twice(vectors, tol):
    """The classical process twice; what the second time halves was rounding error."""
    Q = []
    for a in vectors:
        r = a.copy()
        for _ in range(2):
            left = r.copy()
            for q in Q:
                r = r - dot(q, left) * q
        Q.append(normalised(r, max(tol * length(a), length(left) / 2)))
    return np.array(Q)


def angle(x, y):
    """arccos(x · y / ‖x‖ ‖y‖)."""
    return math.acos(max(-1.0, min(1.0, dot(x, y) / (length(x) * length(y)))))


def inner(x, y, A):
    """Σ_ij x_i A_ij y_j."""
    return sum(x[i] * A[i, j] * y[j] for i in range(len(x)) for j in range(len(y)))


def vector_projection(x, b):
    """(x · b / b · b) b."""
    return dot(x, b) / dot(b, b) * b


def projection_matrix(B, A=None):
    """B (Bᵀ A B)⁻¹ Bᵀ A."""
    A = np.eye(len(B)) if A is None else A
    return B @ np.linalg.inv(B.T @ A @ B) @ B.T @ A
