"""How often the gate sees a kernel that has become 15 % slower, and names the right case.

    python -m benchmarks.injected_slowdown --runs 20

The slowdown is real: in a copy of the tree the outermost loop of one kernel does a share of its
work twice.  Run after run another kernel is chosen.  `--calibrate` prints how much slower each case
becomes, measured at length.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import experiment
from benchmarks.environments import resolve, write_tree


class Injection(NamedTuple):
    """Extra work in the kernels of one file, which makes `case` 15 % slower."""

    case: str
    file: str
    changes: dict[str, str]


def loop_again(variable: str, begin: str, end: str, percent: int) -> dict[str, str]:
    """A `for` over a range of which the first `percent` are done once more at the end."""
    return {
        f"    for {variable} in range({begin}, {end}):\n": (
            f"    for turn in range(({end} - {begin}) * {100 + percent} // 100):\n"
            f"        {variable} = {begin} + turn % ({end} - {begin})\n"
        )
    }


# The result of each loop's body is the same the second time.  The percentages are those at which
# `--calibrate` prints 1.15.
INJECTIONS = [
    Injection(
        "eigh_10000x8x8_f64",
        "mmlfast/kernels/jacobi.py",
        loop_again("group", "groups[0]", "groups[1]", 22),
    ),
    Injection(
        "ols_20000x100x5_f64",
        "mmlfast/kernels/least_squares.py",
        loop_again("group", "groups[0]", "groups[1]", 25),
    ),
    Injection(
        "matmul_20000x16x16_f64",
        "mmlfast/kernels/small.py",
        loop_again("i", "span[0]", "span[1]", 17),
    ),
]


@contextmanager
def slowed(injection: Injection, commit: str) -> Iterator[str]:
    """A folder with the tree of the commit and the extra work."""
    with tempfile.TemporaryDirectory() as folder:
        write_tree(resolve("BASE", commit), Path(folder))
        kernel = Path(folder) / injection.file
        source = kernel.read_text()
        for old, new in injection.changes.items():
            if source.count(old) != 1:
                raise RuntimeError(f"{injection.file} does not hold {old.strip()!r} once")
            source = source.replace(old, new)
        kernel.write_text(source)
        yield folder


def main() -> None:
    """Run, print a line for each run, and what they come to."""
    options = experiment.parser(__doc__ or "", "injected_slowdown.json")
    options.add_argument("commit", nargs="?", default="HEAD", help="what is slowed down")
    options.add_argument("--calibrate", action="store_true", help="measure the slowdowns alone")
    args = options.parse_args()
    if args.calibrate:
        return calibrate(args.commit)
    runs: list[dict[str, Any]] = []
    for number in range(1, args.runs + 1):
        injection = INJECTIONS[(number - 1) % len(INJECTIONS)]
        with slowed(injection, args.commit) as copy:
            found = experiment.compare(args.commit, copy) | {"injected": injection.case}
        runs.append(found)
        experiment.keep(args.record, runs)
        case = found["cases"][injection.case]
        ratio = (case["comparison"] or {}).get("ratio") or float("nan")
        print(
            f"{number:3} {found['seconds']:5.0f} s  {injection.case} {ratio:.3f}× "
            f"{case['state']}; named: {', '.join(experiment.named(found)) or 'none'}",
            flush=True,
        )
    caught = sum(run["injected"] in experiment.named(run) for run in runs)
    others = sum(len(set(experiment.named(run)) - {run["injected"]}) for run in runs)
    print(f"caught {caught} of {len(runs)}; other cases named {others} times")
    untouched = [
        case for run in runs for name, case in run["cases"].items() if name != run["injected"]
    ]
    print(f"untouched cases: {experiment.told(untouched)}")
    return None


def calibrate(commit: str) -> None:
    """How much slower each case becomes."""
    for injection in INJECTIONS:
        with slowed(injection, commit) as copy:
            found = experiment.compare(commit, copy, injection.case, "--seconds", "400")
        comparison = found["cases"][injection.case]["comparison"]
        print(injection.case, *(f"{comparison[k]:.3f}" for k in ("ratio", "low", "high")))


if __name__ == "__main__":
    main()
