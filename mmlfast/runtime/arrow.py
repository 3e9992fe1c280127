"""Sources of Arrow record batches: tables, streams, and `.parquet` files.

Integer columns with missing values, or of which no schema and no statistics say that there are
none, are read as floats, with NaN for what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmlfast.runtime.arrays import starts_with
from mmlfast.runtime.columns import Column, common_dtype, names_of, row_slices
from mmlfast.runtime.sources import Source, batch_rows, readable_dtype

__all__ = [
    "ArrowLayout",
    "column_values",
    "open_arrow_stream",
    "open_arrow_table",
    "open_parquet",
    "parquet_column",
    "parquet_names",
    "require_pyarrow",
    "told_of",
]


def open_arrow_table(table: Any, name: str) -> Source:
    """A pyarrow.Table, batch by batch; of its columns it is known whether values are missing."""
    layout = ArrowLayout(table.schema, name)
    dtype = common_dtype(layout.columns(lambda i: table.column(i).null_count > 0), name)
    return Source(
        lambda: layout.matrices(table.to_batches(), dtype),
        name=name,
        n_rows=table.num_rows,
        n_features=layout.n_features,
        dtype=dtype,
        feature_names=layout.feature_names,
    )


def open_arrow_stream(data: Any, name: str) -> Source:
    """Anything with ``__arrow_c_stream__``; without a ``shape`` it can be read only once."""
    pa = require_pyarrow(name)
    rewindable = hasattr(type(data), "shape")
    reader = pa.RecordBatchReader.from_stream(data)
    layout = ArrowLayout(reader.schema, name)
    dtype = common_dtype(layout.columns(lambda i: reader.schema.field(i).nullable), name)
    pending = [reader]

    def read() -> Iterator[np.ndarray]:
        batches = pending.pop() if pending else pa.RecordBatchReader.from_stream(data)
        yield from layout.matrices(batches, dtype)

    return Source(
        read,
        name=name,
        n_rows=getattr(data, "num_rows", None),
        n_features=layout.n_features,
        dtype=dtype,
        feature_names=layout.feature_names,
        rewindable=rewindable,
    )


def open_parquet(path: Path, *, without: Collection[str] = ()) -> Source:
    """The columns of a `.parquet` file, or of all those in a folder, in the order of their names.

    One column of fixed-size lists is a matrix by itself.  The columns in which pandas keeps an
    index are left out, and those named in `without`.  A record batch is decoded at a time; the
    files are mapped.
    """
    require_pyarrow(str(path))
    from pyarrow.parquet import ParquetFile

    files = _parquet_files(path)
    first: ArrowLayout | None = None
    dtypes = set()
    n_rows = 0
    for file in files:
        with told_of(file, "Parquet"), ParquetFile(file) as opened:
            layout = ArrowLayout(opened.schema_arrow, str(file), without)
            first = first or layout
            first.require_alike(layout)
            dtypes.add(common_dtype(layout.columns(partial(_may_miss, opened.metadata)), str(file)))
            n_rows += opened.metadata.num_rows
    assert first is not None
    dtype = readable_dtype(np.result_type(*dtypes), str(path))
    rows = batch_rows(first.n_features, dtype)

    def read() -> Iterator[np.ndarray]:
        for file in files:
            # Pre-buffering would hold the whole file.
            with (
                told_of(file, "Parquet"),
                ParquetFile(file, memory_map=True, pre_buffer=False) as opened,
            ):
                yield from first.matrices(opened.iter_batches(batch_size=rows), dtype)

    return Source(
        read,
        name=str(path),
        n_rows=n_rows,
        n_features=first.n_features,
        dtype=dtype,
        feature_names=first.feature_names,
    )


def parquet_names(path: Path) -> list[str]:
    """The names of all columns of a `.parquet` file, or of the first one in a folder."""
    require_pyarrow(str(path))
    from pyarrow.parquet import read_schema

    file = _parquet_files(path)[0]
    with told_of(file, "Parquet"):
        names: list[str] = read_schema(file).names
    return names


def parquet_column(path: Path, column: str) -> np.ndarray:
    """One column of a `.parquet` file, or of all those in a folder, whatever it holds."""
    require_pyarrow(str(path))
    from pyarrow.parquet import ParquetFile

    parts = []
    for file in _parquet_files(path):
        with told_of(file, "Parquet"), ParquetFile(file) as opened:
            if column not in opened.schema_arrow.names:
                raise ValueError(f"{file} has no column {column!r}; other files of {path} have it.")
            parts.append(column_values(opened.read([column]).column(0)))
    return np.concatenate(parts)


def column_values(column: Any) -> np.ndarray:
    """A chunked Arrow column as numpy has it: text and what is missing as objects."""
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values: np.ndarray = column.to_numpy()
    return values


class ArrowLayout:
    """Where in record batches of a schema the columns of the matrix lie."""

    def __init__(self, schema: Any, name: str, without: Collection[str] = ()) -> None:
        from pyarrow import types

        stored = {*(str(c) for c in (schema.pandas_metadata or {}).get("index_columns", ()))}
        stored.update(without)
        self.name = name
        self.positions = [i for i, column in enumerate(schema.names) if column not in stored]
        self.fields = [schema.field(i) for i in self.positions]
        self.is_list = len(self.fields) == 1 and types.is_fixed_size_list(self.fields[0].type)
        self.n_features = self.fields[0].type.list_size if self.is_list else len(self.fields)
        self.feature_names = None if self.is_list else names_of(field.name for field in self.fields)

    def require_alike(self, other: ArrowLayout) -> None:
        """Raise unless the two have the same columns in the same order."""
        mine, others = ([f.name for f in layout.fields] for layout in (self, other))
        if mine != others or self.n_features != other.n_features or self.is_list != other.is_list:
            raise ValueError(
                f"{other.name} has other columns than {self.name}: {others} and {mine}. Give all "
                "files of a folder the same columns."
            )

    def columns(self, may_miss: Callable[[int], bool]) -> Iterator[Column]:
        """The columns; `may_miss` is asked by position and only for what NaN would change."""
        for position, field in zip(self.positions, self.fields, strict=True):
            dtype = _arrow_dtype(field.type.value_type if self.is_list else field.type)
            integer = dtype is not None and dtype.kind in "biu"
            yield Column(field.name, dtype, field.type, integer and may_miss(position))

    def matrices(self, batches: Iterable[Any], dtype: np.dtype) -> Iterator[np.ndarray]:
        """The record batches as C-contiguous arrays of `dtype`, of bounded size."""
        for batch in batches:
            for rows in row_slices(batch.num_rows, batch_rows(self.n_features, dtype)):
                yield self._matrix(batch.slice(rows.start, rows.stop - rows.start), dtype)

    def _matrix(self, batch: Any, dtype: np.dtype) -> np.ndarray:
        X = np.empty((batch.num_rows, self.n_features), dtype)
        for j, (position, field) in enumerate(zip(self.positions, self.fields, strict=True)):
            column = batch.column(position)
            items = column.flatten() if self.is_list else column
            if dtype.kind != "f" and column.null_count + items.null_count:
                raise ValueError(
                    f"{self.name}: column {field.name!r} has missing values, though its schema or "
                    "statistics say none. Fill them, or convert the column to a float type."
                )
            values = items.to_numpy(zero_copy_only=False)
            if self.is_list:
                there = column.is_valid().to_numpy(zero_copy_only=False)
                X[there] = values.reshape(-1, self.n_features)
                X[~there] = np.nan if dtype.kind == "f" else 0
            else:
                X[:, j] = values
        return X


def require_pyarrow(name: str) -> Any:
    """Pyarrow, or an error that says what needs it and how to get it."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError(
            f'{name} needs pyarrow to be read: pip install "mmlfast[parquet]"'
        ) from error
    return pyarrow


@contextmanager
def told_of(path: Path, kind: str) -> Iterator[None]:
    """Arrow's complaints about the content of a file, with its name."""
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(
            f"{path} cannot be read as {kind}: {str(error).rstrip('.')}; it starts with "
            f"{starts_with(path)}. Mend it or write it again."
        ) from error


def _arrow_dtype(kind: Any) -> np.dtype | None:
    from pyarrow import types

    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        dtype: np.dtype = np.dtype(kind.to_pandas_dtype())
        return dtype
    if types.is_decimal(kind) or types.is_null(kind):
        return np.dtype(np.float64)
    return None


def _parquet_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() in (".parquet", ".pq")
        # Such names are marks and leftovers of the writer.
        and not any(part.startswith(("_", ".")) for part in file.relative_to(path).parts)
    ]
    if not files:
        raise ValueError(f"{path} is a folder without .parquet files. Name the folder with them.")
    return files


def _may_miss(metadata: Any, position: int) -> bool:
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(position).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count:
            return True
    return False
