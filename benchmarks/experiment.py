"""What the two experiments on the gate share: one run of it, and a record that survives a stop."""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.environments import ROOT
from benchmarks.report import machine, write_json


def parser(description: str, record: str) -> argparse.ArgumentParser:
    """The options of both."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--runs", type=int, default=20, help="comparisons to make (20)")
    options.add_argument(
        "--record", type=Path, default=ROOT / "build" / record, help="where all of it is kept"
    )
    return options


def compare(base: str, head: str, *options: str) -> dict[str, Any]:
    """One `python -m benchmarks compare`: its exit code, what it says, its seconds."""
    start = monotonic()
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "comparison.json"
        command = [sys.executable, "-m", "benchmarks", "compare", base, head]
        done = subprocess.run(
            [*command, "--quick", "--json", str(saved), *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if not saved.exists():
            raise RuntimeError(f"compare exited with {done.returncode}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(saved.read_text())
    return {"seconds": monotonic() - start, **found}


def named(found: dict[str, Any]) -> list[str]:
    """The cases and kernels in which regressions were seen."""
    return sorted({line.split(":", 1)[0] for line in found["regressions"]})


def told(cases: list[dict[str, Any]]) -> str:
    """How many comparisons came to which end, and the largest ratio among them."""
    ends = Counter(case["state"] for case in cases).most_common()
    ratios = [case["comparison"]["ratio"] for case in cases if case["comparison"]]
    largest = max((ratio for ratio in ratios if ratio is not None), default=float("nan"))
    return ", ".join(f"{n} {state}" for state, n in ends) + f"; largest ratio {largest:.3f}"


def keep(record: Path, runs: list[dict[str, Any]]) -> None:
    """Write the record anew after each run."""
    today = datetime.date.today().isoformat()
    write_json(record, {"date": today, "machine": machine(), "runs": runs})
