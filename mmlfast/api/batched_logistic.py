"""Logistic regression of thousands of small problems at once."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from mmlfast.api.all_or_nothing import all_or_nothing
from mmlfast.api.batched_regression import BatchedRegression
from mmlfast.api.callbacks import one_task
from mmlfast.api.regression_problems import Problems
from mmlfast.api.regression_settings import check_settings

SOLVERS = ("newton", "gd")
MOST_STEPS = {"newton": 100, "gd": 10_000}


class LogisticResult(NamedTuple):
    """One of the problems that a :class:`BatchedLogisticRegression` was fitted to."""

    coef: NDArray[Any]
    intercept: float
    coef_standard_error: NDArray[Any]
    intercept_standard_error: float
    deviance: float
    gradient_norm: float
    n_iter: int
    status: str


class BatchedLogisticRegression(ClassifierMixin, BatchedRegression):  # type: ignore[misc]
    """B logistic regressions at once: min Σ w log(1 + e^(−s η)) + α/2 ‖b‖², η = b₀ + xᵀb, s = ±1.

    Parameters
    ----------
    alpha : float, default=0.0
        Penalty α of ‖b‖²; the intercept is free.  0 is maximum likelihood, 1/C is that of
        :class:`sklearn.linear_model.LogisticRegression`, whose default is 1.
    fit_intercept : bool, default=True
        Whether there is a b₀; else it is 0.
    solver : {"newton", "gd"}, default="newton"
        "newton" is iteratively reweighted least squares; its step is halved until the objective
        falls, so that it cannot diverge.  "gd" is gradient descent in units of the columns' root
        mean squares, with the reciprocal of a bound of the curvature as its step.
    tol : float, default=1e-8
        A problem has ended when the gradient is at most tol·Σw in length, each component in units
        of its column's root mean square about the mean.
    max_iter : int, default=None
        Steps; None is 100 for "newton", 10 000 for "gd".
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits do not depend on it.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels of all problems, of any kind; η > 0 speaks for the second.
    coef_ : ndarray of shape (B, n_features)
    intercept_ : ndarray of shape (B,)
        Of one ordinary problem they have these shapes with B = 1, its other attributes are scalars.
    coef_standard_error_, intercept_standard_error_ : ndarray of the same shapes
        √ of the diagonal of the inverse of the second derivatives, the penalty's included.
    coef_z_value_, intercept_z_value_, coef_p_value_, intercept_p_value_ : ndarray
        Of the hypothesis that a coefficient is 0: Wald's test, two-sided.
    deviance_ : ndarray of shape (B,)
        Twice the loss Σ w log(1 + e^(−s η)).
    gradient_norm_ : ndarray of shape (B,)
        Length of the objective's gradient where it was last evaluated: of "newton" that is before
        the last step, which squares the error.
    n_iter_ : ndarray of shape (B,)
    status_ : ndarray of str of shape (B,)
        "converged"; "max_iter"; "separated": a plane separates the classes, or nearly so, and the
        maximum lies at infinity: coefficients are those of a finite step on the way, without
        standard errors; "rank_deficient": a column depends on those before it, its coefficient has
        no standard error, and is 0 but by "gd"; "one_class": coefficients are 0, and the intercept
        is ± log(2n + 1), Jeffreys's estimate for n rows; "too_few_samples": fewer rows than
        coefficients; "not_finite": all results are NaN.  Of several the last one listed is told.
    groups_ : ndarray of shape (B,)
        The labels in order, where `groups` was given.
    results_ : mapping
        A named tuple for each problem, by its label, or number.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has column names.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : One problem, any number of classes.
    mmlfast.BatchedLinearRegression

    Notes
    -----
    Eight (AVX-512, float64) problems lie side by side, one in each lane of the vector registers;
    each stops by itself.  float32 is computed in float64 and given back in float32.

    References
    ----------
    Albert and Anderson, On the existence of maximum likelihood estimates in logistic regression
    models, Biometrika 71, 1984.  Firth, Bias reduction of maximum likelihood estimates, Biometrika
    80, 1993.  McCullagh and Nelder, Generalized linear models, 2nd ed., 1989, chapter 4.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import BatchedLogisticRegression
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((1000, 60, 2))
    >>> y = np.where(X[..., 0] + rng.logistic(size=(1000, 60)) > 0, "yes", "no")
    >>> model = BatchedLogisticRegression().fit(X, y)
    >>> model.coef_.mean(axis=0).round(1)
    array([1.1, 0. ])
    >>> model.predict_proba(X).shape
    (1000, 60, 2)
    """

    _result = LogisticResult
    _numeric_targets = False

    def __init__(
        self,
        alpha: float = 0.0,
        *,
        fit_intercept: bool = True,
        solver: str = "newton",
        tol: float = 1e-8,
        max_iter: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    @one_task
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Fit every problem.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (B, n_samples, n_features)
        y : array-like of shape (n_samples,), (n_samples, B) or (B, n_samples)
            Labels of two kinds over all problems.
        sample_weight : array-like, default=None
        groups : array-like of shape (n_samples,), default=None
            All as in :meth:`mmlfast.BatchedLinearRegression.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As there; and more than two labels.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If a problem's status is not "converged": once, with how many there are of each.
        """
        from mmlfast.kernels import logistic as kernel

        check_settings(self, SOLVERS)
        with all_or_nothing(self):
            problems = self._read(X, y, sample_weight, groups)
        d, ones = problems.n_features, int(self.fit_intercept)
        p = d + ones
        report = self._run(problems, kernel, ones)
        tail = report[2 * p :]
        coefficients, errors = report[:p], report[p : 2 * p]
        loss, gradient, state = tail[kernel.LOSS], tail[kernel.GRADIENT], tail[kernel.STATE]
        count, positive = tail[kernel.COUNT], tail[kernel.POSITIVE]
        one = (positive == 0) | (positive == count)
        coefficients[:, one], errors[:, one], loss[one], gradient[one] = 0.0, np.nan, 0.0, 0.0
        if ones:
            odds = np.log((positive[one] + 0.5) / (count[one] - positive[one] + 0.5))
            coefficients[d, one] = odds
        bad = np.isnan(tail[kernel.BAD_INPUT]) | ~np.isfinite(coefficients).all(axis=0)
        for values in (coefficients, errors, loss, gradient):
            values[..., bad] = np.nan
        dtype = problems.dtype
        zero = np.zeros(problems.count, dtype)
        found = report[: 2 * p].astype(dtype, copy=False).reshape(2, p, -1)
        self._keep(
            coef=found[0, :d].T,
            intercept=found[0, d] if ones else zero,
            coef_standard_error=found[1, :d].T,
            intercept_standard_error=found[1, d] if ones else zero,
            deviance=(2 * loss).astype(dtype),
            gradient_norm=gradient.astype(dtype),
            n_iter=tail[kernel.N_ITER].astype(np.intp),
        )
        free = self.alpha == 0
        self._flag(
            problems.count, max_iter=state == kernel.UNFINISHED,
            separated=state == kernel.SEPARATED, rank_deficient=(tail[kernel.LOST] > 0) & free,
            one_class=one, too_few_samples=(count < p) & (~one | (count == 0)) & free,
            not_finite=bad,
        )  # fmt: skip
        return self

    def _run(self, problems: Problems, kernel: Any, ones: int) -> NDArray[np.float64]:
        from mmlfast.api.regression_alone import logistic_alone
        from mmlfast.api.regression_runs import run

        d = problems.n_features
        steps = MOST_STEPS[self.solver] if self.max_iter is None else int(self.max_iter)
        options = SOLVERS.index(self.solver), float(self.alpha), float(self.tol), steps
        return run(
            problems, kernel.fit_groups, lambda n: kernel.layout(n, d, ones), options, ones,
            2 * (d + ones) + kernel.REPORT,
            partial(logistic_alone, ones=ones, options=options), self.n_jobs,
        )  # fmt: skip

    def _checked_targets(self, y: NDArray[Any]) -> NDArray[Any]:
        check_classification_targets(y)
        return y

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """y as 0 and 1, NaN where it is; classes_ is noted."""
        self.classes_, codes = two_classes(np.asarray(y))
        return codes

    def _shown(self, name: str, values: NDArray[Any]) -> Any:
        """scikit-learn's classifiers have an axis of problems for these."""
        return values if name.startswith(("coef", "intercept")) else super()._shown(name, values)

    def decision_function(self, X: Any, groups: Any = None) -> Any:
        """η = b₀ + X b, the logarithm of the odds of the second class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (B, n_samples, n_features)
        groups : array-like of shape (n_samples,), default=None
            As in :meth:`mmlfast.BatchedLinearRegression.predict`.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, B) or (B, n_samples), or list
            As there.
        """
        return self._scores(X, groups)

    def predict_proba(self, X: Any, groups: Any = None) -> Any:
        """Probabilities of the classes, on an axis behind those of :meth:`decision_function`."""
        scores = self.decision_function(X, groups)
        if isinstance(scores, list):
            return [self._probabilities(part) for part in scores]
        return self._probabilities(scores)

    def _probabilities(self, scores: NDArray[Any]) -> NDArray[Any]:
        from scipy.special import expit

        if len(self.classes_) == 1:
            return np.ones((*scores.shape, 1), scores.dtype)
        return np.stack([expit(-scores), expit(scores)], axis=-1)

    def predict_log_proba(self, X: Any, groups: Any = None) -> Any:
        """Logarithms of :meth:`predict_proba`, without its underflow."""
        from scipy.special import log_expit

        scores = self.decision_function(X, groups)
        if len(self.classes_) == 1:
            return np.zeros((*scores.shape, 1), scores.dtype)
        return np.stack([log_expit(-scores), log_expit(scores)], axis=-1)

    def predict(self, X: Any, groups: Any = None) -> Any:
        """The likelier class, of the shape of :meth:`decision_function`.

        Raises
        ------
        ValueError
            If a problem without an answer is asked: :meth:`decision_function` gives NaN for those.
        """
        scores = self.decision_function(X, groups)
        parts = scores if isinstance(scores, list) else [scores]
        if any(np.isnan(part).any() for part in parts):
            raise ValueError(
                "Some problems have no answer to predict from, see status_ for 'not_finite'; "
                "decision_function and predict_proba give NaN for those alone."
            )
        labels = [self.classes_[(part > 0).astype(np.intp) if len(self.classes_) > 1
                                else np.zeros(part.shape, np.intp)] for part in parts]  # fmt: skip
        return labels if isinstance(scores, list) else labels[0]

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Any:
        """Share of rows predicted right: one number or one for each problem, as in
        :meth:`mmlfast.BatchedLinearRegression.score`.
        """  # fmt: skip
        from sklearn.metrics import accuracy_score

        return self._scored(accuracy_score, X, y, sample_weight, groups)

    @property
    def coef_z_value_(self) -> Any:
        """Coefficients over their standard errors."""
        return self._quotients("coef")

    @property
    def intercept_z_value_(self) -> Any:
        """Intercepts over their standard errors."""
        return self._quotients("intercept")

    @property
    def coef_p_value_(self) -> Any:
        """How likely a coefficient at least as large is, were it 0: by the normal distribution."""
        return self._p_value(self.coef_z_value_)

    @property
    def intercept_p_value_(self) -> Any:
        """The same of intercepts."""
        return self._p_value(self.intercept_z_value_)

    def _p_value(self, z: Any) -> Any:
        from scipy.special import ndtr

        return 2 * ndtr(-np.abs(z))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def two_classes(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The labels, and y as 0 and 1 of them; NaN stays NaN."""
    known = ~np.isnan(y) if y.dtype.kind == "f" else np.ones((), bool)
    if y.dtype.kind in "biuf" and y.size:
        # No sort, where the two are the smallest and the largest number: 0.4 instead of 9 ms for
        # 400 000 labels.
        ends = np.array([np.nanmin(y), np.nanmax(y)] if known.any() else [], dtype=y.dtype)
        classes = ends[:1] if len(ends) and ends[0] == ends[1] else ends
        second = y == ends[-1] if len(ends) else np.zeros(y.shape, bool)
        if len(ends) and not (second | (y == ends[0]) | ~known).all():
            classes = np.unique(y[known])
    else:
        classes = np.unique(y)
        second = y == classes[-1]
    if len(classes) > 2:
        raise ValueError(
            "Only binary classification is supported. The type of the target is multiclass: it "
            f"has {len(classes)} labels, {classes[:5].tolist()} …. Use mmlfast.GDClassifier or "
            "sklearn.linear_model.LogisticRegression for more than two."
        )
    if len(classes) < 2:
        second = np.zeros(y.shape, bool)
    codes = second.astype(np.float64)
    if known.ndim:
        codes[~known] = np.nan
    return classes, codes
