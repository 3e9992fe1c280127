"""The only place that compiles: numba's options, the fast-math set and the cache policy.

    kernel(f) = compile(f; nogil, no division checks, fast-math {contract, reassoc, nsz}, cached)

Compiled code is kept in a directory whose name is a hash of *all* kernel sources, the versions of
Python, numba and llvmlite, and the CPU.  numba's own cache looks at one file at a time and so runs
stale code when a function called from another file is edited; here an edit anywhere names another
directory.  Nothing is written when no directory is writable, and a damaged or half-raced entry is
compiled again: the cache can make a call faster, never make it fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core import caching, compiler, serialize
from numba.core.registry import cpu_target
from numba.extending import intrinsic as _intrinsic

log = logging.getLogger("mmlfast.cache")

# Never `fastmath=True`: its `nnan`/`ninf` fold isnan() to False, and NaN and Inf must propagate.
FAST = {"contract", "reassoc", "nsz"}
# Without `reassoc` a sum keeps the order in which it is written: what makes the bits of a moment
# independent of how its rows were batched.
ORDERED = {"contract", "nsz"}

UNUSED_DAYS = 30

literal_intrinsic = _intrinsic(prefer_literal=True)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile on first call, without the GIL; sums may be reassociated."""
    return _compile_lazily(function, FAST)


def ordered_kernel(function: Callable[..., Any]) -> Any:
    """Compile on first call, without the GIL; every sum keeps its written order."""
    return _compile_lazily(function, ORDERED)


def inlined_kernel(function: Callable[..., Any]) -> Any:
    """An ordered kernel whose code goes wherever it is called, its fast-math set with it."""
    return _compile_lazily(function, ORDERED, forceinline=True)


def spliced_kernel(function: Callable[..., Any]) -> Any:
    """An ordered kernel that becomes part of its callers before they are compiled.

    For large functions that only hand on: compiled by itself, and again in each caller, such a one
    takes as long as everything below it together.
    """
    return _compile_lazily(function, ORDERED, inline="always", _nrt=False)


def uncounted_kernel(function: Callable[..., Any]) -> Any:
    """An ordered kernel that counts no references: it must not allocate.

    A count is an atomic step, 5 ns.  numba takes one for each array that is named anew or sliced,
    as spliced code does by the dozen: a section of a small network's training took 0.1 µs for them.
    """
    return _compile_lazily(function, ORDERED, _nrt=False)


def _compile_lazily(function: Callable[..., Any], fastmath: set[str], **options: Any) -> Any:
    compiled = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, **options)
    dispatcher = compiled(function)
    dispatcher._cache = _KernelCache(function)
    return dispatcher


def _names_an_address(signature: Any) -> bool:
    """Whether a type in it goes by an address, as that of a compiled function that is an argument.

    Such a name means nothing to another process, which may have another function at that address.
    """
    return re.search(r"\b0x[0-9a-f]|#[0-9a-f]{4}", str(signature)) is not None


class _KernelCache(caching._Cache):  # type: ignore[misc]
    """A file for each (function, signature, CPU): no index that two processes could interleave."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        self._enabled = True

    @property
    def cache_path(self) -> str | None:
        directory = cache_directory()
        return None if directory is None else str(directory)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        for entry in self._directory_entries():
            entry.unlink(missing_ok=True)

    def _directory_entries(self) -> list[Path]:
        directory = cache_directory()
        return [] if directory is None else list(directory.glob(f"{self._name}-*.bin"))

    def _entry(self, signature: Any, codegen: Any) -> Path | None:
        directory = cache_directory()
        if directory is None or not self._enabled or _names_an_address(signature):
            return None
        key = hashlib.sha256(repr((str(signature), codegen.magic_tuple())).encode()).hexdigest()
        return directory / f"{self._name}-{key[:24]}.bin"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        target_context.refresh()
        entry = self._entry(signature, target_context.codegen())
        if entry is None:
            return None
        try:
            stored = entry.read_bytes()
            digest, payload = stored[:32], stored[32:]
            if hashlib.sha256(payload).digest() != digest:
                log.warning("%s is damaged: compiling again", entry)
                return None
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("%s cannot be read (%s): compiling", entry, error)
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        entry = self._entry(signature, result.library.codegen)
        if entry is None:
            return
        payload = serialize.dumps(result._reduce())
        try:
            handle, temporary = tempfile.mkstemp(dir=entry.parent, suffix=".tmp")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(hashlib.sha256(payload).digest() + payload)
                os.replace(temporary, entry)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            log.warning("%s cannot be written (%s): this process keeps its own", entry, error)


@lru_cache(maxsize=1)
def cache_key() -> str:
    """Hash of every kernel source, the versions of Python, numba and llvmlite, and the CPU."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    versions = (sys.version_info[:2], sys.implementation.cache_tag, numba.__version__)
    target = cpu_target.target_context.codegen().magic_tuple()
    digest.update(repr((versions, llvmlite.__version__, target)).encode())
    return digest.hexdigest()[:16]


def _cache_root() -> Path | None:
    """MMLFAST_CACHE_DIR, else the platform's cache folder of this user; None without either."""
    chosen = os.environ.get("MMLFAST_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # An unknown home leaves "~" in place, and a folder of that name is nobody's wish.
    return Path(base) / "mmlfast" if os.path.isabs(base) else None


@lru_cache(maxsize=1)
def cache_directory() -> Path | None:
    """The directory that holds this build's compiled kernels; None where nothing can be written."""
    root = _cache_root()
    if root is None:
        return None
    directory = root / cache_key()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        log.info("no cache of compiled kernels: %s", error)
        return None
    return directory


def cache_state() -> dict[str, Any]:
    """What the cache holds: path, writable, files, bytes and the key in its name."""
    directory = cache_directory()
    files = [] if directory is None else list(directory.glob("*.bin"))
    return {
        "path": None if directory is None else str(directory),
        "writable": directory is not None,
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "key": cache_key(),
    }


def remove_unused_caches() -> list[Path]:
    """Delete the directories of other builds that nothing has touched for 30 days."""
    directory = cache_directory()
    if directory is None:
        return []
    oldest = time.time() - UNUSED_DAYS * 86400
    unused = [
        other
        for other in directory.parent.iterdir()
        if other != directory and _is_cache(other) and _last_used(other) < oldest
    ]
    for other in unused:
        # What another process is removing at the same time is gone all the same.
        shutil.rmtree(other, ignore_errors=True)
    return unused


def _is_cache(directory: Path) -> bool:
    """Whether a cache made `directory`: the folder around it may be shared with anything."""
    return (
        re.fullmatch("[0-9a-f]{16}", directory.name) is not None
        and directory.is_dir()
        and all(file.suffix in (".bin", ".tmp") for file in directory.iterdir())
    )


def _last_used(directory: Path) -> float:
    """When something in `directory`, or itself, was last read or written, in seconds."""
    latest = directory.stat().st_mtime
    for file in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process renames its own files
            state = file.stat()
            latest = max(latest, state.st_atime, state.st_mtime)
    return latest
