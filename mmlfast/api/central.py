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


class _Look(NamedTuple):
    """F on the scale of d, (m, K): slope, size, noise, jump of the slope; too small to change?"""

    slope: Array
    size: Array
    noise: Array
    jump: Array
    coarse: Array


def central_slopes(F: Evaluations) -> Slopes:
    """∂F/∂x (m, n, K) at F.points, a line for each variable."""
    x = F.points
    columns = []
    for j in range(len(x)):
        d = np.zeros_like(x)
        d[j] = step_scale(x[j])
        line = slopes_along(F, d)
        columns.append(Slopes(line.value / d[j], line.error / d[j], line.doubtful, line.size))
    return Slopes(*(np.stack(part, axis=1) for part in zip(*columns, strict=True)))


def step_scale(x: Array) -> Array:
    """The length on which a function of x is first expected to vary."""
    return np.maximum(np.abs(x), 1.0)


def slopes_along(F: Evaluations, d: Array) -> Slopes:
    """dF(x + t d)/dt at t = 0, (m, K), for directions d (n, K)."""
    shape = F.at_points.shape
    value, error = np.full(shape, np.nan), np.full(shape, np.inf)
    local, typical, jump = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    size = np.abs(F.at_points)
    shrink, attempts = np.ones(shape[1]), np.zeros(shape[1], int)
    for _ in range(_ATTEMPTS_OUTSIDE):
        look = _look(F, d * shrink)
        found, bound = (part / shrink for part in _extrapolate(F, d * shrink, look))
        better = (bound < error) & ((shrink == 1) | ~look.coarse)
        value, error = np.where(better, found, value), np.where(better, bound, error)
        local = np.where(better, look.slope / shrink, local)
        jump = np.where(better, look.jump / shrink, jump)
        typical = np.where(typical > 0, typical, np.nan_to_num(look.slope / shrink))
        size = np.fmax(size, look.size)
        attempts += np.isfinite(bound).all(axis=0)
        poor = error > np.maximum(_GOOD * local, _NEGLIGIBLE * size)
        wanting = poor.any(axis=0) & (attempts < _ATTEMPTS)
        if not wanting.any():
            break
        shrink = np.where(wanting, shrink * 2.0**-_HALVINGS, shrink)
    _refuse_edges(F, error)
    error = np.maximum(error, jump)
    # An output that is nearly zero has the rounding of those beside it.
    rounding = np.maximum(_NEGLIGIBLE * size.max(axis=0), 1e-12)
    limit = np.maximum(np.maximum(_DOUBTFUL * typical, _GOOD * size), rounding)
    doubtful = (error > limit) | (jump > 0)
    return Slopes(value, error, doubtful, size)


def _look(F: Evaluations, d: Array) -> _Look:
    base = F.at_points[..., None]
    h = np.array([_FAR, *_NEAR, _VERY_NEAR])
    right, left = F.on_line(d, h), F.on_line(d, -h)
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
    unsure = 32 * (blur + _EPS * slope * _reach(F.points, d)) / _VERY_NEAR
    kink = (0.5 * near < very_near) & (very_near < 16 * near) & (very_near > unsure)
    repeated = [np.diff(np.sort(side[..., 1:5])) == 0 for side in (right, left)]
    coarse = (np.concatenate(repeated, axis=-1)).sum(axis=-1) >= _SAME
    return _Look(slope, size, blur, np.where(kink, very_near, 0.0), coarse)


def _extrapolate(F: Evaluations, d: Array, look: _Look) -> tuple[Array, Array]:
    """dF/dt and its error on the scale of d; NaN and infinity where F is NaN on that scale."""
    base = F.at_points
    best, error = np.full(base.shape, np.nan), np.full(base.shape, np.inf)
    before = np.zeros(base.shape)
    if not np.isfinite(look.slope).any():
        return best, error
    # Values and slopes of about 1, so that one tolerance serves every output and point.
    unit = np.where(look.slope > 0, look.slope, 1.0)
    reach = _reach(F.points, d)

    def normalised(t: Array) -> Array:
        steps = np.atleast_1d(t[(0,) * base.ndim])
        return ((F.on_line(d, steps) - base[..., None]) / unit[..., None]).reshape(t.shape)

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


def _reach(x: Array, d: Array) -> Array:
    """max |xⱼ/dⱼ|: how many times eps the rounding of x + t d may be, in t."""
    ratio = np.divide(np.abs(x), np.abs(d), out=np.zeros_like(x), where=d != 0)
    return ratio.max(axis=0)


def _refuse_edges(F: Evaluations, error: Array) -> None:
    outside = np.isinf(error).any(axis=0)
    if outside.any():
        raise ValueError(
            f"{F.name} must be finite on both sides of x to have a derivative; it is not near "
            f"{at_point(F.points[:, np.argmax(outside)])}. Move x into the domain."
        )
