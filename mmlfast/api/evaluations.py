"""A function as the differentiation engines see it: many points in, columns of numbers out.

A point is a column: points of shape (n, …) give values of shape (m, …), whatever f itself takes.
What lies outside the domain of f is NaN; what f does wrong at the point itself is an error that
says what was expected.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.compiled_functions import cuts_off, first_reason, is_compiled
from mmlfast.runtime.validate import as_real

Array = NDArray[Any]

# What f may raise where it is not defined: a missed domain, not a mistake of its author.
_OUTSIDE = (ValueError, ArithmeticError)


class NotAnalyticError(Exception):
    """f cannot be followed into the complex plane; the message says why."""


class Evaluations:
    """f at the columns of an array, counted.

    Parameters
    ----------
    f : callable
    points : ndarray of shape (n, K)
        Where f is differentiated: it must be finite there.
    takes : {"number", "vector"}
        What f is called with: a number (then n = 1), or a vector of length n.
    gives : {"number", "vector"}
        What f must return.
    name : str, default="f"
        What messages call the function.

    Attributes
    ----------
    at_points : ndarray of shape (m, K)
        The values of f at `points`.
    count : int
        Points at which f was asked so far.
    """

    def __init__(
        self, f: Callable[[Any], Any], points: Array, *, takes: str, gives: str, name: str = "f"
    ) -> None:
        if not callable(f):
            raise TypeError(f"{name} must be callable; got {type(f).__name__}.")
        self.f, self.points, self.name = f, points, name
        self.takes, self.gives = takes, gives
        self.count = 0
        # numba would compile once more for arrays; a loop over compiled calls is fast enough.
        self._columns_at_once = takes == "number" and not is_compiled(f)
        self._trusted = False
        self.n_outputs = 1
        columns = [self._first(point) for point in points.T]
        self.n_outputs = len(columns[0])
        self.at_points: Array = np.stack(columns, axis=1)

    def __call__(self, points: Array) -> Array:
        """Real values (m, …) at real points (n, …); NaN where f is not defined or not finite."""
        with np.errstate(all="ignore"):
            values = self._at(points)
        if values.dtype.kind == "c":
            # For example a negative number to a fractional power: outside the domain of a real f.
            values = np.where(values.imag == 0, values.real, np.nan)
        values = values.astype(np.float64, copy=False)
        return np.where(np.isfinite(values), values, np.nan)

    def in_the_plane(self, points: Array) -> Array:
        """Complex values (m, …) at complex points (n, …); NotAnalyticError if f has none."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # Dropping an imaginary part is only a warning in NumPy; here it ends the attempt.
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                values = self._at(points)
            except Exception as error:
                told = str(error).strip().splitlines() or [""]
                raise NotAnalyticError(
                    f"{self.name} raises {type(error).__name__} for complex arguments: {told[0]}"
                ) from error
        if values.dtype.kind != "c":
            raise NotAnalyticError(f"{self.name} returns real numbers for complex arguments")
        return values

    def _at(self, points: Array) -> Array:
        flat = points.reshape(len(points), -1)
        values = self._together(flat) if self._columns_at_once and flat.shape[1] > 1 else None
        if values is None:
            self.count += flat.shape[1]
            values = np.stack([self._outside_is_nan(p) for p in flat.T], axis=1)
        return values.reshape(self.n_outputs, *points.shape[1:])

    def _together(self, flat: Array) -> Array | None:
        """All columns in one call, if f works element by element; checked at two of them."""
        try:
            values = np.asarray(self.f(flat[0].copy()))
        except Exception:
            values = np.empty(0)
        good = values.shape == flat[0].shape and values.dtype.kind in "fiubc"
        if good and not self._trusted:
            ends = [self._outside_is_nan(flat[:, i])[0] for i in (0, -1)]
            self.count += 2
            good = np.allclose(values[[0, -1]], ends, rtol=1e-9, atol=0, equal_nan=True)
        self._trusted, self._columns_at_once = good, good
        if not good:
            return None
        self.count += values.size
        return values[None]

    def _outside_is_nan(self, point: Array) -> Array:
        try:
            value = np.asarray(self._call(point))
        except _OUTSIDE:
            return np.full(self.n_outputs, np.nan)
        if value.size != self.n_outputs or value.dtype.kind not in "fiubc":
            raise ValueError(
                f"{self.name} must return the same kind of result everywhere; got shape "
                f"{value.shape}, dtype {value.dtype} at {at_point(point)}."
            )
        return value.reshape(-1)

    def _call(self, point: Array) -> Any:
        return self.f(self._given(point))

    def _given(self, point: Array) -> Any:
        # A copy: f may write to what it is given.
        return point[0] if self.takes == "number" else point.copy()

    def _first(self, point: Array) -> Array:
        """The value at a point of `points`, or an error that says what is wrong with f."""
        self.count += 1
        try:
            with np.errstate(all="ignore"):
                raw = self._call(point)
        except Exception as error:
            if is_compiled(self.f):
                raise TypeError(self._wrong_signature(error, point)) from error
            error.add_note(
                f"{self.name} raised this at {at_point(point)}. It is called as {self.name}(x) "
                f"with {self._argument()} and must return {self._result()}."
            )
            raise
        if is_compiled(self.f) and cuts_off(self.f, (self._given(point),)):
            raise TypeError(self._wrong_signature(None, point))
        try:
            value = np.asarray(raw)
        except ValueError as error:
            raise ValueError(f"{self.name} must return {self._result()}; {error}.") from error
        if value.dtype.kind not in "fiub":
            raise TypeError(
                f"{self.name} must return real numbers; got {type(raw).__name__} of dtype "
                f"{value.dtype} at {at_point(point)}."
            )
        if value.size == 0 or value.ndim > 1 or (self.gives == "number" and value.size != 1):
            way_out = " Use jacobian for vectors." if self.gives == "number" else ""
            raise ValueError(
                f"{self.name} must return {self._result()}; got shape {value.shape} at "
                f"{at_point(point)}.{way_out}"
            )
        if not np.isfinite(value).all():
            raise ValueError(
                f"{self.name} must be finite where it is differentiated; got "
                f"{np.array2string(value, threshold=6)} at {at_point(point)}."
            )
        return value.reshape(-1).astype(np.float64)

    def _wrong_signature(self, error: Exception | None, point: Array) -> str:
        number, vector = "float64", "float64[::1]"
        takes = number if self.takes == "number" else vector
        gives = number if self.gives == "number" else vector
        own = [str(signature) for signature in getattr(self.f, "nopython_signatures", ())]
        return (
            f"{self.name} is an @njit function that cannot be called as {self.name}(x) with "
            f"{self._argument()}. Expected signature: {gives}({takes}), or @njit without one; "
            f"compiled: {', '.join(own) or 'nothing'}."
            + ("" if error is None else f" numba says: {first_reason(str(error))}")
        )

    def _argument(self) -> str:
        if self.takes == "number":
            return "a float64 number"
        return f"a float64 array of shape ({len(self.points)},)"

    def _result(self) -> str:
        return "one real number" if self.gives == "number" else "a vector of real numbers"


def as_point(x: ArrayLike) -> Array:
    """x as a finite float64 array of shape (n,), n ≥ 1."""
    point = as_finite(x)
    if point.ndim != 1 or point.size == 0:
        way_out = " Use derivative for functions of one number." if point.ndim == 0 else ""
        raise ValueError(f"x must be a vector of shape (n,), n ≥ 1; got {point.shape}.{way_out}")
    return point


def as_finite(x: ArrayLike, name: str = "x") -> Array:
    """x as a finite float64 array."""
    array = as_real(x, name).astype(np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        place = f" at index {tuple(map(int, np.argwhere(bad)[0]))}" if array.ndim else ""
        raise ValueError(f"{name} must be finite; got {array[bad].flat[0]}{place}.")
    return array


def at_point(point: Array) -> str:
    """A point of shape (n,) as messages name it: "x = …"."""
    shown = point[0] if len(point) == 1 else point
    return f"x = {np.array2string(np.asarray(shown), threshold=6)}"
