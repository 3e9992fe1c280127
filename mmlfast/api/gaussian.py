"""The Gaussian that a fitted PCA stands for: covariance, precision, likelihood of rows.

    C = Σ_i (λ_i − σ²) v_i v_iᵀ + σ² Id        σ² the noise variance

Tipping and Bishop, Mixtures of probabilistic principal component analysers, Neural Computation
11(2), 1999.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from mmlfast.api.inputs import check_features, check_shape, open_input
from mmlfast.runtime.validate import refuse_bad_numbers


class GaussianModel:
    """Mixin for estimators with components_, explained_variance_, noise_variance_ and scale_."""

    components_: NDArray[Any]
    explained_variance_: NDArray[Any]
    noise_variance_: float
    mean_: NDArray[Any]
    scale_: NDArray[Any] | None

    def get_covariance(self) -> NDArray[Any]:
        """Σ_i (λ_i − σ²) v_i v_iᵀ + σ² Id, of shape (n_features_in_, n_features_in_).

        In the units of X, also if the columns were standardised, and whether or not the scores are
        whitened (scikit-learn counts the variances twice then).
        """
        check_is_fitted(self)
        V = self.components_
        excess = np.maximum(self.explained_variance_ - self.noise_variance_, 0.0)
        C = (V.T * excess) @ V
        C.flat[:: len(C) + 1] += self.noise_variance_
        return C if self.scale_ is None else C * np.outer(self.scale_, self.scale_)

    def get_precision(self) -> NDArray[Any]:
        """The inverse of `get_covariance`, by the matrix inversion lemma where σ² > 0."""
        check_is_fitted(self)
        if self.noise_variance_ == 0.0 or self.scale_ is not None:
            inverse: NDArray[Any] = scipy.linalg.pinvh(self.get_covariance())
            return inverse
        V = self.components_
        excess = np.maximum(self.explained_variance_ - self.noise_variance_, 0.0)
        shrink = excess / (self.noise_variance_ * (excess + self.noise_variance_))
        P = -(V.T * shrink) @ V
        P.flat[:: len(P) + 1] += 1.0 / self.noise_variance_
        return P

    def score_samples(self, X: Any) -> NDArray[np.float64]:
        """log p(x) = −½ (d log 2π + log det C + (x − μ)ᵀ C⁻¹ (x − μ)) of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or anything a source can be

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        P = self.get_precision().astype(np.float64)
        constant = len(P) * np.log(2 * np.pi) - float(np.linalg.slogdet(P)[1])
        parts = []
        row = 0
        with open_input(self, X, reset=False) as source:
            check_features(self, source)
            check_shape(source.n_rows, source.n_features, least=1)
            for batch in source.batches():
                refuse_bad_numbers(batch, row)
                row += len(batch)
                centred = batch.astype(np.float64) - self.mean_
                parts.append(-0.5 * (np.einsum("ij,ij->i", centred @ P, centred) + constant))
        return np.concatenate(parts)

    def score(self, X: Any, y: None = None) -> float:
        """The mean log-likelihood of the rows of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or anything a source can be
        y : ignored

        Returns
        -------
        float
        """
        return float(np.mean(self.score_samples(X)))
