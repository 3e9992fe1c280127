"""Threads kept awake between many short sections of work.

To hand a section to the pool takes 25–100 µs, of which most is waking a thread: as long as a
product of a 2000 × 2000 matrix and a vector.  A crew's helpers stay in compiled code from section
to section and look for tickets there, `mmlfast.kernels.crew`; they rest when nothing comes for a
while.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mmlfast.runtime.threads import available_cpus, beside, run_everywhere
from mmlfast.runtime.validate import aligned

Result = TypeVar("Result")
Work = Callable[[NDArray[np.int64], int], None]

# Looks of 10 to 50 ns: longer than what a leader does between two short sections.
PATIENCE = 100_000
REST = 1e-4


class Crew:
    """Shares sections out among threads; `work(control, patience)` does parts while there are any.

    Any thread may do any part, so each must write to a place of its own.
    """

    def __init__(self, work: Work, threads: int) -> None:
        from mmlfast.kernels.crew import CONTROL

        # Two threads on one CPU would take turns at waiting for each other.
        self._work, self._threads = work, min(threads, available_cpus())
        self.control = aligned(CONTROL, np.int64, zero=True)
        self._awake = False

    def section(self, what: int, n_parts: int) -> None:
        """Do all parts of a section, by the helpers that are awake or else by the pool's."""
        from mmlfast.kernels.crew import all_done, open_section

        open_section(self.control, what, n_parts)
        threads = 1 if self._awake else min(self._threads, n_parts)
        run_everywhere(lambda _: self._work(self.control, 1), threads)
        while not all_done(self.control, n_parts, PATIENCE):
            time.sleep(0)

    def lead(self, body: Callable[[], Result]) -> Result:
        """body(), with helpers awake for the sections in it; the pool is taken up by them."""
        with self.awake():
            return body()

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Helpers are awake for the sections in the block; the pool is taken up by them."""
        from mmlfast.kernels.crew import STOP

        self.control[STOP] = 0
        self._awake = True
        with beside(self._help, self._threads):
            try:
                yield
            finally:
                self.control[STOP] = 1
                self._awake = False

    def _help(self, _: int) -> None:
        from mmlfast.kernels.crew import STOP

        while not self.control[STOP]:
            self._work(self.control, PATIENCE)
            time.sleep(REST)
