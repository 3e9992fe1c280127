"""The covariance matrix of a source of rows as an operator on blocks of vectors.

    apply(Q) = C Q = (X − μ)ᵀ((X − μ) Q) / n        in one read of X, C never formed

The first read does not know the mean yet: it works about a shift, finds the mean and the squares
beside the product, and corrects by the rank-one term, n δ (δᵀ Q) with δ = μ − s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.stream import SHIFT_ROWS, lower_median, nothing
from mmlfast.kernels import krylov as kernels
from mmlfast.runtime.blocks import in_multiples, rows_per_step, uninterrupted
from mmlfast.runtime.sources import Source
from mmlfast.runtime.threads import ordered_for
from mmlfast.runtime.validate import aligned, base_of, overflow, readable, refuse_bad_numbers

# Rows whose product is summed in the input's dtype before it is added in float64.
BLOCK_ROWS = 512


class CovarianceOperator:
    """C = (X − μ)ᵀ(X − μ)/n of a rewindable source; `mean` and `variances` after one apply."""

    def __init__(
        self,
        source: Source,
        dtype: np.dtype[Any],
        *,
        threads: int,
        advance: Callable[[int], None] = nothing,
    ) -> None:
        self._source, self._dtype = source, dtype
        self._threads, self._advance = threads, advance
        # Kept from read to read: fresh pages for it cost 4 ms a read at 10 000 columns.
        self._workers: dict[int, tuple[NDArray[Any], ...]] = {}
        self._scratch_for: tuple[int, int] | None = None
        self.n_features = source.n_features
        self.n_passes = 0
        self.n_rows = 0
        self.scale = np.ones(source.n_features)
        self.mean: NDArray[np.float64] | None = None
        self.variances: NDArray[np.float64] | None = None  # divided by n

    def _batches(self) -> Iterator[NDArray[Any]]:
        if self._source.array is not None:
            return iter([self._source.array])
        return in_multiples(self._source.batches(), BLOCK_ROWS)

    def apply(self, Q: NDArray[np.float64]) -> NDArray[np.float64]:
        """D⁻¹ C D⁻¹ Q for Q (n_features, b), float64; D = diag(scale), the identity by default."""
        d, b = Q.shape
        total = aligned((d, b), np.float64, zero=True)
        moments = np.zeros((2 if self.mean is None else 1, d))
        scaled = Q / self.scale[:, None]
        padded = aligned((d, kernels.projection_shape(b, self._dtype)[1]), self._dtype, zero=True)
        padded[:, :b] = scaled
        shift: NDArray[Any] | None = None if self.mean is None else self.mean.astype(self._dtype)
        if (b, len(moments)) != self._scratch_for:
            self._workers, self._scratch_for = {}, (b, len(moments))
        n_rows = 0
        for batch in self._batches():
            X = readable(batch)
            if shift is None:
                refuse_bad_numbers(X[:SHIFT_ROWS], 0)
                shift = lower_median(X[:SHIFT_ROWS].astype(self._dtype))
            for lo in range(0, len(X), step := self._step(b)):
                block = X[lo : lo + step]
                with uninterrupted():
                    added = self._add(block, shift, padded, moments, total)
                if added < len(block):
                    self._workers = {}
                    refuse_bad_numbers(block[added:], n_rows + added)
                    raise overflow(self._dtype)
                n_rows += len(block)
                self._advance(len(block))
        assert shift is not None
        self._finish(n_rows, shift.astype(np.float64), moments, scaled, total)
        total /= n_rows * self.scale[:, None]
        return total

    def _step(self, n_vectors: int) -> int:
        rows = rows_per_step(4.0 * self.n_features * n_vectors, self._threads)
        return max(1, rows // BLOCK_ROWS) * BLOCK_ROWS

    def _finish(
        self,
        n_rows: int,
        shift: NDArray[np.float64],
        moments: NDArray[np.float64],
        Q: NDArray[np.float64],
        total: NDArray[np.float64],
    ) -> None:
        """Note mean and variances after the first read; take the shift's error off the product."""
        self.n_passes += 1
        if not (np.isfinite(moments).all() and np.isfinite(total).all()):
            raise overflow(self._dtype)
        delta = moments[0] / n_rows
        if self.mean is None:
            self.n_rows = n_rows
            self.mean = shift + delta
            self.variances = np.maximum(moments[1] / n_rows - delta**2, 0.0)
        # Not `delta @ Q`: BLAS's threads would spin through half of the next read.
        total -= np.outer(n_rows * delta, (delta[:, None] * Q).sum(axis=0))

    def _add(
        self,
        X: NDArray[Any],
        shift: NDArray[Any],
        Q: NDArray[Any],
        moments: NDArray[np.float64],
        total: NDArray[np.float64],
    ) -> int:
        """Add a step of rows, block after block in order; return the rows before a bad number."""
        base, strides = base_of(X)
        blocks = range(0, len(X), BLOCK_ROWS)
        reached = len(X)
        good: dict[int, int] = {}

        def compute(i: int, worker: int) -> None:
            if worker not in self._workers:
                self._workers[worker] = self._scratch(Q.shape[1], len(moments))
            panel, Y, sums, Z = self._workers[worker]
            rows = (blocks[i], min(blocks[i] + BLOCK_ROWS, len(X)))
            good[worker] = kernels.covariance_rows(
                base, strides, rows, shift, Q, panel, Y, sums, Z
            )

        def merge(i: int, worker: int) -> bool:
            nonlocal reached
            _, _, sums, Z = self._workers[worker]
            if good[worker] < min(blocks[i] + BLOCK_ROWS, len(X)):
                reached = good[worker]
                return False
            kernels.add_to(Z, total)
            kernels.add_to(sums, moments)
            return True

        ordered_for(compute, merge, len(blocks), self._threads)
        return reached

    def _scratch(self, columns: int, n_moments: int) -> tuple[NDArray[Any], ...]:
        d, dtype = self.n_features, self._dtype
        return (
            aligned(kernels.block_panel_shape(d, dtype), dtype, zero=True),
            aligned(kernels.projection_shape(columns, dtype), dtype, zero=True),
            aligned((n_moments, d), dtype, zero=True),
            aligned(kernels.product_shape(d, columns, dtype), dtype, zero=True),
        )
