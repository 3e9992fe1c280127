"""Second derivatives of a function of a vector: symmetric, with an error estimate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mmlfast.api.central import central_slopes, slopes_along, step_scale
from mmlfast.api.complex_step import complex_gradient
from mmlfast.api.derivatives import Derivative, warn_if_doubtful
from mmlfast.api.evaluations import Array, Evaluations, NotAnalyticError, as_point
from mmlfast.api.line_series import series_along
from mmlfast.api.slopes import check_method, random_direction, refused, slopes, verified


def hessian(
    f: Callable[[Any], Any],
    x: ArrayLike,
    *,
    grad: Callable[[Any], Any] | None = None,
    method: str = "auto",
) -> Derivative:
    """H with H[i, j] = ∂²f/∂xᵢ∂xⱼ, exactly symmetric, with an error estimate.

    Parameters
    ----------
    f : callable
        Takes a float64 array of shape (n,) and returns a number: Python, NumPy or ``@njit``.
    x : array-like of shape (n,)
        Where.  Computed in float64, whatever its dtype.
    grad : callable, default=None
        The gradient of f if there is one: takes what f takes and returns n numbers.  H is then its
        Jacobian, which is quicker and more exact.
    method : {"auto", "complex-step", "central"}, default="auto"
        See :func:`derivative`; of `grad`, if given.

    Returns
    -------
    Derivative
        ``value, error, method, n_evaluations``; value and error of shape (n, n).

    Raises
    ------
    ValueError
        If x is not a finite vector, f is not finite at x and around it, does not return one number,
        or cannot be followed as `method` demands; or if `grad` is not the gradient of f.
    TypeError
        If f or grad is not callable, x does not hold real numbers, f does not return real ones, or
        f is an ``@njit`` function of another signature.

    Warns
    -----
    ConvergenceWarning
        If f does not seem to be twice differentiable at x.

    See Also
    --------
    taylor : The quadratic model.
    scipy.differentiate.hessian : The differences alone.

    Notes
    -----
    With complex arguments: differences of order eight (scipy.differentiate) of a gradient that is
    exact.  Without: second derivatives along the n² lines eᵢ and eᵢ ± eⱼ, from Chebyshev
    interpolants.  Nested differences of real values would lose more digits for more evaluations.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import hessian
    >>> rosenbrock = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> H = hessian(rosenbrock, [1.0, 1.0])
    >>> H.value.round(8), bool((H.error < 1e-8).all())
    (array([[ 802., -400.],
           [-400.,  200.]]), True)
    """
    check_method(method)
    F = Evaluations(f, as_point(x)[:, None], takes="vector", gives="number")
    value, error, doubtful, method = second_derivatives(F, grad, method)
    warn_if_doubtful("hessian", F, error, doubtful)
    return Derivative(value, error, method, F.count)


def second_derivatives(
    F: Evaluations, grad: Callable[[Any], Any] | None, method: str
) -> tuple[Array, Array, Array, str]:
    """H, its errors, what to doubt (n, n), and the method."""
    if grad is not None:
        return _of_gradient(F, grad, method)
    if method != "central":
        try:
            verified(F)
        except NotAnalyticError as reason:
            if method == "complex-step":
                raise refused(reason) from reason
        else:
            found = central_slopes(_ComplexGradient(F))
            return *_symmetric(*(part[..., 0] for part in found[:3])), "complex-step"
    return *_along_lines(F), "central"


class _ComplexGradient(Evaluations):
    """∇f as a function of real vectors, by the complex step; f was found to allow it."""

    def __init__(self, F: Evaluations) -> None:
        self.F, self.points, self.name = F, F.points, F.name
        self.n_outputs = len(F.points)
        self.at_points = self(F.points)

    def __call__(self, points: Array) -> Array:
        return complex_gradient(self.F, points)


def _of_gradient(
    F: Evaluations, grad: Callable[[Any], Any], method: str
) -> tuple[Array, Array, Array, str]:
    n = len(F.points)
    G = Evaluations(grad, F.points, takes="vector", gives="vector", name="grad")
    if G.n_outputs != n:
        raise ValueError(f"grad must return {n} numbers, as x has; got {G.n_outputs}.")
    d = step_scale(F.points) * random_direction(n)[:, None]
    line, expected = slopes_along(F, d), (G.at_points * d).sum(axis=0)
    if (np.abs(line.value - expected) > 4 * line.error + 1e-6 * line.size).any():
        raise ValueError(
            "grad must return the gradient of f: along a line its slope is "
            f"{expected[0]:.6g}, and that of f {line.value[0, 0]:.6g}."
        )
    found = slopes(G, method)
    F.count += G.count
    return *_symmetric(*(part[..., 0] for part in found[:3])), found.method


def _symmetric(value: Array, error: Array, doubtful: Array) -> tuple[Array, Array, Array]:
    """(H + Hᵀ)/2; how far H is from symmetric is an error, too."""
    apart = np.abs(value - value.T) / 2
    return (value + value.T) / 2, np.maximum(np.maximum(error, error.T), apart), doubtful


def _along_lines(F: Evaluations) -> tuple[Array, Array, Array]:
    """uᵀHv = (q(u + v) − q(u − v)) / 4 where q(d) is the second derivative along d."""
    n = len(F.points)
    scale = step_scale(F.points[:, 0])
    unit = np.diag(scale)
    i, j = np.triu_indices(n, 1)
    d = np.concatenate([unit, unit[:, i] + unit[:, j], unit[:, i] - unit[:, j]], axis=1)
    series = series_along(F, d, 2, "central")
    twice, bound, doubt = (part[2] for part in series[:3])
    value, error, doubtful = np.diag(2 * twice[:n]), np.diag(2 * bound[:n]), np.diag(doubt[:n])
    plus, minus = slice(n, n + len(i)), slice(n + len(i), None)
    value[i, j] = value[j, i] = (twice[plus] - twice[minus]) / 2
    error[i, j] = error[j, i] = (bound[plus] + bound[minus]) / 2
    doubtful[i, j] = doubtful[j, i] = doubt[plus] | doubt[minus]
    both = np.outer(scale, scale)
    return value / both, error / both, doubtful
