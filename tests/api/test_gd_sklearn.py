"""scikit-learn's own checks of an estimator pass for linear models by gradient descent."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mmlfast import GDClassifier, GDRegressor

# Some checks fit data that no few epochs can.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONFIGURED = [
    GDClassifier(),
    GDClassifier(solver="adam", learning_rate_init=0.05),
    GDRegressor(),
    GDRegressor(solver="rmsprop", learning_rate_init=0.1, learning_rate="cosine"),
]


@parametrize_with_checks(CONFIGURED)
def test_scikit_learn_check(estimator, check):
    check(estimator)
