"""`pytest benchmarks/ --benchmark-only`: the quick cases, every contestant, in one process.

Only figures of one contestant compare here: for ratios use `python -m benchmarks run --rivals`.
"""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

from benchmarks import cases
from benchmarks.case import OURS
from benchmarks.suites import limits


def pytest_generate_tests(metafunc: Any) -> None:
    """Each quick case with each of its contestants."""
    pairs = [(case, name) for case in cases.select(quick=True) for name in (OURS, *case.rivals)]
    metafunc.parametrize(
        ("case", "contestant"), pairs, ids=[f"{case.name}-{name}" for case, name in pairs]
    )


def test_case(benchmark: Any, case: Any, contestant: str) -> None:
    """Warm up, check, then time."""
    benchmark.group = case.name
    try:
        call = case.contestant(contestant)
    except ImportError as error:
        raise SkipTest(f"{contestant} is absent: {error}") from error
    with limits(case):
        call(case.inputs("tiny"))
        inputs = case.inputs("normal")
        if contestant == OURS:
            assert case.check(call(inputs), inputs) <= case.tolerance
        benchmark(call, inputs)
