"""Scores of rows: (x − mean) W, cast, centred and multiplied in one read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.kernels import krylov as kernels
from mmlfast.kernels.covariance import all_finite
from mmlfast.runtime.blocks import rows_per_step
from mmlfast.runtime.sources import Source
from mmlfast.runtime.threads import parallel_for
from mmlfast.runtime.validate import aligned, base_of, overflow, readable, refuse_bad_numbers

ROWS_AT_A_TIME = 2048


def project(
    data: Source | NDArray[Any],
    mean: NDArray[Any],
    W: NDArray[np.float64],
    threads: int,
    out: NDArray[Any] | None,
    first_row: int = 0,
) -> NDArray[Any]:
    """Scores of all rows of a source or of one block of rows, whose first is `first_row`.

    Computed in float32 for float32 and float16 input, else in float64.
    """
    single = data.dtype in (np.float32, np.float16)
    dtype = np.dtype(np.float32 if single else np.float64)
    n, k = (data.n_rows if isinstance(data, Source) else len(data)), W.shape[1]
    array = data.array if isinstance(data, Source) else data
    if out is not None:
        _check_out(out, n, k, array)
    weights = aligned((len(W), kernels.projection_shape(k, dtype)[1]), dtype, zero=True)
    weights[:, :k] = W
    shift = mean.astype(dtype)
    collected, batches = out, iter([array] if array is not None else [])
    if isinstance(data, Source) and array is None:
        batches = data.batches()
    elif collected is None:
        collected = np.empty((n, k), dtype)  # type: ignore[arg-type]
    pieces: list[NDArray[Any]] = []
    row = 0
    for X in batches:
        if out is not None and row + len(X) > len(out):
            raise _wrong_length(out, f"at least {row + len(X)} rows were read")
        part = (
            np.empty((len(X), k), dtype) if collected is None else collected[row : row + len(X)]
        )
        _project_block(readable(X), shift, weights, threads, part, first_row + row)
        if collected is None:
            pieces.append(part)
        row += len(X)
    if out is not None and row < len(out):
        raise _wrong_length(out, f"{row} rows were read, whose scores it holds")
    return np.concatenate(pieces) if collected is None else collected


def _wrong_length(out: NDArray[Any], read: str) -> ValueError:
    return ValueError(
        f"out must have one row for each row of X: it has {len(out)}, and {read}. Use "
        "iter_transform where the number is not known before."
    )


def _check_out(out: NDArray[Any], n: int | None, k: int, X: NDArray[Any] | None) -> None:
    shape = np.shape(out)
    fits = len(shape) == 2 and shape[1] == k and n in (None, shape[0])
    if not isinstance(out, np.ndarray) or not fits:
        raise ValueError(
            f"out must be an array of shape ({'n_samples' if n is None else n}, {k}); got "
            f"{getattr(out, 'shape', type(out).__name__)}."
        )
    if out.dtype not in (np.float32, np.float64) or not out.dtype.isnative:
        raise ValueError(f"out must have dtype float32 or float64; got {out.dtype}.")
    if not out.flags.writeable:
        raise ValueError("out must be writeable; got a read-only array.")
    if X is not None and np.may_share_memory(out, X):
        raise ValueError("out must not share memory with X; pass a separate array.")


def _project_block(
    X: NDArray[Any],
    shift: NDArray[Any],
    weights: NDArray[Any],
    threads: int,
    out: NDArray[Any],
    first_row: int,
) -> None:
    if len(X) == 0:
        return
    d, columns = weights.shape
    # A hand-over is worth it from some 0.1 ms of work; a step is cut for 0.2 s.
    each = max(ROWS_AT_A_TIME, rows_per_step(2.0 * d * columns, 1) // 1000)
    starts = range(0, len(X), each)

    def task(index: int) -> None:
        block = X[starts[index] : starts[index] + each]
        sums = np.zeros(d, shift.dtype)
        kernels.project_rows(
            *base_of(block), (0, len(block)), shift, weights,
            aligned(kernels.block_panel_shape(d, shift.dtype), shift.dtype, zero=True),
            aligned(kernels.projection_shape(columns, shift.dtype), shift.dtype, zero=True),
            sums, out[starts[index] : starts[index] + each],
        )  # fmt: skip
        if not all_finite(sums):
            refuse_bad_numbers(block, first_row + starts[index])
            raise overflow(shift.dtype)

    parallel_for(task, len(starts), threads)
