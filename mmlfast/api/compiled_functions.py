"""Functions of the user: which are compiled, and whether they take and give what is expected."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any


def is_compiled(function: Any) -> bool:
    """Whether it is an ``@njit`` function."""
    dispatcher = sys.modules.get("numba.core.dispatcher")
    return dispatcher is not None and isinstance(function, dispatcher.Dispatcher)


def check_takes(function: Any, arguments: tuple[Any, ...], name: str, expected: str) -> None:
    """TypeError, with the signature that is expected, if `function` does not take `arguments`."""
    if not callable(function):
        raise TypeError(f"{name} must be a function, {expected}; got {type(function).__name__}.")
    try:
        signature = inspect.signature(getattr(function, "py_func", function))
    except (TypeError, ValueError):
        return  # some built-in functions tell nothing
    try:
        signature.bind(*arguments)
    except TypeError:
        called = getattr(function, "__name__", type(function).__name__)
        raise TypeError(
            f"{name} must have the signature {expected}; got {called}{signature}."
        ) from None


def first_call(function: Callable[..., Any], arguments: tuple[Any, ...], expected: str) -> Any:
    """function(*arguments); TypeError in a few words if numba cannot compile it for them."""
    if not is_compiled(function):
        return function(*arguments)
    from numba.core.errors import NumbaError

    try:
        return function(*arguments)
    except (NumbaError, TypeError) as error:
        if isinstance(error, TypeError) and "No matching definition" not in str(error):
            raise
        raise TypeError(
            f"The @njit function {function.__name__} cannot be compiled as {expected}; numba says: "
            f"{_first_reason(str(error))}"
        ) from error


def _first_reason(text: str) -> str:
    """The first line that is not numba's frame around the reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    frame = ("Failed in", "During:", "File ")
    return next((line for line in lines if not line.startswith(frame)), lines[0])[:200]
