"""Two sides in turn until the verdict is clear: A B, B A, A B, …

Drift of the machine that is linear in time cancels over each four turns, a burst of load hits both
turns of a pair or spoils that pair alone, and the median of the ratios does not see single pairs.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import repeat
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

from mmlfast.testing.ratios import Comparison, Pair, Rules, judge

Turn = Callable[[int], float]

FAR = 4  # times as slow, above which each side takes as many calls as fill its own turn
SAMPLES = 15  # of one turn at most: a median of fewer calls is less robust, of more no better


class Sides(NamedTuple):
    """The two that are compared: functions of a number of calls that return seconds of one."""

    candidate: Turn
    baseline: Turn


def turn_of(function: Callable[[], Any]) -> Turn:
    """Median seconds of a call of `function`, in this process, garbage collection aside."""

    def turn(number: int) -> float:
        samples = min(number, SAMPLES)
        calls = -(-number // samples)
        collects = gc.isenabled()
        gc.disable()
        try:
            if number > 1:
                function()
            return median(_mean_seconds(function, calls) for _ in range(samples))
        finally:
            if collects:
                gc.enable()

    return turn


def _mean_seconds(function: Callable[[], Any], calls: int) -> float:
    start = perf_counter()
    for _ in repeat(None, calls):
        function()
    return (perf_counter() - start) / calls


def compare(launch: Callable[[], AbstractContextManager[Sides]], rules: Rules) -> Comparison:
    """Measure in pairs, launch by launch, until the verdict is clear or the time is over.

    Parameters
    ----------
    launch : callable, () -> context manager of `Sides`
        Starts both sides, warm and checked.  It is called again while the verdict is in doubt.
    rules : Rules

    Returns
    -------
    Comparison
        "slower" only where `rules.confirmations` launches say so by themselves.
    """
    deadline = perf_counter() + rules.seconds
    launches: list[list[Pair]] = []
    while True:
        left = deadline - perf_counter()
        share = left / (rules.launches - len(launches))
        with launch() as sides:
            launches.append(alternate(sides, rules, perf_counter() + share))
        result = judge(launches, rules)
        if result.verdict == "slower" and not _confirmed(launches, rules):
            result = replace(result, verdict="unclear")
        over = len(launches) == rules.launches or perf_counter() > deadline
        if over or result.settled or not result.suspicious:
            return result


def _confirmed(launches: list[list[Pair]], rules: Rules) -> bool:
    slower = [
        pairs
        for pairs in launches
        if pairs and median(p.candidate / p.baseline for p in pairs) > rules.ratio
    ]
    return len(slower) >= min(rules.confirmations, rules.launches)


def alternate(sides: Sides, rules: Rules, deadline: float) -> list[Pair]:
    """Pairs of turns of one launch, each side first in every other pair."""
    numbers = _numbers_of_calls(sides, rules)
    pairs: list[Pair] = []
    while len(pairs) < rules.most:
        if len(pairs) % 2:
            candidate = sides.candidate(numbers.candidate)
            pairs.append(Pair(candidate, sides.baseline(numbers.baseline)))
        else:
            baseline = sides.baseline(numbers.baseline)
            pairs.append(Pair(sides.candidate(numbers.candidate), baseline))
        if perf_counter() > deadline:
            break
        if not len(pairs) % 2 and judge([pairs], rules).settled:
            break
    return pairs


class _Numbers(NamedTuple):
    candidate: int
    baseline: int


def _numbers_of_calls(sides: Sides, rules: Rules) -> _Numbers:
    """Calls in a turn: as many of both, or the turns would differ, unless one is far slower."""

    def needed(seconds: float) -> int:
        return max(1, math.ceil(rules.turn / max(seconds, 1e-9)))

    # A first call is often far slower than the next.
    numbers = [needed(side(min(needed(side(1)), SAMPLES))) for side in sides]
    most, least = max(numbers), min(numbers)
    return _Numbers(*numbers) if most > FAR * least else _Numbers(most, most)


def compare_functions(
    candidate: Callable[[], Any], baseline: Callable[[], Any], rules: Rules
) -> Comparison:
    """Compare two functions within this process, each called once before the clock runs."""

    @contextmanager
    def launch() -> Iterator[Sides]:
        gc.collect()
        candidate()
        baseline()
        yield Sides(turn_of(candidate), turn_of(baseline))

    return compare(launch, rules)
