"""One regression too large for a group of the kernels: the same report, by LAPACK and BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from mmlfast.kernels import least_squares, logistic

Array = NDArray[np.float64]
REFINEMENTS = 3


def least_squares_alone(
    X: Array, Y: Array, w: Array | None, ones: int, options: tuple[int, float, float, int]
) -> Array:
    """The columns of `least_squares.fit_groups` for problems Y (k, n) that share X and w."""
    solver, alpha, tol, max_iter = options
    n, d = X.shape
    p = ones + d
    report = np.full((2 * p + least_squares.REPORT, len(Y)), np.nan)
    tail = report[2 * p :]
    n_rows = n if w is None else int(np.count_nonzero(w > 0))
    tail[least_squares.LOST], tail[least_squares.COUNT], tail[least_squares.N_ITER] = 0, n_rows, 1
    shared = bool(np.isfinite(X).all()) and (w is None or bool(np.isfinite(w).all()))
    good = np.isfinite(Y).all(axis=1) & shared
    tail[least_squares.BAD_INPUT] = np.where(good, 0.0, np.nan)
    if not good.any():
        return report
    root = np.ones(n) if w is None else np.sqrt(w)
    A = np.zeros((n + (d if alpha > 0 else 0), p))
    A[:n, ones:] = X
    A[:n, :ones] = 1
    A[:n] *= root[:, None]
    if alpha > 0:
        A[n:, ones:] = np.sqrt(alpha) * np.eye(d)
    B = np.zeros((len(A), int(good.sum())))
    B[:n] = root[:, None] * Y[good].T
    kept, R = _independent(A)
    x = np.zeros((p, B.shape[1]))
    for _ in range(REFINEMENTS):
        # Corrected seminormal equations: Björck, Linear Algebra Appl. 88/89, 1987.
        right = A[:, kept].T @ (B - A @ x)
        x[kept] += solve_triangular(R, solve_triangular(R, right, trans=1))
    if solver == least_squares.GD:
        runs = [_descend(A, b, ones, tol, max_iter) for b in B.T]
        x = np.stack([run[0] for run in runs], axis=1)
        tail[least_squares.N_ITER, good] = [run[1] for run in runs]
        tail[least_squares.GRADIENT, good] = [run[2] for run in runs]
    mean = root @ B[:n] / (root @ root) if ones and root.any() else 0.0
    rss = np.sum((B - A @ x)[:n] ** 2, axis=0)
    tail[least_squares.RSS, good] = rss
    tail[least_squares.TSS, good] = np.sum((B[:n] - root[:, None] * mean) ** 2, axis=0)
    tail[least_squares.LOST] = p - len(kept)
    report[:p, good] = x
    freedom = n_rows - len(kept)
    if freedom > 0:
        variance = np.sum(solve_triangular(R, np.eye(len(kept))) ** 2, axis=1)
        errors = np.full((p, B.shape[1]), np.nan)
        errors[kept] = np.sqrt(variance[:, None] * rss / freedom)
        report[p : 2 * p, good] = errors
    return report


def well_conditioned(X: Array, w: Array | None, ones: int) -> bool:
    """Whether plain double precision gives a least squares problem nine digits."""
    if not np.isfinite(X).all() or (w is not None and not np.isfinite(w).all()):
        return True
    A = np.hstack([np.ones((len(X), ones)), X]) * (1 if w is None else np.sqrt(w)[:, None])
    kept, R = _independent(A)
    inverse = solve_triangular(R, np.eye(len(kept)))
    shares = np.sum(inverse**2, axis=1) * np.sum(R**2, axis=0)
    return bool(shares.max(initial=1) < least_squares.WELL_CONDITIONED)


def _independent(A: Array) -> tuple[NDArray[np.intp], Array]:
    """The columns that do not depend on those before them, and R of theirs."""
    rounding = 16.0 * max(A.shape) * np.finfo(np.float64).eps
    kept: NDArray[np.intp] = np.arange(A.shape[1])
    while True:
        R = np.asarray(np.linalg.qr(A[:, kept], mode="r"))
        size = np.zeros(len(kept))
        size[: len(R)] = np.abs(np.diag(R))
        lost = size <= rounding * np.linalg.norm(R, axis=0)
        if not lost.any():
            return kept, R
        # What follows a column without a direction of its own was measured against noise.
        kept = np.delete(kept, int(np.argmax(lost)))


def _descend(A: Array, b: Array, ones: int, tol: float, max_iter: int) -> tuple[Array, int, float]:
    """Gradient descent as `least_squares.descend` does it: centred, in units of the columns."""
    shift = A[:, :ones].T @ A[:, ones:] / max(np.sum(A[:, :ones] ** 2), 1e-300)
    mean = A[:, :ones].T @ b / max(np.sum(A[:, :ones] ** 2), 1e-300)
    F, c = A[:, ones:] - A[:, :ones] @ shift, b - A[:, :ones] @ mean
    G, right = F.T @ F, F.T @ c
    units = np.diag(G).copy()
    inverse = np.divide(1, units, out=np.zeros_like(units), where=units > 0)
    rate = 1 / max(float((np.abs(G) * np.sqrt(np.outer(inverse, inverse))).sum(1).max()), 1e-300)
    x = np.zeros(len(G))
    for n_iter in range(max_iter + 1):
        gradient = G @ x - right
        if gradient**2 @ inverse <= tol**2 * (c @ c) or n_iter == max_iter:
            break
        x -= rate * inverse * gradient
    return np.concatenate([mean - shift @ x, x]), n_iter, float(gradient @ gradient)


def logistic_alone(
    X: Array, Y: Array, w: Array | None, ones: int, options: tuple[int, float, float, int]
) -> Array:
    """The columns of `logistic.fit_groups` for problems Y (k, n) that share X and w."""
    return np.stack([_one_logistic(X, y, w, ones, options) for y in Y], axis=1)


def _one_logistic(
    X: Array, y: Array, w: Array | None, ones: int, options: tuple[int, float, float, int]
) -> Array:
    solver, alpha, tol, max_iter = options
    n, d = X.shape
    p = d + ones
    report = np.full(2 * p + logistic.REPORT, np.nan)
    tail = report[2 * p :]
    weight = np.ones(n) if w is None else w
    finite = np.isfinite(X).all() and np.isfinite(y).all() and np.isfinite(weight).all()
    tail[[logistic.LOST, logistic.N_ITER, logistic.STATE]] = 0, 0, logistic.UNFINISHED
    tail[logistic.COUNT] = np.count_nonzero(weight > 0)
    tail[logistic.POSITIVE] = np.sum(y[weight > 0])
    tail[logistic.BAD_INPUT] = 0.0 if finite else np.nan
    if not finite:
        return report
    mass = weight.sum()
    means = weight @ X / mass if ones and mass > 0 else np.zeros(d)
    A = np.ones((n, p))
    A[:, :d] = X - means
    penalty = np.zeros(p)
    penalty[:d] = alpha
    kept, _ = _independent(np.sqrt(weight)[:, None] * A) if alpha == 0 else (np.arange(p), None)
    fit = _Newton(A[:, kept], y, weight, penalty[kept])
    state, n_iter = fit.run(solver, tol, max_iter)
    b = np.zeros(p)
    b[kept] = fit.b
    T = np.eye(p)
    if ones:
        T[d, :d] = -means
    report[:p] = T @ b
    if state != logistic.SEPARATED:
        covariance = cho_solve(cho_factor(fit.H), np.eye(len(kept)))
        variance = np.einsum("ij,jk,ik->i", T[:, kept], covariance, T[:, kept])
        report[p + kept] = np.sqrt(variance[kept])
    gradient = np.zeros(p)
    gradient[kept] = fit.g
    if ones:
        gradient[:d] += means * gradient[d]
    tail[logistic.LOSS] = fit.loss - 0.5 * penalty[kept] @ fit.b**2
    tail[logistic.N_ITER], tail[logistic.STATE] = n_iter, state
    tail[logistic.LOST] = p - len(kept)
    tail[logistic.GRADIENT] = np.linalg.norm(gradient)
    return report


class _Newton:
    """Newton's method or gradient descent for one logistic regression."""

    def __init__(self, A: Array, y: Array, w: Array, penalty: Array) -> None:
        self.A, self.y, self.w, self.penalty = A, y, w, penalty
        self.b = np.zeros(A.shape[1])
        self.separated = False
        self.loss, self.g, self.H = self._evaluate(self.b)

    def _evaluate(self, b: Array) -> tuple[float, Array, Array]:
        eta = self.A @ b
        e = np.exp(-np.abs(eta))
        p = np.where(eta > 0, 1, e) / (1 + e)
        loss = self.w @ (np.maximum(eta, 0) - self.y * eta + np.log1p(e))
        h = self.w * e / (1 + e) ** 2
        self.margin = float(np.min(np.where(self.y > 0.5, eta, -eta)[self.w > 0], initial=np.inf))
        g = self.A.T @ (self.w * (p - self.y)) + self.penalty * b
        H = self.A.T @ (h[:, None] * self.A) + np.diag(self.penalty)
        return float(loss + 0.5 * self.penalty @ b**2), g, H

    def run(self, solver: int, tol: float, max_iter: int) -> tuple[int, int]:
        """The state and the number of steps."""
        units = 4 * np.diag(self.H)
        mass = self.w.sum()
        scale = np.sqrt(np.where(units > 0, units, 1))
        rate = 4 / max(float((np.abs(self.H) * 4 / np.outer(scale, scale)).sum(1).max()), 1e-300)
        for n_iter in range(max_iter + 1):
            small = np.sum((self.g / scale) ** 2) <= tol**2 * mass
            if solver == logistic.GD:
                step, calm = rate * self.g / scale**2, True
            else:
                try:
                    step = cho_solve(cho_factor(self.H), self.g)
                except np.linalg.LinAlgError:
                    return logistic.SEPARATED, n_iter
                calm = bool(((step * scale) ** 2 < logistic.SETTLED**2 * mass).all())
            if self.penalty.max(initial=0) == 0 and n_iter and self.margin > 0:
                return logistic.SEPARATED, n_iter
            if small and calm:
                # As in the kernel: the step at hand squares what error is left.
                self.b = self.b - step if solver == logistic.NEWTON else self.b
                return logistic.CONVERGED, n_iter
            if small and np.sum((self.g / scale) ** 2) < (logistic.VANISHED * tol) ** 2 * mass:
                return logistic.SEPARATED, n_iter
            if n_iter == max_iter or not self._advance(step, solver):
                break
        return logistic.UNFINISHED, n_iter

    def _advance(self, step: Array, solver: int) -> bool:
        size, gain = 1.0, float(self.g @ step)
        if solver == logistic.NEWTON and not self.b.any():
            size = 1 / max(1 - gain / self.w.sum(), logistic.LEAST_REST)
        slack = 4e-16 * (abs(self.loss) + len(self.y))
        while size > logistic.LEAST_SIZE:
            found: tuple[Any, ...] = self._evaluate(self.b - size * step)
            if solver == logistic.GD or found[0] < (
                self.loss - logistic.ARMIJO * size * gain + slack
            ):
                self.b = self.b - size * step
                self.loss, self.g, self.H = found
                return True
            size /= 2
        return False
