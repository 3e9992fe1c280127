"""Tickets: each is handed out once, however many threads ask."""

from __future__ import annotations

import threading

import numpy as np

from mmlfast.kernels import crew as kernels
from mmlfast.kernels._jit import kernel


@kernel
def take_all(control, owner, me):
    """owner[part] += me for each part taken."""
    part = kernels.take(control)
    while part >= 0:
        owner[part] += me
        kernels.finish(control)
        part = kernels.take(control)


@kernel
def now():
    return kernels.ticks()


def test_nothing_is_open_at_first():
    control = np.zeros(kernels.CONTROL, np.int64)
    assert kernels.take(control) < 0
    assert not kernels.opened(control, 3)


def test_a_section_is_taken_once_and_then_closed():
    control = np.zeros(kernels.CONTROL, np.int64)
    kernels.open_section(control, 5, 3)
    assert control[kernels.WHAT] == 5
    assert kernels.opened(control, 1)
    assert [kernels.take(control) for _ in range(5)] == [2, 1, 0, -1, -1]
    assert not kernels.opened(control, 3)
    for _ in range(3):
        assert not kernels.all_done(control, 3, 2)
        kernels.finish(control)
    assert kernels.all_done(control, 3, 1)


def test_a_stopped_crew_waits_no_longer():
    control = np.zeros(kernels.CONTROL, np.int64)
    control[kernels.STOP] = 1
    assert not kernels.opened(control, 1 << 60)


def test_a_leader_that_waits_too_long_is_left_alone():
    control = np.zeros(kernels.CONTROL, np.int64)
    kernels.open_section(control, 0, 2)
    assert [kernels.take(control), kernels.take(control)] == [1, 0]
    kernels.finish(control)
    waiting = threading.Thread(target=kernels.wait_for_all, args=(control, 2, 1, 0))
    waiting.start()
    while control[kernels.ALONE] == 0 and now() > 0:
        assert waiting.is_alive()
    # Without a clock nobody is told to rest, and this would look for ever.
    assert now() == 0 or not kernels.opened(control, 1 << 60)
    kernels.finish(control)
    waiting.join()


def test_threads_share_the_parts_out():
    control, owner = np.zeros(kernels.CONTROL, np.int64), np.zeros(20_000, np.int64)
    take_all(control, owner, 0)
    kernels.open_section(control, 0, len(owner))
    threads = [threading.Thread(target=take_all, args=(control, owner, 1 << i)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kernels.all_done(control, len(owner), 1)
    assert np.isin(owner, [1, 2, 4, 8]).all()
