"""Tables one of whose columns is the target: y by its name, the other columns as X."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from mmlfast.runtime import arrow, delimited
from mmlfast.runtime.sources import Source
from mmlfast.runtime.tables import is_table

__all__ = ["split_target"]


def split_target(data: Any, column: str) -> tuple[Any, np.ndarray]:
    """(X, y): the column of that name as an array, and what a source of all others is made of.

    Parameters
    ----------
    data : path or frame
        A .parquet, .csv or .tsv file, a folder of .parquet files, or a pandas, polars or pyarrow
        table; X is a Source or a frame of the same kind.
    column : str
        It may hold text.

    Raises
    ------
    ValueError
        No such column.
    TypeError
        Nothing with named columns.
    """
    if isinstance(data, str | os.PathLike):
        return _split_file(Path(os.fsdecode(data)), column)
    if not is_table(data):
        raise _nameless(f"a {type(data).__name__}", column)
    return _split_frame(data, column)


def _split_file(path: Path, column: str) -> tuple[Source, np.ndarray]:
    if path.is_dir() or path.name.lower().endswith((".parquet", ".pq")):
        _require_column(arrow.parquet_names(path), column, str(path))
        return arrow.open_parquet(path, without=[column]), arrow.parquet_column(path, column)
    if path.name.lower().endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
        _require_column(delimited.csv_names(path), column, str(path))
        return delimited.open_csv(path, without=[column]), delimited.csv_column(path, column)
    raise _nameless(str(path), column)


def _split_frame(data: Any, column: str) -> tuple[Any, np.ndarray]:
    import narwhals as nw

    frame = nw.from_native(data, pass_through=True)
    if not isinstance(frame, nw.DataFrame | nw.LazyFrame):
        raise _nameless(f"a {type(data).__name__}", column)
    _require_column(frame.collect_schema().names(), column, "X")
    y = frame.select(column)
    whole = y.collect() if isinstance(y, nw.LazyFrame) else y
    return frame.drop(column).to_native(), whole[column].to_numpy()


def _require_column(names: list[str], column: str, name: str) -> None:
    if column not in names:
        shown = ", ".join(map(repr, names[:20])) + (", …" if len(names) > 20 else "")
        raise ValueError(f"y={column!r} names no column of {name}; there are {shown}.")


def _nameless(what: str, column: str) -> TypeError:
    return TypeError(
        f"y={column!r} names a column, which only a .parquet, .csv or .tsv file, a folder of "
        f".parquet files or a frame has; X is {what}. Pass the targets as an array."
    )
