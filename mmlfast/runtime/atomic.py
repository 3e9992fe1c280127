"""Files that are either whole or absent: write beside the destination, fsync, rename."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

__all__ = ["atomic_open", "atomic_path", "require_writable"]


@contextmanager
def atomic_path(destination: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to, which becomes `destination` when the block ends well.

    The file is made empty under a hidden name in the folder of `destination`, keeps its ending
    (so that writers which look at the ending behave), and is flushed to the disk before the
    rename.  On any exception, KeyboardInterrupt included, it is removed and what lay at
    `destination` before stays as it was.

    Parameters
    ----------
    destination : path-like
        The file to be; its folder must exist.  A symbolic link is followed, not replaced.

    Yields
    ------
    temporary : pathlib.Path
        An existing, empty file in the same folder.

    Raises
    ------
    OSError
        `destination` is a folder, or its folder is missing or cannot be written to.

    Examples
    --------
    >>> import os, tempfile
    >>> from mmlfast.runtime.atomic import atomic_path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(os.path.join(folder, "note.txt")) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     os.listdir(folder)
    ['note.txt']
    """
    target = Path(os.path.realpath(destination))
    if target.is_dir():
        raise IsADirectoryError(f"{destination} is a folder; give the name of a file in it.")
    temporary = _make_beside(target, destination)
    try:
        yield temporary
        _sync(temporary)
        _keep_permissions(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        # A failing clean-up must not hide what went wrong.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


@contextmanager
def atomic_open(
    destination: str | os.PathLike[str], mode: Literal["w", "wb"] = "wb"
) -> Iterator[IO[Any]]:
    """An open file that becomes `destination` when the block ends well; see `atomic_path`.

    Parameters
    ----------
    destination : path-like
        The file to be.
    mode : {"w", "wb"}, default="wb"
        Text is written as UTF-8 with "\\n" line ends.

    Yields
    ------
    file : file object
        Open for writing and, in binary mode, for seeking.
    """
    text: dict[str, Any] = {"encoding": "utf-8", "newline": "\n"} if mode == "w" else {}
    with atomic_path(destination) as temporary, open(temporary, mode, **text) as file:
        yield file


def require_writable(destination: str | os.PathLike[str]) -> None:
    """Return when `destination` could be written by `atomic_path` now; leave nothing behind.

    Called before a long computation, so that it does not end in a refusal.

    Parameters
    ----------
    destination : path-like
        The file to be.

    Raises
    ------
    OSError
        What `atomic_path` would raise.
    """
    target = Path(os.path.realpath(destination))
    if target.is_dir():
        raise IsADirectoryError(f"{destination} is a folder; give the name of a file in it.")
    # Only the attempt tells: permission bits lie for root, read-only mounts and access lists.
    _make_beside(target, destination).unlink()


def _make_beside(target: Path, named: str | os.PathLike[str]) -> Path:
    temporary = target.with_name(f".mmlfast-{secrets.token_hex(6)}{target.suffix}")
    try:
        # 0o666 less the umask, as for any new file; mkstemp would leave it unreadable to others.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"cannot write {os.fspath(named)}: the folder {target.parent} does not exist; "
            "make it first."
        ) from error
    except OSError as error:
        raise type(error)(
            f"cannot write {os.fspath(named)}: {error.strerror} in the folder {target.parent}; "
            "choose a folder that can be written to."
        ) from error
    return temporary


def _sync(path: Path) -> None:
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _keep_permissions(target: Path, temporary: Path) -> None:
    with suppress(FileNotFoundError):
        os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems cannot sync a folder; the file itself is already safe.
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
