"""The engine on a simulated machine: when it stops, what it says, and how seldom it is wrong."""

from __future__ import annotations

import gc
import random
from contextlib import contextmanager
from dataclasses import replace

import pytest

from benchmarks.compare import QUICK_EACH, RULES
from mmlfast.testing import Rules, Sides, compare, compare_functions
from mmlfast.testing.paired import SAMPLES, Limits, alternate, turn_of
from tests.testing.simulation import Machine

FOREVER = Limits(share=float("inf"), deadline=float("inf"))


def verdicts(trials: int, **properties: object) -> list[str]:
    return [Machine(seed=seed, **properties).compare().verdict for seed in range(trials)]


# --- one launch


def test_each_side_is_first_in_every_other_pair():
    machine = Machine(call=1.0)
    with machine.launch() as sides:
        pairs = alternate(sides, Rules(most=5, least=6, convict=1), FOREVER)
    assert "".join(name for name, _ in machine.turns) == "BAABBAABBA"
    assert len(pairs) == 5


def test_the_seconds_of_a_pair_belong_to_their_sides():
    machine = Machine(2.0, call=1.0)
    with machine.launch() as sides:
        pairs = alternate(sides, Rules(), FOREVER)
    assert set(pairs) == {(2.0, 1.0)}


def test_a_quiet_machine_is_done_at_the_least_pairs():
    assert Machine().compare().n_pairs == Rules().least
    assert Machine(call=2.0).compare(Rules(seconds=100)).n_pairs == Rules().least_if_slow
    assert Machine(0.5).compare().n_pairs == Rules().least
    slower = Machine(1.5).compare()
    assert (slower.n_pairs, slower.n_launches) == (2 * Rules().convict, 2)


def test_the_verdict_is_looked_at_after_even_numbers_of_pairs():
    assert Machine().compare(Rules(least=7)).n_pairs == 8


@pytest.mark.parametrize("seed", range(5))
def test_no_launch_has_more_pairs_than_allowed(seed):
    machine = Machine(1.1, 0.5, seed)
    with machine.launch() as sides:
        assert len(alternate(sides, Rules(most=13), FOREVER)) == 13


@pytest.mark.parametrize("call", [0.001, 0.03, 1.0, 4.0])
@pytest.mark.parametrize("start_up", [0.0, 2.0])
def test_nothing_begins_after_the_deadline(call, start_up):
    machine = Machine(1.12, 0.3, call=call, start_up=start_up)
    machine.compare(Rules(seconds=10))
    turns = 2 * max(2.5 * call, 2.5 * 0.1)
    assert machine.now <= 10 + start_up + turns


def test_a_pair_is_measured_however_short_the_time():
    result = Machine(1.5, call=60.0).compare(Rules(seconds=1))
    assert (result.n_pairs, result.n_launches, result.verdict) == (1, 1, "unclear")


@pytest.mark.parametrize(
    ("call", "numbers"),
    [
        (2.0, [1]),
        (0.04, [1]),
        (0.025, [1, 2]),
        (0.004, [1, 10]),
        (1e-7, [1, 100, 10_000, 400_000]),
    ],
)
def test_a_turn_has_as_many_calls_as_fill_it(call, numbers):
    machine = Machine(call=call)
    machine.compare(Rules(seconds=100))
    assert sorted({number for _, number in machine.turns}) == numbers
    assert machine.turns[-1][1] * call >= Rules().turn / 2


def test_a_far_slower_side_takes_its_own_number_of_calls():
    machine = Machine(1000.0, call=0.001)
    assert machine.compare(Rules(seconds=100)).ratio == pytest.approx(1000)
    assert {number for name, number in machine.turns if name == "A"} == {1}
    assert {number for name, number in machine.turns if name == "B"} == {1, 40}
    machine = Machine(3.0, call=0.001)
    machine.compare(Rules(seconds=100, launches=1))
    assert [number for _, number in machine.turns] == [1] * 2 + [40] * 20


def test_short_turns_do_not_count():
    machine = Machine(call=0.004)
    assert machine.compare().n_pairs == len(machine.turns) / 2 - 1


def test_a_clock_that_reads_nothing_ends():
    largest = 0

    def turn(number: int) -> float:
        nonlocal largest
        largest = max(largest, number)
        return 0.0

    @contextmanager
    def launch():
        yield Sides(turn, turn)

    assert compare(launch, Rules()).verdict == "same"
    assert largest <= 1e8


