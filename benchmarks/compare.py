"""`python -m benchmarks compare BASE HEAD`: has a commit become slower, wronger or larger?

    build both → compile → look at the assembly → each case in pairs → table, JSON, Markdown

Exit status: 0 no regression, 1 a regression, 2 something could not be compared.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

from benchmarks import cases, compiled, gate_report
from benchmarks.case import Case
from benchmarks.environments import (
    ROOT,
    TEMPORARY,
    CannotCompare,
    Environment,
    build,
    case_names,
    copy_cases,
    remove_left_over,
    remove_old,
    resolve,
)
from benchmarks.gate import Gate, Result, Side
from benchmarks.gate_report import Findings
from benchmarks.report import write_text
from mmlfast.testing import Rules

QUICK_TOTAL, FULL_TOTAL = 540.0, 3300.0  # seconds in all, builds included
# Seconds a case is given while others wait; to make a graph and its reference takes 30 of them.
QUICK_EACH, FULL_EACH = 40.0, 150.0
LEAST_EACH = 2.0
# Short turns and many: beside busy processes the interval is half as wide as with 40 ms and 40.
# Many launches where they disagree: in a quarter of all processes stacks of eigenproblems take 15
# to 20 % longer, for as long as their workspace stays on the physical pages that it was given.
# With one launch two of seven slowdowns by 13 % passed; where two were enough to convict, one of
# ten commits was called slower that had not touched them.
RULES = Rules(turn=0.02, most=80, launches=13, fewest_launches=2, confirmations=4)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command line of `compare`."""
    compare = commands.add_parser(
        "compare",
        help="compare two commits in pairs, each in an environment of its own",
        description="Exit status: 0 no regression, 1 a regression, 2 could not compare.",
    )
    compare.add_argument("base", help="a commit, or a folder that holds a tree of the project")
    compare.add_argument("head", help="the same for what is judged; . is the tree as it lies")
    compare.add_argument("case", nargs="*", help="names of cases, or parts of names")
    compare.add_argument("--quick", action="store_true", help="the quick cases only")
    compare.add_argument(
        "--ratio", type=float, default=1.10, help="how many times as long is slower (1.10)"
    )
    compare.add_argument(
        "--seconds", type=float, help=f"in all ({FULL_TOTAL:g}, with --quick {QUICK_TOTAL:g})"
    )
    compare.add_argument(
        "--accept", action="append", default=[], metavar="NAME",
        help="a case or tile kernel whose regression is wanted: it is shown and does not fail",
    )  # fmt: skip
    compare.add_argument("--json", type=Path, metavar="FILE", help="save everything measured")
    compare.add_argument("--markdown", type=Path, metavar="FILE", help="save a summary to post")


def main(args: argparse.Namespace) -> int:
    """Run the command; the exit status."""
    # A cancelled job must not leave stopped workers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    findings = Findings((args.base, args.head), args.ratio, accepted=args.accept)
    try:
        examine(args, findings)
    except CannotCompare as reason:
        findings.failure = str(reason)
    except OSError as error:
        findings.failure = f"cannot go on: {error}"
    except KeyboardInterrupt:
        findings.failure = "interrupted"
    code = findings.exit_code
    outputs: list[tuple[object, Callable[[], None]]] = [
        ("the table", lambda: print(gate_report.plain(findings), flush=True)),
        (args.json, lambda: gate_report.save_json(args.json, findings)),
        (args.markdown, lambda: write_text(args.markdown, gate_report.markdown(findings))),
    ]
    for target, write in outputs:
        try:
            if target is not None:
                write()
        except OSError as error:
            print(f"NOT WRITTEN {target}: {error}", file=sys.stderr)
            code = code or 2
    return code


def say(line: str) -> None:
    """Progress goes to standard error."""
    print(line, file=sys.stderr, flush=True)


