"""Options of `pytest benchmarks/ --benchmark-only`: which cases and contestants take part."""

from __future__ import annotations

from typing import Any

from benchmarks import cases
from benchmarks.case import OURS

# pytest itself is not imported: asv reads this folder in an environment that has none.


def pytest_addoption(parser: Any) -> None:
    """`--rivals` and `--slow`."""
    group = parser.getgroup("cases", "cases of the registry")
    group.addoption("--rivals", action="store_true", help="time the rivals as well as mmlfast")
    group.addoption("--slow", action="store_true", help="all cases, not the quick ones alone")


def pytest_generate_tests(metafunc: Any) -> None:
    """Each case with each contestant; `-k` picks by either name."""
    if {"case", "contestant"} <= set(metafunc.fixturenames):
        option = metafunc.config.option
        pairs = [
            (case, name)
            for case in cases.select(quick=not option.slow)
            for name in (OURS, *(case.rivals if option.rivals else ()))
        ]
        metafunc.parametrize(
            ("case", "contestant"), pairs, ids=[f"{case.name}-{name}" for case, name in pairs]
        )
