"""Everything at once: many threads, joblib's backends, forked children, all with the same bits."""

from __future__ import annotations

import multiprocessing
import sys
import threading

import joblib
import numpy as np
import pytest

from mmlfast import (
    PCA,
    Graph,
    config_context,
    covariance,
    eigh,
    matmul,
    pagerank,
    personalized_pagerank,
    rotate_image,
    solve,
)
from mmlfast.runtime import threads

RNG = np.random.default_rng(0)
# Large enough to be shared out among threads.
A = RNG.standard_normal((260, 300)).astype(np.float32)
B = RNG.standard_normal((300, 520)).astype(np.float32)
X = RNG.standard_normal((9000, 40)) * np.linspace(3, 1, 40) + 7
WIDE = RNG.standard_normal((700, 1100)).astype(np.float32)
WIDE[:, :6] *= np.linspace(60, 30, 6)
SYSTEMS = RNG.standard_normal((3000, 5, 5)) + 5 * np.eye(5)
IMAGE = RNG.random((300, 400, 3)).astype(np.float32)
GRAPH = Graph.from_edges(*RNG.integers(0, 60_000, (2, 1_000_000)), n_nodes=70_000)


def everything(n_jobs):
    """One of each: products, a covariance, components three ways, solutions, a picture, ranks."""
    results = [matmul(A, B, n_jobs=n_jobs), covariance(X, n_jobs=n_jobs)]
    for data, solver in ((X, "covariance_eigh"), (X[:400], "full"), (WIDE, "krylov")):
        pca = PCA(3, svd_solver=solver, random_state=0, n_jobs=n_jobs).fit(data)
        results += [pca.components_, pca.explained_variance_, pca.transform(data[:50])]
    symmetric = SYSTEMS + SYSTEMS.swapaxes(1, 2)
    results += [
        matmul(SYSTEMS, symmetric, n_jobs=n_jobs),
        solve(SYSTEMS, np.ones((3000, 5)), n_jobs=n_jobs),
        eigh(symmetric, n_jobs=n_jobs).values,
        rotate_image(IMAGE, 30, n_jobs=n_jobs),
        pagerank(GRAPH, n_jobs=n_jobs).scores,
        personalized_pagerank(GRAPH, [1, 2], top=5, n_jobs=n_jobs).scores,
    ]
    return results


@pytest.fixture(scope="module")
def expected():
    """By one thread; the pool is in use before any child is forked."""
    results = everything(1)
    same(everything(2), results)
    return results


def same(results, expected):
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 4, 7])
def test_same_bits_on_any_number_of_threads(n_jobs, expected):
    same(everything(n_jobs), expected)
    with config_context(n_threads=n_jobs):
        same(everything(None), expected)


def test_sixteen_threads_at_once(expected):
    results, start = [], threading.Barrier(16, timeout=60)

    def caller(n_jobs):
        start.wait()
        results.append(everything(n_jobs))

    callers = [threading.Thread(target=caller, args=(1 + i % 4,), daemon=True) for i in range(16)]
    for each in callers:
        each.start()
    for each in callers:
        each.join(timeout=120)
        assert not each.is_alive()
    assert len(results) == 16
    for result in results:
        same(result, expected)


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_inside_of_joblib(backend, expected):
    # Workers import by name: what they run has to be found without this file.
    task = everything if backend == "threading" else _in_worker
    arguments = [(2,)] * 3 if backend == "threading" else [(A, B, X)] * 3
    wanted = expected if backend == "threading" else expected[:3]
    with joblib.parallel_config(backend=backend, n_jobs=2):
        for results in joblib.Parallel()(joblib.delayed(task)(*a) for a in arguments):
            same(results[: len(wanted)], wanted)


def _in_worker(A, B, X):
    pca = PCA(3, svd_solver="covariance_eigh").fit(X)
    return [matmul(A, B), covariance(X), pca.components_]


def test_joblib_limits_the_threads_of_its_workers():
    def limit():
        from mmlfast.runtime.threads import n_threads

        return n_threads()

    with joblib.parallel_config(backend="loky", n_jobs=2, inner_max_num_threads=1):
        assert joblib.Parallel()(joblib.delayed(limit)() for _ in range(2)) == [1, 1]


def _in_child(n_jobs, connection):
    try:
        if n_jobs > 1:
            # Passed only if the child's pool has a living thread beside the caller.
            both = threading.Barrier(2, timeout=60)
            threads.run_everywhere(lambda index: both.wait(), 2)
        connection.send(everything(n_jobs))
    except BaseException as error:
        connection.send(repr(error))
        raise


@pytest.mark.skipif(sys.platform != "linux", reason="fork is for Linux alone")
@pytest.mark.parametrize("n_jobs", [1, 2, 4])
def test_inside_of_a_forked_child(n_jobs, expected):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_in_child, args=(n_jobs, theirs))
    child.start()
    theirs.close()
    try:
        assert ours.poll(120), "the child hangs"
        results = ours.recv()
        child.join(timeout=60)
        assert child.exitcode == 0, results
    finally:
        child.kill()
        child.join()
        ours.close()
    same(results, expected)
    # The parent's pool is untouched.
    same(everything(2), expected)


@pytest.mark.skipif(sys.platform != "linux", reason="fork is for Linux alone")
def test_a_fork_while_the_pool_is_locked(expected):
    with threads._lock, threads.one_blas_thread._lock:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_in_child, args=(2, theirs))
        child.start()
        theirs.close()
    try:
        assert ours.poll(120), "the child hangs"
        same(ours.recv(), expected)
    finally:
        child.kill()
        child.join()
        ours.close()


@pytest.mark.skipif(sys.platform != "linux", reason="fork is for Linux alone")
def test_a_fork_while_other_threads_are_at_work(expected):
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            covariance(X, n_jobs=3)

    worker = threading.Thread(target=busy, daemon=True)
    worker.start()
    try:
        for _ in range(3):
            test_inside_of_a_forked_child(2, expected)
    finally:
        stop.set()
        worker.join(timeout=60)
    assert not worker.is_alive()


def test_nested_calls(expected):
    results = [None] * 4

    def task(i):
        results[i] = everything(4)

    threads.parallel_for(task, 4, 3)
    for result in results:
        same(result, expected)


