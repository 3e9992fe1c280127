"""A group of cases as an asv suite: the case and the contestant are its parameters.

asv runs `setup` again before every sample and calibrates on the first call: the inputs are
remembered and the call is warmed on tiny ones.  `MMLFAST_BENCH_SLOW=1` includes the slow cases.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from benchmarks import cases, engine
from benchmarks.case import OURS, Case

SLOW = os.environ.get("MMLFAST_BENCH_SLOW", "0") != "0"


def chosen(name: str) -> Case:
    """The case; asv skips the cell on NotImplementedError."""
    case = cases.get(name)
    if not (case.quick or SLOW):
        raise NotImplementedError(f"{name} is slow: set MMLFAST_BENCH_SLOW=1")
    return case


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


class Suite(ABC):
    """Base of the suites: `class Matmul(Timing, group="matmul")`."""

    param_names: ClassVar = ["case", "contestant"]
    params: ClassVar[list[list[str]]] = []
    timeout = 600

    @property
    @abstractmethod
    def group(self) -> str:
        """The group of cases; a class without one is not a suite."""

    def __init_subclass__(cls, group: str | None = None) -> None:
        """Take the parameters from the registry."""
        if group is not None:
            cls.group = group  # type: ignore[assignment]
            members = cases.select(group=group)
            rivals = dict.fromkeys(name for case in members for name in case.rivals)
            cls.params = [[case.name for case in members], [*cls.first, *rivals]]

    first: ClassVar[list[str]] = []


class Timing(Suite):
    """Seconds and peak memory of each contestant."""

    first: ClassVar = [OURS]

    def setup(self, name: str, contestant: str) -> None:
        case = chosen(name)
        if contestant not in {OURS, *case.rivals}:
            raise NotImplementedError(f"{name} has no {contestant}")
        try:
            self.call = case.contestant(contestant)
        except ImportError as error:
            raise NotImplementedError(f"{contestant} is absent") from error
        self.limits = limits(case)
        self.limits.__enter__()
        self.call(case.inputs("tiny"))
        self.inputs: Any = case.inputs("normal")

    def teardown(self, name: str, contestant: str) -> None:
        if entered := getattr(self, "limits", None):
            entered.__exit__(None, None, None)

    def time_call(self, name: str, contestant: str) -> None:
        self.call(self.inputs)

    def peakmem_call(self, name: str, contestant: str) -> None:
        self.call(self.inputs)


class Ratio(Suite):
    """Median seconds of a rival over those of mmlfast; separate processes, in turn."""

    unit = "rival / mmlfast"

    def track_ratio(self, name: str, rival: str) -> float:
        case = chosen(name)
        if rival not in case.rivals:
            raise NotImplementedError(f"{name} has no {rival}")
        outcome = engine.run(case, [rival], budget=10.0)
        if outcome.broken or outcome.ours is None or rival not in outcome.measured:
            return float("nan")
        return outcome.ratio(rival)
