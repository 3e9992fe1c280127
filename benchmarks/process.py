"""The parent's end of a worker: ask, wait with a limit, watch its memory from outside."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.case import Case

LIMIT = 1800.0  # seconds a single answer may take
SAMPLE = 0.002  # seconds between two looks at the memory
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


class Worker:
    """A contestant, loaded and warm, in a process of its own; a context manager that ends it."""

    def __init__(self, registry: str, case: Case, contestant: str, size: str = "normal") -> None:
        root = Path(__file__).parent.parent
        env = dict(os.environ)
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), env.get("PYTHONPATH")]))
        if case.threads is not None:
            env.update(dict.fromkeys(THREAD_VARIABLES, str(case.threads)))
        self.name = contestant
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", registry, case.name, contestant, size],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=env,
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def call(self, number: int = 1) -> float:
        """Mean seconds of `number` calls."""
        self._send(do="call", number=number)
        return float(self._receive()["seconds"])

    def call_watching_memory(self) -> tuple[float, int]:
        """Seconds of one call, and the most bytes by which it made the process grow."""
        before = peak = anonymous_bytes(self._process.pid)
        self._send(do="call", number=1)
        while self._answers.empty():
            peak = max(peak, anonymous_bytes(self._process.pid))
            threading.Event().wait(SAMPLE)
            if self._process.poll() is not None:
                break
        return float(self._receive()["seconds"]), peak - before

    def error(self) -> float:
        """The error of the last result."""
        self._send(do="check")
        return float(self._receive()["error"])

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

    def _receive(self) -> dict[str, Any]:
        start = monotonic()
        try:
            line = self._answers.get(timeout=LIMIT)
        except queue.Empty:
            raise Failed(f"{self.name} gave no answer in {monotonic() - start:.0f} s") from None
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
