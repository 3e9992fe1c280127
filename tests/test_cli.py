"""The command does what its options say, tells failures in one line, leaves nothing half-done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mmlfast
from mmlfast import PCA
from mmlfast.cli import app
from mmlfast.cli_text import json_text, mapping_text

ROWS, COLUMNS = 60, 8
COMMAND = [sys.executable, "-m", "mmlfast"]
ROOT = Path(mmlfast.__file__).parent.parent


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder that holds `x.npy`."""
    X = np.random.default_rng(0).normal(size=(ROWS, COLUMNS)) * np.arange(1, COLUMNS + 1)
    np.save(tmp_path / "x.npy", X)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMLFAST_DEBUG", raising=False)

    def run(*arguments, status=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == status, result.output
        return result

    return run


@pytest.fixture
def X(run):
    return np.load("x.npy")


def files():
    return sorted(name for name in os.listdir() if name != "x.npy")


def test_the_table_has_every_component_and_where_it_came_from(run, X):
    told = run("pca", "x.npy", "-k", 3).stdout
    pca = PCA(3).fit(X)
    assert told.startswith("x.npy: 60 × 8 float64\n")
    assert f"solver {pca.solver_}: {pca.why_solver_}" in told
    assert "1 pass, " in told
    rows = [line.split() for line in told.splitlines() if line.split()[:1] in (["1"], ["2"], ["3"])]
    variances = [float(row[1]) for row in rows if len(row) == 4]
    np.testing.assert_allclose(variances, pca.explained_variance_, rtol=1e-5)
    assert files() == []


def test_more_than_twenty_components_are_cut(run):
    told = run("pca", "sample:digits", "-k", 30).stdout
    assert "… and 10 more" in told
    assert "\n       20 " in told
    assert "\n       21 " not in told


@pytest.mark.parametrize(("asked", "expected"), [("3", 3), ("0.9", 0.9), ("mle", "mle")])
def test_how_many_components(run, X, asked, expected):
    found = json.loads(run("pca", "x.npy", "-k", asked, "--json").stdout)
    assert found["n_components"] == PCA(expected).fit(X).n_components_


def test_json_alone_is_on_stdout_and_has_the_facts(run, X):
    result = run("pca", "x.npy", "-k", 2, "--out", "s.npy", "--json")
    found = json.loads(result.stdout)
    pca = PCA(2).fit(X)
    assert found["source"] == "x.npy"
    assert found["shape"] == [ROWS, COLUMNS]
    assert found["dtype"] == "float64"
    assert found["solver"] == pca.solver_
    assert found["why"] == pca.why_solver_
    assert found["passes"] == pca.n_passes_
    assert found["outputs"] == {"scores": "s.npy"}
    assert found["seconds"] > 0
    np.testing.assert_allclose(found["explained_variance"], pca.explained_variance_, rtol=1e-12)
    np.testing.assert_allclose(found["explained_variance_ratio"], pca.explained_variance_ratio_)
    assert result.stderr == ""


def test_quiet_says_nothing_and_still_works(run):
    result = run("pca", "x.npy", "-k", 2, "--out", "s.npy", "--quiet")
    assert result.output == ""
    assert files() == ["s.npy"]


@pytest.mark.parametrize("out", ["s.npy", "s.parquet"])
@pytest.mark.parametrize("options", [[], ["--whiten"], ["--standardize"]])
def test_scores_are_those_of_transform(run, X, out, options):
    run("pca", "x.npy", "-k", 3, "--out", out, *options)
    pca = PCA(3, whiten="--whiten" in options, standardize="--standardize" in options).fit(X)
    if out.endswith(".npy"):
        scores = np.load(out)
    else:
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        assert table.column_names == ["pca0", "pca1", "pca2"]
        scores = np.column_stack([column.to_numpy() for column in table.columns])
    np.testing.assert_allclose(scores, pca.transform(X), rtol=1e-9, atol=1e-12)
    assert files() == [out]


def test_a_saved_model_gives_the_same_scores(run):
    run("pca", "x.npy", "-k", 3, "--model", "m.npz", "--out", "a.npy")
    told = run("transform", "m.npz", "x.npy", "--out", "b.npy").stdout
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    assert "60 × 3 scores" in told
    assert "scores: b.npy" in told
    assert files() == ["a.npy", "b.npy", "m.npz"]


def test_transform_tells_json(run):
    run("pca", "x.npy", "-k", 3, "--model", "m.npz", "--quiet")
    found = json.loads(run("transform", "m.npz", "x.npy", "--out", "b.npy", "--json").stdout)
    assert found["shape"] == [ROWS, 3]
    assert found["outputs"] == {"scores": "b.npy"}


@pytest.mark.parametrize("out", [[], ["--out", "s.npy"]])
@pytest.mark.parametrize("source", ["sample:digits", "x.npy", "x.csv"])
def test_the_report_is_written_and_named(run, X, source, out):
    np.savetxt("x.csv", X, delimiter=",", header=",".join("abcdefgh"), comments="")
    told = run("pca", source, "-k", 4, "--report", "deep/report", *out).stdout
    page = os.path.join("deep", "report", "index.html")
    assert told.endswith(f"report: {page}\n")
    with open(page, encoding="utf-8") as file:
        html = file.read()
    assert f"Principal components of {source}" in html
    assert "First scores" in html
    assert ("Components as pictures" in html) == (source == "sample:digits")
    assert os.listdir(os.path.dirname(page)) == ["index.html"]


def test_threads_and_memory_do_not_change_the_answer(run):
    plain = json.loads(run("pca", "x.npy", "-k", 3, "--json").stdout)
    told = json.loads(
        run("pca", "x.npy", "-k", 3, "--json", "--threads", 1, "--memory", "512MiB").stdout
    )
    assert told["explained_variance"] == plain["explained_variance"]


@pytest.mark.parametrize("options", [[], ["--standardize"]])
def test_compare_finds_no_difference(run, options):
    told = run("pca", "x.npy", "-k", 3, "--compare", *options).stdout
    assert "scikit-learn " in told
    found = json.loads(run("pca", "x.npy", "-k", 3, "--compare", "--json", *options).stdout)
    assert found["comparison"]["variance_difference"] < 1e-9
    assert found["comparison"]["component_difference"] < 1e-7


def test_compare_refuses_what_does_not_fit(run, monkeypatch):
    monkeypatch.setattr("mmlfast.api.comparison.available_bytes", lambda: 100)
    told = run("pca", "x.npy", "-k", 3, "--compare", status=1).stderr
    assert one_line(told).startswith("mmlfast: error: scikit-learn needs the whole of x.npy")


def one_line(told):
    assert told.count("\n") == 1, told
    assert told.endswith("\n")
    assert told.startswith("mmlfast: ")
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Usage"),
        (["pca"], "Usage"),
        (["pca", "x.npy"], "Missing option"),
        (["pca", "-k", "2"], "Missing argument"),
        (["pca", "x.npy", "-k", "0"], "a share of the variance such as 0.95"),
        (["pca", "x.npy", "-k", "-3"], "got '-3'"),
        (["pca", "x.npy", "-k", "1.5"], "got '1.5'"),
        (["pca", "x.npy", "-k", "2.0"], "got '2.0'"),
        (["pca", "x.npy", "-k", "nan"], "got 'nan'"),
        (["pca", "x.npy", "-k", "many"], "got 'many'"),
        (["pca", "x.npy", "-k", "2", "--memory", "much"], "such as 2GB"),
        (["pca", "x.npy", "-k", "2", "--memory", "-1GB"], "such as 2GB"),
        (["pca", "x.npy", "-k", "2", "--threads", "0"], "threads"),
        (["pca", "x.npy", "-k", "2", "--out", "s.txt"], "end in .npy or .parquet"),
        (["pca", "x.npy", "-k", "2", "--model", "m.pkl"], "end in .npz"),
        (["pca", "x.npy", "-k", "2", "--out", "x.npy"], "are the same file"),
        (["pca", ".", "-k", "2", "--out", "s.parquet"], "part of the folder"),
        (["pca", "x.npy", "-k", "2", "--frobnicate"], "frobnicate"),
        (["transform", "m.npz", "x.npy"], "Missing option"),
        (["transform", "m.npz", "x.npy", "--out", "s.txt"], "end in .npy or .parquet"),
        (["fly"], "fly"),
    ],
)
def test_wrong_usage_is_status_2(run, arguments, said):
    result = run(*arguments, status=2)
    assert said in " ".join(result.output.split())
    assert files() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pca", "none.npy", "-k", "2"], "none.npy"),
        (["pca", "sample:none", "-k", "2"], "sample:digits"),
        (["pca", "x.npy", "-k", "9"], "n_components"),
        (["pca", "x.npy", "-k", "2", "--out", "nowhere/s.npy"], "does not exist"),
        (["pca", "x.npy", "-k", "2", "--model", "nowhere/m.npz"], "does not exist"),
        (["pca", "x.npy", "-k", "2", "--report", "x.npy/report"], "cannot write"),
        (["transform", "none.npz", "x.npy", "--out", "s.npy"], "none.npz"),
    ],
)
def test_a_failure_is_one_line_and_status_1(run, arguments, said):
    result = run(*arguments, status=1)
    assert said in one_line(result.stderr)
    assert result.stdout == ""
    assert files() == []


