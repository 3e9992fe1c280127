"""From rows to scores block by block, from scores back to rows, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array, check_is_fitted

from mmlfast.api.inputs import check_features, open_input
from mmlfast.api.projection import project
from mmlfast.runtime.threads import n_threads


class Scores:
    """Mixin for estimators with components_, explained_variance_, mean_ and scale_."""

    whiten: bool
    n_jobs: int | None
    components_: NDArray[Any]
    explained_variance_: NDArray[Any]
    noise_variance_: float
    mean_: NDArray[Any]
    scale_: NDArray[Any] | None
    n_components_: int
    n_samples_: int
    n_features_in_: int
    _floor: float

    def _scores_matrix(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """W (d, k) with scores = (x − mean_) W, and the factors √λ that whitening divides by."""
        W = self.components_.T.astype(np.float64)
        spread = np.ones(self.n_components_)
        if self.whiten:
            # A relative floor: a component of no variance would divide rounding error by zero.
            floor = max(self._floor, float(np.finfo(np.float64).tiny))
            spread = np.sqrt(np.maximum(self.explained_variance_.astype(np.float64), floor))
            W = W / spread
        if self.scale_ is not None:
            W = W / self.scale_[:, None]
        return W, spread

    def iter_transform(self, source: Any) -> Iterator[NDArray[Any]]:
        """Scores of a source, block of rows after block of rows, in bounded memory.

        Parameters
        ----------
        source : anything a source can be

        Yields
        ------
        ndarray of shape (rows, n_components_)
        """
        check_is_fitted(self)
        with open_input(self, source, reset=False) as opened:
            check_features(self, opened)
            W = self._scores_matrix()[0]
            row = 0
            for batch in opened.batches():
                yield project(batch, self.mean_, W, n_threads(self.n_jobs), None, row)
                row += len(batch)

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """Rows with the given scores: mean_ + Σ_i score_i v_i.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components_)

        Returns
        -------
        ndarray of shape (n_samples, n_features_in_)
        """
        check_is_fitted(self)
        scores = check_array(X, dtype=(np.float64, np.float32))
        if scores.shape[1] != self.n_components_:
            raise ValueError(
                f"X must have shape (n_samples, n_components_) with n_components_="
                f"{self.n_components_}; got {scores.shape}."
            )
        _, spread = self._scores_matrix()
        back = self.components_ * spread[:, None].astype(self.components_.dtype)
        if self.scale_ is not None:
            back = back * self.scale_
        return scores @ back + self.mean_

    def reconstruction_error_curve(self) -> NDArray[np.float64]:
        """Mean squared error of rebuilding X from its first k components, for each k.

        Returns
        -------
        ndarray of shape (n_components_ + 1,)
            Entry k is Σ_{i>k} λ_i (n − 1)/(n n_features_in_): the mean over all numbers of X, in
            standardised units if `standardize`.  Entry 0 is the error of the mean alone.
        """
        check_is_fitted(self)
        values = self.explained_variance_.astype(np.float64)
        unseen = self.noise_variance_ * (min(self.n_samples_, self.n_features_in_) - len(values))
        left = np.concatenate([[0.0], np.cumsum(values[::-1])])[::-1] + unseen
        return left * ((self.n_samples_ - 1) / (self.n_samples_ * self.n_features_in_))
