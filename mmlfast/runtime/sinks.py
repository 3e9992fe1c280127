"""Where row blocks go: a `.npy` or `.parquet` file that appears only when it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np

from mmlfast.runtime.atomic import atomic_open, atomic_path, require_writable

if TYPE_CHECKING:
    from pyarrow import Schema
    from pyarrow.parquet import ParquetWriter

__all__ = ["SINK_ENDINGS", "Sink", "open_sink", "require_sink"]

SINK_ENDINGS = (".npy", ".parquet")

_ROW_GROUP_BYTES = 8 << 20


class Sink(Protocol):
    """Takes consecutive blocks of rows, all of one width and dtype."""

    n_rows: int

    def write(self, block: np.ndarray) -> None:
        """Append the rows of `block`, an array of shape (n, n_columns)."""


@contextmanager
def open_sink(path: str | os.PathLike[str], columns: Sequence[str]) -> Iterator[Sink]:
    """A file of rows, written block by block, that takes its name when the block ends well.

    The number of rows need not be known: a `.npy` header leaves room for it and is written last.

    Parameters
    ----------
    path : path-like
        Ends in ``.npy`` (one array) or ``.parquet`` (one column per name).
    columns : sequence of str
        The names, as many as the blocks have columns; a `.npy` file does not keep them.

    Yields
    ------
    sink : Sink
        Its ``write(block)`` appends rows, ``n_rows`` counts them.

    Raises
    ------
    ValueError
        An unknown ending, or a block of another width or dtype than the first.
    ImportError
        ``.parquet`` without pyarrow.
    OSError
        The file cannot be written; nothing is left of it.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from mmlfast.runtime.sinks import open_sink
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "scores.npy")
    ...     with open_sink(path, ["pca0", "pca1"]) as sink:
    ...         sink.write(np.ones((3, 2)))
    ...         sink.write(np.zeros((2, 2)))
    ...     np.load(path).shape
    (5, 2)
    """
    if _ending(path) == ".npy":
        # Plain writes rather than a memory map: a full disk is then an error, not a bus error,
        # and the pages written do not count as memory of this process.
        with atomic_open(path) as file:
            array = _NpySink(file, len(columns))
            yield array
            array.finish()
    else:
        _require_pyarrow()
        with atomic_path(path) as temporary:
            table = _ParquetSink(temporary, columns)
            try:
                yield table
                table.finish()
            finally:
                table.close()


def require_sink(path: str | os.PathLike[str]) -> None:
    """Return when `open_sink` could write to `path` now; raise what it would raise otherwise."""
    if _ending(path) == ".parquet":
        _require_pyarrow()
    require_writable(path)


def _ending(path: str | os.PathLike[str]) -> str:
    ending = Path(path).suffix.lower()
    if ending not in SINK_ENDINGS:
        raise ValueError(
            f"an output must end in {' or '.join(SINK_ENDINGS)}; got {os.fspath(path)!r}."
        )
    return ending


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'writing .parquet needs pyarrow: pip install "mmlfast[parquet]", '
            "or give an output that ends in .npy."
        ) from error


class _Rows:
    """What both sinks check: every block has the width named and the dtype of the first."""

    def __init__(self, n_columns: int) -> None:
        self.n_rows = 0
        self.n_columns = n_columns
        self.dtype: np.dtype | None = None

    def _count(self, block: np.ndarray) -> None:
        if block.ndim != 2 or block.shape[1] != self.n_columns:
            raise ValueError(
                f"block must have shape (n, {self.n_columns}); got shape {block.shape}."
            )
        if self.dtype is None:
            self.dtype = block.dtype
        elif block.dtype != self.dtype:
            raise ValueError(
                f"block must have the dtype of the first block, {self.dtype}; got {block.dtype}."
            )
        self.n_rows += block.shape[0]


class _NpySink(_Rows):
    def __init__(self, file: IO[bytes], n_columns: int) -> None:
        super().__init__(n_columns)
        self.file = file

    def write(self, block: np.ndarray) -> None:
        first = self.dtype is None
        self._count(block)
        if first:
            self._write_header(0)
        self.file.write(np.ascontiguousarray(block).data)

    def finish(self) -> None:
        if self.dtype is None:
            self.dtype = np.dtype(np.float64)
        self.file.seek(0)
        self._write_header(self.n_rows)

    def _write_header(self, n_rows: int) -> None:
        assert self.dtype is not None
        # numpy pads the header so that the first dimension may grow to 21 digits in place.
        np.lib.format.write_array_header_1_0(
            self.file,
            {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (n_rows, self.n_columns),
            },
        )


class _ParquetSink(_Rows):
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(len(columns))
        self.path = path
        self.columns = list(columns)
        self.waiting: list[np.ndarray] = []
        self.waiting_bytes = 0
        self.writer: ParquetWriter | None = None

    def write(self, block: np.ndarray) -> None:
        self._count(block)
        # Copied, for the caller may use its block again before the row group is full.
        self.waiting.append(np.array(block))
        self.waiting_bytes += block.nbytes
        if self.waiting_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        if self.waiting or self.writer is None:
            self._flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def _flush(self) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        rows = np.concatenate(self.waiting) if self.waiting else np.empty((0, self.n_columns))
        self.waiting, self.waiting_bytes = [], 0
        arrays = [pa.array(np.ascontiguousarray(column)) for column in rows.T]
        if self.writer is None:
            schema: Schema = pa.schema(
                [(name, array.type) for name, array in zip(self.columns, arrays, strict=True)]
            )
            self.writer = ParquetWriter(self.path, schema)
        self.writer.write_table(pa.Table.from_arrays(arrays, schema=self.writer.schema))
