"""What the documents tell readers to run runs, so that none of it can go stale."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from mmlfast.cli import app
from tests.conftest import ROOT

COURSE, README = ROOT / "docs" / "course.md", ROOT / "README.md"


def blocks(path: Path, language: str) -> list[tuple[int, str]]:
    """(line, code) of each block in that language."""
    text = path.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, block.start(1)) + 1, block.group(1)) for block in found]


def execute(path: Path, line: int, code: str, namespace: dict[str, Any]) -> None:
    """Run a block; blank lines in front make a traceback name the line of the document."""
    exec(compile("\n" * (line - 1) + code, str(path), "exec"), namespace)


def test_the_examples_of_the_course_map_run():
    namespace: dict[str, Any] = {}
    assert len(blocks(COURSE, "python")) > 5
    for line, code in blocks(COURSE, "python"):
        execute(COURSE, line, code, namespace)


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A folder with the files that the README names."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(5)
    rows = draw.standard_normal((400, 60))
    np.save("X.npy", rows)
    table = pd.DataFrame(rows, columns=[f"x{j}" for j in range(60)])
    table.to_csv("new.csv", index=False)
    table.assign(price=table["x0"] - table["x1"]).to_parquet("table.parquet")
    edges = pd.DataFrame(draw.integers(0, 50, (300, 2)), columns=["source", "target"])
    edges.to_csv("edges.csv", index=False)
    edges.to_parquet("links.parquet")
    Image.fromarray(draw.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save("in.png")


def brought() -> dict[str, Any]:
    """The names that the README takes for granted, as a reader might fill them."""
    draw = np.random.default_rng(6)
    X, y = load_digits(return_X_y=True)
    return {
        "image": draw.integers(0, 256, (40, 60, 3), dtype=np.uint8),
        "points": draw.standard_normal((7, 2)),
        "A": draw.standard_normal((10_000, 8, 8)),
        "b": draw.standard_normal((10_000, 8)),
        "seeds": [0, 3, 9],
        "networkx": networkx,
        "G": networkx.karate_club_graph(),
        "X": X[:1500] / 16,
        "y": y[:1500],
        "X_new": X[1500:] / 16,
        "y_new": y[1500:],
    }


@pytest.mark.usefixtures("reader")
def test_the_examples_of_the_readme_run():
    namespace: dict[str, Any] = {}
    assert len(blocks(README, "python")) >= 6
    for line, code in blocks(README, "python"):
        namespace |= brought()
        execute(README, line, code, namespace)


def commands() -> list[str]:
    """The lines of the README that begin with the command."""
    lines = [line for _, code in blocks(README, "sh") for line in code.splitlines()]
    return [line for line in lines if line.startswith("mmlfast ")]


@pytest.mark.usefixtures("reader")
def test_the_commands_of_the_readme_run():
    assert len(commands()) >= 9
    for line in commands():
        told = CliRunner().invoke(app, shlex.split(line, comments=True)[1:])
        assert told.exit_code == 0, f"{line}\n{told.output}"
