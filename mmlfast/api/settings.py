"""What the parameters of PCA may be, and what they mean for a route."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from mmlfast.api.spectrum import Options

SOLVERS: dict[str, str | None] = {
    "auto": None,
    "full": "full",
    "covariance_eigh": "covariance_eigh",
    "krylov": "krylov",
    "dual": "dual",
    "arpack": "krylov",
    "randomized": "krylov",
}

# A residual r leaves an eigenvalue an error of about r² λ/gap: measured 4e-4 and 1e-2 where
# scikit-learn's randomized solver leaves 2e-2 and 3e-2.
KRYLOV_RESIDUAL = 0.1
KRYLOV_MOST_READS = 12


def route_of(svd_solver: str) -> str | None:
    """The route a solver's name stands for; None to choose the cheapest."""
    return SOLVERS[svd_solver]


def check_settings(pca: Any) -> None:
    """ValueError or TypeError, naming the parameter, for settings no data could satisfy."""
    if pca.svd_solver not in SOLVERS:
        raise ValueError(
            f"svd_solver must be one of {', '.join(map(repr, SOLVERS))}; got {pca.svd_solver!r}."
        )
    _check_n_components(pca.n_components)
    if not isinstance(pca.tol, numbers.Real) or not float(pca.tol) >= 0:
        raise ValueError(f"tol must be a number of at least 0; got {pca.tol!r}.")
    power = pca.iterated_power
    if power != "auto" and (not isinstance(power, numbers.Integral) or power < 0):
        raise ValueError(
            f"iterated_power must be 'auto' or an integer of at least 0; got {power!r}."
        )
    if not isinstance(pca.n_oversamples, numbers.Integral) or pca.n_oversamples < 1:
        raise ValueError(f"n_oversamples must be a positive integer; got {pca.n_oversamples!r}.")
    if pca.power_iteration_normalizer not in ("auto", "QR", "LU", "none"):
        raise ValueError(
            "power_iteration_normalizer must be 'auto', 'QR', 'LU' or 'none'; got "
            f"{pca.power_iteration_normalizer!r}."
        )
    budget = pca.memory_budget
    if budget is not None and (not isinstance(budget, numbers.Real) or not float(budget) > 0):
        raise ValueError(
            f"memory_budget must be a positive number of bytes or None; got {budget!r}."
        )


def _check_n_components(k: Any) -> None:
    if k is None or k == "mle":
        return
    if isinstance(k, bool | str) or not isinstance(k, numbers.Real):
        raise ValueError(
            f"n_components must be an integer of at least 1, a fraction in (0, 1), 'mle' or None; "
            f"got {k!r}."
        )
    if isinstance(k, numbers.Integral):
        if k < 1:
            raise ValueError(
                f"n_components must be between 1 and min(n_samples, n_features); got n_components="
                f"{k}. Pass a fraction such as 0.95 to choose by variance."
            )
    elif not 0 < float(k) < 1:
        raise ValueError(
            f"n_components as a share of the variance must lie strictly between 0 and 1; got "
            f"{k!r}. Pass an integer for a number of components, None for all."
        )


def options_for(
    pca: Any,
    n_components: int | None,
    dtype: np.dtype[Any],
    threads: int,
) -> Options:
    """The settings of an estimator as a route wants them."""
    precise = pca.svd_solver == "arpack"
    tol = float(pca.tol)
    if tol == 0.0:
        tol = 20 * float(np.finfo(dtype).eps) ** 0.75 if precise else KRYLOV_RESIDUAL
    least, most = 3, 100 if precise else KRYLOV_MOST_READS
    if pca.iterated_power != "auto":
        least = most = int(pca.iterated_power) + 1
    oversampled = pca.svd_solver == "randomized" and n_components is not None
    return Options(
        n_components=n_components,
        standardize=pca.standardize,
        threads=threads,
        block=n_components + pca.n_oversamples if oversampled else None,  # type: ignore[operator]
        tol=tol,
        min_applications=least,
        max_applications=most,
        random_state=check_random_state(pca.random_state),
    )