def test_bad_data_is_told_where(run, X):
    X[7, 3] = np.nan
    np.save("bad.npy", X)
    told = one_line(run("pca", "bad.npy", "-k", 2, "--out", "s.npy", status=1).stderr)
    assert "7" in told
    assert "3" in told
    assert files() == ["bad.npy"]


def test_a_file_that_is_not_what_its_ending_says(run):
    for name in ("a.npy", "a.npz", "a.parquet"):
        with open(name, "w") as file:
            file.write("not that\n")
        one_line(run("pca", name, "-k", 2, status=1).stderr)


def test_a_model_for_other_columns_is_refused(run, X):
    run("pca", "x.npy", "-k", 2, "--model", "m.npz", "--quiet")
    np.save("wide.npy", np.ones((4, COLUMNS + 1)))
    told = one_line(run("transform", "m.npz", "wide.npy", "--out", "s.npy", status=1).stderr)
    assert str(COLUMNS) in told
    assert "s.npy" not in files()


def test_outputs_are_checked_before_the_work(run, monkeypatch):
    def fit(*arguments):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(PCA, "fit", fit)
    os.mkdir("s.npy")
    told = one_line(run("pca", "x.npy", "-k", 2, "--out", "s.npy", status=1).stderr)
    assert "is a folder" in told


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
@pytest.mark.parametrize("option", [["--out", "locked/s.npy"], ["--report", "locked/report"]])
def test_an_unwritable_folder(run, option):
    os.mkdir("locked", mode=0o500)
    if os.access("locked", os.W_OK):
        pytest.skip("this user may write anywhere")
    assert "cannot write" in one_line(run("pca", "x.npy", "-k", 2, *option, status=1).stderr)
    assert os.listdir("locked") == []


