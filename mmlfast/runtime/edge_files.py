"""Edge lists in files: Parquet, CSV, and the text of the usual collections of graphs.

Text has an edge on each line: source, target and perhaps a weight, separated by commas, semicolons,
tabs or spaces.  Lines that start with "# " or "% " are comments.  Labels are integers if both
columns hold nothing else, and text otherwise.

Arrow reads what is regular, a hundred million characters a second; what it refuses, or all where it
is not installed, is read line by line, which also finds the line that is wrong.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.runtime.arrays import starts_with
from mmlfast.runtime.arrow import require_pyarrow, told_of
from mmlfast.runtime.edges import ENDS, Edges, chosen_columns, edges_of_columns, numbers

TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".edges", ".el")
ENDINGS = (*TEXT_ENDINGS, ".parquet", ".pq")

# "#python" is a label.
_COMMENT = r"^[#%]([\s#%]|$)"
_comment = re.compile(_COMMENT).match


def read_edges(path: str | os.PathLike[str], *, weight: str | None = "weight") -> Edges:
    """The edges in a file of text or Parquet.

    Parameters
    ----------
    path : path-like
        A `.csv`, `.tsv`, `.txt`, `.edges` or `.el` file (also `.gz`), a `.parquet` file, or a
        folder of such.
    weight : str, default="weight"
        The column of weights, where columns have names; without names it is the third, if there is
        one.  None counts each edge once.

    Raises
    ------
    ValueError
        The file is not such a table; the message names the line.
    """
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{file}: there is no such file or folder.")
    ending = file.with_suffix("").suffix if file.suffix.lower() == ".gz" else file.suffix
    if file.is_dir() or ending.lower() in (".parquet", ".pq"):
        return _read_parquet(file, weight)
    if ending.lower() in TEXT_ENDINGS:
        return _read_text(file, weight)
    raise ValueError(
        f"{file}: the ending must be {', '.join(ENDINGS)} (text also with .gz); got "
        f"{file.suffix or 'none'!r}. Convert the file, or pass arrays."
    )


def _read_parquet(path: Path, weight: str | None) -> Edges:
    from mmlfast.runtime.edges import edges_of_table

    require_pyarrow(str(path))
    import pyarrow.dataset as dataset

    with told_of(path, "Parquet"):
        data = dataset.dataset(path, format="parquet")
        names = data.schema.names
        chosen = [i for i in chosen_columns(names, weight, str(path)) if i is not None]
        table = data.to_table(columns=[names[i] for i in chosen])
    return edges_of_table(table, weight=weight, name=str(path))


class _Layout(NamedTuple):
    """How a text is laid out: lines before the data, what separates cells, names, columns taken."""

    skip: int
    delimiter: str | None
    names: list[str] | None
    columns: tuple[int, int, int | None]


def _read_text(path: Path, weight: str | None) -> Edges:
    with _told_as_text(path):
        layout = _layout_of(path, weight)
        if layout is None:
            empty = np.empty(0, np.int64)
            return edges_of_columns(empty, empty, None)
        return _read_with_arrow(path, layout) or _read_by_line(path, layout)


@contextmanager
def _told_as_text(path: Path) -> Iterator[None]:
    try:
        yield
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read as text: {error}; it starts with {starts_with(path)}. Give "
            "files other than text their own ending."
        ) from error


def _open(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def _is_data(line: str) -> bool:
    return bool(line.strip()) and not _comment(line)


def _layout_of(path: Path, weight: str | None) -> _Layout | None:
    """The layout, from the first lines of data; None if there are none."""
    with _open(path) as file:
        first = list(islice(((i, line) for i, line in enumerate(file) if _is_data(line)), 2))
    if not first:
        return None
    line = first[0][1].strip()
    delimiter = next((mark for mark in ("\t", ",", ";") if mark in line), None)
    head = _cells(line, delimiter)
    below = _cells(first[1][1].strip(), delimiter) if len(first) > 1 else []
    if len(head) < 2:
        raise ValueError(
            f"{path}: line {first[0][0] + 1} must have a source and a target, separated by a "
            f"comma, semicolon, tab or spaces; got {line[:60]!r}."
        )
    header = _is_header(head, below)
    if header:
        columns = chosen_columns(head, weight, str(path))
    else:
        columns = (0, 1, 2 if len(head) > 2 and weight is not None else None)
    return _Layout(first[0][0] + header, delimiter, head if header else None, columns)


def _is_header(head: list[str], below: list[str]) -> bool:
    """Whether a first line names columns: by the names, or by text above numbers.

    Text above numbers in one of source and target is not enough: labels may be either.
    """
    names = [cell.lower() for cell in head]
    if any(source in names and target in names for source, target in ENDS):
        return True
    if len(below) != len(head):
        return False
    over = [_is_number(b) and not _is_number(a) for a, b in zip(head, below, strict=True)]
    return (over[0] and over[1]) or any(over[2:])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _cells(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _read_with_arrow(path: Path, layout: _Layout) -> Edges | None:
    """As `_read_by_line`, several times faster; None for what only that can read or explain."""
    try:
        import pyarrow as pa
        import pyarrow.csv as pa_csv
        from pyarrow import compute
    except ImportError:
        return None
    s, t, w = layout.columns
    read = {"skip_rows": layout.skip, "autogenerate_column_names": True}
    ends = [f"f{s}", f"f{t}"]
    wanted = ends if w is None else [*ends, f"f{w}"]

    def table(kind: Any) -> Any:
        types = dict.fromkeys(ends, kind) | ({} if w is None else {f"f{w}": pa.float64()})
        with pa.input_stream(str(path), compression="detect") as stream:
            return pa_csv.read_csv(
                stream,
                read_options=pa_csv.ReadOptions(**read),
                parse_options=pa_csv.ParseOptions(delimiter=layout.delimiter or " "),
                convert_options=pa_csv.ConvertOptions(
                    include_columns=wanted, column_types=types, null_values=[""],
                    strings_can_be_null=True,
                ),
            )  # fmt: skip

    try:
        try:
            found = table(pa.int64())
        except pa.ArrowInvalid:
            found = table(pa.string())
    except (pa.ArrowException, OSError):
        return None
    if any(found.column(name).null_count for name in wanted):
        return None
    weights = None if w is None else found.column(f"f{w}").to_numpy()
    columns = [found.column(name) for name in ends]
    if columns[0].type == pa.int64():
        return edges_of_columns(columns[0].to_numpy(), columns[1].to_numpy(), weights)
    columns = [compute.utf8_trim_whitespace(column) for column in columns]
    odd = [compute.match_substring_regex(column, _COMMENT + "|^$") for column in columns]
    if any(compute.any(column).as_py() for column in odd):
        return None
    with suppress(pa.ArrowInvalid):
        numbers = [column.cast(pa.int64()).to_numpy() for column in columns]
        return edges_of_columns(numbers[0], numbers[1], weights)
    return edges_of_columns(columns[0], columns[1], weights)


def _read_by_line(path: Path, layout: _Layout) -> Edges:
    s, t, w = layout.columns
    rows = list(_rows(path, layout))
    ends = _labels([row[s] for row in rows], [row[t] for row in rows])
    if w is None:
        return edges_of_columns(*ends, None)
    name = f"{w + 1}" if layout.names is None else layout.names[w]
    weights = numbers(np.array([row[w] for row in rows], object), name, str(path))
    return edges_of_columns(*ends, weights)


def _rows(path: Path, layout: _Layout) -> Iterator[list[str]]:
    with _open(path) as file:
        for number, line in enumerate(file):
            if number < layout.skip or not _is_data(line):
                continue
            cells = _cells(line.strip(), layout.delimiter)
            if any(i is not None and (i >= len(cells) or not cells[i]) for i in layout.columns):
                raise ValueError(
                    f"{path}: line {number + 1} lacks a source, target or weight: "
                    f"{line.strip()[:60]!r}. Mend it, or make it a comment that starts with #."
                )
            yield cells


def _labels(source: list[str], target: list[str]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both columns as integers, if they hold nothing else."""
    try:
        return _integers(source), _integers(target)
    except (ValueError, OverflowError):
        return np.array(source, object), np.array(target, object)


def _integers(cells: list[str]) -> NDArray[np.int64]:
    if any("_" in cell for cell in cells):
        raise ValueError("Python reads 1_0 as a number, nobody else does.")
    return np.array([int(cell) for cell in cells], np.int64)
