"""Data and comparisons that the tests of PCA share."""

from __future__ import annotations

import numpy as np

from mmlfast import PCA

SOLVERS = ["full", "covariance_eigh", "krylov", "dual", "arpack", "randomized"]
EXACT = ["full", "covariance_eigh", "dual"]
LEARNED = [
    "components_", "explained_variance_", "explained_variance_ratio_", "singular_values_", "mean_",
]  # fmt: skip


def pca(solver: str, n_components=None, **settings) -> PCA:
    """By this route, to full accuracy where it iterates."""
    return PCA(n_components, svd_solver=solver, random_state=0, tol=1e-10, **settings)


def spread(n: int, d: int, dtype="float64", *, seed: int = 0, offset: float = 0.0) -> np.ndarray:
    """Rows whose covariance has well separated eigenvalues 1, 1/2, 1/3 … times 100."""
    rng = np.random.default_rng(seed)
    m = min(n, d)
    Q = np.linalg.qr(rng.standard_normal((d, m)))[0]
    X = rng.standard_normal((n, m)) * (10 / np.sqrt(np.arange(1, m + 1))) @ Q.T + offset
    return X.round().astype(dtype) if np.dtype(dtype).kind in "iu" else X.astype(dtype)


def whole_numbers(n: int, d: int, dtype="float64", *, seed: int = 0) -> np.ndarray:
    """Integers so small that no sum of their products is rounded, in float32 either."""
    return np.random.default_rng(seed).integers(-8, 9, (n, d)).astype(dtype)


def same_model(a, b) -> None:
    """Both have learned the same, bit for bit."""
    for name in LEARNED:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name, strict=True)
    for name in ("n_components_", "n_samples_", "n_features_in_", "noise_variance_", "rank_"):
        assert getattr(a, name) == getattr(b, name), name


def close_model(ours, theirs, rtol: float) -> None:
    """Both have learned the same within `rtol` of the largest entry."""
    assert ours.n_components_ == theirs.n_components_
    assert ours.n_samples_ == theirs.n_samples_
    assert ours.n_features_in_ == theirs.n_features_in_
    for name in LEARNED:
        a, b = getattr(ours, name), getattr(theirs, name)
        assert a.shape == b.shape, name
        close(a, b, rtol, name)
    largest = theirs.explained_variance_[0]
    assert abs(ours.noise_variance_ - theirs.noise_variance_) <= rtol * largest


def close(a, b, rtol: float, name: str = "") -> None:
    """|a − b| ≤ rtol · max |b|."""
    scale = max(float(np.abs(b).max(initial=0.0)), 1e-300)
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * scale, err_msg=name)
