"""What the eigenvalue solvers share: checks of their arguments, and the sign rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_count(name: str, value: Any, most: int | None = None) -> None:
    """ValueError unless `value` is a whole number from 1, to `most` = n if that is given."""
    whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not whole or value < 1 or (most is not None and value > most):
        limit = "at least 1" if most is None else f"between 1 and n = {most}"
        raise ValueError(f"{name} must be an integer, {limit}; got {value!r}.")


def check_tolerance(tol: Any) -> None:
    """ValueError unless `tol` is a finite number that is not negative."""
    if not is_finite_number(tol) or tol < 0:
        raise ValueError(f"tol must be a finite number, 0 or larger; got {tol!r}.")


def is_finite_number(value: Any) -> bool:
    """Whether `value` is one real, finite number."""
    array = np.asarray(value)
    return array.ndim == 0 and array.dtype.kind in "fiu" and bool(np.isfinite(array))


def turn_signs(V: NDArray[Any]) -> None:
    """Turn the columns of V so that the entry of largest magnitude is positive, in place."""
    largest = V[np.abs(V).argmax(axis=0), np.arange(V.shape[1])]
    V *= np.where(largest < 0, -1, 1).astype(V.dtype)
    V += 0  # −0 becomes 0
