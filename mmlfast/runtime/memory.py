"""How much memory there is, was used, and is meant by "2GB"."""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["available_bytes", "format_bytes", "parse_bytes", "peak_bytes"]

_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SIZE = re.compile(r"\s*(\d+\.?\d*(?:e\+?\d+)?|\.\d+)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Number of bytes that a text such as ``2GB``, ``512MiB`` or ``1.5e9`` stands for.

    Parameters
    ----------
    text : str
        A positive number and a unit: none or B, KB MB GB TB (powers of 1000, the B may be left
        out), KiB MiB GiB TiB (powers of 1024), in any case.

    Returns
    -------
    n_bytes : int

    Raises
    ------
    ValueError
        The text is not of that form, or means less than one byte.

    Examples
    --------
    >>> from mmlfast.runtime.memory import parse_bytes
    >>> parse_bytes("2GB"), parse_bytes("512MiB"), parse_bytes("1.5e9")
    (2000000000, 536870912, 1500000000)
    """
    match = _SIZE.fullmatch(text)
    if match is not None and (match[2] or not match[3]):
        number = float(match[1]) * (1024 if match[3] else 1000) ** _UNITS[match[2].lower()]
        if 1 <= number < 2**63:
            return int(number)
    raise ValueError(
        f"a size must be a positive number with or without a unit, such as 2GB, 512MiB or 1.5e9; "
        f"got {text!r}."
    )


def format_bytes(n_bytes: float) -> str:
    """The size in words of three figures: ``1.46 GiB``, ``512 MiB``, ``96 B``.

    Examples
    --------
    >>> from mmlfast.runtime.memory import format_bytes
    >>> format_bytes(512 * 2**20)
    '512 MiB'
    """
    size = float(n_bytes)
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1000 and len(units) > 1:
        size /= 1024
        units.pop(0)
    digits = 0 if units[0] == "B" or size >= 100 else 1 if size >= 10 else 2
    return f"{size:.{digits}f} {units[0]}"


def peak_bytes() -> int | None:
    """Most memory this process has held at one time, pages of mapped files included.

    Returns
    -------
    n_bytes : int or None
        None where the system does not tell (Windows).
    """
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def available_bytes() -> int | None:
    """Memory that could be taken now without swapping, within the limits of a container.

    Returns
    -------
    n_bytes : int or None
        None where it cannot be read (no Linux, and psutil is not installed).
    """
    readings = [size for size in (_system_available(), _cgroup_available()) if size is not None]
    return min(readings, default=None)


def _system_available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _cgroup_available() -> int | None:
    for limit, usage, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ):
        folder = Path("/sys/fs/cgroup", limit).parent
        try:
            total = Path("/sys/fs/cgroup", limit).read_text().strip()
            used = int(Path("/sys/fs/cgroup", usage).read_text())
            statistics = Path(folder, "memory.stat").read_text()
        except OSError:
            continue
        if total == "max":
            return None
        # Pages of files read long ago count as used but are given up on demand.
        for line in statistics.splitlines():
            name, _, value = line.partition(" ")
            if name == cached:
                used -= int(value)
        return max(int(total) - used, 0)
    return None
