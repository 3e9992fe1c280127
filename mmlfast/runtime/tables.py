"""Sources that are data frames: pandas, polars, and what else narwhals knows.

Columns become a matrix batch by batch.  A missing value becomes NaN: integer columns that have one,
or of which that is not known, are read as floats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mmlfast.runtime.arrays import open_array
from mmlfast.runtime.arrow import open_arrow_stream, open_arrow_table
from mmlfast.runtime.columns import Column, common_dtype, names_of, row_slices
from mmlfast.runtime.sources import Source, batch_rows

__all__ = ["is_table", "open_table"]


def is_table(data: Any) -> bool:
    """Whether `data` has columns: a data frame, or a stream of record batches."""
    # Asked of the type, for a lazy frame would have to work out its columns.
    return hasattr(type(data), "columns") or (
        hasattr(data, "__arrow_c_stream__") and not hasattr(data, "__array__")
    )


def open_table(data: Any, *, name: str) -> Source:
    """The columns of a pandas, polars or pyarrow table, or of anything with ``__arrow_c_stream__``.

    Frames known to narwhals need no pyarrow.  A stream without a ``shape`` can be read only once.
    """
    import narwhals as nw

    if nw.dependencies.is_pandas_dataframe(data):
        return _pandas_source(data, name)
    if nw.dependencies.is_pyarrow_table(data):
        return open_arrow_table(data, name)
    frame = nw.from_native(data, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        return _frame_source(frame, name)
    if hasattr(data, "__arrow_c_stream__"):
        return open_arrow_stream(data, name)
    if not isinstance(frame, nw.LazyFrame):
        raise TypeError(
            f"{name} must be a data frame or have __arrow_c_stream__; got {type(data).__name__}. "
            "Pass an array of its numbers."
        )
    if hasattr(data, "collect_batches"):
        return _lazy_source(data, frame.collect_schema(), name)
    return _frame_source(frame.collect(), name)


def _pandas_source(frame: Any, name: str) -> Source:
    feature_names = names_of(frame.columns)
    if _is_one_block(frame):
        return open_array(frame.to_numpy(), name=name, feature_names=feature_names)
    columns = []
    for position, (label, kind) in enumerate(zip(frame.columns, frame.dtypes, strict=True)):
        plain = getattr(kind, "numpy_dtype", kind)
        numbers = isinstance(plain, np.dtype) and plain.kind in "biufc"
        may_miss = plain is not kind and frame.iloc[:, position].hasnans
        columns.append(Column(label, plain if numbers else None, kind, may_miss))
    dtype = common_dtype(columns, name)
    fill = {"na_value": np.nan} if dtype.kind == "f" else {}

    def read() -> Iterator[np.ndarray]:
        for rows in row_slices(len(frame), batch_rows(len(columns), dtype)):
            yield frame.iloc[rows].to_numpy(dtype=dtype, **fill)

    return Source(
        read,
        name=name,
        n_rows=len(frame),
        n_features=len(columns),
        dtype=dtype,
        feature_names=feature_names,
    )


def _is_one_block(frame: Any) -> bool:
    """Whether numpy gets a view of all the numbers; any other frame it copies."""
    top = frame.iloc[:1]
    return (
        top.size > 0
        and isinstance(top.dtypes.iloc[0], np.dtype)
        and top.dtypes.iloc[0].kind in "biuf"
        and np.may_share_memory(top.to_numpy(), top.iloc[:, 0].to_numpy())
    )


def _frame_source(frame: Any, name: str) -> Source:
    import narwhals as nw

    missing = frame.select(nw.all().null_count()).rows()
    columns = _narwhals_columns(frame.schema, missing[0] if missing else ())
    dtype = common_dtype(columns, name)

    def read() -> Iterator[np.ndarray]:
        for rows in row_slices(len(frame), batch_rows(len(columns), dtype)):
            yield frame[rows].to_numpy()

    return Source(
        read,
        name=name,
        n_rows=len(frame),
        n_features=len(columns),
        dtype=dtype,
        feature_names=names_of(frame.columns),
    )


def _lazy_source(frame: Any, schema: Any, name: str) -> Source:
    columns = _narwhals_columns(schema, [1] * len(schema))
    dtype = common_dtype(columns, name)
    rows = batch_rows(len(columns), dtype)

    def read() -> Iterator[np.ndarray]:
        for batch in frame.collect_batches(chunk_size=rows, maintain_order=True):
            yield batch.to_numpy()

    return Source(
        read,
        name=name,
        n_rows=None,
        n_features=len(columns),
        dtype=dtype,
        feature_names=names_of(schema),
    )


def _narwhals_columns(schema: Any, missing: Iterable[int]) -> list[Column]:
    import narwhals as nw

    columns = []
    for (label, kind), count in zip(schema.items(), missing, strict=True):
        dtype: np.dtype | None = None
        if kind == nw.Boolean:
            dtype = np.dtype(np.bool_)
        elif kind == nw.Decimal:
            dtype = np.dtype(np.float64)
        elif kind.is_numeric() and str(kind).lower() in np.sctypeDict:
            # 128-bit integers are numeric, but not to numpy.
            dtype = np.dtype(str(kind).lower())
        columns.append(Column(label, dtype, kind, count > 0))
    return columns
