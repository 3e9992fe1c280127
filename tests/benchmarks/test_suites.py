"""asv's suites and the pytest-benchmark run: each case once, wrong ones never timed, and found."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import mmlfast
from benchmarks import cases, history, startup, suites
from benchmarks.process import THREAD_VARIABLES

ROOT = Path(__file__).parent.parent.parent
CASES = list(cases.CASES.values())

REGISTRY = """
import time
from benchmarks.case import Case

def sleeper(seconds, result=0.0):
    def make():
        def call(inputs):
            time.sleep(seconds)
            return result
        return call
    return make

def absent():
    import a_module_that_does_not_exist

def of_a_later_commit():
    import json
    return json.a_function_that_does_not_exist

def tells(result):
    return {"sweeps": 2.0, "most_sweeps": 1.0}

def make(name, ours, group="dummy", rivals={}, **options):
    inputs = lambda size: size
    return Case(name, group, inputs, ours, rivals, lambda r, _: r, tolerance=1e-3, **options)

fast, slow, wrong = sleeper(0.001), sleeper(0.02), sleeper(0.001, 0.5)
CASES = [
    make("right", fast, rivals={"slow": slow, "absent": absent}, flops=1e9),
    make("wrong", wrong, rivals={"slow": slow}, flops=1e9),
    make("later", of_a_later_commit, rivals={"slow": slow}, flops=1e9),
    make("one_thread", fast, group="two_words", threads=1, counts=tells),
]

def get(name):
    return next(case for case in CASES if case.name == name)
