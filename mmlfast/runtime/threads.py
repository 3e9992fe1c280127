"""The one pool of threads: who may use how many, and how work is spread over them.

Kernels release the GIL and run on a lazily made `ThreadPoolExecutor`; the calling thread always
works too, so that a pool that is busy, gone or of size zero costs speed and never a result.  There
is no numba threading layer here: workqueue aborts the process on concurrent calls, omp does not
survive a fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import lru_cache, partial
from typing import Any

_n_threads: ContextVar[int | None] = ContextVar("mmlfast_n_threads", default=None)
_worker = threading.local()
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
AWAKE_LOOKS = 100  # about 0.1 ms
_helpers: list[int] = []
_kept_off: int | None = None


@lru_cache(maxsize=1)
def available_cpus() -> int:
    """CPUs this process may use: affinity, cgroup quota and LOKY_MAX_CPU_COUNT are heeded."""
    from joblib import cpu_count

    return max(1, int(cpu_count()))


def n_threads(n_jobs: int | None = None) -> int:
    """Threads for one call: `n_jobs`, else the context's, else the environment's, else all CPUs.

    Parameters
    ----------
    n_jobs : int, default=None
        A number of threads; −1 is all CPUs, −2 all but one, as in scikit-learn.

    Returns
    -------
    int
        At least 1.  Inside a task of the pool it is 1.  `MMLFAST_NUM_THREADS` and
        `OMP_NUM_THREADS` (which joblib sets in its workers) limit the default.
    """
    if getattr(_worker, "busy", False):
        return 1
    asked = n_jobs if n_jobs is not None else _n_threads.get()
    if asked is None:
        return _environment_limit()
    _check_count("n_jobs", asked)
    return asked if asked > 0 else max(1, available_cpus() + 1 + asked)


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value == 0:
        raise ValueError(
            f"{name} must be a positive number of threads, or negative to count back from all "
            f"CPUs (-1 is all); got {value!r}."
        )


def _environment_limit() -> int:
    limit = available_cpus()
    for name in ("MMLFAST_NUM_THREADS", "OMP_NUM_THREADS"):
        # OpenMP allows a list, one number for each level of nesting.
        text = os.environ.get(name, "").split(",")[0].strip()
        if not text:
            continue
        if not text.isdigit() or int(text) == 0:
            if name == "MMLFAST_NUM_THREADS":
                raise ValueError(f"{name} must be a positive integer; got {text!r}.")
            continue
        return int(text) if name == "MMLFAST_NUM_THREADS" else min(limit, int(text))
    return limit


@contextlib.contextmanager
def config_context(*, n_threads: int | None = None) -> Iterator[None]:
    """Within the block, calls that are not told `n_jobs` use `n_threads` threads.

    Parameters
    ----------
    n_threads : int, default=None
        Threads; negative counts back from all CPUs; None restores the default.

    Examples
    --------
    >>> import numpy as np, mmlfast
    >>> with mmlfast.config_context(n_threads=1):
    ...     C = mmlfast.covariance(np.eye(3))
    >>> C.shape
    (3, 3)
    """
    if n_threads is not None:
        _check_count("n_threads", n_threads)
    token = _n_threads.set(n_threads)
    try:
        yield
    finally:
        _n_threads.reset(token)


class _OneBlasThread:
    """BLAS and LAPACK on one thread while anybody is inside; a context for many callers at once.

    OpenBLAS's own threads keep spinning for some 100 ms after a call and take the CPU from the
    pool's: a read of the data right after one took twice as long.  The limit is the process's, so
    callers are counted: the last one out restores what the first one found.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callers = 0
        self._found: list[int] = []

    def __enter__(self) -> None:
        with self._lock:
            if self._callers == 0:
                self._found = [library.num_threads for library in _blas_libraries()]
                _set_blas_threads([1] * len(self._found))
            self._callers += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._callers -= 1
            if self._callers == 0:
                _set_blas_threads(self._found)


def _set_blas_threads(counts: list[int]) -> None:
    """Set the threads of each BLAS library, from whatever thread this is.

    Since 3.8 threadpoolctl lets only the first thread that sets a limit change it, and ignores the
    others in silence: the last caller out could not restore what another one found.
    """
    for library, count in zip(_blas_libraries(), counts, strict=True):
        release = getattr(library, "clear_controlling_thread", None)
        if release is None:
            library.set_num_threads(count)
        else:
            release(force=True)
            library.set_num_threads(count)
            release(force=True)


@lru_cache(maxsize=1)
def _blas_libraries() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


one_blas_thread = _OneBlasThread()

# Below this size a second BLAS thread wins less (3 ms of 20 for the eigenvalues at 784) than it
# costs whoever comes next, by spinning on; many callers at once would even wait for each other.
BLAS_THREADS_LEAST = 1500


def blas_for(size: int) -> contextlib.AbstractContextManager[Any]:
    """A context for LAPACK on matrices of this many columns: one thread unless they are large."""
    return one_blas_thread if size < BLAS_THREADS_LEAST else contextlib.nullcontext()


