"""Named columns of many types on their way to one matrix: the dtype that holds them all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mmlfast.runtime.sources import readable_dtype

__all__ = ["Column", "common_dtype", "names_of", "row_slices"]


class Column(NamedTuple):
    """What is known of a column before it is read."""

    name: Any
    dtype: np.dtype | None  # None: it holds no numbers
    type: Any  # as its library calls it, for messages
    may_miss: bool


def common_dtype(columns: Iterable[Column], name: str) -> np.dtype:
    """The dtype that holds all columns, or an error that names the first without numbers."""
    dtypes = set()
    for column in columns:
        if column.dtype is None:
            raise ValueError(
                f"{name}: column {column.name!r} must hold real numbers; its type is "
                f"{column.type}. Leave the column out or encode it as numbers."
            )
        readable_dtype(column.dtype, f"{name}: column {column.name!r}")
        integer = column.dtype.kind in "biu"
        nan = integer and column.may_miss
        dtypes.add(np.result_type(column.dtype, np.float32) if nan else column.dtype)
    return readable_dtype(np.result_type(*(dtypes or {np.dtype(np.float64)})), name)


def names_of(labels: Iterable[Any]) -> list[str] | None:
    """The labels of columns if all of them are strings."""
    names = list(labels)
    return names if names and all(isinstance(name, str) for name in names) else None


def row_slices(n_rows: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` rows."""
    return (slice(first, first + size) for first in range(0, n_rows, size))
