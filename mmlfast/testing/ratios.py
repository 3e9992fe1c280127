"""How many times as long: the median of paired ratios, its bootstrap interval and the verdict.

    log ρ = median over pairs of log(candidate seconds / baseline seconds)

Two measurements that are made one after the other share the state of the machine, so their ratio
does not; its logarithm makes twice as long and half as long weigh the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

Verdict = Literal["slower", "faster", "same", "unclear"]

RESAMPLES = 2000
SLOW = 1.0  # seconds of a call above which fewer pairs have to do


class Pair(NamedTuple):
    """Seconds of a call of each side, measured one right after the other."""

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
    confirmations : int
        Launches that have to be slower by their own medians before the verdict is "slower".  A
        process keeps the luck of its memory addresses for life: pairs alone never average it out.
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
    confirmations: int = 2

    def __post_init__(self) -> None:
        """Refuse rules under which nothing could be said."""
        if not (isinstance(self.ratio, (int, float)) and 1 < self.ratio < math.inf):
            raise ValueError(
                f"ratio must be above 1, such as 1.1 for ten percent slower; got {self.ratio!r}"
            )
        if not (isinstance(self.seconds, (int, float)) and 0 < self.seconds < math.inf):
            raise ValueError(f"seconds must be a positive number; got {self.seconds!r}")
        if not 0.5 <= self.confidence < 1:
            raise ValueError(f"confidence must lie in [0.5, 1); got {self.confidence!r}")


class Interval(NamedTuple):
    """The median ratio and what it may be."""

    ratio: float
    low: float
    high: float


def median_ratio(launches: Sequence[Sequence[Pair]], confidence: float = 0.99) -> Interval:
    """exp of the median of log(candidate / baseline), with its percentile bootstrap interval.

    Pairs are drawn again within their launch.  One pair says nothing of its spread: the interval
    is then (0, ∞).

    References
    ----------
    Efron & Tibshirani, *An Introduction to the Bootstrap*, chapter 13.
    """
    from scipy.stats import bootstrap

    logs = [np.log([p.candidate / p.baseline for p in pairs]) for pairs in launches if pairs]
    if not logs:
        return Interval(math.nan, 0.0, math.inf)
    middle = math.exp(float(np.median(np.concatenate(logs))))
    enough = [values for values in logs if len(values) > 1]
    if not enough:
        return Interval(middle, 0.0, math.inf)

    def median(*parts: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(np.median(np.concatenate(parts, axis=axis), axis=axis))

    low, high = bootstrap(
        enough,
        median,
        method="percentile",
        confidence_level=confidence,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(middle, math.exp(low), math.exp(high))


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
        return (
            f"{self.ratio:.3f}× the time of the baseline "
            f"({100 * self.rules.confidence:g} % interval {self.low:.3f} to {self.high:.3f}, "
            f"{self.n_pairs} pairs): {self.verdict}"
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
    n_pairs = sum(map(len, launches))
    seconds = [_median(p[side] for pairs in launches for p in pairs) for side in (0, 1)]
    least = rules.least_if_slow if min(seconds) > SLOW else rules.least
    return Comparison(
        *interval,
        _verdict(interval, n_pairs, least, rules),
        candidate_seconds=seconds[0],
        baseline_seconds=seconds[1],
        n_pairs=n_pairs,
        n_launches=len(launches),
        rules=rules,
    )


def _verdict(interval: Interval, n_pairs: int, least: int, rules: Rules) -> Verdict:
    if n_pairs < least:
        return "unclear"
    if interval.low > rules.ratio:
        return "slower" if n_pairs >= rules.convict else "unclear"
    if interval.high < 1 / rules.ratio:
        return "faster"
    return "same" if interval.high < rules.ratio else "unclear"


def _median(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.median(listed)) if listed else math.nan
