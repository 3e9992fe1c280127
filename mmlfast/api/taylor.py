"""Taylor polynomials: of one variable up to any order, of several up to the second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike

from mmlfast.api.central import step_scale
from mmlfast.api.derivatives import check_order, warn_if_doubtful
from mmlfast.api.evaluations import Array, Evaluations, as_finite, as_point
from mmlfast.api.hessian import second_derivatives
from mmlfast.api.line_series import MAX_ORDER, series_along
from mmlfast.api.slopes import check_method, slopes


@dataclass(frozen=True, eq=False)
class TaylorPolynomial:
    """p(x) = Σ a_k (x − x0)ᵏ, the result of :func:`taylor` in one variable: call it.

    Attributes
    ----------
    center : float
        x0.
    coefficients : ndarray of shape (order + 1,)
        a_k = f⁽ᵏ⁾(x0)/k!, lowest order first.
    error : ndarray of shape (order + 1,)
        A bound on the error of each coefficient, estimated.
    method : {"complex-step", "central"}
        Whether f was called with complex arguments.
    n_evaluations : int
        Points at which f was evaluated.
    """

    center: float
    coefficients: Array
    error: Array
    method: str
    n_evaluations: int

    @property
    def order(self) -> int:
        """The highest power."""
        return len(self.coefficients) - 1

    @property
    def polynomial(self) -> Polynomial:
        """p as NumPy's Polynomial in x: to be differentiated, integrated, solved, printed."""
        # A window shifted by the center: powers of x − x0, without expanding them.
        return Polynomial(self.coefficients, domain=[self.center, self.center + 1], window=[0, 1])

    def __call__(self, x: ArrayLike) -> Any:
        """p(x), in the shape of x."""
        t = np.asarray(x, np.float64) - self.center
        return np.polynomial.polynomial.polyval(t, self.coefficients)


@dataclass(frozen=True, eq=False)
class QuadraticModel:
    """q(x) = f(x0) + ∇f·(x − x0) + ½ (x − x0)ᵀ H (x − x0), the result of :func:`taylor`: call it.

    Attributes
    ----------
    center : ndarray of shape (n,)
        x0.
    value : float
        f(x0).
    gradient : ndarray of shape (n,) or None
        None for order 0.
    hessian : ndarray of shape (n, n) or None
        None for orders below 2.
    gradient_error, hessian_error : ndarray or None
        Bounds on the errors of their entries, estimated.
    method : {"complex-step", "central"}
        Whether f was called with complex arguments.
    n_evaluations : int
        Points at which f was evaluated.
    """

    center: Array
    value: float
    gradient: Array | None
    hessian: Array | None
    gradient_error: Array | None
    hessian_error: Array | None
    method: str
    n_evaluations: int

    @property
    def order(self) -> int:
        """The highest power."""
        return 0 if self.gradient is None else 1 if self.hessian is None else 2

    def __call__(self, x: ArrayLike) -> Any:
        """q(x) for a point of shape (n,), or for many, (…, n)."""
        t = np.asarray(x, np.float64) - self.center
        total = np.full(t.shape[:-1], self.value)
        if self.gradient is not None:
            total = total + t @ self.gradient
        if self.hessian is not None:
            total = total + np.einsum("...i,ij,...j->...", t, self.hessian, t) / 2
        return total[()]


def taylor(
    f: Callable[[Any], Any], x0: ArrayLike, order: int, *, method: str = "auto"
) -> TaylorPolynomial | QuadraticModel:
    """Σ f⁽ᵏ⁾(x0)/k! (x − x0)ᵏ up to k = order, a polynomial to call, with errors.

    Parameters
    ----------
    f : callable
        Takes what x0 is, a float64 number or an array of shape (n,), and returns a number: Python,
        NumPy or ``@njit``.
    x0 : float or array-like of shape (n,)
        The center.  Computed in float64, whatever its dtype.
    order : int
        Highest power: up to 64 for a number, up to 2 for a vector.
    method : {"auto", "complex-step", "central"}, default="auto"
        See :func:`derivative`.

    Returns
    -------
    TaylorPolynomial
        For a number: ``center, coefficients, error, method, n_evaluations, polynomial``.
    QuadraticModel
        For a vector: ``center, value, gradient, hessian, gradient_error, hessian_error, method,
        n_evaluations``.

    Raises
    ------
    ValueError
        If x0 is not finite, f is not finite there and around, does not return one number, or cannot
        be followed as `method` demands, or the order is out of range.
    TypeError
        If f is not callable, x0 does not hold real numbers, f does not return real ones, or f is an
        ``@njit`` function of another signature.

    Warns
    -----
    ConvergenceWarning
        If f does not seem to have so many derivatives at x0.

    See Also
    --------
    scipy.interpolate.approximate_taylor_polynomial : A fit to real values.

    Notes
    -----
    The coefficients of an analytic function come from Cauchy's integral over circles, each from the
    radius that suits it: Lyness and Moler, SIAM J. Numer. Anal. 4(2), 1967; Fornberg, ACM TOMS
    7(4), 1981.  Their relative errors stay near 1e-13 where a function of real numbers loses
    a digit or two with each order.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import taylor
    >>> p = taylor(np.exp, 0.0, 4)
    >>> p.coefficients * [1, 1, 2, 6, 24]
    array([1., 1., 1., 1., 1.])
    >>> p([0.0, 0.1]) - np.exp([0.0, 0.1])
    array([ 0.00000000e+00, -8.474...e-08])
    >>> q = taylor(lambda v: v[0] ** 2 * v[1], [1.0, 3.0], 2)
    >>> q.value, q.gradient.round(9), q.hessian.round(9)
    (3.0, array([6., 1.]), array([[6., 2.],
           [2., 0.]]))
    """
    check_method(method)
    if np.ndim(x0) > 0:
        check_order(order, 0, 2)
        return _model(f, as_point(x0), order, method)
    check_order(order, 0, MAX_ORDER)
    center = as_finite(x0, "x0")
    F = Evaluations(f, center.reshape(1, 1), takes="number", gives="number")
    d = step_scale(F.points)
    series = series_along(F, d, order, method)
    powers = d[0, 0] ** np.arange(order + 1)
    error = series.error[:, 0] / powers
    warn_if_doubtful("taylor", F, error, series.doubtful[:, 0])
    return TaylorPolynomial(
        float(center), series.coefficients[:, 0] / powers, error, series.method, F.count
    )


def _model(f: Callable[[Any], Any], center: Array, order: int, method: str) -> QuadraticModel:
    F = Evaluations(f, center[:, None], takes="vector", gives="number")
    gradient = hessian = gradient_error = hessian_error = None
    if order >= 1:
        first = slopes(F, method)
        gradient, gradient_error, method = first.value[0, :, 0], first.error[0, :, 0], first.method
        warn_if_doubtful("taylor", F, gradient_error, first.doubtful, stacklevel=4)
    if order == 2:
        hessian, hessian_error, doubtful, method = second_derivatives(F, None, method)
        warn_if_doubtful("taylor", F, hessian_error, doubtful, stacklevel=4)
    return QuadraticModel(
        center, float(F.at_points[0, 0]), gradient, hessian, gradient_error, hessian_error,
        method, F.count,
    )  # fmt: skip
