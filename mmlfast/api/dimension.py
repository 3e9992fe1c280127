"""How many components: by the share of variance, or by Minka's maximum likelihood."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]


def components_for_share(values: Array, total: float, share: float) -> int:
    """The least k with (λ_1 + … + λ_k)/total > share; all if rounding leaves none."""
    shares = np.cumsum(values) / total if total > 0 else np.ones(len(values))
    return min(int(np.searchsorted(shares, share, side="right")) + 1, len(values))


def components_by_likelihood(values: Array, n_samples: int) -> int:
    """The k in 1 … d − 1 of largest evidence p(X | k), by Laplace's approximation.

    Minka, Automatic choice of dimensionality for PCA, NeurIPS 2000, equation 77.
    """
    d = len(values)
    evidence = [_log_evidence(values, k, n_samples) for k in range(1, d)]
    return int(np.argmax(evidence)) + 1 if evidence else 1


def _log_evidence(values: Array, k: int, n: int) -> float:
    d = len(values)
    if values[k - 1] < np.finfo(np.float64).eps:
        return -np.inf  # k directions would include one without variance
    angles = np.arange(1, k + 1)
    log_prior = float(
        (gammaln((d - angles + 1) / 2) - np.log(np.pi) * (d - angles + 1) / 2).sum()
    ) - k * np.log(2.0)
    noise = max(float(values[k:].sum() / (d - k)), float(np.finfo(np.float64).eps))
    parameters = d * k - k * (k + 1) / 2
    log_fit = -n / 2 * (float(np.log(values[:k]).sum()) + (d - k) * np.log(noise))
    smoothed = np.concatenate([values[:k], np.full(d - k, noise)])
    log_curvature = 0.0
    for i in range(k):
        gaps = (values[i] - values[i + 1 :]) * (1.0 / smoothed[i + 1 :] - 1.0 / smoothed[i])
        # Equal eigenvalues beyond the k-th leave a gap of zero only where both are noise.
        log_curvature += float(np.log(np.maximum(gaps, np.finfo(np.float64).tiny)).sum())
        log_curvature += (d - i - 1) * np.log(n)
    return (
        log_prior + log_fit + (parameters + k) / 2 * np.log(2 * np.pi)
        - log_curvature / 2 - k / 2 * np.log(n)
    )  # fmt: skip
