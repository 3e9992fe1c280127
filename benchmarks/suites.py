"""Kinds of figures, and the asv suites made of them: a class for each group of cases and kind.

    Matmul.time_call(case)    MatmulMemory.peakmem_call(case)    MatmulRatio.track_ratio(…)   …

asv runs each cell in a process of its own, and `setup` again before every sample: a case is loaded
and checked once, and a wrong one is never timed.  A cell that does not apply does not exist; one
that the measured commit lacks is skipped.

asv forgets the results of a benchmark whose `version` changed.  Here it stands for the method, how
a figure is taken, and is raised by hand: rewriting this file costs no history.  What is measured
is the case, whose name is the parameter: a changed case takes a new name and begins anew, alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar, NamedTuple

from benchmarks import engine
from benchmarks.case import OURS, Call, Case
from benchmarks.process import Absent, Failed, Worker

SLOW = os.environ.get("MMLFAST_BENCH_SLOW", "0") != "0"
BUDGET = 4.0  # seconds of calls for a ratio or a rate, after which 7 to 15 rounds are done


@contextmanager
def limits(case: Case) -> Iterator[None]:
    """The threads of the case, for every contestant in this process."""
    if case.threads is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    import mmlfast

    with mmlfast.config_context(n_threads=case.threads), threadpool_limits(case.threads):
        yield


def load(case: Case) -> tuple[Call, Any]:
    """The call, warm and found right on tiny inputs, and its inputs."""
    call = case.contestant(OURS)
    tiny = case.inputs("tiny")
    error = case.check(call(tiny), tiny)
    if not error <= case.tolerance:
        raise broken(case, error)
    return call, case.inputs("normal")


def broken(case: Case, error: float) -> ArithmeticError:
    """What is raised instead of a figure when the result is wrong."""
    return ArithmeticError(
        f"{case.name} is broken and was not timed: its error is {error:.1e}, "
        f"{case.tolerance:.1e} is allowed"
    )


def shown(figure: float) -> float:
    """Three decimals: asv prints all digits of what is tracked."""
    return round(figure, 3)


class Cell(NamedTuple):
    """What one parameter stands for."""

    case: Case
    rival: str = ""


class Kind:
    """Base of the kinds.

    `measure` becomes a benchmark under the name `method` in the classes that `make` makes: asv
    reads what to do from a method's name, and would take the kinds themselves for suites.
    """

    method: ClassVar[str]
    suffix: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    param_names: ClassVar[list[str]] = ["case"]
    params: ClassVar[list[list[str]]] = []
    cells: ClassVar[dict[str, Cell]] = {}
    registry: ClassVar[str]
    timeout = 600

    @classmethod
    def cells_of(cls, case: Case) -> dict[str, Cell]:
        """The cells of a case by the name asv shows; none where the kind does not apply."""
        return {case.name: Cell(case)}

    def measure(self, name: str) -> float | None:
        """The figure of a cell; None where asv itself takes it."""
        raise NotImplementedError


class InProcess(Kind):
    """A kind for which asv's process calls mmlfast."""

    loaded: tuple[Call, Any] | None = None
    inside: ExitStack | None = None

    def setup(self, name: str) -> None:
        self.inside = ExitStack()
        case = self.cells[name].case
        try:
            self.inside.enter_context(limits(case))
            if self.loaded is None:
                self.loaded = load(case)
        except (ImportError, AttributeError) as error:  # asv skips on NotImplementedError
            raise NotImplementedError(f"this commit cannot run {name}: {error}") from error
        self.call, self.inputs = self.loaded

    def teardown(self, name: str) -> None:
        if self.inside is not None:
            self.inside.close()


class Seconds(InProcess):
    """Seconds of a call.

    With a `setup`, asv times one call a sample: short ones take many samples, long ones three.
    """

    method = "time_call"
    repeat = (3, 100, 1.5)

    def measure(self, name: str) -> None:
        self.call(self.inputs)


