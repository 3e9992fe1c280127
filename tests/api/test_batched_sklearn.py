"""scikit-learn's own checks of the batched regressions pass, however they are configured."""

from __future__ import annotations

import pytest
import sklearn
from sklearn.base import is_classifier
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version

from mmlfast import BatchedLinearRegression, BatchedLogisticRegression

CONFIGURED = [
    BatchedLinearRegression(),
    BatchedLinearRegression(0.5, solver="cholesky", n_jobs=1),
    BatchedLinearRegression(1.0, solver="gd", fit_intercept=False),
    BatchedLogisticRegression(),
    BatchedLogisticRegression(1.0, solver="gd", tol=1e-6),
]


# Before 1.7 this check of binary classifiers compares two different problems: it makes two classes
# of three by which of them comes first, after a shuffle.
LOPSIDED = "check_sample_weight_equivalence_on_dense_data"


@pytest.mark.filterwarnings("ignore:.*have no answer:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(CONFIGURED)
def test_scikit_learn_check(estimator, check):
    if parse_version(sklearn.__version__) < parse_version("1.7") and (
        is_classifier(estimator) and check.func.__name__ == LOPSIDED
    ):
        pytest.skip("scikit-learn's check compares two different problems")
    check(estimator)
