"""Paired timing for anyone's tests: two callables in turn, a ratio, and an interval for it.

    assert_not_slower(candidate, baseline, ratio=1.1)

The pytest fixture `paired_benchmark` does the same and lists what it measured.
"""

from mmlfast.testing.assertions import SlowerError, assert_not_slower
from mmlfast.testing.paired import Sides, compare, compare_functions
from mmlfast.testing.ratios import Comparison, Pair, Rules, median_ratio

__all__ = [
    "Comparison",
    "Pair",
    "Rules",
    "Sides",
    "SlowerError",
    "assert_not_slower",
    "compare",
    "compare_functions",
    "median_ratio",
]