# --- launches


def test_both_sides_are_started_anew_while_in_doubt():
    assert Machine(1.0).compare().n_launches == 1
    assert Machine(1.04).compare().n_launches == 1
    assert Machine(1.06).compare().n_launches == 3  # "same", but above half the threshold
    assert Machine(1.2).compare().n_launches == 2
    assert Machine(0.5).compare().n_launches == 1
    assert Machine(1.0).compare(Rules(fewest_launches=2)).n_launches == 2
    assert Machine(1.0, call=1.5).compare(Rules(fewest_launches=2, seconds=99)).n_launches == 1


def test_launches_weigh_the_same_however_soon_they_are_clear_by_themselves():
    result = Machine(1.2, 0.01, launch_bias=[0.9]).compare(Rules(seconds=100))
    assert (result.n_pairs, result.n_launches) == (3 * Rules().most, 3)
    result = Machine(1.0, 0.01, launch_bias=[1.2]).compare()
    assert (result.n_pairs, result.n_launches) == (3 * Rules().convict, 3)


def test_a_launch_ends_before_the_next_begins():
    events: list[str] = []

    @contextmanager
    def launch():
        events.append("start")
        yield Sides(lambda number: 1.2, lambda number: 1.0)
        events.append("end")

    compare(launch, Rules())
    assert events == ["start", "end"] * 2


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("bias", [1.15, 1.5])
def test_one_unlucky_launch_convicts_nobody(position, bias):
    luck = [1.0] * position + [bias]
    # Noise keeps the launches before it in doubt, so that it is reached.
    found = verdicts(100, noise=0.1, launch_bias=luck) + verdicts(1, launch_bias=luck)
    assert "slower" not in found


def luck_of_processes(seed: int, launches: int) -> list[float]:
    """Ratios by luck alone where a quarter of all processes takes 17 % longer for life."""
    draw = random.Random(seed)
    seconds = [1.17 if draw.random() < 0.25 else 1.0 for _ in range(2 * launches)]
    return [a / b for a, b in zip(seconds[::2], seconds[1::2], strict=True)]


def test_what_slows_some_processes_for_life_convicts_few_and_hides_little():
    rules = replace(RULES, seconds=QUICK_EACH)
    found = {
        ratio: [
            Machine(
                ratio, 0.01, seed, launch_bias=luck_of_processes(seed, rules.launches), start_up=2.0
            )
            .compare(rules)
            .verdict
            for seed in range(100)
        ]
        for ratio in (1.0, 1.15)
    }
    # Two launches that agree would convict 6 of the same code, and pass 14 of the slower.
    assert found[1.0].count("slower") <= 1
    assert found[1.15].count("slower") >= 90


def test_a_lucky_launch_hides_nothing_for_long():
    result = Machine(1.2, 0.01, launch_bias=[0.9]).compare()
    assert (result.verdict, result.n_launches) == ("slower", 3)


def test_without_time_for_a_second_launch_nothing_is_confirmed():
    result = Machine(1.5, start_up=8.0).compare(Rules(seconds=9))
    assert (result.n_launches, result.verdict) == (1, "unclear")
    assert result.n_pairs >= Rules().convict


def test_a_single_launch_convicts_where_no_other_is_allowed():
    assert Machine(1.5).compare(Rules(launches=1)).verdict == "slower"
    assert Machine(1.5).compare(Rules(confirmations=1)).n_launches == 1


# --- how often it is wrong


def test_fifteen_percent_are_found():
    assert verdicts(100, ratio=1.15, noise=0.03).count("slower") >= 99


def test_heavy_noise_raises_no_alarm():
    assert "slower" not in verdicts(500, noise=0.3, bursts=0.3)


def test_what_is_faster_is_said_to_be():
    assert verdicts(50, ratio=0.8, noise=0.03).count("faster") >= 49


@pytest.mark.parametrize("drift", [0.02, 0.1, -0.05])
def test_a_drift_of_the_machine_does_not_tilt_the_ratio(drift):
    ratios = [Machine(1.05, 0.01, s, drift=drift, call=0.1).compare().ratio for s in range(20)]
    assert sum(ratios) / 20 == pytest.approx(1.05, abs=0.005)


def test_a_noiseless_drift_cancels():
    result = Machine(drift=0.01, call=0.1).compare()
    assert result.ratio == pytest.approx(1, abs=1e-4)


# --- functions of this process


