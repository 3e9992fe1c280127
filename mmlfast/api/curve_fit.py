"""Fitting a curve to data, with the path of the parameters and their errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api import least_squares
from mmlfast.api.compiled_functions import check_takes, first_call
from mmlfast.api.differences import central_jacobian, complex_jacobian, steps_into_the_complex
from mmlfast.api.eigenpairs import check_count, check_tolerance, is_finite_number
from mmlfast.api.least_squares import Fit, Model, Tangent, scales

Array = NDArray[Any]
Vector = NDArray[np.float64]
METHODS = ("steepest", "gauss-newton", "levenberg-marquardt")
STATUS = ("converged", "max_iter", "diverged", "stalled")


def fit_curve(
    f: Callable[..., Any],
    xdata: Any,
    ydata: ArrayLike,
    p0: ArrayLike,
    *,
    method: Literal["steepest", "gauss-newton", "levenberg-marquardt"] = "levenberg-marquardt",
    sigma: ArrayLike | None = None,
    absolute_sigma: bool = False,
    jac: Callable[..., Any] | None = None,
    aggression: float | None = None,
    max_iter: int = 1000,
    tol: float = 1e-10,
    history: bool = True,
) -> OptimizeResult:
    """p that makes χ² = Σ ((y - f(x, p))/σ)² least, with its standard errors and the way to it.

    Parameters
    ----------
    f : callable
        ``f(xdata, *p)`` → values of shape (m,), as for :func:`scipy.optimize.curve_fit`.
    xdata : object
        Handed to `f` as it is, an array-like as an array.
    ydata : array-like of shape (m,)
        At least as many values as there are parameters.
    p0 : array-like of shape (n,)
        Where to start.
    method : {"steepest", "gauss-newton", "levenberg-marquardt"}, default="levenberg-marquardt"
        - "steepest": p ← p - t·∇χ² with t = `aggression`, or the t of a line search.
        - "gauss-newton": p ← p + s with ‖r - J s‖ least; quick where it converges.
        - "levenberg-marquardt": the same with s kept where the linear model holds.
    sigma : array-like of shape (m,) or (m, m), default=None
        Standard deviations of the data, or their covariance matrix.
    absolute_sigma : bool, default=False
        Whether `sigma` is known and not only up to a factor; the covariance is then not scaled by
        χ²/(m - n).
    jac : callable, default=None
        ``jac(xdata, *p)`` → ∂f/∂p of shape (m, n).  None: complex steps if f takes them at the
        start, which is as exact as a formula, else central differences.
    aggression : float, default=None
        The fixed step length of "steepest"; None searches along the line.
    max_iter : int, default=1000
        Steps at most.
    tol : float, default=1e-10
        Stop when the cosine between the residuals and the tangent space of the curve is at most
        `tol`, or the Gauss-Newton step is at most `tol` times the parameters, each weighed by its
        effect.  0 means `max_iter` steps, as far as they change anything, and no warning.
    history : bool, default=True
        Keep the path.

    Returns
    -------
    scipy.optimize.OptimizeResult
        - ``p`` (also ``x``), ``std_errors`` (n,), ``covariance`` (n, n); infinite if the data do
          not determine every parameter: then ``rank`` < n
        - ``chi2``, ``residual_norm`` = √χ², ``residuals`` y - f (m,), ``dof`` = m - n
        - ``success``, ``status``, ``reason``, ``message``: 0 "converged", 1 "max_iter",
          2 "diverged", 3 "stalled" (no step lowers χ² any more); ``cosine``, as of `tol`
        - ``nit``, ``nfev``, ``njev``; ``path`` (nit + 1, n) and ``chi2_path`` (nit + 1,), or None

    Raises
    ------
    TypeError
        If f does not take (xdata, \\*p), or does not give real numbers.
    ValueError
        If shapes do not fit, data are not finite, f is not finite at p0, or an option is out of
        range.

    Warns
    -----
    ConvergenceWarning
        If it did not converge and `tol` is not 0.  The best p is returned.

    See Also
    --------
    scipy.optimize.curve_fit : Bounds, and other solvers.

    Notes
    -----
    Levenberg-Marquardt is Moré's (The Levenberg-Marquardt algorithm: implementation and theory,
    1978): a trust region in parameters scaled by the columns of J.  The first criterion of `tol` is
    that of Bates and Watts (1981).

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import fit_curve
    >>> def bell(x, mu, sigma):
    ...     return np.exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    >>> x = np.arange(150.0, 200.0)
    >>> fit = fit_curve(bell, x, bell(x, 178.0, 7.0), p0=[155.0, 6.0])
    >>> fit.p.round(6), fit.reason, fit.path.shape == (fit.nit + 1, 2)
    (array([178.,   7.]), 'converged', True)
    >>> walk = fit_curve(bell, x, bell(x, 178.0, 7.0), p0=[155.0, 6.0], method="steepest",
    ...                  aggression=2000, max_iter=50, tol=0)
    >>> walk.path[[0, 1, 49]].round(1)
    array([[155. ,   6. ],
           [153.3,  26.5],
           [178. ,   8.7]])
    """
    _check_options(method, aggression, max_iter, tol)
    x = np.asarray(xdata) if isinstance(xdata, list | tuple | range) else xdata
    y, p = _finite_vector(ydata, "ydata"), _finite_vector(p0, "p0")
    if not 0 < p.size <= y.size:
        raise ValueError(
            f"p0 must have from 1 to len(ydata) = {y.size} parameters; got {p.size}: the data "
            "could not determine them."
        )
    # Trial steps may overflow: they are rejected, or tell of themselves by the status.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        problem = _Curve(f, x, y, sigma, jac, p)
        seen = problem.weighted(y)
        size = float(np.linalg.norm(seen))
        if seen.any() and size**2 < np.finfo(float).tiny:
            raise ValueError(
                f"ydata over sigma must not be so small that its squares vanish, up to "
                f"{np.abs(seen).max():.3g}. Scale the data."
            )
        rounding = np.finfo(float).eps * size
        model = Model(problem.residuals, problem.jacobian, rounding)
        r = problem.residuals(p)
        fit = Fit(p, r, float(r @ r))
        if not np.isfinite(fit.chi2):
            raise ValueError(
                f"f(xdata, *p0) must be finite, and so must χ²; at p0 it is {fit.chi2}. Start "
                "elsewhere, or scale the data."
            )
        fit.move(fit.p, fit.r, fit.chi2)
        if method == "steepest":
            least_squares.steepest(model, fit, tol, max_iter, aggression)
        elif method == "gauss-newton":
            least_squares.gauss_newton(model, fit, tol, max_iter)
        else:
            least_squares.levenberg_marquardt(model, fit, tol, max_iter)
        result = _result(problem, fit, absolute_sigma, method, history, tol)
    if tol > 0 and not result.success:
        warnings.warn(f"fit_curve: {result.message}", ConvergenceWarning, stacklevel=2)
    return result


def _check_options(method: str, aggression: Any, max_iter: int, tol: float) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    if aggression is not None:
        if method != "steepest":
            raise ValueError(f"aggression is for method='steepest'; got method={method!r}.")
        if not is_finite_number(aggression) or aggression <= 0:
            raise ValueError(f"aggression must be a finite number above 0; got {aggression!r}.")
    check_count("max_iter", max_iter)
    check_tolerance(tol)


def _finite_vector(a: ArrayLike, name: str) -> Vector:
    array = np.asarray(a)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}.")
    if array.ndim != 1:
        raise ValueError(f"{name} must have one axis; got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; it holds NaN or infinity.")
    return array.astype(np.float64)


class _Curve:
    """The model and its data, weighted, with its calls counted."""

    def __init__(
        self, f: Any, x: Any, y: Vector, sigma: ArrayLike | None, jac: Any, p0: Vector
    ) -> None:
        self.f, self.x, self.y, self.jac = f, x, y, jac
        self.nfev = self.njev = 0
        self._factor = _weights(sigma, y.size)
        names = ", ".join(f"p{i + 1}" for i in range(p0.size))
        self._expected = f"f(xdata, {names})"
        check_takes(f, (x, *p0), "f", self._expected)
        values = np.asarray(first_call(f, (x, *p0), self._expected))
        if values.shape != y.shape or values.dtype.kind not in "fiub":
            raise ValueError(
                f"{self._expected} must give real numbers of ydata's shape {y.shape}; got "
                f"{values.dtype} of shape {values.shape}."
            )
        if jac is not None:
            expected = f"jac(xdata, {names})"
            check_takes(jac, (x, *p0), "jac", expected)
            slopes = np.asarray(first_call(jac, (x, *p0), expected))
            if slopes.shape != (y.size, p0.size):
                raise ValueError(
                    f"{expected} must have shape {(y.size, p0.size)}; got {slopes.shape}."
                )
        else:
            self._complex = steps_into_the_complex(self._values, p0, 0.0)

    def _values(self, p: Vector) -> Any:
        self.nfev += 1
        return self.f(self.x, *p)

    def weighted(self, a: Vector) -> Vector:
        """`a`, which has a row for each value, over σ."""
        if self._factor is None:
            return a
        if self._factor.ndim == 1:
            return np.asarray((a.T / self._factor).T)
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(self._factor, a, lower=True, check_finite=False))

    def residuals(self, p: Vector) -> Vector:
        """(y − f(x, p))/σ."""
        return self.weighted(self.y - np.asarray(self._values(p), np.float64))

    def jacobian(self, p: Vector) -> Vector:
        """∂f/∂p / σ."""
        if self.jac is not None:
            self.njev += 1
            J = np.asarray(self.jac(self.x, *p), np.float64)
        elif self._complex:
            J = complex_jacobian(self._values, p)
        else:
            J = central_jacobian(self._values, p, 0.0)
        return self.weighted(J)


def _weights(sigma: ArrayLike | None, m: int) -> Vector | None:
    """σ, or the lower Cholesky factor of a covariance matrix."""
    if sigma is None:
        return None
    array = np.asarray(sigma, np.float64)
    if array.shape not in ((m,), (m, m)):
        raise ValueError(f"sigma must have shape ({m},) or ({m}, {m}); got {array.shape}.")
    if array.ndim == 1:
        if not (np.isfinite(array).all() and (array > 0).all()):
            raise ValueError("sigma must be finite and larger than 0 everywhere.")
        return array
    try:
        return np.asarray(np.linalg.cholesky(array))
    except np.linalg.LinAlgError:
        raise ValueError(
            "sigma, a covariance matrix, must be symmetric and positive definite."
        ) from None


def _result(
    curve: _Curve, fit: Fit, absolute_sigma: bool, method: str, history: bool, tol: float
) -> OptimizeResult:
    p, r, chi2 = fit.p, fit.r, fit.chi2
    best = int(np.nanargmin(fit.chi2_path))
    # Unless rounding alone makes the difference.
    if not chi2 <= (1 + least_squares.HIDDEN) * fit.chi2_path[best]:
        p, chi2 = fit.path[best], fit.chi2_path[best]
        r = curve.residuals(p)
    dof = r.size - p.size
    J = curve.jacobian(p)
    covariance, rank = _covariance(J, r) if np.isfinite(J).all() else (None, 0)
    if covariance is None or (dof == 0 and not absolute_sigma):
        covariance = np.full((p.size, p.size), np.inf)
    elif not absolute_sigma:
        covariance = covariance * (chi2 / dof)
    message = (
        f"converged: after {fit.n_iter} steps the cosine between residuals and curve is "
        f"{fit.cosine:.2g}.",
        f"max_iter: after {fit.n_iter} steps the cosine between residuals and curve is "
        f"{fit.cosine:.2g}, above tol={tol:g}. Raise max_iter, or start nearer.",
        f"diverged: f was no longer finite after {fit.n_iter} steps; the best p is kept. Start "
        "nearer, or try method='levenberg-marquardt'.",
        f"stalled: after {fit.n_iter} steps none lowers χ² any more, at a cosine of "
        f"{fit.cosine:.2g} between residuals and curve, above tol={tol:g}.",
    )[fit.status]
    return OptimizeResult(
        p=p, x=p, std_errors=np.sqrt(np.diag(covariance)), covariance=covariance, rank=rank,
        chi2=chi2, residual_norm=float(np.sqrt(chi2)), dof=dof,
        residuals=curve.y - np.asarray(curve.f(curve.x, *p), np.float64),
        success=fit.status == least_squares.CONVERGED, status=fit.status,
        reason=STATUS[fit.status], message=message, cosine=fit.cosine,
        nit=fit.n_iter, nfev=curve.nfev, njev=curve.njev, method=method,
        path=np.array(fit.path) if history else None,
        chi2_path=np.array(fit.chi2_path) if history else None,
    )  # fmt: skip


def _covariance(J: Vector, r: Vector) -> tuple[Vector | None, int]:
    """(JᵀJ)⁻¹, None if J lacks rank; and the rank."""
    scale = scales(J, None)
    tangent = Tangent(J, r, scale)
    if tangent.rank < J.shape[1]:
        return None, tangent.rank
    half = tangent.V / tangent.sigma / scale[:, None]
    return half @ half.T, tangent.rank
