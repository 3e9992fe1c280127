"""solve, inverse, determinant, rank: numpy's answers, and an error that says which matrix."""

from __future__ import annotations

import pickle
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import LinAlgWarning

from mmlfast import SingularMatrixError, determinant, inverse, is_singular, rank, solve
from mmlfast.api.elimination import fits_kernel
from tests import reference_elimination as reference
from tests.kernels.test_elimination import exact_systems, lanes_of
from tests.tolerance import tol

FLOATS = ["float32", "float64"]
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


def systems(*batch, n=3, m=2, dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((*batch, n, n)) + 2 * np.eye(n)
    return A.astype(dtype), rng.standard_normal((*batch, n, m)).astype(dtype)


def laid_out(A, layout):
    if layout == "F":
        return np.asfortranarray(A)
    if layout == "reversed":
        return A[::-1, :, ::-1].copy()[::-1, :, ::-1]
    if layout == "strided":
        wide = np.full((*A.shape[:-1], 2 * A.shape[-1]), np.nan, A.dtype)
        wide[..., ::2] = A
        return wide[..., ::2]
    if layout == "read-only":
        A = A.copy()
        A.flags.writeable = False
        return A
    return A.astype(A.dtype.newbyteorder()) if layout == "swapped" else A.tolist()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 5, 8, 24, 45, 60])
@pytest.mark.filterwarnings("ignore:.*nearly singular")
def test_systems_that_round_nothing_are_exact(n, dtype):
    """By the kernel and by LAPACK, which multiplies by reciprocals of powers of two, too."""
    for count in (1, 40):
        A, B, X, determinants = exact_systems(count, n, 2, dtype, seed=n)
        np.testing.assert_array_equal(solve(A, B), X, strict=True)
        if n < 30:
            np.testing.assert_allclose(determinant(A), determinants, rtol=1e-5)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 20, 70])
@pytest.mark.parametrize("batch", [(), (1,), (7,), (40,), (3, 11)])
def test_residuals_inverses_and_determinants(batch, n, dtype):
    A, B = systems(*batch, n=n, dtype=dtype)
    X = solve(A, B)
    assert X.shape == B.shape
    assert X.dtype == dtype
    size = np.abs(A).max() * n * np.abs(X).max() + np.abs(B).max()
    assert np.abs(A.astype(float) @ X - B).max() <= 4 * tol(dtype, n) * size
    inverted = inverse(A)
    assert inverted.shape == A.shape
    size = n * np.abs(A).max() * np.abs(inverted).max()
    assert np.abs(A.astype(float) @ inverted - np.eye(n)).max() <= 4 * tol(dtype, n) * size
    sign, logarithm = np.linalg.slogdet(A.astype(float))
    log = determinant(A, log=True)
    np.testing.assert_array_equal(log.sign, sign)
    accuracy = 40 * tol(dtype, n) * np.linalg.cond(A.astype(float)).max()
    np.testing.assert_allclose(log.logabsdet, logarithm, atol=accuracy)
    if logarithm.max() < 80:  # the range of float32
        np.testing.assert_allclose(determinant(A), sign * np.exp(logarithm), rtol=accuracy)
        assert np.shape(determinant(A)) == batch


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 3), (3,)), ((3, 3), (3, 2)), ((3, 3), (5, 3, 2)), ((5, 3, 3), (3,)),
        ((5, 3, 3), (3, 2)), ((5, 3, 3), (5, 3, 2)), ((5, 3, 3), (1, 3, 2)),
        ((1, 3, 3), (5, 3, 2)), ((1, 3, 3), (3, 2)), ((2, 1, 3, 3), (5, 3, 2)),
        ((2, 5, 3, 3), (3, 4)), ((3, 3), (2, 1, 3, 2)), ((1, 1, 3, 3), (4, 3, 1)),
        ((0, 3, 3), (0, 3, 2)), ((3, 3), (0, 3, 2)), ((0, 3, 3), (3,)), ((0, 0), (0,)),
        ((5, 0, 0), (5, 0, 2)), ((3, 3), (3, 0)), ((0, 0), (5, 0, 2)),
    ],
)  # fmt: skip
def test_shapes_are_numpys(a, b):
    rng = np.random.default_rng(1)
    A, B = rng.standard_normal(a) + 2 * np.eye(a[-1]), rng.standard_normal(b)
    X = solve(A, B)
    expected = np.linalg.solve(A, B)
    assert X.shape == expected.shape
    assert X.flags.writeable
    np.testing.assert_allclose(X, expected, rtol=1e-12)


