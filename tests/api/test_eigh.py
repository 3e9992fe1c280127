"""eigh: numpy's eigenvalues, vectors with a certificate, and no silence about the other half."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from mmlfast import eigh
from mmlfast.kernels import jacobi
from tests.api.test_elimination import laid_out
from tests.kernels.test_jacobi import symmetric
from tests.tolerance import tol

FLOATS = ["float32", "float64"]
# By the kernel, full and partial groups, and by LAPACK.
CASES = [((), 1), ((), 3), ((), 30), ((5,), 4), ((3, 20), 8), ((40,), 31), ((2,), 40), ((9,), 90)]


def certified(A, result, dtype):
    n = A.shape[-1]
    A, w, V = A.astype(float), result.values.astype(float), result.vectors.astype(float)
    size = n * np.abs(A).max(axis=(-1, -2))
    residual = np.linalg.norm(A @ V - V * w[..., None, :], axis=-2).max(axis=-1)
    assert (residual <= 4 * tol(dtype, n) * size).all()
    assert (np.abs(result.residual - residual) <= 4 * tol(dtype, n) * size).all()
    assert (np.abs(V.swapaxes(-1, -2) @ V - np.eye(n)) <= 8 * tol(dtype, n)).all()
    leaders = np.take_along_axis(V, np.abs(V).argmax(axis=-2)[..., None, :], axis=-2)
    assert (V.max(axis=-2) >= 0.999 * np.abs(leaders[..., 0, :])).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("batch", "n"), CASES)
def test_beside_numpy(batch, n, dtype):
    A = symmetric(int(np.prod(batch)), n, dtype).reshape(*batch, n, n)
    result = eigh(A)
    values, vectors, residual = result
    assert (values.shape, vectors.shape) == ((*batch, n), (*batch, n, n))
    assert values.dtype == vectors.dtype == np.asarray(residual).dtype == dtype
    assert np.shape(residual) == batch
    assert result.eigenvalues is result.values
    assert result.eigenvectors is result.vectors
    certified(A, result, dtype)
    atol = 4 * tol(dtype, n) * n * np.abs(A).max()
    np.testing.assert_allclose(values, np.linalg.eigvalsh(A.astype(float)), rtol=0, atol=atol)
    alone = eigh(A, eigenvectors=False)
    assert alone.vectors is None
    assert alone.residual is None
    np.testing.assert_allclose(alone.values, values, rtol=0, atol=atol)


@pytest.mark.parametrize("layout", ["F", "reversed", "strided", "read-only", "swapped", "list"])
@pytest.mark.parametrize("n", [3, 70])
def test_every_layout(n, layout):
    A = symmetric(6, n, "float64")
    kept, expected = A.copy(), eigh(A)
    result = eigh(laid_out(A, layout))
    for ours, theirs in zip(result[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)
    # The residual is rounding alone, and the BLAS of numpy 2.0 rounds products by their layout.
    np.testing.assert_allclose(result.residual, expected.residual, rtol=0.5, strict=True)
    np.testing.assert_array_equal(A, kept)


@pytest.mark.parametrize(
    ("given_dtype", "expected"),
    [("float16", "float32"), ("int8", "float64"), ("bool", "float64"), ("uint64", "float64")],
)
def test_the_dtype_of_the_result(given_dtype, expected):
    values, vectors, residual = eigh(np.eye(3).astype(given_dtype))
    assert values.dtype == vectors.dtype == residual.dtype == expected
    np.testing.assert_array_equal(values, 1)


@pytest.mark.parametrize("n", [5, 8])
def test_threads_and_place_change_no_bit(n):
    A = symmetric(3000, n, "float64")
    expected = eigh(A, n_jobs=1)
    for n_jobs in (2, 3, 4):
        for ours, theirs in zip(eigh(A, n_jobs=n_jobs), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for part in (slice(5, 1000), slice(11, 60)):
        for ours, theirs in zip(eigh(A[part]), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs[part])


@given(
    n=st.integers(1, 7), count=st.integers(1, 12), rank=st.integers(0, 7), seed=st.integers(0, 99)
)
def test_deficient_and_repeated(n, count, rank, seed):
    B = np.random.default_rng(seed).integers(-3, 4, (count, n, rank)).astype(float)
    A = B @ B.swapaxes(1, 2)
    result = eigh(A)
    certified(A, result, "float64")
    size = np.abs(A).max() + 1
    assert (np.abs(result.values[:, : max(n - rank, 0)]) <= 100 * tol("float64", n) * size).all()
    np.testing.assert_allclose(result.values.sum(axis=1), np.trace(A, axis1=1, axis2=2), atol=1e-11)


@pytest.mark.parametrize("n", [4, 40])
@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e-310, 0.0])
def test_every_scale(scale, n):
    A = symmetric(9, n, "float64")
    values, vectors, _ = eigh(A)
    scaled = eigh(A * scale)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(scaled.values, values * scale, rtol=1e-9, atol=1e-14 * scale)
    if scale > 1e-305:
        np.testing.assert_allclose(np.abs(scaled.vectors), np.abs(vectors), atol=1e-9)
        assert (scaled.residual <= 1e-13 * scale * n).all()
    assert np.isfinite(scaled.residual).all()
    np.testing.assert_allclose(
        scaled.vectors.swapaxes(1, 2) @ scaled.vectors, np.broadcast_to(np.eye(n), A.shape),
        atol=1e-13,
    )  # fmt: skip


@pytest.mark.parametrize("n", [2, 3, 50])
def test_the_triangle_that_is_read(n):
    A = symmetric(4, n, "float64")
    rounded = A.copy()
    rounded[:, 0, 1] *= 1 + 1e-12
    for uplo, expected in (("L", A), ("U", np.triu(rounded) + np.triu(rounded, 1).swapaxes(1, 2))):
        result = eigh(rounded, UPLO=uplo)
        atol = 0 if n < 40 else 1e-11
        np.testing.assert_allclose(result.values, eigh(expected).values, rtol=0, atol=atol)
        np.testing.assert_allclose(result.vectors, eigh(expected).vectors, rtol=0, atol=atol)
        # The certificate is about the whole matrix.
        assert (result.residual > 1e-13 * np.abs(A[:, 0, 1])).all()


@pytest.mark.parametrize("n", [3, 70])
def test_what_is_not_symmetric(n):
    A = symmetric(6, n, "float64")
    A[4, 0, 2], A[4, 2, 0] = 1, 1.5
    with pytest.raises(ValueError, match=r"A must be symmetric; A\[4, 0, 2\] is 1 and .* is 1.5"):
        eigh(A)
    with pytest.raises(ValueError, match=r"A\[0, 2\] is 1 and A\[2, 0\] is 1.5.*swapaxes"):
        eigh(A[4])
    with pytest.raises(ValueError, match="A must be symmetric"):
        eigh(A * 1e-300)


@pytest.mark.parametrize(
    ("A", "kind", "error"),
    [
        (np.ones(3), ValueError, r"A must be a matrix.*got shape \(3,\)"),
        (np.ones((2, 3)), ValueError, r"A must be square.*got shape \(2, 3\)"),
        (np.eye(2) * 1j, TypeError, "A must hold real numbers; got dtype complex128"),
        (np.ma.masked_equal(np.eye(2), 0), ValueError, "A has masked entries"),
        ([[1, np.nan], [np.nan, 1]], ValueError, r"A contains NaN.*A\[0, 1\]"),
        (np.diag([1.0] * 80 + [np.inf]), ValueError, r"A contains infinity.*A\[80, 80\]"),
        (np.stack([np.eye(3), np.full((3, 3), np.inf)]), ValueError, r"A contains .*A\[1, 0, 0\]"),
    ],
)
def test_what_is_refused(A, kind, error):
    with pytest.raises(kind, match=error):
        eigh(A)


def test_an_unknown_triangle():
    with pytest.raises(ValueError, match="UPLO must be 'L' or 'U'; got 'l'"):
        eigh(np.eye(2), UPLO="l")


@pytest.mark.parametrize("shape", [(0, 0), (0, 3, 3), (4, 0, 0)])
def test_nothing(shape):
    values, vectors, residual = eigh(np.empty(shape))
    assert values.shape == shape[:-1]
    assert vectors.shape == shape
    assert np.shape(residual) == shape[:-2]


def test_not_converged_warns_and_is_certified(monkeypatch):
    """No such matrix is known: the report says so here."""
    inner = jacobi.eigh_groups

    def unfinished(*arguments):
        inner(*arguments)
        arguments[-1][jacobi.UNFINISHED, 0] = 1

    monkeypatch.setattr(jacobi, "eigh_groups", unfinished)
    A = symmetric(3, 4, "float64")
    with pytest.warns(ConvergenceWarning, match="did not end within 40 sweeps for 1 of 3 matri"):
        certified(A, eigh(A), "float64")


def test_ill_conditioned_families_end():
    """Wilkinson's, Hilbert's, clustered and graded matrices: no warning, certified."""
    n = 20
    i = np.arange(n)
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    clustered = (Q * np.where(i < 10, 1, 1 + 1e-14 * i)) @ Q.T
    graded = Q * 10.0 ** (-i) @ Q.T
    family = [
        np.diag(np.abs(i - 9.5)) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1),
        1 / (i[:, None] + i + 1), clustered, graded, np.minimum.outer(i, i) + 1.0, np.ones((n, n)),
        10.0 ** -np.abs(i[:, None] - i) * 10.0 ** (-i - i[:, None]), np.eye(n)[::-1],
    ]  # fmt: skip
    A = np.array([(M + M.T) / 2 for M in family])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        certified(A, eigh(A), "float64")
        certified(A.astype("float32"), eigh(A.astype("float32")), "float32")
