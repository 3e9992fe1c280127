"""Projection: the properties that define it, whatever spans the subspace; and the checker."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import Projection, gram_schmidt, inner, vector_projection
from tests import reference_bases as reference
from tests.api.models import whole_numbers
from tests.tolerance import tol

FLOATS = ["float32", "float64"]
METRIC = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]])


def gaussian(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (3, 2), (5, 5), (40, 7)])
def test_against_the_definition(n, k, dtype):
    B, X = gaussian(n, k, dtype=dtype), gaussian(6, n, dtype=dtype, seed=1)
    P = reference.projection_matrix(B.astype(np.float64))
    limit = 4 * np.linalg.cond(B) ** 2 * tol(dtype, n)
    found = Projection(B)
    assert found.rank == k
    assert repr(found) == f"Projection(n={n}, rank={k})"
    np.testing.assert_allclose(found.matrix, P, atol=limit)
    np.testing.assert_allclose(found.apply(X), X @ P.T, atol=limit)
    np.testing.assert_allclose(found.residual(X), X - X @ P.T, atol=limit)
    least_squares = np.linalg.lstsq(B, X.T)[0].T
    np.testing.assert_allclose(found.coordinates(X), least_squares, atol=10 * limit)
    np.testing.assert_allclose(found.coordinates(X) @ B.T, found.apply(X), atol=10 * limit)
    for value in (found.matrix, found.apply(X), found.coordinates(X), found.residual(X)):
        assert value.dtype == dtype
    assert found.check()


@given(n=st.integers(1, 7), k=st.integers(1, 7), seed=st.integers(0, 300))
def test_the_defining_properties(n, k, seed):
    """Whatever B is: dependent columns, zero columns, more columns than rows."""
    rng = np.random.default_rng(seed)
    B = rng.integers(-2, 3, (n, k)).astype(float) * 10.0 ** rng.integers(-8, 9, k)
    x = rng.standard_normal((3, n))
    found = Projection(B)
    assert found.rank == np.linalg.matrix_rank(B / np.maximum(np.abs(B).max(axis=0), 1e-300))
    projected, rest = found.apply(x), found.residual(x)
    size = np.linalg.norm(x)
    np.testing.assert_allclose(projected + rest, x, atol=1e-14 * size)
    np.testing.assert_allclose(found.apply(projected), projected, atol=1e-13 * size)
    unit = B / np.maximum(np.linalg.norm(B, axis=0), 1e-300)
    assert np.abs(rest @ unit).max() <= 1e-12 * size
    np.testing.assert_allclose(found.apply(unit.T), unit.T, atol=1e-12)
    coordinates = found.coordinates(x)
    assert np.count_nonzero(coordinates.any(axis=0)) <= found.rank
    np.testing.assert_allclose(coordinates @ B.T, projected, atol=1e-11 * size)
    np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(found.rank), atol=1e-14)
    assert found.check()


@given(k=st.integers(0, 3), seed=st.integers(0, 200))
def test_another_inner_product(k, seed):
    rng = np.random.default_rng(seed)
    B = rng.integers(-3, 4, (3, k)).astype(float)
    x = rng.standard_normal(3)
    found = Projection(B, METRIC)
    rest = found.residual(x)
    for column in B.T:
        assert abs(inner(rest, column, METRIC)) < 1e-13 * 30
    np.testing.assert_allclose(found.basis.T @ METRIC @ found.basis, np.eye(found.rank), atol=1e-13)
    np.testing.assert_allclose(found.matrix @ x, found.apply(x), atol=1e-13)
    np.testing.assert_allclose(B @ found.coordinates(x), found.apply(x), atol=1e-12)
    check = found.check()
    assert check
    assert check.symmetric.meaning == "AP = (AP)ᵀ"
    if found.rank == k:
        np.testing.assert_allclose(found.matrix, reference.projection_matrix(B, METRIC), atol=1e-12)


def test_one_vector_is_a_line():
    b, x = np.array([1.0, 2.0, 2.0]), gaussian(4, 3)
    line = Projection(b)
    np.testing.assert_allclose(line.matrix, np.outer(b, b) / 9, atol=1e-15)
    np.testing.assert_allclose(line.apply(x), vector_projection(x, b), atol=1e-15)
    np.testing.assert_allclose(line.coordinates(b), [1], rtol=1e-15)


def test_it_is_the_projection_on_what_gram_schmidt_finds():
    B = whole_numbers(20, 6)
    Q = gram_schmidt(B)
    np.testing.assert_allclose(Projection(B).matrix, Q @ Q.T, atol=1e-13)


def test_ill_conditioned_columns_cost_no_orthogonality():
    """The inverse of BᵀB has lost every digit here: κ(B)² = 1e26."""
    B = 1 / (np.arange(12)[:, None] + np.arange(1, 10))
    found = Projection(B, tol=0)
    assert found.rank == 9
    assert found.check(tol=1e-14)
    assert not Projection.check_matrix(reference.projection_matrix(B), B)


def test_dependent_columns_are_told():
    B = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])
    found = Projection(B)
    assert found.rank == 2
    assert 2 in found.columns
    assert len(set(found.columns) & {0, 1}) == 1
    coordinates = found.coordinates([4.0, 6.0, 1.0])
    np.testing.assert_array_equal(B @ coordinates, [4, 6, 0])
    assert np.count_nonzero(coordinates) == 2
    assert Projection(B, tol=2).rank == 0
    np.testing.assert_array_equal(Projection(np.zeros((3, 2))).apply([1.0, 2.0, 3.0]), np.zeros(3))


def test_shapes_and_extremes():
    found = Projection(np.eye(3)[:, :2])
    assert found.apply(np.ones((2, 4, 3))).shape == (2, 4, 3)
    assert found.apply(np.ones((0, 3))).shape == (0, 3)
    assert found.coordinates(np.ones((2, 4, 3))).shape == (2, 4, 2)
    assert found.apply(np.ones(3, np.float32)).dtype == "float64"
    assert Projection(np.eye(3, 1, dtype=np.float32)).apply([1, 2, 3]).dtype == "float64"
    extreme = Projection(np.eye(3)[:, :2] * [1e-300, 1e300])
    np.testing.assert_array_equal(extreme.coordinates([2e-300, 3e300, 1.0]), [2, 3])
    empty = Projection(np.zeros((3, 0)))
    np.testing.assert_array_equal(empty.matrix, np.zeros((3, 3)))
    assert empty.coordinates(np.ones(3)).shape == (0,)
    assert empty.check()


@pytest.mark.parametrize(
    ("P", "B", "failing"),
    [
        (np.eye(3), None, []),
        (np.zeros((2, 2)), None, []),
        (np.full((2, 2), 0.5), [1.0, 1.0], []),
        ([[1.0, 1.0], [0.0, 0.0]], None, ["symmetric", "orthogonal"]),
        (2 * np.eye(2), None, ["idempotent", "rank", "orthogonal"]),
        (np.diag([1.0, 0.5]), None, ["idempotent", "rank", "orthogonal"]),
        (np.eye(2), [1.0, 0.0], ["rank"]),
        (np.diag([1.0, 0.0]), [0.0, 1.0], ["orthogonal"]),
        (np.diag([1.0, -1.0]), None, ["idempotent", "rank", "orthogonal"]),
        (np.full((2, 2), 1e200), None, ["idempotent", "rank", "orthogonal"]),
    ],
)
def test_the_checker_names_what_fails(P, B, failing):
    check = Projection.check_matrix(P, B)
    assert [name for name in check._fields if not getattr(check, name).holds] == failing
    assert bool(check) == (not failing)
    text = repr(check)
    assert text.startswith(
        "ProjectionCheck: " + ("fails: " + ", ".join(failing) if failing else "all hold")
    )
    for name, invariant in check._asdict().items():
        assert invariant.meaning in text
        assert (f"FAILS  {name}" in text) == (name in failing)


def test_the_checker_measures():
    P = np.diag([1.0, 0.0])
    P[0, 1] = 1e-3
    check = Projection.check_matrix(P)
    assert check.symmetric.error == pytest.approx(1e-3 * 2**0.5, rel=1e-5)
    assert not check
    assert Projection.check_matrix(P, tol=1e-2)
    nearly = np.outer([1, 1], [1, 1]).astype("float32") / np.float32(2) + np.float32(1e-5)
    assert Projection.check_matrix(nearly)
    assert not Projection.check_matrix(nearly.astype("float64"))


def test_the_checker_knows_other_inner_products():
    P = reference.projection_matrix(np.eye(3)[:, :2], METRIC)
    assert not Projection.check_matrix(P)
    assert Projection.check_matrix(P, None, METRIC)
    assert Projection.check_matrix(P, np.eye(3)[:, :2], METRIC)


@pytest.mark.parametrize(
    ("call", "kind", "error"),
    [
        (lambda: Projection(np.ones((2, 2, 2))), ValueError, r"B must be a matrix.*\(2, 2, 2\)"),
        (lambda: Projection([[np.inf]]), ValueError, r"B must be finite; B\[0, 0\] is inf"),
        (lambda: Projection([[1j]]), TypeError, "B must hold real numbers"),
        (lambda: Projection(np.eye(2), tol=-1), ValueError, "tol must not be negative; got -1"),
        (lambda: Projection(np.eye(2), -np.eye(2)), ValueError, "positive definite.*is -1"),
        (lambda: Projection(np.eye(3, 2)).apply([1, 2]), ValueError, r"x must hold vectors of 3"),
        (lambda: Projection(np.eye(3, 2)).apply(np.ones((3, 2))), ValueError, r"pass x\.T"),
        (lambda: Projection([1, 1]).apply([1.7e308] * 2), ValueError, "x holds values too large"),
        (lambda: Projection.check_matrix(np.ones((2, 3))), ValueError, "P must be a square"),
        (lambda: Projection.check_matrix(np.eye(2), np.eye(3)), ValueError, "B must have 2 rows"),
    ],
)
def test_what_does_not_fit(call, kind, error):
    with pytest.raises(kind, match=error):
        call()
