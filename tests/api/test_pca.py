"""PCA agrees with scikit-learn wherever that is right, and certifies what it returns."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.decomposition
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from mmlfast import PCA
from tests.api.models import (
    EXACT,
    SOLVERS,
    close,
    close_model,
    pca,
    spread,
    whole_numbers,
)

SHAPES = [(300, 20), (20, 150), (40, 40)]


def pca_solvers(X, n_components):
    """Routes that find these components; Krylov's find a given number of leading ones."""
    few = isinstance(n_components, int) and n_components < min(X.shape)
    return SOLVERS if few else EXACT


# scikit-learn


@pytest.mark.parametrize("n_components", [None, 1, 5, 0.5, 0.95])
@pytest.mark.parametrize("shape", SHAPES)
def test_learns_what_scikit_learn_learns(shape, n_components):
    X = spread(*shape, offset=3.0)
    theirs = sklearn.decomposition.PCA(n_components, svd_solver="full").fit(X)
    for solver in pca_solvers(X, n_components):
        if solver == "dual" and shape[0] > shape[1] and not isinstance(n_components, int):
            continue
        ours = pca(solver, n_components).fit(X)
        assert ours.solver_ == {"arpack": "krylov", "randomized": "krylov"}.get(solver, solver)
        if n_components is None:
            # n − 1 directions have variance at most; the last one of wide data is arbitrary.
            keep = min(shape[0] - 1, shape[1])
            close(ours.components_[:keep], theirs.components_[:keep], 1e-6)
            close(ours.explained_variance_, theirs.explained_variance_, 1e-9)
        else:
            close_model(ours, theirs, 1e-6)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_scores_as_scikit_learn_does(solver, shape, whiten):
    X, new = spread(*shape, offset=1.0), spread(7, shape[1], seed=1)
    theirs = sklearn.decomposition.PCA(6, whiten=whiten, svd_solver="full").fit(X)
    ours = pca(solver, 6, whiten=whiten).fit(X)
    close(ours.transform(new), theirs.transform(new), 1e-6)
    scores = np.arange(18.0).reshape(3, 6)
    close(ours.inverse_transform(scores), theirs.inverse_transform(scores), 1e-6)
    np.testing.assert_array_equal(ours.fit_transform(X), ours.transform(X), strict=True)


@pytest.mark.parametrize("n_components", [1, 4, 8, None, 0.7, "mle"])
def test_stands_for_the_same_gaussian(n_components):
    X, new = spread(300, 8, offset=2.0), spread(9, 8, seed=1)
    theirs = sklearn.decomposition.PCA(n_components).fit(X)
    ours = PCA(n_components).fit(X)
    close(ours.get_covariance(), theirs.get_covariance(), 1e-10)
    close(ours.get_precision(), theirs.get_precision(), 1e-9)
    close(ours.score_samples(new), theirs.score_samples(new), 1e-9)
    assert ours.score(new) == pytest.approx(theirs.score(new), rel=1e-9)
    close(ours.get_covariance() @ ours.get_precision(), np.eye(8), 1e-9)


