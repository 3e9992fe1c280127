"""Whether matrices of floating-point numbers are singular, exactly, whatever rounding would say.

    A singular over ℚ  ⇒  A singular modulo p        for every odd prime p

A floating-point number is an integer times a power of two, which is a number modulo p as well.  A
matrix that is singular modulo two primes of 31 bits, but not over ℚ, has a determinant of which
both are factors: one in 4·10¹⁸ of those that rounding made suspicious.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

# Products of two residues stay below 2⁶².
PRIMES = (2**31 - 1, 2**31 - 19)


def dependent_columns(A: NDArray[Any]) -> NDArray[np.intp]:
    """The first column of each matrix (count, n, n) that depends on those before it, else −1."""
    columns = np.zeros(len(A), np.intp)
    for prime in PRIMES:
        left = np.flatnonzero(columns >= 0)
        found = _dependent_modulo(A[left].astype(np.float64), prime)
        # By chance a column depends too early modulo a prime, never too late.
        columns[left] = np.where(found < 0, -1, np.maximum(found, columns[left]))
    return columns


def _residues(A: NDArray[np.float64], prime: int) -> Integers:
    fractions, exponents = np.frexp(A)
    integers = np.ldexp(fractions, 53).astype(np.int64)
    powers, where = np.unique(exponents - 53, return_inverse=True)
    factors = np.array([pow(2, int(power), prime) for power in powers], np.int64)
    return integers % prime * factors[where].reshape(A.shape) % prime


def _dependent_modulo(A: NDArray[np.float64], prime: int) -> NDArray[np.intp]:
    """As above, of residues: elimination without divisions, the first row that is not 0 on top."""
    M = _residues(A, prime)
    every = np.arange(len(M))
    columns = np.full(len(M), -1)
    for k in range(M.shape[-1]):
        rows = k + np.argmax(M[:, k:, k] != 0, axis=1)
        M[every, k], M[every, rows] = M[every, rows], M[every, k].copy()
        pivots = M[:, k, k, None, None]
        columns[(columns < 0) & (M[:, k, k] == 0)] = k
        below = M[:, k + 1 :, k + 1 :]
        below[...] = (below * pivots - M[:, k + 1 :, k, None] * M[:, k, None, k + 1 :]) % prime
    return columns
