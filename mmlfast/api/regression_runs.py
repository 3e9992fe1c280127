"""Runs the kernels of small regressions over parts of the problems, on the threads allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.batches import PART_FLOPS, base, lanes_of
from mmlfast.api.regression_problems import Problems
from mmlfast.runtime.threads import blas_for, n_threads, parallel_for
from mmlfast.runtime.validate import scratch

# A full group is quicker than LAPACK's QR of one matrix after the other for as long as its scratch
# may be kept: on one thread 10 to 40 times at 200 × 10, 5 times at 20 000 × 10, 2.6 times at
# 4000 × 40; Newton's method alike.  A group of one problem costs as much: 1.5 times as quick at
# 2000 × 10, half as quick at 2000 × 40.
GROUP_BYTES, PARTIAL_BYTES = 1 << 25, 1 << 21
GROUP_COLUMNS = 128

Layout = tuple[tuple[int, ...], int]
Alone = Callable[[NDArray[Any], NDArray[Any], NDArray[Any] | None], NDArray[np.float64]]


def run(
    problems: Problems,
    fit_groups: Any,
    layout: Callable[[int], Layout],
    options: tuple[Any, ...],
    ones: int,
    rows: int,
    alone: Alone,
    n_jobs: int | None,
    once: bool = False,
) -> NDArray[np.float64]:
    """The kernel's report (rows, count); `alone` makes columns of it for large problems.

    With `once` problems that share X are left to `alone`, too, which factorises it once.
    """
    d = problems.n_features
    lanes = lanes_of(np.dtype(np.float64))
    # Parts are whole groups, so that none writes into another's columns.
    report = np.empty((rows, -(-problems.count // lanes) * lanes))
    parts = list(problems.parts(lanes))
    places = np.cumsum([0, *map(len, parts)]).tolist()

    def fits(which: NDArray[np.intp]) -> bool:
        size = layout(int(problems.sizes[which].max()))[1] * lanes * 8
        limit = GROUP_BYTES if 2 * len(which) >= lanes else PARTIAL_BYTES
        return not once and d <= GROUP_COLUMNS and size <= limit

    def in_groups(index: int) -> None:
        which, place = parts[index], places[index]
        X, y, w = problems.take(which)
        n, count = X.shape[1], len(which)
        where, size = layout(n)
        data = (
            base(X), base(y), base(y if w is None else w),
            0 if len(X) == 1 else n * d, 0 if len(y) == 1 else n,
            -1 if w is None else 0 if len(w) == 1 else n,
        )  # fmt: skip
        workspace = scratch(size * lanes, np.float64)
        groups = 0, -(-count // lanes), place
        fit_groups(data, (n, d, ones, count), options, where, groups, workspace, report)

    def one_by_one(index: int) -> None:
        which, place = parts[index], places[index]
        X, y, w = problems.take(which)
        with blas_for(d):
            if len(X) == 1 and (w is None or len(w) == 1):
                shared = None if w is None else w[0]
                report[:, place : place + len(which)] = alone(X[0], y, shared)
                return
            for b in range(len(which)):
                row = None if w is None else w[b % len(w)]
                report[:, place + b] = alone(X[b % len(X)], y[b % len(y)][None], row)[:, 0]

    grouped = [index for index, which in enumerate(parts) if fits(which)]
    flops = 4.0 * float(problems.sizes.sum()) * (d + 1) ** 2
    threads = n_threads(n_jobs)
    parallel_for(
        lambda i: in_groups(grouped[i]), len(grouped), threads if flops > 2 * PART_FLOPS else 1
    )
    # BLAS is not called inside the pool.
    for index in sorted(set(range(len(parts))) - set(grouped)):
        one_by_one(index)
    if problems.starts is None:
        return report[:, : problems.count]
    ordered = np.empty((rows, problems.count))
    ordered[:, np.concatenate(parts)] = report[:, : problems.count]
    return ordered
