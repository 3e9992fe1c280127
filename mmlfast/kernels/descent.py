"""Descent on a compiled function from many starts, each until it stops by itself.

    x ← x + s        s of an optimiser's rule,   −H⁻¹g,   or s(f, g, H) as one likes

g = ∇f and H = ∇²f are functions of their own, come with f, or are taken by central differences.
Functions arrive as compiled dispatchers, on which numba specialises these kernels; such code is
kept by no cache.  What is None is left out of the code when it is compiled.
"""

from __future__ import annotations

import math

import numpy as np

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels.differences import (
    central_gradient,
    central_hessian,
    copy_to,
    move,
    parts,
    take,
)
from mmlfast.kernels.optimizers import ADAGRAD, ADAM, GD, update

NEWTON, HYBRID, RULE = range(ADAM + 1, ADAM + 4)
RUNNING, CONVERGED, MAX_ITER, DIVERGED, STALLED, SINGULAR = range(-1, 5)
# A rule with momentum may stand still where it turns round, but not for so many steps.
MEMORYLESS = (GD, ADAGRAD, NEWTON, HYBRID, RULE)
PATIENCE = 100


@ordered_kernel
def _set_gradient(fun, jac, slope, x, y, args, counts, g):
    """g ← ∇f(x): `slope` if f gave one, else jac(x), else by differences."""
    if slope is not None:
        counts[2] += 1
        take(slope, g)
    elif jac is not None:
        counts[2] += 1
        copy_to(x, y)
        take(jac(y, *args), g)
    else:
        counts[1] += 2 * x.size
        central_gradient(fun, x, y, args, g)


@ordered_kernel
def _value_and_gradient(fun, jac, x, y, args, counts, g):
    """f(x) and what came with it, and g ← ∇f(x).  counts as in `descend`, y as for differences."""
    counts[1] += 1
    copy_to(x, y)
    value, slope = parts(fun(y, *args))
    _set_gradient(fun, jac, slope, x, y, args, counts, g)
    return value, slope


@ordered_kernel
def _difference_gradient(fun, jac, x, y, args, counts, H):
    """H ← the symmetric part of (∇f(x + h e_i) − ∇f(x − h e_i)) / 2h, by 2n gradients."""
    root = np.finfo(x.dtype).eps ** (1 / 3)
    above, below = np.empty_like(x), np.empty_like(x)
    for i in range(x.size):
        kept = x[i]
        h = move(x, i, root)
        _value_and_gradient(fun, jac, x, y, args, counts, above)
        x[i] = kept - h
        _value_and_gradient(fun, jac, x, y, args, counts, below)
        width = h + (kept - x[i])
        x[i] = kept
        for j in range(x.size):
            H[i, j] = (above[j] - below[j]) / width
    for i in range(x.size):
        for j in range(i):
            H[i, j] = H[j, i] = (H[i, j] + H[j, i]) / 2


@ordered_kernel
def _set_hessian(fun, jac, hess, slope, x, y, args, counts, H):
    """H ← ∇²f(x): hess(x), else by differences of the gradient if there is one, else of f."""
    if hess is not None:
        counts[3] += 1
        copy_to(x, y)
        given = hess(y, *args)
        if given.shape != H.shape:
            raise ValueError("A Hessian must always have as many rows and columns as x entries.")
        for i in range(x.size):
            for j in range(x.size):
                H[i, j] = given[i, j]
    elif slope is not None:  # noqa: SIM114 numba leaves out what one None decides
        _difference_gradient(fun, jac, x, y, args, counts, H)
    elif jac is not None:
        _difference_gradient(fun, jac, x, y, args, counts, H)
    else:
        counts[1] += 2 * x.size * x.size + 1
        central_hessian(fun, x, y, args, H)


@ordered_kernel
def solve_in_place(A, b):
    """b ← A⁻¹ b by elimination with partial pivoting; False if A is singular.  A is overwritten."""
    n = b.size
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(A[i, k]) > abs(A[pivot, k]):
                pivot = i
        # Not `== 0`: NaN counts as singular.  A small pivot may be a matter of units.
        if not abs(A[pivot, k]) > 0:
            return False
        for j in range(n):
            A[k, j], A[pivot, j] = A[pivot, j], A[k, j]
        b[k], b[pivot] = b[pivot], b[k]
        for i in range(k + 1, n):
            factor = A[i, k] / A[k, k]
            for j in range(k + 1, n):
                A[i, j] -= factor * A[k, j]
            b[i] -= factor * b[k]
    for k in range(n - 1, -1, -1):
        for j in range(k + 1, n):
            b[k] -= A[k, j] * b[j]
        b[k] /= A[k, k]
    return True


