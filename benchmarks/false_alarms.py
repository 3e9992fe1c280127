"""How often the gate cries wolf: a commit compared with itself while something else takes a core.

    python -m benchmarks.false_alarms --runs 20

The load is a process that computes without end, on a core and for a time that are drawn at random.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from benchmarks import experiment

MEAN_BURST, MEAN_REST = 3.0, 3.0  # seconds, both exponentially distributed


def load_one_core(seed: int) -> None:
    """Bursts of load on one core, never on two at a time."""
    draw = random.Random(seed)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    while True:
        sleep(draw.expovariate(1 / MEAN_REST))
        if cores:
            os.sched_setaffinity(0, {draw.choice(cores)})
        end = monotonic() + draw.expovariate(1 / MEAN_BURST)
        while monotonic() < end:
            sum(range(10_000))


@contextmanager
def loaded(seed: int) -> Iterator[None]:
    """The load, for as long as the context lasts."""
    process = multiprocessing.get_context("spawn").Process(
        target=load_one_core, args=(seed,), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def main() -> None:
    """Run, print a line for each run, and what they come to."""
    options = experiment.parser(__doc__ or "", "false_alarms.json")
    options.add_argument("commit", nargs="?", default="HEAD", help="what is compared with itself")
    options.add_argument("--quiet-machine", action="store_true", help="without the load")
    args = options.parse_args()
    runs: list[dict[str, Any]] = []
    for number in range(1, args.runs + 1):
        if args.quiet_machine:
            found = experiment.compare(args.commit, args.commit)
        else:
            with loaded(number):
                found = experiment.compare(args.commit, args.commit)
        runs.append(found)
        experiment.keep(args.record, runs)
        states = [case["state"] for case in found["cases"].values()]
        print(
            f"{number:3} {found['seconds']:5.0f} s  {len(states)} cases, "
            f"{states.count('unclear')} unclear, alarms: {found['regressions'] or 'none'}",
            *(f"; not compared: {line}" for line in found["not_compared"]),
            flush=True,
        )
    alarms = sum(len(found["regressions"]) for found in runs)
    cases = [case for found in runs for case in found["cases"].values()]
    print(f"{alarms} false alarms in {len(cases)} comparisons of {len(runs)} runs")
    print(experiment.told(cases))


if __name__ == "__main__":
    main()
