"""Least squares of thousands of small problems at once."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin

from mmlfast.api.all_or_nothing import all_or_nothing
from mmlfast.api.batched_regression import BatchedRegression
from mmlfast.api.callbacks import one_task
from mmlfast.api.regression_problems import Problems
from mmlfast.api.regression_settings import check_settings

SOLVERS = ("qr", "cholesky", "gd")


class LinearResult(NamedTuple):
    """One of the problems that a :class:`BatchedLinearRegression` was fitted to."""

    coef: NDArray[Any]
    intercept: float
    coef_standard_error: NDArray[Any]
    intercept_standard_error: float
    residual_standard_deviation: float
    degrees_of_freedom: int
    r2: float
    n_iter: int
    status: str


class BatchedLinearRegression(RegressorMixin, BatchedRegression):  # type: ignore[misc]
    """B least squares problems at once: min ½ Σ w (y − b₀ − xᵀb)² + α/2 ‖b‖² for each.

    Parameters
    ----------
    alpha : float, default=0.0
        Penalty α of ‖b‖², as in :class:`sklearn.linear_model.Ridge`; the intercept is free.
    fit_intercept : bool, default=True
        Whether there is a b₀; else it is 0.
    solver : {"qr", "cholesky", "gd"}, default="qr"
        "qr" orthogonalises the columns, and where they are nearly dependent refines the
        coefficients and their errors in doubled precision, to all the digits that the numbers in X
        and y determine.  "cholesky" solves the normal equations of the centred columns, which
        squares their condition.  "gd" is gradient descent on these.
    tol : float, default=1e-8
        For "gd": the largest length of the gradient, in units of the columns' root mean squares
        and the standard deviation of y, over the number of rows.
    max_iter : int, default=None
        Steps of "gd"; None is 10 000.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits do not depend on it.

    Attributes
    ----------
    coef_ : ndarray of shape (B, n_features)
        (n_features,) for one ordinary problem, whose other attributes are scalars.
    intercept_ : ndarray of shape (B,)
    coef_standard_error_, intercept_standard_error_ : ndarray of the same shapes
        Of the estimates: √(σ² [(AᵀWA + α)⁻¹]_jj), with σ² = Σ w r² / degrees of freedom.  With
        α > 0 that is the posterior under a normal prior.  NaN where no degree of freedom is left.
    coef_t_value_, intercept_t_value_, coef_p_value_, intercept_p_value_ : ndarray
        Of the hypothesis that a coefficient is 0, two-sided.
    residual_standard_deviation_ : ndarray of shape (B,)
        σ.
    degrees_of_freedom_ : ndarray of shape (B,)
        Rows of positive weight less coefficients.
    r2_ : ndarray of shape (B,)
        1 − Σ w r² / Σ w (y − ȳ)²; without an intercept about 0 instead of ȳ.
    n_iter_ : ndarray of shape (B,)
        Steps of "gd"; else 1, and as many more as refinements were made.
    gradient_norm_ : ndarray of shape (B,)
        For "gd": the length of the gradient where it stopped, of centred columns.
    status_ : ndarray of str of shape (B,)
        "converged"; "max_iter"; "rank_deficient": a column depends on those before it, its
        coefficient has no standard error, and is 0 but by "gd"; "too_few_samples": fewer rows than
        coefficients, treated likewise; "not_finite": NaN or infinity among the numbers, or too
        large to square: all results are NaN.
    groups_ : ndarray of shape (B,)
        The labels in order, where `groups` was given.
    results_ : mapping
        A named tuple for each problem, by its label, or number.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has column names.

    See Also
    --------
    sklearn.linear_model.LinearRegression, sklearn.linear_model.Ridge
    mmlfast.BatchedLogisticRegression : The same for two classes.

    Notes
    -----
    Eight (AVX-512, float64) problems lie side by side, one in each lane of the vector registers, so
    that no operation crosses lanes.  Modified Gram–Schmidt with y as a column is as accurate as
    Householder's method; Björck's iterative refinement of the augmented system adds the rest.
    float32 is computed in float64 and given back in float32.

    References
    ----------
    Björck, Solving linear least squares problems by Gram–Schmidt orthogonalization, BIT 7, 1967;
    Iterative refinement of linear least squares solutions II, BIT 8, 1968.

    Examples
    --------
    A slope for each of three shops, from one long table:

    >>> import numpy as np
    >>> from mmlfast import BatchedLinearRegression
    >>> shop = np.repeat(["a", "b", "c"], [4, 5, 6])
    >>> x = np.arange(15.0)
    >>> y = np.repeat([1.0, 2.0, 3.0], [4, 5, 6]) * x
    >>> model = BatchedLinearRegression().fit(x[:, None], y, groups=shop)
    >>> model.coef_.round(6).ravel()
    array([1., 2., 3.])
    >>> float(model.results_["b"].coef[0].round(6))
    2.0
    >>> model.predict([[1.0], [1.0]], groups=["a", "c"]).round(6)
    array([1., 3.])

    1000 problems of a stack:

    >>> X = np.random.default_rng(0).standard_normal((1000, 50, 3))
    >>> BatchedLinearRegression().fit(X, X.sum(2)).coef_.shape
    (1000, 3)
    """

    _result = LinearResult
    _numeric_targets = True

    def __init__(
        self,
        alpha: float = 0.0,
        *,
        fit_intercept: bool = True,
        solver: str = "qr",
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
            One table, or one for each problem; or a list of tables of different lengths.  (1, …)
            is shared by all.
        y : array-like of shape (n_samples,), (n_samples, B) or (B, n_samples)
            With one table, (n_samples,) is one ordinary problem, or one for each label of `groups`.
            Two axes hold a problem in each column, or in each row; where both could be meant, it is
            an error.  With a stack, a row for each problem, or one (n_samples,) for all.
        sample_weight : array-like, default=None
            As y, or (n_samples,) for all problems.
        groups : array-like of shape (n_samples,), default=None
            Labels of the rows of one table, of any hashable kind: a problem for each.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Shapes that do not fit, negative weights, unknown options; and NaN or infinity in X
            where all problems share it.

        Warns
        -----
        sklearn.exceptions.ConvergenceWarning
            If a problem's status is not "converged": once, with how many there are of each.
        """
        from mmlfast.kernels import least_squares as kernel

        check_settings(self, SOLVERS)
        with all_or_nothing(self):
            problems = self._read(X, y, sample_weight, groups)
        ones = int(self.fit_intercept)
        d = problems.n_features
        p = d + ones
        report = self._run(problems, kernel, ones)
        tail = report[2 * p :]
        lost, count, rss = tail[kernel.LOST], tail[kernel.COUNT], tail[kernel.RSS]
        n_iter = tail[kernel.N_ITER].astype(np.intp)
        bad = ~(np.isfinite(report[:p]).all(axis=0) & np.isfinite(rss))
        report[: 2 * p, bad] = np.nan
        too_few = (count < p) & (self.alpha == 0)
        unfinished = (n_iter >= self._most_steps()) & (self.solver == "gd")
        freedom = count - p + lost
        with np.errstate(invalid="ignore", divide="ignore"):
            noise = np.sqrt(np.where(freedom > 0, rss / freedom, np.nan))
            r2 = np.where(tail[kernel.TSS] > 0, 1 - rss / tail[kernel.TSS], np.nan)
        dtype = problems.dtype
        coefficients, errors = report[: 2 * p].astype(dtype, copy=False).reshape(2, p, -1)
        coefficients, errors = coefficients.T, errors.T
        zero = np.zeros(problems.count, dtype)
        self._keep(
            coef=coefficients[:, ones:],
            intercept=coefficients[:, 0] if ones else zero,
            coef_standard_error=errors[:, ones:],
            intercept_standard_error=errors[:, 0] if ones else zero,
            residual_standard_deviation=noise.astype(dtype),
            degrees_of_freedom=np.maximum(freedom, 0).astype(np.intp),
            r2=np.where(bad, np.nan, r2).astype(dtype),
            n_iter=n_iter,
        )
        self.__dict__.pop("gradient_norm_", None)
        if self.solver == "gd":
            self._keep(gradient_norm=np.sqrt(tail[kernel.GRADIENT]).astype(dtype))
        self._flag(
            problems.count, max_iter=unfinished, rank_deficient=lost > 0, too_few_samples=too_few,
            not_finite=bad,
        )  # fmt: skip
        return self

    def _most_steps(self) -> int:
        return 10_000 if self.max_iter is None else int(self.max_iter)

    def _run(self, problems: Problems, kernel: Any, ones: int) -> NDArray[np.float64]:
        from mmlfast.api.regression_alone import least_squares_alone, well_conditioned
        from mmlfast.api.regression_runs import run

        d, alpha = problems.n_features, float(self.alpha)
        w = None if problems.w is None else problems.w[0]
        once = (
            problems.count > 1 and self.solver != "gd" and problems.starts is None
            and len(problems.X) == 1 and (problems.w is None or len(problems.w) == 1)
            and (alpha > 0 or well_conditioned(problems.X[0].astype(np.float64), w, ones))
        )  # fmt: skip
        options = SOLVERS.index(self.solver), alpha, float(self.tol), self._most_steps()
        return run(
            problems, kernel.fit_groups,
            lambda n: kernel.layout(n, d, ones, alpha > 0, self.solver != "qr"),
            options, ones, 2 * (d + ones) + kernel.REPORT,
            partial(least_squares_alone, ones=ones, options=options), self.n_jobs, once,
        )  # fmt: skip

    def predict(self, X: Any, groups: Any = None) -> Any:
        """b₀ + X b.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (B, n_samples, n_features)
            Rows for all problems, or for each its own; a list of tables after a fit to a list.
        groups : array-like of shape (n_samples,), default=None
            Which problem each row belongs to, after a fit with groups.

        Returns
        -------
        ndarray of shape (n_samples,), (n_samples, B) or (B, n_samples), or list
            (n_samples,) of one ordinary problem and with `groups`; (n_samples, B) after a fit to y
            of that shape; else a row for each problem.
        """
        return self._scores(X, groups)

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Any:
        """R² of the predictions, of each problem.

        One number for an ordinary problem, with `groups`, and after a fit to y with a problem in
        each column: their mean, as scikit-learn has it.
        """
        from sklearn.metrics import r2_score

        return self._scored(r2_score, X, y, sample_weight, groups)

    @property
    def coef_t_value_(self) -> Any:
        """Coefficients over their standard errors."""
        return self._quotients("coef")

    @property
    def intercept_t_value_(self) -> Any:
        """Intercepts over their standard errors."""
        return self._quotients("intercept")

    @property
    def coef_p_value_(self) -> Any:
        """How likely a coefficient at least as large is, were it 0: by Student's distribution."""
        freedom = np.asarray(self.degrees_of_freedom_)
        return self._p_value(self.coef_t_value_, freedom[..., None])

    @property
    def intercept_p_value_(self) -> Any:
        """The same of intercepts."""
        return self._p_value(self.intercept_t_value_, np.asarray(self.degrees_of_freedom_))

    def _p_value(self, t: Any, freedom: NDArray[np.intp]) -> Any:
        from scipy.special import stdtr

        return 2 * stdtr(freedom, -np.abs(t))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
