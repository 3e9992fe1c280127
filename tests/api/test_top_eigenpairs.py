"""Leading eigenpairs: certified by their residuals, counted with multiplicity, in every form."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from mmlfast import top_eigenpairs
from mmlfast.api import top_eigenpairs as module
from tests.api.square_matrices import FORMATS, LAYOUTS, forms, laid_out, symmetric

SPECTRA = {
    "falling": 0.97 ** np.arange(300),
    "even": np.linspace(1, 0, 300),
    "indefinite": np.linspace(1, -1.1, 300),
    "negative": -np.linspace(1, 2, 300),
    "one large": np.r_[1e6, np.linspace(1, 0, 299)],
    "steep": 10.0 ** -np.arange(300.0),
    "pairs": np.repeat(np.linspace(1, 0, 150), 2),
    "plus and minus": np.r_[np.linspace(2, 1, 150), -np.linspace(2, 1, 150)],
    "low rank": np.r_[5.0, 4, 3, 2, 1, np.zeros(295)],
}


@pytest.fixture(autouse=True)
def iterated(monkeypatch):
    """Small matrices take the long way too: LAPACK has only those that the basis would fill."""
    monkeypatch.setattr(module, "LAPACK_SIZE", 0)


def test_small_matrices_go_to_lapack(monkeypatch):
    A = symmetric(np.linspace(1, 0, 300))
    iterated = top_eigenpairs(A, 2, random_state=0)
    monkeypatch.setattr(module, "LAPACK_SIZE", 300)
    for form in (A, scipy.sparse.csr_array(A)):
        pairs = top_eigenpairs(form, 2, random_state=0)
        certified(A, pairs, np.linspace(1, 0, 300))
        assert pairs.n_iter == 0
        np.testing.assert_allclose(pairs.vectors, iterated.vectors, atol=1e-6)
    assert top_eigenpairs(lambda v: A @ v, 1, n=300, random_state=0).n_iter > 0


def certified(A, pairs, expected, tol=1e-10):
    """Values, residuals, orthonormality and signs are what they are said to be."""
    A, V = np.asarray(A, float), np.asarray(pairs.vectors, float)
    k, norm = V.shape[1], max(np.abs(expected).max(), 1e-300)
    eps = float(np.finfo(pairs.vectors.dtype).eps)
    residuals = np.linalg.norm(A @ V - V * pairs.values.astype(float), axis=0)
    assert pairs.converged
    assert (residuals <= np.maximum(2 * tol * np.abs(pairs.values), 64 * eps * norm)).all()
    np.testing.assert_allclose(pairs.residuals, residuals, atol=32 * eps * norm)
    np.testing.assert_allclose(pairs.values, expected[:k], atol=(tol + 32 * eps) * norm)
    np.testing.assert_allclose(V.T @ V, np.eye(k), atol=4 * len(A) * eps + 64 * eps)
    assert (V[np.abs(V).argmax(axis=0), np.arange(k)] > 0).all()


def in_order(values, which):
    return values[np.argsort(-np.abs(values) if which == "magnitude" else -values, kind="stable")]


@pytest.mark.parametrize("which", ["largest", "magnitude"])
@pytest.mark.parametrize("k", [1, 3, 12])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_every_spectrum(spectrum, k, which):
    values = SPECTRA[spectrum]
    A = symmetric(values)
    pairs = top_eigenpairs(A, k, which=which, random_state=0)
    expected = in_order(values, which)
    if spectrum == "plus and minus" and which == "magnitude":
        pairs, expected = pairs._replace(values=np.abs(pairs.values)), np.abs(expected)
        np.testing.assert_allclose(pairs.values, expected[:k], atol=1e-9)
        return
    certified(A, pairs, expected)
    assert pairs.n_iter > 0


@pytest.mark.parametrize("n", [1, 2, 3, 10, 60])
@pytest.mark.parametrize("which", ["largest", "magnitude"])
def test_all_of_a_small_matrix(n, which):
    values = np.linspace(-1.0123, 2, n)  # no two of one magnitude
    A = symmetric(values)
    for k in {1, n}:
        for name, form in forms(A):
            pairs = top_eigenpairs(form, k, which=which, n=n, random_state=0)
            certified(A, pairs, in_order(values, which))
            assert pairs.n_iter == 0, name


def test_most_of_a_large_one():
    values = np.linspace(0, 1, 300)
    certified(symmetric(values), top_eigenpairs(symmetric(values), 200), values[::-1])


@pytest.mark.parametrize("k", [1, 5])
def test_every_form(k):
    values = np.r_[4.0, 3, 2.5, np.linspace(1, -1, 297)]
    A = symmetric(values)
    for _, form in forms(A):
        certified(A, top_eigenpairs(form, k, n=300, random_state=0), values, 1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(layout):
    values = np.r_[3.0, 2, np.linspace(1, 0, 248)]
    A = symmetric(values)
    certified(A, top_eigenpairs(laid_out(A, layout), 2, random_state=0), values)


@pytest.mark.parametrize("storage", FORMATS)
def test_every_sparse_format(storage):
    values = np.r_[3.0, 2, np.linspace(1, 0, 248)]
    A = scipy.sparse.diags_array([values], offsets=[0]).asformat(storage)
    certified(A.toarray(), top_eigenpairs(A, 2, random_state=0), values)


@pytest.mark.parametrize("copies", [3, 8, 9, 20])
@pytest.mark.parametrize("k", [1, 5, 12, 22])
def test_eigenvalues_are_counted_with_their_multiplicity(copies, k):
    values = np.r_[5.0, np.full(copies, 2.0), 1.5, 1.25, np.linspace(1, 0, 300)]
    A = symmetric(values)
    certified(A, top_eigenpairs(A, k, random_state=0), values)
    certified(A, top_eigenpairs(lambda v: A @ v, k, n=len(A), random_state=0), values, 1e-9)


@pytest.mark.parametrize("rank", [0, 1, 9, 17])
def test_projections_and_the_identity(rank):
    values = np.r_[np.ones(rank), np.zeros(300 - rank)]
    A = symmetric(values)
    certified(A, top_eigenpairs(A, 12, random_state=0), values)
    certified(np.eye(300), top_eigenpairs(np.eye(300), 12, random_state=0), np.ones(300))


@pytest.mark.parametrize("k", [1, 10])
def test_float32_stays_float32(k):
    values = np.r_[4.0, 3, 2.5, np.linspace(1, -1, 597)]
    A = symmetric(values).astype(np.float32)
    for form in (A, scipy.sparse.csr_array(A)):
        pairs = top_eigenpairs(form, k, random_state=0)
        assert pairs.vectors.dtype == pairs.values.dtype == np.float32
        certified(A, pairs, values)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool"])
def test_whole_numbers_are_computed_in_float64(dtype):
    A = np.eye(250, dtype=dtype)
    A[0, 1] = A[1, 0] = 1
    pairs = top_eigenpairs(A, 2, random_state=0)
    assert pairs.vectors.dtype == np.float64
    np.testing.assert_allclose(pairs.values, [2, 1], atol=1e-10)


def test_no_tolerance_means_rounding():
    values = np.r_[4.0, 3, 2.5, np.linspace(1, -1, 597)]
    pairs = top_eigenpairs(symmetric(values), 4, tol=0, random_state=0)
    assert pairs.converged
    assert pairs.residuals.max() <= 64 * np.finfo(float).eps * 4


def test_scipys_names():
    A = np.diag([1.0, -4, 3])
    assert top_eigenpairs(A, 1, which="LA").values == 3
    assert top_eigenpairs(A, 1, which="LM").values == -4


def test_too_few_products_are_told():
    A = symmetric(np.linspace(1, 0, 400))
    with pytest.warns(ConvergenceWarning, match=r"did not converge in 4 products .* max_iter"):
        pairs = top_eigenpairs(A, 3, max_iter=4, random_state=0)
    assert not pairs.converged
    assert pairs.n_iter == 4
    assert pairs.n_applications == 32
    V = pairs.vectors
    residuals = np.linalg.norm(A @ V - V * pairs.values, axis=0)
    np.testing.assert_allclose(pairs.residuals, residuals, atol=1e-13)
    assert pairs.values[0] == pytest.approx(1, abs=0.05)


def test_fewer_products_than_pairs_still_give_every_pair():
    A = symmetric(np.linspace(1, 0, 400))
    with pytest.warns(ConvergenceWarning):
        pairs = top_eigenpairs(A, 30, max_iter=1, random_state=0)
    assert pairs.vectors.shape == (400, 30)
    assert pairs.n_applications == 32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_on_any_number_of_threads(dtype):
    A = symmetric(np.r_[2.0, 1.9, np.linspace(1, -1, 1198)]).astype(dtype)
    one = top_eigenpairs(A, 3, random_state=0, n_jobs=1)
    for n_jobs in (2, 4):
        other = top_eigenpairs(A, 3, random_state=0, n_jobs=n_jobs)
        np.testing.assert_array_equal(other.vectors, one.vectors)
        np.testing.assert_array_equal(other.values, one.values)


def test_random_state_decides():
    A = symmetric(np.linspace(1, 0, 300) ** 2)
    first, second = (top_eigenpairs(A, 3, random_state=1) for _ in range(2))
    np.testing.assert_array_equal(first.vectors, second.vectors)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 100), n=st.integers(150, 260), k=st.integers(1, 20),
    distinct=st.integers(1, 60), which=st.sampled_from(["largest", "magnitude"]),
)  # fmt: skip
def test_found_is_what_numpy_finds(seed, n, k, distinct, which):
    """Few distinct values: high multiplicities, and Krylov spaces that end early."""
    rng = np.random.default_rng(seed)
    values = rng.choice(np.round(rng.uniform(-1, 1, distinct), 2) + 1e-3, n)
    A = symmetric(values, seed)
    pairs = top_eigenpairs(A, k, which=which, random_state=seed)
    certified(A, pairs, in_order(values, which))


@pytest.mark.parametrize("n", [3, 300])
def test_what_is_not_symmetric_is_refused(n):
    A = np.eye(n)
    A[0, 2] = 1e-3
    for _, form in forms(A):
        with pytest.raises(ValueError, match=r"must be symmetric.*power_iteration.*A \+ A.T"):
            top_eigenpairs(form, 1, n=n, random_state=0)


@pytest.mark.parametrize(
    ("k", "options", "error", "message"),
    [
        (0, {}, ValueError, "k must be an integer, between 1 and n = 3; got 0"),
        (4, {}, ValueError, "between 1 and n = 3; got 4"),
        (True, {}, ValueError, "k must be an integer"),
        (1, {"max_iter": 0}, ValueError, "max_iter must be an integer, at least 1"),
        (1, {"tol": -1e-3}, ValueError, "tol must be a finite number, 0 or larger"),
        (1, {"which": "smallest"}, ValueError, "which must be 'largest' or 'magnitude'; got 'sma"),
        (1, {"n_jobs": 0}, ValueError, "n_jobs"),
        (1, {"random_state": "x"}, ValueError, "seed"),
    ],
)
def test_arguments_out_of_range_are_refused(k, options, error, message):
    with pytest.raises(error, match=message):
        top_eigenpairs(np.diag([3.0, 2, 1]), k, **options)


def test_a_function_must_tell_its_size():
    with pytest.raises(ValueError, match="pass n="):
        top_eigenpairs(lambda v: v, 1)
