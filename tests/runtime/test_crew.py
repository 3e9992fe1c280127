"""A crew does every part of every section once, whoever of its helpers turns up."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from mmlfast.kernels import crew as kernels
from mmlfast.runtime import crew as crews
from mmlfast.runtime.crew import Crew
from mmlfast.runtime.threads import run_everywhere


class Tally:
    """Work that counts how often each part was done, and by whom; `what` is the section."""

    def __init__(self, n_parts, pause=0.0):
        self.counts = np.zeros(n_parts, int)
        self.seen, self.workers, self.pause = [], set(), pause

    def __call__(self, control, patience):
        while kernels.opened(control, patience):
            while (part := kernels.take(control)) >= 0:
                self.workers.add(threading.get_ident())
                self.seen.append(int(control[kernels.WHAT]))
                time.sleep(self.pause)
                self.counts[part] += 1
                kernels.finish(control)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("n_parts", [1, 3, 32])
def test_every_part_once_awake_or_not(threads, n_parts):
    work = Tally(n_parts)
    crew = Crew(work, threads)

    def body():
        for section in range(20):
            crew.section(section, n_parts)
            assert (work.counts == section + 1).all()
        return "done"

    assert crew.lead(body) == "done"
    work.counts[:] = 0
    assert body() == "done"
    assert sorted(work.seen) == sorted(2 * n_parts * list(range(20)))


def test_helpers_take_part():
    work = Tally(8, pause=0.002)
    crew = Crew(work, 2)

    def body():
        for _ in range(20):
            crew.section(0, 8)

    crew.lead(body)
    assert len(work.workers) == 2


def test_without_a_free_thread_the_leader_does_it_all():
    work = Tally(5)
    crew = Crew(work, 2)
    results = []

    def inside(_):
        results.append(crew.lead(lambda: crew.section(7, 5)))

    run_everywhere(lambda index: None if index else inside(index), 2)
    assert (work.counts == 1).all()
    # A task of the pool has no threads of its own to hand out.
    done = threading.Event()
    run_everywhere(lambda index: (inside(index), done.set()) if index else done.wait(10), 2)
    assert (work.counts == 2).all()


def test_an_error_in_the_body_lets_the_helpers_go():
    work = Tally(2)
    crew = Crew(work, 2)

    def body():
        crew.section(0, 2)
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        crew.lead(body)
    crew.lead(lambda: crew.section(0, 2))
    assert (work.counts == 2).all()


def test_helpers_that_rest_come_back(monkeypatch):
    monkeypatch.setattr(crews, "PATIENCE", 10)
    work = Tally(4, pause=0.001)
    crew = Crew(work, 2)

    def body():
        for _ in range(5):
            time.sleep(0.003)
            crew.section(0, 4)

    crew.lead(body)
    assert (work.counts == 5).all()


def test_many_leaders_at_once():
    tallies = [Tally(6) for _ in range(6)]

    def lead(work):
        crew = Crew(work, 2)
        crew.lead(lambda: [crew.section(0, 6) for _ in range(50)])

    leaders = [threading.Thread(target=lead, args=(work,)) for work in tallies]
    for leader in leaders:
        leader.start()
    for leader in leaders:
        leader.join()
    assert all((work.counts == 50).all() for work in tallies)
