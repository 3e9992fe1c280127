"""scikit-learn's own checks of the batched regressions pass, however they are configured."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from mmlfast import BatchedLinearRegression, BatchedLogisticRegression

CONFIGURED = [
    BatchedLinearRegression(),
    BatchedLinearRegression(0.5, solver="cholesky", n_jobs=1),
    BatchedLinearRegression(1.0, solver="gd", fit_intercept=False),
    BatchedLogisticRegression(),
    BatchedLogisticRegression(1.0, solver="gd", tol=1e-6),
]


@pytest.mark.filterwarnings("ignore:.*have no answer:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(CONFIGURED)
def test_scikit_learn_check(estimator, check):
    check(estimator)
