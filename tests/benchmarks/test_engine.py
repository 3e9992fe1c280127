"""The engine on cases of its own: met, missed, broken, absent and dead are told apart."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from time import monotonic, sleep

import psutil
import pytest

from benchmarks import engine, report
from benchmarks.case import OURS, Case
from tests.conftest import ROOT

REGISTRY = """
import os, sys, time
from benchmarks.case import Case

def sleeper(seconds, result=0.0):
    def make():
        print("a library that prints")
        def call(inputs):
            time.sleep(seconds)
            return result
        return call
    return make

def absent():
    import a_module_that_does_not_exist

def dies():
    def call(inputs):
        if inputs == "normal":
            os.write(2, b"out of luck\\n")
            os._exit(3)
    return call

def raises():
    def call(inputs):
        raise ValueError("no such solver")
    return call

def hungry():
    return lambda inputs: bytearray(os.urandom(1)) * (1 if inputs == "tiny" else 60_000_000) and 0.0

def one_thread():
    names = ("MMLFAST_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    return lambda inputs: float(any(os.environ.get(name) != "1" for name in names))

def make(name, ours, rivals, **options):
    check = lambda result, inputs: result
    return Case(name, "dummy", lambda size: size, ours, rivals, check, **options)

fast, slow, wrong = sleeper(0.001), sleeper(0.02), sleeper(0.001, 0.5)
CASES = [
    make("met", fast, {"slow": slow}, tolerance=1e-3, bar={"slow": 3.0}),
    make("missed", slow, {"fast": fast}, tolerance=1e-3, bar={"fast": 1.0}),
    make("broken", wrong, {"slow": slow}, tolerance=1e-3, bar={"slow": 3.0}),
    make("nan", sleeper(0.001, float("nan")), {}, tolerance=1e-3),
    make("as_wrong_as_rival", wrong, {"wrong": wrong}, tolerance=1e-3, no_worse_than="wrong"),
    make("absent", fast, {"absent": absent}, tolerance=1e-3, bar={"absent": 1.0}),
    make("rival_dies", fast, {"dies": dies}, tolerance=1e-3, bar={"dies": 1.0}),
    make("ours_raises", raises, {"slow": slow}, tolerance=1e-3),
    make("excess", slow, {"fast": fast}, tolerance=1e-3, excess={"fast": 1.0}),
    make("threads", one_thread, {"same": one_thread}, tolerance=0.0, threads=1),
    make("hungry", hungry, {}, tolerance=1e-3, memory_limit=10e6),
]

def get(name):
    return next(case for case in CASES if case.name == name)
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    path = folder / "dummy_registry.py"
    path.write_text(REGISTRY)
    spec = importlib.util.spec_from_file_location("dummy_registry", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["dummy_registry"] = module
    spec.loader.exec_module(module)
    yield module, str(folder)
    del sys.modules["dummy_registry"]


@pytest.fixture
def outcome(registry, monkeypatch):
    module, folder = registry
    monkeypatch.setenv("PYTHONPATH", folder)
    monkeypatch.setattr(engine, "PAUSE", 0.0)
    monkeypatch.setattr(engine, "TURN", 0.002)

    def run(name):
        case = module.get(name)
        return engine.run(case, list(case.rivals), registry="dummy_registry", budget=0.5)

    return run


def verdicts(outcome):
    return [row.verdict for row in report.rows(outcome)]


def test_a_bar_is_met(outcome):
    met = outcome("met")
    assert verdicts(met) == ["met"]
    assert len(met.ours.seconds) >= engine.LEAST
    assert len(met.ours.seconds) == len(met.measured["slow"].seconds)
    assert report.exit_code(report.rows(met)) == 0


def test_a_bar_is_missed(outcome):
    missed = report.rows(outcome("missed"))
    assert [row.verdict for row in missed] == ["MISSED"]
    assert report.exit_code(missed) == 1


@pytest.mark.parametrize("name", ["broken", "nan"])
def test_a_wrong_result_is_broken_and_never_timed(outcome, name):
    broken = outcome(name)
    assert verdicts(broken) == ["BROKEN"]
    assert broken.ours.seconds == []
    assert "×" not in report.table(report.rows(broken))
    assert report.exit_code(report.rows(broken)) == 1


def test_a_rival_sets_the_tolerance(outcome):
    equal = outcome("as_wrong_as_rival")
    assert equal.allowed_error == 0.5
    assert verdicts(equal) == ["", "met"]


def test_an_absent_rival_is_left_out(outcome):
    absent = outcome("absent")
    assert verdicts(absent) == ["absent"]
    assert "a_module_that_does_not_exist" in report.notes(absent)[0]
    assert report.exit_code(report.rows(absent)) == 0


def test_a_rival_that_dies_says_its_last_words(outcome):
    dead = outcome("rival_dies")
    assert verdicts(dead) == ["rival failed"]
    assert "exit status 3, out of luck" in report.notes(dead)[0]
    assert report.exit_code(report.rows(dead)) == 2


def test_a_case_that_raises_did_not_run(outcome):
    raised = outcome("ours_raises")
    assert verdicts(raised) == ["did not run"]
    assert "ValueError: no such solver" in report.notes(raised)[0]
    assert report.exit_code(report.rows(raised)) == 2


def test_an_excess_is_a_difference(outcome):
    (row,) = report.rows(outcome("excess"))
    assert row.verdict == "met"
    assert row.figure.endswith("ms")


def test_threads_are_limited_for_everyone(outcome):
    limited = outcome("threads")
    assert [measured.error for measured in limited.measured.values()] == [0.0, 0.0]


def test_memory_is_seen_from_outside(outcome):
    hungry = outcome("hungry")
    assert hungry.ours.extra_bytes > 40e6
    assert verdicts(hungry) == ["MISSED", "met"]


def test_the_table_is_aligned_and_the_json_complete(outcome, tmp_path):
    met = outcome("met")
    lines = report.table(report.rows(met)).splitlines()
    assert len({len(line) for line in lines}) == 1
    report.save_json(tmp_path / "out" / "run.json", [met])
    saved = json.loads((tmp_path / "out" / "run.json").read_text())
    assert saved["cases"]["met"]["verdicts"] == ["met"]
    assert set(saved["cases"]["met"]["contestants"]) == {OURS, "slow"}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]


PARENT = """
import time
import dummy_registry
from benchmarks.case import OURS
from benchmarks.process import Worker
worker = Worker("dummy_registry", dummy_registry.get("met"), OURS)
with worker.awake():
    pass
print(worker._process.pid, flush=True)
time.sleep(600)
"""


def reaches(process, *states):
    """Wait until the process is in one of the states, or gone; whether it came to that."""
    patience = monotonic() + 60
    with suppress(psutil.NoSuchProcess):
        while process.status() not in states:
            if monotonic() > patience:
                return False
            sleep(0.01)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no child")
def test_a_stopped_worker_ends_with_its_parent(registry):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([registry[1], str(ROOT)])}
    # A session of its own: a shell that ends wakes the stopped processes of its group.
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    ) as parent:  # fmt: skip
        try:
            worker = psutil.Process(int(parent.stdout.readline()))
            assert reaches(worker, psutil.STATUS_STOPPED)
            assert parent.poll() is None
        finally:
            parent.kill()
    assert reaches(worker, psutil.STATUS_ZOMBIE)


def test_a_bar_for_nobody_is_refused(registry):
    case: Case = registry[0].get("met")
    with pytest.raises(ValueError, match=r"bars name \['nobody'\]"):
        replace(case, bar={"nobody": 1.0})
