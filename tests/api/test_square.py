"""Every form of a matrix multiplies vectors and blocks alike; what is no matrix is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import LinearOperator

from mmlfast.api.square import Matrix, SymmetricMatrix, as_square
from tests.api.models import whole_numbers
from tests.api.square_matrices import FORMATS, LAYOUTS, forms, laid_out


def symmetric_whole(n, dtype="float64"):
    A = whole_numbers(n, n, dtype)
    return np.tril(A) + np.tril(A, -1).T


def products(form, V, **options):
    """A v for the first column of V, and A V."""
    matrix = as_square(form, n=len(V), **options)
    v, w, W = V[:, 0].astype(matrix.dtype), np.empty(len(V), matrix.dtype), np.empty(V.shape)
    matrix.times(v, w)
    matrix.times_block(V, W)
    return w, W


@pytest.mark.parametrize("n", [1, 2, 9, 40])
@pytest.mark.parametrize("b", [1, 8, 13])
@pytest.mark.parametrize("make", [whole_numbers, lambda n, _: symmetric_whole(n)])
def test_products_of_every_form_are_exact(make, n, b):
    A, V = make(n, n), whole_numbers(n, b, seed=1)
    for name, form in forms(A):
        w, W = products(form, V)
        np.testing.assert_array_equal(w, A @ V[:, 0], err_msg=name)
        np.testing.assert_array_equal(W, A @ V, err_msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("make", [whole_numbers, lambda n, _: symmetric_whole(n)])
def test_every_layout_is_exact(make, layout):
    A, V = make(30, 30), whole_numbers(30, 3, seed=1)
    w, W = products(laid_out(A, layout), V)
    np.testing.assert_array_equal(w, A @ V[:, 0])
    np.testing.assert_array_equal(W, A @ V)


@pytest.mark.parametrize("storage", FORMATS)
def test_every_sparse_format_is_exact(storage):
    A, V = whole_numbers(24, 24), whole_numbers(24, 3, seed=1)
    _, W = products(scipy.sparse.coo_array(A).asformat(storage), V)
    np.testing.assert_array_equal(W, A @ V)


def test_duplicates_and_64_bit_indices():
    rows, columns = np.array([0, 0, 2, 2, 2]), np.array([1, 1, 0, 2, 2])
    A = scipy.sparse.coo_array((np.ones(5), (rows, columns)), shape=(3, 3))
    V = whole_numbers(3, 2)
    np.testing.assert_array_equal(products(A, V)[1], A.toarray() @ V)
    wide = A.tocsr()
    wide.indptr, wide.indices = wide.indptr.astype(np.int64), wide.indices.astype(np.int64)
    np.testing.assert_array_equal(products(wide, V)[1], A.toarray() @ V)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("float32", "float32"), ("float64", "float64"), ("float16", "float32"), ("int8", "float64"),
     ("uint8", "float64"), ("int64", "float64"), ("bool", "float64")],
)  # fmt: skip
def test_dtypes(given, kept):
    A = np.abs(whole_numbers(6, 6)).astype(given)
    assert as_square(A).dtype == kept
    if given != "float16":
        assert as_square(scipy.sparse.csr_array(A)).dtype == kept


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_same_bits_on_any_number_of_threads(threads):
    rng = np.random.default_rng(0)
    n = 1100
    A = rng.standard_normal((n, n))
    V = rng.standard_normal((n, 9))
    sparse = scipy.sparse.random_array((n, n), density=0.6, rng=rng)
    for form in (A, A.T, A + A.T, (A + A.T).astype(np.float32), sparse):
        alone = products(form, V, threads=1)
        matrix = as_square(form, threads=threads)

        def again(matrix=matrix):
            w, W = np.empty(n, matrix.dtype), np.empty(V.shape)
            matrix.times(V[:, 0].astype(matrix.dtype), w)
            matrix.times_block(V, W)
            return w, W

        for result in (again(), matrix.lead(again)):
            np.testing.assert_array_equal(result[0], alone[0])
            np.testing.assert_array_equal(result[1], alone[1])


def test_symmetry_is_seen_up_to_rounding():
    A = symmetric_whole(80)
    assert isinstance(as_square(A), SymmetricMatrix)
    assert isinstance(as_square(A * (1 + 1e-16)), SymmetricMatrix)
    nearly, not_quite = A.copy(), A.copy()
    nearly[3, 70] *= 1 + 1e-14
    not_quite[3, 70] += 1e-8
    assert isinstance(as_square(nearly), SymmetricMatrix)
    assert isinstance(as_square(not_quite), Matrix)
    for form, expected in ((A, True), (nearly, True), (not_quite, False)):
        assert as_square(scipy.sparse.csr_array(form)).symmetric is expected


def test_nothing_is_written_to():
    for A in (whole_numbers(30, 30), symmetric_whole(30)):
        for _, form in forms(A):
            before = A.copy()
            products(form, whole_numbers(30, 9))
            np.testing.assert_array_equal(A, before)


def test_a_function_cannot_spoil_what_it_is_given():
    def careless(v):
        v *= 2
        return v

    with pytest.raises(ValueError, match="read-only"):
        products(careless, np.ones((3, 1)))
    w, _ = products(lambda v: v, np.ones((3, 1)))
    np.testing.assert_array_equal(w, np.ones(3))


@pytest.mark.parametrize(
    ("form", "error", "message"),
    [
        (np.ones((2, 3)), ValueError, r"square matrix .* got shape \(2, 3\)"),
        (np.ones((0, 0)), ValueError, r"at least one row; got shape \(0, 0\)"),
        (np.ones(4), ValueError, r"2 axes\); got shape \(4,\)"),
        (np.eye(2) * 1j, TypeError, "real numbers; got dtype complex128"),
        (np.array([["a"]]), TypeError, "real numbers"),
        (np.ma.masked_equal(np.eye(2), 0), ValueError, "masked"),
        (scipy.sparse.csr_array(np.ones((2, 3))), ValueError, "square"),
        (scipy.sparse.csr_array(np.eye(2) * 1j), TypeError, "complex128"),
        (lambda v: v, ValueError, "pass n="),
        (LinearOperator((2, 3), matvec=lambda v: v, dtype=float), ValueError, "square"),
        (LinearOperator((2, 2), matvec=lambda v: v, dtype=complex), TypeError, "complex128"),
    ],
)
def test_what_is_no_real_square_matrix_is_refused(form, error, message):
    with pytest.raises(error, match=message):
        as_square(form)


@pytest.mark.parametrize(("bad", "what"), [(np.nan, "NaN"), (np.inf, "infinity")])
@pytest.mark.parametrize("where", [(0, 0), (17, 2), (2, 17)])
def test_bad_numbers_are_named_with_their_place(where, bad, what):
    A = np.eye(20)
    A[where] = bad
    place = f"contains {what}: the first stands in row {where[0]}, column {where[1]}"
    for form in (A, np.asfortranarray(A), A.astype(np.float32), scipy.sparse.csc_array(A)):
        with pytest.raises(ValueError, match=place):
            as_square(form)


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_squares_that_do_not_fit_are_refused(make):
    with pytest.raises(ValueError, match="too large to square"):
        as_square(make(np.eye(3) * 1e200))
    with pytest.raises(ValueError, match="too small to square"):
        as_square(make(np.eye(3) * 1e-200))
    as_square(make(np.eye(3, dtype=np.float32) * np.float32(1e30)))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda v: v[:-1], ValueError, "as many numbers as it is given"),
        (lambda v: v * 1j, TypeError, "return real numbers"),
        (lambda v: v * np.nan, ValueError, "returned NaN or infinity"),
        (lambda v: None, ValueError, "as many numbers"),
    ],
)
def test_functions_that_return_something_else(function, error, message):
    with pytest.raises(error, match=message):
        products(function, np.ones((3, 1)))
