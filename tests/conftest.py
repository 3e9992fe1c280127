"""One cache of compiled kernels for all tests and workers; no test looks at the clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

pytest_plugins = ["pytester"]  # only the top conftest may ask for it

# The first example may compile a kernel: neither a deadline nor a slow start says anything.
settings.register_profile(
    "mmlfast",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("mmlfast")


def pytest_configure(config: pytest.Config) -> None:
    """Point at the shared cache before anything imports mmlfast.

    It lies in pytest's own cache: its name follows the kernels' sources, so it may outlive a run.
    """
    if "MMLFAST_CACHE_DIR" not in os.environ:
        os.environ["MMLFAST_CACHE_DIR"] = str(config.cache.mkdir("kernels"))


@pytest.fixture
def default_interrupt() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt: what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run_python() -> Callable[..., str]:
    """run_python(code, cwd=ROOT, **environment) → what a fresh interpreter wrote to stdout.

    A variable that is None is removed from the environment.  Warnings are errors there too.
    """

    def run(code: str, cwd: Path = ROOT, **changes: object) -> str:
        environment = {**os.environ, "PYTHONPATH": str(cwd), "PYTHONWARNINGS": "error"}
        for name, value in changes.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = str(value)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=cwd, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run
