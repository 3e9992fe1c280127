"""scikit-learn's own checks of an estimator pass, however it is configured."""

from __future__ import annotations

from sklearn.utils.estimator_checks import parametrize_with_checks

from mmlfast import PCA

CONFIGURED = [
    PCA(),
    PCA(1, svd_solver="full"),
    PCA(0.9, svd_solver="covariance_eigh"),
    PCA(1, svd_solver="krylov", random_state=0),
    PCA(1, svd_solver="dual"),
    PCA(1, svd_solver="arpack", random_state=0),
    PCA(1, svd_solver="randomized", random_state=0),
    PCA(1, whiten=True, standardize=True),
    PCA("mle", n_jobs=1, copy=False),
]


@parametrize_with_checks(CONFIGURED)
def test_scikit_learn_check(estimator, check):
    check(estimator)
