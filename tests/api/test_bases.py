"""Coordinates, independence and Gram–Schmidt: round trips, certificates, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import change_basis, gram_schmidt, is_independent
from mmlfast.api.orthogonal import METHODS, orthogonality_loss
from tests.api.models import whole_numbers
from tests.tolerance import tol

FLOATS = ["float32", "float64"]


def gaussian(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def rotation(n, seed=0):
    return np.linalg.qr(gaussian(n, n, seed=seed))[0]


@pytest.mark.parametrize("dtype", FLOATS)
def test_coordinates_that_are_whole_numbers_are_exact(dtype):
    B = np.array([[1, 1, 0], [1, -1, 0], [0, 0, 4]], dtype)
    c = whole_numbers(5, 3, dtype)
    x = c @ B.T
    found = change_basis(x, B)
    np.testing.assert_allclose(found, c, atol=tol(dtype, 8) * 8)
    assert found.dtype == dtype
    np.testing.assert_array_equal(change_basis(x, np.eye(3, dtype=dtype)), x)
    np.testing.assert_array_equal(change_basis([5, -1], [[1, 1], [1, -1]]), [2, 3])
    np.testing.assert_array_equal(change_basis(c, np.eye(3), from_basis=B), x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 7, 60])
def test_there_and_back(n, dtype):
    x, B, C = (gaussian(*shape, dtype=dtype, seed=i)
               for i, shape in enumerate([(9, n), (n, n), (n, n)]))  # fmt: skip
    limit = 50 * (np.linalg.cond(B) + np.linalg.cond(C)) * tol(dtype, n)
    in_b = change_basis(x, B)
    np.testing.assert_allclose(in_b @ B.T, x, atol=limit)
    in_c = change_basis(in_b, C, from_basis=B)
    np.testing.assert_allclose(in_c @ C.T, x, atol=limit)
    np.testing.assert_allclose(change_basis(in_c, np.eye(n), from_basis=C), x, atol=limit)
    np.testing.assert_allclose(change_basis(x[0], B), in_b[0], atol=limit)
    np.testing.assert_allclose(change_basis(x.T, B, layout="columns"), in_b.T, atol=limit)
    np.testing.assert_allclose(change_basis(x[None, :, None], B)[0, :, 0], in_b, atol=limit)


def test_an_orthonormal_basis_keeps_lengths():
    Q, x = rotation(30), gaussian(8, 30)
    np.testing.assert_allclose(change_basis(x, Q), x @ Q, rtol=1e-15)
    np.testing.assert_allclose(
        np.linalg.norm(change_basis(x, Q), axis=1), np.linalg.norm(x, axis=1)
    )


def test_length_of_the_basis_vectors_costs_no_digits():
    B = rotation(3) * [1e-140, 1.0, 1e140]
    for at in range(3):
        np.testing.assert_allclose(change_basis(B[:, at], B)[at], 1, rtol=1e-14)
    with pytest.raises(ValueError, match="x holds values too large"):
        change_basis([1e200, 1.0], np.diag([1e-200, 1.0]))
    np.testing.assert_allclose(change_basis([2e-300, 3.0], np.diag([1e-300, 1e300])), [2, 3e-300])


def test_change_basis_knows_its_dtypes():
    assert change_basis([1, 2], np.eye(2, dtype=int)).dtype == "float64"
    assert change_basis(np.ones(2, np.float16), np.eye(2, dtype=np.float32)).dtype == "float32"
    assert change_basis(np.ones(2, np.float32), np.eye(2)).dtype == "float64"
    mixed = change_basis(np.ones(2), np.array([[1, 2], [3, 4]], np.float32))
    np.testing.assert_allclose(mixed, [-1, 1], rtol=1e-14)
    assert change_basis(np.zeros((0, 2)), [[1, 1], [0, 1]]).shape == (0, 2)


SINGULAR = [[1.0, 2.0, 3.0], [4.0, 5.0, 9.0], [7.0, 8.0, 15.0]]


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (([1, 2, 3], SINGULAR), {}, "columns of basis must be independent; 3 columns have rank 2"),
        (([1, 2], np.zeros((2, 2))), {}, "2 columns have rank 0"),
        (([1, 2], np.eye(2)), {"from_basis": np.ones((2, 2))}, "columns of from_basis.*rank 1"),
        (([1, 2], np.ones((2, 1))), {}, r"basis must be square.*\(2, 1\).*Projection"),
        (([1, 2], np.eye(2)), {"from_basis": np.eye(3)}, r"of one size; got \(2, 2\) and \(3, 3\)"),
        ((np.ones((3, 2)), np.eye(3)), {}, r'vectors of 3 numbers.*\(3, 2\).*layout="columns"'),
        ((np.ones((3, 2)), np.eye(2)), {"layout": "columns"}, r"of 2 numbers.*\(3, 2\)\.$"),
        (([1, 2], np.eye(2)), {"layout": "F"}, "layout must be .*; got 'F'"),
        (([1, np.nan], np.eye(2)), {}, "x must be finite"),
        (([1, 2], [1, 2]), {}, "basis must be a matrix"),
    ],
)
def test_change_basis_refuses(arguments, options, error):
    with pytest.raises(ValueError, match=error):
        change_basis(*arguments, **options)


def test_a_singular_basis_is_a_linear_algebra_error():
    with pytest.raises(np.linalg.LinAlgError, match="independent"):
        change_basis([1, 2, 3], SINGULAR)


@pytest.mark.parametrize("dtype", FLOATS)
def test_is_independent(dtype):
    A = whole_numbers(6, 4, dtype)
    assert is_independent(A) is True
    A[:, 3] = A[:, 0] - 2 * A[:, 1]
    assert is_independent(A) is False
    assert not is_independent(np.zeros((3, 1), dtype))
    assert not is_independent(np.ones((2, 3), dtype))
    assert is_independent(np.ones((3, 0), dtype))
    assert not is_independent(np.ones((0, 3), dtype))
    assert is_independent(np.diag([np.finfo(dtype).tiny, np.finfo(dtype).max]))


def test_is_independent_looks_at_each_of_a_stack():
    stack = np.stack([np.eye(3), np.ones((3, 3)), np.diag([1, 2, 0]), 1e-9 * np.eye(3)])
    found = is_independent(stack)
    np.testing.assert_array_equal(found, [True, False, False, True])
    np.testing.assert_array_equal(is_independent(stack.reshape(2, 2, 3, 3)), found.reshape(2, 2))


def test_is_independent_has_a_tolerance():
    nearly = [[1.0, 1.0], [0.0, 1e-6]]
    assert is_independent(nearly)
    assert not is_independent(nearly, tol=1e-5)
    with pytest.raises(ValueError, match="tol must not be negative; got -1"):
        is_independent(nearly, tol=-1)
    with pytest.raises(TypeError, match="A must hold real numbers"):
        is_independent([[1j]])


@given(n=st.integers(1, 6), extra=st.integers(0, 4), seed=st.integers(0, 200))
def test_independence_agrees_with_numpy_and_with_gram_schmidt(n, extra, seed):
    A = np.random.default_rng(seed).integers(-2, 3, (n + extra, n)).astype(float)
    expected = np.linalg.matrix_rank(A)
    assert is_independent(A) == (expected == n)
    assert gram_schmidt(A, return_rank=True).rank == expected


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (30, 12), (50, 40), (700, 35)])
def test_an_orthonormal_basis_of_the_same_spans(shape, method, dtype):
    A = gaussian(*shape, dtype=dtype)
    Q = gram_schmidt(A, method=method)
    assert Q.dtype == dtype
    condition = np.linalg.cond(A.astype(np.float64))
    slack = tol(dtype, shape[0]) * shape[1]
    loss = {"twice": 1, "modified": condition, "classical": condition**2}[method]
    assert orthogonality_loss(Q) <= loss * slack
    R = Q.T.astype(np.float64) @ A
    np.testing.assert_allclose(Q @ np.triu(R), A, atol=loss * slack * np.abs(A).max())
    assert (np.diagonal(R) > 0).all()


@pytest.mark.parametrize("method", METHODS)
@given(seed=st.integers(0, 99), powers=st.lists(st.integers(-900, 900), min_size=5, max_size=5))
def test_length_changes_no_bit(method, seed, powers):
    A = np.random.default_rng(seed).integers(-9, 10, (6, 5)).astype(float)
    np.testing.assert_array_equal(
        gram_schmidt(np.ldexp(A, powers), method=method), gram_schmidt(A, method=method)
    )


@pytest.mark.parametrize("method", METHODS)
def test_dependent_columns_become_zero_or_are_dropped(method):
    A = np.array([[1.0, 2.0, 0.0, 1.0], [1.0, 2.0, 1.0, 3.0], [0.0, 0.0, 1.0, 2.0]])
    Q, rank = gram_schmidt(A, method=method, return_rank=True)
    assert rank == 2
    assert isinstance(rank, int)
    np.testing.assert_array_equal(Q.any(axis=0), [True, False, True, False])
    kept = gram_schmidt(A, method=method, dependent="drop")
    np.testing.assert_array_equal(kept, Q[:, [0, 2]])
    assert gram_schmidt(np.zeros((3, 2)), dependent="drop").shape == (3, 0)


def test_the_tolerance_is_relative_to_each_column():
    A = np.array([[1.0, 1.0], [0.0, 1e-6]])
    assert gram_schmidt(A, return_rank=True).rank == 2
    assert gram_schmidt(A, tol=1e-5, return_rank=True).rank == 1
    assert gram_schmidt(A * [1.0, 1e9], tol=1e-5, return_rank=True).rank == 1
    assert gram_schmidt([[1.0, 1e-20], [0.0, 1e-20]], return_rank=True).rank == 2


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 4])
def test_a_stack_on_any_number_of_threads(n_jobs):
    A = gaussian(5, 40, 30, 20)
    A[2, 7, :, 11] = 0
    Q, rank = gram_schmidt(A, return_rank=True, n_jobs=n_jobs)
    assert Q.shape == A.shape
    assert rank.shape == (5, 40)
    assert (rank == 20).sum() == 199
    assert rank[2, 7] == 19
    for at in np.ndindex(5, 40):
        np.testing.assert_array_equal(Q[at], gram_schmidt(A[at]))
    loss = gram_schmidt(A, return_rank=True).orthogonality_loss
    assert loss.shape == (5, 40)
    assert (loss < 1e-13).all()


def test_layouts_dtypes_and_no_change_of_the_input():
    A = gaussian(9, 6)
    expected = gram_schmidt(A)
    before = A.copy()
    read_only = A.copy()
    read_only.flags.writeable = False
    for laid_out in (
        np.asfortranarray(A), A[::-1, ::-1].copy()[::-1, ::-1], np.repeat(A, 2, axis=1)[:, ::2],
        A.tolist(), A.astype(">f8"), read_only,
    ):  # fmt: skip
        np.testing.assert_array_equal(gram_schmidt(laid_out), expected)
    np.testing.assert_array_equal(A, before)
    square = np.asfortranarray(gaussian(4, 4))
    before = square.copy()
    gram_schmidt(square)
    np.testing.assert_array_equal(square, before)
    whole = whole_numbers(5, 3)
    np.testing.assert_array_equal(gram_schmidt(whole.astype(int)), gram_schmidt(whole))
    assert gram_schmidt(whole.astype("float16")).dtype == "float32"


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 3), (0, 2, 2), (4, 3, 0)])
def test_nothing_is_allowed(shape):
    Q, rank = gram_schmidt(np.zeros(shape), return_rank=True)
    assert Q.shape == shape
    assert not np.any(rank)


def test_the_loss_leaves_zero_columns_out():
    Q = np.eye(4)[:, :3]
    Q[2, 2] = 0
    assert orthogonality_loss(Q) == 0
    Q[:, 2] = Q[:, 1]
    assert orthogonality_loss(Q) == np.sqrt(2)


@pytest.mark.parametrize(
    ("A", "options", "kind", "error"),
    [
        ([1.0, 2.0], {}, ValueError, r"A must be a matrix \(2 axes\) or a stack.*\(2,\)"),
        ([[1.0, np.nan]], {}, ValueError, r"A must be finite; A\[0, 1\] is nan"),
        ([[1j]], {}, TypeError, "real numbers"),
        (np.eye(2), {"method": "householder"}, ValueError, "one of twice, modified, classical"),
        (np.eye(2), {"dependent": "raise"}, ValueError, "dependent must be"),
        (np.eye(2), {"tol": -1}, ValueError, "tol must be at least 0 and below 1; got -1"),
        (np.eye(2), {"tol": np.nan}, ValueError, "tol must be"),
        (np.ones((2, 2, 2)), {"dependent": "drop"}, ValueError, "takes one matrix"),
    ],
)
def test_gram_schmidt_refuses(A, options, kind, error):
    with pytest.raises(kind, match=error):
        gram_schmidt(A, **options)
