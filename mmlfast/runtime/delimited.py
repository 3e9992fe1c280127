"""Sources that are text: `.csv` and `.tsv` files, parsed block by block."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmlfast.runtime.arrays import starts_with
from mmlfast.runtime.arrow import ArrowLayout, column_values, require_pyarrow, told_of
from mmlfast.runtime.sources import Source

__all__ = ["csv_column", "csv_names", "open_csv"]

# A number and its separator take two bytes or more, so a block makes 16 MiB of float64 at most.
_BLOCK_BYTES = 4 << 20


class _Text:
    """A file of separated cells: its names, and how Arrow is to read it."""

    def __init__(self, path: Path) -> None:
        self._pa = require_pyarrow(str(path))
        import pyarrow.csv as pa_csv

        self._csv, self._path = pa_csv, path
        self.missing = frozenset(pa_csv.ConvertOptions().null_values)
        with told_of(path, "CSV"):
            self._head, self._is_all = _first_line(path)
            delimiter = "\t" if ".tsv" in path.name.lower() else ","
            cells = _cells(self._head, delimiter)
            self.has_header = not all(_is_number(cell, self.missing) for cell in cells)
            self._options = {
                "read_options": pa_csv.ReadOptions(
                    block_size=max(_BLOCK_BYTES, 4 * len(self._head)),
                    autogenerate_column_names=not self.has_header,
                ),
                "parse_options": pa_csv.ParseOptions(delimiter=delimiter),
            }
            with self.open() as reader:
                self.names: list[str] = reader.schema.names

    def open(self, **convert: Any) -> Any:
        """A reader of record batches, with Arrow's ConvertOptions."""
        # A file of one line without an end is empty to Arrow.
        whole = self._pa.BufferReader(f"{self._head}\n".encode()) if self._is_all else self._path
        options = self._csv.ConvertOptions(**convert)
        return self._csv.open_csv(whole, convert_options=options, **self._options)


def csv_names(path: Path) -> list[str]:
    """The names of the columns; none where the first line is data."""
    text = _Text(path)
    return text.names if text.has_header else []


def csv_column(path: Path, column: str) -> np.ndarray:
    """One column by its name, as numbers if all its cells are numbers, else as text."""
    text = _Text(path)
    with told_of(path, "CSV"):
        cells = text.open(include_columns=[column], column_types={column: "string"}).read_all()
        try:
            return column_values(cells.column(0).cast("int64"))
        except ValueError:
            pass
        try:
            return column_values(cells.column(0).cast("float64"))
        except ValueError:
            return column_values(cells.column(0))


def open_csv(path: Path, *, without: Collection[str] = ()) -> Source:
    """The columns of a `.csv` file (`.tsv`: separated by tabs; `.gz`: compressed), as float64.

    A first line of numbers is data, any other is the header; columns in `without` are left out.
    """
    pa = require_pyarrow(str(path))
    whole = _Text(path)
    names = [name for name in whole.names if name not in without]
    layout = ArrowLayout(pa.schema([(name, pa.float64()) for name in names]), str(path))
    dtype = np.dtype(np.float64)

    def open_as(kind: Any) -> Any:
        # One type for all: a guess from the first block would not hold for later ones.
        # Only where some are left out, for a file may have a name twice.
        kept = {"include_columns": names} if without else {}
        return whole.open(
            column_types=dict.fromkeys(names, kind), strings_can_be_null=True, check_utf8=False,
            **kept,
        )  # fmt: skip

    def read() -> Iterator[np.ndarray]:
        done = 0
        try:
            with told_of(path, "CSV"), open_as(pa.float64()) as reader:
                for batch in reader:
                    yield from layout.matrices([batch], dtype)
                    done += 1
        except ValueError as error:
            text = None
            if "conversion error" in str(error):
                with open_as(pa.binary()) as reader:
                    text = _first_text(reader, done, whole.missing)
            if text is None:
                raise
            row, column, value = text
            raise ValueError(
                f"{path}: column {names[column]!r} must hold numbers, but row {row} (from 0, "
                f"without the header) has {value!r}. Leave the column out of the file or encode it."
            ) from error

    # What is wrong with the first block is said at once.
    next(read(), None)
    return Source(
        read,
        name=str(path),
        n_rows=None,
        n_features=layout.n_features,
        dtype=dtype,
        feature_names=names if whole.has_header else None,
    )


def _first_line(path: Path) -> tuple[str, bool]:
    """The first line that is not empty, and whether the file ends before it does."""
    from pyarrow import input_stream

    with input_stream(str(path), compression="detect") as file:
        start = file.read(_BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not start or b"\0" in start:
        raise ValueError(
            f"{path} is not a CSV file: it starts with {starts_with(path)}. Give files other than "
            "text their own ending."
        )
    line = re.split(rb"[\r\n]", start, maxsplit=1)[0]
    return line.decode(errors="replace"), len(line) == len(start) < _BLOCK_BYTES


def _cells(line: str, delimiter: str) -> list[str]:
    # Not csv.reader, which refuses cells over 128 KiB; quoted numbers are numbers.
    return [cell.strip().strip('"') for cell in line.split(delimiter)]


def _is_number(cell: str, missing: frozenset[str]) -> bool:
    if cell in missing:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _first_text(
    batches: Iterable[Any], skip: int, missing: frozenset[str]
) -> tuple[int, int, str] | None:
    """Row, column and value of the first cell that is no number, from batch `skip` on."""
    row = 0
    for index, batch in enumerate(batches):
        found = [
            (row + i, j, cell.decode(errors="replace"))
            for j, column in enumerate(batch.columns if index >= skip else ())
            for i, cell in enumerate(column.to_pylist())
            if cell is not None and not _is_number(cell.decode(errors="replace"), missing)
        ]
        if found:
            return min(found)
        row += batch.num_rows
    return None
