"""What both sides compile to: the assembly of the tile kernels, and the seconds of compiling.

Both are found with empty caches and remembered with an environment.  Assembly is the same every
time; seconds are measured again beside each other where they seem worse: those of another day say
little.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from benchmarks import figures
from benchmarks.case import Case
from benchmarks.environments import TEMPORARY, CannotCompare
from benchmarks.gate import Gate, Side
from benchmarks.gate_report import Findings
from benchmarks.process import Absent, Failed
from benchmarks.report import write_json

LIMIT = 300.0  # seconds that compiling the tile kernels may take
SOURCES = ("assembly.py", "tiles.py")  # what the figures of the tile kernels depend on here
AGAIN = 2  # times that worse seconds are measured again: all have to be worse

Kernels = dict[str, dict[str, float]]


def compare_assembly(gate: Gate, findings: Findings, *, quick: bool) -> None:
    """Fused multiply-adds and spills in the loops of the tile kernels."""
    with ThreadPoolExecutor(2) as both:
        base, head = both.map(lambda side: tile_kernels(side, quick), (gate.base, gate.head))
    for name in base.keys() & head.keys():
        findings.others += [(name, figure) for figure in figures.assembly(base[name], head[name])]
        for side, this, other in (("BASE", base, head), ("HEAD", head, base)):
            if "missing" in this[name] and "missing" not in other[name]:
                findings.notes.append(f"tile kernel {name}: {side} has none")


def tile_kernels(side: Side, quick: bool) -> Kernels:
    """What `python -m benchmarks.assembly` prints on one side."""
    environment = side.environment
    options = ["--quick"] if quick else []
    file = environment.folder / "assembly.json"
    sources = [(side.stick / "benchmarks" / name).read_bytes() for name in SOURCES]
    key = hashlib.sha256(repr((sources, options)).encode()).hexdigest()
    if file.exists() and (known := json.loads(file.read_text()))["key"] == key:
        kernels: Kernels = known["kernels"]
        return kernels
    with tempfile.TemporaryDirectory(dir=environment.folder, prefix=TEMPORARY) as empty:
        try:
            done = subprocess.run(
                [environment.python, "-m", "benchmarks.assembly", *options],
                cwd=side.stick,
                env=side.with_cache(Path(empty)).environment(),
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
        except subprocess.TimeoutExpired:
            raise CannotCompare(
                f"{environment.source}: the tile kernels were not compiled after {LIMIT:g} s"
            ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CannotCompare(f"{environment.source}: the tile kernels do not compile: {last}")
    kernels = json.loads(done.stdout)
    write_json(file, {"key": key, "kernels": kernels})
    return kernels


def compare_seconds(
    gate: Gate,
    chosen: list[Case],
    findings: Findings,
    deadline: float,
    say: Callable[[str], None],
) -> None:
    """Processor seconds of the first call of each case, as far as the time goes."""
    files = [side.environment.folder / "compile.json" for side in (gate.base, gate.head)]
    known = [json.loads(file.read_text()) if file.exists() else {} for file in files]
    for i, case in enumerate(chosen):
        if case.group == "startup":
            continue
        if monotonic() > deadline:
            left = len([case for case in chosen[i:] if case.group != "startup"])
            findings.notes.append(f"compile seconds of {left} cases were not measured: no time")
            return
        measured = all(case.name in seconds for seconds in known)
        if not measured:
            say(f"compiling [{i + 1}/{len(chosen)}] {case.name} …")
        try:
            for _ in range(1 + AGAIN):
                if not measured:
                    for file, seconds, new in zip(files, known, gate.compiled(case), strict=True):
                        seconds[case.name] = new
                        write_json(file, seconds)
                figure = figures.compilation(*(seconds[case.name] for seconds in known))
                measured = False
                if not figure.worse:
                    break
        except (Absent, Failed):
            continue  # the run of the case says why
        findings.others.append((case.name, figure))
