"""The covariance as an operator: what it multiplies by, in the same bits however rows arrive."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlfast.api.krylov import leading_pairs
from mmlfast.api.operator import BLOCK_ROWS, CovarianceOperator
from mmlfast.runtime.sources import open_source
from mmlfast.runtime.validate import work_dtype
from tests.tolerance import tol

ROWS, WIDTH = 2 * BLOCK_ROWS + 300, 70


def numbers(dtype):
    return (9 * np.random.default_rng(0).standard_normal((ROWS, WIDTH)) + 40).astype(dtype)


Q = np.random.default_rng(1).standard_normal((WIDTH, 21))


def applied_twice(data, dtype, threads):
    """Both reads: the first finds the mean, the second knows it."""
    with open_source(data) as source:
        operator = CovarianceOperator(source, work_dtype(np.dtype(dtype)), threads=threads)
        products = [operator.apply(Q), operator.apply(Q)]
    assert operator.n_passes == 2
    assert operator.n_rows == ROWS
    return [*products, operator.mean, operator.variances]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint8", "int32"])
def test_it_is_the_covariance(dtype):
    X = numbers(dtype)
    exact = X.astype(np.float64)
    C = np.cov(exact.T, ddof=0)
    first, second, mean, variances = applied_twice(X, dtype, 2)
    work = work_dtype(np.dtype(dtype))
    # Products of ROWS rows about a shift, summed in blocks.
    bound = tol(work, BLOCK_ROWS) * np.abs(C).max() * np.abs(Q).sum(axis=0).max()
    for product in (first, second):
        assert np.abs(product - C @ Q).max() <= bound
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=tol(work, BLOCK_ROWS))
    np.testing.assert_allclose(variances, exact.var(axis=0), rtol=tol(work, BLOCK_ROWS))


@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8"])
def test_same_bits_for_any_batches_and_threads(dtype):
    X = numbers(dtype)
    whole = applied_twice(X, dtype, 1)

    @settings(max_examples=10)
    @given(st.lists(st.integers(1, ROWS - 1), max_size=6), st.integers(1, 4))
    def check(cuts, threads):
        def batches():
            for lo, hi in itertools.pairwise(sorted({0, *cuts, ROWS})):
                yield X[lo:hi]

        for result, expected in zip(applied_twice(batches, dtype, threads), whole, strict=True):
            np.testing.assert_array_equal(result, expected)

    check()


@pytest.mark.parametrize("at", [(0, 0), (BLOCK_ROWS + 5, 3), (ROWS - 1, WIDTH - 1)])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_bad_number_is_named(at, threads):
    X = numbers("float32")
    X[at] = np.nan
    with open_source(X) as source:
        operator = CovarianceOperator(source, X.dtype, threads=threads)
        with pytest.raises(ValueError, match=f"NaN.*row {at[0]}, column {at[1]} "):
            operator.apply(Q)


def pairs_of(C, k, **options):
    settings = {"block": 16, "tol": 1e-10, "min_applications": 2, "max_applications": 12}
    return leading_pairs(
        lambda Q: C @ Q, len(C), k, random_state=np.random.RandomState(0), **settings | options
    )


def test_leading_pairs_carry_their_certificate():
    d, k = 200, 8
    basis, _ = np.linalg.qr(np.random.default_rng(2).standard_normal((d, d)))
    values = 0.7 ** np.arange(d)
    C = (basis * values) @ basis.T
    pairs = pairs_of(C, k)
    assert pairs.converged
    assert pairs.residual <= 1e-10
    np.testing.assert_allclose(pairs.values, values[:k], rtol=1e-9)
    residuals = np.linalg.norm(C @ pairs.vectors - pairs.vectors * pairs.values, axis=0)
    assert (residuals <= 1e-9 * values[:k]).all()
    np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(k), atol=1e-9)


def test_fewer_applications_than_needed_are_told():
    C = np.diag(1 + np.arange(300.0))
    pairs = pairs_of(C, 10, max_applications=2)
    assert not pairs.converged
    assert pairs.n_applications == 2
    assert pairs.residual > 1e-10


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_an_operator_of_low_rank_is_exhausted(rank):
    """The Krylov space is complete after one application: nothing more is to be found."""
    factor = np.random.default_rng(3).standard_normal((120, rank))
    C = factor @ factor.T
    pairs = pairs_of(C, 8)
    assert pairs.converged
    expected = np.zeros(8)
    expected[:rank] = np.linalg.eigvalsh(factor.T @ factor)[::-1]
    np.testing.assert_allclose(pairs.values, expected, atol=1e-9 * max(1.0, expected.max()))
