"""Exactly singular or not: beside elimination of fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast.api.singularity import PRIMES, dependent_columns
from tests import reference_elimination as reference


def first_dependent(A):
    """By fractions: the first column without a pivot."""
    exact = np.array([[Fraction(float(x)) for x in row] for row in A])
    _, pivots = reference.echelon(exact, False, False, 0)
    return next((k for k in range(len(A)) if k not in pivots), -1)


@given(n=st.integers(1, 5), rank=st.integers(0, 5), seed=st.integers(0, 999))
def test_beside_fractions(n, rank, seed):
    rng = np.random.default_rng(seed)
    whole = (rng.integers(-4, 5, (6, n, rank)) @ rng.integers(-4, 5, (6, rank, n))).astype(float)
    floats = rng.standard_normal((6, n, n))
    floats[:3, -1] = floats[:3, 0] * 2 - floats[:3, n // 2] * (n > 2)
    for A in (whole, floats, whole * 2.0**-1060, floats * 2.0**900, floats.astype("float32")):
        assert dependent_columns(A).tolist() == [first_dependent(a) for a in A]


@pytest.mark.parametrize("prime", PRIMES)
def test_multiples_of_a_prime_are_not_zero(prime):
    assert all(prime % k for k in range(2, 46341))
    A = np.array([[[prime, 0.0], [0.0, 1.0]], [[1.0, 2.0], [3.0, 6.0 + prime]]])
    assert dependent_columns(A).tolist() == [-1, -1]
    A[0, 0, 0] = 0
    assert dependent_columns(A).tolist() == [0, -1]
    # The true dependency comes later than the one modulo this prime.
    late = np.array([[[prime, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 2.0, 2.0]]])
    assert dependent_columns(late).tolist() == [2]


def test_no_matrix():
    assert dependent_columns(np.empty((0, 3, 3))).shape == (0,)