def test_whitening_the_scores_does_not_change_the_gaussian():
    # scikit-learn multiplies by the variances twice then, and its likelihood falls.
    X = spread(200, 10)
    plain, white = PCA(3).fit(X), PCA(3, whiten=True).fit(X)
    np.testing.assert_array_equal(white.get_covariance(), plain.get_covariance())
    np.testing.assert_array_equal(white.get_precision(), plain.get_precision())
    assert white.score(X) == plain.score(X)
    close(PCA(whiten=True).fit(X).get_covariance(), np.cov(X.T), 1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_dtype(solver, dtype):
    X = spread(400, 30, dtype, offset=60.0)
    theirs = sklearn.decomposition.PCA(4, svd_solver="full").fit(X.astype(np.float64))
    ours = pca(solver, 4).set_params(tol=1e-4).fit(X)
    # Sums of products of 400 rows in float32 for float32 and integers of up to 16 bits.
    close_model(ours, theirs, 1e-8 if dtype in ("float64", "int32", "int64") else 2e-4)
    expected = np.float32 if dtype == "float32" else np.float64
    for value in (ours.components_, ours.explained_variance_, ours.mean_, ours.transform(X)):
        assert value.dtype == expected
    close(ours.transform(X), theirs.transform(X.astype(np.float64)), 1e-3)


def test_digits_as_scikit_learn_whichever_way():
    X = load_digits().data
    theirs = sklearn.decomposition.PCA(20, svd_solver="full").fit(X)
    for solver in SOLVERS:
        if solver != "dual":
            close_model(pca(solver, 20).fit(X), theirs, 1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_sign_of_the_largest_loading_is_positive(solver):
    V = pca(solver, 5).fit(spread(200, 12)).components_
    assert (V[np.arange(5), np.abs(V).argmax(axis=1)] > 0).all()


# How many components


def test_share_of_variance_at_its_boundary():
    # Orthogonal columns of ±1 scaled: the shares are 8/16, 4/16, 2/16, 2/16 exactly.
    H = np.array([[1.0]])
    for _ in range(3):
        H = np.block([[H, H], [H, -H]])
    X = H[:, 1:5] * np.sqrt([8.0, 4.0, 2.0, 2.0])
    for solver in ("full", "covariance_eigh"):
        for share in (0.25, 0.4999999, 0.5000001, 0.7499999, 0.7500001, 0.99):
            theirs = sklearn.decomposition.PCA(share, svd_solver="full").fit(X)
            assert pca(solver, share).fit(X).n_components_ == theirs.n_components_
    rank_one = np.outer(np.arange(9.0), [1.0, 2.0, 2.0])
    assert PCA(0.9).fit(rank_one).n_components_ == 1


def test_the_share_is_exceeded_by_the_last_component_and_not_before():
    X = spread(300, 25)
    shares = PCA().fit(X).explained_variance_ratio_
    for share in (0.1, 0.33, 0.8, 0.999):
        k = PCA(share).fit(X).n_components_
        assert shares[:k].sum() > share
        assert shares[: k - 1].sum() <= share


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.01, 0.3, 1.0, 3.0])
def test_mle_is_scikit_learns_choice(seed, noise):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((150, 4)) @ rng.standard_normal((4, 12))
    X += noise * rng.standard_normal(X.shape)
    theirs = sklearn.decomposition.PCA("mle", svd_solver="full").fit(X)
    for solver in ("auto", "full", "covariance_eigh"):
        assert pca(solver, "mle").fit(X).n_components_ == theirs.n_components_


def test_mle_on_rank_deficient_and_on_digits():
    X = spread(100, 6) @ np.eye(6, 10)
    theirs = sklearn.decomposition.PCA("mle", svd_solver="full").fit(X)
    assert PCA("mle").fit(X).n_components_ == theirs.n_components_
    digits = load_digits().data[:, 2:7]
    theirs = sklearn.decomposition.PCA("mle", svd_solver="full").fit(digits)
    assert PCA("mle").fit(digits).n_components_ == theirs.n_components_


# Certificates


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_components_are_orthonormal_eigenvectors(solver, dtype):
    X = spread(400, 60, dtype, offset=5.0)
    model = pca(solver, 8).set_params(tol=1e-4 if dtype == "float32" else 1e-10).fit(X)
    V, values = model.components_.astype(np.float64), model.explained_variance_
    C = np.cov(X.astype(np.float64).T)
    bound = 1e-4 if dtype == "float32" else 1e-8
    close(V @ V.T, np.eye(8), bound)
    assert np.linalg.norm(C @ V.T - V.T * values, axis=0).max() <= bound * values[0]
    assert model.residual_ is None or model.residual_ <= model.tol
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("dtype", "offset", "bound"), [("float32", 1e4, 1e-5), ("float64", 1e8, 1e-7)]
)
def test_far_from_zero_no_digit_is_lost(solver, dtype, offset, bound):
    n = 300 if solver == "dual" else 3000
    X = spread(n, 20).round(2) if dtype == "float64" else spread(n, 20)
    X = (X + offset).astype(dtype)
    centred = X.astype(np.float64) - offset
    expected = np.linalg.eigvalsh(np.cov(centred.T))[::-1][:4]
    model = pca(solver, 4).set_params(tol=1e-3 if dtype == "float32" else 1e-8).fit(X)
    np.testing.assert_allclose(model.explained_variance_, expected, rtol=bound)


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("settings", [{}, {"whiten": True}, {"standardize": True}])
def test_scores_of_all_components_rebuild_the_rows(solver, settings):
    X = spread(50, 9, offset=4.0)
    model = pca(solver, 9, **settings).fit(X)
    close(model.inverse_transform(model.transform(X)), X, 1e-9)


