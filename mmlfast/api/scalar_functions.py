"""Scalar functions of the user over arrays: compiled, vectorised, or one number at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.compiled_functions import check_takes, first_call, is_compiled
from mmlfast.api.differences import AGREEMENT, COMPLEX_STEP

Array = NDArray[Any]
# Starts at which it is tried whether complex steps work.
SAMPLES = 8


def as_elementwise(f: Any, x: Array, args: tuple[Any, ...], name: str) -> Callable[[Array], Array]:
    """f as a function of arrays (n,) that gives arrays (n,) of x's dtype or of complex numbers."""
    expected = f"{name}(x{', *args' if args else ''}) with x a number"
    check_takes(f, (x[:1], *args), name, expected)
    if is_compiled(f):
        if x.size:
            _check_number(first_call(f, (x[0], *args), expected), expected)
        return lambda points: _compiled(f, args, points)
    if x.size > 1 and _takes_arrays(f, x, args):
        return lambda points: np.asarray(f(points, *args))
    # What f raises at the starts is its author's to see; later they have left where it is defined.
    for point in x:
        _check_number(f(point, *args), expected)
    return lambda points: _one_by_one(f, args, points)


def _compiled(f: Any, args: tuple[Any, ...], points: Array) -> Array:
    from mmlfast.kernels.newton import evaluate

    out = np.empty_like(points)
    evaluate(f, args, points, out)
    return out


def _takes_arrays(f: Any, x: Array, args: tuple[Any, ...]) -> bool:
    try:
        values = np.asarray(f(x, *args))
    except Exception:
        # Whatever an array does to it; with single numbers it will say what is wrong.
        return False
    return values.shape == x.shape and values.dtype.kind in "fiubc"


def _one_by_one(f: Any, args: tuple[Any, ...], points: Array) -> Array:
    values = []
    for point in points:
        try:
            values.append(f(point, *args))
        except (ValueError, ArithmeticError):  # of the module math, where numpy says nan or inf
            values.append(np.nan)
    return np.array(values, np.result_type(points, *values) if values else points.dtype)


def _check_number(value: Any, expected: str) -> None:
    if np.ndim(value) or np.asarray(value).dtype.kind not in "fiubc":
        raise TypeError(f"{expected} must give a number; it gave {value!r}.")


class Slope:
    """f' of an elementwise function, by complex steps where they agree with differences."""

    def __init__(self, function: Callable[[Array], Array], x: Array) -> None:
        self._function = function
        sample = x[:: max(1, x.size // SAMPLES)][:SAMPLES]
        self._exact = x.dtype.kind == "f" and self._agrees(sample)

    def __call__(self, x: Array) -> Array:
        """F'(x) of shape (n,)."""
        return self._by_complex_step(x) if self._exact else self._central(x)

    def _by_complex_step(self, x: Array) -> Array:
        return np.imag(self._function(x + COMPLEX_STEP * 1j)) / COMPLEX_STEP

    def _central(self, x: Array) -> Array:
        h = np.finfo(np.float64).eps ** (1 / 3) * np.maximum(1, np.abs(x))
        above, below = x + h, x - h
        return (self._function(above) - self._function(below)) / (above - below)

    def _agrees(self, x: Array) -> bool:
        try:
            exact, central = self._by_complex_step(x), self._central(x)
            value = np.abs(self._function(x))
        except Exception:
            return False
        allowed = AGREEMENT * np.maximum(np.abs(exact), np.abs(central))
        allowed += 10 * np.finfo(np.float64).eps ** (2 / 3) * value / np.maximum(1, np.abs(x))
        return bool((np.abs(exact - central) <= allowed).all())
