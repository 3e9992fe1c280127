"""How far a sum of rounded products may lie from the exact one: a function of dtype and depth."""

from __future__ import annotations

import numpy as np


def tol(dtype, k: int) -> float:
    """The bound γ_k of a sum of k products, relative to the sum of their absolute values.

    Higham, Accuracy and Stability of Numerical Algorithms, section 3.1; 4 covers single operations.
    """
    return max(k, 4) * float(np.finfo(dtype).eps)


def assert_product_close(actual, A, B, dtype=None) -> None:
    """|actual − A·B| ≤ tol·|A|·|B|, element by element."""
    A, B = np.asarray(A, np.float64), np.asarray(B, np.float64)
    bound = tol(dtype or actual.dtype, A.shape[1]) * (np.abs(A) @ np.abs(B))
    assert (np.abs(actual - A @ B) <= bound).all()