@pytest.mark.parametrize("settings", [{}, {"whiten": True}, {"standardize": True}])
@pytest.mark.parametrize("shape", [(80, 12), (12, 80)])
def test_error_curve_is_the_error_of_rebuilding(shape, settings):
    X = spread(*shape, offset=1.0)
    X[:, 0] *= 3
    m = min(shape[0] - 1, shape[1])
    model = PCA(m, **settings).fit(X)
    curve = model.reconstruction_error_curve()
    assert curve.shape == (m + 1,)
    scale = model.scale_ if model.scale_ is not None else 1.0
    for k in range(m + 1):
        scores = model.transform(X)
        scores[:, k:] = 0
        error = np.mean(((X - model.inverse_transform(scores)) / scale) ** 2)
        assert curve[k] == pytest.approx(error, rel=1e-9, abs=1e-12 * curve[0])


def test_error_curve_of_some_components_counts_those_left_out():
    X = spread(100, 20)
    close(PCA(5).fit(X).reconstruction_error_curve(),
          PCA().fit(X).reconstruction_error_curve()[:6], 1e-12)  # fmt: skip


# Hard data


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("shape", [(200, 15), (15, 200)])
def test_whitening_below_the_rank_warns_and_stays_bounded(shape, solver, dtype):
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((shape[0], 4)) @ rng.standard_normal((4, shape[1]))).astype(dtype)
    with pytest.warns(UserWarning, match="below the numerical rank"):
        scores = (model := pca(solver, 10, whiten=True).fit(X)).transform(X)
    assert model.rank_ == 4
    assert np.abs(scores).max() < 20
    close(np.cov(scores[:, :4].T), np.eye(4), 1e-3)
    assert np.isfinite(model.inverse_transform(scores)).all()
    close(model.inverse_transform(scores), X, 1e-3)


def test_duplicate_rows_with_whitening():
    X = np.repeat(whole_numbers(3, 6), 20, axis=0)
    with pytest.warns(UserWarning, match="2 of 4 components"):
        scores = PCA(4, whiten=True).fit(X).fit_transform(X)
    assert np.abs(scores).max() < 10
    assert len(np.unique(scores, axis=0)) == 3


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "krylov"])
def test_all_rows_alike(solver, whiten, recwarn):
    X = np.full((30, 8), 0.1)
    scores = (model := pca(solver, 2, whiten=whiten)).fit(X).transform(X)
    assert len(recwarn.list) == whiten
    assert np.abs(scores).max() < 1e-12
    np.testing.assert_array_equal(model.explained_variance_ratio_, 0)
    close(model.components_ @ model.components_.T, np.eye(2), 1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_constant_columns_take_no_part(solver):
    X = np.hstack([spread(100, 10), np.full((100, 2), 7.5)])
    model = pca(solver, 3).fit(X)
    assert np.abs(model.components_[:, 10:]).max() < 1e-12
    close_model(model, sklearn.decomposition.PCA(3).fit(X), 1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(200, 10), (30, 120)])
