"""Edges as arrays: from pairs of columns, from data frames, from what a file holds.

Nodes are counted 0 … n − 1.  In *arrays* integers are these numbers themselves, as rows and columns
of a sparse matrix are; in *tables* and files they are labels, of which only those that appear are
nodes, for numbers in such files have gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import chain, count
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

Labels = list[Any] | NDArray[Any]

MOST_NODES = 2**31 - 1
ENDS = (("source", "target"), ("src", "dst"), ("from", "to"))


class Edges(NamedTuple):
    """Edges sources[k] → targets[k] of weights[k] (None: all 1) among n_nodes nodes."""

    sources: NDArray[np.int32]
    targets: NDArray[np.int32]
    weights: NDArray[Any] | None
    n_nodes: int
    labels: Labels | None = None

    def both_ways(self) -> Edges:
        """The same and each edge reversed; loops stay single."""
        other = self.sources != self.targets
        return self._replace(
            sources=np.concatenate([self.sources, self.targets[other]]),
            targets=np.concatenate([self.targets, self.sources[other]]),
            weights=None
            if self.weights is None
            else np.concatenate([self.weights, self.weights[other]]),
        )


def edges_of_arrays(
    source: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    n_nodes: int | None = None,
) -> Edges:
    """Edges from two arrays of node numbers, or of labels that are not numbers.

    Parameters
    ----------
    source, target : array-like of shape (n_edges,)
        Integers are node numbers; strings and objects are labels, counted as they first appear.
    weight : array-like of shape (n_edges,), default=None
    n_nodes : int, default=None
        Nodes there are, when some have no edge; by default one more than the largest number.
    """
    ends = [_one_axis(end, name) for end, name in ((source, "source"), (target, "target"))]
    weights = None if weight is None else _one_axis(weight, "weight")
    for name, values in (("target", ends[1]), ("weight", weights)):
        if values is not None and len(values) != len(ends[0]):
            raise ValueError(
                f"source has {len(ends[0])} entries and {name} has {len(values)}; each edge has "
                "one of each."
            )
    if all(end.dtype.kind in "iu" or end.size == 0 for end in ends):
        return _numbered(ends, weights, n_nodes)
    if any(end.dtype.kind in "fc" for end in ends):
        raise TypeError(
            f"source and target must be integers or labels; got dtypes {ends[0].dtype} and "
            f"{ends[1].dtype}. Convert whole numbers with .astype('int64')."
        )
    sources, targets, labels = _as_they_appear(ends[0].tolist(), ends[1].tolist())
    if n_nodes is not None and n_nodes != len(labels):
        raise ValueError(
            f"n_nodes is {n_nodes}, but source and target hold {len(labels)} labels. n_nodes goes "
            "with node numbers."
        )
    return Edges(sources, targets, weights, len(labels), labels)


def edges_of_columns(source: Any, target: Any, weights: NDArray[Any] | None) -> Edges:
    """Edges from two columns of labels: integers in rising order, others as they first appear.

    source and target are both arrays, or both Arrow's chunked arrays of strings.
    """
    labels: Labels
    if not isinstance(source, np.ndarray):
        sources, targets, labels = _strings_as_they_appear(source, target)
    # int64 beside uint64 would become float64, and so different labels one.
    elif np.result_type(source, target).kind in "iu":
        sources, targets, labels = _compacted(source, target)
    else:
        sources, targets, labels = _as_they_appear(source.tolist(), target.tolist())
    _require_count(len(labels))
    n_nodes = len(labels)
    if isinstance(labels, np.ndarray) and n_nodes and labels[0] == 0 and labels[-1] == n_nodes - 1:
        return Edges(sources, targets, weights, n_nodes)
    return Edges(sources, targets, weights, n_nodes, labels)


def edges_of_table(table: Any, *, weight: str | None = "weight", name: str = "A") -> Edges:
    """Edges from the columns of a pandas, polars or pyarrow table.

    Columns named `source` and `target` (or src and dst, from and to), else the first two; weights
    from the column named `weight`, if there is one.
    """
    import narwhals as nw

    frame = nw.from_native(table)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    names = [str(column) for column in frame.columns]
    s, t, w = chosen_columns(names, weight, name)
    ends = [frame[frame.columns[i]] for i in (s, t)]
    for i, end in zip((s, t), ends, strict=True):
        missing = end.is_null()
        if missing.any():
            row = int(np.argmax(missing.to_numpy()))
            raise ValueError(
                f"{name}: row {row} (from 0) has no value in column {names[i]!r}. Leave out such "
                "rows."
            )
    if all(end.dtype == nw.String for end in ends) and find_spec("pyarrow") is not None:
        columns = [end.to_arrow() for end in ends]
    else:
        columns = [_plain(end, names[i], name) for i, end in zip((s, t), ends, strict=True)]
    weights = None if w is None else numbers(frame[frame.columns[w]].to_numpy(), names[w], name)
    return edges_of_columns(columns[0], columns[1], weights)


def chosen_columns(
    names: Sequence[str], weight: str | None, place: str
) -> tuple[int, int, int | None]:
    """The positions of source, target and, if there is one, weight among named columns."""
    if len(names) < 2:
        raise ValueError(
            f"{place} must have a column of sources and one of targets; got {list(names)}."
        )
    plain = [name.strip().lower() for name in names]
    pairs = [(plain.index(s), plain.index(t)) for s, t in ENDS if s in plain and t in plain]
    source, target = pairs[0] if pairs else (0, 1)
    if weight is None:
        return source, target, None
    if weight in names:
        return source, target, list(names).index(weight)
    if weight == "weight":
        return source, target, plain.index(weight) if weight in plain else None
    raise ValueError(
        f"weight must name a column of {place}, which has {list(names)}; got {weight!r}. "
        "weight=None counts each edge once."
    )


def numbers(column: NDArray[Any], label: str, place: str) -> NDArray[Any]:
    """The column if it holds real numbers."""
    if column.dtype == object:
        with suppress(TypeError, ValueError):
            column = column.astype(np.float64)
    if column.dtype.kind not in "fiub":
        raise TypeError(
            f"{place}: the weights in column {label!r} must be numbers; got dtype {column.dtype}. "
            "weight=None counts each edge once."
        )
    return column


def _plain(series: Any, label: str, place: str) -> NDArray[Any]:
    if series.dtype.is_integer():
        return np.asarray(series.to_numpy())
    if series.dtype.is_float():
        # Where values were missing once, frames make floats of integers.
        values = series.to_numpy()
        with np.errstate(invalid="ignore"):
            whole = values.astype(np.int64)
        if not (whole == values).all():
            raise TypeError(
                f"{place}: column {label!r} holds fractions; nodes are integers or text."
            )
        return whole
    return np.fromiter(series.to_list(), object, len(series))


def _one_axis(values: ArrayLike, name: str) -> NDArray[Any]:
    if isinstance(values, list | tuple):
        # Numbers become an array of them; of anything else numpy would make strings.
        kinds = {type(value) for value in values}
        plain = all(issubclass(kind, int | float | np.number) for kind in kinds)
        array = np.asarray(values) if plain else np.fromiter(values, object, len(values))
    else:
        array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be an array with one axis; got shape {array.shape}.")
    return array


def _numbered(ends: list[NDArray[Any]], weights: Any, n_nodes: int | None) -> Edges:
    lowest = min((int(end.min()) for end in ends if end.size), default=0)
    largest = max((int(end.max()) for end in ends if end.size), default=-1)
    if lowest < 0:
        raise ValueError(f"node numbers must be 0 or more; got {lowest}.")
    n = largest + 1 if n_nodes is None else n_nodes
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < largest + 1:
        raise ValueError(
            f"n_nodes must be an integer of at least {largest + 1}, as node {largest} has an edge; "
            f"got {n_nodes!r}."
        )
    _require_count(int(n))
    sources, targets = (end.astype(np.int32) for end in ends)
    return Edges(sources, targets, weights, int(n))


def _require_count(n: int) -> None:
    if n > MOST_NODES:
        raise ValueError(f"a graph has at most {MOST_NODES} nodes; got {n}.")


def _compacted(
    s: NDArray[Any], t: NDArray[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[Any]]:
    """Integer labels, renumbered in rising order."""
    if s.size == 0:
        return s.astype(np.int32), t.astype(np.int32), s
    lowest = min(int(s.min()), int(t.min()))
    largest = max(int(s.max()), int(t.max()))
    span = largest - lowest + 1
    if span > 16 * s.size + 1024 or largest > np.iinfo(np.int64).max:
        labels, codes = np.unique(np.concatenate([s, t]), return_inverse=True)
        numbers = codes.astype(np.int32)
        return numbers[: s.size], numbers[s.size :], labels
    # A table of the whole range: ten times faster than sorting the edges.
    s, t = (values.astype(np.int64, copy=False) - lowest for values in (s, t))
    seen = np.zeros(span, bool)
    seen[s] = seen[t] = True
    labels = np.flatnonzero(seen)
    place = np.cumsum(seen, dtype=np.int64) - 1
    if labels.size < span:
        s, t = place[s], place[t]
    return s.astype(np.int32), t.astype(np.int32), labels + lowest


def _as_they_appear(
    source: Iterable[Any], target: Iterable[Any]
) -> tuple[NDArray[np.int32], NDArray[np.int32], list[Any]]:
    """Any labels, numbered edge by edge, the source before the target."""
    # The numbers are made inside the dictionary: no Python code runs per label.
    place: dict[Any, int] = defaultdict(count().__next__)
    try:
        codes = np.fromiter(
            map(place.__getitem__, chain.from_iterable(zip(source, target, strict=True))), np.int32
        )
    except TypeError as error:
        raise TypeError(f"labels of nodes must be hashable: {error}.") from error
    for number, label in enumerate(place):
        if label is None or label == "" or label != label:
            _refuse_missing(int(np.argmax(codes == number)) // 2)
    return codes[::2], codes[1::2], list(place)


def _strings_as_they_appear(
    source: Any, target: Any
) -> tuple[NDArray[np.int32], NDArray[np.int32], list[Any]]:
    """The same of Arrow's strings, several times faster."""
    import pyarrow as pa

    n = len(source)
    text = pa.large_string()
    chunks = [chunk for end in (source, target) for chunk in getattr(end, "chunks", [end])]
    # As one array: dictionaries of many would have to be unified, in four times the time.
    coded = pa.concat_arrays([pa.array([], text), *(chunk.cast(text) for chunk in chunks)])
    coded = coded.dictionary_encode()
    labels, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    # All sources were numbered before any target.
    edge_by_edge = np.stack([codes[:n], codes[n:]], axis=1).ravel()
    first = np.empty(len(labels), np.int64)
    first[edge_by_edge[::-1]] = np.arange(2 * n - 1, -1, -1)
    order = np.argsort(first)
    number = np.empty(len(labels), np.int32)
    number[order] = np.arange(len(labels), dtype=np.int32)
    if "" in labels:
        _refuse_missing(int(first[labels.index("")]) // 2)
    return number[codes[:n]], number[codes[n:]], [labels[i] for i in order]


def _refuse_missing(edge: int) -> NoReturn:
    raise ValueError(f"edge {edge} (from 0) lacks a source or target. Leave it out.")
