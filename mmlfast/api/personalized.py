"""Many personalised PageRanks on one graph, eight in a sweep."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.distributions import distribution, uniform, weights_of
from mmlfast.api.graph import Graph, Orientation, as_graph
from mmlfast.api.pagerank import Weights, _checked, largest
from mmlfast.api.pagerank_lanes import Goal, Lanes, Restart, Supply
from mmlfast.api.pagerank_walk import Vector, Walk
from mmlfast.runtime.threads import n_threads, run_everywhere


@dataclass(frozen=True, eq=False, repr=False)
class PersonalizedPageRank:
    """The scores of all nodes as seen from each seed, or the highest of them.

    Attributes
    ----------
    scores : ndarray of shape (n_seeds, n_nodes) or (n_seeds, top), float64
        Each row is a PageRank with Σ = 1, or its highest scores, falling.
    indices : ndarray of shape (n_seeds, top) or None
        The nodes of these scores; None where `scores` has all nodes in order.
    labels : list, ndarray or None
        Names of the nodes; None where they are 0 … n_nodes − 1.
    error_bound : ndarray of shape (n_seeds,)
        ‖scores − exact scores‖₁ of each seed, over all nodes, is at most this.
    converged : ndarray of shape (n_seeds,), bool
        Whether error_bound ≤ tol.
    n_iter : ndarray of shape (n_seeds,), int
        Sweeps over all edges.
    damping : float
        As given.
    """

    scores: NDArray[np.float64]
    indices: NDArray[np.intp] | None
    labels: Any
    error_bound: NDArray[np.float64]
    converged: NDArray[np.bool_]
    n_iter: NDArray[np.intp]
    damping: float

    def top(self, k: int = 10) -> list[list[tuple[Any, float]]]:
        """For each seed the k nodes of highest score as (label, score), falling."""
        rows = []
        for seed, scores in enumerate(self.scores):
            order = largest(scores, k)
            nodes = order if self.indices is None else self.indices[seed, order]
            labels = nodes.tolist() if self.labels is None else [self.labels[i] for i in nodes]
            names = [label.item() if isinstance(label, np.generic) else label for label in labels]
            rows.append(list(zip(names, scores[order].tolist(), strict=True)))
        return rows

    def __repr__(self) -> str:
        n, converged = len(self.scores), int(np.count_nonzero(self.converged))
        return (
            f"<PersonalizedPageRank of {n:,} seeds, damping {self.damping:g}: {converged:,} "
            f"converged, error ≤ {self.error_bound.max(initial=0.0):.1e}>"
        )


def personalized_pagerank(
    A: Any,
    seeds: Any,
    *,
    damping: float = 0.85,
    dangling: Weights | None = None,
    tol: float = 1e-10,
    max_iter: int = 1000,
    top: int | None = None,
    orientation: Orientation = "row",
    n_jobs: int | None = None,
) -> PersonalizedPageRank:
    """x_s = α (Pᵀx_s + m_s d_s) + (1 − α) v_s for each seed s: PageRank as seen from there.

    Eight seeds go through the edges together, for the price of two; when one has converged the next
    takes its place.  The scores of a seed do not depend on its companions.

    Parameters
    ----------
    A : Graph, matrix, tuple, table, path or networkx graph
        As for `pagerank`.
    seeds : sequence, or sparse or dense matrix of shape (n_seeds, n_nodes)
        Where walks restart.  Each entry of a sequence is a node, a mapping {node: weight}, or a
        list of nodes that share equally; each row of a matrix holds the weights of all nodes.
    damping : float, default=0.85
        α, at least 0 and below 1.
    dangling : array-like of n weights, mapping or sequence of nodes, default=None
        Where walks go from nodes without out-edges; to the seed's own v_s by default.
    tol : float, default=1e-10
        Bound on the true error ‖x − x*‖₁ of each seed.
    max_iter : int, default=1000
        Most sweeps for each seed.
    top : int, default=None
        Keep only so many nodes of highest score for each seed; memory is then that of 32 vectors
        of n_nodes, however many seeds there are.
    orientation : {"row", "column"}, default="row"
        Of a matrix, as for `pagerank`.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    PersonalizedPageRank
        `scores`, `indices` if `top` was given, `labels`, `error_bound`, `converged`, `n_iter`.

    Raises
    ------
    ValueError
        An argument is out of range, a seed is no node, or a seed has no weight above 0.

    Warns
    -----
    ConvergenceWarning
        Some seeds did not reach tol; `converged` says which.

    See Also
    --------
    pagerank : One PageRank, by the method that suits the graph.

    Notes
    -----
    Gauss–Seidel as in `pagerank`.  After a sweep that changed x by Δ, the residual is at most
    (α‖Δ‖₁ + (1 − α)|ΣΔ|)/Σx, which divided by 1 − α bounds the error.

    Examples
    --------
    >>> from mmlfast import personalized_pagerank
    >>> edges = (["a", "a", "b", "c", "d"], ["b", "c", "a", "d", "c"])
    >>> seen = personalized_pagerank(edges, ["a", "d", {"b": 1, "c": 3}], top=2)
    >>> [[node for node, score in row] for row in seen.top(2)]
    [['c', 'd'], ['d', 'c'], ['c', 'd']]
    """
    damping, tol, max_iter, _ = _checked(damping, tol, max_iter)
    graph = as_graph(A, orientation, n_jobs)
    n = graph.n_nodes
    if top is not None and (
        isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1
    ):
        raise ValueError(f"top must be a positive integer, or None for all nodes; got {top!r}.")
    restarts, n_seeds = _restarts(seeds, graph)
    width = n if top is None else min(int(top), n)
    scores = np.empty((n_seeds, width))
    indices = None if top is None else np.empty((n_seeds, width), np.intp)
    bounds, sweeps = np.zeros(n_seeds), np.zeros(n_seeds, np.intp)

    def place(seed: int) -> Vector:
        return scores[seed] if indices is None else np.empty(n)

    def done(seed: int, x: Vector, bound: float, n_iter: int) -> None:
        bounds[seed], sweeps[seed] = bound, n_iter
        if indices is not None:
            indices[seed] = order = largest(x, width)
            scores[seed] = x[order]

    if n_seeds and n:
        threads = n_threads(n_jobs)
        leak = None if dangling is None else distribution(dangling, graph, "dangling")
        walk = Walk(graph, damping, uniform(n), leak, threads)
        supply = Supply(restarts, n_seeds)
        # On a small graph each thread has seeds of its own; on a large one all work on the same
        # eight, whose vectors then share the cache.
        workers = min(threads, n_seeds) if walk.is_serial else 1
        lanes, goal = -(-n_seeds // workers), Goal(tol, max_iter)
        run_everywhere(lambda _: Lanes(walk, lanes, goal).run(supply, place, done), workers)
    converged = bounds <= tol
    if not converged.all():
        warnings.warn(
            f"{np.count_nonzero(~converged)} of {n_seeds} seeds did not reach tol={tol:g}; their "
            f"errors are only known to be at most {bounds.max():.2g}. Raise max_iter or tol.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return PersonalizedPageRank(scores, indices, graph.labels, bounds, converged, sweeps, damping)


def _restarts(seeds: Any, graph: Graph) -> tuple[Callable[[int], Restart], int]:
    """A function from the number of a seed to its distribution, and how many there are."""
    if scipy.sparse.issparse(seeds) or (isinstance(seeds, np.ndarray) and seeds.ndim == 2):
        if seeds.ndim != 2 or seeds.shape[1] != graph.n_nodes:
            raise ValueError(
                f"a matrix of seeds must have {graph.n_nodes} columns, one for each node; got "
                f"shape {seeds.shape}. Pass a list of nodes to start from those."
            )
        rows = seeds.tocsr() if scipy.sparse.issparse(seeds) else seeds

        def row(i: int) -> Restart:
            weights = rows[[i]].toarray().ravel() if scipy.sparse.issparse(rows) else rows[i]
            return _where_positive(weights_of(weights, graph, f"seeds[{i}]"))

        return row, rows.shape[0]
    if isinstance(seeds, str | bytes | Mapping) or not isinstance(seeds, Iterable):
        raise TypeError(
            f"seeds must be a sequence of nodes or mappings; got {seeds!r}. Pass [seed]."
        )
    listed = [_seed(seed, graph, i) for i, seed in enumerate(seeds)]

    def one(i: int) -> Restart:
        seed = listed[i]
        if isinstance(seed, int):
            return np.array([seed]), np.ones(1)
        return _where_positive(weights_of(seed, graph, f"seeds[{i}]"))

    return one, len(listed)


def _where_positive(weights: Vector) -> Restart:
    nodes = np.flatnonzero(weights)
    return nodes, weights[nodes]


def _seed(seed: Any, graph: Graph, i: int) -> Any:
    """A node as its number, anything else as it is."""
    if isinstance(seed, Mapping | list | set | frozenset | np.ndarray):
        return seed
    try:
        return graph.index_of(seed)
    except ValueError as error:
        raise ValueError(f"seeds[{i}]: {error}") from None
