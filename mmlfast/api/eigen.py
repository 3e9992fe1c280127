"""Eigenpairs of one symmetric positive semidefinite matrix in memory.

    C v = λ v        the k largest λ, falling

LAPACK's reduction to tridiagonal form is bound by memory, so float32 takes half the time of
float64 (784 × 784, 50 pairs: 17 ms against 33).  Where C comes from float32 sums, its vectors are
found in float32, and one step of subspace iteration in float64 then squares their error away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mmlfast.api.linalg import matmul
from mmlfast.runtime.threads import blas_for

Matrix = NDArray[np.float64]

# Below this size a polish costs what float32 saves.
POLISH_LEAST = 256
# Eigenvalues above this share of the largest stand clear of float32's rounding.
POLISH_SHARE = 1e-4


def leading_eigenpairs(
    C: Matrix, k: int, work: np.dtype[Any]
) -> tuple[NDArray[np.float64], Matrix]:
    """The k largest eigenvalues and their vectors (d, k); `work` is the precision behind C.

    C is overwritten.
    """
    with blas_for(len(C)):
        return _leading_eigenpairs(C, k, work)


def _leading_eigenpairs(
    C: Matrix, k: int, work: np.dtype[Any]
) -> tuple[NDArray[np.float64], Matrix]:
    d = len(C)
    # Beyond a fifth of all pairs, finding them all by divide and conquer is quicker.
    few = k <= d // 5
    if few and work == np.float32 and d >= POLISH_LEAST:
        values, V = _eigh(C.astype(np.float32), k, few)
        if values[-1] > POLISH_SHARE * values[0]:
            return _polished(C, V.astype(np.float64))
    return _eigh(C, k, few)


def _eigh(C: NDArray[Any], k: int, few: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    d = len(C)
    # The transpose is C itself in the order LAPACK wants: it works in place, without a copy.
    values, V = scipy.linalg.eigh(
        C.T, subset_by_index=[d - k, d - 1] if few else None, overwrite_a=True, check_finite=False
    )
    return values[::-1][:k], V[:, ::-1][:, :k]


def _polished(C: Matrix, V: Matrix) -> tuple[NDArray[np.float64], Matrix]:
    """Rayleigh–Ritz on the orthonormalised C V."""
    W = matmul(C, V / np.linalg.norm(V, axis=0))
    W /= np.linalg.norm(W, axis=0)
    # Once is enough: the columns are orthogonal to float32's rounding already.
    R = scipy.linalg.cholesky(matmul(W.T, W))
    W = matmul(W, scipy.linalg.solve_triangular(R, np.eye(len(R))))
    T = matmul(W.T, matmul(C, W))
    values, S = scipy.linalg.eigh((T + T.T) / 2)
    return values[::-1], matmul(W, S[:, ::-1])
