"""Data on which routes once disagreed: layouts, batches, constant columns, overflow."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.decomposition
from sklearn.preprocessing import StandardScaler

from mmlfast import PCA, CovarianceState, covariance
from tests.api.models import close, close_model, same_model, spread, whole_numbers


@pytest.mark.parametrize("n", [10, 50, 600])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_may_lie_in_memory_in_any_order(dtype, n):
    X = whole_numbers(700, 40, dtype)
    parts = [np.asfortranarray(X[:n]), X[n:]]
    expected = np.cov(X.T.astype(np.float64))
    close(covariance(iter(parts)), expected, 1e-6)
    close(CovarianceState(40).update(parts[0]).update(parts[1]).covariance(), expected, 1e-6)
    model = PCA(3, svd_solver="krylov", random_state=0)
    same_model(model.fit(lambda: iter(parts)), PCA(3, svd_solver="krylov", random_state=0).fit(X))


def test_krylov_reads_a_frame_as_the_array():
    polars = pytest.importorskip("polars")
    X = spread(5000, 12, offset=3.0)
    model = PCA(4, svd_solver="krylov", random_state=0)
    close_model(model.fit(polars.DataFrame(X)), PCA(4).fit(X), 1e-2)


@pytest.mark.parametrize("n_components", [None, 0.9, "mle"])
def test_dual_of_tall_data_has_no_more_components_than_columns(n_components):
    X = spread(100, 7)
    model = PCA(n_components, svd_solver="dual").fit(X)
    close_model(model, sklearn.decomposition.PCA(n_components).fit(X), 1e-6)


@pytest.mark.parametrize("value", [0.1, 1e-3, 1.1e8])
def test_dual_leaves_constant_columns_alone(value):
    X = spread(30, 90)
    X[:, 1] = value
    model = PCA(3, svd_solver="dual", standardize=True).fit(X)
    scaler = StandardScaler().fit(X)
    close(model.scale_, scaler.scale_, 1e-12)
    theirs = sklearn.decomposition.PCA(3, svd_solver="full").fit(scaler.transform(X))
    close(model.explained_variance_ratio_, theirs.explained_variance_ratio_, 1e-9)
    alike = PCA(2, svd_solver="dual").fit(np.full((30, 8), value))
    np.testing.assert_array_equal(alike.explained_variance_, 0)


def test_dual_does_not_look_at_the_layout():
    X = spread(40, 300)
    model = PCA(4, svd_solver="dual", random_state=0).fit(X)
    other = PCA(4, svd_solver="dual", random_state=0).fit(np.asfortranarray(X))
    same_model(other, model)


def test_full_does_not_look_at_the_batches():
    X = spread(5000, 12)
    expected = PCA(4, svd_solver="full").fit(X)
    same_model(PCA(4, svd_solver="full").fit(iter([X[:777], X[777:]])), expected)


@pytest.mark.parametrize("solver", ["krylov", "dual"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_whose_squares_overflow(solver, dtype):
    X = spread(100, 4, dtype) * np.finfo(dtype).max ** 0.6
    with pytest.raises(ValueError, match="too large to square and sum"):
        PCA(2, svd_solver=solver, random_state=0).fit(X)
