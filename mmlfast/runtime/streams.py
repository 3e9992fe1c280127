"""Sources whose batches somebody else makes: iterators, and callables that return them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from mmlfast.runtime.sources import Source, open_source

__all__ = ["open_stream"]


def open_stream(make: Callable[[], Iterable[Any]], *, name: str, rewindable: bool = True) -> Source:
    """The batches of the iterator that `make` returns, one below the other.

    The first batch is fetched at once: it fixes the number of columns and the dtype.  Batches may
    be anything that `open_source` takes; later ones are converted where no value can change.

    Raises
    ------
    ValueError
        No batch, a batch of another width, or of a dtype that does not fit the first one's.
    RuntimeError
        A second pass for which `make` returns the iterator that was used already.
    """
    iterator = _iterator(make, name)
    batches = _opened(iterator, name)
    first = next(batches, None)
    if first is None:
        raise ValueError(f"{name} gave no batches. Pass an iterator of at least one 2-D array.")
    # What was fetched to look at belongs to the first pass.
    pending: list[Iterator[Source]] = [chain([first], batches)]

    def read() -> Iterator[np.ndarray]:
        if pending:
            sources = pending.pop()
        else:
            again = _iterator(make, name)
            if again is iterator:
                raise RuntimeError(
                    f"{name} returned the same iterator twice, and it is used up. Make a new one "
                    "at each call."
                )
            sources = _opened(again, name)
        for source in sources:
            _require_alike(source, first)
            yield from source.batches()

    return Source(
        read,
        name=name,
        n_rows=None,
        n_features=first.n_features,
        dtype=first.dtype,
        feature_names=first.feature_names,
        rewindable=rewindable,
        image_shape=first.image_shape,
    )


def _iterator(make: Callable[[], Iterable[Any]], name: str) -> Iterator[Any]:
    made = make()
    if not isinstance(made, Iterable):
        raise TypeError(
            f"{name} must return an iterator of batches; it returned {type(made).__name__}."
        )
    return iter(made)


def _opened(iterator: Iterator[Any], name: str) -> Iterator[Source]:
    for index, batch in enumerate(iterator):
        yield open_source(batch, name=f"batch {index} of {name}")


def _require_alike(source: Source, first: Source) -> None:
    if source.n_features != first.n_features:
        raise ValueError(
            f"{source.name} has {source.n_features} features, the first one has "
            f"{first.n_features}. Give all batches the same columns."
        )
    if source.feature_names != first.feature_names:
        raise ValueError(
            f"{source.name} has the columns {source.feature_names}, the first one has "
            f"{first.feature_names}. Give all batches the same columns in the same order."
        )
    if not np.can_cast(source.dtype, first.dtype, "safe"):
        raise ValueError(
            f"{source.name} has dtype {source.dtype}, which {first.dtype}, that of the first one, "
            "cannot hold safely. Convert all batches to one dtype, for example with "
            f"batch.astype('{np.result_type(source.dtype, first.dtype)}')."
        )
