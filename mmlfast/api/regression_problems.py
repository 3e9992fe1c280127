"""Many regressions in one call: what X, y and groups mean, as stacks that the kernels take.

Stacked arrays, one X for many y, one y for many X, groups of a long table and lists of arrays all
become problems of n_b rows and d columns.  Ragged ones are sorted by size, taken a few at a time
and filled up with rows of weight 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.runtime.validate import as_real

Kind = Literal["single", "columns", "rows", "stack", "groups", "list"]

# Numbers of a part that is converted or gathered: some MB, so that they are still in a cache.
PART_NUMBERS = 1 << 19
# Ragged problems share a part while the smallest has this share of the rows of the largest.
LEAST_FILLED = 0.75


@dataclass
class Problems:
    """`count` problems of d columns.

    A stack has X (count or 1, n, d), y and w (count or 1, n).  Ragged problems are rows of tables
    X (N, d), y and w (N,): problem b has the rows order[starts[b] : starts[b] + sizes[b]].
    """

    kind: Kind
    X: NDArray[Any]
    y: NDArray[Any]
    w: NDArray[Any] | None
    count: int
    sizes: NDArray[np.intp]
    starts: NDArray[np.intp] | None = None
    order: NDArray[np.intp] | None = None
    labels: NDArray[Any] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 if X is, else float64."""
        return self.X.dtype

    @property
    def n_features(self) -> int:
        """d."""
        return int(self.X.shape[-1])

    def parts(self, lanes: int) -> Iterator[NDArray[np.intp]]:
        """Which problems are worked on together, `lanes` of them or a multiple if there are."""
        d = self.n_features
        order = np.arange(self.count)
        if self.starts is None:
            step = max(1, PART_NUMBERS // max(1, int(self.sizes[0]) * d * lanes)) * lanes
            yield from (order[lo : lo + step] for lo in range(0, self.count, step))
            return
        order = np.argsort(-self.sizes, kind="stable")
        lo = 0
        while lo < self.count:
            largest = max(1, int(self.sizes[order[lo]]))
            step = max(1, PART_NUMBERS // (largest * d * lanes)) * lanes
            filled = self.sizes[order[lo : lo + step]] >= LEAST_FILLED * largest
            hi = lo + max(min(lanes, len(filled)), int(filled.sum()) // lanes * lanes)
            yield order[lo:hi]
            lo = hi

    def take(self, which: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any], Any]:
        """X (k or 1, n, d), y (k or 1, n) and w or None of these problems, in float64."""
        if self.starts is None:
            run = slice(int(which[0]), int(which[-1]) + 1)
            X, y, w = self.X, self.y, self.w
            return (
                _plain(X if len(X) == 1 else X[run]),
                _plain(y if len(y) == 1 else y[run]),
                None if w is None else _plain(w if len(w) == 1 else w[run]),
            )
        sizes = self.sizes[which]
        n = max(1, int(sizes.max()))
        rows = self.starts[which][:, None] + np.minimum(np.arange(n), sizes[:, None] - 1)
        real = np.arange(n) < sizes[:, None]
        if self.order is not None:
            rows = self.order[rows]
        X, y = _plain(self.X[rows]), _plain(self.y[rows])
        if not real.all():
            X[~real] = 0.0
            y[~real] = 0.0
        if self.w is None:
            return X, y, None if real.all() else real.astype(np.float64)
        return X, y, np.where(real, _plain(self.w[rows]), 0.0)


def _plain(a: NDArray[Any]) -> NDArray[np.float64]:
    return np.ascontiguousarray(a, dtype=np.float64)


def shape_of(a: Any) -> tuple[int, ...]:
    """The shape of anything that can be an array; () of what cannot, which a later check tells."""
    shape = getattr(a, "shape", None)
    if shape is not None:
        return tuple(shape)
    try:
        return np.asarray(a).shape
    except ValueError:
        return ()


def is_ragged(X: Any) -> bool:
    """Whether X is a list of tables of different lengths."""
    if not isinstance(X, (list, tuple)) or not X or len(shape_of(X[0])) != 2:
        return False
    shapes = [shape_of(x) for x in X]
    return all(len(shape) == 2 for shape in shapes) and len(set(shapes)) > 1


def stacked_problems(X: ArrayLike, y: NDArray[Any], weights: ArrayLike | None) -> Problems:
    """X (B or 1, n, d) with y (B, n) or (n,)."""
    X = as_real(X, "X")
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(
            "X must have shape (n_samples, n_features), or (n_problems, n_samples, n_features) "
            f"for a stack, with no axis of length 0; got {X.shape}."
        )
    count, n, _ = X.shape
    if y.shape == (n,):
        y = y[None]
    fits = y.ndim == 2 and y.shape[1] == n and (len(y) in (1, count) or count == 1)
    if not fits:
        raise ValueError(
            f"y must have shape ({count}, {n}), a row for each problem, or ({n},) for all of them, "
            f"for X of shape {X.shape}; got {y.shape}."
        )
    count = max(count, len(y))
    w = _weights_of(weights, count, n)
    return Problems("stack", X, y, w, count, np.full(count, n))


def _weights_of(weights: ArrayLike | None, count: int, n: int) -> NDArray[Any] | None:
    if weights is None:
        return None
    w = as_real(weights, "sample_weight")
    if w.shape == (n,):
        w = w[None]
    if w.shape not in ((1, n), (count, n)):
        raise ValueError(
            f"sample_weight must have shape ({count}, {n}) or ({n},); got {w.shape}."
        )
    return checked_weights(w)


def checked_weights(w: NDArray[Any]) -> NDArray[Any]:
    """w, if none is negative."""
    if (w < 0).any():
        raise ValueError(f"sample_weight must not be negative; got {w.min():.6g}.")
    return w


def side_of(shape: tuple[int, ...], n: int) -> Kind:
    """Whether y (…, …) beside X (n, d) holds a problem in each row or in each column."""
    rows, columns = shape[1] == n, shape[0] == n
    if rows and columns and n > 1:
        raise ValueError(
            f"y of shape {shape} may hold a problem in each row or in each column for X of {n} "
            "rows. Write X[None] with y for a problem in each row, X[None] with y.T for one in "
            "each column."
        )
    if not rows and not columns:
        raise ValueError(
            f"y must have shape ({n},), ({n}, n_problems) or (n_problems, {n}) for X of {n} rows; "
            f"got {shape}."
        )
    return "columns" if columns else "rows"


def shared_problems(
    X: NDArray[Any], y: NDArray[Any], weights: ArrayLike | None, kind: Kind
) -> Problems:
    """One X (n, d) and y with a problem in each row or column, or y (n,) alone."""
    n = len(X)
    y = y[None] if y.ndim == 1 else y.T if kind == "columns" else y
    count = len(y)
    if weights is None:
        w = None
    else:
        w = as_real(weights, "sample_weight")
        w = _weights_of(w.T if kind == "columns" and w.ndim == 2 else w, count, n)
    return Problems(kind, X[None], y, w, count, np.full(count, n))


def grouped_problems(
    X: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None, groups: Any
) -> Problems:
    """A problem for each label of a long table."""
    labels, codes = factorised(groups, len(X))
    sizes = np.bincount(codes, minlength=len(labels))
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    order = None if (codes[1:] >= codes[:-1]).all() else np.argsort(codes, kind="stable")
    return Problems("groups", X, y, weights, len(labels), sizes, starts, order, labels)


def hashable(labels: NDArray[Any]) -> list[Hashable]:
    """The labels as keys of a dict: Python's own where they are not dates."""
    return list(labels) if labels.dtype.kind in "mM" else labels.tolist()


def factorised(groups: Any, n: int) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The labels, sorted where that is possible and else as they come, and which each row has."""
    if isinstance(groups, (list, tuple)) and any(isinstance(g, tuple) for g in groups):
        array = np.empty(len(groups), dtype=object)
        array[:] = groups
    else:
        array = np.asarray(groups)
    if array.shape != (n,):
        raise ValueError(
            f"groups must have a label for each of the {n} rows of X; got shape {array.shape}."
        )
    if array.dtype != object:
        missing = bool((array != array).any())
    else:
        missing = any(map(_is_missing, array))
    if missing:
        raise ValueError("groups has missing labels (NaN). Leave those rows out, or name them.")
    if array.dtype != object:
        values, codes = np.unique(array, return_inverse=True)
        return values, codes.astype(np.intp)
    seen: dict[Hashable, int] = {}
    codes = np.array([seen.setdefault(label, len(seen)) for label in array], dtype=np.intp)
    labels = np.empty(len(seen), dtype=object)
    labels[:] = list(seen)
    try:
        order = sorted(range(len(seen)), key=labels.__getitem__)
    except TypeError:
        return labels, codes
    return labels[order], np.argsort(order)[codes]


def _is_missing(label: Any) -> bool:
    try:
        return bool(label != label)  # nothing is equal to NaN or NaT
    except TypeError:  # pandas' NA does not say
        return True


def listed_problems(X: Any, y: Any, weights: Any) -> Problems:
    """A list of tables (n_b, d) with a list of y (n_b,)."""
    tables = [as_real(x, f"X[{b}]") for b, x in enumerate(X)]
    d = tables[0].shape[1]
    for b, table in enumerate(tables):
        if table.shape[1] != d or 0 in table.shape:
            raise ValueError(
                f"X[{b}] must have {d} columns, as X[0] has, and some rows; got {table.shape}."
            )
    sizes = np.array([len(table) for table in tables])
    ys = _lengths_fit(y, sizes, "y")
    w = None
    if weights is not None:
        w = checked_weights(np.concatenate(_lengths_fit(weights, sizes, "sample_weight")))
        w = w.astype(np.float64)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return Problems(
        "list", np.concatenate(tables), np.concatenate(ys), w, len(tables), sizes, starts
    )


def _lengths_fit(values: Any, sizes: NDArray[np.intp], name: str) -> list[NDArray[Any]]:
    arrays = [np.asarray(value) for value in values] if hasattr(values, "__iter__") else []
    if [a.shape for a in arrays] != [(size,) for size in sizes.tolist()]:
        raise ValueError(
            f"{name} must be a list of arrays as long as those of X, {sizes[:5].tolist()} …; got "
            f"shapes {[a.shape for a in arrays[:5]]} …."
        )
    return arrays
