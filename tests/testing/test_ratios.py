"""The median ratio, its interval and the verdict, on pairs that are given."""

from __future__ import annotations

import math
import random
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, bootstrap

from mmlfast.testing import Comparison, Pair, Rules, median_ratio
from mmlfast.testing.ratios import _order_statistic, judge

SECONDS = st.floats(1e-9, 1e4)
PAIRS = st.lists(st.builds(Pair, SECONDS, SECONDS), min_size=1, max_size=30)


def same_pairs(ratio: float, n: int = 10) -> list[Pair]:
    return [Pair(ratio * 2**-k, 2**-k) for k in range(n)]


def spread_pairs(low: float, high: float, n: int = 10) -> list[Pair]:
    """Ratios from low to high, equally spaced in their logarithm."""
    return [Pair(float(ratio), 1.0) for ratio in np.geomspace(low, high, n)]


@pytest.mark.parametrize("ratio", [0.125, 0.5, 1.0, 2.0, 8.0])
def test_ratios_that_are_powers_of_two_are_exact(ratio):
    assert median_ratio([same_pairs(ratio)]) == (ratio, ratio, ratio)


def test_the_median_of_an_even_number_is_the_geometric_mean_of_the_middle_two():
    pairs = [Pair(ratio, 1.0) for ratio in (0.001, 1.0, 4.0, 64.0)]
    assert median_ratio([pairs]).ratio == 2.0


def test_all_launches_count():
    assert median_ratio([same_pairs(1.0, 3), [], same_pairs(4.0, 4)]).ratio == 4.0


@given(st.lists(PAIRS, max_size=3))
def test_swapped_sides_give_the_reciprocal(launches):
    swapped = [[Pair(b, a) for a, b in pairs] for pairs in launches]
    there, back = median_ratio(launches), median_ratio(swapped)
    if not any(launches):
        assert math.isnan(there.ratio)
        assert (there.low, there.high) == (0, math.inf)
        return
    assert there.low <= there.ratio <= there.high
    assert back.ratio == pytest.approx(1 / there.ratio, rel=1e-12)
    if there.high < math.inf:
        assert back.low == pytest.approx(1 / there.high, rel=1e-12)
        assert back.high == pytest.approx(1 / there.low, rel=1e-12)


@pytest.mark.parametrize("n", range(2, 80, 3))
def test_resamples_favour_neither_side(n):
    random = Random(n)
    for _ in range(50):
        pairs = [Pair(random.choice([1.0, 2.0, 4.0]), random.choice([1.0, 2.0])) for _ in range(n)]
        there, back = median_ratio([pairs]), median_ratio([[Pair(b, a) for a, b in pairs]])
        assert back.low * there.high == pytest.approx(1, rel=1e-12)
        assert back.high * there.low == pytest.approx(1, rel=1e-12)


def test_one_pair_says_nothing_of_its_spread():
    assert median_ratio([[Pair(3.0, 1.5)]]) == (2.0, 0.0, math.inf)


def test_nothing_measured_is_not_a_number():
    for launches in ([], [[]], [[], []]):
        interval = median_ratio(launches)
        assert math.isnan(interval.ratio)
        assert interval[1:] == (0.0, math.inf)


def test_a_clock_that_reads_nothing_gives_numbers():
    assert median_ratio([[Pair(0.0, 0.0)] * 8]) == (1.0, 1.0, 1.0)
    assert 1e6 < median_ratio([[Pair(1.0, 0.0)] * 8]).low < math.inf
    assert 0 < median_ratio([[Pair(0.0, 1.0)] * 8]).high < 1e-6


@pytest.mark.parametrize("pair", [Pair(math.inf, 1.0), Pair(1e300, 1e-300), Pair(5e-324, 1e308)])
def test_extreme_seconds_do_not_overflow(pair):
    interval = median_ratio([[pair] * 8])
    assert 0 < interval.low <= interval.high < math.inf


@pytest.mark.parametrize("n", [8, 10, 12, 20, 40])
def test_the_interval_holds_the_truth_as_often_as_it_says(n):
    draw = random.Random(n)
    held = 0
    for _ in range(200):
        pairs = [
            Pair(1.25 * draw.lognormvariate(0, 0.2), draw.lognormvariate(0, 0.2)) for _ in range(n)
        ]
        _, low, high = median_ratio([pairs])
        held += low <= 1.25 <= high
    assert held >= 0.97 * 200


@pytest.mark.parametrize("n", [2, 4, 7, 8])
def test_few_pairs_are_trusted_no_further_than_they_go(n):
    interval = median_ratio([spread_pairs(0.5, 2.0, n)])
    assert (interval.low, interval.high) == (0.5, 2.0)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 2, 7, 8, 21, 40, 120])
def test_the_order_statistic_is_the_innermost_that_encloses_the_median_surely_enough(n, confidence):
    k = _order_statistic(n, confidence)
    miss = (1 - confidence) / 2
    assert k == 0 or binom.cdf(k, n, 0.5) <= miss
    assert binom.cdf(k + 1, n, 0.5) > miss


