"""What the command prints, as text: facts of a fit, tables, JSON, nested settings."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator
from typing import Any

from mmlfast.runtime.memory import format_bytes

_TABLE_ROWS = 20
_WIDTH = 100


def json_text(facts: dict[str, Any]) -> str:
    """The facts as one JSON object; NaN and infinity, which JSON has not, become null."""
    return json.dumps(_strict(facts), indent=2, ensure_ascii=False, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def facts_text(facts: dict[str, Any]) -> str:
    """A fit: where it came from and how, its table of variances, the rival, the files written."""
    n, d = facts["shape"]
    peak, mapped = facts["peak_memory_bytes"], facts["mapped_file_bytes"]
    parts = [
        f"{facts['source']}: {n:,} × {d:,} {facts['dtype']}\n"
        f"solver {facts['solver']}: {facts['why']}\n"
        f"{facts['passes']} pass{'' if facts['passes'] == 1 else 'es'}, {facts['seconds']:.3g} s"
        + ("" if peak is None else f", peak memory {format_bytes(peak)}")
        + (f" with the file of {format_bytes(mapped)} mapped" if peak and mapped else ""),
        "\n".join(_variances(facts["explained_variance"], facts["explained_variance_ratio"])),
    ]
    if facts["comparison"] is not None:
        parts.append(_comparison(facts["seconds"], facts["comparison"]))
    if facts["outputs"]:
        parts.append(outputs_text(facts["outputs"]))
    return "\n\n".join(parts)


def outputs_text(outputs: dict[str, str]) -> str:
    """The files written, a line each."""
    return "\n".join(f"{name}: {file}" for name, file in outputs.items())


def _variances(variances: list[float], ratios: list[float]) -> Iterator[str]:
    yield f"{'component':>9}  {'explained variance':>18}  {'ratio':>7}  {'cumulative':>10}"
    total = 0.0
    for i, (variance, ratio) in enumerate(zip(variances, ratios, strict=True)):
        total += ratio
        if i < _TABLE_ROWS:
            yield f"{i + 1:>9}  {variance:>#18.6g}  {ratio:>7.2%}  {total:>10.2%}"
    if len(variances) > _TABLE_ROWS:
        yield f"{f'… and {len(variances) - _TABLE_ROWS:,} more':<38}  {total:>10.2%}"


def _comparison(seconds: float, comparison: dict[str, Any]) -> str:
    reading, rival = comparison["reading_seconds"], comparison["seconds"]
    return "\n".join(
        (
            f"mmlfast       {seconds:>9.3g} s  (to read, to load the kernels and to fit)",
            f"scikit-learn  {reading + rival:>9.3g} s  (version {comparison['version']}, solver "
            f"{comparison['solver']}; {reading:.3g} s of it to read)",
            f"ratio         {(reading + rival) / seconds:>9.3g}",
            f"components compared                       {comparison['n_compared']}",
            f"largest relative difference of variances  {comparison['variance_difference']:.2g}",
            f"largest difference of component entries   {comparison['component_difference']:.2g}",
            f"largest angle between the subspaces       {comparison['largest_angle']:.2g} rad",
        )
    )


def mapping_text(mapping: dict[str, Any]) -> str:
    """A nested dictionary, keys aligned, a level deeper two columns further in."""
    return "\n".join(_entries(mapping, ""))


def _entries(mapping: dict[str, Any], indent: str) -> Iterator[str]:
    width = max((len(key) for key in mapping), default=0) + 2
    for key, value in mapping.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}"
            yield from _entries(value, indent + "  ")
        else:
            start = f"{indent}{key:<{width}}"
            yield textwrap.fill(
                _in_words(key, value),
                _WIDTH,
                initial_indent=start,
                subsequent_indent=" " * len(start),
                break_long_words=False,
                break_on_hyphens=False,
            )


def _in_words(key: str, value: Any) -> str:
    if value is None or value in ({}, [], ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    if key in ("bytes", "available_bytes", "peak_bytes"):
        return format_bytes(value)
    if isinstance(value, list | tuple):
        separator = " " if all(isinstance(item, str) for item in value) else "; "
        return separator.join(_in_words(key, item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_in_words(name, item)}" for name, item in value.items())
    return str(value)
