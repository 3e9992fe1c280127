"""Gram–Schmidt kernels: exact where nothing is rounded, and as orthogonal as each method is."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from mmlfast.kernels import orthogonal as kernels
from tests import reference_bases as reference
from tests.tolerance import tol

WORK = ["float32", "float64"]
METHODS = ["classical", "modified", "twice"]
EPS = {work: float(np.finfo(work).eps) for work in WORK}


def integers(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def run(method, V, least=1e-5):
    """(Q, rank) of one matrix of rows; what lies around it in memory must stay NaN."""
    frame = np.full((3, *V.shape), np.nan, V.dtype)
    frame[1] = V
    ranks = np.array([-1])
    with np.errstate(all="ignore"):  # without compiler NumPy's numbers would warn
        getattr(kernels, method)(frame[1:2], V.dtype.type(least), ranks)
    assert np.isnan(frame[::2]).all()
    return frame[1], ranks[0]


def exactly_orthogonal(m, n, dtype):
    """Rows q with entries ±2^−p, and integer combinations of which they are the basis."""
    Q = scipy.linalg.hadamard(m)[:n] / np.sqrt(m)
    R = np.tril(np.random.default_rng(m + n).integers(-2, 3, (n, n)), -1) + 2 * np.eye(n)
    return Q.astype(dtype), (R @ Q).astype(dtype)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("m", [1, 7, 511, 512, 513, 1100])
@pytest.mark.parametrize("n_rows", [1, 2, 5, 16])
@pytest.mark.parametrize("n_before", [0, 4, 16])
def test_products_there_and_back_are_exact_on_integers(n_before, n_rows, m, work):
    X, V = integers((n_rows, m), work), integers((n_before, m), work, seed=1)
    frame = np.full((n_rows + 2, n_before + 3), np.nan, work)
    kernels.products(X, V, frame[: n_rows + 1])
    C = X @ V.T
    np.testing.assert_array_equal(frame[:n_rows, :n_before], C)
    assert np.isnan(frame[n_rows + 1 :]).all()
    rows = np.full((n_rows + 2, m), np.nan, work)
    rows[1:-1] = X
    kernels.subtract_products(np.ascontiguousarray(C), V, rows[1:-1])
    np.testing.assert_array_equal(rows[1:-1], X - C @ V)
    assert np.isnan(rows[[0, -1]]).all()


@pytest.mark.parametrize("work", WORK)
def test_the_naive_versions_say_the_same(work):
    X, V = integers((3, 20), work), integers((4, 20), work, seed=1)
    C = reference.products(X, V)
    np.testing.assert_array_equal(C, X @ V.T)
    np.testing.assert_array_equal(reference.subtract_products(C, V, X), X - C @ V)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("m", "n"), [(1, 1), (4, 1), (4, 4), (16, 15), (64, 16), (64, 17), (64, 64), (1024, 33)]
)
def test_exact_where_nothing_is_rounded(m, n, method, work):
    Q, V = exactly_orthogonal(m, n, work)
    found, rank = run(method, V)
    np.testing.assert_array_equal(found, Q)
    assert rank == n


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n", "m"), [(1, 3), (5, 5), (16, 40), (17, 30), (37, 70), (40, 600)])
def test_against_the_definition(n, m, method, work):
    V = np.random.default_rng(n).standard_normal((n, m)).astype(work)
    found, rank = run(method, V)
    expected = getattr(reference, method)(V.astype(np.float64), 1e-5)
    condition = np.linalg.cond(V.astype(np.float64))
    # The vectors themselves are as sensitive to rounding as V is ill-conditioned.
    np.testing.assert_allclose(found, expected, rtol=0, atol=condition * tol(work, m))
    assert rank == n


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at", [1, 3, 16, 20, 39])
def test_a_dependent_vector_becomes_zero(at, method, work):
    V = integers((40, 64), work)
    V[at] = V[0] - 3 * V[at - 1]
    found, rank = run(method, V, 40 * 64 * EPS[work])
    assert rank == 39
    assert not found[at].any()
    lengths = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(np.delete(lengths, at), 1, rtol=tol(work, 64))


@pytest.mark.parametrize("method", METHODS)
def test_zero_vectors_and_empty_ones(method):
    V = np.zeros((3, 4))
    V[1, 2] = -5
    found, rank = run(method, V)
    np.testing.assert_array_equal(found, [[0, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 0]])
    assert rank == 1
    for shape in ((0, 4), (3, 0), (0, 0)):
        assert run(method, np.zeros(shape))[1] == 0


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("n", [8, 40])
def test_what_each_method_loses(n, work):
    """κ·eps for the modified and eps for the double process, on columns from 1 to 1e-4 apart."""
    rng = np.random.default_rng(n)
    V = np.ones((n, 60)) + rng.standard_normal((n, 60)) * np.logspace(-1, -4, n)[:, None]
    V = V.astype(work)
    condition = np.linalg.cond(V.astype(np.float64))
    losses = {}
    for method in METHODS:
        Q, rank = run(method, V, 4 * EPS[work])
        Q = Q[Q.any(axis=1)].astype(np.float64)
        losses[method] = np.linalg.norm(Q @ Q.T - np.eye(len(Q)))
        assert rank == n
    assert losses["twice"] <= n * tol(work, 60)
    assert losses["modified"] <= n * condition * tol(work, 4)
    assert losses["twice"] < losses["modified"] < losses["classical"]


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize(("n", "m"), [(3, 2), (30, 5), (40, 20), (64, 33)])
def test_twice_is_orthonormal_even_when_nothing_counts_as_zero(n, m, work):
    """With tol = 0 only the halving of the second time tells rounding error from a direction."""
    V = np.random.default_rng(0).standard_normal((n, m)).astype(work)
    V[1] = V[0]
    Q, rank = run("twice", V, 0)
    assert rank == m
    Q = Q[Q.any(axis=1)].astype(np.float64)
    assert len(Q) == m
    assert np.linalg.norm(Q @ Q.T - np.eye(m)) <= m * tol(work, m)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("exponent", [-1, -0.6, 0.6, 1])
def test_extreme_lengths_change_no_bit(exponent, method, work):
    limits = np.finfo(work)
    power = (limits.minexp if exponent < 0 else limits.maxexp - 8) * abs(exponent)
    V = integers((20, 30), work)
    V[V == 0] = 1
    expected, rank = run(method, V, 1e-4)
    found, same_rank = run(method, np.ldexp(V, int(power)).astype(work), 1e-4)
    np.testing.assert_array_equal(found, expected)
    assert rank == same_rank == 20


@pytest.mark.parametrize("work", WORK)
def test_the_smallest_numbers_have_a_direction(work):
    tiny = np.finfo(work).smallest_subnormal
    Q, rank = run("twice", np.array([[tiny, 0], [tiny, tiny]], work))
    np.testing.assert_array_equal(Q, np.eye(2))
    assert rank == 2


@pytest.mark.parametrize("method", METHODS)
def test_each_matrix_of_a_stack_is_its_own(method):
    V = np.random.default_rng(1).standard_normal((6, 21, 30))
    V[2, 7] = V[2, 3]
    whole, ranks = V.copy(), np.zeros(6, np.int64)
    getattr(kernels, method)(whole, 1e-12, ranks)
    for s in range(6):
        alone, rank = run(method, V[s], 1e-12)
        np.testing.assert_array_equal(whole[s], alone)
        assert ranks[s] == rank == 21 - (s == 2)


@pytest.mark.parametrize("work", WORK)
def test_safe_length_scales_only_where_it_must(work):
    limits = np.finfo(work)
    ordinary = np.array([3, 4], work)
    assert kernels.safe_length(ordinary) == 5
    np.testing.assert_array_equal(ordinary, [3, 4])
    for v in ([limits.max, limits.max], [limits.smallest_subnormal, 0], [0, 0]):
        v = np.array(v, work)
        direction = np.sign(v)
        with np.errstate(all="ignore"):
            length = kernels.safe_length(v)
        assert 0.5 <= length < 2 or not direction.any()
        np.testing.assert_array_equal(np.sign(v), direction)