def examine(args: argparse.Namespace, findings: Findings) -> None:
    """Fill `findings`."""
    total = (QUICK_TOTAL if args.quick else FULL_TOTAL) if args.seconds is None else args.seconds
    if not 0 < total < math.inf:
        raise CannotCompare(f"--seconds must be positive and finite; got {total:g}")
    deadline = monotonic() + total
    try:
        each = QUICK_EACH if args.quick else FULL_EACH
        rules = replace(RULES, ratio=args.ratio, seconds=each)
        chosen = cases.select(args.case, quick=args.quick)
    except (KeyError, ValueError) as error:
        raise CannotCompare(str(error.args[0])) from None
    store = ROOT / "build" / "compare"
    store.mkdir(parents=True, exist_ok=True)
    with alone(store):
        remove_left_over(store)
        base, head = build_both(args.base, args.head, store, findings)
        remove_old(store, {base.folder, head.folder})
        with tempfile.TemporaryDirectory(dir=store, prefix=TEMPORARY) as folder:
            stick = copy_cases(Path(folder) / "tree")
            gate = Gate(Side(base, stick), Side(head, stick))
            registered = case_names(base), case_names(head)
            chosen, gone = split(chosen, registered, args)
            findings.results += gone
            new = set() if registered[0] is None else {c.name for c in chosen} - set(registered[0])
            say("compiling the tile kernels …")
            compiled.compare_assembly(gate, findings, quick=args.quick)
            compiled.compare_seconds(gate, chosen, findings, deadline - total / 2, say)
            run_each(gate, chosen, new, rules, deadline, findings)


def run_each(
    gate: Gate, chosen: list[Case], new: set[str], rules: Rules, deadline: float, findings: Findings
) -> None:
    """The cases one after the other, each with its share of the time that is left."""
    for i, case in enumerate(chosen):
        left = deadline - monotonic()
        say(f"[{i + 1}/{len(chosen)}] {case.name} …")
        if left <= 0:
            note = "the time was over: give more --seconds, or fewer cases"
            result = Result(case.name, "failed", note)
        else:
            share = max(LEAST_EACH, min(rules.seconds, left / (len(chosen) - i)))
            result = gate.run(case, replace(rules, seconds=share), new=case.name in new)
        say(f"      {gate_report.WORDS[result.state]}")
        findings.results.append(result)


@contextmanager
def alone(store: Path) -> Iterator[None]:
    """One comparison at a time: two would time each other, and build the same environment."""
    # asv reads this folder in an environment without it.
    from filelock import FileLock, Timeout

    try:
        with FileLock(store / "lock", timeout=0):
            yield
    except Timeout:
        raise CannotCompare(f"another comparison runs in {store}: wait until it ends") from None


def build_both(
    base: str, head: str, store: Path, findings: Findings
) -> tuple[Environment, Environment]:
    """Both environments, side by side; with the same packages unless the commits ask for others."""
    sources = resolve("BASE", base), resolve("HEAD", head)
    findings.sides = str(sources[0]), str(sources[1])
    again = "-again" if sources[0].key == sources[1].key else ""
    say(f"building {sources[0]} and {sources[1]} …")
    with ThreadPoolExecutor(2) as both:
        builds = [
            both.submit(build, sources[0], store),
            both.submit(build, sources[1], store, again=again),
        ]
        problems = [problem for b in builds if (problem := b.exception()) is not None]
    for problem in problems:
        if not isinstance(problem, CannotCompare):
            raise problem
    if problems:
        raise CannotCompare("; ".join(map(str, problems)))
    built = builds[0].result(), builds[1].result()
    if built[0].packages != built[1].packages:
        built = align(built, store, again)
        changed = set(built[0].packages) ^ set(built[1].packages)
        if changed:
            findings.notes.append(f"packages differ: {', '.join(sorted(changed))}")
    findings.packages = built[1].packages
    return built


def align(
    built: tuple[Environment, Environment], store: Path, again: str
) -> tuple[Environment, Environment]:
    """Build the base anew with the packages of the head, where its bounds allow them."""
    base, head = built
    try:
        base = build(base.source, store, versions="\n".join(head.packages))
    except CannotCompare:
        base = build(base.source, store)
    return base, head


def split(
    chosen: list[Case],
    registered: tuple[dict[str, bool] | None, dict[str, bool] | None],
    args: argparse.Namespace,
) -> tuple[list[Case], list[Result]]:
    """The cases to run, and a result for each that one side has removed."""
    base, head = registered
    gone: list[Result] = []
    if head is not None:
        lost = [case.name for case in chosen if case.name not in head]
        for name, quick in (base or {}).items():
            asked = not args.case or any(part in name for part in args.case)
            if name not in head and name not in lost and asked and (quick or not args.quick):
                lost.append(name)
        gone = [Result(n, "missing", "HEAD has no such case: renamed or removed") for n in lost]
        chosen = [case for case in chosen if case.name not in lost]
    return chosen, gone
