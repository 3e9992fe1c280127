"""The pytest fixture `paired_benchmark`, and the table of what it measured.

Registered as an entry point: it is there wherever mmlfast is installed.  Nothing heavy is imported
before a test asks for the fixture.
"""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mmlfast.testing.ratios import Comparison


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--paired-ratio` and `--paired-seconds`: what the fixture takes where a test names none."""
    group = parser.getgroup("paired benchmarks", "paired timing of two callables (mmlfast)")
    group.addoption(
        "--paired-ratio",
        type=_ratio,
        default=1.1,
        metavar="RATIO",
        help="how many times as long a candidate may take (default: 1.1)",
    )
    group.addoption(
        "--paired-seconds",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="the most time one comparison takes (default: 10)",
    )


def _ratio(text: str) -> float:
    if not 1 < _float(text) < math.inf:
        raise ArgumentTypeError(f"must be above 1, such as 1.1 for ten percent slower; got {text}")
    return float(text)


def _seconds(text: str) -> float:
    if not 0 < _float(text) < math.inf:
        raise ArgumentTypeError(f"must be positive and finite; got {text}")
    return float(text)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a number; got {text}") from None


@pytest.fixture
def paired_benchmark(request: pytest.FixtureRequest) -> Callable[..., Comparison]:
    """Assert that one callable is not slower than another: the arguments of `assert_not_slower`.

    Examples
    --------
    >>> def test_new_loop(paired_benchmark):
    ...     paired_benchmark(new_loop, old_loop, ratio=1.05)
    """
    from mmlfast.testing.assertions import SlowerError, assert_not_slower

    def benchmark(
        candidate: Callable[[], Any],
        baseline: Callable[[], Any],
        *,
        ratio: float | None = None,
        seconds: float | None = None,
        check: Callable[[Any, Any], Any] | None = None,
    ) -> Comparison:
        __tracebackhide__ = True
        option = request.config.getoption
        try:
            comparison = assert_not_slower(
                candidate,
                baseline,
                ratio=option("--paired-ratio") if ratio is None else ratio,
                seconds=option("--paired-seconds") if seconds is None else seconds,
                check=check,
            )
        except SlowerError as error:
            record(request, error.comparison)
            raise
        record(request, comparison)
        return comparison

    return benchmark


def record(request: pytest.FixtureRequest, comparison: Comparison) -> None:
    """Remember it for the table, and for the reports of pytest (also from xdist's workers)."""
    request.node.user_properties.append(("paired_benchmark", str(comparison)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each comparison."""
    lines = {  # a set: the report of a subtest repeats what its test has measured so far
        (report.nodeid, value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "paired_benchmark"
    }
    if lines:
        terminalreporter.section("paired benchmarks")
        for nodeid, value in sorted(lines):
            terminalreporter.write_line(f"{nodeid}: {value}")
