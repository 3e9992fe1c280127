"""Gram–Schmidt: each vector less its projections on those before it, made one unit long.

    q_j = r / ‖r‖        r = a_j − Σ_{i<j} c_i q_i

    classical   c_i = q_i · a_j
    modified    c_i = q_i · (a_j − Σ_{l<i} c_l q_l)
    twice       classical, and classical once more on what that has left

V (stack, n, m) holds n vectors of m numbers as *rows*, C-contiguous, and is overwritten with q.  A
vector of which no more than `tol` of its length is left depends on those before it: it becomes
zero.  `ranks` (stack,) is overwritten with the numbers of the others.

Vectors come in panels of PANEL.  A panel meets all earlier vectors at once, a pair against four of
them over STRIP numbers at a time, so that what is loaded from memory is used more than once; inside
the panel each vector meets the others alone.
"""

from __future__ import annotations

import math

import numpy as np

from mmlfast.kernels._jit import kernel

# 1000 × 200 f64: 4.8 ms by panels of 16, 7.0 by 32.  Pairs against fours make 34 GFLOP/s, single
# vectors 17; four against four 48, but not where four rows are written, and in twice the lines.
PANEL = 16
STRIP = 512


@kernel
def dot(a, b):
    """Σ_k a_k b_k."""
    total = a.dtype.type(0)
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@kernel
def subtract(c, a, b):
    """b −= c·a."""
    for k in range(a.shape[0]):
        b[k] -= c * a[k]


@kernel
def safe_length(v):
    """‖v‖, after v has been scaled by a power of two if its length is extreme.

    Else its square, or that of the little which projections leave, would overflow or vanish.
    """
    limits = np.finfo(v.dtype)
    square = dot(v, v)
    if not limits.tiny / limits.eps**3 < square < limits.max:
        largest = v.dtype.type(0)
        for k in range(v.shape[0]):
            largest = max(largest, abs(v[k]))
        exponent = math.frexp(largest)[1]
        for k in range(v.shape[0]):
            v[k] = math.ldexp(v[k], -exponent)
        square = dot(v, v)
    return math.sqrt(square)


@kernel
def normalise(v, least):
    """v /= ‖v‖, and True; where ‖v‖ ≤ least, v = 0, and False."""
    length = math.sqrt(dot(v, v))
    kept = length > least
    factor = v.dtype.type(1 / length) if kept else v.dtype.type(0)
    for k in range(v.shape[0]):
        v[k] *= factor
    return kept


@kernel
def products(X, V, C):
    """C[i, l] = x_i · v_l for the rows of X (n, m) and V (4p, m); C is overwritten."""
    n, m = X.shape
    pairs = n // 2 * 2
    C[:pairs] = 0
    for lo in range(0, m, STRIP):
        hi = min(lo + STRIP, m)
        for l in range(0, V.shape[0], 4):
            v0, v1, v2, v3 = V[l, lo:hi], V[l + 1, lo:hi], V[l + 2, lo:hi], V[l + 3, lo:hi]
            for i in range(0, pairs, 2):
                x, y = X[i, lo:hi], X[i + 1, lo:hi]
                x0 = x1 = x2 = x3 = y0 = y1 = y2 = y3 = X.dtype.type(0)
                for k in range(hi - lo):
                    x0 += x[k] * v0[k]
                    x1 += x[k] * v1[k]
                    x2 += x[k] * v2[k]
                    x3 += x[k] * v3[k]
                    y0 += y[k] * v0[k]
                    y1 += y[k] * v1[k]
                    y2 += y[k] * v2[k]
                    y3 += y[k] * v3[k]
                _add_four(C[i], l, x0, x1, x2, x3)
                _add_four(C[i + 1], l, y0, y1, y2, y3)
    for i in range(pairs, n):
        for l in range(V.shape[0]):
            C[i, l] = dot(X[i], V[l])


@kernel
def _add_four(c, l, a0, a1, a2, a3):
    c[l] += a0
    c[l + 1] += a1
    c[l + 2] += a2
    c[l + 3] += a3


