"""Samples with targets and weights, wherever they lie, for loops that read them epoch after epoch.

    for X, first in data.chunks(batch_size):        one epoch
        … X are the rows first, …, their targets data.y[first : first + X.shape[0]] …

What lies in memory (an array, a frame, a sparse matrix, a file of up to 16 MiB) is one chunk.
Larger files, callables and iterators are read in chunks of 16 MiB, cut where batches end, so that
an epoch without shuffling takes the batches it would take from memory.  Shuffling a stream permutes
the rows within a chunk and leaves the chunks as they are stored: a file sorted by class should be
written anew in another order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse, load_npz

from mmlfast.api.inputs import check_features, check_shape, open_input
from mmlfast.runtime.blocks import in_multiples
from mmlfast.runtime.sources import Source, batch_rows, readable_dtype
from mmlfast.runtime.targets import split_target
from mmlfast.runtime.validate import refuse_bad_numbers, work_dtype

Chunk = Any  # a C-contiguous ndarray or a csr_array
Reader = Callable[[int], Iterator[Chunk]]


@dataclass(frozen=True)
class TrainingData:
    """X as a sequence of chunks of rows; y and sample_weight as arrays with an entry for each row.

    Attributes
    ----------
    name : str
        What messages call X.
    n_samples : int or None
        None where neither X nor y tells before X is read.
    n_features : int
    dtype : dtype
        Of the chunks: float64, float32, float16, uint8, int8, int16 or int32.
    in_memory : bool
        Whether X is one chunk, which is there already and free of NaN and infinity.
    read : callable
        Chunks of X, by the number of rows of which each should be a multiple.
    y : array-like or None
    sample_weight : ndarray of float64 or None
    """

    name: str
    n_samples: int | None
    n_features: int
    dtype: np.dtype[Any]
    in_memory: bool
    read: Reader
    y: Any = None
    sample_weight: NDArray[np.float64] | None = None

    @property
    def work_dtype(self) -> np.dtype[Any]:
        """To compute in: float32 for float32, float16 and integers of up to 16 bits, or float64."""
        return work_dtype(self.dtype)

    @property
    def X(self) -> Chunk:
        """The one chunk, where all is in memory."""
        if not self.in_memory:
            raise ValueError(f"{self.name} is not in memory. Read it with chunks().")
        return next(self.read(1))

    def chunks(self, multiple: int = 1) -> Iterator[tuple[Chunk, int]]:
        """One pass over X.

        Parameters
        ----------
        multiple : int
            Chunks have a multiple of this number of rows, the last one excepted.

        Yields
        ------
        X : ndarray or csr_array of shape (rows, n_features)
            To be read before the next one is asked for, and not written.
        first : int
            The number of its first row.

        Raises
        ------
        ValueError
            NaN or infinity, whose row and column are named; other than n_samples rows.
        RuntimeError
            X can be read only once, and has been.
        """
        row, n = 0, self.n_samples
        for X in self.read(multiple):
            end = row + X.shape[0]
            if n is not None and end > n:
                raise _unequal(self.name, f"{end} or more", n)
            if not self.in_memory:
                refuse_bad_numbers(X, row)
            yield X, row
            row = end
        if n is not None and row < n:
            raise _unequal(self.name, str(row), n)
        check_shape(row, self.n_features, least=1)


@contextmanager
def open_training_data(
    estimator: Any, X: Any, y: Any = None, sample_weight: Any = None, *, reset: bool, once: bool
) -> Iterator[TrainingData]:
    """X, y and sample_weight as fit, partial_fit or predict was given them.

    Parameters
    ----------
    estimator : object
        With `reset` it notes n_features_in_ and feature_names_in_; else X must agree with them.
    X : array-like, sparse matrix, path, frame, iterator of batches or callable that returns one
        A .npz file of scipy.sparse.save_npz is a sparse matrix.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), str or None
        A str names a column of a .parquet or .csv file or a frame; the others are the features.
    sample_weight : array-like of shape (n_samples,), float or None
    reset : bool
    once : bool
        Whether one pass is enough.  If not, what can be read only once is refused.

    Raises
    ------
    ValueError
        NaN or infinity in what is in memory, other numbers of rows or columns than expected,
        weights that are negative, not finite or all zero.
    TypeError
        X is nothing that can be read.
    """
    if isinstance(y, str):
        X, y = split_target(X, y)
    with _opened(estimator, X, reset) as (data, rewindable):
        if not (once or rewindable):
            raise ValueError(
                f"{data.name} can be read only once, but training reads it every epoch. Pass a "
                "callable that returns a new iterator, or call partial_fit for each batch."
            )
        n = data.n_samples
        if y is not None:
            n = _agreed(data.name, n, "y", _length(y))
        weight = None
        if sample_weight is not None:
            weight = np.asarray(sample_weight, np.float64)
            if weight.ndim > 0:
                n = _agreed(data.name if y is None else "y", n, "sample_weight", len(weight))
            weight = _weights(weight, n)
        yield replace(data, n_samples=n, y=y, sample_weight=weight)


@contextmanager
def _opened(estimator: Any, X: Any, reset: bool) -> Iterator[tuple[TrainingData, bool]]:
    """X alone, and whether it can be read again."""
    if isinstance(X, str | os.PathLike) and _is_sparse_file(X):
        X = load_npz(X)
    if issparse(X):
        yield _sparse_data(estimator, X, reset), True
        return
    with open_input(estimator, X, reset=reset) as source:
        n, d, dtype = source.n_rows, source.n_features, source.dtype
        if not reset:
            check_features(estimator, source)
        check_shape(n, d, least=1)
        streamed = n is None or isinstance(X, str | os.PathLike | Source)
        if n is None or (streamed and n > batch_rows(d, dtype)):
            data = TrainingData(source.name, n, d, dtype, False, _chunks_of(source))
        else:
            data = _whole(source.name, _matrix(source))
        yield data, data.in_memory or source.rewindable


def _whole(name: str, X: Chunk) -> TrainingData:
    n, d = X.shape
    return TrainingData(name, n, d, X.dtype, True, lambda multiple: iter([X]))


def _chunks_of(source: Source) -> Reader:
    rows = batch_rows(source.n_features, source.dtype)

    def read(multiple: int) -> Iterator[Chunk]:
        chunk = max(1, rows // multiple) * multiple
        if source.array is not None:
            n = len(source.array)
            blocks = iter([source.array[lo : lo + chunk] for lo in range(0, n, chunk)])
        else:
            blocks = in_multiples(source.batches(), chunk)
        for block in blocks:
            for lo in range(0, len(block), chunk):
                yield np.ascontiguousarray(block[lo : lo + chunk])

    return read


def _matrix(source: Source) -> NDArray[Any]:
    """All rows of a source, C-contiguous: as they lie where that is possible."""
    if source.array is not None:
        X = np.ascontiguousarray(source.array)
        refuse_bad_numbers(X, 0)
        return X
    assert source.n_rows is not None
    X = np.empty((source.n_rows, source.n_features), source.dtype)
    row = 0
    for batch in source.batches():
        refuse_bad_numbers(batch, row)
        X[row : row + len(batch)] = batch
        row += len(batch)
    return X


def _is_sparse_file(path: Any) -> bool:
    """Whether a file is one that scipy.sparse.save_npz wrote."""
    try:
        with ZipFile(path) as file:
            return {"format.npy", "shape.npy", "data.npy"} <= set(file.namelist())
    except (OSError, BadZipFile):
        return False


def _sparse_data(estimator: Any, X: Any, reset: bool) -> TrainingData:
    from sklearn.utils.validation import validate_data

    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead: X has shape {X.shape}. Reshape your "
            "data using X.reshape(-1, 1) or X.reshape(1, -1)."
        )
    check_shape(X.shape[0], X.shape[1], least=1)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return _whole("X", as_csr(X))


def as_csr(X: Any, name: str = "X") -> csr_array:
    """A sparse matrix as CSR with sorted columns, no column twice and numbers a kernel reads.

    Raises
    ------
    ValueError
        NaN, infinity, complex numbers, or indices that point outside of the matrix.
    """
    dtype = readable_dtype(X.dtype, name)
    rows = X.tocsr()
    data, indices, indptr = rows.data, rows.indices, rows.indptr
    n, d = rows.shape
    nnz = int(indptr[-1]) if len(indptr) else 0
    # A kernel follows these without looking.
    sound = (
        len(indptr) == n + 1 and indptr[0] == 0 and not np.any(np.diff(indptr) < 0)
        and nnz <= min(len(data), len(indices))
    )  # fmt: skip
    if not sound or (nnz and (indices[:nnz].min() < 0 or indices[:nnz].max() >= d)):
        raise ValueError(
            f"{name} is a damaged sparse matrix: its indptr or indices point outside of its shape "
            f"{rows.shape}. {name}.check_format() says where."
        )
    arrays = (data[:nnz].astype(dtype, copy=False), indices[:nnz], indptr)
    made = csr_array(arrays, shape=(n, d))
    if not made.has_canonical_format:
        # The arrays may be the caller's.
        made = made.copy()
        made.sum_duplicates()
    _refuse_bad_entries(made, name)
    return made


def _refuse_bad_entries(X: csr_array, name: str) -> None:
    if X.dtype.kind != "f" or np.isfinite(X.data).all():
        return
    k = int(np.argmin(np.isfinite(X.data)))
    row, column = np.searchsorted(X.indptr, k, side="right") - 1, X.indices[k]
    what = "NaN" if np.isnan(X.data[k]) else "infinity"
    raise ValueError(
        f"Input {name} contains {what}: the first stands in row {row}, column {column} (counted "
        "from 0). Remove or impute such values first, for example with "
        "sklearn.impute.SimpleImputer."
    )


def _length(values: Any) -> int:
    shape = getattr(values, "shape", None)
    if shape is None:
        return len(values) if hasattr(values, "__len__") else len(np.asarray(values))
    if len(shape) == 0:
        raise TypeError(f"y and sample_weight must have an entry for each row; got {values!r}.")
    return int(shape[0])


def _agreed(name: str, n: int | None, other_name: str, m: int) -> int:
    if n is not None and m != n:
        raise _unequal(name, str(n), m, other_name)
    return m


def _unequal(name: str, rows: str, n: int, other_name: str = "y") -> ValueError:
    return ValueError(
        f"Found input variables with inconsistent numbers of samples: {name} has {rows} rows, "
        f"{other_name} has {n}."
    )


def _weights(w: NDArray[np.float64], n: int | None) -> NDArray[np.float64]:
    if w.ndim == 0 and n is not None:
        w = np.full(n, w)
    if w.ndim != 1:
        raise ValueError(
            f"sample_weight must be a number or have shape (n_samples,); got shape {w.shape}."
        )
    wrong = ~(np.isfinite(w) & (w >= 0))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"sample_weight must be finite and not negative; sample_weight[{i}] is {w[i]}."
        )
    if not w.any():
        raise ValueError("sample_weight must have a positive entry; all are zero.")
    return w
