"""A fit that is refused leaves the estimator as it was: what it learned before, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[Callable[[], None]]:
    """Take back the attributes that were set, if there is an error.

    Otherwise a model that was fitted before would expect the features and the classes of the new
    samples and have the weights of the old.  What this gives is called when all is accepted: from
    then on what is learned stays, whatever ends training.
    """
    before, accepted = dict(estimator.__dict__), False

    def accept() -> None:
        nonlocal accepted
        accepted = True

    try:
        yield accept
    except BaseException:
        if not accepted:
            estimator.__dict__.clear()
            estimator.__dict__.update(before)
        raise