@kernel
def subtract_products(C, V, X):
    """x_i −= Σ_l C[i, l] v_l for the rows of X (n, m) and V (4p, m)."""
    n, m = X.shape
    pairs = n // 2 * 2
    for lo in range(0, m, STRIP):
        hi = min(lo + STRIP, m)
        for l in range(0, V.shape[0], 4):
            v0, v1, v2, v3 = V[l, lo:hi], V[l + 1, lo:hi], V[l + 2, lo:hi], V[l + 3, lo:hi]
            for i in range(0, pairs, 2):
                x, y = X[i, lo:hi], X[i + 1, lo:hi]
                c0, c1, c2, c3 = C[i, l], C[i, l + 1], C[i, l + 2], C[i, l + 3]
                d0, d1, d2, d3 = C[i + 1, l], C[i + 1, l + 1], C[i + 1, l + 2], C[i + 1, l + 3]
                for k in range(hi - lo):
                    x[k] -= c0 * v0[k] + c1 * v1[k] + c2 * v2[k] + c3 * v3[k]
                    y[k] -= d0 * v0[k] + d1 * v1[k] + d2 * v2[k] + d3 * v3[k]
    for i in range(pairs, n):
        for l in range(V.shape[0]):
            subtract(C[i, l], V[l], X[i])


@kernel
def project_out(V, j, x, c):
    """v_j −= Σ_{i<j} (v_i · x) v_i; all products are taken before any is subtracted."""
    for i in range(j):
        c[i] = dot(V[i], x)
    for i in range(j):
        subtract(c[i], V[i], V[j])


@kernel
def classical(V, tol, ranks):
    """Gram–Schmidt by the definition: all projections are those of the given vector."""
    n = V.shape[1]
    C, given, least = _workspace(V)
    for s in range(V.shape[0]):
        Q, rank = V[s], 0
        for first in range(0, n, PANEL):
            panel, before = Q[first : first + PANEL], Q[:first]
            size = len(panel)
            for j in range(size):
                least[j] = tol * safe_length(panel[j])
                given[j] = panel[j]
            if first > 0:
                products(given[:size], before, C)
                subtract_products(C, before, panel)
            for j in range(size):
                project_out(panel, j, given[j], C[0])
                rank += normalise(panel[j], least[j])
        ranks[s] = rank


@kernel
def modified(V, tol, ranks):
    """Gram–Schmidt with each projection taken of what the ones before it have left."""
    for s in range(V.shape[0]):
        Q, rank = V[s], 0
        for j in range(V.shape[1]):
            least = tol * safe_length(Q[j])
            for i in range(j):
                subtract(dot(Q[i], Q[j]), Q[i], Q[j])
            rank += normalise(Q[j], least)
        ranks[s] = rank


@kernel
def twice(V, tol, ranks):
    """Classical Gram–Schmidt done twice, which leaves orthogonality to the last digits.

    What the second time takes half of or more was rounding error of the first: it counts as zero.
    """
    n = V.shape[1]
    C, _, least = _workspace(V)
    half = V.dtype.type(0.5)
    for s in range(V.shape[0]):
        Q, rank = V[s], 0
        for first in range(0, n, PANEL):
            panel, before = Q[first : first + PANEL], Q[:first]
            size = len(panel)
            for j in range(size):
                least[j] = tol * safe_length(panel[j])
            if first > 0:
                products(panel, before, C)
                subtract_products(C, before, panel)
            kept = 0
            for j in range(size):
                project_out(panel, j, panel[j], C[0])
                left = math.sqrt(dot(panel[j], panel[j]))
                project_out(panel, j, panel[j], C[0])
                kept += normalise(panel[j], max(least[j], half * left))
            if first > 0:
                products(panel, before, C)
                subtract_products(C, before, panel)
                kept = 0
                for j in range(size):
                    project_out(panel, j, panel[j], C[0])
                    kept += normalise(panel[j], half)
            rank += kept
        ranks[s] = rank


@kernel
def _workspace(V):
    """Coefficients, a copy of a panel, and a number for each of its vectors."""
    n, m = V.shape[1:]
    size = min(PANEL, n)
    return (
        np.empty((size, max(n, 1)), V.dtype),
        np.empty((size, m), V.dtype),
        np.empty(size, V.dtype),
    )
