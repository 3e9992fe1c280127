"""What the compiler made of the register tiles: `python -m benchmarks.assembly [NAME…] [--quick]`.

    fma      packed fused multiply-adds         of the innermost loops that hold one, added up
    spills   vector registers moved to or from the stack there; an operand in memory is a move too

Only those loops count.  A prologue that saves registers, or a tile that is put down between two
loops, runs once where the loop runs for every element; one spill within it can halve its speed.  A
loop is a set of instructions that all lead to one another: what merely lies between a label and a
jump back to it may be the way out.  It is innermost if no loop is left without its first one.
Scalar multiply-adds are left out: they belong to the elements that fill no register.  Where the
target has no fused multiply-add all figures are 0.

One JSON object is printed, {kernel: {"fma", "spills", "vector_bits"}}, of the mmlfast that the
interpreter finds, compiled for this processor.  A kernel that it lacks, or calls otherwise, is
{"missing": reason}: the same command reads older commits.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from benchmarks.tiles import KERNELS, Examples, Kernel

Json = dict[str, Any]


@dataclass(frozen=True)
class Counts:
    """Figures of one kernel; `vector_bits` is the widest vector register of the loops counted."""

    fma: int = 0
    spills: int = 0
    vector_bits: int = 0


class Dialect(NamedTuple):
    """How one architecture writes what is looked for; all but `frame` are matched in one line."""

    comment: str
    jump: str  # its group is the label
    ends: str  # what the next instruction does not follow on
    fma: str
    on_stack: str  # with {base} for the registers that point to the stack
    frame: str  # what makes `frame_pointer` such a register, within a function
    pointer: str
    frame_pointer: str
    widths: dict[str, int]


# An address with an index is an element of an array on the stack, not a register put down there.
X86 = Dialect(
    comment=r"#.*",
    jump=r"j\w+\s+(\.?L\w+)$",
    ends=r"(?:jmp|ret|ud2)",
    fma=r"vfn?m(?:add|sub)(?:132|213|231)p[sd]\s",
    on_stack=r"(?=.*%[xyz]mm\d).*\((?:{base})\)",
    frame=r"^\s*movq?\s+%rsp, %rbp",
    pointer="%rsp",
    frame_pointer="%rbp",
    widths={r"%zmm\d": 512, r"%ymm\d": 256, r"%xmm\d": 128},
)
# GNU writes `fmla v0.2d, …`, Apple `fmla.2d v0, …`; the scalar form names d or s registers.
AARCH64 = Dialect(
    comment=r"(?://|;).*",
    jump=r"(?:b(?:c?\.\w+)?|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.?L\w+)$",
    ends=r"(?:br?|ret|brk|udf)(?:\s|$)",
    fma=r"fml[as](?:\.\d\w+)?\s+v\d",
    on_stack=r"(?:ld|st)(?:n?p|u?r)\s+[qdv]\d.*\[(?:{base})(?:, #-?\w+)?\]",
    frame=r"^\s*(?:mov\s+x29, sp|add\s+x29, sp, )",
    pointer="sp",
    frame_pointer="x29",
    widths={r"\bq\d|\.(?:16b|8h|4s|2d)\b": 128, r"\bd\d|\.(?:8b|4h|2s)\b": 64},
)

LOCAL_LABEL = re.compile(r"\s*(\.?L\w+):")
FUNCTION_LABEL = re.compile(r'(?:[\w$]|"|\.(?!L))[^\s:]*"?:')


def functions(assembly: str) -> Iterator[list[str]]:
    """The lines of each function."""
    lines: list[str] = []
    for line in assembly.splitlines():
        if FUNCTION_LABEL.match(line) and not LOCAL_LABEL.match(line):
            yield lines
            lines = []
        lines.append(line)
    yield lines


def innermost_loops(lines: list[str], dialect: Dialect) -> Iterator[list[str]]:
    """The instructions of every loop of a function that holds no other loop."""
    code: list[str] = []
    labels: dict[str, int] = {}
    for line in lines:
        if label := LOCAL_LABEL.match(line):
            labels[label[1]] = len(code)
        instruction = re.sub(dialect.comment, "", line).strip()
        if instruction and not instruction.startswith(".") and not instruction.endswith(":"):
            code.append(instruction)
    edges = []
    for i, instruction in enumerate(code):
        jump = re.match(dialect.jump, instruction)
        if jump and labels.get(jump[1], len(code)) < len(code):
            edges.append((i, labels[jump[1]]))
        if i + 1 < len(code) and not re.match(dialect.ends, instruction):
            edges.append((i, i + 1))
    follows = np.array(edges, np.int64).reshape(-1, 2)
    for loop in innermost(np.arange(len(code)), follows):
        yield [code[i] for i in loop]


def innermost(nodes: np.ndarray, edges: np.ndarray) -> Iterator[np.ndarray]:
    """Sets of `nodes`, rising, that lead to one another and hold no such set but for their entry.

    The entry is where a path from outside comes in.
    """
    inside = np.searchsorted(nodes, edges[np.isin(edges, nodes).all(axis=1)])
    shape = (len(nodes), len(nodes))
    graph = csr_array((np.ones(len(inside)), (inside[:, 0], inside[:, 1])), shape=shape)
    _, component = connected_components(graph, connection="strong")
    for c in np.flatnonzero(np.bincount(component) > 1):
        members = nodes[component == c]
        enters = ~np.isin(edges[:, 0], members) & np.isin(edges[:, 1], members)
        entry = min(edges[enters, 1], default=members[0])
        inner = list(innermost(members[members != entry], edges))
        yield from inner or [members]


def count(assembly: str) -> Counts:
    """The figures of what numba's `inspect_asm` returns, of x86-64 (AT&T) or AArch64."""
    dialect = X86 if re.search(r"%r[a-ds0-9]", assembly) else AARCH64
    fma = spills = bits = 0
    for lines in functions(assembly):
        framed = any(re.match(dialect.frame, line) for line in lines)
        base = f"{dialect.pointer}|{dialect.frame_pointer}" if framed else dialect.pointer
        on_stack = re.compile(dialect.on_stack.format(base=base))
        for loop in innermost_loops(lines, dialect):
            added = sum(re.match(dialect.fma, x) is not None for x in loop)
            if not added:
                continue
            fma += added
            spills += sum(on_stack.match(x) is not None for x in loop)
            text = "\n".join(loop)
            widths = [width for name, width in dialect.widths.items() if re.search(name, text)]
            bits = max(bits, *widths)
    return Counts(fma, spills, bits)


