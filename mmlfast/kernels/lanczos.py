"""A block of vectors made orthogonal to a basis, and orthonormal in itself.

    H = V W,   W ← W − Vᵀ H        R = chol(Wᵀ W),   Q = W R⁻¹        V (m, n), W (n, b), float64

V and W lie in memory in whole tiles, see `padded`; tiles run straight over them.  BLAS, which packs
its factors first, takes 2 to 3 times as long for b = 8.
"""

from __future__ import annotations

import math

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import CONTINUE, LANE_BYTES, TILE_ROWS, ZERO, lanes, tile_fma
from mmlfast.kernels.covariance import tile_width

LANES = LANE_BYTES // 8


def padded(count, multiple=TILE_ROWS):
    """`count` rounded up to whole tiles."""
    return -(-count // multiple) * multiple


@ordered_kernel
def coordinates(V, rows, n, W, H):
    """H[r] = Σ_{j<n} V[r, j]·W[j] for r in rows = (lo, hi), rounded up to whole tiles."""
    lo, hi = rows
    stride, width = V.shape[1], W.shape[1]
    vectors = width // lanes(H)
    v = 0
    while v < vectors:
        tile = tile_width(vectors - v)
        at = v * lanes(H)
        for r in range(lo, hi, TILE_ROWS):
            v0, h0 = r * stride, r * width + at
            tile_fma(ZERO, True, tile, V, v0, stride, W, at, width, H, h0, width, n)
        v += tile


@ordered_kernel
def add_back(V, m, columns, H, W):
    """W[j] += Σ_{r<m} V[r, j]·H[r] for j in columns = (lo, hi), rounded up to whole tiles."""
    lo, hi = columns
    stride, width = V.shape[1], W.shape[1]
    vectors = width // lanes(H)
    v = 0
    while v < vectors:
        tile = tile_width(vectors - v)
        at = v * lanes(H)
        for j in range(lo, hi, TILE_ROWS):
            w0 = j * width + at
            tile_fma(CONTINUE, False, tile, V, j, stride, H, at, width, W, w0, width, m)
        v += tile


@ordered_kernel
def turn_sign(H, m, total):
    """total[r] += H[r],   H[r] ← −H[r]   for r < m."""
    for r in range(m):
        for c in range(H.shape[1]):
            total[r, c] += H[r, c]
            H[r, c] = -H[r, c]


@ordered_kernel
def project_out(V, first, m, n, W, scratch, H):
    """W ← W − Vᵀ V W over rows first … m − 1 of V, and then over all m;  H (m, b) = V W as it was.

    One projection leaves eps·‖W‖ along all of V, twice that much as V has lost orthogonality.
    """
    H[:m] = 0
    for start in (first, 0):
        rows = V[start:]
        coordinates(rows, (0, m - start), n, W, scratch)
        turn_sign(scratch, m - start, H[start:])
        add_back(rows, m - start, (0, n), scratch, W)


@ordered_kernel
def orthonormalise(W, n, b, G, Q):
    """Q = W R⁻¹ with RᵀR = G = WᵀW, for the first n rows and b columns.  Q and G are overwritten.

    Returns the least and the largest pivot of R, which tell how well conditioned W is; the least is
    0 or NaN, and Q is spoilt, where columns of W are dependent.
    """
    G[:] = 0
    add_back(W, n, (0, b), W, G)
    least, most = math.inf, 0.0
    for i in range(b):
        for j in range(i):
            for k in range(i, b):
                G[i, k] -= G[j, i] * G[j, k]
        pivot = math.sqrt(max(G[i, i], 0.0))
        least, most = min(least, pivot), max(most, pivot)
        for k in range(i, b):
            G[i, k] /= pivot
    _invert_triangle(G, b)
    coordinates(W, (0, n), b, G, Q)
    return least, most


@ordered_kernel
def _invert_triangle(R, b):
    """R ← R⁻¹ for the upper triangle R (b, b); what lies below it, or beyond b, is cleared."""
    for j in range(b):
        inverse = 1 / R[j, j]
        for i in range(j):
            total = 0.0
            for k in range(i, j):
                total += R[i, k] * R[k, j]
            R[i, j] = -total * inverse
        R[j, j] = inverse
        for i in range(j + 1, R.shape[0]):
            R[i, j] = 0
    R[:, b:] = 0


@ordered_kernel
def append(Q, b, V, first):
    """V[first + c, j] = Q[j, c] for c < b: columns become rows, 5 times as fast as by numpy."""
    for j in range(Q.shape[0]):
        for c in range(b):
            V[first + c, j] = Q[j, c]
