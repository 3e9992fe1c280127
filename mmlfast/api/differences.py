"""Derivatives of Python functions, taken at each step of an algorithm: quick ones, by one rule.

    f'(x) ≈ Im f(x + ih)/h        f'(x) ≈ (f(x + h) − f(x − h))/2h

The complex step has no rounding error, but the function must take complex numbers and be analytic;
`steps_into_the_complex` finds out.  Spacings are those of `mmlfast.kernels.differences`.  There
are no error bounds: `mmlfast.gradient`, which has them, takes 5 ms where this takes 10 µs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Function = Callable[[Array], Any]

# Far below where x + ih could round anything; squares of it are still not zero.
COMPLEX_STEP = 1e-100
# How far a complex step and a central difference may lie apart, relative to the larger of both.
AGREEMENT = 1e-5


def central_jacobian(f: Function, x: Array, least: float = 1.0) -> Array:
    """∂f/∂x by central differences: (n,) for a number f(x), (m, n) for a vector (m,).

    The spacing is ε^(1/3)·max(least, |x_i|), or ε^(1/3) for an x_i that is 0.
    """
    columns = []
    root = np.finfo(x.dtype).eps ** (1 / 3)
    for i in range(x.size):
        above, below = x.copy(), x.copy()
        above[i] += root * (max(least, abs(x[i])) or 1.0)
        below[i] -= above[i] - x[i]
        width = (above[i] - x[i]) + (x[i] - below[i])
        columns.append((np.asarray(f(above)) - np.asarray(f(below))) / width)
    return np.stack(columns, axis=-1)


def complex_jacobian(f: Function, x: Array) -> Array:
    """∂f/∂x by complex steps: (n,) for a number f(x), (m, n) for a vector (m,)."""
    columns = []
    for i in range(x.size):
        z = x.astype(np.complex128)
        z[i] += COMPLEX_STEP * 1j
        columns.append(np.imag(f(z)) / COMPLEX_STEP)
    return np.stack(columns, axis=-1)


def jacobian_rule(f: Function, x: Array) -> Callable[[Function, Array], Array]:
    """The better of the two rules that works for f, tried at x."""
    return complex_jacobian if steps_into_the_complex(f, x) else central_jacobian


def steps_into_the_complex(f: Function, x: Array, least: float = 1.0) -> bool:
    """Whether complex steps give at x what central differences give, without a complaint."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        try:
            z = np.asarray(f(x.astype(np.complex128)))
            if z.dtype.kind != "c":
                return False
            exact, central = complex_jacobian(f, x), central_jacobian(f, x, least)
        except Exception:
            # Whatever it cannot do with complex numbers; with real ones it will say so itself.
            return False
        # Column by column, since parameters may differ in their units.
        axes = tuple(range(exact.ndim - 1))
        scale = np.maximum(np.abs(exact).max(axes), np.abs(central).max(axes))
        error = np.abs(exact - central).max(axes)
        rounding = np.finfo(x.dtype).eps ** (2 / 3)
        widths = np.maximum(least, np.abs(x))
        allowed = max(AGREEMENT, 10 * rounding) * scale
        allowed += 10 * rounding * np.abs(z).max() / np.where(widths > 0, widths, 1.0)
        return bool(np.isfinite(scale).all() and (error <= allowed).all())


def hessian_of_values(f: Function, x: Array) -> Array:
    """∇²f(x) by central differences of values."""
    n, root = x.size, np.finfo(x.dtype).eps ** (1 / 4)
    far = x + (root * np.maximum(1.0, np.abs(x))).astype(x.dtype)
    h = far - x

    def at(*moves: tuple[int, int]) -> Any:
        y = x.copy()
        for i, sign in moves:
            y[i] = x[i] + sign * h[i]
        return f(y)

    H, here = np.empty((n, n), x.dtype), f(x)
    for i in range(n):
        H[i, i] = ((at((i, 1)) - here) + (at((i, -1)) - here)) / (h[i] * h[i])
        for j in range(i):
            corners = at((i, 1), (j, 1)) - at((i, 1), (j, -1))
            corners += at((i, -1), (j, -1)) - at((i, -1), (j, 1))
            H[i, j] = H[j, i] = corners / (4 * h[i] * h[j])
    return H


def hessian_of_gradients(gradient: Function, x: Array) -> Array:
    """∇²f(x): the symmetric part of central differences of the gradient."""
    H = central_jacobian(gradient, x)
    return (H + H.T) / 2
