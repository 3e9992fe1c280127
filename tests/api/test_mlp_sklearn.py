"""scikit-learn's own checks of an estimator pass for every network, however it is configured."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mmlfast import MLPClassifier, MLPRegressor

# Some checks fit data that no few epochs can.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONFIGURED = [
    MLPClassifier(max_iter=100),
    MLPClassifier((10, 5), ["gelu_tanh", "softplus"], solver="nesterov", learning_rate_init=0.05),
    MLPClassifier((10,), solver="lbfgs", max_iter=30, class_weight="balanced"),
    MLPRegressor(max_iter=100),
    MLPRegressor(hidden_layer_sizes=(10,), solver="lbfgs", max_iter=30),
]


@parametrize_with_checks(CONFIGURED)
def test_scikit_learn_check(estimator, check):
    check(estimator)
