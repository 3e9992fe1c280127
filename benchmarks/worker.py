"""One contestant in its own process: `python -m benchmarks.worker REGISTRY CASE CONTESTANT SIZE`.

Commands and answers are JSON lines on the first standard input and output; both are moved away
before anything is imported, so that a library that prints or reads cannot disturb them.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from itertools import cycle
from statistics import median
from time import perf_counter, process_time
from typing import Any, TextIO

from benchmarks.case import OURS

# Of one turn at most, each the mean of equally many calls: a short one ends before the scheduler
# gives the core to another process, see mmlfast.testing.paired.
SAMPLES = 100
COPIES, ROOM = 8, 2**28  # of the inputs, and the bytes they may take
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


def end_with_parent() -> None:
    """Be killed with the thread that started this process, where the system can do that.

    A worker that is stopped never reads the end of its commands, and would stay for ever.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def private_channel() -> tuple[TextIO, TextIO]:
    """Take standard input and output; what is printed from now on goes to standard error."""
    commands, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return commands, answers


def load(registry: str, case_name: str, contestant: str, size: str) -> tuple[Any, Any, Any, float]:
    """The case, the warm function to time, its inputs, and the processor seconds of warming it."""
    case = importlib.import_module(registry).get(case_name)
    call = case.contestant(contestant)
    inputs = case.inputs("tiny")
    start = process_time()
    call(inputs)
    warming = process_time() - start
    return case, call, case.inputs(size), warming


def give_back_free_memory() -> None:
    """Let the allocator return what making the inputs left behind.

    Without it a call that fills such pages again would seem to need no memory.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def copies_of(inputs: Any) -> list[Any]:
    """The inputs and copies at other addresses, for one turn after the other.

    How arrays lie in the caches is a matter of luck that lasts as long as they do: the medians of
    exp over 1e6 numbers differed by up to 27 % between processes, now by 0.5 %.
    """
    size = size_of(inputs)
    count = min(COPIES, ROOM // size) if size else 1
    return [inputs, *(copied(inputs) for _ in range(count - 1))]


def size_of(inputs: Any) -> int:
    """Bytes of the arrays, alone or in tuples and lists."""
    if isinstance(inputs, tuple | list):
        return sum(map(size_of, inputs))
    return int(getattr(inputs, "nbytes", 0))


def copied(inputs: Any) -> Any:
    """The same with new arrays."""
    if isinstance(inputs, tuple | list):
        parts = map(copied, inputs)
        return type(inputs)(*parts) if hasattr(inputs, "_fields") else type(inputs)(parts)
    return inputs.copy() if hasattr(inputs, "nbytes") else inputs


def timed(call: Any, inputs: Any, number: int) -> tuple[float, Any]:
    """Median seconds of `number` calls after one that warms the caches, and the last result."""
    samples = min(number, SAMPLES)
    gc.collect()
    gc.disable()
    try:
        if number > 1:
            call(inputs)
        seconds = []
        for _ in range(samples):
            start = perf_counter()
            for _ in range(-(-number // samples)):
                result = call(inputs)
            seconds.append((perf_counter() - start) / -(-number // samples))
        return median(seconds), result
    finally:
        gc.enable()


def home() -> str | None:
    """The folder of the mmlfast that this process uses; None where it uses none."""
    package = sys.modules.get("mmlfast")
    return None if package is None else os.path.dirname(str(package.__file__))


def main(registry: str, case_name: str, contestant: str, size: str) -> None:
    """Say whether the contestant is ready, then answer until the commands end."""
    end_with_parent()
    commands, answers = private_channel()

    def answer(**message: Any) -> None:
        print(json.dumps(message), file=answers, flush=True)

    def failed(error: BaseException) -> None:
        traceback.print_exc(file=sys.stderr)
        answer(state="failed", why=f"{type(error).__name__}: {error}")

    try:
        case, call, inputs, warming = load(registry, case_name, contestant, size)
        copies = cycle(copies_of(inputs))
    except ImportError as error:
        return answer(state="absent", why=str(error))
    except Exception as error:
        return failed(error)
    gc.collect()
    gc.freeze()  # what is loaded stays: a collection before each turn then costs nothing
    give_back_free_memory()
    answer(state="ready", warming=warming, home=home())

    result = None
    for line in commands:
        command = json.loads(line)
        try:
            if command["do"] == "check":
                counts = dict(case.counts(result)) if case.counts and contestant == OURS else {}
                error = float(case.check(result, inputs))
                answer(state="done", error=error, counts={k: float(v) for k, v in counts.items()})
            else:
                inputs = next(copies)
                seconds, result = timed(call, inputs, command["number"])
                answer(state="done", seconds=seconds)
        except Exception as error:
            return failed(error)


if __name__ == "__main__":
    main(*sys.argv[1:])
