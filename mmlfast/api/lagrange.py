"""Stationary points of a function under equality constraints, by Lagrange's multipliers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import null_space
from scipy.optimize import root
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.compiled_functions import check_takes, first_call
from mmlfast.api.differences import central_jacobian, jacobian_rule
from mmlfast.api.eigenpairs import check_tolerance, is_finite_number
from mmlfast.runtime.threads import blas_for

Array = NDArray[np.float64]

# Newton steps after the solver, which stops at its own tolerance.
POLISHING = 5
# What counts as an eigenvalue 0 of the projected Hessian, relative to the largest entry of ∇²L.
FLAT = 1e-6


@dataclass(frozen=True, eq=False)
class StationaryPoints:
    """The result of :func:`lagrange_stationary`, the least f first; ``print`` shows a table.

    Attributes
    ----------
    x : ndarray of shape (k, n)
        The points.
    multipliers : ndarray of shape (k, m)
        λ of ∇f = Σ λ_i ∇g_i; shortest where the ∇g_i are dependent.
    fun : ndarray of shape (k,)
        f there.
    kinds : tuple of str
        "minimum", "maximum", "saddle", by the signs of `curvatures`; "degenerate" if one is zero or
        the ∇g_i are dependent, so that second derivatives do not tell; "isolated" if the
        constraints leave no direction to move in.
    curvatures : tuple of ndarray
        The eigenvalues of the Hessian of L = f - Σ λ_i g_i along the constraints.
    residuals : ndarray of shape (k,)
        The largest of |∇f - Σ λ_i ∇g_i| and |g|, in the units of f and g.
    n_found : ndarray of int of shape (k,)
        How many starts led there.
    n_failed : int
        How many led nowhere.
    """

    x: Array
    multipliers: Array
    fun: Array
    kinds: tuple[str, ...]
    curvatures: tuple[Array, ...]
    residuals: Array
    n_found: NDArray[np.int64]
    n_failed: int

    def __len__(self) -> int:
        return len(self.x)

    def __str__(self) -> str:
        n, m = self.x.shape[1], self.multipliers.shape[1]
        rows = [[*(f"x{i + 1}" for i in range(n)), *(f"λ{i + 1}" for i in range(m)), "f", "kind"]]
        for x, multipliers, value, kind in zip(
            self.x, self.multipliers, self.fun, self.kinds, strict=True
        ):
            numbers = np.array([*x, *multipliers, value])
            numbers[np.abs(numbers) < 1e-12 * np.abs(numbers).max()] = 0
            rows.append([*(f"{number:.6g}".replace("-", "−") for number in numbers), kind])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in rows]
        return "\n".join([*lines, f"{self.n_failed} of {self._n_starts()} starts led nowhere"])

    def _n_starts(self) -> int:
        return int(self.n_found.sum()) + self.n_failed


def lagrange_stationary(
    f: Callable[..., Any],
    g: Any,
    starts: ArrayLike,
    *,
    jac: Callable[..., Any] | None = None,
    jac_g: Callable[..., Any] | None = None,
    hess: Callable[..., Any] | None = None,
    hess_g: Callable[..., Any] | None = None,
    tol: float = 1e-8,
    same: float = 1e-6,
) -> StationaryPoints:
    """x, λ with ∇f(x) = Σ λ_i ∇g_i(x) and g(x) = 0: all that are found from the starts.

    Parameters
    ----------
    f : callable
        ``f(x)`` → number, for x of shape (n,).
    g : callable or sequence of callables
        ``g(x)`` → number, or array of shape (m,); or m functions of x that give numbers.  What
        becomes 0, so for x·x = 1 pass ``lambda x: x @ x - 1``.
    starts : array-like of shape (n,) or (n_starts, n)
        Where to look.
    jac, hess : callable, default=None
        ``jac(x)`` → ∇f (n,) and ``hess(x)`` → ∇²f (n, n).  None: ∇f by complex steps where f
        takes them, else central differences; ∇²f by central differences of ∇f.
    jac_g, hess_g : callable, default=None
        ``jac_g(x)`` → (m, n) and ``hess_g(x)`` → (m, n, n), for all constraints.
    tol : float, default=1e-8
        A point counts if its residual is at most `tol` times the size of ∇f, or 1.
    same : float, default=1e-6
        Points nearer to each other than `same` times their length, or 1, are one.

    Returns
    -------
    StationaryPoints
        ``x``, ``multipliers``, ``fun``, ``kinds``, ``curvatures``, ``residuals``, ``n_found`` and
        ``n_failed``; ``print`` it for a table.

    Raises
    ------
    TypeError
        If a function has not the signature expected, or does not give real numbers.
    ValueError
        If shapes do not fit, there are more constraints than variables, or starts are not finite.

    Warns
    -----
    ConvergenceWarning
        If no start led to a stationary point.

    See Also
    --------
    scipy.optimize.minimize : Minima under constraints, inequalities too.
    minimize : Descent without constraints, with its path.

    Notes
    -----
    Each start is paired with the λ that fits ∇f best there; scipy.optimize.root solves for both.
    The kind follows from the Hessian of the Lagrangian on the null space of the ∇g_i (Nocedal and
    Wright, Numerical Optimization, 2nd ed., section 12.5), which is what the signs of the minors of
    the bordered Hessian tell.

    Examples
    --------
    >>> from mmlfast import lagrange_stationary
    >>> print(lagrange_stationary(
    ...     lambda x: x[0] * x[1], lambda x: x[0] ** 2 + x[1] ** 2 - 2, [[1, 2], [-1, 2], [2, -1]]
    ... ))
    x1  x2    λ1   f     kind
    −1   1  −0.5  −1  minimum
     1  −1  −0.5  −1  minimum
     1   1   0.5   1  maximum
    0 of 3 starts led nowhere
    """
    points = _starts(starts)
    check_tolerance(tol)
    if not is_finite_number(same) or same <= 0:
        raise ValueError(f"same must be a finite number larger than 0; got {same!r}.")
    system = _System(f, g, points[0], jac, jac_g, hess, hess_g)
    found: list[tuple[Array, float]] = []
    failed = 0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"), blas_for(points.shape[1]):
        for start in points:
            solution = _solve(system, start, tol)
            if solution is None:
                failed += 1
            else:
                found.append(solution)
        result = _gathered(system, found, failed, same)
    if not found:
        warnings.warn(
            f"lagrange_stationary: none of {len(points)} starts led to a stationary point. Start "
            "nearer to the constraints, or raise tol.",
            ConvergenceWarning, stacklevel=2,
        )  # fmt: skip
    return result


def _starts(starts: ArrayLike) -> Array:
    array = np.asarray(starts)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"starts must hold real numbers; got dtype {array.dtype}.")
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(
            f"starts must be (n,) or (n_starts, n), not empty; got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("starts must be finite; they hold NaN or infinity.")
    return np.atleast_2d(array).astype(np.float64)


class _System:
    """f, g and their derivatives as arrays; the equations in z = (x, λ)."""

    def __init__(
        self, f: Any, g: Any, start: Array, jac: Any, jac_g: Any, hess: Any, hess_g: Any
    ) -> None:
        self.n = start.size
        self.f = self._checked(f, "f", start, ())
        self.g = self._constraints(g, start)
        self.m = self.g(start).size
        if self.m > self.n:
            raise ValueError(
                f"g has m = {self.m} constraints for n = {self.n} variables; at most n can hold."
            )
        self.gradient = self._derivative(jac, "jac", self.f, start, (self.n,))
        self.jacobian = self._derivative(jac_g, "jac_g", self.g, start, (self.m, self.n))
        self._hess = hess and self._checked(hess, "hess", start, (self.n, self.n))
        self._hess_g = hess_g and self._checked(hess_g, "hess_g", start, (self.m, self.n, self.n))

    def _checked(
        self, function: Any, name: str, start: Array, shape: tuple[int, ...] | None
    ) -> Callable[[Array], Any]:
        """The function, once it has shown its signature and shape."""
        expected = f"{name}(x) with x an array of shape ({self.n},)"
        check_takes(function, (start,), name, expected)
        value = np.asarray(first_call(function, (start.copy(),), expected))
        if value.dtype.kind not in "fiub":
            raise TypeError(f"{expected} must give real numbers; got dtype {value.dtype}.")
        if shape is not None and value.shape != shape:
            what = f"shape {shape}" if shape else "one number"
            raise ValueError(f"{expected} must give {what}; got shape {value.shape}.")
        return lambda x: function(x.copy())

    def _constraints(self, g: Any, start: Array) -> Callable[[Array], Array]:
        if isinstance(g, list | tuple):
            if not g:
                raise ValueError("g must hold at least one constraint; got none.")
            each = [self._checked(one, f"g[{i}]", start, ()) for i, one in enumerate(g)]
            return lambda x: np.array([one(x) for one in each])
        function = self._checked(g, "g", start, None)
        if np.ndim(function(start)) > 1:
            raise ValueError("g(x) must give a number or an array of shape (m,).")
        return lambda x: np.atleast_1d(function(x))

    def _derivative(
        self, given: Any, name: str, f: Any, start: Array, shape: tuple[int, ...]
    ) -> Callable[[Array], Array]:
        if given is not None:
            function = self._checked(given, name, start, shape)
            return lambda x: np.asarray(function(x), np.float64)
        rule = jacobian_rule(f, start)
        return lambda x: rule(f, x)

    def residual(self, z: Array) -> Array:
        """(∇f − Jᵀλ, g)."""
        x, multipliers = z[: self.n], z[self.n :]
        slope = self.gradient(x) - self.jacobian(x).T @ multipliers
        return np.concatenate([slope, self.g(x)])

    def curvature(self, z: Array) -> Array:
        """The Hessian of L = f − λ·g."""
        x, multipliers = z[: self.n], z[self.n :]
        H = self._hess(x) if self._hess else central_jacobian(self.gradient, x)
        if self._hess_g:
            H = H - np.tensordot(multipliers, self._hess_g(x), 1)
        else:
            H = H - central_jacobian(lambda y: self.jacobian(y).T @ multipliers, x)
        return np.asarray((H + H.T) / 2)

    def derivative(self, z: Array) -> Array:
        """Of the residual: the bordered Hessian, up to signs."""
        J = self.jacobian(z[: self.n])
        return np.block([[self.curvature(z), -J.T], [J, np.zeros((self.m, self.m))]])

    def first_multipliers(self, x: Array) -> Array:
        """The λ with the shortest ∇f − Jᵀλ."""
        return np.asarray(np.linalg.lstsq(self.jacobian(x).T, self.gradient(x), rcond=None)[0])


def _solve(system: _System, start: Array, tol: float) -> tuple[Array, float] | None:
    """(x, λ) and its residual, or None."""
    try:
        z = np.concatenate([start, system.first_multipliers(start)])
        z = root(system.residual, z, jac=system.derivative, method="hybr").x
        residual = system.residual(z)
        for _ in range(POLISHING):
            step = np.linalg.lstsq(system.derivative(z), residual, rcond=None)[0]
            nearer = system.residual(z - step)
            if not np.abs(nearer).max() < np.abs(residual).max():
                break
            z, residual = z - step, nearer
    except np.linalg.LinAlgError:  # something is no longer finite
        return None
    size = float(np.abs(residual).max())
    scale = max(1.0, float(np.abs(system.gradient(z[: system.n])).max()))
    return (z, size) if size <= tol * scale else None


def _gathered(
    system: _System, found: list[tuple[Array, float]], failed: int, same: float
) -> StationaryPoints:
    """Points that differ, the best of each, in the order of f."""
    n = system.n
    kept: list[tuple[Array, float]] = []
    counts: list[int] = []
    for z, size in sorted(found, key=lambda one: one[1]):
        near = same * max(1.0, float(np.linalg.norm(z[:n])))
        twins = [i for i, (other, _) in enumerate(kept) if _distance(other, z, n) <= near]
        if twins:
            counts[twins[0]] += 1
        else:
            kept.append((z, size))
            counts.append(1)
    Z = np.array([z for z, _ in kept]).reshape(len(kept), n + system.m)
    fun = np.array([float(system.f(x)) for x in Z[:, :n]])
    # Of points with the same f, but for rounding, the first coordinates decide.
    order = np.lexsort((*Z[:, n - 1 :: -1].T, fun.round(9))) if kept else np.arange(0)
    kinds = [_kind(system, z) for z in Z[order]]
    return StationaryPoints(
        Z[order, :n], Z[order, n:], fun[order], tuple(kind for kind, _ in kinds),
        tuple(values for _, values in kinds), np.array([size for _, size in kept])[order],
        np.array(counts, np.int64)[order], failed,
    )  # fmt: skip


def _distance(a: Array, b: Array, n: int) -> float:
    return float(np.linalg.norm(a[:n] - b[:n]))


def _kind(system: _System, z: Array) -> tuple[str, Array]:
    """The kind of a point, and the eigenvalues of the projected Hessian."""
    J, H = system.jacobian(z[: system.n]), system.curvature(z)
    along = null_space(J, rcond=FLAT)
    values = np.linalg.eigvalsh(along.T @ H @ along)
    flat = FLAT * max(1.0, float(np.abs(H).max()))
    if along.shape[1] > system.n - system.m or (np.abs(values) <= flat).any():
        return "degenerate", values
    if values.size == 0:
        return "isolated", values
    if (values > 0).all():
        return "minimum", values
    return ("maximum" if (values < 0).all() else "saddle"), values
