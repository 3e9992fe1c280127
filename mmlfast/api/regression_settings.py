"""The parameters that batched regressions share, checked when a fit begins."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np


def check_settings(estimator: Any, solvers: tuple[str, ...]) -> None:
    """ValueError naming a parameter that cannot be meant."""
    for name in ("alpha", "tol"):
        value = getattr(estimator, name)
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < np.inf:
            raise ValueError(f"{name} must be a finite number, 0 or more; got {value!r}.")
    if estimator.solver not in solvers:
        listed = ", ".join(map(repr, solvers))
        raise ValueError(f"solver must be one of {listed}; got {estimator.solver!r}.")
    steps = estimator.max_iter
    if steps is not None and (
        not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 1
    ):  # fmt: skip
        raise ValueError(f"max_iter must be None or a positive number of steps; got {steps!r}.")
    if not isinstance(estimator.fit_intercept, (bool, np.bool_)):
        raise ValueError(f"fit_intercept must be True or False; got {estimator.fit_intercept!r}.")
