"""One step of the power method, and products of a square matrix with one vector.

    λ = vᵀ(A v − σ v) + σ,    r = A v − λ v,    v ← (A v − σ v) / ‖A v − σ v‖

Products write the elements lo … hi − 1 of y, each by the same sum whatever the range, so ranges are
shared out freely among threads: at multiples of ROWS for matrices.  A dense matrix is an array
taken as base address with the elements of a row (or of a column) side by side.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._jit import kernel
from mmlfast.kernels._simd import load
from mmlfast.kernels.crew import finish, opened, take

# Rows that are worked on at once; ranges of rows begin at multiples of it.
ROWS = 4


@kernel
def times_rows(A, stride, span, x, y):
    """y_i = Σ_j a_ij x_j for i in span = (lo, hi);  a_ij at i·stride + j."""
    lo, hi = span
    n = x.shape[0]
    zero = y.dtype.type(0)
    i = lo
    while i + ROWS <= hi:
        a0 = i * stride
        a1, a2, a3 = a0 + stride, a0 + 2 * stride, a0 + 3 * stride
        s0 = s1 = s2 = s3 = zero
        for j in range(n):
            xj = x[j]
            s0 += load(A, a0 + j) * xj
            s1 += load(A, a1 + j) * xj
            s2 += load(A, a2 + j) * xj
            s3 += load(A, a3 + j) * xj
        y[i], y[i + 1], y[i + 2], y[i + 3] = s0, s1, s2, s3
        i += ROWS
    for r in range(i, hi):
        total = zero
        for j in range(n):
            total += load(A, r * stride + j) * x[j]
        y[r] = total


@kernel
def times_columns(A, stride, span, x, y):
    """y_i = Σ_j a_ij x_j for i in span = (lo, hi);  a_ij at j·stride + i."""
    lo, hi = span
    n = x.shape[0]
    part = y[lo:hi]
    part[:] = 0
    j = 0
    while j + 4 <= n:
        a0 = j * stride + lo
        a1, a2, a3 = a0 + stride, a0 + 2 * stride, a0 + 3 * stride
        x0, x1, x2, x3 = x[j], x[j + 1], x[j + 2], x[j + 3]
        for i in range(part.shape[0]):
            part[i] += (load(A, a0 + i) * x0 + load(A, a1 + i) * x1) + (
                load(A, a2 + i) * x2 + load(A, a3 + i) * x3
            )
        j += 4
    for r in range(j, n):
        for i in range(part.shape[0]):
            part[i] += load(A, r * stride + lo + i) * x[r]


@kernel
def work(control, patience, by_rows, A, stride, cuts, x, y):
    """y_i = Σ_j a_ij x_j, parts of sections until none has opened within `patience` looks."""
    while opened(control, patience):
        p = take(control)
        while p >= 0:
            span = (cuts[p], cuts[p + 1])
            if by_rows:
                times_rows(A, stride, span, x, y)
            else:
                times_columns(A, stride, span, x, y)
            finish(control)
            p = take(control)


@kernel
def times_sparse(row_starts, columns, values, span, x, y):
    """y_i = Σ_p values[p]·x[columns[p]] over the elements p of row i, for i in span = (lo, hi)."""
    for i in range(span[0], span[1]):
        total = y.dtype.type(0)
        for p in range(row_starts[i], row_starts[i + 1]):
            total += values[p] * x[columns[p]]
        y[i] = total


@kernel
def times_sparse_block(row_starts, columns, values, span, X, Y):
    """As `times_sparse` for the rows of X and Y (n, b): an element is read once for b products."""
    width = X.shape[1]
    for i in range(span[0], span[1]):
        y = Y[i]
        y[:] = 0
        for p in range(row_starts[i], row_starts[i + 1]):
            x, a = X[columns[p]], values[p]
            for k in range(width):
                y[k] += a * x[k]


@kernel
def rayleigh(v, w, shift):
    """w ← w − shift·v;  (vᵀw, ‖w‖²) afterwards, summed in float64."""
    sigma = w.dtype.type(shift)
    along = squares = 0.0
    for i in range(v.shape[0]):
        w[i] -= sigma * v[i]
        vi, wi = np.float64(v[i]), np.float64(w[i])
        along += vi * wi
        squares += wi * wi
    return along, squares


@kernel
def advance(v, w, value, scale):
    """‖w − value·v‖², summed in float64;  w ← scale·w."""
    factor = w.dtype.type(scale)
    squares = 0.0
    for i in range(v.shape[0]):
        difference = np.float64(w[i]) - value * np.float64(v[i])
        squares += difference * difference
        w[i] *= factor
    return squares
