"""One case on two installations: checked, then timed in pairs.

    start both → error, counts and memory of each → A B B A … → again while the verdict is in doubt

Wrong results end a case before anything is timed.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks import figures
from benchmarks.case import OURS, Case
from benchmarks.environments import TEMPORARY, Environment
from benchmarks.figures import Figure
from benchmarks.process import Absent, Failed, Installation, Worker
from mmlfast.testing import Comparison, Rules, Sides, compare

State = Literal[
    "broken", "slower", "worse", "failed", "missing", "faster", "same", "unclear", "mended", "new"
]
REGRESSIONS: tuple[State, ...] = ("broken", "slower", "worse")
NOT_COMPARED: tuple[State, ...] = ("failed", "missing")

LIMIT = 300.0  # seconds an answer may take before the worker counts as hanging
MEMORY_LAUNCHES = 3  # memory that grew is measured again: the least of so many launches counts


class Side(NamedTuple):
    """An environment, and the folder whose `benchmarks` it measures with."""

    environment: Environment
    stick: Path

    @property
    def installation(self) -> Installation:
        """How to start a worker."""
        return self.environment.installation(self.stick)

    def with_cache(self, cache: Path) -> Installation:
        """The same with another folder for compiled kernels."""
        return self.environment.installation(self.stick, cache)


@dataclass
class Checked:
    """What a side did before the clock ran."""

    error: float = math.nan
    counts: dict[str, float] = field(default_factory=dict)
    memory: float = math.inf


@dataclass
class Result:
    """What one case gave."""

    name: str
    state: State
    note: str = ""
    comparison: Comparison | None = None
    figures: list[Figure] = field(default_factory=list)

    @property
    def worse(self) -> list[Figure]:
        """The figures that got worse."""
        return [figure for figure in self.figures if figure.worse]


class Stopped(Exception):
    """A case that ends before it is timed."""

    def __init__(self, state: State, note: str) -> None:
        self.state, self.note = state, note
        super().__init__(note)


class Gate:
    """Two sides that run the same cases.

    Parameters
    ----------
    base, head : Side
    registry, size : str
        What the workers load.
    """

    def __init__(
        self, base: Side, head: Side, registry: str = "benchmarks.cases", size: str = "normal"
    ) -> None:
        self.base, self.head = base, head
        self.registry, self.size = registry, size

    def run(self, case: Case, rules: Rules, *, new: bool = False) -> Result:
        """Everything measured of `case`; `new` where the tree of the base does not register it."""
        checked = Checked(), Checked()

        @contextmanager
        def launch() -> Iterator[Sides]:
            with self._launched(case, new) as workers:
                _check(case, workers, checked)
                yield Sides(_turns(workers[1]), _turns(workers[0]))

        try:
            comparison = compare(launch, rules)
            for _ in range(MEMORY_LAUNCHES - comparison.n_launches):
                if not _memory(checked).worse:
                    break
                with self._launched(case, new) as workers:
                    _check(case, workers, checked)
        except Stopped as end:
            return Result(case.name, end.state, end.note)
        except (Absent, Failed) as error:
            return Result(case.name, "failed", str(error))
        base, head = checked
        found = [
            figures.error(base.error, head.error, case.tolerance),
            *figures.counts(base.counts, head.counts),
        ]
        if case.group != "startup":  # there the process that is measured only waits
            found.append(_memory(checked))
        worse = any(figure.worse for figure in found)
        state: State = "worse" if worse and comparison.verdict != "slower" else comparison.verdict
        return Result(case.name, state, comparison=comparison, figures=found)

    def compiled(self, case: Case) -> tuple[float, float]:
        """Processor seconds of the first call of both sides, each with an empty cache of its own.

        What was compiled is kept for the workers that follow.
        """
        with ThreadPoolExecutor(2) as both:
            base, head = both.map(lambda side: self._compile(case, side), (self.base, self.head))
        return base, head

    def _compile(self, case: Case, side: Side) -> float:
        with tempfile.TemporaryDirectory(dir=side.environment.folder, prefix=TEMPORARY) as empty:
            installation = side.with_cache(Path(empty))
            with Worker(self.registry, case, OURS, "tiny", installation, LIMIT) as worker:
                seconds = worker.warming
            shutil.copytree(empty, side.environment.cache, dirs_exist_ok=True)
        return seconds

    @contextmanager
    def _launched(self, case: Case, new: bool) -> Iterator[tuple[Worker, Worker]]:
        """Workers of base and head, both asleep.

        The threads that start them last as long as they do: a worker is killed with its thread.
        """
        with ExitStack() as stack, ThreadPoolExecutor(2) as starts:
            starting = [
                starts.submit(
                    Worker, self.registry, case, OURS, self.size, side.installation, LIMIT
                )
                for side in (self.base, self.head)
            ]
            workers, failures = [], []
            for future, side in zip(starting, (self.base, self.head), strict=True):
                try:
                    worker = stack.enter_context(future.result())
                    worker.name = side.environment.source.side
                    _same_home(worker, side)
                    workers.append(worker)
                except (Absent, Failed) as error:
                    failures.append((side, error))
            for side, error in failures:
                if side is self.base and new and len(failures) == 1:
                    raise Stopped("new", f"{side.environment.source} cannot run it: {error}")
                raise Stopped("failed", f"{side.environment.source}: {error}")
            yield workers[0], workers[1]


def _same_home(worker: Worker, side: Side) -> None:
    """Refuse a worker that found another mmlfast than the one built for it."""
    if worker.home is not None and not Path(worker.home).is_relative_to(side.environment.folder):
        raise Failed(f"it imported mmlfast from {worker.home}, outside its environment")


def _check(case: Case, workers: tuple[Worker, Worker], checked: tuple[Checked, Checked]) -> None:
    """One call of each: memory, error, counts."""
    for worker, side in zip(workers, checked, strict=True):
        with worker.awake():
            _, memory = worker.call_watching_memory()
            side.error, side.counts = worker.check()
        side.memory = min(side.memory, memory)
    base, head = (side.error <= case.tolerance for side in checked)  # a nan is not
    errors = f"{checked[0].error:.2g} → {checked[1].error:.2g}, allowed {case.tolerance:.2g}"
    if not head:
        raise Stopped("broken", f"HEAD gives a wrong result: error {errors}")
    if not base:
        raise Stopped("mended", f"BASE gave a wrong result: error {errors}")


def _memory(checked: tuple[Checked, Checked]) -> Figure:
    return figures.memory(checked[0].memory, checked[1].memory)


def _turns(worker: Worker) -> Callable[[int], float]:
    def turn(number: int) -> float:
        with worker.awake():
            return worker.call(number)

    return turn
