"""Principal component analysis of a matrix of any size."""

from __future__ import annotations

import os
import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from mmlfast.api.callbacks import CallbackSupport, FitTask, Reads
from mmlfast.api.dimension import components_by_likelihood, components_for_share
from mmlfast.api.gaussian import GaussianModel
from mmlfast.api.incremental import IncrementalFit
from mmlfast.api.inputs import check_features, check_shape, open_input
from mmlfast.api.model_file import load_model, save_model
from mmlfast.api.projection import project
from mmlfast.api.scores import Scores
from mmlfast.api.settings import SOLVERS, check_settings, options_for, route_of
from mmlfast.api.spectrum import ROUTES, Spectrum, most_reads
from mmlfast.runtime.plan import Plan, Problem, forced_route, plan_route
from mmlfast.runtime.progress import Progress, ProgressArgument
from mmlfast.runtime.sources import Source
from mmlfast.runtime.threads import n_threads
from mmlfast.runtime.validate import work_dtype


class PCA(
    CallbackSupport, IncrementalFit, Scores, GaussianModel, ClassNamePrefixFeaturesOutMixin,
    TransformerMixin, BaseEstimator,
):  # fmt: skip
    """Orthonormal directions v_i of largest variance: C v_i = λ_i v_i, C the covariance of X.

    A drop-in for :class:`sklearn.decomposition.PCA` that reads X block by block, from memory or
    from files, and chooses the cheapest route to the components.

    Parameters
    ----------
    n_components : int, float, "mle" or None, default=None
        How many; a float in (0, 1) is the share of variance to explain; "mle" is Minka's choice;
        None is min(n_samples, n_features).
    copy : bool, default=True
        Kept for compatibility: X is never written to, and never copied as a whole.
    whiten : bool, default=False
        Scale the scores to unit variance.  Components below the numerical rank are divided by the
        noise floor instead of their own variance, and a warning says how many.
    svd_solver : {"auto", "full", "covariance_eigh", "krylov", "dual", "arpack", "randomized"}, \
default="auto"
        "auto" takes the cheapest, see :meth:`plan`.  "arpack" and "randomized" are scikit-learn's
        names: both run block Krylov, the first to full accuracy.
    tol : float, default=0.0
        Largest residual ‖C v − λ v‖/λ at which block Krylov stops; 0 is 0.1 (eigenvalues within
        1 %), and machine accuracy for "arpack".
    iterated_power : int or "auto", default="auto"
        Reads of the data by block Krylov; "auto" reads until `tol` is met.
    n_oversamples : int, default=10
        Vectors beyond n_components, for "randomized".
    power_iteration_normalizer : {"auto", "QR", "LU", "none"}, default="auto"
        Kept for compatibility: the basis is always orthonormalised.
    random_state : int, RandomState or None, default=None
        Of the first block of vectors.
    standardize : bool, default=False
        Divide columns by their standard deviation first: the components of the correlation
        matrix.  Constant columns are left as they are.
    memory_budget : int, default=None
        Bytes a route may take beside the data.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits do not depend on it.
    progress : bool or callable, default=None
        True shows a bar once it takes over a second; a callable gets (done, total, seconds).

    Attributes
    ----------
    components_ : ndarray of shape (n_components_, n_features_in_)
        Rows v_i; the entry of largest magnitude of each is positive.
    explained_variance_ : ndarray of shape (n_components_,)
        λ_i, with divisor n_samples_ − 1.
    explained_variance_ratio_ : ndarray of shape (n_components_,)
        λ_i over the total variance.
    singular_values_ : ndarray of shape (n_components_,)
        √((n_samples_ − 1) λ_i).
    mean_ : ndarray of shape (n_features_in_,)
    scale_ : ndarray of shape (n_features_in_,) or None
        Standard deviations if `standardize`.
    n_components_, n_samples_, n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X has column names.
    noise_variance_ : float
        Mean of the eigenvalues left out.
    rank_ : int
        How many components stand above the rounding error of the data's precision.
    solver_, why_solver_ : str
        The route taken, and why.
    n_passes_ : int
        Reads of the data.
    residual_ : float or None
        Largest ‖C v − λ v‖/λ of block Krylov; None where the route is exact.

    See Also
    --------
    sklearn.decomposition.PCA : The same interface for arrays in memory.

    Notes
    -----
    Values are taken about a shift near the data before they are squared, so that float32 data far
    from zero keeps its digits.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import PCA
    >>> X = np.array([[-1, -1], [-2, -1], [-3, -2], [1, 1], [2, 1], [3, 2]])
    >>> pca = PCA(n_components=2).fit(X)
    >>> pca.explained_variance_ratio_.round(4)
    array([0.9924, 0.0076])
    >>> pca.singular_values_.round(4)
    array([6.3006, 0.5498])
    """

    def __init__(
        self,
        n_components: int | float | str | None = None,
        *,
        copy: bool = True,
        whiten: bool = False,
        svd_solver: str = "auto",
        tol: float = 0.0,
        iterated_power: int | str = "auto",
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: Any = None,
        standardize: bool = False,
        memory_budget: int | None = None,
        n_jobs: int | None = None,
        progress: ProgressArgument = None,
    ) -> None:
        self.n_components = n_components
        self.copy = copy
        self.whiten = whiten
        self.svd_solver = svd_solver
        self.tol = tol
        self.iterated_power = iterated_power
        self.n_oversamples = n_oversamples
        self.power_iteration_normalizer = power_iteration_normalizer
        self.random_state = random_state
        self.standardize = standardize
        self.memory_budget = memory_budget
        self.n_jobs = n_jobs
        self.progress = progress

    def fit(self, X: Any, y: None = None) -> Self:
        """Find the components of the rows of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or anything a source can be
            An array or memmap of float64, float32, float16, uint8, int8, int16 or int32 is read as
            it is.  A path (.npy, .npz, .csv, .parquet, a folder of Parquet files), a frame, an
            iterator of batches (read once), or a callable that returns one (read as often as
            needed).
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            NaN or infinity (the first is named), fewer than two rows, n_components out of range.
        MemoryError
            No route fits `memory_budget`.
        """
        check_settings(self)
        self._forget()
        with open_input(self, X, reset=True) as source:
            check_shape(source.n_rows, source.n_features)
            self._fit_source(source, X, y)
        return self

    def _fit_source(self, source: Source, X: Any, y: Any) -> None:
        dtype = work_dtype(source.dtype)
        k = self._requested(source.n_rows, source.n_features)
        problem = Problem(
            source.n_rows, source.n_features, dtype.itemsize, k, n_threads(self.n_jobs),
            source.rewindable,
        )  # fmt: skip
        route = route_of(self.svd_solver)
        if route is None:
            plan = plan_route(problem, self.memory_budget)
        else:
            plan = forced_route(problem, route)
        if plan.passes > 1 and not source.rewindable:
            raise ValueError(
                f"svd_solver={self.svd_solver!r} reads the data {plan.passes} times, but "
                f"{source.name} can be read only once. Pass a callable that returns a new "
                "iterator, or use svd_solver='covariance_eigh'."
            )
        options = options_for(self, k, dtype, problem.threads)
        with FitTask(self, most_reads(plan.route, options), X=X, y=y) as task:
            total = None if source.n_rows is None else source.n_rows * plan.passes
            with Progress(self.progress, total, f"PCA ({plan.route})") as shown:
                reads = Reads(task, source, shown.advance)
                spectrum = ROUTES[plan.route](source, options, reads)
            if not (spectrum.converged or task.stopped) and self.iterated_power == "auto":
                warnings.warn(
                    f"block Krylov stopped after {spectrum.n_passes} reads with a residual of "
                    f"{spectrum.residual:.2g}, above {options.tol:.2g}. Raise tol, ask for fewer "
                    "components, or use svd_solver='covariance_eigh'.",
                    ConvergenceWarning, stacklevel=3,
                )  # fmt: skip
            if source.n_rows is None:
                # Only now is it known how many rows there were.
                self._requested(spectrum.n_samples, source.n_features)
            single = source.dtype in (np.float32, np.float16)
            self._learn(spectrum, np.float32 if single else np.float64)
            self.solver_, self.why_solver_ = plan.route, plan.reason

    def _requested(self, n_samples: int | None, n_features: int) -> int | None:
        """The integer n_components to look for; None for all, to choose from afterwards."""
        k = self.n_components
        most = n_features if n_samples is None else min(n_samples, n_features)
        if isinstance(k, int | np.integer) and not isinstance(k, bool):
            if not 1 <= k <= most:
                raise ValueError(
                    f"n_components must be between 1 and min(n_samples, n_features) = {most} with "
                    f"svd_solver={self.svd_solver!r}; got n_components={k}. Pass a fraction such "
                    "as 0.95 to choose by variance."
                )
            if self.svd_solver == "arpack" and k == most:
                raise ValueError(
                    f"n_components={k} must be strictly less than min(n_samples, n_features) = "
                    f"{most} with svd_solver='arpack'; got n_samples={n_samples}, n_features="
                    f"{n_features}. Use svd_solver='full'."
                )
            return int(k)
        if k is not None and SOLVERS[self.svd_solver] == "krylov":
            raise ValueError(
                f"n_components={k!r} cannot be used with svd_solver={self.svd_solver!r}, which "
                "finds a given number of components. Pass an integer, or use "
                "svd_solver='covariance_eigh'."
            )
        if k == "mle" and n_samples is not None and n_samples < n_features:
            raise ValueError(
                f"n_components='mle' is only supported if n_samples >= n_features; got {n_samples} "
                f"x {n_features}. Pass an integer or a fraction."
            )
        if k is None and self.svd_solver == "arpack":
            return most - 1
        return None

    def _learn(self, spectrum: Spectrum, dtype: DTypeLike) -> None:
        """Set the learned attributes from eigenpairs of the covariance."""
        n, d = spectrum.n_samples, len(spectrum.mean)
        available = min(n, d, len(spectrum.values))
        k = self._chosen(spectrum, available)
        values = spectrum.values[:k]
        # A copy: a slice would keep the whole d × d matrix of eigenvectors alive.
        components = np.array(spectrum.vectors[:, :k].T, dtype, order="C")
        largest = np.argmax(np.abs(components), axis=1)
        components *= np.where(components[np.arange(k), largest] < 0, -1, 1)[:, None].astype(dtype)
        left_out = min(n, d) - k
        rest = max(spectrum.total - float(values.sum()), 0.0)
        ratio = values / spectrum.total if spectrum.total > 0 else np.zeros(k)
        self.components_ = components
        self.explained_variance_ = values.astype(dtype)
        self.explained_variance_ratio_ = ratio.astype(dtype)
        self.singular_values_ = np.sqrt(values * (n - 1)).astype(dtype)
        self.mean_ = spectrum.mean.astype(dtype)
        self.scale_ = None if spectrum.scale is None else spectrum.scale.astype(dtype)
        self.n_components_, self.n_samples_ = k, n
        self.noise_variance_ = rest / left_out if left_out > 0 else 0.0
        self.n_passes_, self.residual_ = spectrum.n_passes, spectrum.residual
        floor = spectrum.noise * float(spectrum.values[0])
        self.rank_ = int(np.count_nonzero(values > floor))
        self._floor = floor
        if self.whiten and self.rank_ < k:
            warnings.warn(
                f"{k - self.rank_} of {k} components lie below the numerical rank ({self.rank_}) "
                f"of the sums: their scores are noise, and whitening leaves them small instead "
                f"of scaling them to unit variance. Pass n_components={self.rank_} to leave them "
                "out.",
                stacklevel=4,
            )

    def _chosen(self, spectrum: Spectrum, available: int) -> int:
        k = self.n_components
        if k == "mle":
            return components_by_likelihood(spectrum.values, spectrum.n_samples)
        if isinstance(k, float | np.floating):
            return components_for_share(spectrum.values[:available], spectrum.total, float(k))
        return available if k is None else min(int(k), available)

    def transform(self, X: Any, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Scores (x − mean_)·v_i of the rows of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or anything a source can be
        out : ndarray of shape (n_samples, n_components_), default=None
            Overwritten with the scores; a memmap lets them exceed memory.

        Returns
        -------
        ndarray of shape (n_samples, n_components_)
            float32 for float32 and float16 input, else float64; `out` if it was given.
        """
        check_is_fitted(self)
        with open_input(self, X, reset=False) as source:
            check_features(self, source)
            check_shape(source.n_rows, source.n_features, least=1)
            return project(
                source, self.mean_, self._scores_matrix()[0], n_threads(self.n_jobs), out
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.components_.shape[0])

    def plan(
        self,
        shape: tuple[int, int],
        dtype: DTypeLike = np.float64,
        memory_budget: int | None = None,
    ) -> Plan:
        """What `fit` would do with data of this shape: route, reads, memory and time.

        Parameters
        ----------
        shape : (n_samples, n_features)
        dtype : dtype, default=float64
        memory_budget : int, default=None
            Bytes beside the data; by default the estimator's.

        Returns
        -------
        Plan
            With attributes route, passes, peak_bytes, seconds (an estimate) and reason.
        """
        check_settings(self)
        n, d = shape
        check_shape(n, d)
        work = work_dtype(np.dtype(dtype))
        problem = Problem(n, d, work.itemsize, self._requested(n, d), n_threads(self.n_jobs))
        route = route_of(self.svd_solver)
        if route is not None:
            return forced_route(problem, route)
        return plan_route(problem, self.memory_budget if memory_budget is None else memory_budget)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a .npz file: whole or not at all, and without pickle.

        Parameters
        ----------
        path : str or path-like
            `random_state`, `progress` and the sums that `partial_fit` keeps are not written; for
            the sums see :meth:`CovarianceState.save`.
        """
        save_model(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        PCA

        Raises
        ------
        ValueError
            The file is damaged, something else, or of a newer version.
        """
        return load_model(cls, path)
