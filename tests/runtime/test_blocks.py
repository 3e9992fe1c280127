"""Rows and columns are cut completely, without overlap, and Ctrl-C waits for the end of a block."""

from __future__ import annotations

import itertools
import signal
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast.runtime.blocks import in_multiples, rows_per_step, triangle_parts, uninterrupted


@given(st.floats(0, 1e18), st.integers(1, 64))
def test_a_step_has_rows(flops, threads):
    rows = rows_per_step(flops, threads)
    assert rows >= 1
    assert rows <= rows_per_step(flops, threads + 1)
    assert rows >= rows_per_step(flops * 2, threads)


@given(st.integers(1, 5000), st.integers(1, 64))
def test_parts_of_a_triangle_cover_it(n_vectors, parts):
    cut = triangle_parts(n_vectors, parts)
    assert cut[0][0] == 0
    assert cut[-1][1] == n_vectors
    assert all(first < last for first, last in cut)
    assert [last for _, last in cut[:-1]] == [first for first, _ in cut[1:]]
    assert len(cut) <= parts
    if n_vectors >= 16 * parts:
        areas = [last**2 - first**2 for first, last in cut]
        assert max(areas) < 2 * n_vectors**2 / parts


@given(st.lists(st.integers(0, 25), max_size=12), st.integers(1, 12))
def test_batches_become_multiples(lengths, rows):
    X = np.arange(2 * sum(lengths)).reshape(-1, 2)
    cuts = np.cumsum([0, *lengths])
    given_batches = [X[lo:hi] for lo, hi in itertools.pairwise(cuts)]
    batches = list(in_multiples(given_batches, rows))
    assert all(len(batch) % rows == 0 for batch in batches[:-1])
    assert all(len(batch) for batch in batches)
    np.testing.assert_array_equal(np.concatenate([X[:0], *batches]), X)


@given(st.lists(st.integers(1, 9), max_size=10), st.integers(1, 7))
def test_the_maker_of_batches_may_use_its_memory_again(lengths, rows):
    def batches():
        buffer = np.empty((9, 1), int)
        start = 0
        for length in lengths:
            buffer[:length, 0] = np.arange(start, start + length)
            start += length
            yield buffer[:length]
            buffer[:] = -1

    seen = [row for batch in in_multiples(batches(), rows) for row in batch[:, 0].tolist()]
    assert seen == list(range(sum(lengths)))


def test_an_interrupt_waits_for_the_end_of_the_block(default_interrupt):
    steps = []
    with pytest.raises(KeyboardInterrupt):
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            with uninterrupted():
                steps.append("inner")
            steps.append("whole")
        steps.append("after")
    assert steps == ["inner", "whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_error_of_the_block_does_not_hide_the_interrupt(default_interrupt):
    with pytest.raises(KeyboardInterrupt) as caught:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("from the block")
    assert isinstance(caught.value.__context__, ValueError)


def test_without_an_interrupt_nothing_happens(default_interrupt):
    with uninterrupted():
        pass
    with pytest.raises(ValueError, match="from the block"), uninterrupted():
        raise ValueError("from the block")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_programs_own_is_left_alone(default_interrupt):
    caught = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append(number))
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        assert caught == [signal.SIGINT]


def test_other_threads_may_use_it():
    done = []

    def run():
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]
