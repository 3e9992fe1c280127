"""Manners that every command shares: one line for each failure and warning, files kept apart.

failure → "mmlfast: error: reason" on stderr, exit status 1;   interrupted → 130
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import typer

_EXPECTED = (ValueError, TypeError, OSError, MemoryError, ImportError)


def tells_failures(command: Callable[..., None]) -> Callable[..., None]:
    """End the command with one line of reason and the right exit status, whatever is raised."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except KeyboardInterrupt:
            say_aside("interrupted")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader has gone; without this the interpreter would complain while it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except Exception as error:
            if os.environ.get("MMLFAST_DEBUG", "0") not in ("", "0"):
                raise
            say_aside(f"error: {_reason(error)}")
            raise typer.Exit(1) from None

    return run


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError) and not str(error):
        return "out of memory; give --memory a size to have the data read in smaller parts"
    if isinstance(error, _EXPECTED) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error} (MMLFAST_DEBUG=1 shows where)"


def say_aside(text: str) -> None:
    """One line on stderr."""
    print("mmlfast:", " ".join(text.split()), file=sys.stderr)


@contextmanager
def warnings_told(quiet: bool) -> Iterator[list[str]]:
    """Collect the warnings of the block as texts, and print them at its end, one line each."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for not_for_users in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", not_for_users)
        try:
            yield told
        finally:
            told += dict.fromkeys(" ".join(str(w.message).split()) for w in caught)
            if not quiet:
                for text in told:
                    say_aside(f"warning: {text}")


def require_apart(source: str, files: dict[str, Path | None]) -> None:
    """Refuse two names for one file, and an output that would become part of the source."""
    place = os.path.realpath(source.partition("::")[0])
    taken = {place: "SOURCE"}
    for option, file in files.items():
        if file is None:
            continue
        real = os.path.realpath(file)
        if real in taken:
            raise typer.BadParameter(f"{option} and {taken[real]} are the same file, {file}.")
        if os.path.isdir(place) and os.path.dirname(real) == place and option == "--out":
            raise typer.BadParameter(
                f"{option} would become part of the folder SOURCE; got {file}."
            )
        taken[real] = option


def require_outputs(out: Path | None, model: Path | None = None, page: Path | None = None) -> None:
    """Fail before the work, not after it, where an output cannot be written."""
    from mmlfast.runtime.atomic import require_writable
    from mmlfast.runtime.sinks import require_sink

    if out is not None:
        require_sink(out)
    if model is not None:
        require_writable(model)
    if page is not None:
        folder = next(place for place in page.absolute().parents if place.exists())
        require_writable(folder / page.name if folder == page.absolute().parent else folder / "-")


def wants_progress(silent: bool) -> bool:
    """A bar only for someone who watches a terminal."""
    return not silent and sys.stderr.isatty()


def named(**files: Path | None) -> dict[str, str]:
    """The files that were asked for, by name."""
    return {name: str(file) for name, file in files.items() if file is not None}