@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (OSError(28, "No space left on device", "s.npy"), 1, "s.npy: No space left on device"),
        (ValueError("two\nlines"), 1, "two lines"),
        (ZeroDivisionError("odd"), 1, "ZeroDivisionError: odd (MMLFAST_DEBUG=1 shows where)"),
    ],
)
@pytest.mark.parametrize("out", ["s.npy", "s.parquet"])
def test_a_failure_half_way_leaves_nothing(run, monkeypatch, failure, status, said, out):
    def iter_transform(self, source):
        yield np.zeros((3, 2))
        raise failure

    monkeypatch.setattr(PCA, "iter_transform", iter_transform)
    result = run("pca", "x.npy", "-k", 2, "--out", out, status=status)
    assert said in one_line(result.stderr)
    assert files() == []


def test_debug_shows_where(run, monkeypatch):
    monkeypatch.setenv("MMLFAST_DEBUG", "1")
    result = run("pca", "none.npy", "-k", 2, status=1)
    assert isinstance(result.exception, FileNotFoundError)


@pytest.mark.parametrize("option", ["--whiten", "--standardize"])
def test_warnings_are_one_line_each(run, option):
    rows = np.arange(20.0)[:, None] * np.ones(5)
    np.save("flat.npy", rows)
    result = run("pca", "flat.npy", "-k", 3, option, "--out", "s.npy")
    for line in result.stderr.splitlines():
        assert line.startswith("mmlfast: warning: ")
    assert "2 of 3 components lie below the numerical rank (1)" in result.stderr
    found = json.loads(run("pca", "flat.npy", "-k", 3, option, "--json").stdout)
    assert found["warnings"]
    assert np.isfinite(np.load("s.npy")).all()
    assert run("pca", "flat.npy", "-k", 3, option, "--quiet").output == ""


def test_no_bar_where_nobody_looks(run):
    assert run("pca", "x.npy", "-k", 2).stderr == ""


def test_warmup_tells_where_the_cache_lies(run):
    told = run("warmup").stdout
    assert "cache" in told
    assert "path" in told
    assert run("warmup", "--quiet").output == ""


def test_doctor_tells_versions_and_cache(run):
    told = run("doctor").stdout
    for part in ("versions", "numpy", "lanes_float32", "threads", "cache", "writable"):
        assert part in told
    assert json.loads(run("doctor", "--json").stdout)["versions"]["mmlfast"] == mmlfast.__version__


def test_version_and_help(run):
    assert run("--version").stdout == f"mmlfast {mmlfast.__version__}\n"
    for command in ("pca", "transform", "warmup", "doctor"):
        assert command in run("--help").stdout
        assert "Usage" in run(command, "--help").stdout


def environment(**changed):
    """This process's, from which a Python started elsewhere finds the package as well."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **changed}


def test_a_reader_that_goes_away_is_no_traceback(run):
    with subprocess.Popen(
        [*COMMAND, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_a_terminal_without_unicode_still_gets_the_table(run):
    done = subprocess.run(
        [*COMMAND, "pca", "x.npy", "-k", "2"],
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        check=True,
    )
    assert b"x.npy: 60 ? 8 float64" in done.stdout


def test_json_has_no_nan():
    assert json.loads(json_text({"a": float("nan"), "b": [np.float64(1.5), np.int64(2)]})) == {
        "a": None,
        "b": [1.5, 2],
    }


def test_nested_settings_are_aligned():
    text = mapping_text({"a": {"long": 1, "b": True}, "bytes": 2048, "none": []})
    assert text == "a\n  long  1\n  b     yes\nbytes  2.00 KiB\nnone   none"
