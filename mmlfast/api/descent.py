"""Descent from many starts: on compiled functions by a kernel, on Python functions by a loop.

    visit x: f, ∇f → note them → stop?  else x ← x + s

Both take their steps by the same kernels and stop by the same rules, so that their paths agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.compiled_functions import is_compiled
from mmlfast.api.differences import hessian_of_gradients, hessian_of_values
from mmlfast.runtime.threads import n_threads, parallel_for

Array = NDArray[Any]

# Points a compiled run sees before Python may look at Ctrl-C, and which the path grows by.
FIRST_VISITS, MOST_VISITS = 256, 1 << 14
# A start is some 10 … 1000 µs of work: as many of them make a task for one thread.
TASK_STARTS = 16
# How much of the paths may lie in buffers at a time.
BUFFER_BYTES = 1 << 26


class How(NamedTuple):
    """The rule and its numbers, as the kernel takes them: settings are γ, β₁, β₂, ε."""

    rule: int
    settings: tuple[float, float, float, float]
    limits: tuple[float, float, int]  # radius, tol, max_iter


@dataclass
class Problem:
    """What is minimised: jac is a function, None for differences, or True where fun gives both."""

    fun: Callable[..., Any]
    jac: Any
    hess: Any
    step_rule: Any
    args: tuple[Any, ...]
    curved: bool  # whether steps need a Hessian

    def is_compiled(self) -> bool:
        """Whether every function is, so that the loop can be."""
        own = [self.fun, self.hess, self.step_rule, None if self.jac is True else self.jac]
        return all(is_compiled(function) for function in own if function is not None)


class State:
    """Where each start is, what it has seen, and why it stopped; the kernel's arrays."""

    def __init__(self, starts: Array, history: bool) -> None:
        count = len(starts)
        self.x = starts.copy()
        self.m, self.v = np.zeros_like(starts), np.zeros_like(starts)
        self.best, self.best_g = starts.copy(), np.full_like(starts, np.nan)
        self.least = np.full(count, np.inf)
        self.counts = np.zeros((count, 6), np.int64)
        self.status = np.full(count, -1)
        self.seen: list[list[Array]] | None = [[] for _ in range(count)] if history else None
        self.values: list[list[Any]] = [[] for _ in range(count)]

    def arrays(self) -> tuple[Array, ...]:
        """As the kernel takes them."""
        return (
            self.x, self.m, self.v, self.best, self.best_g, self.least, self.counts, self.status
        )  # fmt: skip


