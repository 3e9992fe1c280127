"""What asv found of one commit as one table: `python -m benchmarks.history [COMMIT]`, HEAD if none.

`asv show` prints a table for each suite; here a case is a row, and each kind of figure a column.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from benchmarks import report

COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "time_call": ("seconds", report.seconds),
    "time_process": ("seconds", report.seconds),
    "peakmem_call": ("memory", report.size),
    "track_error": ("error", report.number),
    "track_passes": ("passes", "{:g}".format),
    "track_gflops": ("GFLOP/s", "{:.1f}".format),
    "track_ratio": ("as fast as", "{:.2f}×".format),
}
FAILED = "FAILED"


class Figure(NamedTuple):
    """One cell of one benchmark; None where it failed, nan where it was not measured."""

    method: str
    cell: str
    value: float | None


def figures(commit: str) -> Iterator[Figure]:
    """Everything that asv stored of a commit on this machine."""
    from asv.config import Config
    from asv.machine import Machine
    from asv.results import iter_results_for_machine_and_hash

    folder, machine = Config.load().results_dir, Machine.get_unique_machine_name()
    for results in iter_results_for_machine_and_hash(folder, machine, commit):
        for name in results.get_all_result_keys():
            params = results.get_result_params(name)
            values = results.get_result_value(name, params)
            for cell, value in zip(params[0] if params else [""], values, strict=True):
                yield Figure(name.rpartition(".")[2], cell.strip("'"), value)


def table(found: Iterable[Figure]) -> list[list[str]]:
    """A row for each case, under the columns that have something to show."""
    rows: dict[str, dict[str, list[str]]] = {}
    for method, cell, value in found:
        if method not in COLUMNS or (value is not None and math.isnan(value)):
            continue
        column, spell = COLUMNS[method]
        case, _, rival = cell.partition(" beside ")
        text = FAILED if value is None else spell(value)
        rows.setdefault(case, {}).setdefault(column, []).append(f"{rival} {text}".strip())
    shown = [
        c
        for c in dict.fromkeys(c for c, _ in COLUMNS.values())
        if any(c in r for r in rows.values())
    ]
    return [
        ["case", *shown],
        *([case, *(", ".join(row.get(c, [])) for c in shown)] for case, row in rows.items()),
    ]


def main(commit: str = "HEAD") -> int:
    """Print the table; the exit status is 1 when there is nothing to show."""
    done = subprocess.run(
        ["git", "rev-parse", "--verify", f"{commit}^{{commit}}"], capture_output=True, text=True
    )
    if done.returncode:
        print(f"no commit is called {commit!r}", file=sys.stderr)
        return 1
    lines = table(figures(done.stdout.strip()))
    if len(lines) == 1:
        print(f"asv has no results of {commit} on this machine: make bench", file=sys.stderr)
        return 1
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
