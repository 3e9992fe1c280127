"""How the fixed point of PageRank is reached: power, Gauss–Seidel, Anderson, conjugate gradients.

Each method takes a state to one whose residual ‖M x − x‖₁ it believes to be at most `goal`; the
driver then certifies by a sweep of its own, which is a power step as well, and asks for more if
that was not so.

- Gauss–Seidel with the mass corrected after each sweep.
- Anderson acceleration (Walker and Ni, SIAM J. Numer. Anal. 49(4), 2011) of Gauss–Seidel.
- Conjugate gradients, for undirected graphs: (Id − αWD⁻¹)x = b is self-adjoint and positive
  definite in ⟨a, c⟩ = Σ aᵢcᵢ/(out-weight of i).

Sweeps until the bound on the error is 1e-8, at damping 0.85 and 0.99: RMAT of 131 k nodes, 100 k
nodes in blocks of 100 with 1 % of the edges between blocks, and three real graphs.

    graph                 power       Gauss–Seidel   Anderson    conj. gradients
    RMAT                  12    15       10    12     10    12
    RMAT, undirected      33    83       46   747     19   103        23    32
    blocks                85  1175       48   621     21    85
    blocks, undirected    55   698       44   454     18    83        17    42
    sample:imports        23    33       16    20     13    15
    karate club           55   143       35    83     13    15        19    23
    Les Misérables        64   218       36   100     16    25        24    32

Gauss–Seidel alone may be far slower than power where the graph mixes fast.  On undirected graphs of
1 M nodes conjugate gradients take as many sweeps as Anderson and half to all of its time, for
combining six images costs more than a sweep there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.linalg

from mmlfast.api.pagerank_walk import State, Vector, Walk

Method = Callable[[Walk, State, float, list[float], int], State]

# Steps that are combined besides the latest; eight need a tenth fewer sweeps on some graphs, for
# half as much memory again.  Beginning anew whenever the residual grows, not only when it doubles,
# takes 229 sweeps instead of 127 on blocks of nodes at damping 0.99.
WINDOW = 5
GROWTH = 2.0
# The bound that Gauss–Seidel has for free lies 4 to 6 times above the residual (RMAT, random and
# web-like graphs): it knows no cancellation, and counts terms that are up to date.
SLACK = 4.0
# Combining costs about as much as a sweep of 16 edges a node.
QUICK = 0.25


class Solution(NamedTuple):
    """Scores with Σ = 1, the residuals of all sweeps, and the bound on the error."""

    x: Vector
    residuals: list[float]
    error_bound: float
    converged: bool


def solve(walk: Walk, method: Method | None, x: Vector, tol: float, max_iter: int) -> Solution:
    """x* to ‖x − x*‖₁ ≤ tol in at most max_iter sweeps, from x; `method` None is power iteration.

    x must have Σ = 1 and is overwritten.
    """
    residuals: list[float] = []
    x = walk.layout.by_position(x)
    state, spare = walk.state(x), None
    rounding = walk.rounding(x)
    goal, last = _goal(walk, tol, rounding), np.inf
    while True:
        if method is not None and len(residuals) < max_iter - 1:
            state = method(walk, state, goal, residuals, max_iter - 1)
        before = (state.x, state.y[: walk.n])
        state, residual = walk.image(state, spare)
        spare = before
        residuals.append(residual)
        if residual <= goal:
            rounding = walk.rounding(state.x / state.x.sum())
        certified = walk.bound(residual, rounding) <= tol
        # Residuals shrink with every power step until nothing but rounding is left of them.
        lost = residual <= rounding or last <= residual <= 100.0 * rounding
        if certified or lost or len(residuals) >= max_iter:
            break
        goal, last = min(_goal(walk, tol, rounding), residual / 2.0), residual
    x = state.x / state.x.sum()
    bound = walk.bound(residual, walk.rounding(x))
    return Solution(walk.layout.by_node(x), residuals, bound, bound <= tol)


def _goal(walk: Walk, tol: float, rounding: float) -> float:
    """The residual that certifies tol, but not one that is lost in rounding."""
    if walk.alpha == 0.0:
        return np.inf
    return max(((1.0 - walk.alpha) * tol - 2.0 * rounding) / walk.alpha, rounding)


def _stalled(residuals: list[float]) -> bool:
    """Whether ten sweeps have won nothing: then the driver looks at what is left."""
    return len(residuals) > 10 and residuals[-1] >= residuals[-11]


def gauss_seidel(
    walk: Walk,
    state: State,
    goal: float,
    residuals: list[float],
    limit: int,
    slowest: float = np.inf,
) -> State:
    """Sweeps that use new values as soon as they are there, while they shrink by `slowest`."""
    state, last = state._replace(y=walk.copies(state.y)), np.inf
    while len(residuals) < limit:
        state, residual = walk.gauss_seidel(state, state.x)
        residuals.append(residual)
        if residual <= SLACK * goal or residual > slowest * last or _stalled(residuals):
            break
        last = residual
    return state


def anderson(walk: Walk, state: State, goal: float, residuals: list[float], limit: int) -> State:
    """Gauss–Seidel sweeps, their images combined so that the combined change is smallest.

    Combining begins when sweeps alone no longer shrink the residual to QUICK of it.  Where it
    fails, and the residual grows, the combination begins anew from the last image.
    """
    from mmlfast.kernels.pagerank import inner_products, mix

    state = gauss_seidel(walk, state, goal, residuals, limit, slowest=QUICK)
    if residuals[-1] <= SLACK * goal or len(residuals) >= limit:
        return state
    x, y, mass, kept_mass = state.x, walk.copies(state.y), state.mass, state.kept
    images, steps = np.empty((WINDOW + 1, walk.n)), np.empty((WINDOW + 1, walk.n))
    units, products = np.empty(WINDOW + 1), np.empty((WINDOW + 1, WINDOW + 1))
    kept, slot, last = 0, 0, np.inf
    while len(residuals) < limit:
        image, residual = walk.gauss_seidel(State(x, y, mass, kept_mass), images[slot])
        residuals.append(residual)
        if residual <= SLACK * goal or _stalled(residuals) or len(residuals) == limit:
            x[:] = image.x
            return walk.state(x)
        if residual > GROWTH * last:
            images[0] = images[slot]
            kept, slot = 0, 0
        units[slot] = 1.0 / walk.inverse_unit(image.mass, image.kept)
        kept, last = min(kept + 1, WINDOW + 1), residual
        scales = (units[slot], 1.0 / walk.inverse_unit(mass, kept_mass))
        task = partial(inner_products, images[slot], x, scales, steps[:kept], slot)
        products[slot, :kept] = products[:kept, slot] = walk.over_parts(task, kept)
        theta = _smallest_combination(products[:kept, :kept], slot) * units[:kept]
        task = partial(mix, images[:kept], theta, *walk.arrays[3:], x, y)
        mass, kept_mass = walk.over_parts(task, 2)
        slot = (slot + 1) % (WINDOW + 1)
    return state


def _smallest_combination(H: Vector, latest: int) -> Vector:
    """θ with Σθ = 1 for which θᵀHθ is smallest, H the inner products of the steps.

    In differences from the latest step, scaled to length 1: those may be nearly dependent.
    """
    others = [k for k in range(len(H)) if k != latest]
    theta = np.zeros(len(H))
    theta[latest] = 1.0
    if not others:
        return theta
    cross = H[others, latest]
    D = H[np.ix_(others, others)] - cross - cross[:, None] + H[latest, latest]
    lengths = np.sqrt(np.maximum(np.diagonal(D), np.finfo(np.float64).tiny))
    right = (H[latest, latest] - cross) / lengths
    gamma = scipy.linalg.lstsq(D / np.outer(lengths, lengths), right, cond=1e-12)[0] / lengths
    theta[others] = gamma
    theta[latest] = 1.0 - gamma.sum()
    return theta


def conjugate_gradients(
    walk: Walk, state: State, goal: float, residuals: list[float], limit: int
) -> State:
    """(Id − αWD⁻¹) x = α s d + (1 − α) v for an undirected graph.

    s is the rank of the nodes without edges; nothing leads to those, so it is known beforehand.
    """
    from mmlfast.kernels.pagerank import apply_symmetric, descend, turn

    inverse = walk.arrays[3]
    alone = inverse == 0.0
    b = _right_side(walk, alone)
    x = np.where(alone, b, state.x / walk.inverse_unit(state.mass, state.kept))
    p, y, q = x.copy(), x * inverse, np.zeros(walk.n)
    apply = partial(apply_symmetric, walk.arrays, walk.alpha, p, y, q)
    walk.over_parts(apply, 1)
    r = b - q
    r[alone] = 0.0
    residuals.append(float(np.abs(r).sum()))
    square = float((r * inverse * r).sum())
    beta = 0.0
    while len(residuals) < limit and residuals[-1] > goal and not _stalled(residuals):
        walk.over_parts(partial(turn, inverse, beta, r, p, y), 0)
        (curvature,) = walk.over_parts(apply, 1)
        if not curvature > 0.0:
            break
        task = partial(descend, inverse, square / curvature, p, q, x, r)
        (new_square, residual) = walk.over_parts(task, 2)
        residuals.append(float(residual))
        beta, square = new_square / square, new_square
    return walk.state(np.maximum(x, 0.0, out=x))


def _right_side(walk: Walk, alone: Vector) -> Vector:
    v = np.broadcast_to(walk.restart.array, walk.n)
    d = v if walk.dangling is None else np.broadcast_to(walk.dangling.array, walk.n)
    s = (1.0 - walk.alpha) * v[alone].sum() / (1.0 - walk.alpha * d[alone].sum())
    return np.asarray(walk.alpha * s * d + (1.0 - walk.alpha) * v)


METHODS: dict[str, Method | None] = {
    "power": None,
    "gauss_seidel": gauss_seidel,
    "anderson": anderson,
    "cg": conjugate_gradients,
}
