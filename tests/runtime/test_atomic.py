"""A file written atomically is whole or absent, whatever happens in between."""

from __future__ import annotations

import os
import stat
import sys

import numpy as np
import pytest

from mmlfast.runtime.atomic import atomic_open, atomic_path, require_writable

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")


def write_half(destination, failure):
    with atomic_open(destination, "w") as file:
        file.write("half")
        raise failure


def test_writes_the_file_and_leaves_nothing_else(tmp_path):
    with atomic_path(tmp_path / "a.txt") as temporary:
        assert temporary.parent == tmp_path
        assert not (tmp_path / "a.txt").exists()
        temporary.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_any_exception_keeps_the_old_file(tmp_path, failure):
    destination = tmp_path / "a.txt"
    destination.write_text("old")
    with pytest.raises(failure):
        write_half(destination, failure)
    assert destination.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_exception_leaves_no_file_where_none_was(tmp_path):
    with pytest.raises(RuntimeError):
        write_half(tmp_path / "a.txt", RuntimeError)
    assert os.listdir(tmp_path) == []


def test_a_file_removed_by_its_writer_is_an_error_not_a_silent_success(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.unlink()
    assert os.listdir(tmp_path) == []


def test_the_ending_is_kept_for_writers_that_look_at_it(tmp_path):
    with atomic_path(tmp_path / "state.npz") as temporary:
        np.savez(temporary, x=np.arange(3))
    with np.load(tmp_path / "state.npz") as saved:
        np.testing.assert_array_equal(saved["x"], np.arange(3))
    assert os.listdir(tmp_path) == ["state.npz"]


def test_text_is_utf8_with_unix_line_ends(tmp_path):
    with atomic_open(tmp_path / "a.html", "w") as file:
        file.write("λ\n")
    assert (tmp_path / "a.html").read_bytes() == "λ\n".encode()


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"folder .*nowhere does not exist"),
        atomic_path(tmp_path / "nowhere" / "a.txt"),
    ):
        raise AssertionError("the block must not run")


@pytest.mark.parametrize("check", [require_writable, lambda path: atomic_path(path).__enter__()])
def test_a_folder_as_destination_is_refused(tmp_path, check):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check(tmp_path)


def test_a_file_where_a_folder_is_expected_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write"):
        require_writable(tmp_path / "file" / "a.txt")


def test_require_writable_leaves_nothing(tmp_path):
    require_writable(tmp_path / "a.txt")
    assert os.listdir(tmp_path) == []


@posix_only
def test_an_unwritable_folder_is_refused_before_the_block_runs(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write anywhere")
        with pytest.raises(PermissionError, match=r"cannot write .*a\.txt"):
            require_writable(folder / "a.txt")
    finally:
        folder.chmod(0o700)


def test_a_refusal_keeps_its_kind_and_names_the_file(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match=r"cannot write .*a\.txt: Permission denied in"):
        require_writable(tmp_path / "a.txt")


@posix_only
def test_new_files_follow_the_umask_and_old_ones_keep_their_mode(tmp_path):
    previous = os.umask(0o027)
    try:
        with atomic_open(tmp_path / "new.txt", "w") as file:
            file.write("x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o640
    (tmp_path / "new.txt").chmod(0o604)
    with atomic_open(tmp_path / "new.txt", "w") as file:
        file.write("y")
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o604


@posix_only
def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with atomic_open(tmp_path / "link.txt", "w") as file:
        file.write("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
