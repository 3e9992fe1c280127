"""`python -m benchmarks run|list|scaling|compare`; see `--help` of each."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks import cases, compare, engine, report


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Speed, memory and accuracy of mmlfast beside its rivals.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="measure cases and print one table",
        description="Exit status: 0 every bar is met, 1 one is missed or a result is wrong, "
        "2 a case could not run.",
    )
    run.add_argument("case", nargs="*", help="names of cases, or parts of names; all without any")
    run.add_argument("--rivals", action="store_true", help="measure the rivals as well, in turn")
    run.add_argument("--quick", action="store_true", help="the quick cases only, and fewer rounds")
    run.add_argument(
        "--full", action="store_true", help="the full size of cases that have one: a file of 8 GB"
    )
    run.add_argument("--json", type=Path, metavar="FILE", help="save everything measured")
    commands.add_parser("list", help="print the cases")
    scaling = commands.add_parser("scaling", help="seconds and peak memory by rows and by columns")
    scaling.add_argument("--quick", action="store_true", help="up to 1e6 rows and 1024 columns")
    compare.add_parser(commands)
    return top


def measure(args: argparse.Namespace) -> int:
    """The command `run`."""
    try:
        chosen = cases.select(args.case, quick=args.quick)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    outcomes, rows = [], []
    for i, case in enumerate(chosen, start=1):
        print(f"[{i}/{len(chosen)}] {case.name} …", end=" ", file=sys.stderr, flush=True)
        start = perf_counter()
        outcomes.append(
            engine.run(
                case,
                list(case.rivals) if args.rivals else [],
                size="full" if args.full else "normal",
                budget=10.0 if args.quick else engine.BUDGET,
            )
        )
        new = report.rows(outcomes[-1])
        rows += new
        verdicts = ", ".join(dict.fromkeys(row.verdict for row in new if row.verdict)) or "done"
        print(f"{verdicts} ({perf_counter() - start:.0f} s)", file=sys.stderr)
    print(report.table(rows))
    for outcome in outcomes:
        for note in report.notes(outcome):
            print(note)
    print(
        ", ".join(f"{key} {value}" for key, value in report.machine().items() if value is not None)
    )
    if args.json:
        report.save_json(args.json, outcomes)
    return report.exit_code(rows)


def show() -> int:
    """The command `list`."""
    for case in cases.CASES.values():
        bars = [f"{rival} ≥ {ratio:g}×" for rival, ratio in case.bar.items()]
        bars += [f"{rival} + {1e3 * more:.0f} ms" for rival, more in case.excess.items()]
        bars += [f"memory ≤ {case.memory_limit / 1e6:.0f} MB"] if case.memory_limit else []
        print(f"{case.name:28} {case.group:11} {'quick' if case.quick else '':6} {', '.join(bars)}")
    return 0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments; cases may stand on either side of the options, which argparse refuses."""
    top = parser()
    args, rest = top.parse_known_args(arguments)
    if rest and (not hasattr(args, "case") or any(word.startswith("-") for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.case += rest
    return args


def main() -> int:
    """Run the command line; the exit status."""
    code, problems = 0, []
    try:
        code = execute(parse())
    except OSError as error:
        code = 2
        problems.append(error)
    try:
        sys.stdout.flush()
    except OSError as error:
        # Without this the interpreter would flush again while it ends, complain and exit with 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or 2
        problems.append(error)
    if problems and not isinstance(problems[0], BrokenPipeError):  # a reader that goes is no news
        print(f"cannot go on: {problems[0]}", file=sys.stderr)
    return code


def execute(args: argparse.Namespace) -> int:
    """Run the command that was chosen."""
    if args.command == "run":
        return measure(args)
    if args.command == "list":
        return show()
    if args.command == "compare":
        return compare.main(args)
    from benchmarks import scaling

    return scaling.main(quick=args.quick)


if __name__ == "__main__":
    sys.exit(main())