def run_everywhere(work: Callable[[int], None], threads: int) -> None:
    """Call work(0) here and work(1) … work(threads − 1) on the pool; return when all are done.

    A call that has not begun when work(0) returns is dropped, so `work` must take its share from a
    common supply.  The first exception is raised here, once every call has ended.
    """
    threads = 1 if getattr(_worker, "busy", False) else threads
    if threads <= 1:
        work(0)
        return
    with beside(work, threads):
        work(0)


@contextlib.contextmanager
def beside(work: Callable[[int], None], threads: int) -> Iterator[None]:
    """work(1) … work(threads − 1) run on the pool beside the body, which must tell them to end.

    A call that has not begun when the body ends is dropped; its first exception is raised here.
    """
    alone = threads <= 1 or getattr(_worker, "busy", False)
    futures = [] if alone else _submit(work, threads - 1)
    try:
        yield
    finally:
        for future in futures:
            future.cancel()
        _wait(futures)
    for future in futures:
        if not future.cancelled():
            future.result()


def parallel_for(task: Callable[[int], None], count: int, threads: int) -> None:
    """task(0) … task(count − 1), each once, on at most `threads` threads, in no set order."""
    supply = itertools.count()

    def work(_: int) -> None:
        # next() of itertools.count is one step under the GIL: no two threads get one index.
        while (index := next(supply)) < count:
            task(index)

    run_everywhere(work, min(threads, count))


def ordered_for(
    compute: Callable[[int, int], object],
    merge: Callable[[int, int], bool],
    count: int,
    threads: int,
) -> None:
    """compute(i, worker) on any thread and in any order, merge(i, worker) strictly in order of i.

    Both get the number of the worker, who may so keep scratch of its own between them; no two
    merges run at once.  A merge that returns False ends it all: nothing after i is merged.
    """
    supply = itertools.count()
    turn = threading.Condition()
    state = {"next": 0, "ended": False}

    def my_turn(i: int) -> bool:
        return state["next"] == i or bool(state["ended"])

    def work(worker: int) -> None:
        try:
            while (i := next(supply)) < count and not state["ended"]:
                compute(i, worker)
                with turn:
                    turn.wait_for(partial(my_turn, i))
                    if state["ended"]:
                        return
                    state["ended"] = not merge(i, worker)
                    state["next"] = i + 1
                    turn.notify_all()
        except BaseException:
            # Without this, those whose turn comes later would wait for ever.
            with turn:
                state["ended"] = True
                turn.notify_all()
            raise

    run_everywhere(work, min(threads, count))


def _wait(futures: list[Future[None]]) -> None:
    """Return when all have ended; the first moments are spent awake.

    A caller that sleeps is woken on the CPU of the helper that ends, and the next call begins with
    cold caches; parts of equal size end within microseconds of each other.
    """
    for _ in range(AWAKE_LOOKS):
        if all(future.done() for future in futures):
            return
        time.sleep(0)
    for future in futures:
        if not future.cancelled():
            future.exception()


@lru_cache(maxsize=1)
def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None


def current_cpu() -> int | None:
    """Number of the CPU this thread runs on; None where that cannot be asked."""
    get = getattr(_libc(), "sched_getcpu", None)
    number = -1 if get is None else int(get())
    return number if number >= 0 else None


def _keep_helpers_off(cpu: int | None) -> None:
    """Let the pool's threads run on any CPU but that of the thread that hands them work.

    After a pause Linux may wake a helper on the CPU of its waker, busy as that is, and leave it
    there for tens of milliseconds with another CPU idle: a product of 512² float32 matrices on two
    threads then took 1.7 ms instead of 0.95.
    """
    global _kept_off
    if cpu is None or cpu == _kept_off:
        return
    others = os.sched_getaffinity(0) - {cpu}
    if others:
        for helper in _helpers:
            # A thread may have ended, or a container may forbid it: then it stays as it was.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(helper, others)
    _kept_off = cpu


def _enrol_helper() -> None:
    global _kept_off
    _helpers.append(threading.get_native_id())
    _kept_off = None


def _submit(work: Callable[[int], None], count: int) -> list[Future[None]]:
    def run(index: int) -> None:
        _worker.busy = True
        try:
            work(index)
        finally:
            _worker.busy = False

    futures: list[Future[None]] = []
    # Refused when the interpreter is ending or no thread can be made: the caller works alone.
    with _lock, contextlib.suppress(RuntimeError):
        pool = _pool_of(count)
        _keep_helpers_off(current_cpu())
        for index in range(count):
            futures.append(pool.submit(run, index + 1))
    return futures


def _pool_of(size: int) -> ThreadPoolExecutor:
    global _pool, _pool_size
    if _pool is None or _pool_size < size:
        if _pool is not None:
            _pool.shutdown(wait=False)
        _helpers.clear()
        _pool = ThreadPoolExecutor(size, "mmlfast", initializer=_enrol_helper)
        _pool_size = size
    return _pool


def _forget_pool() -> None:
    """A forked child has the pool's object but none of its threads, and perhaps a held lock."""
    global _pool, _pool_size, _lock, _kept_off
    _helpers.clear()
    _kept_off = None
    _pool, _pool_size, _lock = None, 0, threading.Lock()
    _worker.busy = False
    one_blas_thread.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
