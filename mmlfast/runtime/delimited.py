"""Sources that are text: `.csv` and `.tsv` files, parsed block by block."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mmlfast.runtime.arrays import starts_with
from mmlfast.runtime.arrow import ArrowLayout, require_pyarrow, told_of
from mmlfast.runtime.sources import Source

__all__ = ["open_csv"]

# A number and its separator take two bytes or more, so a block makes 16 MiB of float64 at most.
_BLOCK_BYTES = 4 << 20


def open_csv(path: Path) -> Source:
    """The columns of a `.csv` file (`.tsv`: separated by tabs; `.gz`: compressed), as float64.

    A first line of numbers is data, any other is the header.
    """
    pa = require_pyarrow(str(path))
    import pyarrow.csv as pa_csv

    missing = frozenset(pa_csv.ConvertOptions().null_values)
    with told_of(path, "CSV"):
        head, is_all = _first_line(path)
        delimiter = "\t" if ".tsv" in path.name.lower() else ","
        header = not all(_is_number(cell, missing) for cell in _cells(head, delimiter))
        options = {
            "read_options": pa_csv.ReadOptions(
                block_size=max(_BLOCK_BYTES, 4 * len(head)), autogenerate_column_names=not header
            ),
            "parse_options": pa_csv.ParseOptions(delimiter=delimiter),
        }

        def open_typed(**more: Any) -> Any:
            # A file of one line without an end is empty to Arrow.
            file = pa.BufferReader(f"{head}\n".encode()) if is_all else path
            return pa_csv.open_csv(file, **options, **more)

        with open_typed() as reader:
            names = reader.schema.names
    layout = ArrowLayout(pa.schema([(name, pa.float64()) for name in names]), str(path))
    dtype = np.dtype(np.float64)

    def open_as(kind: Any) -> Any:
        # One type for all: a guess from the first block would not hold for later ones.
        convert = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, kind), strings_can_be_null=True, check_utf8=False
        )
        return open_typed(convert_options=convert)

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
                    text = _first_text(reader, done, missing)
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
        feature_names=names if header else None,
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
