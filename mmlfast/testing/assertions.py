"""An assertion on speed that holds on a busy machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmlfast.testing.paired import compare_functions
from mmlfast.testing.ratios import Comparison, Rules

# Functions of the same process take turns at no cost, so turns are short and many: of calls of 9 ms
# beside two busy processes, the interval after 0.8 s reached over a factor of 1.07 with turns of
# 10 ms, of 1.27 with 20 ms, of 2.6 with 40 ms.
TURN = 0.01
MOST = 160


class SlowerError(AssertionError):
    """The candidate is slower than the threshold allows; `comparison` holds the figures.

    Examples
    --------
    >>> from mmlfast.testing import Comparison, Rules, SlowerError
    >>> raise SlowerError(Comparison(1.5, 1.4, 1.6, "slower", 0.003, 0.002, 20, 2, Rules()))
    Traceback (most recent call last):
        ...
    mmlfast.testing.assertions.SlowerError: candidate takes 1.500× the time of the baseline (99 %
    interval 1.400 to 1.600, 20 pairs): slower; ratio=1.1 is allowed.  Medians of a call:
    candidate 3 ms, baseline 2 ms
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        super().__init__(
            f"candidate takes {comparison}; ratio={comparison.rules.ratio:g} is allowed.  "
            f"Medians of a call: candidate {_in_units(comparison.candidate_seconds)}, "
            f"baseline {_in_units(comparison.baseline_seconds)}"
        )

    def __reduce__(self) -> tuple[type[SlowerError], tuple[Comparison]]:
        """Made again from the comparison where it crosses to another process."""
        return type(self), (self.comparison,)


def _in_units(seconds: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 1e-9:.3g} ns"


def assert_not_slower(
    candidate: Callable[[], Any],
    baseline: Callable[[], Any],
    *,
    ratio: float = 1.1,
    seconds: float = 10.0,
    check: Callable[[Any, Any], Any] | None = None,
) -> Comparison:
    """median(candidate seconds / baseline seconds) ≤ ratio, or proof of the contrary fails.

    Both are called in turn, A B B A, until the bootstrap interval of the median of the paired
    ratios makes the verdict clear.  The assertion fails only if the whole 99 % interval lies above
    `ratio`, again after a fresh start: noise makes it longer, not red.

    Parameters
    ----------
    candidate, baseline : callable, () -> anything
        Called without arguments, at least once each before the clock runs.  What they return is
        dropped at once.
    ratio : float, default 1.1
        How many times as long the candidate may take; above 1.
    seconds : float, default 10
        The most time spent on the comparison.  A running call is not interrupted.  The verdict
        "slower" needs ten pairs: where both calls together take more than a second, give more.
    check : callable, (candidate's result, baseline's result) -> bool or None, optional
        Called once before the clock runs; it raises, or returns False, where the results differ.

    Returns
    -------
    Comparison
        Its `verdict` is "same", "faster", or "unclear" where noise or `seconds` left room for both.

    Raises
    ------
    SlowerError
        An AssertionError: the candidate is slower.
    AssertionError
        `check` returned False.
    TypeError, ValueError
        An argument is not what it should be.

    See Also
    --------
    mmlfast.testing.pytest_plugin.paired_benchmark : the same as a pytest fixture.

    Notes
    -----
    Give both sides the same inputs: arrays at other addresses may differ in speed by themselves.
    A garbage collection does not interrupt what is timed.

    References
    ----------
    Kalibera & Jones, *Rigorous benchmarking in reasonable time*, ISMM 2013, on ratios and their
    intervals; Efron & Tibshirani, *An Introduction to the Bootstrap*, on percentile intervals.

    Examples
    --------
    >>> from mmlfast.testing import assert_not_slower
    >>> comparison = assert_not_slower(lambda: sum(range(500)), lambda: sum(range(1000)))
    >>> print(comparison)  # doctest: +SKIP
    0.492× the time of the baseline (99 % interval 0.487 to 0.499, 6 pairs): faster
    """
    __tracebackhide__ = True
    for name, function in (("candidate", candidate), ("baseline", baseline)):
        if not callable(function):
            raise TypeError(
                f"{name} must be a function without arguments, such as lambda: f(x); "
                f"got {type(function).__name__}"
            )
    rules = Rules(ratio=ratio, seconds=seconds, turn=TURN, most=MOST)
    if check is not None:
        _check(check, candidate, baseline)
    comparison = compare_functions(candidate, baseline, rules)
    if comparison.verdict == "slower":
        raise SlowerError(comparison)
    return comparison


def _check(
    check: Callable[[Any, Any], Any], candidate: Callable[[], Any], baseline: Callable[[], Any]
) -> None:
    __tracebackhide__ = True
    if not callable(check):
        raise TypeError(
            "check must be a function of both results, such as numpy.array_equal; "
            f"got {type(check).__name__}"
        )
    import numpy as np

    agreed = check(candidate(), baseline())
    if agreed is None:
        return
    if not isinstance(agreed, (bool, np.bool_)):  # a difference of 0.0 would read as "wrong"
        raise TypeError(
            f"check must raise, or return True, False or None; got {type(agreed).__name__}"
        )
    if not agreed:
        raise AssertionError("check says that candidate and baseline give different results")
