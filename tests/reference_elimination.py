"""Elimination and Jacobi rotations, written to be read: the specification of their kernels."""

from __future__ import annotations

import math

import numpy as np


def interleave(matrices, lanes):
    """S[e, lane] = number e of matrix `lane`; lanes beyond the last matrix repeat it."""
    last = len(matrices) - 1
    return np.stack([matrices[min(lane, last)].ravel() for lane in range(lanes)], axis=1)


def eliminate(A, B):
    """U, L⁻¹ P B, det P and the first k with u_kk = 0 (−1 for none), with partial pivoting."""
    U, C = A.copy(), B.copy()
    sign, zero_pivot = 1, -1
    for k in range(len(U)):
        p = k
        for i in range(k + 1, len(U)):
            if abs(U[i, k]) > abs(U[p, k]):
                p = i
        if p != k:
            U[[k, p]], C[[k, p]] = U[[p, k]], C[[p, k]]
            sign = -sign
        if U[k, k] == 0:
            zero_pivot = k if zero_pivot < 0 else zero_pivot
            continue
        for i in range(k + 1, len(U)):
            factor = U[i, k] / U[k, k]
            U[i] -= factor * U[k]
            C[i] -= factor * C[k]
            U[i, k] = 0
    return U, C, sign, zero_pivot


def solve(A, B):
    """X with A X = B, and the first zero pivot."""
    U, X, _, zero_pivot = eliminate(A, B)
    if zero_pivot < 0:
        for i in range(len(U) - 1, -1, -1):
            for k in range(i + 1, len(U)):
                X[i] -= U[i, k] * X[k]
            X[i] /= U[i, i]
    return X, zero_pivot


def determinant(A):
    """± Π u_kk."""
    U, _, sign, _ = eliminate(A, np.zeros((len(A), 0)))
    return sign * math.prod(U.diagonal().tolist())


def condition(U):
    """‖U‖₁·max |w| for Uᵀ w = ±1, each sign the one that makes its w larger."""
    w = np.zeros(len(U))
    for k in range(len(U)):
        total = w[:k] @ U[:k, k]
        w[k] = ((1 if total < 0 else -1) - total) / U[k, k]
    return np.abs(U).sum(axis=0).max() * np.abs(w).max()


def echelon(A, swap, reduced, tolerance):
    """The echelon form with leading ones and the columns of the pivots."""
    A = A.copy()
    pivots = []
    for column in range(A.shape[1]):
        r = len(pivots)
        rows = [i for i in range(r, len(A)) if abs(A[i, column]) > tolerance]
        if not rows:
            A[r:, column] = 0
            continue
        if swap:
            p = max(rows, key=lambda i: abs(A[i, column]))
            A[[r, p]] = A[[p, r]]
        elif rows[0] != r:
            A[r] = A[r] + A[rows[0]]
        A[r] = A[r] / A[r, column]
        for i in range(0 if reduced else r + 1, len(A)):
            if i != r:
                A[i] = A[i] - A[i, column] * A[r]
        pivots.append(column)
    return A, pivots


def eigh(A, sweeps=15):
    """Eigenvalues, ascending, and eigenvectors as columns, by cyclic Jacobi rotations."""
    M, V = A.astype(float), np.eye(len(A))
    for _ in range(sweeps):
        for p in range(len(A)):
            for q in range(p + 1, len(A)):
                if abs(M[p, q]) < 1e-18 * np.abs(A).max():
                    continue
                theta = (M[q, q] - M[p, p]) / (2 * M[p, q])
                t = math.copysign(1, theta) / (abs(theta) + math.hypot(1, theta))
                c = 1 / math.hypot(1, t)
                J = np.eye(len(A))
                J[p, p] = J[q, q] = c
                J[p, q], J[q, p] = c * t, -c * t
                M, V = J.T @ M @ J, V @ J
    order = np.argsort(M.diagonal(), kind="stable")
    V = V[:, order]
    leaders = V[np.argmax(np.abs(V), axis=0), np.arange(len(A))]
    return M.diagonal()[order], V * np.where(leaders < 0, -1, 1)