def test_standardize_is_a_standard_scaler_before(solver, shape):
    X = spread(*shape, offset=2.0) * np.linspace(1, 50, shape[1])
    X[:, 3] = 4.25
    scaler = StandardScaler().fit(X)
    theirs = sklearn.decomposition.PCA(4, svd_solver="full").fit(scaler.transform(X))
    ours = pca(solver, 4, standardize=True).fit(X)
    close(ours.scale_, scaler.scale_, 1e-12)
    close(ours.mean_, scaler.mean_, 1e-12)
    close(ours.explained_variance_, theirs.explained_variance_, 1e-8)
    close(ours.components_, theirs.components_, 1e-6)
    scores = theirs.transform(scaler.transform(X))
    close(ours.transform(X), scores, 1e-6)
    back = scaler.inverse_transform(theirs.inverse_transform(scores))
    close(ours.inverse_transform(scores), back, 1e-6)
    np.testing.assert_array_equal(ours.transform(X)[:, :1], ours.transform(X.copy())[:, :1])


def test_without_standardize_there_is_no_scale():
    assert PCA(1).fit(spread(20, 3)).scale_ is None


# What it says about itself


def test_krylov_that_cannot_converge_warns_and_returns_the_best():
    X = np.random.default_rng(0).standard_normal((600, 300))
    model = PCA(20, svd_solver="krylov", tol=1e-13, random_state=0)
    with pytest.warns(ConvergenceWarning, match="Raise tol"):
        model.fit(X)
    assert model.residual_ > 1e-13
    exact = PCA(20, svd_solver="full").fit(X)
    close(model.explained_variance_, exact.explained_variance_, 0.05)


def test_a_given_number_of_reads_is_kept_to_without_a_warning():
    X = np.random.default_rng(0).standard_normal((300, 100))
    model = PCA(4, svd_solver="randomized", iterated_power=2, random_state=0).fit(X)
    assert model.n_passes_ == 3


@pytest.mark.parametrize(
    ("shape", "n_components", "route", "passes"),
    [
        ((400, 400), None, "full", 1),
        ((100_000, 300), 10, "covariance_eigh", 1),
        ((200_000, 5000), 20, "krylov", 5),
        ((600, 20_000), None, "dual", 3),
    ],
)
def test_the_plan_for_a_shape(shape, n_components, route, passes):
    plan = PCA(n_components).plan(shape, dtype="float32")
    assert plan.route == route
    assert plan.passes <= passes
    assert plan.peak_bytes > 0
    assert plan.seconds > 0
    assert plan.reason


@pytest.mark.parametrize("shape", [(60, 20), (700, 30), (40, 900), (1300, 40)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_fit_does_what_the_plan_says(shape, dtype):
    X = spread(*shape, dtype, offset=50.0)
    plan = PCA(3).plan(shape, dtype)
    model = PCA(3, random_state=0).fit(X)
    assert (model.solver_, model.why_solver_) == (plan.route, plan.reason)
    assert model.n_passes_ <= plan.passes


def test_the_plan_of_a_named_solver():
    for solver in SOLVERS:
        plan = PCA(3, svd_solver=solver).plan((5000, 600))
        assert plan.route == ("krylov" if solver in ("arpack", "randomized") else solver)
        assert plan.reason == "asked for"


def test_a_memory_budget_that_nothing_fits_is_refused_with_advice():
    with pytest.raises(MemoryError, match=r"memory_budget=1000 .* at least .* bytes"):
        PCA(3).plan((5000, 600), memory_budget=1000)
    with pytest.raises(MemoryError, match="integer n_components"):
        PCA(memory_budget=1e6).plan((50_000, 6000))
    with pytest.raises(MemoryError, match="memory_budget"):
        PCA(3, memory_budget=10_000).fit(spread(600, 30))


def test_a_memory_budget_changes_the_route():
    shape = (20_000, 3000)
    free = PCA(30).plan(shape)
    other = {"krylov": 10 << 30, "covariance_eigh": 150 << 20}[free.route]
    tight = PCA(30).plan(shape, memory_budget=other)
    assert tight.peak_bytes <= other
    assert tight.route == "krylov"
