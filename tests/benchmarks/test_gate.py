"""The gate on cases of its own: what each side may do, and what is said of it."""

from __future__ import annotations

import importlib.util
import io
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import compare, figures, gate, gate_report
from benchmarks.__main__ import parse
from benchmarks.environments import ROOT, Source
from benchmarks.gate import Gate, Result, Side
from benchmarks.gate_report import Findings
from benchmarks.process import Installation
from mmlfast.testing import Pair, Rules
from mmlfast.testing.ratios import judge

REGISTRY = """
import os, signal, time
from benchmarks.case import Case

HEAD = os.environ.get("SIDE") == "HEAD"

def takes(base, head):
    def make():
        seconds = head if HEAD else base
        def call(inputs):
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass
            return 0.0
        return call
    return make

def gives(base, head):
    return lambda: lambda inputs: head if HEAD else base

def misses(only):
    def make():
        if HEAD == (only == "HEAD"):
            raise AttributeError("module 'mmlfast' has no attribute 'new_thing'")
        return lambda inputs: 0.0
    return make

def killed():
    def call(inputs):
        if inputs == "normal" and HEAD:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.0
    return call

def dies_later():
    calls = []
    def call(inputs):
        calls.append(inputs)
        if len(calls) > 5 and HEAD:
            os._exit(7)
        return 0.0
    return call

def hangs():
    return lambda inputs: time.sleep(60.0 if inputs == "normal" and HEAD else 0.0) or 0.0

def keeps(base, head):
    kept = []
    def call(inputs):
        kept[:] = [bytearray(os.urandom(1)) * (head if HEAD else base)]
        return 0.0
    return lambda: call

def uses_another_mmlfast():
    import mmlfast
    return lambda inputs: 0.0

def make(name, ours, counts=None):
    check = lambda result, inputs: result
    return Case(name, "dummy", lambda size: size, ours, {}, check, 1e-3, counts=counts)

CASES = [
    make("same", takes(1e-4, 1e-4)),
    make("slower", takes(1e-4, 3e-4)),
    make("faster", takes(3e-4, 1e-4)),
    make("wrong and fast", gives(0.0, 0.5)),
    make("nan", gives(0.0, float("nan"))),
    make("mended", gives(0.5, 0.0)),
    make("less accurate", gives(1e-5, 9e-4)),
    make("more passes", gives(0.0, 1e-9), counts=lambda r: {"passes": 2.0 + (r > 0)}),
    make("new", misses("BASE")),
    make("gone", misses("HEAD")),
    make("killed", killed),
    make("dies later", dies_later),
    make("hangs", hangs),
    make("hungry", keeps(10, 60_000_000)),
    make("elsewhere", uses_another_mmlfast),
]

def get(name):
    return next(case for case in CASES if case.name == name)
"""


