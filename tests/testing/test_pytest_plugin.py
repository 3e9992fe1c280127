"""The plugin as pytest finds it: through the entry point, in a process of its own."""

from __future__ import annotations

import importlib
import os
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "entry-points"
]["pytest11"]

# The functions of these tests return the seconds that a call shall seem to take.
CONFTEST = """
import pytest
from mmlfast.testing.ratios import Pair, judge

@pytest.fixture(autouse=True)
def no_clock(monkeypatch):
    def compare_functions(candidate, baseline, rules):
        print(f"ratio={rules.ratio} seconds={rules.seconds}")
        return judge([[Pair(candidate(), baseline())] * 10] * 2, rules)
    monkeypatch.setattr("mmlfast.testing.assertions.compare_functions", compare_functions)
"""

TESTS = """
import pytest

def test_same(paired_benchmark):
    comparison = paired_benchmark(lambda: 1.0, lambda: 1.0)
    assert comparison.verdict == "same"

def test_slower(paired_benchmark):
    paired_benchmark(lambda: 3.0, lambda: 1.0)

def test_two(paired_benchmark):
    paired_benchmark(lambda: 0.5, lambda: 1.0)
    paired_benchmark(lambda: 1.25, lambda: 1.0, ratio=1.5, seconds=3)

def test_wrong(paired_benchmark):
    paired_benchmark(lambda: 0.5, lambda: 1.0, check=lambda a, b: a == b)

def test_other():
    pass
"""
LINES = [
    "*= paired benchmarks =*",
    "test_it.py::test_same: 1.000× the time of the baseline*20 pairs): same",
    "test_it.py::test_slower: 3.000× the time of the baseline*20 pairs): slower",
    "test_it.py::test_two: 0.500× the time of the baseline*: faster",
    "test_it.py::test_two: 1.250× the time of the baseline*: same",
]


@pytest.fixture
def installed(pytester, monkeypatch):
    """`pytester` with mmlfast installed: this tree, and the entry points of pyproject.toml."""
    site = pytester.mkdir("site")
    metadata = site / "mmlfast-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mmlfast\nVersion: 0\n")
    lines = ["[pytest11]", *(f"{name} = {module}" for name, module in ENTRY_POINTS.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    monkeypatch.setenv("PYTHONUTF8", "1")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TESTS)

    def run(*arguments: str) -> pytest.RunResult:
        for other in ("cacheprovider", "hypothesispytest", "benchmark"):
            arguments = ("-p", f"no:{other}", *arguments)
        return pytester.runpytest_subprocess("-W", "error", *arguments)

    return run


def test_the_entry_point_names_the_plugin():
    assert set(ENTRY_POINTS) == {"mmlfast"}
    plugin = importlib.import_module(ENTRY_POINTS["mmlfast"])
    assert plugin.pytest_addoption
    assert plugin.paired_benchmark


def test_comparisons_pass_fail_and_are_listed(installed):
    result = installed()
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(LINES, consecutive=True)
    result.stdout.fnmatch_lines(
        [
            "E * mmlfast.testing.assertions.SlowerError: candidate takes 3.000× the time*"
            "ratio=1.1 is allowed.*candidate 3 s, baseline 1 s",
        ]
    )
    result.stdout.fnmatch_lines(["E * AssertionError: check says that*different results"])
    result.stdout.no_fnmatch_line("*assertions.py:*")  # the traceback ends in the test


def test_workers_of_xdist_report_the_same(installed):
    pytest.importorskip("xdist")
    result = installed("-n", "2")
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(LINES, consecutive=True)


def test_options_say_what_a_test_does_not(installed):
    result = installed("-rP", "--paired-ratio", "4", "--paired-seconds=2.5", "-k", "not wrong")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        ["*_ test_slower _*", "ratio=4.0 seconds=2.5", "*_ test_two _*", "ratio=4.0 seconds=2.5"]
    )
    result.stdout.fnmatch_lines(["ratio=1.5 seconds=3"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--paired-ratio=1", "*--paired-ratio: must be above 1, such as 1.1 *; got 1"),
        ("--paired-ratio=fast", "*--paired-ratio: must be a number; got fast"),
        ("--paired-seconds=0", "*--paired-seconds: must be positive and finite; got 0"),
        ("--paired-seconds=inf", "*--paired-seconds: must be positive and finite; got inf"),
    ],
)
def test_a_wrong_option_is_wrong_usage(installed, option, message):
    result = installed(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in result.stderr.str()


def test_it_is_listed_among_the_fixtures(installed):
    result = installed("--fixtures")
    result.stdout.fnmatch_lines(["paired_benchmark -- *pytest_plugin.py:*", "*not slower than*"])


def test_it_can_be_left_out(installed):
    result = installed("-p", "no:mmlfast", "-k", "same or other")
    result.assert_outcomes(passed=1, errors=1, deselected=3)
    result.stdout.fnmatch_lines(["*fixture 'paired_benchmark' not found"])
    result.stdout.no_fnmatch_line("*paired benchmarks*")


def test_who_does_not_measure_sees_nothing(installed):
    result = installed("-k", "other")
    result.assert_outcomes(passed=1, deselected=4)
    result.stdout.no_fnmatch_line("*paired benchmarks*")


def test_what_the_readme_offers_to_paste_runs_as_it_stands(installed, pytester):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Guard your own code")[2]
    code = re.search(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    seconds = "Pair(candidate(), baseline())"
    pytester.makeconftest(CONFTEST.replace(seconds, "(candidate(), baseline(), Pair(1, 2))[2]"))
    pytester.makepyfile(test_pasted=code)
    result = installed("test_pasted.py")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines("test_pasted.py::test_fixture: 0.500× the time of the baseline*")