@pytest.mark.parametrize("batch", [(5,), (2, 4), (40,)])
def test_a_vector_for_each_matrix(batch):
    A, B = systems(*batch, m=1)
    np.testing.assert_array_equal(solve(A, B[..., 0]), solve(A, B)[..., 0])


def test_what_may_be_vectors_or_matrices_is_refused():
    A, B = systems(3, m=3)
    with pytest.raises(ValueError, match=r"B of shape \(3, 3\) may be vectors or matrices.*None"):
        solve(A, B[0])
    np.testing.assert_allclose(solve(A, B[0][None]), np.linalg.solve(A, B[0]))
    np.testing.assert_allclose(solve(A, B[0][..., None])[1, :, 0], np.linalg.solve(A[1], B[0, 1]))


@pytest.mark.parametrize("layout", ["F", "reversed", "strided", "read-only", "swapped", "list"])
def test_every_layout(layout):
    A, B = systems(20, n=4)
    kept = A.copy(), B.copy()
    X, inverted, determinants = solve(A, B), inverse(A), determinant(A)
    a, b = laid_out(A, layout), laid_out(B, layout)
    np.testing.assert_array_equal(solve(a, b), X, strict=True)
    np.testing.assert_array_equal(inverse(a), inverted, strict=True)
    np.testing.assert_array_equal(determinant(a), determinants, strict=True)
    np.testing.assert_array_equal(A, kept[0])
    np.testing.assert_array_equal(B, kept[1])


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("float32", "float32", "float32"), ("float32", "float64", "float64"),
        ("float16", "float16", "float32"), ("int64", "float32", "float64"),
        ("uint8", "bool", "float64"), ("float64", "int8", "float64"),
    ],
)  # fmt: skip
def test_the_dtype_of_the_result(a, b, result):
    A, B = np.array([[2, 1], [0, 4]], a), np.array([1, 0], b)
    assert solve(A, B).dtype == result
    np.testing.assert_array_equal(solve(A, B), [0.5, 0])
    own = "float32" if a in ("float16", "float32") else "float64"
    assert inverse(A).dtype == own
    assert determinant(A).dtype == own
    assert determinant(A) == 8


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [2, 8])
def test_threads_and_place_change_no_bit(n, dtype):
    A, B = systems(20_000, n=n, m=1, dtype=dtype)
    X, determinants = solve(A, B, n_jobs=1), determinant(A, n_jobs=1)
    for n_jobs in (2, 3, 4):
        np.testing.assert_array_equal(solve(A, B, n_jobs=n_jobs), X)
        np.testing.assert_array_equal(determinant(A, n_jobs=n_jobs), determinants)
    np.testing.assert_array_equal(solve(A[7:40], B[7:40]), X[7:40])
    np.testing.assert_array_equal(determinant(A[17:90]), determinants[17:90])


@given(n=st.integers(1, 6), count=st.integers(1, 20), seed=st.integers(0, 99))
def test_identities(n, count, seed):
    rng = np.random.default_rng(seed)
    A = rng.integers(-4, 5, (count, n, n)) + 9.0 * np.eye(n)
    B = rng.integers(-4, 5, (count, n, 2)).astype(float)
    np.testing.assert_allclose(solve(A, A), np.broadcast_to(np.eye(n), A.shape), atol=1e-13)
    np.testing.assert_allclose(inverse(A) @ B, solve(A, B), atol=1e-12)
    np.testing.assert_allclose(inverse(inverse(A)), A, atol=1e-11)
    np.testing.assert_array_equal(solve(2 * A, 2 * B), solve(A, B))
    np.testing.assert_allclose(determinant(A) * determinant(inverse(A)), 1, rtol=1e-12)
    np.testing.assert_allclose(determinant(A.swapaxes(1, 2)), determinant(A), rtol=1e-12)


