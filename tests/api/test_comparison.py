"""The comparison finds no difference where there is none, and refuses what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import mmlfast
from mmlfast.api import comparison
from mmlfast.api.comparison import compare_with_sklearn
from mmlfast.runtime.sources import open_source


@pytest.mark.parametrize("n_components", [5, 0.9])
@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_both_find_the_same(n_components, standardize, dtype):
    # Columns that vary: scikit-learn and mmlfast scale constant ones alike, but to nothing.
    X = load_digits().data[:, 18:30].astype(dtype)
    source = open_source(X)
    pca = mmlfast.PCA(n_components, standardize=standardize).fit(X)
    found = compare_with_sklearn(pca, source)
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    assert found.n_components == pca.n_components_
    assert found.variance_difference < tolerance
    assert found.component_difference < 10 * tolerance
    assert found.largest_angle < 10 * tolerance
    assert found.seconds > 0


def test_the_sign_of_a_component_is_no_difference():
    ours = np.eye(3)[:2]
    assert comparison._component_difference(ours, -ours) == 0


def test_components_below_the_rank_are_left_out():
    X = load_digits().data
    found = compare_with_sklearn(mmlfast.PCA(64).fit(X), open_source(X))
    assert found.n_components == 64
    assert found.n_compared < 64
    assert found.variance_difference < 1e-6


def test_noise_below_the_rounding_error_is_no_difference():
    assert comparison._relative_difference(np.array([1.0, 1e-18]), np.array([1.0, 0.0])) < 1e-2


def test_a_matrix_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(comparison, "available_bytes", lambda: 1000)
    X = load_digits().data
    pca = mmlfast.PCA(2).fit(X)
    with pytest.raises(MemoryError, match=r"whole of X and a copy .* 2 × 898 KiB as float64"):
        compare_with_sklearn(pca, open_source(X))
