"""Slopes from real values on both sides: (F(x + t d) − F(x − t d)) / 2t, extrapolated to t → 0.

The differences, of eighth order, are scipy.differentiate's.  Around them: steps that fit the
function and its domain, the best step of all that were taken, the noise of F in each error, and a
look for a kink, which symmetric differences cannot see.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import differentiate

from mmlfast.api.evaluations import Array, Evaluations, at_point

_EPS = float(np.finfo(np.float64).eps)
# Not a fraction of small numbers: on such steps a periodic function looks constant.
_FIRST_STEP = 0.2387
_HALVINGS = 10
_ORDER = 8
_SMALLEST = 2.0 ** -(_ORDER // 2 - 1)
# Errors relative to the slope, or to F, on the scale of the steps.
_NEGLIGIBLE, _GOOD, _DOUBTFUL = 1e-11, 1e-6, 1e-4
# Each 2^10 times closer than the one before; the later ones only where F was NaN.
_ATTEMPTS, _ATTEMPTS_OUTSIDE = 5, 12
# Where F is looked at first: far for its size, near for its noise, very near for a kink.  At near
# points of equal distances the rounding of a straight line would be regular, and pass for smooth.
_FAR, _VERY_NEAR = 0.25, 2.0**-20
_NEAR = 2.0**-13 * np.array([1.0, 2.13, 2.96, 4.0])
_SAME = 4  # of six neighbouring pairs of values
# Σ wᵢ F(x + hᵢ) = 0 for polynomials of degree 3, h₀ = 0, w₀ = 1.
_DIFFERENCE = np.array(
    [np.prod(np.delete(-_NEAR, i) / np.delete(_NEAR[i] - _NEAR, i)) for i in range(4)]
)


class Slopes(NamedTuple):
    """dF/dt along d: values and errors (m, K), whether to doubt them, |F| met near the points."""

    value: Array
    error: Array
    doubtful: Array
    size: Array


class _Lines(NamedTuple):
    """x + t d for points and directions (n, K), and F at t = 0, (m, K)."""

    F: Evaluations
    points: Array
    d: Array
    base: Array

    def at(self, t: Array) -> Array:
        """F at steps t (p,) on every line, (m, K, p)."""
        return self.F(self.points[..., None] + self.d[..., None] * t)

    def shrunk(self, which: Array, by: Array) -> _Lines:
        """Some of the lines, with shorter directions."""
        d = self.d[:, which] * by
        return _Lines(self.F, self.points[:, which], d, self.base[:, which])

    @property
    def reach(self) -> Array:
        """max |xⱼ/dⱼ|: how many times eps the rounding of x + t d may be, in t."""
        far = np.zeros_like(self.points)
        np.divide(np.abs(self.points), np.abs(self.d), out=far, where=self.d != 0)
        return far.max(axis=0)


class _Look(NamedTuple):
    """F on the scale of d, (m, K): slope, size, noise, jump of the slope; too small to change?"""

    slope: Array
    size: Array
    noise: Array
    jump: Array
    coarse: Array


def central_slopes(F: Evaluations) -> Slopes:
    """∂F/∂x (m, n, K) at F.points, where n = 1 or K = 1: a line for each variable."""
    scale = step_scale(F.points)
    d = scale if len(scale) == 1 else np.diag(scale[:, 0])
    found = slopes_along(F, d)
    along = d.sum(axis=0)
    shape = (F.n_outputs, *F.points.shape)
    parts = (found.value / along, found.error / along, found.doubtful, found.size)
    return Slopes(*(part.reshape(shape) for part in parts))


def step_scale(x: Array) -> Array:
    """The length on which a function of x is first expected to vary."""
    return np.maximum(np.abs(x), 1.0)


def slopes_along(F: Evaluations, d: Array) -> Slopes:
    """dF(x + t d)/dt at t = 0, (m, L), for directions d (n, L), from a point each or from one."""
    shape = (F.n_outputs, d.shape[1])
    points, base = np.broadcast_to(F.points, d.shape), np.broadcast_to(F.at_points, shape)
    lines = _Lines(F, points, d, base)
    value, error = np.full(shape, np.nan), np.full(shape, np.inf)
    local, typical, jump = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    size = np.abs(base)
    shrink, attempts = 1.0, np.zeros(d.shape[1], int)
    todo = np.arange(d.shape[1])
    for _ in range(_ATTEMPTS_OUTSIDE):
        some = lines.shrunk(todo, np.array(shrink))
        look = _look(some)
        found, bound = (part / shrink for part in _extrapolate(some, look))
        better = (bound < error[:, todo]) & ((shrink == 1) | ~look.coarse)
        for kept, new in (
            (value, found), (error, bound), (local, look.slope / shrink),
            (jump, look.jump / shrink),
        ):  # fmt: skip
            kept[:, todo] = np.where(better, new, kept[:, todo])
        first = np.nan_to_num(look.slope / shrink)
        typical[:, todo] = np.where(typical[:, todo] > 0, typical[:, todo], first)
        size[:, todo] = np.fmax(size[:, todo], look.size)
        attempts[todo] += np.isfinite(bound).all(axis=0)
        poor = (error > np.maximum(_GOOD * local, _NEGLIGIBLE * size)).any(axis=0)
        todo = np.flatnonzero(poor & (attempts < _ATTEMPTS))
        if todo.size == 0:
            break
        shrink *= 2.0**-_HALVINGS
    _refuse_edges(F, points, error)
    error = np.maximum(error, jump)
    # An output that is nearly zero has the rounding of those beside it.
    rounding = np.maximum(_NEGLIGIBLE * size.max(axis=0), 1e-12)
    limit = np.maximum(np.maximum(_DOUBTFUL * typical, _GOOD * size), rounding)
    return Slopes(value, error, (error > limit) | (jump > 0), size)


def _look(lines: _Lines) -> _Look:
    base = lines.base[..., None]
    h = np.array([_FAR, *_NEAR, _VERY_NEAR])
    right, left = lines.at(h), lines.at(-h)
    # On each side alone, so that a kink is not taken for noise.
    noise = [np.abs(base[..., 0] - side[..., 1:5] @ _DIFFERENCE) for side in (right, left)]
    size = np.fmax(np.abs(right[..., 0]), np.abs(left[..., 0]))
    rounding = 2 * _EPS * np.fmax(size, np.abs(base[..., 0]))
    blur = np.fmax(np.minimum(*noise) / 4, rounding)
    slope = np.maximum(np.abs(right - base), np.abs(left - base))[..., 0] / _FAR
    # |F(x + h) − 2 F(x) + F(x − h)| / h falls with h for a smooth F, stays for a kink, and grows
    # where it is noise.
    bend = np.abs(right - 2 * base + left) / h
    near, very_near = bend[..., 4], bend[..., 5]
    unsure = 32 * (blur + _EPS * slope * lines.reach) / _VERY_NEAR
    kink = (0.5 * near < very_near) & (very_near < 16 * near) & (very_near > unsure)
    repeated = [np.diff(np.sort(side[..., 1:5])) == 0 for side in (right, left)]
    coarse = (np.concatenate(repeated, axis=-1)).sum(axis=-1) >= _SAME
    return _Look(slope, size, blur, np.where(kink, very_near, 0.0), coarse)


def _extrapolate(lines: _Lines, look: _Look) -> tuple[Array, Array]:
    """dF/dt and its error on the scale of d; NaN and infinity where F is NaN on that scale."""
    base = lines.base
    best, error = np.full(base.shape, np.nan), np.full(base.shape, np.inf)
    before = np.zeros(base.shape)
    if not np.isfinite(look.slope).any():
        return best, error
    # Values and slopes of about 1, so that one tolerance serves every output and point.
    unit = np.where(look.slope > 0, look.slope, 1.0)
    reach = lines.reach

    def normalised(t: Array) -> Array:
        steps = np.atleast_1d(t[(0,) * base.ndim])
        return ((lines.at(steps) - base[..., None]) / unit[..., None]).reshape(t.shape)

    def keep_best(state: Any) -> None:
        nonlocal best, error, before
        if not np.any(state.nit):
            return
        smallest = _FIRST_STEP * 0.5**state.nit * _SMALLEST
        rounding = (look.noise / unit + 2 * _EPS * np.abs(state.df) * reach) / smallest
        # One small difference of two estimates may be luck; the one before it was not.
        bound = 2 * state.error + before / 16 + rounding
        better = np.isfinite(bound) & (bound < error)
        best, error = np.where(better, state.df, best), np.where(better, bound, error)
        before = np.where(np.isfinite(state.error), state.error, 0.0)

    with np.errstate(all="ignore"):
        differentiate.derivative(
            normalised, np.zeros(base.shape), preserve_shape=True, callback=keep_best,
            initial_step=_FIRST_STEP, maxiter=_HALVINGS, order=_ORDER,
            tolerances={"atol": 1e-11, "rtol": 1e-11},
        )  # fmt: skip
    return best * unit, error * unit


def _refuse_edges(F: Evaluations, points: Array, error: Array) -> None:
    outside = np.isinf(error).any(axis=0)
    if outside.any():
        raise ValueError(
            f"{F.name} must be finite on both sides of x to have a derivative; it is not near "
            f"{at_point(points[:, np.argmax(outside)])}. Move x into the domain."
        )