@pytest.mark.parametrize("n", [2, 60])
def test_a_singular_matrix_is_named(n):
    A, B = systems(4, 5, n=n)
    A[2, 3, :, n - 1] = A[2, 3, :, 0]
    for call in (lambda: solve(A, B), lambda: inverse(A)):
        with pytest.raises(SingularMatrixError, match=rf"A\[2, 3\] is singular.*row {n - 1}") as e:
            call()
        assert (e.value.index, e.value.row) == ((2, 3), n - 1)
    with pytest.raises(SingularMatrixError, match=r"A is singular.*row 1 .*echelon") as error:
        solve(SINGULAR, [1, 2])
    assert error.value.index == ()
    with pytest.raises(np.linalg.LinAlgError, match="row 0"):
        inverse(np.zeros((1, 1)))
    copy = pickle.loads(pickle.dumps(error.value))
    assert (str(copy), copy.index, copy.row) == (str(error.value), (), 1)


@given(n=st.integers(2, 5), k=st.integers(1, 4), seed=st.integers(0, 999))
def test_what_is_singular_is_found_in_spite_of_rounding(n, k, seed):
    """9 − 3·(1/3·9) is not zero, and 1/3·3 is 1 as a rule."""
    rng = np.random.default_rng(seed)
    for A in (rng.integers(-9, 10, (20, n, n)).astype(float), rng.standard_normal((20, n, n))):
        k = min(k, n - 1)
        A[:10, :, k] = 3 * A[:10, :, 0] if A[0, 0, 0].is_integer() else A[:10, :, 0]
        exact = [np.array([[Fraction(x) for x in row] for row in a]) for a in A]
        ranks = [len(reference.echelon(a, False, False, 0)[1]) for a in exact]
        solutions = solve(A, np.ones((20, n, 1)), on_singular="nan")
        assert (np.isnan(solutions[:, 0, 0]) == (np.array(ranks) < n)).all()
        assert ((determinant(A) == 0) == (np.array(ranks) < n)).all()


