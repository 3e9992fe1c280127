"""Rows of the training data, gathered into the first layer of a network.

    A₀[i, :] = X[order[i], :],    T[i, :] = Y[order[i], :],    w[i] = weight[order[i]]/Σ weight

X is read as it is stored: dense rows of any numbers that a kernel reads, or rows of a CSR matrix.
So that the kernels above are compiled once for all of them, X comes as bytes with the number of its
dtype.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import load, load_as, store

# X's dtype → its number; float16 is read as its bits.
DTYPES = ("float64", "float32", "float16", "uint8", "int8", "int16", "int32")
SPARSE = len(DTYPES)


@ordered_kernel
def _dense_row(X, x0, work, a0, n):
    for j in range(n):
        store(work, a0 + j, load_as(X, x0 + j, work))


@ordered_kernel
def _sparse_row(X, indices, lo, hi, work, a0, n):
    for j in range(n):
        store(work, a0 + j, work.dtype.type(0))
    for k in range(lo, hi):
        at = a0 + indices[k]
        store(work, at, load(work, at) + load(X, k))


@ordered_kernel
def gather_inputs(X, kind, starts, indices, rows, work, a0, stride, n):
    """Row i of the block at a0 ← row rows[i] of X, as numbers of work's dtype; n of them.

    kind: the place of X's dtype in DTYPES, or SPARSE for CSR with `starts` and `indices`, whose
    values are of work's dtype.
    """
    for i in range(len(rows)):
        at, x0 = a0 + i * stride, rows[i] * n
        if kind == 0:
            _dense_row(X.view(np.float64), x0, work, at, n)
        elif kind == 1:
            _dense_row(X.view(np.float32), x0, work, at, n)
        elif kind == 2:
            _dense_row(X.view(np.uint16), x0, work, at, n)
        elif kind == 3:
            _dense_row(X, x0, work, at, n)
        elif kind == 4:
            _dense_row(X.view(np.int8), x0, work, at, n)
        elif kind == 5:
            _dense_row(X.view(np.int16), x0, work, at, n)
        elif kind == 6:
            _dense_row(X.view(np.int32), x0, work, at, n)
        else:
            values = X.view(work.dtype)
            lo, hi = starts[rows[i]], starts[rows[i] + 1]
            _sparse_row(values, indices, lo, hi, work, at, n)


@ordered_kernel
def gather_targets(Y, weight, rows, height, work, targets, stride, weights):
    """T and w of the rows; rows − height … of them beyond get weight 0.  Returns Σ weight.

    An empty `weight` means 1 for each.
    """
    n = Y.shape[1]
    total = 0.0
    for i in range(len(rows)):
        for j in range(n):
            store(work, targets + i * stride + j, Y[rows[i], j])
        total += weight[rows[i]] if len(weight) > 0 else 1.0
    zero, scale = work.dtype.type(0), 1.0 / total if total > 0 else 0.0
    for i in range(len(rows)):
        w = weight[rows[i]] if len(weight) > 0 else 1.0
        store(work, weights + i, work.dtype.type(w * scale))
    for i in range(len(rows), height):
        store(work, weights + i, zero)
    return total
