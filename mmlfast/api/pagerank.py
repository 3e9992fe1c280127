"""PageRank with a bound on its true error."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.distributions import Distribution, distribution, weights_of
from mmlfast.api.graph import Graph, Orientation, as_graph
from mmlfast.runtime.threads import config_context, n_threads

# Up to so many of the largest are kept in order while all are read; numpy's selection takes four
# times as long on a million scores, of which many are equal.
SHORT = 100

MethodName = Literal["auto", "power", "gauss_seidel", "anderson", "cg"]
Weights = ArrayLike | Mapping[Any, float] | Sequence[Any]


@dataclass(frozen=True, eq=False, repr=False)
class PageRank:
    """The scores of all nodes, and how they were reached.

    Attributes
    ----------
    scores : ndarray of shape (n_nodes,), float64
        Their sum is `scale`, 1 by default.
    labels : list, ndarray or None
        Names of the nodes; None where they are 0 … n_nodes − 1.
    error_bound : float
        ‖scores − exact scores‖₁ is at most this.
    converged : bool
        Whether error_bound ≤ tol·scale.
    n_iter : int
        Sweeps over all edges.
    residuals : ndarray of shape (n_iter,)
        ‖M x − x‖₁ before the step of each sweep, or a bound on it; the last is measured.
    method, why : str
        Which method ran, and the reason.
    damping, scale : float
        As given.
    n_dangling : int
        Nodes without an edge that leaves them; `Graph.traps` finds larger sets that none leaves.
    """

    scores: NDArray[np.float64]
    labels: Any
    error_bound: float
    converged: bool
    n_iter: int
    residuals: NDArray[np.float64]
    method: str
    why: str
    damping: float
    scale: float
    n_dangling: int

    def top(self, k: int = 10) -> list[tuple[Any, float]]:
        """The k nodes of highest score as (label, score), falling; equals in order of the nodes.

        Examples
        --------
        >>> from mmlfast import pagerank
        >>> [node for node, _ in pagerank([[0, 1, 1], [0, 0, 1], [1, 0, 0]]).top(2)]
        [2, 0]
        """
        order = largest(self.scores, k)
        labels = order.tolist() if self.labels is None else [self.labels[i] for i in order]
        names = [label.item() if isinstance(label, np.generic) else label for label in labels]
        return list(zip(names, self.scores[order].tolist(), strict=True))

    def to_dict(self) -> dict[Any, float]:
        """{label: score}, in order of the nodes."""
        labels = range(len(self.scores)) if self.labels is None else self.labels
        if isinstance(labels, np.ndarray):
            labels = labels.tolist()
        return dict(zip(labels, self.scores.tolist(), strict=True))

    def __repr__(self) -> str:
        state = "converged" if self.converged else "NOT converged"
        return (
            f"<PageRank of {len(self.scores):,} nodes, damping {self.damping:g}: {state} in "
            f"{self.n_iter} sweeps ({self.method}), error ≤ {self.error_bound:.1e}>"
        )


def pagerank(
    A: Any,
    *,
    damping: float = 0.85,
    personalization: Weights | None = None,
    dangling: Weights | None = None,
    tol: float = 1e-10,
    max_iter: int = 1000,
    method: MethodName = "auto",
    start: Weights | PageRank | None = None,
    orientation: Orientation = "row",
    scale: float = 1.0,
    n_jobs: int | None = None,
) -> PageRank:
    """x = α (Pᵀx + s d) + (1 − α) v with Σx = 1: how often a surfer at random is on each page.

    P is the adjacency matrix with its rows divided by their sums, s the score of all dangling
    nodes, from which no edge leads.  With probability α the surfer follows an edge, from a dangling
    node one to a node drawn from d; else a restart at a node drawn from v.

    Parameters
    ----------
    A : Graph, matrix, tuple, table, path or networkx graph
        What `Graph` takes: a scipy sparse or dense matrix with A[i, j] the weight of i → j, a tuple
        (source, target) or (source, target, weight) of arrays, a table or file with such columns, a
        networkx graph.  Make a `Graph` to call more than once, or to name weights and labels.
    damping : float, default=0.85
        α, at least 0 and below 1.
    personalization : array-like of n weights, mapping {node: weight}, or sequence of nodes
        v; uniform by default.  Nodes left out weigh 0.
    dangling : as personalization, default=None
        d; the same as v by default.
    tol : float, default=1e-10
        Bound on the true error ‖x − x*‖₁, of any number of nodes.
    max_iter : int, default=1000
        Most sweeps over all edges.
    method : {"auto", "power", "gauss_seidel", "anderson", "cg"}, default="auto"
        "auto" takes conjugate gradients, "cg", for undirected graphs, and for others Gauss–Seidel
        sweeps with Anderson acceleration, "anderson", which keeps twelve vectors of n.
        "gauss_seidel" alone and "power" need fewer vectors and more sweeps.
    start : as personalization, or PageRank, default=None
        First guess, such as the scores before the graph changed.
    orientation : {"row", "column"}, default="row"
        Of a matrix: "column" reads A[i, j] as the weight of j → i, as textbooks whose columns add
        up to 1.
    scale : float, default=1.0
        Σ of the scores; 100 makes percentages.  Bounds scale along.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    PageRank
        `scores`, `labels`, `top(k)`, `error_bound`, `converged`, `n_iter`, `residuals`, `method`.
        Of a graph without nodes the scores are empty.

    Raises
    ------
    ValueError
        An argument is out of range; a weight is negative, NaN or infinite; a node is unknown.
    TypeError
        A is nothing that holds edges, or weights are not real numbers.

    Warns
    -----
    ConvergenceWarning
        tol was not reached within max_iter sweeps, or is below what float64 allows; the result is
        the best there is, with its bound.
    UserWarning
        The matrix looks as if read with the other orientation.

    See Also
    --------
    Graph : Prepares a graph once for many calls.
    personalized_pagerank : Many restart distributions together.
    networkx.pagerank : Stops when a step changes less than n·tol, at once for a million nodes.

    Notes
    -----
    A sweep of any method is certified by ‖Mx − x*‖₁ ≤ α‖Mx − x‖₁/(1 − α), to which the rounding
    error of the sweep is added.  Computation is in float64.

    Gauss–Seidel corrects the total mass after every sweep; without that it crawls at the rate α.
    For an undirected graph Id − αWD⁻¹ is self-adjoint, so conjugate gradients apply.  Anderson
    acceleration combines the last six images so that their combined change is smallest.
    Langville and Meyer, Google's PageRank and Beyond, Princeton 2006; Gleich, PageRank beyond the
    Web, SIAM Review 57(3), 2015.

    Examples
    --------
    >>> from mmlfast import pagerank
    >>> rank = pagerank((["home", "home", "news", "shop"], ["news", "shop", "home", "news"]))
    >>> [(node, round(score, 6)) for node, score in rank.top(2)]
    [('news', 0.3974), ('home', 0.38779)]
    >>> rank.converged, rank.error_bound <= 1e-10, rank.n_dangling
    (True, True, 0)
    """
    found = ranked(
        as_graph(A, orientation, n_jobs), damping=damping, personalization=personalization,
        dangling=dangling, tol=tol, max_iter=max_iter, method=method, start=start, scale=scale,
        n_jobs=n_jobs,
    )  # fmt: skip
    if not found.converged:
        advice = (
            "Raise max_iter or tol, or start from these scores."
            if found.n_iter == max_iter
            else "Rounding in float64 allows no less; raise tol, or lower damping."
        )
        warnings.warn(
            f"the error of PageRank is only known to be at most {found.error_bound:.2g} after "
            f"{found.n_iter} sweeps, not tol={tol:g}. {advice}",
            ConvergenceWarning,
            stacklevel=2,
        )
    return found


def ranked(
    graph: Graph,
    *,
    damping: float,
    personalization: Weights | None,
    dangling: Weights | None,
    tol: float,
    max_iter: int,
    method: str = "auto",
    start: Weights | PageRank | None = None,
    scale: float = 1.0,
    n_jobs: int | None = None,
) -> PageRank:
    """`pagerank` of a Graph, without a warning."""
    damping, tol, max_iter, scale = _checked(damping, tol, max_iter, scale)
    threads = n_threads(n_jobs)
    with config_context(n_threads=threads):
        method, why = _chosen(method, graph)
    if graph.n_nodes == 0:
        nothing = np.empty(0)
        return PageRank(
            nothing, graph.labels, 0.0, True, 0, nothing, method, "no nodes", damping, scale, 0
        )
    from mmlfast.api.pagerank_methods import METHODS, solve
    from mmlfast.api.pagerank_walk import Walk

    restart = distribution(personalization, graph, "personalization")
    leak = None if dangling is None else distribution(dangling, graph, "dangling")
    walk = Walk(graph, damping, restart, leak, threads)
    x, residuals, bound, converged = solve(
        walk, METHODS[method], _start(start, restart, graph), tol, max_iter
    )
    return PageRank(
        x * scale if scale != 1.0 else x, graph.labels, bound * scale, converged, len(residuals),
        np.array(residuals), method, why, damping, scale, graph.n_dangling,
    )  # fmt: skip


def largest(scores: NDArray[np.float64], k: int) -> NDArray[np.intp]:
    """Where the k largest scores are, falling; equals in order of their place."""
    k = min(int(k), len(scores))
    if k <= 0:
        return np.empty(0, np.intp)
    if k <= SHORT:
        from mmlfast.kernels.pagerank import keep_largest

        places = np.empty(k, np.intp)
        keep_largest(scores, np.empty(k), places)
        return places
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    there = np.flatnonzero(scores >= threshold)
    order: NDArray[np.intp] = there[np.argsort(-scores[there], kind="stable")[:k]]
    return order


def _checked(
    damping: float, tol: float, max_iter: int, scale: float = 1.0
) -> tuple[float, float, int, float]:
    if not 0 <= damping < 1:
        raise ValueError(f"damping must be at least 0 and below 1; got {damping!r}.")
    if not tol >= 0:
        raise ValueError(f"tol must be 0 or more; got {tol!r}.")
    if isinstance(max_iter, bool) or not isinstance(max_iter, int | np.integer) or max_iter < 1:
        raise ValueError(f"max_iter must be an integer of at least 1; got {max_iter!r}.")
    if not 0 < scale < np.inf:
        raise ValueError(f"scale must be a positive number; got {scale!r}.")
    return float(damping), float(tol), int(max_iter), float(scale)


def _chosen(method: str, graph: Graph) -> tuple[str, str]:
    if method == "auto":
        if graph.is_symmetric:
            return "cg", "the graph is undirected"
        return "anderson", "the graph is directed"
    if method not in ("power", "gauss_seidel", "anderson", "cg"):
        raise ValueError(
            f'method must be "auto", "power", "gauss_seidel", "anderson" or "cg"; got {method!r}.'
        )
    if method == "cg" and not graph.is_symmetric:
        raise ValueError(
            'method="cg" requires an undirected graph: A must equal its transpose. Use '
            '"anderson", or Graph(…, directed=False) for a list of edges.'
        )
    return method, "as asked"


def _start(start: Any, restart: Distribution, graph: Graph) -> NDArray[np.float64]:
    if start is None:
        return np.array(np.broadcast_to(restart.array, graph.n_nodes))
    return weights_of(start.scores if isinstance(start, PageRank) else start, graph, "start")
