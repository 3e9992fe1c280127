"""Two sides in turn until the verdict is clear: A B, B A, A B, …

Drift of the machine that is linear in time cancels over each four turns, a burst of load hits both
turns of a pair or spoils that pair alone, and the median of the ratios does not see single pairs.

How often `assert_not_slower` says "slower" of calls of 5 ms in 10 s, by the true ratio and by the
standard deviation of the logarithm of a turn's seconds, in 300 simulations of each
(`python -m tests.testing.simulation 300`); pairs are those taken where the ratio is 1:

    noise    pairs    1.00    1.05    1.10     1.15     1.30
      1 %        6     0 %     0 %     0 %    100 %    100 %
      3 %       13     0 %     0 %     0 %    100 %    100 %
     10 %       75     0 %     0 %     1 %     98 %    100 %
     20 %      122     0 %     0 %     1 %     44 %    100 %
     30 %      131     0 %     0 %     1 %     13 %    100 %
     50 %      125     0 %     0 %     1 %      4 %     55 %
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

from mmlfast.testing.ratios import Comparison, Pair, Rules, enough, is_slow, judge

Turn = Callable[[int], float]

FAR = 4  # times as slow, above which each side takes as many calls as fill its own turn
# Of one turn at most.  A sample of 0.1 to 0.4 ms mostly ends before the scheduler gives the core to
# another process, and the median leaves out those that do not.  Beside two processes that load both
# cores 100 samples instead of 15 brought the standard deviation of log ratios from 0.28 down to
# 0.0003 for calls of 0.03 ms, and from 0.15 to 0.0024 for calls of 0.6 ms.
SAMPLES = 100
SLOW_CONFIRMATIONS = 2  # more would take minutes where a call takes more than a second
GROWTH = 100  # of the calls of a turn: what a coarse clock reads as nothing may take a while


class Sides(NamedTuple):
    """The two that are compared: functions of a number of calls that return seconds of one.

    Examples
    --------
    >>> from mmlfast.testing import Sides
    >>> sides = Sides(candidate=lambda number: 0.25, baseline=lambda number: 0.5)
    >>> sides.candidate(3)
    0.25
    """

    candidate: Turn
    baseline: Turn


def turn_of(function: Callable[[], Any]) -> Turn:
    """Median seconds of a call of `function`, in this process, garbage collection aside."""

    def turn(number: int) -> float:
        samples = min(number, SAMPLES)
        calls = -(-number // samples)
        collects = gc.isenabled()
        gc.collect(0)  # the young alone: cycles that calls leave behind shall not add up
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
        "slower" only where launches that say so by themselves outnumber the others by
        `rules.confirmations`.

    Examples
    --------
    Two processes, two servers, or a simulation: whatever tells the seconds of a call.

    >>> from contextlib import nullcontext
    >>> from mmlfast.testing import Rules, Sides, compare
    >>> sides = Sides(candidate=lambda number: 0.75, baseline=lambda number: 0.5)
    >>> print(compare(lambda: nullcontext(sides), Rules()))
    1.500× the time of the baseline (99 % interval 1.500 to 1.500, 20 pairs): slower
    """
    deadline = perf_counter() + rules.seconds
    launches: list[list[Pair]] = []
    alone: list[Comparison] = []  # what each launch says by itself
    # One of those that a verdict needs may disagree; most need no more than that.
    expected = min(rules.launches, max(rules.fewest_launches, rules.confirmations + 1))
    while True:
        left = deadline - perf_counter()
        share = left / max(expected - len(launches), 1)
        fewest = max(map(len, launches), default=0)  # or a long launch would outvote the others
        with launch() as sides:
            limits = Limits(perf_counter() + share, deadline, fewest)
            launches.append(alternate(sides, rules, limits))
        alone.append(judge(launches[-1:], rules))
        slow = is_slow(launches[-1])
        confirmations = (
            min(rules.confirmations, SLOW_CONFIRMATIONS) if slow else rules.confirmations
        )
        needed = min(confirmations, rules.launches)
        against = sum(not one.suspicious for one in alone)
        lead = sum(one.ratio > rules.ratio for one in alone) - against
        result = judge(launches, rules)
        if result.verdict == "slower" and lead < needed:
            result = replace(result, verdict="unclear")
        if len(launches) == rules.launches or perf_counter() > deadline:
            return result
        doubtful = result.suspicious or against < len(alone)
        clear = result.verdict in ("slower", "faster") or not doubtful or lead <= -needed
        if clear and (slow or len(launches) >= rules.fewest_launches):
            return result


class _Numbers(NamedTuple):
    candidate: int
    baseline: int


class Limits(NamedTuple):
    """What ends a launch beside a clear verdict.

    share : the time at which others are to follow, once there are enough pairs for a verdict
    deadline : the time at which everything is over
    fewest : pairs before a clear verdict ends it
    """

    share: float
    deadline: float
    fewest: int = 0


def alternate(sides: Sides, rules: Rules, limits: Limits) -> list[Pair]:
    """Pairs of turns of one launch, each side first in every other."""
    pairs: list[Pair] = []
    numbers = _Numbers(1, 1)
    while len(pairs) < rules.most:
        if len(pairs) % 2:
            candidate = sides.candidate(numbers.candidate)
            pairs.append(Pair(candidate, sides.baseline(numbers.baseline)))
        else:
            baseline = sides.baseline(numbers.baseline)
            pairs.append(Pair(sides.candidate(numbers.candidate), baseline))
        now = perf_counter()
        if now > limits.deadline or (now > limits.share and enough(pairs, rules)):
            break
        wanted = _wanted(pairs[-1], numbers, rules)
        short = any(more >= 2 * number for more, number in zip(wanted, numbers, strict=True))
        if short and len(pairs) <= 2:
            numbers = wanted
            pairs.clear()
        elif len(pairs) % 2 == 0 and len(pairs) >= limits.fewest and judge([pairs], rules).settled:
            break
    return pairs


def _wanted(pair: Pair, numbers: _Numbers, rules: Rules) -> _Numbers:
    """Calls in a turn: as many of both, or the turns would differ, unless one is far slower."""
    needed = [
        math.ceil(min(rules.turn / max(seconds, 1e-9), GROWTH * number))
        for seconds, number in zip(pair, numbers, strict=True)
    ]
    most, least = max(needed), min(needed)
    return _Numbers(*needed) if most > FAR * least else _Numbers(most, most)


def compare_functions(
    candidate: Callable[[], Any], baseline: Callable[[], Any], rules: Rules
) -> Comparison:
    """Compare two functions within this process, each called once before the clock runs.

    Examples
    --------
    >>> from mmlfast.testing import Rules, compare_functions
    >>> result = compare_functions(lambda: sum(range(300)), lambda: sum(range(900)), Rules())
    >>> print(result)  # doctest: +SKIP
    0.317× the time of the baseline (99 % interval 0.314 to 0.321, 6 pairs): faster
    """
    cold = True

    @contextmanager
    def launch() -> Iterator[Sides]:
        nonlocal cold
        gc.collect()
        if cold:
            candidate()
            baseline()
            cold = False
        yield Sides(turn_of(candidate), turn_of(baseline))

    return compare(launch, rules)