def test_the_interval_is_that_of_scipy_where_many_pairs_are_given():
    draw = np.random.default_rng(3)
    logs = draw.normal(0.2, 0.1, 101)
    _, low, high = median_ratio([[Pair(math.exp(x), 1.0) for x in logs]], 0.9)
    expected = bootstrap(
        [logs], np.median, confidence_level=0.9, method="percentile", rng=np.random.default_rng(4)
    ).confidence_interval
    near = np.sort(logs)
    places = np.searchsorted(near, [math.log(low), math.log(high), *expected])
    assert abs(places[0] - places[2]) <= 2
    assert abs(places[1] - places[3]) <= 2


def test_the_interval_is_the_same_each_time():
    pairs = spread_pairs(0.9, 1.2, 17)
    assert median_ratio([pairs]) == median_ratio([pairs])


@pytest.mark.parametrize(
    ("low", "high", "n", "verdict", "settled", "suspicious"),
    [
        (1.2, 1.3, 10, "slower", True, True),
        (1.2, 1.3, 9, "unclear", False, True),  # too few to convict
        (1.05, 1.3, 10, "unclear", False, True),
        (0.95, 1.2, 10, "unclear", False, True),
        (0.9, 1.15, 10, "unclear", False, False),
        (1.055, 1.09, 10, "same", False, True),  # just below the threshold: looked at again
        (1.0, 1.08, 10, "same", False, False),
        (0.95, 1.04, 10, "same", True, False),
        (0.95, 1.04, 6, "same", True, False),
        (0.95, 1.04, 5, "unclear", False, False),
        (0.7, 0.8, 6, "faster", True, False),
        (0.7, 0.8, 5, "unclear", False, False),
    ],
)
def test_verdicts(low, high, n, verdict, settled, suspicious):
    result = judge([spread_pairs(low, high, n)], Rules())
    assert (result.verdict, result.settled, result.suspicious) == (verdict, settled, suspicious)


def test_calls_of_more_than_a_second_need_fewer_pairs():
    slow = [Pair(a + 1, b + 1) for a, b in spread_pairs(0.99, 1.01, 4)]
    assert judge([slow], Rules()).verdict == "same"
    assert judge([slow[:3]], Rules()).verdict == "unclear"
    assert judge([[Pair(a, 0.9) for a, _ in slow]], Rules()).verdict == "unclear"


def test_nothing_measured_proves_nothing():
    result = judge([[]], Rules())
    assert result.verdict == "unclear"
    assert not result.settled
    assert not result.suspicious
    assert math.isnan(result.candidate_seconds)


def test_a_comparison_tells_medians_and_counts():
    result = judge([[Pair(3.0, 1.0), Pair(5.0, 2.0)], [Pair(4.0, 9.0)]], Rules())
    assert (result.candidate_seconds, result.baseline_seconds) == (4.0, 2.0)
    assert (result.n_pairs, result.n_launches) == (3, 2)


def test_the_line_says_what_is_proven_and_why_not():
    def line(n_pairs: int, verdict: str) -> str:
        return str(Comparison(1.2, 1.1, 1.3, verdict, 1.0, 1.0, n_pairs, 1, Rules()))

    assert line(12, "slower") == (
        "1.200× the time of the baseline (99 % interval 1.100 to 1.300, 12 pairs): slower"
    )
    assert line(1, "unclear").endswith("1 pair): unclear, for there was no time for more pairs")
    assert line(10, "unclear").endswith("10 pairs): unclear")
    assert line(6, "same").endswith("6 pairs): same")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ratio": 1.0}, ValueError, r"ratio must be above 1.*got 1\.0"),
        ({"ratio": 0.9}, ValueError, r"ratio must be above 1"),
        ({"ratio": math.nan}, ValueError, r"ratio must be above 1.*got nan"),
        ({"ratio": math.inf}, ValueError, r"ratio must be above 1.*got inf"),
        ({"ratio": "1.1"}, TypeError, r"ratio must be a number; got '1\.1'"),
        ({"ratio": True}, TypeError, r"ratio must be a number; got True"),
        ({"ratio": None}, TypeError, r"ratio must be a number; got None"),
        ({"seconds": 0}, ValueError, r"seconds must be positive and finite; got 0"),
        ({"seconds": -1.0}, ValueError, r"seconds must be positive"),
        ({"seconds": math.nan}, ValueError, r"seconds must be positive"),
        ({"seconds": math.inf}, ValueError, r"seconds must be positive"),
        ({"seconds": "10"}, TypeError, r"seconds must be a number; got '10'"),
        ({"turn": 0.0}, ValueError, r"turn must be positive"),
        ({"confidence": 1.0}, ValueError, r"confidence must lie in \[0\.5, 1\)"),
        ({"confidence": 0.4}, ValueError, r"confidence must lie in"),
        ({"least": 0}, ValueError, r"least must be a whole number, at least 1; got 0"),
        ({"most": 2.5}, ValueError, r"most must be a whole number"),
        ({"launches": 0}, ValueError, r"launches must be a whole number"),
        ({"most": 3, "convict": 10}, ValueError, r"convict=10 pairs are never reached.* = 9"),
    ],
)
def test_rules_that_say_nothing_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Rules(**arguments)


def test_numbers_of_numpy_are_numbers():
    rules = Rules(ratio=np.float32(1.25), seconds=np.int64(3))
    assert judge([same_pairs(2.0)], rules).verdict == "slower"
