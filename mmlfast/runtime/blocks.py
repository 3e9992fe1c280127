"""How rows and columns are cut: superblocks, steps and parts.  No mathematics.

Rows are cut at absolute multiples of SUPERBLOCK, counted from the first row ever seen, whatever
the batches they arrive in: inside a superblock sums run in the input's precision, outside in
float64.  A step is as many rows as are worked on between two looks at the progress bar and at
Ctrl-C.  Parts are what threads share out.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUPERBLOCK = 2048
STEP_SECONDS = 0.2
FLOPS_PER_SECOND = 5e10  # one core, float32: only a scale for cutting steps, never for results


def rows_per_step(flops_per_row: float, threads: int) -> int:
    """Rows that take about STEP_SECONDS: at least 1, and few enough that Ctrl-C is prompt."""
    return max(1, int(STEP_SECONDS * FLOPS_PER_SECOND * threads / max(flops_per_row, 1.0)))


def triangle_parts(n_vectors: int, parts: int) -> list[tuple[int, int]]:
    """Cut the columns of an upper triangle into ranges of nearly equal area."""
    cuts = sorted({round(n_vectors * (i / parts) ** 0.5) for i in range(parts + 1)})
    return list(itertools.pairwise(cuts))


def in_multiples(batches: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """The same rows in batches whose lengths are multiples of `rows`, the last one excepted."""
    kept: list[NDArray[Any]] = []
    n_kept = 0
    for batch in batches:
        start = 0
        if n_kept:
            start = min(rows - n_kept, len(batch))
            # A copy: whoever makes the batches may use their memory again.
            kept.append(batch[:start].copy())
            n_kept += start
            if n_kept < rows:
                continue
            yield np.concatenate(kept)
            kept, n_kept = [], 0
        whole = start + (len(batch) - start) // rows * rows
        if whole > start:
            yield batch[start:whole]
        if whole < len(batch):
            kept, n_kept = [batch[whole:].copy()], len(batch) - whole
    if n_kept:
        yield np.concatenate(kept)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends, so that what it changes is changed as a whole."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    pressed = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if pressed:
            raise KeyboardInterrupt