@pytest.fixture
def machine(monkeypatch):
    """A machine whose clock advances by what the functions of a test say."""
    machine = Machine()
    monkeypatch.setattr("mmlfast.testing.paired.perf_counter", machine.clock)
    return machine


def function_of(machine: Machine, seconds: float, calls: list[float] | None = None):
    def call() -> None:
        machine.now += seconds
        if calls is not None:
            calls.append(machine.now)

    return call


@pytest.mark.parametrize(
    ("number", "calls"),
    [
        (1, 1),
        (2, 3),
        (SAMPLES, 1 + SAMPLES),
        (SAMPLES + 1, 1 + 2 * SAMPLES),
        (3 * SAMPLES, 1 + 3 * SAMPLES),
    ],
)
def test_a_turn_calls_once_to_warm_up_and_then_equally_often_for_each_sample(
    machine, number, calls
):
    made: list[float] = []
    assert turn_of(function_of(machine, 0.25, made))(number) == 0.25
    assert len(made) == calls


def test_a_turn_is_the_median_of_its_samples(machine):
    durations = iter([100.0, 1.0, 2.0, 50.0])

    def call() -> None:
        machine.now += next(durations)

    assert turn_of(call)(3) == 2.0  # the first one is the warm-up


def test_functions_are_compared_and_warmed_once(machine):
    slow, fast = [], []
    result = compare_functions(
        function_of(machine, 1.2, slow), function_of(machine, 1.0, fast), Rules(seconds=1000)
    )
    assert (result.verdict, result.ratio) == ("slower", pytest.approx(1.2))
    assert (result.n_launches, result.n_pairs) == (2, 20)
    assert len(slow) == len(fast) == 21


def test_slow_calls_leave_most_of_the_time_to_pairs(machine):
    result = compare_functions(
        function_of(machine, 1.0), function_of(machine, 1.0), Rules(seconds=10)
    )
    assert (result.n_pairs, result.verdict) == (5, "unclear")
    assert machine.now <= 12


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("lives", [0, 1, 7, 40])
def test_an_exception_passes_and_leaves_the_collector_as_it_was(machine, enabled, lives):
    left = lives

    def call() -> None:
        nonlocal left
        machine.now += 0.01
        if left == 0:
            raise ZeroDivisionError("sometimes")
        left -= 1

    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ZeroDivisionError, match="sometimes"):
            compare_functions(call, function_of(machine, 0.01), Rules(least=40))
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_rests_while_the_clock_runs(machine, enabled):
    seen = set()

    def call() -> None:
        machine.now += 1.0
        seen.add(gc.isenabled())

    try:
        (gc.enable if enabled else gc.disable)()
        turn_of(call)(3)
        assert gc.isenabled() is enabled
    finally:
        gc.enable()
    assert seen == {False}


class Huge:
    """A result that counts how many of its kind live; it lies in a cycle if asked to."""

    alive = most = 0

    def __init__(self, cyclic: bool) -> None:
        type(self).alive += 1
        type(self).most = max(self.most, self.alive)
        self.itself = self if cyclic else None

    def __del__(self) -> None:
        type(self).alive -= 1


@pytest.mark.parametrize(("cyclic", "most"), [(False, 1), (True, 2)])
def test_results_do_not_live_together(machine, monkeypatch, cyclic, most):
    monkeypatch.setattr(Huge, "alive", 0)
    monkeypatch.setattr(Huge, "most", 0)

    def call() -> Huge:
        machine.now += 1.0
        return Huge(cyclic)

    compare_functions(call, call, Rules(seconds=100))
    assert Huge.most <= most
    gc.collect()


def test_a_lucky_first_launch_hides_nothing_where_two_are_asked_for():
    machine = Machine(1.15, launch_bias=(0.9, 1.0, 1.0, 1.0, 1.0))
    assert machine.compare(Rules(launches=5)).verdict == "same"
    machine = Machine(1.15, launch_bias=(0.9, 1.0, 1.0, 1.0, 1.0))
    rules = Rules(launches=5, fewest_launches=2)
    assert machine.compare(rules).verdict == "slower"
    # The median of the pairs may lie with the lucky half: that launches disagree is doubt enough.
    for seed in range(20):
        machine = Machine(1.15, noise=0.01, seed=seed, launch_bias=(0.85, 1.0, 1.0, 1.0, 1.0))
        assert machine.compare(rules).verdict == "slower"
