"""Who may use how many threads, and that work is done once, in order and without hanging."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from mmlfast.runtime import threads
from mmlfast.runtime.threads import config_context, n_threads, ordered_for, parallel_for


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch):
    monkeypatch.setattr(threads, "available_cpus", lambda: 8)
    for name in ("MMLFAST_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def without_hanging(call):
    """The result of call(), made by another thread so that a hang is a failure and not a wait."""
    outcome = []

    def run():
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    caller = threading.Thread(target=run, daemon=True)
    caller.start()
    caller.join(timeout=60)
    assert outcome, "the call hangs"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


@pytest.mark.parametrize(
    ("asked", "given"),
    [(None, 8), (1, 1), (3, 3), (20, 20), (-1, 8), (-2, 7), (-8, 1), (-100, 1), (np.int64(2), 2)],
)
def test_counts(asked, given):
    assert n_threads(asked) == given


@pytest.mark.parametrize("bad", [0, True, False, 2.0, "2", "auto"])
def test_bad_counts_are_refused(bad):
    with pytest.raises(ValueError, match=r"n_jobs must be a positive number of threads.*got"):
        n_threads(bad)
    with pytest.raises(ValueError, match=r"n_threads must be a positive number of threads.*got"):
        with config_context(n_threads=bad):
            pass


@pytest.mark.parametrize(
    ("mmlfast", "openmp", "given"),
    [
        ("3", None, 3), ("12", None, 12), (None, "2", 2), (None, "20", 8), ("3", "2", 3),
        (None, "4,2", 4), ("", "", 8), (" 5 ", None, 5), (None, "many", 8), (None, "0", 8),
    ],
)  # fmt: skip
def test_the_environment_limits_the_default(mmlfast, openmp, given, monkeypatch):
    if mmlfast is not None:
        monkeypatch.setenv("MMLFAST_NUM_THREADS", mmlfast)
    if openmp is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", openmp)
    assert n_threads() == given
    assert n_threads(6) == 6
    assert n_threads(-1) == 8


@pytest.mark.parametrize("bad", ["0", "-1", "two", "1.5"])
def test_a_bad_environment_is_named(bad, monkeypatch):
    monkeypatch.setenv("MMLFAST_NUM_THREADS", bad)
    with pytest.raises(ValueError, match=f"MMLFAST_NUM_THREADS must be a positive integer.*{bad}"):
        n_threads()


def test_contexts_nest(monkeypatch):
    monkeypatch.setenv("MMLFAST_NUM_THREADS", "7")
    with config_context(n_threads=2):
        assert n_threads() == 2
        assert n_threads(5) == 5
        with config_context(n_threads=-2):
            assert n_threads() == 7
        with config_context():
            assert n_threads() == 7
        assert n_threads() == 2
        with pytest.raises(KeyError), config_context(n_threads=3):
            raise KeyError
        assert n_threads() == 2
    assert n_threads() == 7


def test_a_context_is_of_its_own_thread():
    with config_context(n_threads=3):
        assert without_hanging(n_threads) == 8


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_parallel_for_does_everything_once(count, n):
    done = []
    without_hanging(lambda: parallel_for(done.append, count, n))
    assert sorted(done) == list(range(count))


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 60])
def test_ordered_for_merges_in_order(count, n):
    computed, merged = [], []
    in_merge = threading.Lock()

    def compute(i, worker):
        assert 0 <= worker < n
        computed.append((i, worker))

    def merge(i, worker):
        assert in_merge.acquire(blocking=False)
        merged.append((i, worker))
        in_merge.release()
        return True

    without_hanging(lambda: ordered_for(compute, merge, count, n))
    assert [i for i, _ in merged] == list(range(count))
    assert sorted(computed) == merged


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("last", [0, 7, 29])
def test_a_merge_may_end_it(last, n):
    merged = []

    def merge(i, worker):
        merged.append(i)
        return i != last

    without_hanging(lambda: ordered_for(lambda i, worker: None, merge, 30, n))
    assert merged == list(range(last + 1))


class Spoilt(Exception):
    pass


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("where", ["compute", "merge"])
@pytest.mark.parametrize("at", [0, 1, 13, 29])
@pytest.mark.parametrize("error", [Spoilt, KeyboardInterrupt])
def test_errors_arrive_and_nothing_hangs(error, at, where, n):
    merged = []

    def compute(i, worker):
        if where == "compute" and i == at:
            raise error(i)

    def merge(i, worker):
        if where == "merge" and i == at:
            raise error(i)
        merged.append(i)
        return True

    with pytest.raises(error, match=str(at)):
        without_hanging(lambda: ordered_for(compute, merge, 30, n))
    # What comes after it is never merged.
    assert merged == list(range(len(merged)))
    assert len(merged) <= at
    # The pool is as good as before.
    done = []
    without_hanging(lambda: parallel_for(done.append, 20, n))
    assert len(done) == 20


@pytest.mark.parametrize("n", [1, 3])
def test_errors_of_parallel_for(n):
    def task(i):
        if i == 3:
            raise Spoilt("three")

    with pytest.raises(Spoilt, match="three"):
        without_hanging(lambda: parallel_for(task, 10, n))


@pytest.mark.parametrize("n", [2, 4])
def test_an_error_of_any_worker_arrives(n):
    """Every worker meets at a barrier, so the one that raises is certainly not the caller."""
    everyone = threading.Barrier(n, timeout=30)
    caller = []

    def work(index):
        if index == 0:
            caller.append(threading.get_ident())
        everyone.wait()
        if index == n - 1:
            raise Spoilt(index)

    with pytest.raises(Spoilt):
        without_hanging(lambda: threads.run_everywhere(work, n))


def test_nested_calls_run_serially():
    everyone = threading.Barrier(3, timeout=30)

    def work(index):
        everyone.wait()
        idents = []
        parallel_for(lambda i: idents.append(threading.get_ident()), 6, 4)
        assert len(idents) == 6
        if index:
            assert set(idents) == {threading.get_ident()}
            assert n_threads() == n_threads(8) == 1

    without_hanging(lambda: threads.run_everywhere(work, 3))
    assert n_threads() == 8


def test_nested_many_times_over():
    def nested(depth):
        done = []

        def task(i):
            done.append(i if depth == 0 else nested(depth - 1))

        parallel_for(task, 4, 4)
        return len(done)

    assert without_hanging(lambda: nested(3)) == 4


def test_many_callers_at_once():
    """More callers than threads, each with a sum of its own."""
    totals = [0] * 12

    def caller(c):
        def merge(i, worker):
            totals[c] += i
            return True

        for _ in range(5):
            ordered_for(lambda i, worker: None, merge, 40, 3)

    def everyone():
        callers = [threading.Thread(target=caller, args=(c,)) for c in range(12)]
        for each in callers:
            each.start()
        for each in callers:
            each.join()

    without_hanging(everyone)
    assert totals == [5 * 780] * 12


def test_the_pool_grows_while_it_is_used():
    """A caller that wants more threads replaces the pool; the others finish on the old one."""

    def outer(size):
        done = []
        parallel_for(done.append, 30, size)
        return sorted(done) == list(range(30))

    def everyone():
        results = []
        callers = [
            threading.Thread(target=lambda size=size: results.append(outer(size)))
            for size in itertools.chain(range(2, 12), range(12, 2, -1))
        ]
        for each in callers:
            each.start()
        for each in callers:
            each.join()
        return results

    assert without_hanging(everyone) == [True] * 20


def test_without_new_threads_the_caller_works_alone(monkeypatch):
    class Refusing:
        def submit(self, *arguments):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_pool_of", lambda size: Refusing())
    done = []
    without_hanging(lambda: parallel_for(done.append, 9, 4))
    assert done == list(range(9))


def test_use_at_exit(run_python):
    """When the interpreter ends, pools take no more work; a call still gives its result."""
    code = (
        "import atexit\n"
        "from mmlfast.runtime.threads import parallel_for\n"
        "def last():\n"
        "    done = []\n"
        "    parallel_for(done.append, 5, 3)\n"
        "    print(sorted(done))\n"
        "atexit.register(last)\n"
        "parallel_for(lambda i: None, 5, 3)\n"
    )
    assert run_python(code).strip() == "[0, 1, 2, 3, 4]"


@pytest.mark.parametrize("first_out", ["the first in", "the last in"])
def test_blas_is_kept_to_one_thread_until_the_last_caller_leaves(first_out):
    """The limit is the process's: whoever leaves last restores it, whoever set it."""
    from threadpoolctl import threadpool_info

    def counts():
        return [x["num_threads"] for x in threadpool_info() if x["user_api"] == "blas"]

    before = counts()
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with threads.one_blas_thread:
            inside.set()
            leave.wait(timeout=30)

    other = threading.Thread(target=stay)
    if first_out == "the first in":
        with threads.one_blas_thread:
            other.start()
            assert inside.wait(timeout=30)
    else:
        other.start()
        assert inside.wait(timeout=30)
        with threads.one_blas_thread:
            assert set(counts()) <= {1}
    assert set(counts()) <= {1}
    leave.set()
    other.join()
    assert counts() == before
