"""The assertion on speed: what it refuses, what it raises, what it says."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from mmlfast.testing import Comparison, Rules, SlowerError, assert_not_slower
from tests.testing.simulation import Machine


@pytest.fixture
def takes(monkeypatch):
    """takes(seconds, result) → a function that takes so long on a simulated clock."""
    machine = Machine()
    monkeypatch.setattr("mmlfast.testing.paired.perf_counter", machine.clock)

    def function_of(seconds: float, result: object = None):
        def call() -> object:
            machine.now += seconds
            return result

        return call

    return function_of


def never() -> None:
    pytest.fail("called before the arguments were looked at")


def test_what_is_not_slower_passes_with_its_figures(takes):
    result = assert_not_slower(takes(0.1), takes(0.1))
    assert isinstance(result, Comparison)
    assert (result.verdict, result.ratio) == ("same", pytest.approx(1))
    assert (result.rules.ratio, result.rules.seconds) == (1.1, 10.0)
    assert assert_not_slower(takes(0.1), takes(0.3)).verdict == "faster"


def test_what_is_slower_fails_with_its_figures(takes):
    with pytest.raises(SlowerError, match=r"^candidate takes 1\.500×") as raised:
        assert_not_slower(takes(0.0375), takes(0.025))
    assert isinstance(raised.value, AssertionError)
    assert raised.value.comparison.verdict == "slower"
    assert str(raised.value) == (
        "candidate takes 1.500× the time of the baseline (99 % interval 1.500 to 1.500, 20 pairs): "
        "slower; ratio=1.1 is allowed.  Medians of a call: candidate 37.5 ms, baseline 25 ms"
    )


def test_the_threshold_is_the_callers(takes):
    assert assert_not_slower(takes(0.015), takes(0.01), ratio=2).verdict == "same"
    with pytest.raises(SlowerError, match=r"ratio=1\.4 is allowed"):
        assert_not_slower(takes(0.015), takes(0.01), ratio=1.4)


def test_without_time_nothing_is_proven(takes):
    result = assert_not_slower(takes(30.0), takes(10.0), seconds=60)
    assert result.verdict == "unclear"
    assert str(result).endswith("unclear, for there was no time for more pairs")


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.0, "2 s"), (0.125, "125 ms"), (4e-6, "4 µs"), (2.5e-8, "25 ns")]
)
def test_seconds_are_told_in_units(seconds, text):
    error = SlowerError(Comparison(1.5, 1.4, 1.6, "slower", seconds, seconds, 20, 2, Rules()))
    assert str(error).endswith(f"candidate {text}, baseline {text}")


def test_the_error_crosses_to_another_process():
    comparison = Comparison(1.5, 1.4, 1.6, "slower", 0.3, 0.2, 20, 2, Rules(ratio=1.2))
    error = pickle.loads(pickle.dumps(SlowerError(comparison)))
    assert error.comparison == comparison
    assert str(error) == str(SlowerError(comparison))


@pytest.mark.parametrize("bad", [None, 3.0, "f", [never]])
def test_only_functions_are_timed(bad):
    message = rf"must be a function without arguments.*got {type(bad).__name__}"
    with pytest.raises(TypeError, match="candidate " + message):
        assert_not_slower(bad, never)
    with pytest.raises(TypeError, match="baseline " + message):
        assert_not_slower(never, bad)


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("ratio", 1, ValueError),
        ("ratio", 0.5, ValueError),
        ("ratio", math.nan, ValueError),
        ("ratio", math.inf, ValueError),
        ("ratio", "1.1", TypeError),
        ("ratio", True, TypeError),
        ("seconds", 0, ValueError),
        ("seconds", -3, ValueError),
        ("seconds", math.inf, ValueError),
        ("seconds", "10", TypeError),
        ("seconds", None, TypeError),
    ],
)
def test_numbers_are_looked_at_before_anything_runs(argument, value, error):
    with pytest.raises(error, match=rf"^{argument} must be .*; got {value!r}"):
        assert_not_slower(never, never, check=never, **{argument: value})


def test_the_check_sees_both_results_once(takes):
    seen = []
    assert_not_slower(
        takes(0.1, "new"), takes(0.1, "old"), check=lambda *results: seen.append(results)
    )
    assert seen == [("new", "old")]


@pytest.mark.parametrize("agreed", [None, True, np.True_])
def test_a_check_that_agrees(takes, agreed):
    assert assert_not_slower(takes(0.1), takes(0.1), check=lambda a, b: agreed).verdict == "same"


@pytest.mark.parametrize("disagreed", [False, np.False_])
def test_a_check_that_does_not(takes, disagreed):
    with pytest.raises(AssertionError, match="candidate and baseline give different results"):
        assert_not_slower(takes(0.1), takes(0.1), check=lambda a, b: disagreed)


def test_a_check_that_raises(takes):
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_not_slower(takes(0.1, 1.0), takes(0.1, 2.0), check=np.testing.assert_allclose)


@pytest.mark.parametrize("answer", [0.0, 1, "no", np.ones(3)])
def test_a_check_whose_answer_could_mean_anything(takes, answer):
    with pytest.raises(TypeError, match=rf"True, False or None; got {type(answer).__name__}"):
        assert_not_slower(takes(0.1), takes(0.1), check=lambda a, b: answer)


def test_a_check_is_a_function():
    with pytest.raises(TypeError, match=r"check must be a function of both results.*got bool"):
        assert_not_slower(never, never, check=True)


def test_wrong_results_are_not_timed(takes):
    calls = []

    def candidate() -> int:
        calls.append(1)
        return 1

    with pytest.raises(AssertionError, match="different results"):
        assert_not_slower(candidate, takes(0.1, 2), check=lambda a, b: a == b)
    assert len(calls) == 1
