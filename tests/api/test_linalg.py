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
        ("uint8", "uint8", "int32"), ("int8", "uint8", "int32"), ("bool", "int8", "int32"),
        ("int16", "int8", "int64"), ("int32", "int32", "int64"), ("uint64", "uint64", "uint64"),
        ("uint64", "int8", "float64"), ("int64", "float32", "float64"), ("bool", "bool", "bool"),
        ("complex64", "int8", "complex64"), ("complex128", "float32", "complex128"),
        (">f4", ">f4", "float32"), (">i2", ">c8", "complex64"),
    ],
)  # fmt: skip
def test_the_dtype_of_the_result(a, b, result):
    A, B = (np.abs(whole_numbers(9, 7)).astype(a), np.abs(whole_numbers(7, 5, seed=1)).astype(b))
    C = matmul(A, B)
    assert C.dtype == result
    A, B = (np.real(X).astype("float64") for X in (A, B))
    np.testing.assert_array_equal(C, (A @ B).astype(result))


def test_lists_are_matrices_too():
    np.testing.assert_array_equal(matmul([[1.0, 2]], [[3], [4]]), [[11.0]], strict=True)


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
        ((A[0, :3], B), None, ValueError, r"a has 3 columns and b has 4 rows.*\(3,\)"),
        ((A[0, 0], B), None, ValueError, "a must have at least one axis; got a number"),
        ((np.ones((2, 1, 4)), np.ones((3, 4, 1))), None, ValueError, r"leading axes.*\(2, 1, 4\)"),
        ((A[0], B), np.empty((1, 2)), ValueError, r"out must be an array of shape \(2,\)"),
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


