"""The parent's end of a worker: ask, wait with a limit, watch its memory from outside."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from benchmarks.case import Case

LIMIT = 1800.0  # seconds a single answer may take, unless the caller is less patient
SAMPLE = 0.002  # seconds between two looks at the memory
PAUSE = 0.15  # OpenBLAS threads spin on after a call, 106 ms where measured, and slow the next one
CAN_STOP = hasattr(signal, "SIGSTOP")
THREAD_VARIABLES = (
    "MMLFAST_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class Absent(Exception):
    """The contestant is not installed."""


class Failed(Exception):
    """The contestant raised, died or did not answer."""


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that no file backs; its resident memory where that is not known."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import psutil

        return int(psutil.Process(pid).memory_info().rss)
    except Exception:
        return 0


@dataclass(frozen=True)
class Installation:
    """What a worker runs in: an interpreter, the tree its `benchmarks` come from, variables."""

    python: str = sys.executable
    root: Path = Path(__file__).parent.parent
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """The variables of a process."""
        path = [str(self.root), os.environ.get("PYTHONPATH")]
        return (
            os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))} | dict(self.variables)
        )


class Worker:
    """A contestant, loaded and warm, in a process of its own; a context manager that ends it.

    Attributes
    ----------
    warming : float
        Processor seconds of the first call on tiny inputs: compiling, where the cache is empty.
    home : str or None
        The folder of the mmlfast that it uses.
    """

    def __init__(
        self,
        registry: str,
        case: Case,
        contestant: str,
        size: str = "normal",
        installation: Installation | None = None,
        limit: float = LIMIT,
    ) -> None:
        self._limit = limit
        installation = installation or Installation()
        env = installation.environment()
        if case.threads is not None:
            env.update(dict.fromkeys(THREAD_VARIABLES, str(case.threads)))
        self.name = contestant
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            [installation.python, "-m", "benchmarks.worker", registry, case.name, contestant, size],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=installation.root,
            env=env,
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            ready = self._receive()
        except BaseException:
            self.close()
            raise
        self.warming: float = ready["warming"]
        self.home: str | None = ready["home"]

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let the process run, and stop it afterwards.

        Stopped, it cannot disturb its rival: threads of OpenBLAS spin for 0.1 s after a call, those
        of mmlfast for 0.04.  Where processes cannot be stopped a pause does.
        """
        if not CAN_STOP:
            sleep(PAUSE)
            yield
            return
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, number)

    def call(self, number: int = 1) -> float:
        """Median seconds of `number` calls."""
        self._send(do="call", number=number)
        return float(self._receive()["seconds"])

    def call_watching_memory(self) -> tuple[float, int]:
        """Seconds of one call, and the most bytes by which it made the process grow."""
        before = peak = anonymous_bytes(self._process.pid)
        self._send(do="call", number=1)
        deadline = monotonic() + self._limit
        while self._answers.empty() and self._process.poll() is None and monotonic() < deadline:
            peak = max(peak, anonymous_bytes(self._process.pid))
            sleep(SAMPLE)
        return float(self._receive(deadline)["seconds"]), peak - before

    def error(self) -> float:
        """The error of the last result."""
        return self.check()[0]

    def check(self) -> tuple[float, dict[str, float]]:
        """The error of the last result, and what it counted."""
        self._send(do="check")
        answer = self._receive()
        return float(answer["error"]), answer["counts"]

    def close(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(BrokenPipeError):  # a command that a dead worker never read
                    stream.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _send(self, **command: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Failed(f"{self.name} died: {self._last_words()}") from error

    def _receive(self, deadline: float | None = None) -> dict[str, Any]:
        left = self._limit if deadline is None else max(0.0, deadline - monotonic())
        try:
            line = self._answers.get(timeout=left)
        except queue.Empty:
            raise Failed(f"{self.name} gave no answer in {self._limit:.0f} s") from None
        if line is None:
            raise Failed(f"{self.name} died: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if answer["state"] == "absent":
            raise Absent(f"{self.name} is absent: {answer['why']}")
        if answer["state"] == "failed":
            raise Failed(f"{self.name} failed: {answer['why']}")
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"exit status {code}" + (f", {lines[-1]}" if lines else "")