@ordered_kernel
def newton_step(how, g, H, step):
    """step ← −H⁻¹g, or for HYBRID −γg where that leads upwards or far; False if H is singular."""
    rule, (rate, _, _, _), (radius, _, _) = how
    for j in range(g.size):
        step[j] = -g[j]
    regular = solve_in_place(H, step)
    if rule == NEWTON:
        return regular
    downhill, square = 0.0, 0.0
    for j in range(g.size):
        downhill -= step[j] * g[j]
        square += step[j] * step[j]
    if not (regular and downhill > 0 and square <= radius * radius):
        for j in range(g.size):
            step[j] = -rate * g[j]
    return True


@ordered_kernel
def _all_finite(x):
    finite = True
    for j in range(x.size):
        finite = finite and math.isfinite(x[j])
    return finite


@ordered_kernel
def optimiser_step(how, t, g, x, m, v):
    """x, m, v ← step t of an optimiser's rule."""
    rule, (rate, beta_1, beta_2, epsilon), _ = how
    T = x.dtype.type
    if rule == ADAM:
        rate *= math.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    settings = (T(rate), T(beta_1), T(beta_2), T(epsilon), T(0), T(0))
    update(rule, x, g, m, v, (0, x.size), settings)


@ordered_kernel
def _second_order(how, step_rule, value, g, H, step, x):
    """x ← x + s by a rule that knows H; False if that is singular.  H and step are overwritten."""
    if step_rule is None:
        if not newton_step(how, g, H, step):
            return False
    else:
        take(step_rule(value, g, H), step)
    for j in range(g.size):
        x[j] += step[j]
    return True


@ordered_kernel
def descend(fun, jac, hess, step_rule, curved, args, how, state, part):
    """Visit points from each of `starts` until it stops, or as many as there is room for.

    fun(x, *args) gives a number, or (f, g); jac, hess and step_rule(f, g, H) are dispatchers or
    None; curved is not None where the rule needs H.  how = (rule, (γ, β₁, β₂, ε), (radius, tol,
    max_iter)).  state = (x, m, v, best, best_g, least, counts, status): arrays (s, n), least and
    status (s,), counts (s, 6), all overwritten: steps, calls of f, of its gradient and Hessian,
    points seen in this call, steps that did not move.  best is the point of least f, or where it
    converged.  part = (starts, visits, path, values): path (len(starts), visits or 0, n) and values
    (len(starts), visits or 0) take what was seen.
    """
    starts, visits, path, values = part
    rule, _, (_, tol, max_iter) = how
    x, m, v, best, best_g, least, counts, status = state
    n = x.shape[1]
    room = np.empty((n + 4, n), x.dtype)
    g, step, last, y, H = room[0], room[1], room[2], room[3], room[4:]
    patience = 1 if rule in MEMORYLESS else PATIENCE
    for row in range(starts.size):
        i = starts[row]
        seen = 0
        while status[i] == RUNNING and seen < visits:
            copy_to(x[i], last)
            value, slope = _value_and_gradient(fun, jac, last, y, args, counts[i], g)
            if path.shape[1] > 0:
                copy_to(last, path[row, seen])
                values[row, seen] = value
            seen += 1
            size = 0.0
            for j in range(n):
                size = math.hypot(size, g[j])
            finite = math.isfinite(value) and _all_finite(g)
            if not finite:
                status[i] = DIVERGED
            elif size <= tol:
                status[i] = CONVERGED
            if finite and (value < least[i] or status[i] == CONVERGED):
                least[i] = value
                copy_to(last, best[i])
                copy_to(g, best_g[i])
            if status[i] != RUNNING:
                break
            if counts[i, 0] >= max_iter:
                status[i] = MAX_ITER
                break
            if curved is None:
                optimiser_step(how, counts[i, 0] + 1, g, x[i], m[i], v[i])
            else:
                _set_hessian(fun, jac, hess, slope, last, y, args, counts[i], H)
                if not _second_order(how, step_rule, value, g, H, step, x[i]):
                    status[i] = SINGULAR
                    break
            if not _all_finite(x[i]):
                status[i] = DIVERGED
                break
            moved = False
            for j in range(n):
                moved = moved or x[i, j] != last[j]
            counts[i, 5] = 0 if moved else counts[i, 5] + 1
            if counts[i, 5] >= patience:
                status[i] = STALLED
                break
            counts[i, 0] += 1
        counts[i, 4] = seen
