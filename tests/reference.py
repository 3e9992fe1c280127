"""What every kernel computes, written to be read: the specification."""

from __future__ import annotations

import math

import numpy as np


def multiply(A, B):
    """C[i, j] = Σ_k A[i, k]·B[k, j]."""
    m, n = len(A), B.shape[1]
    C = np.zeros((m, n), np.result_type(A, B))
    for i in range(m):
        for j in range(n):
            for k in range(len(B)):
                C[i, j] += A[i, k] * B[k, j]
    return C


def pack_rows(A, tile_rows):
    """packed[p·R·K + k·R + r] = A[p·R + r, k], rows past the last are zero."""
    panels = -(-len(A) // tile_rows)
    packed = np.zeros((panels, A.shape[1], tile_rows), A.dtype)
    for i in range(len(A)):
        for k in range(A.shape[1]):
            packed[i // tile_rows, k, i % tile_rows] = A[i, k]
    return packed.ravel()


def pack_columns(B, width):
    """packed[p·K·W + k·W + j] = B[k, p·W + j], columns past the last are zero."""
    return pack_rows(B.T, width)


def centre_rows(X, lo, n_rows, shift):
    """P[r, :] = X[lo + r, :] − shift and its column sums."""
    P = np.zeros((n_rows, len(shift)), shift.dtype)
    sums = np.zeros_like(shift)
    for r in range(n_rows):
        P[r] = X[lo + r].astype(shift.dtype) - shift
        sums += P[r]
    return P, sums


def to_panel(P, shape):
    """A panel (groups, rows, width) in which group g holds columns g·width … of P."""
    panel = np.zeros(shape, P.dtype)
    width = shape[2]
    for r in range(len(P)):
        for c in range(P.shape[1]):
            panel[c // width, r, c % width] = P[r, c]
    return panel


def from_panel(panel, n_rows, n_features):
    """The rows of a panel."""
    width = panel.shape[2]
    columns = [panel[c // width, :n_rows, c % width] for c in range(n_features)]
    return np.stack(columns, axis=1)


def weigh_rows(P, weights):
    """w_r·P[r, :] and its column sums."""
    weighted = np.zeros_like(P)
    sums = np.zeros_like(P[0])
    for r in range(len(P)):
        weighted[r] = weights[r] * P[r]
        sums += weighted[r]
    return weighted, sums


def gram(X, shift, weights=None):
    """G = Σ_r w_r (x_r − s)(x_r − s)ᵀ and t = Σ_r w_r (x_r − s)."""
    d = len(shift)
    G, t = np.zeros((d, d), shift.dtype), np.zeros(d, shift.dtype)
    for r in range(len(X)):
        x = X[r].astype(shift.dtype) - shift
        w = 1 if weights is None else weights[r]
        G += w * np.outer(x, x)
        t += w * x
    return G, t


def all_finite(values):
    """Whether no value is NaN or ±Inf."""
    return all(math.isfinite(value) for value in values)


def shift_of(X, rows=16):
    """The lower median of the first rows, column by column."""
    first = np.sort(X[:rows], axis=0)
    return first[(len(first) - 1) // 2]


def project(P, Q):
    """Y[r, :] = Σ_c P[r, c]·Q[c, :]."""
    Y = np.zeros((len(P), Q.shape[1]), Q.dtype)
    for r in range(len(P)):
        for c in range(P.shape[1]):
            Y[r] += P[r, c] * Q[c]
    return Y


def project_back(P, Y):
    """Z[c, :] = Σ_r P[r, c]·Y[r, :]."""
    return project(P.T, Y)


def covariance_rows(X, shift, Q):
    """Z = (X − s)ᵀ(X − s) Q, Σ(x − s) and Σ(x − s)²."""
    P = X.astype(shift.dtype) - shift
    return project_back(P, project(P, Q)), P.sum(axis=0), (P * P).sum(axis=0)


def half_to_float(bits):
    """The number that the 16 bits of a half stand for: (−1)^s · 2^(e−15) · 1.m."""
    sign = -1.0 if bits & 0x8000 else 1.0
    exponent, mantissa = bits >> 10 & 0x1F, bits & 0x3FF
    if exponent == 0x1F:
        return math.nan if mantissa else sign * math.inf
    if exponent == 0:
        return sign * math.ldexp(mantissa, -24)
    return sign * math.ldexp(1024 + mantissa, exponent - 25)
