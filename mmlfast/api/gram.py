"""Inner products of columns, in one read of the rows.

    G = Σ w x yᵀ            centred: G = Σ w (x − μ_x)(y − μ_y)ᵀ

Sums run in the input's precision inside a superblock of rows and in float64 outside.  What is
centred is shifted first, so that a large mean costs no digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.covariance import CovarianceState, checked_weights
from mmlfast.api.inputs import borrowed_source
from mmlfast.api.linalg import matmul
from mmlfast.api.stream import SHIFT_ROWS, MomentStream, lower_median
from mmlfast.runtime.blocks import SUPERBLOCK, in_multiples
from mmlfast.runtime.sources import Source
from mmlfast.runtime.threads import n_threads
from mmlfast.runtime.validate import overflow, refuse_bad_numbers, work_dtype

Weights = NDArray[np.float64] | None


def gram(
    X: Any,
    Y: Any = None,
    *,
    weights: ArrayLike | None = None,
    center: bool = False,
    n_jobs: int | None = None,
) -> NDArray[Any]:
    """G = XᵀX or XᵀY, the inner products of columns.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or anything a source can be
        Read once, never copied as a whole.
    Y : array-like of shape (n_samples, n_targets), or anything a source can be, default=None
        The columns of the other side; X itself by default, for half the work.
    weights : array-like of shape (n_samples,), default=None
        How often each row counts: G = Σ w x yᵀ.
    center : bool, default=False
        Subtract the weighted means first; divided by n − 1 the result is the covariance.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    ndarray of shape (n_features, n_features) or (n_features, n_targets)
        Exactly symmetric without Y; float32 if all input is float32 or float16, else float64.

    Raises
    ------
    ValueError
        NaN or infinity, another number of rows in Y, or weights that do not fit.

    See Also
    --------
    mmlfast.matmul : Products of matrices in memory.
    mmlfast.covariance : The same centred and divided.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import gram
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> gram(X)
    array([[10., 14.],
           [14., 20.]])
    >>> gram(X, [[1.0], [2.0]], weights=[1.0, 0.5])
    array([[4.],
           [6.]])
    """
    with borrowed_source(X) as source:
        w = None if weights is None else checked_weights(weights, source)
        if Y is not None:
            with borrowed_source(Y, "Y") as other:
                G = _cross_products(source, other, w, center, n_threads(n_jobs))
                dtypes = [source.dtype, other.dtype]
        else:
            G = _own_products(source, w, center, n_jobs)
            dtypes = [source.dtype]
    if all(dtype in (np.float32, np.float16) for dtype in dtypes):
        return G.astype(np.float32)
    return G


def _own_products(
    source: Source, weights: Weights, center: bool, n_jobs: int | None
) -> NDArray[np.float64]:
    if center:
        state = CovarianceState(source.n_features, n_jobs=n_jobs).update(source, weights)
        if state.n_samples == 0 or state.weight == 0:
            return np.zeros((source.n_features, source.n_features))
        return state.covariance(ddof=0) * state.weight
    dtype = work_dtype(source.dtype)
    stream = MomentStream(source.n_features, dtype, np.zeros(source.n_features, dtype))
    row = 0
    for batch in [source.array] if source.array is not None else source.batches():
        part = None if weights is None else weights[row : row + len(batch)]
        stream.add(batch, part, threads=n_threads(n_jobs))
        row += len(batch)
    return stream.moments().G


def _cross_products(
    X: Source, Y: Source, weights: Weights, center: bool, threads: int
) -> NDArray[np.float64]:
    dtype = np.result_type(work_dtype(X.dtype), work_dtype(Y.dtype))
    G = np.zeros((X.n_features, Y.n_features))
    sums = [np.zeros(X.n_features), np.zeros(Y.n_features)]
    shifts: list[NDArray[Any]] = []
    total, row = 0.0, 0
    for pair in zip_longest(_superblocks(X), _superblocks(Y)):
        rows = [0 if block is None else len(block) for block in pair]
        if rows[0] != rows[1]:
            raise ValueError(
                f"Y must have as many rows as X; one of them ends after row {row + min(rows)}, "
                "the other goes on."
            )
        for name, block in zip("XY", pair, strict=True):
            refuse_bad_numbers(block, row, name)
        blocks = [block.astype(dtype) for block in pair]
        if center and not shifts:
            shifts = [lower_median(block[:SHIFT_ROWS]) for block in blocks]
        for block, shift in zip(blocks, shifts, strict=False):
            block -= shift
        w = np.ones(rows[0]) if weights is None else weights[row : row + rows[0]]
        left = blocks[0] if weights is None else (blocks[0] * w[:, None]).astype(dtype)
        for block, total_sums in zip(blocks, sums, strict=True):
            total_sums += w @ block
        G += matmul(left.T, blocks[1], n_jobs=threads)
        total += w.sum()
        row += rows[0]
    if not np.isfinite(G).all():
        raise overflow(dtype)
    return G - np.outer(sums[0], sums[1] / total) if center and total else G


def _superblocks(source: Source) -> Iterator[NDArray[Any]]:
    """The rows in blocks of SUPERBLOCK, the last one excepted, however they come."""
    batches = [source.array] if source.array is not None else source.batches()
    for batch in in_multiples(batches, SUPERBLOCK):
        for first in range(0, len(batch), SUPERBLOCK):
            yield batch[first : first + SUPERBLOCK]
