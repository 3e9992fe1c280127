"""Least squares of a nonlinear model: steepest descent, Gauss–Newton, Levenberg–Marquardt.

    χ²(p) = ‖r(p)‖²,  J = ∂(model)/∂p        steepest  s = t·Jᵀr
                                             Gauss–Newton  min ‖r − J s‖
                                             Levenberg–Marquardt  min ‖r − J s‖ over ‖D s‖ ≤ Δ

Each iteration takes one SVD of J with columns scaled by D, which solves the last problem for every
damping at once: s = D⁻¹ V (σ/(σ² + λ)) Uᵀr.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmlfast.runtime.threads import blas_for

Vector = NDArray[np.float64]
CONVERGED, MAX_ITER, DIVERGED, STALLED = range(4)

# Δ of the first step over ‖D p‖, and how Δ follows the ratio of actual to predicted reduction: as
# Moré, The Levenberg–Marquardt algorithm: implementation and theory, 1978, sections 3 to 6.  With
# his 100 the first step from NIST's BoxBOD start 1 ends where the curve is flat.
FIRST_RADIUS = 1.0
POOR, GOOD, ACCEPTED = 0.25, 0.75, 1e-4
# The damping is as good as exact when ‖D s‖ is this near to Δ.
NEAR_RADIUS = 0.1
ARMIJO = 1e-4
EPS = float(np.finfo(np.float64).eps)
# By how much of χ² a step may seem to raise it where rounding has the say.
HIDDEN = 1e-6
SMALLER = 0.9


@dataclass
class Model:
    """Residuals and Jacobian of a model at p, weighted; both count their calls."""

    residuals: Callable[[Vector], Vector]
    jacobian: Callable[[Vector], Vector]
    rounding: float  # how far off r may be, in norm


@dataclass
class Fit:
    """A point, what is known there, and the way to it."""

    p: Vector
    r: Vector
    chi2: float
    path: list[Vector] = field(default_factory=list)
    chi2_path: list[float] = field(default_factory=list)
    status: int = MAX_ITER
    cosine: float = math.nan
    n_iter: int = 0

    def move(self, p: Vector, r: Vector, chi2: float) -> None:
        """Go to p and write it down."""
        self.p, self.r, self.chi2 = p, r, chi2
        self.path.append(p)
        self.chi2_path.append(chi2)


class Tangent:
    """J = U·diag(σ)·Vᵀ·D at a point, and r seen from it: what steps are made of."""

    def __init__(self, J: Vector, r: Vector, scale: Vector) -> None:
        self.scale = scale
        with blas_for(J.shape[1]):
            U, self.sigma, Vt = np.linalg.svd(J / scale, full_matrices=False)
        self.V = Vt.T
        self.along = U.T @ r
        self.rank = int((self.sigma > self.sigma[0] * max(J.shape) * EPS).sum())
        # What is rounding error must not look like a direction.
        self.sigma[self.rank :] = self.along[self.rank :] = 0
        self.size = float(np.linalg.norm(r))
        # The cosine between r and the tangent space: Bates and Watts' relative offset, 1981.
        along = float(np.linalg.norm(self.along))
        self.cosine = min(1.0, along / self.size) if self.size else 0.0

    def step(self, damping: float = 0.0) -> Vector:
        """D·s of the damped step; with no damping the shortest one where J lacks rank."""
        if damping > 0:
            factors = self.sigma / (self.sigma**2 + damping)
        else:
            factors = np.zeros_like(self.sigma)
            factors[: self.rank] = 1 / self.sigma[: self.rank]
        return np.asarray(self.V @ (factors * self.along))

    def damping_for(self, radius: float) -> float:
        """λ ≥ 0 with ‖D s(λ)‖ = Δ to a tenth, 0 if the full step is no longer than that.

        Newton's method on 1/‖D s‖ − 1/Δ, which is nearly linear in λ (Reinsch, 1967; Hebden, 1973).
        """
        if np.linalg.norm(self.step()) <= (1 + NEAR_RADIUS) * radius:
            return 0.0
        pull = self.sigma * self.along
        low, high = 0.0, float(np.linalg.norm(pull)) / radius
        damping = max(1e-3 * high, np.finfo(float).tiny)
        for _ in range(50):
            squares = (pull / (self.sigma**2 + damping)) ** 2
            length = math.sqrt(float(squares.sum()))
            if abs(length - radius) <= NEAR_RADIUS * radius:
                break
            low, high = (damping, high) if length > radius else (low, damping)
            slope = -float((squares / (self.sigma**2 + damping)).sum()) / length
            damping -= (length / radius) * (length - radius) / slope
            if not low < damping < high:
                damping = math.sqrt(max(low, 1e-3 * high) * high)
        return damping


def scales(J: Vector, before: Vector | None) -> Vector:
    """D: the largest norm that each column of J has had; 1 for one that has always been 0."""
    norms = np.linalg.norm(J, axis=0)
    if before is not None:
        norms = np.maximum(norms, np.where(before == 1, 0, before))
    return np.where(norms > 0, norms, 1.0)


def is_least(model: Model, tangent: Tangent, p: Vector, tol: float) -> bool:
    """Whether r is at right angles to the tangent space, or the full step is of no account."""
    if tangent.rank == 0 and tangent.size > model.rounding:
        return False  # flat, as where the curve has run away from the data
    if tangent.cosine <= tol:
        return True
    if tol > 0 and float(np.linalg.norm(tangent.along)) <= model.rounding:
        return True
    return bool((np.abs(tangent.step()) <= tol * np.abs(tangent.scale * p)).all())


def levenberg_marquardt(model: Model, fit: Fit, tol: float, max_iter: int) -> None:
    """Steps within a trust region that follows how well the linear model foretells χ²."""
    scale: Vector | None = None
    radius = math.nan
    while True:
        J = model.jacobian(fit.p)
        if not np.isfinite(J).all():
            fit.status = DIVERGED
            return
        scale = scales(J, scale)
        tangent = Tangent(J, fit.r, scale)
        fit.cosine = tangent.cosine
        if is_least(model, tangent, fit.p, tol):
            fit.status = CONVERGED
            return
        if fit.n_iter >= max_iter:
            return
        if math.isnan(radius):
            radius = FIRST_RADIUS * (float(np.linalg.norm(scale * fit.p)) or 1.0)
        radius = _one_step(model, fit, tangent, radius)
        if radius == 0:
            polish(model, fit, scale, tol)
            return
        fit.n_iter += 1


def polish(model: Model, fit: Fit, scale: Vector, tol: float) -> None:
    """Full steps, as long as each clearly lowers the cosine, where χ² can no longer tell.

    Rounding hides from χ² what is quadratic in the error of p; r's angle still shows it.
    """
    before = math.inf
    while True:
        tangent = Tangent(model.jacobian(fit.p), fit.r, scale)
        fit.cosine, scaled = tangent.cosine, tangent.step()
        if is_least(model, tangent, fit.p, tol):
            fit.status = CONVERGED
            return
        p = fit.p + scaled / scale
        r = model.residuals(p)
        chi2 = float(r @ r)
        higher = not chi2 <= (1 + HIDDEN) * fit.chi2
        idle = fit.cosine > SMALLER * before and not chi2 < fit.chi2 / 2
        if idle or higher or (p == fit.p).all():
            # χ² could fall by cos² of itself: where that is rounding error, this is the minimum.
            least = tangent.rank > 0 and fit.cosine**2 <= EPS
            fit.status = CONVERGED if least else STALLED
            return
        fit.move(p, r, chi2)
        fit.n_iter += 1
        before = fit.cosine


def _one_step(model: Model, fit: Fit, tangent: Tangent, radius: float) -> float:
    """Take the first step, of smaller and smaller ones, that lowers χ²; the radius, 0 for none."""
    size = float(np.linalg.norm(tangent.scale * fit.p))
    while True:
        scaled = tangent.step(tangent.damping_for(radius))
        length = float(np.linalg.norm(scaled))
        p = fit.p + scaled / tangent.scale
        if (p == fit.p).all() or length <= EPS / 4 * size:
            return 0.0
        r = model.residuals(p)
        chi2 = float(r @ r)
        predicted = _predicted(tangent, scaled)
        # Differences of nearly equal sums, taken so that they keep their digits.
        actual = float((fit.r - r) @ (fit.r + r)) if math.isfinite(chi2) else -math.inf
        ratio = actual / predicted if predicted > 0 else -math.inf
        if ratio <= POOR:
            radius = max(0.1, _shrink(actual, predicted)) * min(radius, 10 * length)
        elif ratio >= GOOD or radius > 2 * length:
            radius = 2 * length
        if ratio >= ACCEPTED:
            fit.move(p, r, chi2)
            return radius


def _predicted(tangent: Tangent, scaled: Vector) -> float:
    """‖r‖² − ‖r − J s‖²."""
    moved = tangent.sigma * (tangent.V.T @ scaled)
    return float(moved @ (2 * tangent.along - moved))


def _shrink(actual: float, predicted: float) -> float:
    """By what the parabola through χ², its slope and the new χ² shortens the step, at most ½."""
    if not math.isfinite(actual):
        return 0.1
    # The slope of χ² along the step is at most −predicted.
    return min(0.5, predicted / (2 * (predicted - actual)))


def gauss_newton(model: Model, fit: Fit, tol: float, max_iter: int) -> None:
    """Full steps, come what may."""
    while True:
        J = model.jacobian(fit.p)
        if not (math.isfinite(fit.chi2) and np.isfinite(J).all()):
            fit.status = DIVERGED
            return
        tangent = Tangent(J, fit.r, scales(J, None))
        fit.cosine = tangent.cosine
        if is_least(model, tangent, fit.p, tol):
            fit.status = CONVERGED
            return
        if fit.n_iter >= max_iter:
            return
        p = fit.p + tangent.step() / tangent.scale
        if not _go(model, fit, p):
            return


def steepest(model: Model, fit: Fit, tol: float, max_iter: int, aggression: float | None) -> None:
    """Steps −aggression·∇χ², or from a parabola's lowest point back until χ² is lower (Armijo)."""
    while True:
        J = model.jacobian(fit.p)
        if not (math.isfinite(fit.chi2) and np.isfinite(J).all()):
            fit.status = DIVERGED
            return
        tangent = Tangent(J, fit.r, scales(J, None))
        fit.cosine = tangent.cosine
        if tangent.rank == 0 or fit.cosine <= tol:
            fit.status = CONVERGED if tangent.rank or not tangent.size else STALLED
            return
        if fit.n_iter >= max_iter:
            return
        g = J.T @ fit.r
        if aggression is not None:
            if not _go(model, fit, fit.p + 2 * aggression * g):
                return
            continue
        t = float(g @ g) / float(np.linalg.norm(J @ g)) ** 2
        while True:
            p = fit.p + t * g
            if (p == fit.p).all():
                fit.status = STALLED
                return
            r = model.residuals(p)
            chi2 = float(r @ r)
            lower = float((fit.r - r) @ (fit.r + r)) if math.isfinite(chi2) else -math.inf
            if lower >= ARMIJO * 2 * t * float(g @ g):
                break
            t /= 2
        fit.move(p, r, chi2)
        fit.n_iter += 1


def _go(model: Model, fit: Fit, p: Vector) -> bool:
    """Go to p whatever χ² is there; False where there is no going on."""
    if not np.isfinite(p).all():
        fit.status = DIVERGED
        return False
    if (p == fit.p).all():
        fit.status = STALLED
        return False
    r = model.residuals(p)
    fit.move(p, r, float(r @ r))
    fit.n_iter += 1
    return True