def run_compiled(problem: Problem, how: How, state: State, n_jobs: int | None) -> None:
    """All starts, spread over threads; each is a calculation of its own."""
    from mmlfast.kernels.descent import RUNNING, descend

    jac = None if problem.jac is True else problem.jac
    curved = 0 if problem.curved else None
    arrays, threads = state.arrays(), n_threads(n_jobs)
    n, keep = state.x.shape[1], state.seen is not None
    visits = FIRST_VISITS
    while (running := np.flatnonzero(state.status == RUNNING)).size:
        most = max(TASK_STARTS, BUFFER_BYTES // (visits * (n + 1) * 8)) if keep else running.size
        for first in range(0, running.size, most):
            starts = running[first : first + most]
            path = np.empty((starts.size, visits if keep else 0, n), state.x.dtype)
            values = np.empty(path.shape[:2])

            whole = (starts, visits, path, values)

            def run(task: int, whole: tuple[Any, ...] = whole) -> None:
                part = slice(task * TASK_STARTS, (task + 1) * TASK_STARTS)
                room = (whole[0][part], whole[1], whole[2][part], whole[3][part])
                descend(
                    problem.fun, jac, problem.hess, problem.step_rule, curved, problem.args, how,
                    arrays, room,
                )  # fmt: skip

            parallel_for(run, -(-starts.size // TASK_STARTS), threads)
            if state.seen is not None:
                for row, i in enumerate(starts):
                    seen = state.counts[i, 4]
                    state.seen[i].append(path[row, :seen].copy())
                    state.values[i].append(values[row, :seen].copy())
        visits = min(2 * visits, MOST_VISITS)


class Interpreted:
    """The kernel's loop in Python, for functions that are not compiled."""

    def __init__(self, problem: Problem, how: How, rule_of_jac: Callable[..., Array]) -> None:
        self._problem, self._how, self._rule_of_jac = problem, how, rule_of_jac

    def run(self, state: State) -> None:
        """All starts, one after another."""
        for i in range(len(state.x)):
            # Overflow shows in the status; the function's own warnings would tell the same again.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                self._descend(state, i)

    def _descend(self, state: State, i: int) -> None:
        from mmlfast.kernels import descent as kernel

        (_, tol, max_iter), rule = self._how.limits, self._how.rule
        patience = 1 if rule in kernel.MEMORYLESS else kernel.PATIENCE
        x, counts = state.x[i], state.counts[i]
        while True:
            last = x.copy()
            value, g = self._value_and_gradient(last, counts)
            if state.seen is not None:
                state.seen[i].append(last[None])
                state.values[i].append([value])
            finite = math.isfinite(value) and bool(np.isfinite(g).all())
            converged = finite and math.hypot(*map(float, g)) <= tol
            if finite and (value < state.least[i] or converged):
                state.least[i], state.best[i], state.best_g[i] = value, last, g
            if not finite:
                state.status[i] = kernel.DIVERGED
            elif converged:
                state.status[i] = kernel.CONVERGED
            elif counts[0] >= max_iter:
                state.status[i] = kernel.MAX_ITER
            elif not self._step(state, i, last, value, g):
                state.status[i] = kernel.SINGULAR
            elif not np.isfinite(x).all():
                state.status[i] = kernel.DIVERGED
            else:
                counts[5] = 0 if (x != last).any() else counts[5] + 1
                if counts[5] < patience:
                    counts[0] += 1
                    continue
                state.status[i] = kernel.STALLED
            return

    def _step(self, state: State, i: int, last: Array, value: float, g: Array) -> bool:
        """Move on from `last`; False if the Hessian is singular."""
        from mmlfast.kernels.descent import newton_step, optimiser_step

        x, counts = state.x[i], state.counts[i]
        if not self._problem.curved:
            optimiser_step(self._how, counts[0] + 1, g, x, state.m[i], state.v[i])
            return True
        H = self._hessian(last, counts)
        if self._problem.step_rule is None:
            step = np.empty_like(x)
            if not newton_step(self._how, g, H, step):
                return False
        else:
            step = checked(self._problem.step_rule(value, g, H), x.shape, "step_rule(f, J, H)")
        x += step
        return True

    def _value_and_gradient(self, x: Array, counts: Array) -> tuple[float, Array]:
        problem = self._problem
        counts[1] += 1
        counts[2] += problem.jac is not None
        try:
            if problem.jac is True:
                value, g = problem.fun(x.copy(), *problem.args)
            else:
                value, g = problem.fun(x.copy(), *problem.args), self._gradient(x, counts)
        except OverflowError:  # of the module math, where numpy says inf
            return math.inf, np.full_like(x, np.nan)
        return float(value), checked(g, x.shape, "The gradient").astype(x.dtype)

    def _gradient(self, x: Array, counts: Array) -> Any:
        problem = self._problem
        if problem.jac is not None:
            return problem.jac(x.copy(), *problem.args)
        return self._rule_of_jac(self._counted(counts, 1), x)

    def _hessian(self, x: Array, counts: Array) -> Array:
        problem = self._problem
        if problem.hess is not None:
            counts[3] += 1
            H = problem.hess(x.copy(), *problem.args)
        elif problem.jac is None:
            H = hessian_of_values(self._counted(counts, 1), x)
        else:
            H = hessian_of_gradients(lambda y: self._value_and_gradient(y, counts)[1], x)
        return checked(H, (x.size, x.size), "The Hessian").astype(x.dtype)

    def _counted(self, counts: Array, which: int) -> Callable[[Array], Any]:
        def fun(x: Array) -> Any:
            counts[which] += 1
            return self._problem.fun(x, *self._problem.args)

        return fun


def checked(result: Any, shape: tuple[int, ...], what: str) -> Array:
    """`result` as an array of real numbers of this shape."""
    array = np.asarray(result)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} must hold real numbers; got dtype {array.dtype}.")
    if array.shape != shape:
        raise ValueError(f"{what} must have shape {shape}; got {array.shape}.")
    return array