class Memory(InProcess):
    """Most bytes resident, those of the inputs and of making them included."""

    method, suffix = "peakmem_call", "Memory"

    def setup(self, name: str) -> None:
        """Compile in another process before: that takes more memory than most calls."""
        if self.loaded is None:
            with suppress(Absent, Failed):  # this process will say why
                with Worker(self.registry, self.cells[name].case, OURS) as rehearsal:
                    rehearsal.call()
        super().setup(name)

    def measure(self, name: str) -> None:
        self.call(self.inputs)


class Error(InProcess):
    """Error of the result, as the case's check measures it."""

    method, suffix, unit = "track_error", "Error", "error"

    def measure(self, name: str) -> float:
        return float(self.cells[name].case.check(self.call(self.inputs), self.inputs))


class Passes(InProcess):
    """How often the result says the data were gone through: passes, iterations, sweeps or epochs.

    It is the first number of the case's counts, and the same in every run.
    """

    method, suffix, unit = "track_passes", "Passes", "passes"

    @classmethod
    def cells_of(cls, case: Case) -> dict[str, Cell]:
        return super().cells_of(case) if case.counts else {}

    def measure(self, name: str) -> float:
        counts = self.cells[name].case.counts
        assert counts is not None
        return float(next(iter(counts(self.call(self.inputs)).values())))


class Apart(Kind):
    """A kind that the engine measures: each contestant in a process of its own, in turn."""

    def outcome(self, case: Case, rivals: Sequence[str] = ()) -> engine.Outcome:
        """What the engine found; why somebody is missing is printed, and asv keeps it."""
        outcome = engine.run(case, rivals, registry=self.registry, budget=BUDGET)
        for reason in outcome.missing.values():
            print(reason)
        if outcome.broken and outcome.ours is not None:
            raise broken(case, outcome.ours.error)
        return outcome


class Gflops(Apart):
    """Floating-point operations of the case over median seconds."""

    method, suffix, unit = "track_gflops", "Gflops", "GFLOP/s"

    @classmethod
    def cells_of(cls, case: Case) -> dict[str, Cell]:
        return super().cells_of(case) if case.flops else {}

    def measure(self, name: str) -> float:
        case = self.cells[name].case
        ours = self.outcome(case).ours
        return math.nan if ours is None else shown(case.flops / ours.median / 1e9)


class Ratio(Apart):
    """Median seconds of a rival over those of mmlfast."""

    method, suffix, unit = "track_ratio", "Ratio", "rival / mmlfast"
    param_names: ClassVar = ["case beside rival"]

    @classmethod
    def cells_of(cls, case: Case) -> dict[str, Cell]:
        return {f"{case.name} beside {rival}": Cell(case, rival) for rival in case.rivals}

    def setup(self, name: str) -> None:
        """Skip a rival that is absent before mmlfast is measured for nothing."""
        case, rival = self.cells[name]
        try:
            with Worker(self.registry, case, rival, "tiny"):
                pass
        except Absent as reason:
            raise NotImplementedError(str(reason)) from reason

    def measure(self, name: str) -> float:
        case, rival = self.cells[name]
        outcome = self.outcome(case, [rival])
        return shown(outcome.ratio(rival)) if {OURS, rival} <= set(outcome.measured) else math.nan


KINDS: tuple[type[Kind], ...] = (Seconds, Memory, Error, Passes, Gflops, Ratio)


def make(
    cases: Iterable[Case],
    kinds: Iterable[type[Kind]] = KINDS,
    registry: str = "benchmarks.installed",
) -> dict[str, type[Kind]]:
    """The suites of `cases` by name; the workers find the cases in the module `registry`."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    suites = {}
    for group, kind in ((group, kind) for group in groups for kind in tuple(kinds)):
        cells = {name: cell for case in groups[group] for name, cell in kind.cells_of(case).items()}
        if cells:
            name = group.title().replace("_", "") + kind.suffix
            suites[name] = type(
                name,
                (kind,),
                {
                    "__doc__": kind.__doc__,
                    "cells": cells,
                    "params": [list(cells)],
                    "registry": registry,
                    kind.method: kind.measure,
                },
            )
    return suites
