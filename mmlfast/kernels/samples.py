"""Rows of the training data, gathered into the first layer of a network.

    A₀[i, :] = X[order[i], :],    T[i, :] = Y[order[i], :],    w[i] = weight[order[i]]/Σ weight

X is read as it is stored: dense rows of any numbers that a kernel reads, or rows of a CSR matrix.
So that the kernels above are compiled once for all of them, X comes as bytes with the number of its
dtype.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes, load, load_as, store
from mmlfast.kernels._vectors import read_as, write

# X's dtype → its number; float16 is read as its bits.
DTYPES = ("float64", "float32", "float16", "uint8", "int8", "int16", "int32")
SPARSE = len(DTYPES)


@ordered_kernel
def _dense_rows(X, rows, work, a0, stride, n):
    whole = n - n % lanes(work)
    for i in range(len(rows)):
        x, a = rows[i] * n, a0 + i * stride
        for j in range(0, whole, lanes(work)):
            write(work, a + j, read_as(X, x + j, work))
        for j in range(whole, n):
            store(work, a + j, load_as(X, x + j, work))


@ordered_kernel
def _sparse_rows(X, starts, indices, rows, work, a0, stride, n):
    for i in range(len(rows)):
        a = a0 + i * stride
        for j in range(n):
            store(work, a + j, work.dtype.type(0))
        for k in range(starts[rows[i]], starts[rows[i] + 1]):
            at = a + indices[k]
            store(work, at, load(work, at) + load(X, k))


@ordered_kernel
def gather_inputs(X, kind, starts, indices, rows, work, a0, stride, n):
    """Row i of the block at a0 ← row rows[i] of X, as numbers of work's dtype; n of them.

    kind: the place of X's dtype in DTYPES, or SPARSE for CSR with `starts` and `indices`, whose
    values are of work's dtype.
    """
    if kind == 0:
        _dense_rows(X.view(np.float64), rows, work, a0, stride, n)
    elif kind == 1:
        _dense_rows(X.view(np.float32), rows, work, a0, stride, n)
    elif kind == 2:
        _dense_rows(X.view(np.uint16), rows, work, a0, stride, n)
    elif kind == 3:
        _dense_rows(X, rows, work, a0, stride, n)
    elif kind == 4:
        _dense_rows(X.view(np.int8), rows, work, a0, stride, n)
    elif kind == 5:
        _dense_rows(X.view(np.int16), rows, work, a0, stride, n)
    elif kind == 6:
        _dense_rows(X.view(np.int32), rows, work, a0, stride, n)
    else:
        values = X.view(work.dtype)
        _sparse_rows(values, starts, indices, rows, work, a0, stride, n)


@ordered_kernel
def sum_of_weights(weight, rows):
    """Σ weight of the rows; an empty `weight` means 1 for each."""
    if len(weight) == 0:
        return float(len(rows))
    total = 0.0
    for i in range(len(rows)):
        total += weight[rows[i]]
    return total


@ordered_kernel
def gather_targets(Y, weight, rows, stop, scale, work, targets, weights):
    """T, in blocks of as many samples as a register has lanes, and w = scale·weight of the rows.

    T[i·n + j·lanes + r] is y_j of sample i + r.  Weights beyond are 0, to sample `stop`.
    """
    n, width = Y.shape[1], lanes(work)
    for i in range(len(rows)):
        at = targets + i // width * width * n + i % width
        for j in range(n):
            store(work, at + j * width, load(Y, rows[i] * n + j))
    zero = work.dtype.type(0)
    for i in range(len(rows)):
        w = weight[rows[i]] if len(weight) > 0 else 1.0
        store(work, weights + i, work.dtype.type(w * scale))
    for i in range(len(rows), stop):
        store(work, weights + i, zero)
