"""Functions of the user: which are compiled, and whether they take and give what is expected."""

from __future__ import annotations

import inspect
import sys
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


def first_call(function: Any, arguments: tuple[Any, ...], expected: str) -> Any:
    """function(*arguments); TypeError in a few words if numba cannot compile it for them."""
    if not is_compiled(function):
        return function(*arguments)
    from numba.core.errors import NumbaError

    try:
        given = function(*arguments)
    except (NumbaError, TypeError) as error:
        if isinstance(error, TypeError) and "No matching definition" not in str(error):
            raise
        raise TypeError(
            f"The @njit function {function.__name__} cannot be compiled as {expected}; numba says: "
            f"{first_reason(str(error))}"
        ) from error
    if cuts_off(function, arguments):
        fixed = ", ".join(map(str, function.nopython_signatures))
        raise TypeError(
            f"The @njit function {function.__name__} has fixed types, {fixed}, that cut off what "
            f"{expected} is given in float64. Pass @njit without types, or with float64."
        )
    return given


def cuts_off(function: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether an ``@njit`` function that has taken `arguments` did so by losing some of them.

    One of fixed types converts without a word, such as 2.5 to the integer 2.
    """
    import numba
    from numba.core.typeconv import castgraph

    typeof: Any = numba.typeof
    given = [typeof(argument) for argument in arguments]
    lossy = (None, castgraph.Conversion.unsafe)
    return not any(
        all(
            function.typingctx.can_convert(own, taken) not in lossy
            for own, taken in zip(given, signature.args, strict=False)
        )
        for signature in function.nopython_signatures
    )


def first_reason(text: str) -> str:
    """The first line that is not numba's frame around the reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    frame = ("Failed in", "During:", "File ")
    return next((line for line in lines if not line.startswith(frame)), lines[0])[:200]
