"""One protocol of progress: silent, a bar for what takes long, or the caller's own function."""

from __future__ import annotations

import pytest

from mmlfast.runtime import progress as module
from mmlfast.runtime.progress import Progress


def advance_thrice(argument, total=30):
    with Progress(argument, total, "reading") as shown:
        for rows in (5, 10, 15):
            shown.advance(rows)


@pytest.mark.parametrize("total", [30, None])
def test_a_function_gets_done_total_and_seconds(total):
    calls = []
    advance_thrice(lambda *told: calls.append(told), total)
    assert [(done, of) for done, of, _ in calls] == [(5, total), (15, total), (30, total)]
    seconds = [s for _, _, s in calls]
    assert all(isinstance(s, float) and s >= 0 for s in seconds)
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("argument", [None, False, True])
def test_short_work_is_silent(argument, capsys, monkeypatch):
    monkeypatch.setattr(module, "WORTH_SHOWING_SECONDS", 1e9)
    advance_thrice(argument)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("total", [30, None])
def test_long_work_shows_a_bar_on_stderr(total, capsys, monkeypatch):
    monkeypatch.setattr(module, "WORTH_SHOWING_SECONDS", 0.0)
    advance_thrice(True, total)
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading" in err
    assert "30" in err
    assert "rows" in err


@pytest.mark.parametrize("argument", [None, False])
def test_nothing_is_shown_unasked(argument, capsys, monkeypatch):
    monkeypatch.setattr(module, "WORTH_SHOWING_SECONDS", 0.0)
    advance_thrice(argument)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("bad", [1, 0, "yes", 2.5, [print]])
def test_other_arguments_are_refused(bad):
    with pytest.raises(TypeError, match="progress must be True, False, None or a callable"):
        Progress(bad, 10, "reading")


class Stop(Exception):
    pass


def test_an_error_of_the_function_arrives():
    def stop(done, total, seconds):
        raise Stop

    with pytest.raises(Stop):
        advance_thrice(stop)


def test_the_bar_is_closed_after_an_error(capsys, monkeypatch):
    monkeypatch.setattr(module, "WORTH_SHOWING_SECONDS", 0.0)
    with pytest.raises(Stop), Progress(True, 10, "reading") as shown:
        shown.advance(3)
        raise Stop
    assert capsys.readouterr().err.endswith("\n")