def test_the_matrix_of_every_book():
    with pytest.raises(SingularMatrixError, match="row 2"):
        solve([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [1, 2, 3])
    assert determinant([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) == 0
    assert is_singular([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    # Two equal eigenvalues of 1e-17 are far from singular.
    np.testing.assert_allclose(inverse(np.eye(2) * 1e-17), np.eye(2) * 1e17)


@pytest.mark.parametrize("n", [3, 60])
def test_singular_ones_can_be_marked(n):
    A, B = systems(30, n=n)
    X = solve(A, B)
    A[[2, 17]] = 0
    marked = solve(A, B, on_singular="nan")
    assert np.isnan(marked[[2, 17]]).all()
    np.testing.assert_array_equal(np.delete(marked, [2, 17], 0), np.delete(X, [2, 17], 0))
    assert np.isnan(inverse(A, on_singular="nan")[[2, 17]]).all()
    assert np.isnan(solve(SINGULAR, [1, 2], on_singular="nan")).all()
    assert (determinant(A)[[2, 17]] == 0).all()
    assert (determinant(A, log=True).logabsdet[[2, 17]] == -np.inf).all()


@pytest.mark.parametrize("n", [3, 60])
def test_nearly_singular_ones_warn(n):
    A, B = systems(40, n=n)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(A, B)
    A[[5, 31], :, -1] = A[[5, 31], :, 0] * (1 + 1e-17)
    A[[5, 31], 0, -1] *= 1 + 4e-16
    for call in (lambda: solve(A, B), lambda: inverse(A)):
        with pytest.warns(LinAlgWarning, match=r"A\[\d+\] is nearly singular: .*1 more of 40"):
            assert np.isfinite(call()).all()
    with pytest.warns(LinAlgWarning, match=r"A\[5\] is nearly singular"):
        solve(A[:6], B[:6])
    with pytest.warns(LinAlgWarning, match=r"A is nearly singular: its reciprocal condition num"):
        inverse(A[5])


def test_badly_scaled_is_not_nearly_singular():
    for scale in (1e-300, 1e300, 5e-310):
        for n in (3, 60):
            A, B = systems(20, n=n)
            expected = np.linalg.solve(A, B)
            np.testing.assert_allclose(solve(A * scale, B * scale), expected, rtol=1e-10)
    np.testing.assert_allclose(inverse(np.eye(3) * 1e-300), np.eye(3) * 1e300)


def test_a_hilbert_matrix_warns_where_scipys_does():
    for n in range(2, 16):
        hilbert = 1 / (np.arange(n)[:, None] + np.arange(n) + 1)
        poor = 1 / np.linalg.cond(hilbert, 1) < np.finfo(float).eps
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            solve(hilbert, np.ones(n))
        assert [w.category for w in caught] == [LinAlgWarning] * int(poor)


@pytest.mark.parametrize("dtype", FLOATS)
def test_determinants_out_of_range(dtype):
    large = np.finfo(dtype).max / 8
    for n in (3, 90):
        A = np.eye(n, dtype=dtype) * large
        A[0] *= -1
        with pytest.warns(RuntimeWarning, match="overflow"):
            assert determinant(A) == -np.inf
        sign, logarithm = determinant(A, log=True)
        assert sign == -1
        np.testing.assert_allclose(logarithm, n * np.log(float(large)), rtol=1e-6)
        tiny = np.eye(n, dtype=dtype) * np.finfo(dtype).smallest_subnormal
        assert determinant(tiny) == 0
        np.testing.assert_allclose(
            determinant(tiny, log=True).logabsdet,
            n * np.log(float(np.finfo(dtype).smallest_subnormal)), rtol=1e-6,
        )  # fmt: skip
    # Elimination overflows, the determinant does not.
    half = np.finfo(dtype).maxexp - 30
    A = np.diag(np.ldexp(np.ones(4, dtype), [0, 0, -half, -half]))
    A[:2, :2] = [[7 * large, 7 * large], [-7 * large, 7 * large]]
    expected = 2 * np.ldexp(float(7 * large), -half) ** 2
    np.testing.assert_allclose(determinant(A), expected, rtol=1e-6)


def test_determinants_of_nothing():
    assert determinant(np.empty((0, 0))) == 1
    assert determinant(np.empty((0, 0)), log=True) == (1, 0)
    assert determinant(np.empty((4, 0, 0))).tolist() == [1] * 4
    assert determinant(np.empty((0, 3, 3))).shape == (0,)
    assert inverse(np.empty((0, 3, 3))).shape == (0, 3, 3)


@given(
    m=st.integers(1, 6), n=st.integers(1, 6), k=st.integers(0, 4), seed=st.integers(0, 99)
)  # fmt: skip
def test_rank_of_products(m, n, k, seed):
    rng = np.random.default_rng(seed)
    A = rng.integers(-3, 4, (5, m, k)) @ rng.integers(-3, 4, (5, k, n))
    np.testing.assert_array_equal(rank(A), np.linalg.matrix_rank(A))
    assert rank(A[0]) == np.linalg.matrix_rank(A[0])
    assert isinstance(rank(A[0]), int)
    square = A[:, : min(m, n), : min(m, n)]
    np.testing.assert_array_equal(is_singular(square), rank(square) < min(m, n))


def test_rank_has_a_tolerance():
    A = np.diag([4.0, 1.0, 1e-3])
    assert rank(A) == 3
    assert rank(A, tol=1e-3) == 2
    assert rank(A, tol=2) == 1
    assert rank(A.astype("float32") * np.float32(1e-30)) == 3
    assert is_singular(A, tol=0.01) is True
    assert is_singular(A) is False
    assert is_singular(np.stack([A, A * 0])).tolist() == [False, True]
    assert rank(np.empty((3, 0))) == 0
    assert rank(np.empty((0, 3, 3))).shape == (0,)
    for bad in (-1, np.nan):
        with pytest.raises(ValueError, match="tol must be None or a number that is not negative"):
            rank(A, tol=bad)


@pytest.mark.parametrize("function", [inverse, determinant, is_singular, lambda A: solve(A, [1])])
@pytest.mark.parametrize(
    ("A", "kind", "error"),
    [
        (np.ones(3), ValueError, r"A must be a matrix.*got shape \(3,\)"),
        (np.ones((2, 3)), ValueError, r"A must be square.*got shape \(2, 3\)"),
        (np.eye(2) * 1j, TypeError, "A must hold real numbers; got dtype complex128"),
        (np.eye(2).astype(str), TypeError, "A must hold real numbers"),
        (np.ma.masked_equal(np.eye(2), 0), ValueError, "A has masked entries"),
    ],
)
def test_what_is_no_square_matrix(function, A, kind, error):
    with pytest.raises(kind, match=error):
        function(A)


@pytest.mark.parametrize("function", [inverse, determinant, rank, lambda A: solve(A, A)])
@pytest.mark.parametrize("n", [4, 90])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_place_of_a_bad_number(bad, n, function):
    A, _ = systems(9, n=n)
    A[7, 2, 1] = bad
    what = "NaN" if np.isnan(bad) else "infinity"
    with pytest.raises(ValueError, match=rf"A contains {what}.*A\[7, 2, 1\]"):
        function(A)
    with pytest.raises(ValueError, match=rf"A contains {what}.*A\[2, 1\]"):
        function(A[7])


@pytest.mark.parametrize("n", [4, 90])
def test_the_place_of_a_bad_number_on_the_right(n):
    A, B = systems(9, n=n)
    B[5, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"B contains NaN.*B\[5, 1, 0\]"):
        solve(A, B)
    with pytest.raises(ValueError, match=r"B contains NaN.*B\[5, 1, 0\]"):
        solve(A[0], B)
    with pytest.raises(ValueError, match=r"B contains NaN.*B\[5, 1\]"):
        solve(A, B[..., 0])


@pytest.mark.parametrize(
    ("B", "kind", "error"),
    [
        (np.ones(2), ValueError, r"B must have shape .*n = 3.*got B \(2,\) for A \(4, 3, 3\)"),
        (np.ones((5, 3, 1)), ValueError, "leading axes that fit those of A"),
        (np.ones((4, 2)), ValueError, "B must have shape"),
        (1.0, ValueError, r"got B \(\)"),
        (np.ones(3) * 1j, TypeError, "B must hold real numbers"),
    ],
)
def test_right_hand_sides_that_do_not_fit(B, kind, error):
    A, _ = systems(4)
    with pytest.raises(kind, match=error):
        solve(A, B)


def test_an_unknown_choice():
    for call in (lambda: solve(np.eye(2), [1, 1], on_singular="x"), lambda: inverse(
        np.eye(2), on_singular=None
    )):  # fmt: skip
        with pytest.raises(ValueError, match="on_singular must be 'raise' or 'nan'"):
            call()


def test_many_right_hand_sides():
    """More than fit the cache of a group, and of one matrix."""
    A, B = systems(20, n=3, m=200)
    np.testing.assert_allclose(solve(A, B), np.linalg.solve(A, B), rtol=1e-9)
    np.testing.assert_allclose(solve(A[0], B), np.linalg.solve(A[0], B), rtol=1e-9)


def test_where_the_kernel_ends():
    lanes = lanes_of("float64")
    largest = min(64, 24 + 5 * lanes)
    for count, limit in ((1, 2 * lanes), (lanes - 1, 2 * lanes), (lanes, largest), (999, largest)):
        assert fits_kernel(count, limit, np.dtype("float64"))
        assert not fits_kernel(count, limit + 1, np.dtype("float64"))
