"""An assertion on speed that holds on a busy machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmlfast.testing.paired import compare_functions
from mmlfast.testing.ratios import Comparison, Rules


class SlowerError(AssertionError):
    """The candidate is slower than the threshold allows; `comparison` holds the figures."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        super().__init__(
            f"candidate takes {comparison}; ratio={comparison.rules.ratio:g} is allowed.  "
            f"Medians of a call: candidate {comparison.candidate_seconds:.3g} s, "
            f"baseline {comparison.baseline_seconds:.3g} s"
        )


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
        Called without arguments, at least once each before the clock runs.
    ratio : float, default 1.1
        How many times as long the candidate may take; above 1.
    seconds : float, default 10
        The most time spent on the comparison.  A running call is not interrupted.
    check : callable, (candidate's result, baseline's result), optional
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

    References
    ----------
    Kalibera & Jones, *Rigorous benchmarking in reasonable time*, ISMM 2013, on ratios and their
    intervals; Efron & Tibshirani, *An Introduction to the Bootstrap*, on percentile intervals.

    Examples
    --------
    >>> from mmlfast.testing import assert_not_slower
    >>> result = assert_not_slower(lambda: sum(range(500)), lambda: sum(range(1000)))
    >>> result.verdict
    'faster'
    """
    for name, function in (("candidate", candidate), ("baseline", baseline)):
        if not callable(function):
            raise TypeError(
                f"{name} must be a function without arguments, such as lambda: f(x); "
                f"got {type(function).__name__}"
            )
    rules = Rules(ratio=ratio, seconds=seconds)
    if check is not None and check(candidate(), baseline()) is False:
        raise AssertionError("check says that candidate and baseline give different results")
    comparison = compare_functions(candidate, baseline, rules)
    if comparison.verdict == "slower":
        raise SlowerError(comparison)
    return comparison
