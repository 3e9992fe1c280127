"""How many times as long: the median of paired ratios, its bootstrap interval and the verdict.

    log ρ = median over pairs of log(candidate seconds / baseline seconds)

Two measurements that are made one after the other share the state of the machine, so their ratio
does not; its logarithm makes twice as long and half as long weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from numbers import Real
from statistics import median
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np

Verdict = Literal["slower", "faster", "same", "unclear"]

RESAMPLES = 2000
SLOW = 1.0  # seconds of a call above which fewer pairs have to do
COUNTS = (
    "least", "least_if_slow", "most", "convict", "launches", "fewest_launches", "confirmations",
)  # fmt: skip
SHORTEST, LONGEST = 1e-12, 1e12  # seconds: a coarse clock reads 0, whose ratio would be 0 / 0


class Pair(NamedTuple):
    """Seconds of a call of each side, measured one right after the other.

    Examples
    --------
    >>> from mmlfast.testing import Pair
    >>> Pair(candidate=0.25, baseline=0.5)
    Pair(candidate=0.25, baseline=0.5)
    """

    candidate: float
    baseline: float


@dataclass(frozen=True)
class Rules:
    """What counts as slower, and how much is measured before saying so.

    Attributes
    ----------
    ratio : float
        The threshold: slower is who takes provably more than `ratio` times as long.
    confidence : float
        Of the bootstrap interval.
    seconds : float
        The most that one comparison may take; a call that runs is not interrupted.
    turn : float
        The least seconds of calls that one measurement lasts.
    least, most : int
        Pairs before the first verdict, and in all, for each launch.
    least_if_slow : int
        Pairs before the first verdict where a call takes more than a second.
    convict : int
        Pairs before the verdict "slower".
    launches : int
        How often both sides may be started anew while the verdict is in doubt.
    fewest_launches : int
        Launches before any verdict, of calls of up to a second.
    confirmations : int
        By how many launches that are slower by their own medians have to outnumber those that are
        not even half way to `ratio`, before the verdict is "slower"; of calls of more than a second
        two at most.  A process keeps the luck of its memory addresses for life: pairs alone never
        average it out.

    Examples
    --------
    >>> from mmlfast.testing import Rules
    >>> Rules(ratio=1.05, seconds=60).launches
    3
    >>> Rules(ratio=0.9)
    Traceback (most recent call last):
        ...
    ValueError: ratio must be above 1, such as 1.1 for ten percent slower; got 0.9
    """

    ratio: float = 1.10
    confidence: float = 0.99
    seconds: float = 20.0
    turn: float = 0.04
    least: int = 6
    least_if_slow: int = 4
    most: int = 40
    convict: int = 10
    launches: int = 3
    fewest_launches: int = 1
    confirmations: int = 2

    def __post_init__(self) -> None:
        """Refuse rules under which nothing could be said."""
        if not 1 < _number(self, "ratio") < math.inf:
            raise ValueError(
                f"ratio must be above 1, such as 1.1 for ten percent slower; got {self.ratio!r}"
            )
        for name in ("seconds", "turn"):
            if not 0 < _number(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite; got {getattr(self, name)!r}")
        if not 0.5 <= _number(self, "confidence") < 1:
            raise ValueError(f"confidence must lie in [0.5, 1); got {self.confidence!r}")
        for name in COUNTS:
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ValueError(f"{name} must be a whole number, at least 1; got {value!r}")
        if self.convict > self.most * self.launches:
            raise ValueError(
                f"convict={self.convict} pairs are never reached: at most "
                f"most × launches = {self.most * self.launches} are measured"
            )


def _number(rules: Rules, name: str) -> float:
    value = getattr(rules, name)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number; got {value!r}")
    return float(value)


class Interval(NamedTuple):
    """The median ratio and what it may be."""

    ratio: float
    low: float
    high: float


def median_ratio(launches: Sequence[Sequence[Pair]], confidence: float = 0.99) -> Interval:
    """2 ** median of log₂(candidate / baseline), with its percentile bootstrap interval.

    The interval is never narrower than that between the order statistics which enclose the median
    at this confidence whatever the distribution, nor, where so few pairs have none (fewer than 8 at
    99 %), than from the least to the largest.  One pair says nothing of its spread: (0, ∞).

    Parameters
    ----------
    launches : sequence of sequences of Pair
        All pairs count the same, whatever their launch.
    confidence : float, default 0.99

    Returns
    -------
    Interval
        `ratio`, `low`, `high`.

    References
    ----------
    Efron & Tibshirani, *An Introduction to the Bootstrap*, chapter 13.

    Examples
    --------
    >>> from mmlfast.testing import Pair, median_ratio
    >>> median_ratio([[Pair(2.0, 1.0), Pair(2.0, 0.5), Pair(1.0, 1.0)]])
    Interval(ratio=2.0, low=1.0, high=4.0)
    """
    logs = sorted(_log(pair) for pairs in launches for pair in pairs)
    if not logs:
        return Interval(math.nan, 0.0, math.inf)
    middle = math.exp2(median(logs))
    if len(logs) == 1:
        return Interval(middle, 0.0, math.inf)
    low, high = _bootstrap(logs, confidence)
    # The bootstrap alone is too narrow: of 4000 samples at 99 % it missed the median in 12 % of
    # those of 4 pairs, 4 % of 12, 2 % of 20.
    outer = _order_statistic(len(logs), confidence)
    return Interval(
        middle, math.exp2(min(low, logs[outer])), math.exp2(max(high, logs[-1 - outer]))
    )


def _log(pair: Pair) -> float:
    candidate, baseline = (min(max(seconds, SHORTEST), LONGEST) for seconds in pair)
    return math.log2(candidate / baseline)


def _bootstrap(ordered: Sequence[float], confidence: float) -> tuple[float, float]:
    import numpy as np

    below, above = _ranks(len(ordered))
    values = np.asarray(ordered)
    medians = (values[below] + values[above]) / 2
    tail = (1 - confidence) / 2
    # Both ends by the same rule, so that swapped sides have the reciprocal interval.
    low = np.quantile(medians, tail, method="lower")
    high = -np.quantile(-medians, tail, method="lower")
    return float(low), float(high)


@cache
def _ranks(n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where the two middle values of each resample lie among the n sorted ones.

    Every resample has its mirror image: what is drawn favours neither side.
    They do not depend on the values, so a look at the verdict costs microseconds:
    scipy.stats.bootstrap takes 20 times as long, and its import a second.
    """
    import numpy as np

    middle = [(n - 1) // 2, n // 2]
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLES // 2, n))
    drawn = np.concatenate([drawn, n - 1 - drawn])
    below, above = np.partition(drawn, middle, axis=1)[:, middle].T.copy()
    return below, above


@cache
def _order_statistic(n: int, confidence: float) -> int:
    """The largest k with P(k or fewer of n values lie below their median) ≤ (1 − confidence) / 2.

    0 where there is none.
    """
    below = accumulate(math.comb(n, k) / 2**n for k in range(n))
    return max(sum(p <= (1 - confidence) / 2 for p in below) - 1, 0)


@dataclass(frozen=True)
class Comparison:
    """What a paired measurement found.

    Attributes
    ----------
    ratio, low, high : float
        The candidate takes `ratio` times as long as the baseline, between `low` and `high` at the
        confidence of the rules.
    verdict : str
        "slower": the whole interval lies above `rules.ratio`.  "faster": it lies below
        1 / `rules.ratio`.  "same": it lies below `rules.ratio`.  "unclear": it holds that
        threshold, so nothing is proven.
    candidate_seconds, baseline_seconds : float
        Median seconds of a call.
    n_pairs, n_launches : int
        How much was measured.
    rules : Rules

    Examples
    --------
    >>> from mmlfast.testing import Comparison, Rules
    >>> print(Comparison(0.5, 0.48, 0.53, "faster", 0.01, 0.02, 8, 1, Rules()))
    0.500× the time of the baseline (99 % interval 0.480 to 0.530, 8 pairs): faster
    """

    ratio: float
    low: float
    high: float
    verdict: Verdict
    candidate_seconds: float
    baseline_seconds: float
    n_pairs: int
    n_launches: int
    rules: Rules

    def __str__(self) -> str:
        """One line: the ratio, its interval and what that proves."""
        few = self.verdict == "unclear" and self.n_pairs < self.rules.convict
        return (
            f"{self.ratio:.3f}× the time of the baseline "
            f"({100 * self.rules.confidence:g} % interval {self.low:.3f} to {self.high:.3f}, "
            f"{self.n_pairs} {'pair' if self.n_pairs == 1 else 'pairs'}): {self.verdict}"
            + (", for there was no time for more pairs" if few else "")
        )

    @property
    def settled(self) -> bool:
        """Whether more pairs are not worth their time.

        "same" has to be so by half the threshold: a launch that was lucky would hide what lies
        just above it.
        """
        if self.verdict == "same":
            return self.high < self._half_way
        return self.verdict in ("slower", "faster")

    @property
    def suspicious(self) -> bool:
        """Whether both sides should be started anew: the ratio itself is more than half way."""
        return self.ratio > self._half_way

    @property
    def _half_way(self) -> float:
        return math.sqrt(self.rules.ratio)


def judge(launches: Sequence[Sequence[Pair]], rules: Rules) -> Comparison:
    """The verdict on all pairs so far."""
    interval = median_ratio(launches, rules.confidence)
    pairs = [pair for launch in launches for pair in launch]
    candidate, baseline = map(median, zip(*pairs, strict=True)) if pairs else (math.nan, math.nan)
    return Comparison(
        *interval,
        _verdict(interval, pairs, rules),
        candidate_seconds=candidate,
        baseline_seconds=baseline,
        n_pairs=len(pairs),
        n_launches=len(launches),
        rules=rules,
    )


def enough(pairs: Sequence[Pair], rules: Rules) -> bool:
    """Whether a verdict may be given; slow calls have to do with fewer pairs."""
    return len(pairs) >= (rules.least_if_slow if is_slow(pairs) else rules.least)


def is_slow(pairs: Sequence[Pair]) -> bool:
    """Whether a call takes more than a second."""
    return bool(pairs) and min(map(median, zip(*pairs, strict=True))) > SLOW


def _verdict(interval: Interval, pairs: Sequence[Pair], rules: Rules) -> Verdict:
    if not enough(pairs, rules):
        return "unclear"
    if interval.low > rules.ratio:
        return "slower" if len(pairs) >= rules.convict else "unclear"
    if interval.high < 1 / rules.ratio:
        return "faster"
    return "same" if interval.high < rules.ratio else "unclear"
