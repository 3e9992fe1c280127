"""The plan takes the route that a person would, says why, and knows what memory it needs."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast.runtime.plan import (
    KRYLOV_LEAST_FEATURES,
    SMALL,
    Problem,
    forced_route,
    krylov_block,
    plan_route,
)

ROUTES = ("covariance_eigh", "krylov", "dual", "full")


def problem(n, d, k=None, itemsize=4, threads=2, rewindable=True):
    return Problem(n, d, itemsize, k, threads, rewindable)


@pytest.mark.parametrize(
    ("wanted", "shape", "k"),
    [
        ("full", (150, 4), 2),
        ("full", (SMALL, SMALL), None),
        ("covariance_eigh", (500_000, 64), 16),
        ("covariance_eigh", (60_000, 784), 50),
        ("covariance_eigh", (60_000, 784), None),
        ("covariance_eigh", (None, 784), 50),
        ("krylov", (40_000, 2000), 50),
        ("krylov", (5_000, 10_000), 50),
        ("dual", (600, 50_000), None),
    ],
)
def test_routes(wanted, shape, k):
    plan = plan_route(problem(*shape, k))
    assert plan.route == wanted, plan.reason
    assert plan.reason
    assert plan.seconds > 0
    assert plan.peak_bytes > 0
    assert plan.passes >= 1


def test_a_stream_that_cannot_be_read_again_is_read_once():
    plan = plan_route(problem(5_000, 4_000, 20, rewindable=False))
    assert (plan.route, plan.passes) == ("covariance_eigh", 1)
    assert "read only once" in plan.reason


def test_the_reason_names_what_was_considered():
    reason = plan_route(problem(40_000, 2000, 50)).reason
    assert "cheapest" in reason
    assert "covariance_eigh" in reason


def test_a_budget_rules_routes_out():
    wide = problem(40_000, 4_000, 50)
    free = plan_route(wide)
    costs = {r: forced_route(wide, r).peak_bytes for r in ("covariance_eigh", "krylov")}
    assert costs["krylov"] < costs["covariance_eigh"]
    tight = plan_route(wide, costs["krylov"])
    assert tight.route == "krylov"
    assert tight.peak_bytes <= costs["krylov"]
    assert "memory_budget" in tight.reason
    assert plan_route(wide, free.peak_bytes).route == free.route


def test_a_budget_too_small_says_what_would_do():
    with pytest.raises(MemoryError, match=r"memory_budget=1000 bytes is too small.*at least \d+"):
        plan_route(problem(40_000, 4_000, 50), 1000)
    with pytest.raises(MemoryError, match="integer n_components of at most a quarter"):
        plan_route(problem(40_000, 4_000, None), 1000)


def test_the_least_memory_that_is_named_does():
    hard = problem(40_000, 4_000, 50)
    with pytest.raises(MemoryError) as caught:
        plan_route(hard, 1)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    assert plan_route(hard, least).peak_bytes == least


SIZES = st.integers(1, 10**7)
WIDTHS = st.integers(1, 30_000)
PROBLEMS = st.builds(
    Problem,
    n_samples=st.none() | SIZES,
    n_features=WIDTHS,
    itemsize=st.sampled_from([4, 8]),
    n_components=st.none() | st.integers(1, 500),
    threads=st.integers(1, 64),
    rewindable=st.booleans(),
)


@given(PROBLEMS)
def test_every_problem_has_a_plan(p):
    plan = plan_route(p)
    assert plan.route in ROUTES
    assert plan.reason
    assert isinstance(plan.peak_bytes, int)
    assert plan.peak_bytes > 0
    assert plan.seconds > 0
    if plan.route == "krylov":
        assert p.rewindable
        assert p.n_features >= KRYLOV_LEAST_FEATURES
    if plan.route == "dual":
        assert p.rewindable
        assert p.n_samples < p.n_features
    if not p.rewindable:
        assert plan.passes == 1


@given(PROBLEMS, st.sampled_from(ROUTES), st.integers(1, 1000), st.integers(1, 10**5))
def test_larger_problems_need_no_less(p, route, more_features, more_rows):
    costs = forced_route(p, route)
    wider = dataclasses.replace(p, n_features=p.n_features + more_features)
    assert forced_route(wider, route).seconds >= costs.seconds
    if route != "full":
        assert forced_route(wider, route).peak_bytes >= costs.peak_bytes
    if p.n_samples is not None:
        longer = dataclasses.replace(p, n_samples=p.n_samples + more_rows)
        assert forced_route(longer, route).seconds >= costs.seconds
        # Rows are streamed: only the dual, which is of their size, needs more for more.
        if route in ("covariance_eigh", "krylov"):
            assert forced_route(longer, route).peak_bytes == costs.peak_bytes
        else:
            assert forced_route(longer, "dual").peak_bytes >= forced_route(p, "dual").peak_bytes


@given(st.integers(1, 2000), st.integers(1, 5000))
def test_krylov_blocks_are_whole_registers(k, d):
    block = krylov_block(k, d)
    assert 1 <= block <= d
    assert block % 16 == 0 or block == d