STACKS = [
    ((5, 3, 4), (5, 4, 2)), ((5, 3, 4), (4, 2)), ((3, 4), (5, 4, 2)), ((2, 1, 3, 4), (5, 4, 2)),
    ((1, 3, 4), (7, 4, 2)), ((3, 100, 70), (3, 70, 90)), ((0, 3, 4), (4, 2)), ((2, 3, 0), (0, 2)),
    ((4,), (4,)), ((4,), (4, 3)), ((3, 4), (4,)), ((5, 3, 4), (4,)), ((4,), (5, 4, 3)),
    ((900, 2, 2), (900, 2, 2)), ((600, 17, 9), (600, 9, 33)), ((1, 1, 1), (1, 1, 1)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [*FLOATS, "float16", "uint8", "int32", "complex128"])
@pytest.mark.parametrize(("left", "right"), STACKS, ids=str)
def test_stacks_and_vectors_are_exact(left, right, dtype):
    A, B = (
        whole_numbers(int(np.prod(shape)), 1, seed=i).reshape(shape)
        for i, shape in enumerate((left, right))
    )
    A, B = np.abs(A).astype(dtype), np.abs(B).astype(dtype)
    C = matmul(A, B)
    expected = np.matmul(A.astype(C.dtype), B.astype(C.dtype))
    np.testing.assert_array_equal(C, expected, strict=True)
    frame = np.zeros((*C.shape, 3), C.dtype)
    if C.ndim:
        assert np.shares_memory(matmul(A, B, out=frame[..., 1]), frame) or not C.size
        np.testing.assert_array_equal(frame[..., 1], expected)
        assert not frame[..., ::2].any()


@pytest.mark.parametrize("turn", ["A", "B", "both", "reversed", "every second"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_stacks_of_any_layout(turn, dtype):
    A, B = (whole_numbers(64 * 12, 12, dtype, seed=i).reshape(64, 12, 12) for i in (0, 1))
    A = A.swapaxes(1, 2) if turn in ("A", "both") else A
    B = B.swapaxes(1, 2) if turn in ("B", "both") else B
    if turn == "reversed":
        A, B = A[::-1, ::-1], B[::-1, :, ::-1]
    if turn == "every second":
        A, B = A[::2, ::2, ::2], B[1::2, ::2, 1::2]
    np.testing.assert_array_equal(matmul(A, B), np.matmul(A, B), strict=True)


@pytest.mark.parametrize("size", [8, 20, 70])
def test_thread_count_changes_no_bit_of_a_stack(size):
    A, B = np.random.default_rng(0).standard_normal((2, 3000 if size < 70 else 40, size, size))
    one = matmul(A, B, n_jobs=1)
    out = np.empty_like(one)
    for n in (2, 4):
        np.testing.assert_array_equal(matmul(A, B, n_jobs=n), one)
        np.testing.assert_array_equal(matmul(A, B, n_jobs=n, out=out), one)


def test_a_product_written_past_the_caches_is_the_same():
    from mmlfast.runtime.validate import aligned

    A, B = np.random.default_rng(0).standard_normal((2, 9000, 16, 16))
    out = aligned(A.shape, A.dtype)
    assert out.nbytes > 1 << 24
    np.testing.assert_array_equal(matmul(A, B, out=out), matmul(A, B))


SPANS = {
    "int8": 127, "uint8": 255, "int16": 2**15 - 1, "uint16": 2**16 - 1, "int32": 2**31 - 1,
    "uint32": 2**32 - 1, "int64": 2**63 - 1,
}  # fmt: skip


@pytest.mark.parametrize("terms", [1, 300, 1041])
@pytest.mark.parametrize("dtype", SPANS)
def test_integers_of_the_whole_range_are_exact(dtype, terms):
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype)
    A = rng.integers(info.min, info.max, (7, terms), dtype, endpoint=True)
    B = rng.integers(info.min, info.max, (terms, 5), dtype, endpoint=True)
    A[0], B[:, 0] = info.min, info.min
    A[1], B[:, 1] = info.max, info.max
    C = matmul(A, B)
    # Beyond the range both wrap around.
    np.testing.assert_array_equal(C, A.astype(C.dtype) @ B.astype(C.dtype))
    assert matmul(A, B, dtype="int64").dtype == np.int64


@given(
    terms=st.integers(1, 40),
    left=st.integers(-(2**63), 2**63 - 1),
    right=st.integers(-(2**63), 2**63 - 1),
)
def test_integers_wrap_around(terms, left, right):
    A, B = np.full((2, terms), left), np.full((terms, 3), right)
    expected = (terms * left * right + 2**63) % 2**64 - 2**63
    assert (matmul(A, B) == expected).all()


def test_a_wider_dtype_keeps_the_digits():
    A = np.full((1, 4096), 1 + 2.0**-12, np.float32)
    B = np.array([[1], [-1]] * 2048, np.float32)
    A[0, 0] = 2**20
    exact = float(A.astype(np.float64)[0] @ B.astype(np.float64)[:, 0])
    np.testing.assert_array_equal(matmul(A, B, dtype=np.float64), [[exact]], strict=True)
    # 8-bit sums beyond int32 wrap unless they are given room.
    A = np.full((1, 200_000), 255, np.uint8)
    assert matmul(A, A.T, dtype="int64") == 200_000 * 255**2
    assert matmul(A, A.T) == 200_000 * 255**2 - 2**32 * 3


@pytest.mark.parametrize(
    ("a", "dtype", "error"),
    [
        (np.ones((2, 2)), np.float32, None),
        (np.ones((2, 2)), np.int64, "dtype must hold the product of float64"),
        (np.ones((2, 2)) * 1j, np.float64, "dtype must hold the product of complex128"),
        (np.ones((2, 2)), np.float16, "dtype must be float32, float64"),
        (np.ones((2, 2)), "U3", "dtype must be float32, float64"),
    ],
)
def test_a_dtype_that_cannot_hold_the_product(a, dtype, error):
    if error is None:
        assert matmul(a, a, dtype=dtype).dtype == dtype
        return
    with pytest.raises(TypeError, match=error):
        matmul(a, a, dtype=dtype)


def test_masked_entries_are_refused():
    with pytest.raises(ValueError, match="b has masked entries"):
        matmul(np.ones((2, 2)), np.ma.masked_less(np.arange(4.0).reshape(2, 2), 1))
