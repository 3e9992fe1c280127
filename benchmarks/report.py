"""Outcomes as one table that reads as plain text and as markdown, and as JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.case import OURS
from benchmarks.engine import Outcome
from benchmarks.process import Absent

COLUMNS = (
    "case", "beside", "mmlfast", "it", "figure", "wanted",
    "error", "its error", "memory", "its memory", "",
)  # fmt: skip
MET, MISSED, BROKEN, INFORMATION = "met", "MISSED", "BROKEN", ""
ABSENT, FAILED, DID_NOT_RUN = "absent", "rival failed", "did not run"


class Row(NamedTuple):
    """One comparison."""

    case: str
    beside: str
    ours: str = ""
    theirs: str = ""
    figure: str = ""
    wanted: str = ""
    error: str = ""
    their_error: str = ""
    memory: str = ""
    their_memory: str = ""
    verdict: str = INFORMATION


def rows(outcome: Outcome) -> list[Row]:
    """The comparisons of one case, each with its verdict."""
    case, ours = outcome.case, outcome.ours
    if ours is None:
        return [Row(case.name, "", verdict=DID_NOT_RUN)]
    base = Row(
        case.name, "", seconds(ours.median), error=number(ours.error), memory=size(ours.extra_bytes)
    )
    if case.group == "startup":
        base = base._replace(error="", memory="")
    wanted = f"≤ {number(outcome.allowed_error)}"
    if outcome.broken:
        return [base._replace(beside="accuracy", figure=base.error, wanted=wanted, verdict=BROKEN)]
    out = [
        against(outcome, name, base)
        for name in case.rivals
        if name in {*outcome.measured, *outcome.missing}
    ]
    if case.memory_limit is not None:
        verdict = MET if ours.extra_bytes <= case.memory_limit else MISSED
        limit = f"≤ {size(case.memory_limit)}"
        out.append(
            base._replace(beside="memory", figure=base.memory, wanted=limit, verdict=verdict)
        )
    if not (case.bar or case.excess):
        out.append(base._replace(beside="accuracy", figure=base.error, wanted=wanted, verdict=MET))
    return out or [base]


def against(outcome: Outcome, name: str, base: Row) -> Row:
    """The comparison with one rival."""
    case, ours = outcome.case, outcome.measured[OURS]
    row = base._replace(beside=name)
    if name in outcome.missing:
        return row._replace(verdict=ABSENT if isinstance(outcome.missing[name], Absent) else FAILED)
    theirs = outcome.measured[name]
    row = row._replace(theirs=seconds(theirs.median))
    if case.group != "startup":
        row = row._replace(their_error=number(theirs.error), their_memory=size(theirs.extra_bytes))
    if name in case.excess:
        more, most = ours.median - theirs.median, case.excess[name]
        verdict = MET if more <= most else MISSED
        return row._replace(
            figure=f"{1e3 * more:+.0f} ms", wanted=f"≤ {1e3 * most:+.0f} ms", verdict=verdict
        )
    ratio = outcome.ratio(name)
    if name not in case.bar:
        return row._replace(figure=f"{ratio:.2f}×")
    verdict = MET if ratio >= case.bar[name] else MISSED
    return row._replace(figure=f"{ratio:.2f}×", wanted=f"≥ {case.bar[name]:g}×", verdict=verdict)


def notes(outcome: Outcome) -> list[str]:
    """A line for each contestant that did not run."""
    return [f"{outcome.case.name}: {reason}" for reason in outcome.missing.values()]


def table(all_rows: Iterable[Row]) -> str:
    """The comparisons under their columns."""
    return aligned([COLUMNS, *all_rows], left={0, 1, len(COLUMNS) - 1})


def aligned(lines: Sequence[Sequence[str]], left: Collection[int]) -> str:
    """A table that reads as plain text and as Markdown; the columns `left` begin at their bars."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def spell(line: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "| " + " | ".join(cells) + " |"

    rule = (
        "-" * (width + 2) if i in left else "-" * (width + 1) + ":"
        for i, width in enumerate(widths)
    )
    return "\n".join([spell(lines[0]), f"|{'|'.join(rule)}|", *map(spell, lines[1:])])


def exit_code(all_rows: Iterable[Row]) -> int:
    """0: every bar is met; 1: one is missed or a result is wrong; 2: a case could not run."""
    verdicts = {row.verdict for row in all_rows}
    if verdicts & {DID_NOT_RUN, FAILED}:
        return 2
    return int(bool(verdicts & {MISSED, BROKEN}))


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{
            name: installed(name)
            for name in ("numpy", "numba", "scipy", "scikit-learn", "scikit-learn-intelex")
        },
    }


def cpu_name() -> str:
    """The model of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def installed(distribution: str) -> str | None:
    """Its version, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def save_json(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Everything measured, written under a temporary name and renamed."""
    cases = {
        outcome.case.name: {
            "flops": outcome.case.flops,
            "bytes": outcome.case.bytes,
            "bar": dict(outcome.case.bar),
            "verdicts": [row.verdict for row in rows(outcome) if row.verdict],
            "notes": notes(outcome),
            "contestants": {
                name: {"seconds": m.seconds, "error": m.error, "extra_bytes": m.extra_bytes}
                for name, m in outcome.measured.items()
            },
        }
        for outcome in outcomes
    }
    write_json(path, {"machine": machine(), "cases": cases})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """The file is whole or not there; what is not a number or not finite becomes null."""
    write_text(path, json.dumps(_finite(content), indent=1, allow_nan=False) + "\n")


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_text(path: Path, text: str) -> None:
    """Write under a temporary name and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def seconds(value: float) -> str:
    """Three significant digits with a unit."""
    if math.isnan(value):
        return ""
    factor, unit = (1.0, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
    return f"{value * factor:.3g} {unit}"


def size(value: float) -> str:
    """Megabytes of 1e6 bytes."""
    return f"{value / 1e6:.0f} MB"


def number(value: float) -> str:
    """One digit is enough of an error."""
    return "" if math.isnan(value) else f"{value:.0e}"
