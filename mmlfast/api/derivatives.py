"""Derivatives of functions that are only known by their values, each with an error estimate."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.central import step_scale
from mmlfast.api.evaluations import Array, Evaluations, as_finite, as_point, at_point
from mmlfast.api.line_series import MAX_ORDER, series_along
from mmlfast.api.slopes import check_method, slopes


class Derivative(NamedTuple):
    """The result of :func:`derivative`, :func:`gradient`, :func:`jacobian` and :func:`hessian`.

    Attributes
    ----------
    value : float or ndarray
        The derivative, float64.
    error : float or ndarray
        A bound on the error of each entry, estimated: rounding and what a formula leaves out.
    method : {"complex-step", "central"}
        How it was found: with complex arguments, or by differences of real values.
    n_evaluations : int
        Points at which the function was evaluated.
    """

    value: Any
    error: Any
    method: str
    n_evaluations: int


def derivative(
    f: Callable[[Any], Any], x: ArrayLike, *, order: int = 1, method: str = "auto"
) -> Derivative:
    """f′(x), or f⁽ᵏ⁾(x), of a function of one number, with an error estimate.

    Parameters
    ----------
    f : callable
        Takes a float64 number and returns one: a Python function, a NumPy ufunc, or an ``@njit``
        function.  If it also works on arrays element by element, it is called with arrays.
    x : float or array-like of any shape
        Where.  Computed in float64, whatever its dtype; a function that itself computes in float32
        costs digits, which the error shows.
    order : int, default=1
        Which derivative, from 1 to 64.  High ones need an analytic function.
    method : {"auto", "complex-step", "central"}, default="auto"
        "complex-step" calls f with complex arguments and is exact but for rounding; "central" takes
        differences of real values.  "auto" tries the first, compares it with the second, and takes
        the second where f refuses complex arguments or does not follow them.

    Returns
    -------
    Derivative
        ``value, error, method, n_evaluations``; value and error have the shape of `x`.

    Raises
    ------
    ValueError
        If x is not finite, f is not finite at x and on both sides of it, does not return one
        number, or cannot be followed as `method` demands, or an argument is out of range.
    TypeError
        If f is not callable, x does not hold real numbers, f does not return real ones, or f is an
        ``@njit`` function of another signature.

    Warns
    -----
    ConvergenceWarning
        If f does not seem to be differentiable at x, for example at the kink of |x|.

    See Also
    --------
    gradient : Of a function of several numbers.
    taylor : All derivatives up to an order.
    scipy.differentiate.derivative : The differences alone.

    Notes
    -----
    First derivatives: Im f(x + ih)/h (Squire and Trapp, SIAM Review 40(1), 1998), or differences of
    order eight from scipy.differentiate.  Higher ones: Cauchy's integral over a circle (Lyness and
    Moler, SIAM J. Numer. Anal. 4(2), 1967), or a Chebyshev interpolant.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import derivative
    >>> d = derivative(lambda x: x**3 * np.exp(x), 1.0)
    >>> float(d.value / np.e), d.method, bool(d.error < 1e-13)
    (4.0, 'complex-step', True)
    >>> derivative(np.sin, [0.0, np.pi], order=3).value.round(12)
    array([-1.,  1.])
    >>> derivative(abs, -2.0).method                 # |z| does not follow complex numbers
    'central'
    """
    check_method(method)
    check_order(order, 1, MAX_ORDER)
    points = as_finite(x)
    shape = points.shape
    if points.size == 0:
        return Derivative(np.zeros(shape), np.zeros(shape), method, 0)
    F = Evaluations(f, points.reshape(1, -1), takes="number", gives="number")
    if order == 1:
        found = slopes(F, method)
        value, error, doubtful = found.value[0, 0], found.error[0, 0], found.doubtful[0, 0]
    else:
        d = step_scale(F.points)
        series = series_along(F, d, order, method)
        unit = math.factorial(order) / d[0] ** order
        value, error = series.coefficients[order] * unit, series.error[order] * unit
        doubtful, found = series.doubtful[order], series  # type: ignore[assignment]
    warn_if_doubtful("derivative", F, error, doubtful)
    return Derivative(
        value.reshape(shape)[()], error.reshape(shape)[()], found.method, F.count
    )


def gradient(f: Callable[[Any], Any], x: ArrayLike, *, method: str = "auto") -> Derivative:
    """∇f(x) = (∂f/∂x₁, …, ∂f/∂xₙ) of a function of a vector, with an error estimate.

    Parameters
    ----------
    f : callable
        Takes a float64 array of shape (n,) and returns a number: Python, NumPy or ``@njit``.
    x : array-like of shape (n,)
        Where.  Computed in float64, whatever its dtype.
    method : {"auto", "complex-step", "central"}, default="auto"
        See :func:`derivative`.

    Returns
    -------
    Derivative
        ``value, error, method, n_evaluations``; value and error of shape (n,).

    Raises
    ------
    ValueError
        If x is not a finite vector, f is not finite at x and around it, does not return one number,
        or cannot be followed as `method` demands.
    TypeError
        If f is not callable, x does not hold real numbers, f does not return real ones, or f is an
        ``@njit`` function of another signature.

    Warns
    -----
    ConvergenceWarning
        If f does not seem to be differentiable at x.

    See Also
    --------
    jacobian : Of a function that returns a vector.
    scipy.optimize.check_grad : The distance of a gradient of one's own from differences.

    Notes
    -----
    The complex step takes three evaluations for each variable (the slope and its rounding), and
    about forty on a random line, where real differences must agree with it.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import gradient
    >>> rosenbrock = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> gradient(rosenbrock, [-1.0, 2.0]).value
    array([396., 200.])
    """
    check_method(method)
    F = Evaluations(f, as_point(x)[:, None], takes="vector", gives="number")
    found = slopes(F, method)
    warn_if_doubtful("gradient", F, found.error, found.doubtful)
    return Derivative(found.value[0, :, 0], found.error[0, :, 0], found.method, F.count)


def jacobian(f: Callable[[Any], Any], x: ArrayLike, *, method: str = "auto") -> Derivative:
    """J with J[i, j] = ∂fᵢ/∂xⱼ, a row for each output, with an error estimate.

    Parameters
    ----------
    f : callable
        Takes a float64 array of shape (n,) and returns m numbers, as an array or a list: Python,
        NumPy or ``@njit``.
    x : array-like of shape (n,)
        Where.  Computed in float64, whatever its dtype.
    method : {"auto", "complex-step", "central"}, default="auto"
        See :func:`derivative`.

    Returns
    -------
    Derivative
        ``value, error, method, n_evaluations``; value and error of shape (m, n).

    Raises
    ------
    ValueError
        If x is not a finite vector, f is not finite at x and around it, does not return a vector,
        or cannot be followed as `method` demands.
    TypeError
        If f is not callable, x does not hold real numbers, f does not return real ones, or f is an
        ``@njit`` function of another signature.

    Warns
    -----
    ConvergenceWarning
        If f does not seem to be differentiable at x.

    See Also
    --------
    gradient : Of a function that returns one number; how both are found.
    scipy.differentiate.jacobian : The differences alone.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import jacobian
    >>> polar = lambda p: [p[0] * np.cos(p[1]), p[0] * np.sin(p[1])]
    >>> jacobian(polar, [2.0, 0.0]).value
    array([[1., 0.],
           [0., 2.]])
    """
    check_method(method)
    F = Evaluations(f, as_point(x)[:, None], takes="vector", gives="vector")
    found = slopes(F, method)
    warn_if_doubtful("jacobian", F, found.error, found.doubtful)
    return Derivative(found.value[..., 0], found.error[..., 0], found.method, F.count)


def check_order(order: Any, least: int, most: int) -> None:
    """ValueError unless `order` is an integer from `least` to `most`."""
    whole = isinstance(order, numbers.Integral) and not isinstance(order, bool)
    if not whole or not least <= order <= most:
        raise ValueError(f"order must be an integer from {least} to {most}; got {order!r}.")


def warn_if_doubtful(
    name: str, F: Evaluations, error: Array, doubtful: Array, *, stacklevel: int = 3
) -> None:
    """ConvergenceWarning that names the first point where a derivative is in doubt."""
    if not doubtful.any():
        return
    k = int(np.argwhere(doubtful)[0][-1]) if F.points.shape[1] > 1 else 0
    warnings.warn(
        f"{name}: {F.name} does not seem smooth at {at_point(F.points[:, k])}; what is returned "
        f"may be wrong by {error[doubtful].max():.2g}. Look at .error.",
        ConvergenceWarning,
        stacklevel=stacklevel,
    )
