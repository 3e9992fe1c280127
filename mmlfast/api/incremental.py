"""Principal components of rows that come in batches, or of sums that are there already."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError

from mmlfast.api.covariance import CovarianceState
from mmlfast.api.inputs import check_features, check_shape, open_input
from mmlfast.api.moments import Moments
from mmlfast.api.settings import check_settings
from mmlfast.api.spectrum import Spectrum, spectrum_of_moments

LEARNED = (
    "components_", "explained_variance_", "explained_variance_ratio_", "singular_values_", "mean_",
    "scale_", "n_components_", "n_samples_", "noise_variance_", "rank_", "solver_", "why_solver_",
    "n_passes_", "residual_", "_floor",
)  # fmt: skip
"""What `fit` sets, beside n_features_in_ and feature_names_in_."""


class IncrementalFit:
    """Mixin that keeps a CovarianceState and finds the components when one is asked for."""

    n_jobs: int | None
    standardize: bool
    progress: Any
    n_features_in_: int
    feature_names_in_: Any
    _state: CovarianceState
    _output_dtype: np.dtype[Any]
    _learned = LEARNED

    def _requested(self, n_samples: int | None, n_features: int) -> int | None:
        raise NotImplementedError

    def _learn(self, spectrum: Spectrum, dtype: Any) -> None:
        raise NotImplementedError

    def partial_fit(self, X: Any, y: None = None) -> Self:
        """Add rows; batches of any size, one row included, give the same bits as all at once.

        The components are found when an attribute is first asked for.  Interrupted by Ctrl-C, the
        estimator holds the rows of whole steps before it (see `n_samples_`).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or anything a source can be
        y : ignored

        Returns
        -------
        self
        """
        check_settings(self)
        first = "_state" not in self.__dict__
        if first:
            self._forget()
        with open_input(self, X, reset=first) as source:
            check_shape(source.n_rows, source.n_features, least=1)
            if not first:
                check_features(self, source)
            if first:
                single = source.dtype in (np.float32, np.float16)
                self._begin(source.n_features, np.dtype(np.float32 if single else np.float64))
            try:
                self._state.update(source, progress=self.progress)
            finally:
                self._forget(keep_state=True)
        return self

    def merge(self, other: IncrementalFit) -> Self:
        """Add the rows that another estimator has seen through `partial_fit`.

        Parameters
        ----------
        other : PCA
            Unchanged.  An estimator that has seen no rows is empty: it adds nothing.

        Returns
        -------
        self
        """
        if not isinstance(other, IncrementalFit):
            raise TypeError(f"other must be a PCA; got {type(other).__name__}.")
        for estimator, name in ((self, "self"), (other, "other")):
            if "components_" in estimator.__dict__ and "_state" not in estimator.__dict__:
                raise ValueError(
                    f"{name} holds no sums to merge. Fit with partial_fit, which keeps them; fit "
                    "does not."
                )
        if "_state" not in other.__dict__:
            return self
        if "_state" not in self.__dict__:
            self._begin(other.n_features_in_, other._output_dtype)
            if hasattr(other, "feature_names_in_"):
                self.feature_names_in_ = other.feature_names_in_
        self._state.merge(other._state)
        self._forget(keep_state=True)
        return self

    def _begin(self, n_features: int, output_dtype: np.dtype[Any]) -> None:
        self.n_features_in_ = n_features
        self._state = CovarianceState(n_features, n_jobs=self.n_jobs)
        self._output_dtype = output_dtype

    @classmethod
    def from_covariance(
        cls,
        C: ArrayLike | CovarianceState,
        mean: ArrayLike | None = None,
        n_samples: int | None = None,
        **parameters: Any,
    ) -> Self:
        """An estimator fitted to a covariance matrix instead of rows.

        Parameters
        ----------
        C : array-like of shape (n_features, n_features), or CovarianceState
            With divisor n_samples − 1.
        mean : array-like of shape (n_features,), default=None
            Zero if left out.
        n_samples : int, default=None
            Rows that C was computed from, at least 2; if left out n_features + 1, the least that a
            covariance of full rank comes from.  Only singular_values_, n_samples_ and the largest
            possible n_components_ depend on it.
        **parameters
            Of the constructor.

        Returns
        -------
        PCA
        """
        self = cls(**parameters)
        check_settings(self)
        if isinstance(C, CovarianceState):
            if mean is not None or n_samples is not None:
                raise ValueError("mean and n_samples belong to C already; leave them out.")
            moments = C._moments(needed=2, for_what="PCA")
        else:
            moments = _moments_of(C, mean, n_samples)
        self.n_features_in_ = len(moments.shift)
        self._settle(moments, np.dtype(np.float64), np.dtype(np.float64))
        return self

    def _settle(self, moments: Moments, work: np.dtype[Any], dtype: np.dtype[Any]) -> None:
        n, d = moments.n_rows, len(moments.shift)
        k = self._requested(n, d)
        self._learn(spectrum_of_moments(moments, k, self.standardize, work), dtype)
        self.solver_, self.why_solver_ = "covariance_eigh", "sums of products were there already"

    def _forget(self, keep_state: bool = False) -> None:
        for name in (*LEARNED, *(() if keep_state else ("_state", "_output_dtype"))):
            self.__dict__.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not there: after partial_fit, the learned attributes.
        if name not in LEARNED or "_state" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        state = self._state
        try:
            moments = state._moments(needed=2, for_what="PCA")
            self._settle(moments, np.dtype(state._dtype), self._output_dtype)
        except ValueError as error:
            # An AttributeError too: `hasattr` and what shows an estimator must not fail on it.
            raise NotFittedError(str(error)) from error
        return self.__dict__[name]

    def __sklearn_is_fitted__(self) -> bool:
        return "components_" in self.__dict__ or "_state" in self.__dict__


def _moments_of(C: ArrayLike, mean: ArrayLike | None, n_samples: int | None) -> Moments:
    matrix = np.asarray(C)
    if matrix.dtype.kind not in "fiub":
        raise TypeError(f"C must hold real numbers; got dtype {matrix.dtype}.")
    matrix = matrix.astype(np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ValueError(f"C must be a square matrix; got shape {matrix.shape}.")
    if not np.isfinite(matrix).all():
        raise ValueError("C contains NaN or infinity. Pass a covariance matrix of finite numbers.")
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-12 * float(np.abs(matrix).max())):
        raise ValueError("C must be symmetric, as a covariance matrix is. Pass (C + C.T) / 2.")
    centre = np.zeros(len(matrix)) if mean is None else np.asarray(mean, np.float64)
    if centre.shape != (len(matrix),) or not np.isfinite(centre).all():
        raise ValueError(
            f"mean must be finite and have shape ({len(matrix)},); got shape {centre.shape}."
        )
    if n_samples is None:
        n_samples = len(matrix) + 1
    if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer) or n_samples < 2:
        raise ValueError(f"n_samples must be an integer of at least 2; got {n_samples!r}.")
    products = (matrix + matrix.T) / 2 * (n_samples - 1)
    return Moments(int(n_samples), float(n_samples), centre, np.zeros(len(matrix)), products)
