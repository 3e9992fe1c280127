"""Matrices with known eigenvalues, in every form that the solvers take."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from scipy.sparse.linalg import aslinearoperator

FORMATS = ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"]
LAYOUTS = ["C", "F", "strided", "reversed", "read-only", "swapped", "list"]


def orthogonal(n: int, seed: int = 0) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def symmetric(values, seed: int = 0) -> np.ndarray:
    """Q diag(values) Qᵀ, symmetric to the last bit."""
    Q = orthogonal(len(values), seed)
    A = (Q * np.asarray(values, float)) @ Q.T
    return (A + A.T) / 2


def general(values, seed: int = 0) -> np.ndarray:
    """S diag(values) S⁻¹ with a well conditioned S that is not orthogonal."""
    n = len(values)
    S = np.eye(n) + np.triu(np.random.default_rng(seed).uniform(-1, 1, (n, n)), 1) / np.sqrt(n)
    Q = orthogonal(n, seed + 1)
    return Q @ (S * np.asarray(values, float)) @ np.linalg.inv(S) @ Q.T


def laid_out(A: np.ndarray, layout: str):
    """A with the same numbers, lying otherwise."""
    n = len(A)
    if layout == "F":
        return np.asfortranarray(A)
    if layout == "strided":
        wide = np.full((2 * n, 3 * n), np.nan)
        wide[::2, ::3] = A
        return wide[::2, ::3]
    if layout == "reversed":
        return A[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "swapped":
        return A.astype(A.dtype.newbyteorder())
    if layout == "list":
        return A.tolist()
    A = A.copy()
    A.flags.writeable = layout != "read-only"
    return A


def forms(A: np.ndarray):
    """(name, form) for each kind of object that stands for A."""
    yield "dense", A
    yield "sparse array", scipy.sparse.csr_array(A)
    yield "sparse matrix", scipy.sparse.csc_matrix(A)
    yield "operator", aslinearoperator(A)
    yield "function", lambda v: A @ v