class Environment:
    """Stands for a built one: this interpreter, which is told the side it plays."""

    def __init__(self, side: str, folder: Path) -> None:
        self.source = Source(side, side.lower(), "0123456789abcdef", None, side)
        self.folder, self.cache = folder, folder / "cache"

    def installation(self, root, cache=None):
        variables = {"SIDE": self.source.side, "PYTHONPATH": f"{self.folder}:{root}"}
        return Installation(sys.executable, root, variables)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    (folder / "gate_registry.py").write_text(REGISTRY)
    spec = importlib.util.spec_from_file_location("gate_registry", folder / "gate_registry.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return folder, module


@pytest.fixture
def run(registry):
    folder, module = registry
    sides = (Side(Environment(side, folder), ROOT) for side in ("BASE", "HEAD"))
    both = Gate(*sides, registry="gate_registry")
    rules = Rules(turn=0.002, seconds=4.0)
    return lambda name, **options: both.run(module.get(name), rules, **options)


@pytest.mark.parametrize("name", ["slower", "faster"])
def test_three_times_as_long_is_seen_both_ways(run, name):
    result = run(name)
    assert result.state == name
    assert result.comparison.n_launches == (2 if name == "slower" else 1)
    assert (result.comparison.ratio > 2) == (name == "slower")


def test_the_same_work_is_not_slower(run):
    result = run("same")
    assert result.state != "slower"
    assert not result.worse


@pytest.mark.parametrize("name", ["wrong and fast", "nan"])
def test_a_wrong_result_is_broken_and_never_timed(run, name):
    result = run(name)
    assert result.state == "broken"
    assert result.comparison is None
    assert "HEAD gives a wrong result: error 0 → " in result.note


def test_a_wrong_base_is_mended_and_not_a_regression(run):
    result = run("mended")
    assert result.state == "mended"
    assert exit_code(result) == 0


@pytest.mark.parametrize(
    ("name", "figure", "says"),
    [
        ("less accurate", "error", "error 1e-05 → 0.0009"),
        ("more passes", "passes", "passes 2 → 3"),
        ("hungry", "memory", "memory 0 MB → 5"),
    ],
)
def test_a_figure_without_a_clock_that_got_worse(run, name, figure, says):
    result = run(name)
    assert [f.name for f in result.worse] == [figure]
    assert says in gate_report.explain(result)
    assert exit_code(result) == 1


def test_a_case_new_in_the_head_is_no_failure(run):
    result = run("new", new=True)
    assert result.state == "new"
    assert "no attribute 'new_thing'" in result.note
    assert exit_code(result) == 0


@pytest.mark.parametrize(
    ("name", "side", "says"),
    [
        ("new", "BASE", "no attribute 'new_thing'"),
        ("gone", "HEAD", "no attribute 'new_thing'"),
        ("killed", "HEAD", "died: exit status -9"),
        ("dies later", "HEAD", "died: exit status 7"),
        ("elsewhere", "BASE", "imported mmlfast from"),
    ],
)
def test_what_cannot_run_is_not_compared(run, name, side, says):
    result = run(name)
    assert result.state == "failed"
    assert result.note.startswith(side)
    assert says in result.note
    assert exit_code(result) == 2


def test_a_worker_that_hangs_is_not_waited_for(run, monkeypatch):
    monkeypatch.setattr(gate, "LIMIT", 2.0)
    result = run("hangs")
    assert result.state == "failed"
    assert result.note == "HEAD gave no answer in 2 s"


def findings(*results: Result, **options) -> Findings:
    return Findings(("BASE a", "HEAD b"), results=list(results), **options)


def exit_code(*results: Result) -> int:
    return findings(*results).exit_code


def test_a_regression_outweighs_what_could_not_be_compared():
    broken, failed = Result("a", "broken", "wrong"), Result("b", "failed", "died")
    assert exit_code(failed) == 2
    assert exit_code(broken, failed) == 1
    assert exit_code() == 0
    assert findings(failure="no such commit").exit_code == 2


def test_an_accepted_regression_is_shown_and_does_not_fail():
    spills = ("matmul_f64", figures.Figure("spills", 0, 4, True))
    found = findings(Result("a", "slower"), others=[spills], accepted=["a", "matmul_f64"])
    assert found.exit_code == 0
    assert "SLOWER" in gate_report.plain(found)
    assert findings(Result("a", "slower"), others=[spills]).exit_code == 1


@pytest.mark.parametrize(
    ("figure", "worse"),
    [
        (figures.error(0.0, 0.0, 0.0), False),
        (figures.error(1e-7, 2e-7, 1e-5), False),
        (figures.error(1e-7, 1e-6, 1e-5), True),
        (figures.error(1e-7, math.nan, 1e-5), True),
        (figures.memory(100e6, 115e6), False),
        (figures.memory(100e6, 130e6), True),
        (figures.compilation(4.0, 5.4), False),
        (figures.compilation(4.0, 5.6), True),
        (figures.counts({"iterations": 21.0}, {"iterations": 22.0})[0], True),
        (figures.counts({"iterations": 21.0}, {"iterations": 20.0})[0], False),
        (figures.counts({"iterations": 21.0}, {"iterations": math.nan})[0], True),
    ],
)
def test_the_bounds_of_the_figures(figure, worse):
    assert figure.worse == worse


def test_counts_of_one_side_alone_say_nothing():
    assert figures.counts({"passes": 1.0}, {"sweeps": 9.0}) == []


def test_assembly_is_worse_with_fewer_multiply_adds_or_more_spills():
    tile = {"fma": 48, "spills": 0}
    assert [f.worse for f in figures.assembly(tile, tile)] == [False, False]
    assert [f.worse for f in figures.assembly(tile, {"fma": 24, "spills": 0})] == [True, False]
    assert [f.worse for f in figures.assembly(tile, {"fma": 48, "spills": 1})] == [False, True]
    assert figures.assembly(tile, {"missing": "renamed"}) == []


def test_reports_say_the_same_thrice(run, tmp_path):
    found = findings(run("slower"), Result("b", "failed", "HEAD died: exit status -9"))
    found.notes.append("packages differ: numpy==2.0.0")
    plain, text = gate_report.plain(found), gate_report.markdown(found)
    for report in (plain, text):
        assert "slower: takes " in report
        assert "HEAD died: exit status -9" in report
        assert "packages differ: numpy==2.0.0" in report
        assert "Compared beside the clock: error 1, memory 1; 0 worse." in report
        assert "1 regressed, 1 not compared" in report
    assert text.startswith("## Performance: regression\n")
    rows = [line for line in plain.splitlines() if line.startswith("|")]
    assert len({len(line) for line in rows}) == 1
    gate_report.save_json(tmp_path / "new" / "c.json", found)
    saved = json.loads((tmp_path / "new" / "c.json").read_text())
    assert saved["exit_code"] == 1
    assert saved["cases"]["slower"]["comparison"]["verdict"] == "slower"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["c.json"]


def test_json_holds_null_where_a_figure_is_not_finite(tmp_path):
    one_pair = judge([[Pair(1.0, 1.0)]], Rules())
    gate_report.save_json(tmp_path / "c.json", findings(Result("a", "unclear", "", one_pair)))
    saved = json.loads((tmp_path / "c.json").read_text(), parse_constant=pytest.fail)
    assert saved["cases"]["a"]["comparison"]["high"] is None


def test_versions_are_those_that_were_measured_with():
    found = findings(packages=["numpy==9.9.9", "odd @ file:///x"])
    assert "numpy 9.9.9, " in gate_report.spell_machine(found) + ", "
    assert "scipy" not in gate_report.spell_machine(found)
    assert "scipy" in gate_report.spell_machine(findings())


def command(*arguments: str):
    return parse(["compare", *arguments])


def test_cases_may_stand_on_both_sides_of_options(capsys):
    args = command("a", "b", "exp_", "--quick", "tanh_")
    assert (args.base, args.head, args.case, args.quick) == ("a", "b", ["exp_", "tanh_"], True)
    with pytest.raises(SystemExit):
        command("a", "b", "--quik")
    assert "unrecognized arguments: --quik" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_traceback():
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "list"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    ) as command:  # fmt: skip
        command.stdout.close()
        assert command.stderr.read() == b""
    assert command.returncode == 2


