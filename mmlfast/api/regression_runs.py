"""Runs the kernels of small regressions over parts of the problems, on the threads allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.batches import base, lanes_of
from mmlfast.api.regression_problems import Problems
from mmlfast.runtime.threads import blas_for, n_threads, parallel_for
from mmlfast.runtime.validate import scratch

# A group beyond this leaves the second cache, and one matrix after the other is quicker.
KERNEL_BYTES = 1 << 21
KERNEL_COLUMNS = 64
# Some 250 µs of one core's work: less than two of them are not worth a hand-over.
PART_FLOPS = 1 << 21

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
    report = np.empty((rows, problems.count))
    parts = list(problems.parts(lanes))

    def work(index: int) -> None:
        which = parts[index]
        X, y, w = problems.take(which)
        n, count = X.shape[1], len(which)
        where, size = layout(n)
        if once or size * lanes * 8 > KERNEL_BYTES or d > KERNEL_COLUMNS:
            with blas_for(d):
                if len(X) == 1 and (w is None or len(w) == 1):
                    report[:, which] = alone(X[0], y, None if w is None else w[0])
                    return
                for place, b in enumerate(which):
                    row = None if w is None else w[place % len(w)]
                    report[:, [b]] = alone(X[place % len(X)], y[place % len(y)][None], row)
            return
        groups = -(-count // lanes)
        own = np.empty((rows, groups * lanes))
        data = (
            base(X), base(y), base(y if w is None else w),
            0 if len(X) == 1 else n * d, 0 if len(y) == 1 else n,
            -1 if w is None else 0 if len(w) == 1 else n,
        )  # fmt: skip
        workspace = scratch(size * lanes, np.float64)
        fit_groups(data, (n, d, ones, count), options, where, (0, groups), workspace, own)
        report[:, which] = own[:, :count]

    flops = 4.0 * float(problems.sizes.sum()) * (d + 1) ** 2
    large = layout(int(problems.sizes.max()))[1] * lanes * 8 > KERNEL_BYTES
    threads = 1 if once or large or flops < 2 * PART_FLOPS else n_threads(n_jobs)
    parallel_for(work, len(parts), threads)
    return report
