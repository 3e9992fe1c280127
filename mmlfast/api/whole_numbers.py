"""Products of matrices of integers, computed exactly on the floating-point units.

    A·B = Σ_ij 2^(16(i+j)) A_i·B_j  (mod 2^64)        A = Σ_i 2^(16i) A_i,  B = Σ_j 2^(16j) B_j

A sum of products of integers is exact in float32 while its terms add up to no more than 2^24 in
absolute value, and in float64 up to 2^53; so small integers are one product of floats.  Larger
ones are cut into limbs of 16 bits: all but the highest lie in 0 … 2^16 − 1, and a float64 product
of limbs is exact over 2^21 terms.  Sums wrap around as NumPy's do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.stacks import converted, multiply_into, once
from mmlfast.runtime.validate import aligned

LIMB_BITS = 16
LIMBS = 4
TERMS = 1 << (53 - 2 * LIMB_BITS)
EXACT = ((np.float32, 1 << 24), (np.float64, 1 << 53))


def multiply_integers(A: NDArray[Any], B: NDArray[Any], C: NDArray[Any], threads: int) -> None:
    """C = A·B modulo 2^bits of C, over all leading axes, which the three share."""
    largest = A.shape[-1] * _magnitude(A) * _magnitude(B)
    for dtype, limit in EXACT:
        if largest <= limit:
            product = _float_product(A, B, np.dtype(dtype), threads)
            # Through int64: what does not fit into C wraps around instead of being undefined.
            np.copyto(C, product.astype(np.int64), casting="unsafe")
            return
    total = np.zeros(C.shape, np.int64)
    for start in range(0, A.shape[-1], TERMS):
        terms = slice(start, start + TERMS)
        _add_limb_products(A[..., terms], B[..., terms, :], total, threads)
    np.copyto(C, total, casting="unsafe")


def _magnitude(X: NDArray[Any]) -> int:
    X = once(X)
    return max(int(X.max()), -int(X.min()))


def _add_limb_products(
    A: NDArray[Any], B: NDArray[Any], total: NDArray[np.int64], threads: int
) -> None:
    """total += A·B, limb by limb; limbs of zeros and shifts beyond 64 bits are left out."""
    a_limbs, b_limbs = _limbs(A), _limbs(B)
    for i, a_limb in enumerate(a_limbs):
        for j, b_limb in enumerate(b_limbs[: LIMBS - i]):
            product = _float_product(a_limb, b_limb, np.dtype(np.float64), threads)
            total += product.astype(np.int64) << (LIMB_BITS * (i + j))


def _limbs(X: NDArray[Any]) -> list[NDArray[np.int64]]:
    """X = Σ_i 2^(16i) X_i; only the highest limb has a sign, and what is left of X fits it."""
    rest = X.astype(np.int64)
    limbs: list[NDArray[np.int64]] = []
    while len(limbs) < LIMBS - 1 and (rest.max() >> LIMB_BITS or rest.min() < -(1 << LIMB_BITS)):
        limbs.append(rest & ((1 << LIMB_BITS) - 1))
        rest = rest >> LIMB_BITS
    return [*limbs, rest]


def _float_product(
    A: NDArray[Any], B: NDArray[Any], dtype: np.dtype[Any], threads: int
) -> NDArray[Any]:
    product = aligned((*A.shape[:-1], B.shape[-1]), dtype)
    multiply_into(converted(A, dtype), converted(B, dtype), product, threads)
    return product
