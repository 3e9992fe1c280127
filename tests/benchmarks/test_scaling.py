"""The scaling run: its streams, its cases at their tiny size, its table and picture."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import scaling
from benchmarks.case import OURS
from benchmarks.engine import Measured, Outcome

NAMES = ["rows_10000", "columns_64"]
CONTESTANTS = [(name, who) for name in NAMES for who in (OURS, *scaling.get(name).rivals)]


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    X = scaling.data.planted(2800, 64)
    monkeypatch.setattr(scaling, "pool", lambda: X)
    monkeypatch.setattr(scaling, "BATCH", 700)


@pytest.mark.parametrize(("name", "contestant"), CONTESTANTS)
def test_every_contestant_sees_every_row(name, contestant):
    case = scaling.get(name)
    inputs = case.inputs("tiny")
    assert case.check(case.contestant(contestant)(inputs), inputs) == 0.0


def test_a_stream_has_its_rows_and_can_be_read_again():
    stream, n = scaling.stream("normal", 7001)
    first, second = np.concatenate(list(stream())), np.concatenate(list(stream()))
    assert len(first) == n == 7001
    assert np.array_equal(first, second)


def test_rivals_stop_where_they_cannot_follow():
    assert scaling.get("rows_10000000").rivals == {}
    assert set(scaling.get("columns_4096").rivals) == {"sklearn PCA"}


def test_table_and_picture(tmp_path):
    pytest.importorskip("matplotlib")
    outcomes = [
        Outcome(scaling.get(name), {who: Measured([0.1, 0.2], 0.0, 10**7) for who in (OURS, rival)})
        for name in ("rows_10000", "rows_100000", "columns_64")
        for rival in ["sklearn PCA"]
    ]
    assert "150 ms" in scaling.table(outcomes)
    path = scaling.picture(outcomes, tmp_path / "new" / "scaling.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in path.parent.iterdir()] == ["scaling.png"]
