"""Small problems and networks for tests of the estimators."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast import MLPClassifier

QUIET = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def blobs(n=120, d=5, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    return rng.standard_normal((n, d)) + 2 * y[:, None], y


def net(**settings):
    settings = {"max_iter": 10, "random_state": 0, **settings}
    return MLPClassifier((8,), "tanh", **settings)


def weights(model):
    return [np.array(a) for a in [*model.coefs_, *model.intercepts_]]


def same(a, b):
    for mine, other in zip(weights(a), weights(b), strict=True):
        np.testing.assert_array_equal(mine, other)
