"""Eight PageRanks with restarts of their own, swept together.

    X[:, l] ← α (Pᵀ X[:, l] + m_l d_l) + (1 − α) v_l          for each lane l

The mass of each lane is corrected as `Walk` does it.  When a lane has converged, or cannot, the
next seed takes its place.  Small graphs are swept node after node; on large ones, where a few steps
from a seed reach everything, Gauss–Seidel in blocks takes as many sweeps as power iteration, or
more: 10 to 17 on an RMAT graph of 1 M nodes, where that takes 13.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.pagerank_walk import EPS, Task, Vector, Walk
from mmlfast.runtime.validate import aligned

# Some nodes, and their share of the restarts.
Restart = tuple[NDArray[np.intp], Vector]
Place = Callable[[int], Vector]
Done = Callable[[int, Vector, float, int], None]

_NOTHING = np.zeros(1)


class Goal(NamedTuple):
    """When a seed has ended: error ‖x − x*‖₁ ≤ tol, or so many sweeps."""

    tol: float
    max_iter: int


class Supply:
    """Seeds in their order, each handed out once, to any thread."""

    def __init__(self, restarts: Callable[[int], Restart], n_seeds: int) -> None:
        self.restarts, self._left = restarts, iter(range(n_seeds))

    def next(self) -> tuple[int, Restart] | None:
        """The next seed and its distribution; None when all are out."""
        # next() of an iterator over a range is one step under the GIL.
        seed = next(self._left, None)
        return None if seed is None else (seed, self.restarts(seed))


class Lanes:
    """Columns that are swept together, each with a seed of its own or, at the end, empty."""

    def __init__(self, walk: Walk, wanted: int, goal: Goal) -> None:
        from mmlfast.kernels.pagerank import LANES

        self.walk, self.goal = walk, goal
        shape = (walk.n, LANES)
        self.X, self.V, self.Y = (aligned(shape, np.float64, zero=True) for _ in range(3))
        self.new_Y = self.Y if walk.is_serial else aligned(shape, np.float64, zero=True)
        self.mass, self.kept = np.zeros(LANES), np.zeros(LANES)
        self.restart_share, self.entering = np.zeros(LANES), np.zeros(LANES)
        self.seeds = np.full(LANES, -1)
        self.n_iter, self.last = np.zeros(LANES, np.intp), np.zeros(LANES)
        self.places: list[NDArray[np.integer]] = [np.empty(0, np.intp)] * LANES
        self.wanted = min(wanted, LANES)

    def run(self, supply: Supply, place: Place, done: Done) -> None:
        """Sweep until the supply is empty and all lanes are done; place(seed) is for its scores."""
        for lane in range(self.wanted):
            self._fill(lane, supply.next())
        while (self.seeds >= 0).any():
            residuals = self._sweep().tolist()
            ending = [lane for lane in self._busy() if self._may_end(lane, residuals[lane])]
            if ending:
                outside = self._complete()
            for lane in self._busy():
                if lane in ending:
                    seed, x = int(self.seeds[lane]), place(int(self.seeds[lane]))
                    bound, ended = self._result(lane, residuals[lane], outside[lane], x)
                    if ended:
                        done(seed, x, bound, int(self.n_iter[lane]))
                        self._fill(lane, supply.next())
                        continue
                self.last[lane] = residuals[lane]

    def _busy(self) -> list[int]:
        busy: list[int] = np.flatnonzero(self.seeds >= 0).tolist()
        return busy

    def _fill(self, lane: int, seed: tuple[int, Restart] | None) -> None:
        from mmlfast.kernels.pagerank import clear_lane

        if seed is None:
            self.seeds[lane] = -1  # what is in the lane is swept on, and not looked at
            return
        walk, (number, (nodes, v)) = self.walk, seed
        if self.seeds[lane] >= 0:
            walk.over(partial(clear_lane, self.X, self.Y, lane), 0, walk.everything)
            self.V[self.places[lane], lane] = 0.0
        self.seeds[lane], self.n_iter[lane], self.last[lane] = number, 0, np.inf
        self.places[lane] = places = walk.layout.positions(nodes)
        inverse, share = (array[places] for array in walk.arrays[3:])
        self.X[places, lane] = self.V[places, lane] = v
        self.Y[places, lane] = v * inverse
        self.mass[lane] = self.restart_share[lane] = v[places < walk.n_linked].sum()
        self.kept[lane] = (share * v).sum()
        leaks = self.mass[lane] if walk.dangling is None else walk.dangling_share
        self.entering[lane] = walk.alpha * leaks + (1.0 - walk.alpha) * self.mass[lane]

    def _flows(self) -> tuple[Vector, Vector, Vector]:
        """1/u, and what leaks and what restarts: as `Walk.flows`, for each lane."""
        alpha, mass = self.walk.alpha, self.mass
        leaks = self.restart_share if self.walk.dangling is None else self.walk.dangling_share
        balance = mass - alpha * self.kept + alpha * mass * leaks
        whole = np.ones_like(mass)
        np.divide(balance, self.entering, out=whole, where=(self.entering > 0) & (mass > 0))
        return whole, alpha * np.maximum(whole - mass, 0.0), (1.0 - alpha) * whole

    def _task(self, leak: Vector, jump: Vector) -> Task:
        from mmlfast.kernels.pagerank import sweep_lanes

        walk = self.walk
        if walk.dangling is None:
            restart, dangling = (self.V, jump + leak), (_NOTHING, 0, np.zeros_like(leak))
        else:
            restart, dangling = (self.V, jump), (*walk.dangling, leak)
        given = (walk.arrays, walk.alpha, restart, dangling)
        return partial(sweep_lanes, *given, self.X, self.Y, self.new_Y)

    def _sweep(self) -> Vector:
        """One sweep of all lanes; a bound on the residual of each."""
        walk = self.walk
        _, leak, jump = self._flows()
        sums = walk.over_parts(self._task(leak, jump), 3 * len(leak)).reshape(3, -1)
        self.Y, self.new_Y = self.new_Y, self.Y
        self.mass, self.kept, change = sums
        self.n_iter += 1
        whole, new_leak, new_jump = self._flows()
        if walk.dangling is None:
            moved = np.abs(new_leak + new_jump - leak - jump) * self.restart_share
        else:
            moved = np.abs(new_leak - leak) * walk.dangling_share
            moved += np.abs(new_jump - jump) * self.restart_share
        return (walk.alpha * change + moved) / whole

    def _may_end(self, lane: int, residual: float) -> bool:
        small = residual <= self.goal.tol * (1.0 - self.walk.alpha)
        spent = self.n_iter[lane] >= self.goal.max_iter
        return bool(small or spent or residual >= self.last[lane])

    def _complete(self) -> Vector:
        """x on the dangling nodes, from x on the others; its sums."""
        _, leak, jump = self._flows()
        lanes = len(leak)
        return self.walk.over(self._task(leak, jump), 3 * lanes, self.walk.rest)[:lanes]

    def _result(self, lane: int, residual: float, outside: float, x: Vector) -> tuple[float, bool]:
        """Write the scores to x; a bound on their error, and whether this lane has ended."""
        from mmlfast.kernels.pagerank import take_lane

        walk = self.walk
        unit = 1.0 / (self.mass[lane] + outside)
        task = partial(take_lane, self.X, lane, walk.layout.nodes, unit, walk.depths, x)
        rounding = EPS * float(walk.over(task, 1, walk.everything)[0])
        bound = (residual + 2.0 * rounding) / (1.0 - walk.alpha)
        grown = residual >= self.last[lane]
        lost = residual <= rounding or (grown and residual <= 100.0 * rounding)
        spent = self.n_iter[lane] >= self.goal.max_iter
        return bound, bool(spent or lost or bound <= self.goal.tol)
