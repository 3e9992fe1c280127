"""Which way to a derivative: the complex step where F allows it, differences elsewhere.

A function may take complex arguments and still not follow them: `abs`, `maximum`, `conj`, `.real`
and comparisons give a number that looks like a derivative.  So the complex slopes are compared with
real differences along one random line through each point: whatever is wrong in any variable and any
output shows there, for the evaluations of a single variable.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mmlfast.api.central import central_slopes, slopes_along, step_scale
from mmlfast.api.complex_step import complex_slopes
from mmlfast.api.evaluations import Array, Evaluations, NotAnalyticError

METHODS = ("auto", "complex-step", "central")


class Jacobians(NamedTuple):
    """∂F/∂x with its error and what to doubt, (m, n, K) each, and how it was found."""

    value: Array
    error: Array
    doubtful: Array
    method: str


def slopes(F: Evaluations, method: str) -> Jacobians:
    """∂F/∂x (m, n, K) at F.points by `method`, one of METHODS."""
    if method != "central":
        try:
            value, error = verified(F)
            return Jacobians(value, error, np.zeros(value.shape, bool), "complex-step")
        except NotAnalyticError as reason:
            if method == "complex-step":
                raise refused(reason) from reason
    found = central_slopes(F)
    return Jacobians(found.value, found.error, found.doubtful, "central")


def check_method(method: Any) -> None:
    """ValueError unless `method` is one of METHODS."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}; got {method!r}.")


def refused(reason: NotAnalyticError) -> ValueError:
    """The error for method="complex-step" where it cannot be."""
    return ValueError(
        f"method='complex-step' needs a function of complex numbers, but {reason}. Pass "
        "method='central', or 'auto' to have it chosen."
    )


def verified(F: Evaluations) -> tuple[Array, Array]:
    """∂F/∂x by the complex step and its error, (m, n, K); NotAnalyticError if F forbids it."""
    value, error, real = complex_slopes(F)
    d = step_scale(F.points)
    if len(d) > 1:
        d = d * random_direction(len(d))[:, None]
    line = slopes_along(F, d)
    if (np.abs(real - F.at_points[:, None]) > 1e-6 * line.size[:, None]).any():
        raise NotAnalyticError(f"{F.name} has another real part there")
    expected = np.einsum("mnk,nk->mk", value, d)
    rounding = np.einsum("mnk,nk->mk", error, np.abs(d))
    if (rounding > 1e-4 * np.fmax(np.abs(expected), line.size)).any():
        raise NotAnalyticError(f"{F.name} is not smooth there")
    allowed = 4 * (line.error + rounding)
    wrong = np.abs(expected - line.value) > allowed
    if wrong.any():
        m, k = np.argwhere(wrong)[0]
        raise NotAnalyticError(
            f"{F.name} does not follow them: along a line its slope is {line.value[m, k]:.6g} by "
            f"differences and {expected[m, k]:.6g} by the complex step (is there an abs, a "
            "maximum, a conjugate or a .real in it?)"
        )
    return value, error


def random_direction(n: int) -> Array:
    """n numbers of 0.5 to 1 and either sign: a fixed choice, so that results repeat."""
    rng = np.random.default_rng(n)
    return rng.choice([-1.0, 1.0], n) * rng.uniform(0.5, 1.0, n)