"""


@pytest.fixture(scope="module")
def dummies(tmp_path_factory):
    """The suites of a registry of its own, which workers find too."""
    path = tmp_path_factory.mktemp("registry") / "dummy_suites_registry.py"
    path.write_text(REGISTRY)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(path.parent))
        patch.setattr(suites.engine, "PAUSE", 0.0)
        patch.setattr(suites.engine, "TURN", 0.002)
        patch.setattr(suites, "BUDGET", 0.1)
        yield module, suites.make(module.CASES, registry=path.stem)


@pytest.fixture
def figure(dummies):
    """figure(class, method, cell) does what asv does."""

    def take(suite, method, cell):
        instance = dummies[1][suite]()
        setup, teardown = getattr(instance, "setup", None), getattr(instance, "teardown", None)
        try:
            if setup:
                setup(cell)
                setup(cell)  # asv runs it before every sample
            return getattr(instance, method)(cell)
        finally:
            if teardown:
                teardown(cell)

    return take


def cells(kind):
    """The parameters of all suites of a kind."""
    made = suites.make(CASES, [kind])
    return Counter(name for suite in made.values() for name in suite.params[0])


@pytest.mark.parametrize("kind", [suites.Seconds, suites.Memory, suites.Error])
def test_every_case_is_there_once(kind):
    assert cells(kind) == Counter(case.name for case in CASES)


def test_a_cell_that_does_not_apply_does_not_exist():
    assert cells(suites.Passes) == Counter(case.name for case in CASES if case.counts)
    assert cells(suites.Gflops) == Counter(case.name for case in CASES if case.flops)
    assert cells(suites.Ratio) == Counter(
        f"{case.name} beside {rival}" for case in CASES for rival in case.rivals
    )


def test_names_read_well(dummies):
    assert {"Dummy", "DummyMemory", "DummyRatio", "TwoWordsPasses"} <= set(dummies[1])
    assert not {"DummyPasses", "TwoWordsGflops"} & set(dummies[1])
    assert dummies[1]["Dummy"].params == [["right", "wrong", "later"]]


def test_the_kinds_themselves_are_no_benchmarks():
    """asv would run them beside the suites, wherever they are imported."""
    prefixes = ("time_", "peakmem_", "mem_", "track_")
    assert [n for kind in suites.KINDS for n in dir(kind) if n.startswith(prefixes)] == []


def test_a_case_is_loaded_once_and_timed(dummies, figure, monkeypatch):
    sizes = []
    case = dummies[0].get("right")
    monkeypatch.setattr(suites, "load", lambda case: sizes.append(case.name) or (list, "ab"))
    assert figure("Dummy", "time_call", case.name) is None
    assert sizes == ["right"]


@pytest.mark.parametrize(
    ("suite", "method"),
    [("Dummy", "time_call"), ("DummyMemory", "peakmem_call"), ("DummyError", "track_error")],
)
def test_a_wrong_result_is_never_timed(figure, suite, method):
    figure(suite, method, "right")
    with pytest.raises(ArithmeticError, match=r"wrong is broken .* 5\.0e-01, 1\.0e-03 is allowed"):
        figure(suite, method, "wrong")


def test_a_count_is_what_the_result_tells(figure):
    assert figure("TwoWordsPasses", "track_passes", "one_thread") == 2.0


def test_what_an_old_commit_lacks_is_skipped(figure):
    with pytest.raises(NotImplementedError, match=r"cannot run later: .*a_function_that_does"):
        figure("Dummy", "time_call", "later")
    assert math.isnan(figure("DummyGflops", "track_gflops", "later"))
    assert math.isnan(figure("DummyRatio", "track_ratio", "later beside slow"))


def test_an_absent_rival_is_skipped(figure):
    with pytest.raises(NotImplementedError, match="a_module_that_does_not_exist"):
        figure("DummyRatio", "track_ratio", "right beside absent")


def test_ratio_and_rate_come_from_processes_apart(figure):
    assert figure("DummyRatio", "track_ratio", "right beside slow") > 0
    assert 0 < figure("DummyGflops", "track_gflops", "right") <= 1000
    with pytest.raises(ArithmeticError, match="wrong is broken"):
        figure("DummyRatio", "track_ratio", "wrong beside slow")


DISCOVER = """
import json
from asv_runner.discovery import disc_benchmarks
found = disc_benchmarks("benchmarks")
print(json.dumps([(b.name, b.version, b.params, b.check("benchmarks")) for b in found]))
"""


@pytest.mark.parametrize("slow", ["0", "1"])
def test_asv_finds_the_suites(slow, run_python):
    pytest.importorskip("asv_runner")
    found = json.loads(run_python(DISCOVER, MMLFAST_BENCH_SLOW=slow))
    assert all(ok for *_, ok in found)
    assert {version for _, version, *_ in found} == {"1"}
    assert max(Counter(name for name, *_ in found).values()) == 1
    timed = [case for name, _, params, _ in found if ".time_" in name for case in params[0]]
    expected = [
        repr(c.name) for c in CASES if c.quick or slow == "1" or c.group == "startup"
    ]  # fmt: skip
    assert sorted(timed) == sorted(expected)


def test_a_suite_imports_mmlfast_when_it_runs(run_python):
    """A commit on which that fails gives n/a in a cell, and does not end the run."""
    code = "import sys, benchmarks.bench_cases, benchmarks.bench_startup\n"
    code += "print('mmlfast' in sys.modules)"
    assert run_python(code).strip() == "False"


def test_asv_reads_the_configuration():
    config = pytest.importorskip("asv.config")
    loaded = config.Config.load(str(ROOT / "asv.conf.json"))
    assert loaded.environment_type == "virtualenv"
    assert (ROOT / loaded.benchmark_dir / "__init__.py").is_file()
    assert (ROOT / loaded.repo / "pyproject.toml").is_file()
    assert set(loaded.matrix["env_nobuild"]) <= set(THREAD_VARIABLES)


def test_a_worker_of_asv_imports_what_is_installed(tmp_path, run_python):
    """Not the checkout that it has on its path because of the benchmarks."""
    (tmp_path / "mmlfast").mkdir()
    (tmp_path / "mmlfast" / "__init__.py").write_text("")
    out = run_python(
        f"import sys; sys.path.insert(1, {str(tmp_path)!r})\n"
        "import benchmarks.installed, benchmarks.startup, mmlfast, tests.reference\n"
        "print(mmlfast.__file__)\n"
        "print(benchmarks.startup.search_path())"
    )
    assert out.split() == [str(tmp_path / "mmlfast" / "__init__.py"), str(tmp_path)]


def test_a_new_process_imports_the_mmlfast_of_this_one(tmp_path):
    home = str(Path(mmlfast.__file__).resolve().parent)
    startup.python(
        f"import mmlfast, pathlib\n"
        f"assert str(pathlib.Path(mmlfast.__file__).resolve().parent) == {home!r}",
        tmp_path,
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [f"{c.name}-mmlfast" for c in CASES if c.quick]),
        (["--slow"], [f"{c.name}-mmlfast" for c in CASES]),
        (
            ["--slow", "--rivals"],
            [f"{c.name}-{who}" for c in CASES for who in ("mmlfast", *c.rivals)],
        ),
    ],
)
def test_pytest_collects_the_cases(options, expected):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "--collect-only", "-q", *options],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    found = [line.split("[")[1][:-1] for line in done.stdout.splitlines() if "::test_case[" in line]
    assert found == expected, done.stdout + done.stderr


def test_the_table_of_a_commit():
    found = [
        history.Figure("track_ratio", "a beside numpy", 1.5),
        history.Figure("track_ratio", "a beside torch", math.nan),
        history.Figure("track_ratio", "a beside scipy", 2.0),
        history.Figure("time_call", "a", 0.0012),
        history.Figure("time_call", "b", None),
    ]
    assert history.table(found) == [
        ["case", "seconds", "as fast as"],
        ["a", "1.2 ms", "numpy 1.50×, scipy 2.00×"],
        ["b", "FAILED", ""],
    ]
