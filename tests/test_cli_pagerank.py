"""`mmlfast pagerank` prints, writes and refuses what it should."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from mmlfast.api.graph import Graph
from mmlfast.api.pagerank import pagerank as rank
from mmlfast.cli_pagerank import pagerank

EDGES = "source,target,weight\nhome,news,1\nhome,shop,3\nnews,home,2\nshop,news,1\nshop,end,1\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in an empty folder that holds `e.csv`."""
    (tmp_path / "e.csv").write_text(EDGES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMLFAST_DEBUG", raising=False)
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(pagerank)

    def run(*arguments, status=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == status, result.output
        return result

    return run


def test_the_table(run):
    told = run("e.csv", "--top", 3).stdout
    found = rank(Graph("e.csv"))
    lines = told.splitlines()
    assert lines[0].split() == ["rank", "node", "score"]
    for line, (i, (node, score)) in zip(lines[1:4], enumerate(found.top(3), 1), strict=True):
        assert line.split() == [str(i), node, f"{score:.6g}"]
    assert lines[4] == ""
    assert lines[5] == "e.csv: 4 nodes, 5 weighted edges, 1 dangling"
    assert lines[6].startswith("anderson: the graph is directed; ")
    assert f"{found.n_iter} sweeps, total error at most {found.error_bound:.2g}" in lines[6]
    assert "s to read, " in lines[7]
    assert os.listdir() == ["e.csv"]


def test_json_alone_is_on_stdout(run):
    result = run("e.csv", "--json", "--damping", 0.5, "--tol", 1e-6, "--method", "power")
    found, expected = json.loads(result.stdout), rank(Graph("e.csv"), damping=0.5)
    assert (found["nodes"], found["edges"], found["dangling"]) == (4, 5, 1)
    assert (found["method"], found["damping"], found["converged"]) == ("power", 0.5, True)
    assert found["weighted"]
    assert found["error_bound"] <= 1e-6
    assert [row["node"] for row in found["top"]] == [node for node, _ in expected.top(4)]
    assert found["outputs"] == {}
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("option", "undirected", "weighted"),
    [("--undirected", True, True), ("--unweighted", False, False)],
)
def test_how_edges_are_read(run, option, undirected, weighted):
    found = json.loads(run("e.csv", "--json", option).stdout)
    graph = Graph("e.csv", directed=not undirected, weight="weight" if weighted else None)
    assert found["method"] == ("cg" if undirected else "anderson")
    assert found["weighted"] == weighted
    assert found["top"][0]["score"] == pytest.approx(rank(graph).top(1)[0][1])


@pytest.mark.parametrize("out", ["s.csv", "s.npy", "s.parquet"])
def test_all_scores_are_written(run, out):
    told = run("e.csv", "--out", out, "--top", 1).stdout
    assert told.endswith(f"\n\nscores: {out}\n")
    expected = rank(Graph("e.csv")).to_dict()
    if out.endswith(".npy"):
        np.testing.assert_array_equal(np.load(out), list(expected.values()))
    elif out.endswith(".csv"):
        with open(out) as file:
            rows = [line.strip().split(",") for line in file]
        assert rows[0] == ["node", "score"]
        assert {node: float(score) for node, score in rows[1:]} == expected
    else:
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        assert dict(zip(*table.to_pydict().values(), strict=True)) == expected
    assert sorted(os.listdir()) == ["e.csv", out]


def test_quiet_says_nothing(run):
    assert run("e.csv", "--quiet", "--out", "s.npy").output == ""
    assert run("e.csv", "--top", 0).stdout.startswith("e.csv: ")


def test_not_converged_is_told(run):
    result = run("e.csv", "--max-iter", 2)
    assert "mmlfast: warning: the error of PageRank is only known" in result.stderr
    assert json.loads(run("e.csv", "--max-iter", 2, "--json", "--quiet").stdout)["warnings"]


def test_the_imports_of_the_standard_library(run):
    found = json.loads(run("sample:imports", "--json", "--top", 50).stdout)
    assert {"sys", "abc", "codecs"} <= {row["node"] for row in found["top"]}


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["missing.csv"], 1, "missing.csv: there is no such file or folder"),
        (["empty.csv"], 1, "empty.csv has no edges"),
        (["e.csv", "--damping", "1"], 1, "damping must be at least 0 and below 1; got 1.0"),
        (["e.csv", "--method", "fast"], 2, "must be one of auto"),
        (["e.csv", "--out", "s.txt"], 2, "must end in .csv"),
        (["e.csv", "--out", "e.csv"], 2, "are the same file"),
        (["e.csv", "--out", "no/s.csv"], 1, "does not exist"),
        (["e.csv", "--max-iter", "0"], 2, "max-iter"),
        (["bad.csv"], 1, "the edge a → b has -1.0"),
        (["sample:digits"], 1, "there is sample:imports"),
    ],
)
def test_failures_are_told_in_one_line(run, arguments, status, reason):
    for name, text in (("empty.csv", ""), ("bad.csv", "source,target,weight\na,b,-1\n")):
        with open(name, "w") as file:
            file.write(text)
    result = run(*arguments, status=status)
    assert reason in " ".join(result.stderr.split())
    assert result.stdout == ""
    if status == 1:
        assert result.stderr.startswith("mmlfast: error: ")
        assert len(result.stderr.splitlines()) == 1
