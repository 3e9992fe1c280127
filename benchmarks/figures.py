"""Figures that do not depend on the clock, and what makes one of them worse.

    error        head > 2 · base + tolerance / 50
    counts       head > base                       iterations, passes: any more is worse
    memory       head > 1.1 · base + 8 MB          anonymous bytes a call adds
    compile      head > 1.25 · base + 0.5 s        processor seconds of the first call
    fma          head < 0.95 · base                fused multiply-adds in the loops of a tile kernel
    spills       head > base                       vector registers moved to and from the stack

The bounds are as tight as each figure is reproducible: errors, counts and assembly are the same in
every run, memory is sampled, and processor seconds feel what else shares the caches.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MB = 1e6


class Figure(NamedTuple):
    """One figure of both sides."""

    name: str
    base: float
    head: float
    worse: bool

    def __str__(self) -> str:
        """`iterations 21 → 34`."""
        return f"{self.name} {spell(self.name, self.base)} → {spell(self.name, self.head)}"


def spell(name: str, value: float) -> str:
    """With the unit of the figure."""
    if name == "memory":
        return f"{value / MB:.0f} MB"
    if name == "compile":
        return f"{value:.2f} s"
    return f"{value:.4g}"


def error(base: float, head: float, tolerance: float) -> Figure:
    """How far results lie from the reference."""
    return Figure("error", base, head, not head <= 2 * base + tolerance / 50)


def counts(base: dict[str, float], head: dict[str, float]) -> list[Figure]:
    """What both sides counted: one that appears or disappears is nobody's fault."""
    return [
        Figure(name, base[name], head[name], head[name] > base[name] or math.isnan(head[name]))
        for name in base
        if name in head and not math.isnan(base[name])
    ]


def memory(base: float, head: float) -> Figure:
    """Anonymous bytes a call adds to its process."""
    return Figure("memory", base, head, head > 1.1 * base + 8 * MB)


def compilation(base: float, head: float) -> Figure:
    """Processor seconds of the first call with an empty cache."""
    return Figure("compile", base, head, head > 1.25 * base + 0.5)


def assembly(base: dict[str, float], head: dict[str, float]) -> list[Figure]:
    """Fused multiply-adds and spills of one tile kernel; none where a side lacks it."""
    if "missing" in base or "missing" in head:
        return []
    return [
        Figure("fma", base["fma"], head["fma"], head["fma"] < 0.95 * base["fma"]),
        Figure("spills", base["spills"], head["spills"], head["spills"] > base["spills"]),
    ]
