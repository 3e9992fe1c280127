"""A matrix to be read row block by row block, wherever it lies."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

__all__ = ["BATCH_BYTES", "Source", "batch_rows", "open_source", "readable_dtype"]

BATCH_BYTES = 16 << 20

_READ_AS_THEY_ARE = ("float64", "float32", "float16", "uint8", "int8", "int16", "int32")


class Source:
    """A matrix of n_rows × n_features that is read in consecutive blocks of rows.

    `open_source` makes one of anything that can be read so.

    Parameters
    ----------
    read : callable
        Returns an iterator over consecutive blocks of rows, of any size; also of another numeric
        dtype, or with more axes whose lengths multiply to `n_features`.
    name : str
        What messages call it.
    n_rows : int or None
        None if only reading can tell.
    n_features : int
        Columns.
    dtype : dtype
        What `batches` yields, one of float64, float32, float16, uint8, int8, int16, int32.
    feature_names : list of str or None
        Names of the columns.
    rewindable : bool
        Whether `batches` may be called more than once.
    array : ndarray of shape (n_rows, n_features) or None
        The whole, a memmap for a file, where it can be had without a copy.
    image_shape : tuple of int or None
        The picture that a row is; by default (s, s) where n_features is a square s² ≥ 16.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast.runtime.sources import open_source
    >>> with open_source(np.arange(6).reshape(3, 2)) as source:
    ...     source, [batch.sum() for batch in source.batches()]
    (<Source X: 3 × 2 float64>, [np.float64(15.0)])
    """

    def __init__(
        self,
        read: Callable[[], Iterator[np.ndarray]],
        *,
        name: str,
        n_rows: int | None,
        n_features: int,
        dtype: np.dtype,
        feature_names: list[str] | None = None,
        rewindable: bool = True,
        array: np.ndarray | None = None,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.name = name
        self.n_rows = n_rows
        self.n_features = n_features
        self.dtype = dtype
        self.feature_names = feature_names
        self.rewindable = rewindable
        self.array = array
        self.image_shape = image_shape or _square(n_features)
        self._read: Callable[[], Iterator[np.ndarray]] | None = read
        self._spent = False

    def __repr__(self) -> str:
        n_rows = "?" if self.n_rows is None else self.n_rows
        return f"<Source {self.name}: {n_rows} × {self.n_features} {self.dtype}>"

    def batches(self) -> Iterator[np.ndarray]:
        """Consecutive blocks of rows: 2-D, of `dtype`, never empty, at most 16 MiB (or one row).

        Returns
        -------
        batches : iterator of ndarray of shape (rows, n_features)
            Views of the data where that is possible: to be read, not written.

        Raises
        ------
        RuntimeError
            The source can be read only once, and has been.
        ValueError
            The source is closed; while iterating, what is wrong with the data.
        """
        if self._read is None:
            raise ValueError(f"{self.name} is closed. Open it again with open_source.")
        if self._spent:
            raise RuntimeError(
                f"{self.name} can be read only once, and has been. Pass a callable that returns "
                "a new iterator at each call, an array or a file to have it read again."
            )
        self._spent = not self.rewindable
        return self._cut(self._read())

    def _cut(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        rows = batch_rows(self.n_features, self.dtype)
        for block in blocks:
            for first in range(0, len(block) if self.n_features else 0, rows):
                batch = block[first : first + rows]
                # Aligned and a base array: what kernels are compiled for.
                batch = batch.reshape(len(batch), self.n_features)
                yield np.require(batch, self.dtype, ["ALIGNED", "ENSUREARRAY"])

    def close(self) -> None:
        """Let go of the data; a file is closed once no view of it is left."""
        self._read = self.array = None

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def batch_rows(n_features: int, dtype: np.dtype) -> int:
    """The rows of a batch: 16 MiB of them, at least one."""
    return max(1, BATCH_BYTES // max(1, n_features * dtype.itemsize))


def readable_dtype(dtype: np.dtype, name: str) -> np.dtype:
    """The dtype in which data of `dtype` is read, in native byte order.

    float64, float32, float16, uint8, int8, int16 and int32 stay; bool becomes uint8, uint16
    becomes int32, every other integer and wider floats become float64.

    Raises
    ------
    ValueError
        Anything but real numbers; the message begins with `name`.
    """
    kind, size = dtype.kind, dtype.itemsize
    if kind == "b":
        return np.dtype(np.uint8)
    if kind == "u" and size == 2:
        return np.dtype(np.int32)
    if kind in "iuf":
        native = dtype.newbyteorder("=")
        return native if native.name in _READ_AS_THEY_ARE else np.dtype(np.float64)
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {dtype}. Pass its real and imaginary "
            "parts as columns, np.hstack([X.real, X.imag])."
        )
    raise ValueError(
        f"{name} must hold real numbers; got dtype {dtype}. Leave out or encode what is not a "
        "number, then convert with X.astype('float64')."
    )


def open_source(data: Any, *, name: str = "X") -> Source:
    """A `Source` that reads `data`, without a copy of the whole.

    Parameters
    ----------
    data : array-like, path, frame, iterator, callable or Source
        - array, memmap, anything with ``__array__`` or a list of lists, of shape
          (n_samples, n_features);
        - str or Path: ``.npy``, ``.npz`` (``file.npz::name`` for one of several arrays), ``.csv``
          or ``.tsv`` (also ``.gz``), ``.parquet`` or a folder of such files; images of shape
          (n, h, w) or (n, h, w, c) in ``.npy`` and ``.npz`` become rows;
        - ``"sample:digits"`` (1797 × 64) or ``"sample:patches"`` (265860 × 192);
        - pandas, polars or pyarrow table, anything with ``__arrow_c_stream__``;
        - iterator of batches (anything in this list), which can be read once only;
        - callable that returns such an iterator, or an iterable: read anew at each pass;
        - Source: returned as it is.
    name : str
        What messages call `data`; a path is called by itself.

    Returns
    -------
    source : Source
        Integers and halves are read as they are, see `readable_dtype`.  Missing values become NaN.

    Raises
    ------
    TypeError
        Nothing that can be read: a sparse matrix, a dict, a number.
    ValueError
        Not a matrix of real numbers, or a file that is not what its ending says.
    FileNotFoundError
        No such file.
    ImportError
        An extra is missing; the message says which.

    Examples
    --------
    >>> from mmlfast.runtime.sources import open_source
    >>> open_source("sample:digits")
    <Source sample:digits: 1797 × 64 uint8>
    >>> open_source(([[i, i + 1.5]] for i in range(9)), name="pairs")
    <Source pairs: ? × 2 float64>
    """
    # Late: the openers build on Source.
    from mmlfast.runtime import arrays, samples, streams, tables

    if isinstance(data, Source):
        return data
    if isinstance(data, str) and data.startswith("sample:"):
        return samples.open_sample(data)
    if isinstance(data, str | os.PathLike):
        return _open_path(os.fspath(data))
    if isinstance(data, np.ndarray | list | tuple):
        return arrays.open_array(data, name=name)
    if hasattr(data, "nnz"):
        raise TypeError(
            f"{name} is a sparse matrix, and sparse input is not supported. Pass X.toarray() "
            "if it fits in memory, or an iterator over the arrays of slices of its rows."
        )
    if tables.is_table(data):
        return tables.open_table(data, name=name)
    if hasattr(data, "__array__"):
        return arrays.open_array(data, name=name)
    if hasattr(data, "read"):
        raise TypeError(f"{name} is an open file. Pass its path.")
    if isinstance(data, Iterator):
        return streams.open_stream(lambda: data, name=name, rewindable=False)
    if callable(data):
        return streams.open_stream(data, name=name)
    if isinstance(data, Iterable) and not isinstance(data, Mapping | set | bytes | bytearray):
        return streams.open_stream(partial(iter, data), name=name)
    raise TypeError(
        f"{name} must be an array, a path, a frame, an iterator of batches or a callable that "
        f"returns one; got {type(data).__name__}."
    )


def _open_path(path: str | bytes) -> Source:
    from mmlfast.runtime import arrays, arrow, delimited

    whole = Path(os.fsdecode(path))
    member = None
    if ".npz::" in str(whole):
        file, _, member = str(whole).rpartition("::")
        whole = Path(file)
    if whole.is_dir():
        return arrow.open_parquet(whole)
    if not whole.exists():
        raise FileNotFoundError(f"{whole}: there is no such file or folder.")
    ending = "".join(whole.suffixes[-2:]).lower()
    for endings, opener in (
        ((".npy",), arrays.open_npy),
        ((".npz",), partial(arrays.open_npz, member=member)),
        ((".csv", ".tsv", ".csv.gz", ".tsv.gz"), delimited.open_csv),
        ((".parquet", ".pq"), arrow.open_parquet),
    ):
        if ending.endswith(endings):
            return opener(whole)
    raise ValueError(
        f"{whole}: the ending must be .npy, .npz, .csv, .tsv, .csv.gz, .tsv.gz, .parquet or .pq; "
        f"got {whole.suffix or 'none'!r}. Convert the file, or pass an array."
    )


def _square(n_features: int) -> tuple[int, int] | None:
    side = math.isqrt(n_features)
    return (side, side) if side >= 4 and side * side == n_features else None
