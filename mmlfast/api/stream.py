"""Moments of a stream of rows, computed block by block on several threads.

    MomentStream.add(X): n, t and G (see `moments`) of all rows so far

Every element of the moments is one chain of additions over the rows of a superblock, and
superblocks are added in order: the bits depend neither on how the rows were batched nor on the
number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.moments import Moments
from mmlfast.kernels import covariance as kernels
from mmlfast.runtime.blocks import SUPERBLOCK, rows_per_step, triangle_parts, uninterrupted
from mmlfast.runtime.threads import ordered_for, parallel_for
from mmlfast.runtime.validate import aligned, base_of, overflow, readable, refuse_bad_numbers

Weights = NDArray[np.float64] | None

# The shift is the lower median of the first rows: a value of the data, so that integers stay
# integers, and one wild row among them does no harm, as it would to a mean or to the first row.
SHIFT_ROWS = 16

# While a partial sum fits this, threads take superblocks of their own; wider matrices have all
# threads on the same superblock, each with columns of its own.  The first way pays for adding the
# partial sums (4 % at 784 columns), the second for centring the rows once for each thread (12 % at
# 784, 5 % at 2000).
PARTIAL_BYTES = 6 << 20
# Narrow matrices take several superblocks at a time, so that the hand-over is worth it.
TASK_BYTES = 256 << 10
# Fewer columns are not worth a hand-over for a part of one panel.
PARALLEL_COLUMNS = 256


def lower_median(rows: NDArray[Any]) -> NDArray[Any]:
    """Of each column a value that at least half of the rows do not exceed.

    Contiguous: kernels read it by whole vectors, and sorting keeps Fortran order.
    """
    return np.ascontiguousarray(np.sort(rows, axis=0)[(len(rows) - 1) // 2])


def nothing(rows: int) -> None:
    """What `add` calls after each step when nobody watches."""


class MomentStream:
    """Moments of all rows added so far; rows are (n, n_features) blocks of any supported dtype."""

    def __init__(
        self, n_features: int, dtype: np.dtype[Any], shift: NDArray[Any] | None = None
    ) -> None:
        self.n_features, self.dtype = n_features, dtype
        self.n_rows, self.weight = 0, 0.0
        self._first_rows: list[tuple[NDArray[Any], Weights]] = []
        self._shift = shift
        self._open_rows = self._pending = 0
        self._allocated = False
        self._workers: dict[int, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_workers": {}}  # scratch: not worth sending to anyone

    def _allocate(self) -> None:
        d, dtype = self.n_features, self.dtype
        self._total, self._total_sums = aligned((d, d), np.float64, zero=True), np.zeros(d)
        self._panel = aligned(kernels.panel_shape(d, dtype), dtype, zero=True)
        self._G = aligned(kernels.gram_shape(d, dtype), dtype, zero=True)
        self._sums = np.zeros(d, dtype)
        self._columns = self._G.shape[1]
        self._vectors = self._columns // kernels.padded_columns(1, dtype)
        self._allocated = True

    def add(
        self,
        X: NDArray[Any],
        weights: Weights = None,
        *,
        threads: int = 1,
        advance: Callable[[int], None] = nothing,
    ) -> None:
        """Add the rows of X, each counted `weights` times.

        If a number is NaN or infinite, ValueError names it; the rows of whole steps before it, and
        only those, have then been added.
        """
        X = readable(X)
        if self._shift is None:
            given = len(X)
            X, weights = self._hold_first_rows(X, weights)
            if held := given - len(X):
                advance(held)
        if self._shift is not None:
            self._take(X, weights, threads, advance)

    def _hold_first_rows(
        self, X: NDArray[Any], weights: Weights
    ) -> tuple[NDArray[Any], Weights]:
        """Keep rows until there are SHIFT_ROWS, then choose the shift; return the other rows."""
        if self.n_rows == 0 and len(X) >= SHIFT_ROWS:
            refuse_bad_numbers(X[:SHIFT_ROWS], 0)
            self._shift = lower_median(X[:SHIFT_ROWS].astype(self.dtype))
            return X, weights
        taken = SHIFT_ROWS - self.n_rows
        first, rest = X[:taken], X[taken:]
        refuse_bad_numbers(first, self.n_rows)
        w = None if weights is None else weights[:taken].copy()
        self._first_rows.append((first.copy(), w))
        self._count(len(first), w)
        if self.n_rows == SHIFT_ROWS:
            self._choose_shift()
        return rest, None if weights is None else weights[taken:]

    def _choose_shift(self) -> None:
        held, self._first_rows = self._first_rows, []
        rows = np.concatenate([block.astype(self.dtype) for block, _ in held])
        self._shift = lower_median(rows)
        self.n_rows, self.weight = 0, 0.0
        for block, weights in held:
            self._take(block, weights, 1, nothing)

    def _count(self, rows: int, weights: Weights) -> None:
        self.n_rows += rows
        if weights is None:
            self.weight += float(rows)
        elif rows:
            # One by one: a pairwise sum would depend on the batches.
            self.weight = float(np.cumsum(np.append(self.weight, weights[:rows]))[-1])

    def _take(
        self, X: NDArray[Any], weights: Weights, threads: int, advance: Callable[[int], None]
    ) -> None:
        if not self._allocated:
            self._allocate()
        step = rows_per_step(float(self.n_features) ** 2, threads)
        lo = 0
        while lo < len(X):
            left = len(X) - lo
            w = None if weights is None else weights[lo:]
            with uninterrupted():
                if self._open_rows == 0 and left >= SUPERBLOCK <= step and weights is None:
                    asked = min(left, step) // SUPERBLOCK * SUPERBLOCK
                    added = self._add_superblocks(X[lo : lo + asked], threads)
                else:
                    asked = min(left, SUPERBLOCK - self._open_rows, max(step, self._panel.shape[1]))
                    added = self._add_to_open(X[lo : lo + asked], w, threads)
                self._count(added, w)
            if added < asked:
                refuse_bad_numbers(X[lo + added : lo + asked], self.n_rows)
                raise overflow(self.dtype)
            lo += added
            advance(added)

    def _add_superblocks(self, X: NDArray[Any], threads: int) -> int:
        """Add the superblocks of X up to the first bad number; return how many rows that was."""
        superblocks = len(X) // SUPERBLOCK
        if self._G.nbytes > PARTIAL_BYTES:
            return self._all_to_every_thread(X, superblocks, threads) * SUPERBLOCK
        even = superblocks
        if self.n_features > PARALLEL_COLUMNS:
            # An odd one at the end would keep one thread busy and the others waiting.
            even = superblocks // threads * threads
        added = self._each_to_a_thread(X, even, threads) if even else 0
        if added == even < superblocks:
            rest = X[added * SUPERBLOCK :]
            added += self._all_to_every_thread(rest, superblocks - added, threads)
        return added * SUPERBLOCK

    def _each_to_a_thread(self, X: NDArray[Any], superblocks: int, threads: int) -> int:
        base, strides = base_of(X)
        each = max(1, min(TASK_BYTES // self._G.nbytes, superblocks // (8 * threads)))
        tasks = -(-superblocks // each)
        workers = [self._worker(index, each) for index in range(min(threads, tasks))]
        good = [0] * len(workers)
        added = 0

        def compute(i: int, worker: int) -> None:
            panel, G, sums = workers[worker]
            first, last = i * each, min((i + 1) * each, superblocks)
            good[worker] = kernels.gram_superblocks(
                base, strides, first * SUPERBLOCK, last * SUPERBLOCK, SUPERBLOCK, self._shift,
                panel, sums, G,
            )  # fmt: skip

        def merge(i: int, worker: int) -> bool:
            nonlocal added
            _, G, sums = workers[worker]
            for b in range(good[worker]):
                self._add_to_total(G[b], sums[b])
            added += good[worker]
            return good[worker] == min(each, superblocks - i * each)

        ordered_for(compute, merge, tasks, threads)
        if added < superblocks:
            self._workers.clear()
        return added

    def _worker(self, index: int, each: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Panel, partial sums and column sums of one thread, zero; kept from step to step."""
        if index not in self._workers or len(self._workers[index][1]) < each:
            self._workers[index] = (
                aligned(self._panel.shape, self.dtype, zero=True),
                aligned((each, *self._G.shape), self.dtype, zero=True),
                np.zeros((each, self.n_features), self.dtype),
            )
        return self._workers[index]

    def _all_to_every_thread(self, X: NDArray[Any], superblocks: int, threads: int) -> int:
        base, strides = base_of(X)
        parts = triangle_parts(self._vectors, threads)
        totals = (self._total, self._total_sums)
        done = [0] * len(parts)

        def task(index: int) -> None:
            panel, sums = self._scratch(parts[index])
            done[index] = kernels.gram_columns(
                base, strides, (0, superblocks * SUPERBLOCK, SUPERBLOCK), self._shift, panel,
                parts[index], sums, self._G, totals,
            )  # fmt: skip

        parallel_for(task, len(parts), threads)
        if done[0] < superblocks:
            # All parts stopped before the same superblock; what G has of it goes.
            self._G[:] = 0
            self._sums[:] = 0
        return done[0]

    def _scratch(self, columns: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Panel and sums of the thread that owns some columns; the first has the real sums."""
        panel = aligned(self._panel.shape, self.dtype, zero=True)
        return panel, self._sums if columns[0] == 0 else np.zeros_like(self._sums)

    def _add_to_total(self, G: NDArray[Any], sums: NDArray[Any]) -> None:
        kernels.add_upper(G, sums, (0, self._columns), self._total, self._total_sums)

    def _parts_worth(self, threads: int) -> int:
        return threads if self.n_features > PARALLEL_COLUMNS else 1

    def _add_to_open(self, X: NDArray[Any], weights: Weights, threads: int) -> int:
        """Add rows to the open superblock up to the first bad panel; return how many."""
        parts = triangle_parts(self._vectors, self._parts_worth(threads))
        panel_rows = self._panel.shape[1]
        r = 0
        while r < len(X):
            block = X[r:]
            if weights is not None:
                asked = min(len(block), panel_rows)
                added = self._weighted_panel(block[:asked], weights[r:], parts)
            elif self._pending == 0 and len(block) >= panel_rows:
                asked = len(block) // panel_rows * panel_rows
                added = self._whole_panels(block[:asked], parts)
            else:
                asked = min(len(block), panel_rows - self._pending)
                added = self._wait_in_panel(block[:asked], parts)
            r += added
            if added < asked:
                break
        self._open_rows += r
        if self._open_rows == SUPERBLOCK:
            self._flush_panel(parts)
            self._add_to_total(self._G, self._sums)
            self._open_rows = 0
        return r

    def _whole_panels(self, X: NDArray[Any], parts: list[tuple[int, int]]) -> int:
        base, strides = base_of(X)
        before = self._sums.copy()
        reached = [0] * len(parts)

        def task(index: int) -> None:
            panel, sums = self._scratch(parts[index])
            reached[index] = kernels.gram_rows(
                base, strides, 0, len(X), self._shift, panel, parts[index], sums, self._G
            )

        parallel_for(task, len(parts), len(parts))
        added = reached[0]
        if added < len(X):
            self._sums[:] = before
            for r in range(0, added, self._panel.shape[1]):
                kernels.centre_rows(
                    base, strides, r, self._panel.shape[1], self._shift, self._panel, 0, self._sums
                )
        return added

    def _wait_in_panel(self, X: NDArray[Any], parts: list[tuple[int, int]]) -> int:
        """Centre rows into the panel and leave them there until it is full."""
        if not self._centre(X, self._pending):
            return 0
        self._pending += len(X)
        if self._pending == self._panel.shape[1]:
            self._flush_panel(parts)
        return len(X)

    def _centre(self, X: NDArray[Any], at: int) -> bool:
        before = self._sums.copy()
        kernels.centre_rows(*base_of(X), 0, len(X), self._shift, self._panel, at, self._sums)
        if kernels.all_finite(self._sums):
            return True
        self._sums[:] = before
        return False

    def _weighted_panel(
        self, X: NDArray[Any], weights: NDArray[np.float64], parts: list[tuple[int, int]]
    ) -> int:
        self._flush_panel(parts)
        before = self._sums.copy()
        if not self._centre(X, 0):
            return 0
        self._sums[:] = before
        weighted = aligned(self._panel.shape, self.dtype, zero=True)
        kernels.weigh_rows(self._panel, weights, 0, 0, len(X), weighted, self._sums)
        self._rank_update(weighted, len(X), parts)
        return len(X)

    def _flush_panel(self, parts: list[tuple[int, int]]) -> None:
        if self._pending:
            self._rank_update(self._panel, self._pending, parts)
            self._pending = 0

    def _rank_update(
        self, left: NDArray[Any], n_rows: int, parts: list[tuple[int, int]]
    ) -> None:
        def task(index: int) -> None:
            kernels.rank_update(left, self._panel, n_rows, *parts[index], self._G)

        parallel_for(task, len(parts), len(parts))

    def moments(self) -> Moments:
        """The moments of all rows added so far; adding may go on afterwards, to the same bits."""
        if self.n_rows == 0:
            return Moments.empty(self.n_features)
        if self._shift is None:
            few = MomentStream(self.n_features, self.dtype)
            few._first_rows = self._first_rows
            few._choose_shift()
            return few.moments()
        self._flush_panel([(0, self._vectors)])
        d = self.n_features
        G = aligned((d, d), np.float64)
        kernels.fill_symmetric(self._total, self._G, G)
        if not np.isfinite(np.einsum("ii->i", G)).all():
            raise overflow(self.dtype)
        shift = self._shift.astype(np.float64)
        return Moments(self.n_rows, self.weight, shift, self._total_sums + self._sums, G)