def test_an_unknown_commit_is_one_line_and_exit_status_2(capsys):
    assert compare.main(command("no-such-commit", "HEAD")) == 2
    said = capsys.readouterr().out
    assert "NOT COMPARED BASE: 'no-such-commit' is neither a commit of" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("HEAD", "HEAD", "no_such_case"), "no case is called or contains"),
        (("HEAD", "HEAD", "--ratio", "0.9"), "ratio must be above 1"),
        (("HEAD", "HEAD", "--seconds", "0"), "--seconds must be positive and finite; got 0"),
        (("HEAD", "HEAD", "--seconds", "nan"), "--seconds must be positive and finite; got nan"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_status_2(capsys, arguments, says):
    assert compare.main(command(*arguments)) == 2
    assert f"NOT COMPARED {says}" in capsys.readouterr().out


def test_a_second_comparison_in_the_same_store_is_one_line_and_exit_status_2(
    capsys, monkeypatch, tmp_path
):
    monkeypatch.setattr(compare, "ROOT", tmp_path)
    store = tmp_path / "build" / "compare"
    store.mkdir(parents=True)
    with compare.alone(store):
        assert compare.main(command("HEAD", "HEAD")) == 2
    assert f"NOT COMPARED another comparison runs in {store}" in capsys.readouterr().out
    with compare.alone(store):
        pass


def test_a_report_that_cannot_be_written_is_exit_status_2(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compare, "examine", lambda args, findings: None)
    (tmp_path / "file").write_text("")
    target = str(tmp_path / "file" / "report.json")
    assert compare.main(command("a", "b")) == 0
    assert compare.main(command("a", "b", "--json", target)) == 2
    assert f"NOT WRITTEN {target}" in capsys.readouterr().err


def test_a_regression_stays_one_where_its_table_cannot_be_written(capsys, monkeypatch, tmp_path):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(28, "No space left on device")

    def slower(args, findings):
        findings.results.append(Result("a", "slower"))

    saved = tmp_path / "report.json"
    monkeypatch.setattr(compare, "examine", slower)
    monkeypatch.setattr(sys, "stdout", Full())
    assert compare.main(command("a", "b", "--json", str(saved))) == 1
    assert "NOT WRITTEN the table: [Errno 28] No space left" in capsys.readouterr().err
    assert json.loads(saved.read_text())["exit_code"] == 1
    monkeypatch.setattr(compare, "examine", lambda args, findings: None)
    assert compare.main(command("a", "b")) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["list"], ["compare", "no-such-commit", "HEAD"]])
def test_an_output_that_is_full_is_told_and_exit_status_2(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"(.*\[Errno 28\] No space left on device\n)+", done.stderr)


def test_a_full_disk_is_one_line_and_exit_status_2(capsys, monkeypatch):
    def full(args, findings):
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(compare, "examine", full)
    assert compare.main(command("a", "b")) == 2
    assert "NOT COMPARED cannot go on: [Errno 28] No space left" in capsys.readouterr().out


def test_a_removed_case_is_missing_and_a_new_one_is_run():
    class Named:
        def __init__(self, name):
            self.name = name

    chosen = [Named("kept"), Named("only in the tree")]
    base = {"kept": True, "removed": False}
    run, gone = compare.split(chosen, (base, {"kept": True}), command("a", "b"))
    assert [case.name for case in run] == ["kept"]
    assert {(r.name, r.state) for r in gone} == {
        ("only in the tree", "missing"),
        ("removed", "missing"),
    }
    run, gone = compare.split([Named("new")], ({}, {"new": True}), command("a", "b"))
    assert [case.name for case in run] == ["new"]
    run, gone = compare.split([Named("kept")], (None, None), command("a", "b"))
    assert gone == []


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ((), {"quick_one", "slow_one"}),
        (("--quick",), {"quick_one"}),
        (("slow",), {"slow_one"}),
        (("slow", "--quick"), set()),
    ],
)
def test_what_was_removed_is_missing_where_it_would_have_been_chosen(options, missing):
    base = {"quick_one": True, "slow_one": False}
    _, gone = compare.split([], (base, {}), command("a", "b", *options))
    assert {result.name for result in gone} == missing
