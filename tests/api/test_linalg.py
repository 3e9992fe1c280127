"""matmul: exact on whole numbers, whatever the layout; refuses what does not fit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import matmul
from tests.api.models import whole_numbers
from tests.tolerance import assert_product_close

FLOATS = ["float32", "float64"]


def laid_out(A: np.ndarray, layout: str) -> np.ndarray:
    """A with the same numbers, lying otherwise."""
    m, n = A.shape
    if layout == "F":
        return np.asfortranarray(A)
    if layout == "reversed":
        return A[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "strided":
        wide = np.full((2 * m, 3 * n), np.nan).astype(A.dtype)
        wide[::2, ::3] = A
        return wide[::2, ::3]
    if layout == "read-only":
        A = A.copy()
        A.flags.writeable = False
    if layout == "swapped":
        return A.astype(A.dtype.newbyteorder())
    return A


LAYOUTS = ["C", "F", "reversed", "strided", "read-only", "swapped"]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("k", [0, 1, 2, 5, 12])
def test_every_small_size_is_exact(k, dtype):
    for m, n in itertools.product(range(13), repeat=2):
        A, B = whole_numbers(m, k, dtype), whole_numbers(k, n, dtype, seed=1)
        np.testing.assert_array_equal(matmul(A, B), A @ B, strict=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
def test_every_layout_is_exact(left, right, dtype):
    A, B = whole_numbers(37, 53, dtype), whole_numbers(53, 29, dtype, seed=1)
    C = matmul(laid_out(A, left), laid_out(B, right))
    np.testing.assert_array_equal(C, A @ B, strict=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(300, 257, 301), (1, 5000, 1), (2000, 1, 3), (5, 700, 900)])
def test_larger_ones_are_exact_and_within_the_bound(shape, dtype):
    m, k, n = shape
    A, B = whole_numbers(m, k, dtype), whole_numbers(k, n, dtype, seed=1)
    np.testing.assert_array_equal(matmul(A, B), A @ B)
    A, B = (np.random.default_rng(i).standard_normal(s).astype(dtype)
            for i, s in enumerate([(m, k), (k, n)]))  # fmt: skip
    assert_product_close(matmul(A, B), A, B)


@given(m=st.integers(0, 40), k=st.integers(0, 40), n=st.integers(0, 40), seed=st.integers(0, 99))
def test_identities(m, k, n, seed):
    A, B = whole_numbers(m, k, seed=seed), whole_numbers(k, n, seed=seed + 1)
    np.testing.assert_array_equal(matmul(A, np.eye(k)), A)
    np.testing.assert_array_equal(matmul(np.eye(k), B), B)
    np.testing.assert_array_equal(matmul(B.T, A.T), matmul(A, B).T)
    np.testing.assert_array_equal(matmul(A, B + B), 2 * matmul(A, B))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (64, 64), (130, 70)])
def test_out_is_overwritten_and_its_frame_is_not(shape, order, dtype):
    m, n = shape
    A, B = whole_numbers(m, 31, dtype), whole_numbers(31, n, dtype, seed=1)
    frame = np.full((m + 6, n + 10), np.nan, dtype, order=order)
    out = frame[3:-3, 5:-5]
    assert matmul(A, B, out=out) is out
    np.testing.assert_array_equal(out, A @ B)
    out[:] = np.nan
    assert np.isnan(frame).all()
    stepped = np.zeros((2 * m, 2 * n), dtype)[::-2, ::2]
    np.testing.assert_array_equal(matmul(A, B, out=stepped), A @ B)


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("float32", "float32", "float32"), ("float64", "float32", "float64"),
        ("float16", "float16", "float32"), ("float16", "float64", "float64"),
        ("uint8", "uint8", "float64"), ("int64", "float32", "float64"), ("bool", "int8", "float64"),
    ],
)  # fmt: skip
def test_the_dtype_of_the_result(a, b, result):
    A, B = np.abs(whole_numbers(9, 7)).astype(a), np.abs(whole_numbers(7, 5, seed=1)).astype(b)
    C = matmul(A, B)
    assert C.dtype == result
    np.testing.assert_array_equal(C, A.astype("float64") @ B.astype("float64"))


def test_lists_are_matrices_too():
    np.testing.assert_array_equal(matmul([[1, 2]], [[3], [4]]), [[11.0]], strict=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_thread_count_changes_no_bit(dtype):
    rng = np.random.default_rng(0)
    A, B = (
        rng.standard_normal((700, 400)).astype(dtype),
        rng.standard_normal((400, 900)).astype(dtype),
    )
    for a, b in ((A, B), (B.T, A.T)):
        one = matmul(a, b, n_jobs=1)
        for n in (2, 3, 4):
            np.testing.assert_array_equal(matmul(a, b, n_jobs=n), one)


def test_nan_and_infinity_go_through():
    A = np.eye(5)
    A[2, 3] = np.nan
    A[4, 0] = np.inf
    C = matmul(A, np.ones((5, 3)))
    assert np.isnan(C[2]).all()
    assert np.isposinf(C[4]).all()
    assert np.isfinite(C[[0, 1, 3]]).all()


A = np.ones((3, 4))
B = np.ones((4, 2))
READ_ONLY = np.broadcast_to(np.zeros(2), (3, 2))


@pytest.mark.parametrize(
    ("arguments", "out", "kind", "error"),
    [
        ((A, A), None, ValueError, r"a has 4 columns and b has 3 rows.*\(3, 4\)"),
        ((A[0], B), None, ValueError, r"a must be a matrix \(2 axes\); got shape \(4,\)"),
        ((A, B[None]), None, ValueError, "b must be a matrix"),
        ((A * 1j, B), None, TypeError, "a must hold real numbers; got dtype complex128"),
        ((A, B.astype(str)), None, TypeError, "b must hold real numbers"),
        ((A, B), np.empty((2, 3)), ValueError, r"out must be an array of shape \(3, 2\)"),
        ((A, B), [[0.0] * 2] * 3, ValueError, "out must be an array"),
        ((A, B), np.empty((3, 2), "f4"), TypeError, "out must have dtype float64.*got float32"),
        ((A, B), READ_ONLY, ValueError, "read-only"),
        ((A, B), A[:, :2], ValueError, "must not share memory"),
    ],
)
def test_what_does_not_fit(arguments, out, kind, error):
    with pytest.raises(kind, match=error):
        matmul(*arguments, out=out)
