"""The complex step: ∂f/∂xⱼ = Im f(x + i h eⱼ) / h + O(h²), without a difference to cancel.

Squire and Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review
40(1), 1998.  With h of 10⁻⁴⁰ the O(h²) is far below rounding, for functions that vary on scales
down to 10⁻³⁰ of x.
"""

from __future__ import annotations

import numpy as np

from mmlfast.api.evaluations import Array, Evaluations, NotAnalyticError

_STEP = 2.0**-133
_EPS = float(np.finfo(np.float64).eps)
# Rounding errors of f are the same at the same point: only neighbours show how large they are.  On
# either side, 10⁻⁹ of x away, what is smooth cancels; closer, a sum such as 1 + x² may not change,
# and at equal distances its rounding would cancel, too.  The steps differ as well: a function that
# is not differentiable may answer by their size.
_NEIGHBOURS = ((1.0, 3.0), (-1.618, 7.0))
_NEAR, _NEAR_ZERO = 2.0**-30, 2.0**-60


def complex_slopes(F: Evaluations) -> tuple[Array, Array, Array]:
    """∂F/∂x (m, n, K) at F.points, its rounding error, and the real parts (m, n, K) met."""
    x = F.points
    values = _columns(F, x, 1.0)
    slopes, real = values.imag, values.real
    error = 8 * _EPS * np.abs(slopes)
    away = np.where(x == 0, _NEAR_ZERO, _NEAR * np.abs(x))
    away *= np.random.default_rng(0).choice([-1.0, 1.0], x.shape)
    right, left = (
        _columns(F, x + side * away, factor).imag - slopes for side, factor in _NEIGHBOURS
    )
    a, b = _NEIGHBOURS[0][0], -_NEIGHBOURS[1][0]
    error = np.maximum(error, 4 * np.abs(b * right + a * left) / (a + b))
    error += 4 * _EPS * np.maximum(np.abs(right), np.abs(left))
    if not (np.isfinite(slopes).all() and np.isfinite(error).all()):
        raise NotAnalyticError(f"{F.name} is not finite for complex arguments")
    return slopes, error, real


def complex_gradient(F: Evaluations, points: Array) -> Array:
    """∂F/∂x (n, …) at real points (n, …) for one output; NaN where F is not defined."""
    slopes: Array = _columns(F, points, 1.0).imag[0]
    return np.where(np.isfinite(slopes), slopes, np.nan)


def _columns(F: Evaluations, points: Array, factor: float) -> Array:
    """Real part F, imaginary part ∂F/∂xⱼ, (m, n, …), with a step of `factor` times the usual."""
    columns = []
    for j in range(len(points)):
        h = factor * _STEP * np.maximum(np.abs(points[j]), 1.0)
        moved = points.astype(np.complex128)
        moved[j] += 1j * h
        values = F.in_the_plane(moved)
        columns.append(values.real + 1j * (values.imag / h))
    return np.stack(columns, axis=1)
