"""Contestants in turn: A B C, C B A, A B C …  and the medians of what each took.

    ratio = median seconds of the rival / median seconds of mmlfast

Every contestant lives in its own process, loaded and warm, and only one computes at a time.
Accuracy comes first: a wrong result is broken, and nothing of that case is timed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from time import sleep

from benchmarks.case import OURS, Case, Size
from benchmarks.process import PAUSE, Absent, Failed, Worker

TURN = 0.05  # seconds one turn lasts at least, so that short calls are repeated
BUDGET = 20.0  # seconds of calls a case is given
MOST, LEAST, LEAST_IF_SLOW = 15, 7, 3  # rounds; slow: a call above SLOW seconds
SLOW = 2.0
VERY_SLOW = 30.0  # a call of so many seconds is made once: what it is checked on is its time too


@dataclass
class Measured:
    """What one contestant did."""

    seconds: list[float] = field(default_factory=list)
    error: float = math.nan
    extra_bytes: int = 0

    @property
    def median(self) -> float:
        """Median seconds of a call; nan when nothing was timed."""
        return median(self.seconds) if self.seconds else math.nan


@dataclass
class Outcome:
    """What one case gave: contestants that ran by name, and why the others did not."""

    case: Case
    measured: dict[str, Measured] = field(default_factory=dict)
    missing: dict[str, Absent | Failed] = field(default_factory=dict)

    @property
    def ours(self) -> Measured | None:
        """mmlfast's own figures; None when it could not run."""
        return self.measured.get(OURS)

    @property
    def allowed_error(self) -> float:
        """The largest error that is not broken."""
        rival = self.measured.get(self.case.no_worse_than or "")
        return self.case.tolerance if rival is None or math.isnan(rival.error) else rival.error

    @property
    def broken(self) -> bool:
        """Whether mmlfast ran and its result is wrong; a nan is."""
        return self.ours is not None and not self.ours.error <= self.allowed_error

    def ratio(self, rival: str) -> float:
        """Median seconds of the rival over those of mmlfast."""
        return self.measured[rival].median / self.measured[OURS].median


def run(
    case: Case,
    rivals: Sequence[str] = (),
    *,
    size: Size = "normal",
    registry: str = "benchmarks.cases",
    budget: float = BUDGET,
) -> Outcome:
    """Check, then time, mmlfast and the given rivals on one case."""
    outcome = Outcome(case)
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name in (OURS, *rivals):
            try:
                # Compiling takes memory: where that counts, another process fills the cache before.
                if name == OURS and case.memory_limit is not None:
                    with Worker(registry, case, name, size) as rehearsal:
                        rehearsal.call()
                workers[name] = stack.enter_context(Worker(registry, case, name, size))
                outcome.measured[name] = check(workers[name])
            except (Absent, Failed) as reason:
                outcome.missing[name] = reason
                workers.pop(name, None)
                if name == OURS:
                    return outcome
        if not outcome.broken:
            take_turns(workers, outcome, budget)
    return outcome


def check(worker: Worker) -> Measured:
    """One call at full size: its memory and its error; its time where one call has to do."""
    seconds, extra_bytes = worker.call_watching_memory()
    timed = [seconds] if seconds > VERY_SLOW else []
    return Measured(timed, error=worker.error(), extra_bytes=extra_bytes)


def take_turns(workers: dict[str, Worker], outcome: Outcome, budget: float) -> None:
    """Rounds until the budget is spent; a rival that fails leaves the others to go on."""
    order = [name for name in workers if not outcome.measured[name].seconds]
    numbers: dict[str, int] = {}
    once: dict[str, float] = {}

    def turn(name: str, number: int) -> float | None:
        sleep(PAUSE)
        try:
            return workers[name].call(number)
        except Failed as reason:
            outcome.missing[name] = reason
            outcome.measured.pop(name)
            order.remove(name)
            return None

    for name in list(order):
        seconds = turn(name, 1)
        if seconds is not None:
            once[name] = seconds
            numbers[name] = max(1, math.ceil(TURN / max(seconds, 1e-9)))
    if not once:
        return
    a_round = sum(once[name] * numbers[name] + PAUSE for name in order)
    least = LEAST_IF_SLOW if max(once.values()) > SLOW else LEAST
    for _ in range(max(least, min(MOST, int(budget / a_round)))):
        for name in list(order):
            seconds = turn(name, numbers[name])
            if seconds is not None:
                outcome.measured[name].seconds.append(seconds)
        order.reverse()
        if OURS not in outcome.measured:
            return
