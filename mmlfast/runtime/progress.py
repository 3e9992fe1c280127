"""Progress of long work: one protocol, three ways to show it.

- progress=None or False: silent.
- progress=True: a bar on stderr (tqdm) with rate and time left, once work takes over a second.
- progress=f: f(done, total, seconds) after each step; total is None when unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

ProgressArgument = bool | Callable[[int, int | None, float], object] | None

WORTH_SHOWING_SECONDS = 1.0


class Progress:
    """Counts rows over all passes and tells whoever asked; a context manager.

    A bar shows itself only after `WORTH_SHOWING_SECONDS`, so short work stays silent.
    """

    def __init__(
        self, progress: ProgressArgument, total: int | None, description: str, unit: str = "rows"
    ) -> None:
        if not (progress is None or isinstance(progress, bool) or callable(progress)):
            raise TypeError(
                "progress must be True, False, None or a callable taking (done, total, seconds); "
                f"got {progress!r}."
            )
        self._callback = progress if callable(progress) else None
        self._show = progress is True
        self._total, self._description, self._unit = total, description, unit
        self._done = 0
        self._begun = time.perf_counter()
        self._bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, rows: int) -> None:
        """`rows` more are done."""
        self._done += rows
        if self._callback is not None:
            self._callback(self._done, self._total, time.perf_counter() - self._begun)
        elif self._show:
            self._update_bar()

    def _update_bar(self) -> None:
        if self._bar is None:
            if time.perf_counter() - self._begun < WORTH_SHOWING_SECONDS:
                return
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=self._total, desc=self._description, unit=f" {self._unit}", unit_scale=True
            )
            # The bar begins late; without this its rate would count the rows of no time at all.
            self._bar.start_t = self._bar.last_print_t = time.time() - (
                time.perf_counter() - self._begun
            )
        self._bar.update(self._done - self._bar.n)
