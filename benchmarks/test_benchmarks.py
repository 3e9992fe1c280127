"""`pytest benchmarks/ --benchmark-only`: cases of the registry for local comparisons.

    pytest benchmarks/ --benchmark-only --benchmark-save=before -k matmul
    pytest benchmarks/ --benchmark-only --benchmark-compare -k matmul      # after the change

All contestants share one process, and the threads of one may disturb the next: compare a
contestant with itself here, and mmlfast with a rival by `python -m benchmarks run --rivals`.
"""

from __future__ import annotations

import os
from typing import Any
from unittest import SkipTest

from benchmarks.case import OURS, Case
from benchmarks.process import THREAD_VARIABLES
from benchmarks.suites import limits


def test_case(benchmark: Any, case: Case, contestant: str) -> None:
    """Warm up and check, then time; a wrong result of mmlfast is never timed."""
    try:
        call = case.contestant(contestant)
    except ImportError as error:
        raise SkipTest(f"{contestant} is absent: {error}") from error
    with limits(case):
        call(case.inputs("tiny"))
        inputs = case.inputs("normal")
        result = call(inputs)
        error = float(case.check(result, inputs))
        if contestant == OURS and case.no_worse_than is None:
            assert error <= case.tolerance, f"{case.name} is broken: its error is {error:.1e}"
        benchmark.group = case.name
        benchmark.extra_info.update(error=error, flops=case.flops, threads=threads(case))
        if contestant == OURS and case.counts is not None:
            benchmark.extra_info.update(case.counts(result))
        benchmark(call, inputs)


def threads(case: Case) -> int | str:
    """Threads of the case; what the environment says where the case leaves them free."""
    if case.threads is not None:
        return case.threads
    pinned = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    return ", ".join(f"{name}={value}" for name, value in pinned.items()) or "free"