def read(name: str, kernel: Kernel, dtype: str) -> Json:
    """The figures of one kernel, or why there are none."""
    module, _, function = name.partition(".")
    try:
        import numba

        compiled = getattr(importlib.import_module(f"mmlfast.kernels.{module}"), function)
        arguments = kernel.arguments(Examples.of(dtype))
        signature = tuple(
            a if isinstance(a, numba.types.Type) else numba.typeof(a) for a in arguments
        )
        compiled.compile(signature)
        return asdict(count(compiled.inspect_asm(signature)))
    # Whatever an older commit does otherwise: the other kernels still have their figures.
    except Exception as error:
        return {"missing": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}


def main() -> int:
    """Compile with an empty cache, for what is loaded from one has no assembly to show."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.assembly",
        description="Fused multiply-adds and spills in the loops of the register tiles, as JSON.",
    )
    parser.add_argument("name", nargs="*", help="names of kernels, or parts of names; all without")
    parser.add_argument("--quick", action="store_true", help="the quick kernels only")
    args = parser.parse_args()
    names = [f"{name} {dtype}" for name, kernel in KERNELS.items() for dtype in kernel.dtypes]
    if unknown := [part for part in args.name if not any(part in name for name in names)]:
        parser.error(f"no kernel is called or contains {unknown}; there are {', '.join(names)}")
    chosen = [
        (name, *name.split())
        for name in names
        if (KERNELS[name.split()[0]].quick or not args.quick)
        and (not args.name or any(part in name for part in args.name))
    ]
    # A loaded library cannot be removed on Windows.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        os.environ["MMLFAST_CACHE_DIR"] = cache
        figures = {
            name: read(function, KERNELS[function], dtype) for name, function, dtype in chosen
        }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
