"""A backend of networkx: `nx.pagerank(G, backend="mmlfast")`, or for all calls by configuration.

networkx finds `backend` and `get_info` by the entry points `networkx.backends` and
`networkx.backend_info`.  It converts a graph once and keeps what it got beside the graph, so that
further calls only sweep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmlfast.api.graph import Graph

__all__ = ["backend", "get_info"]

_DOCS = (
    "The error of the scores, not the change of the last step, is at most tol in the 1-norm, for a "
    "graph of any size. max_iter limits sweeps over all edges. alpha must be below 1."
)


class ConvertedGraph:
    """A networkx graph, prepared with one edge attribute as weight."""

    __networkx_backend__ = "mmlfast"

    def __init__(self, source: Any, weight: str | None) -> None:
        from mmlfast.api.graph import Graph

        self.source, self.weight = source, weight
        self.graph: Graph = Graph(source, weight=weight)

    def __len__(self) -> int:
        return self.graph.n_nodes

    def is_directed(self) -> bool:
        """Whether the graph it was made of is directed."""
        return bool(self.source.is_directed())

    def is_multigraph(self) -> bool:
        """Whether the graph it was made of may have parallel edges."""
        return bool(self.source.is_multigraph())


class Backend:
    """What networkx calls: conversions, whether a call can be served, and the functions."""

    @staticmethod
    def convert_from_nx(
        graph: Any, *, edge_attrs: Mapping[str, Any] | None = None, **others: Any
    ) -> ConvertedGraph:
        """The graph, prepared; `edge_attrs` names the attribute that weighs edges, if one does."""
        return ConvertedGraph(graph, next(iter(edge_attrs), None) if edge_attrs else None)

    @staticmethod
    def convert_to_nx(result: Any, **others: Any) -> Any:
        """The networkx graph that was converted; any other result as it is."""
        return result.source if isinstance(result, ConvertedGraph) else result

    @staticmethod
    def can_run(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool | str:
        """True, or why the call is left to others."""
        if name != "pagerank":
            return f"{name} is not implemented"
        alpha = kwargs.get("alpha", args[1] if len(args) > 1 else 0.85)
        return True if 0 <= alpha < 1 else f"alpha must be at least 0 and below 1; got {alpha}"

    @staticmethod
    def should_run(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
        """Whatever can run is worth running."""
        return True

    @staticmethod
    def pagerank(
        G: Any,
        alpha: float = 0.85,
        personalization: Mapping[Any, float] | None = None,
        max_iter: int = 100,
        tol: float = 1.0e-6,
        nstart: Mapping[Any, float] | None = None,
        weight: str | None = "weight",
        dangling: Mapping[Any, float] | None = None,
    ) -> dict[Any, float]:
        """As `networkx.pagerank`, with ‖x − x*‖₁ ≤ tol: at least as accurate.

        Raises
        ------
        networkx.PowerIterationFailedConvergence
            Not even the stop rule of networkx, a change of less than n·tol, was reached within
            max_iter sweeps.
        ZeroDivisionError
            Weights of `personalization`, `nstart` or `dangling` add up to 0.
        """
        import networkx as nx

        from mmlfast.api.pagerank import ranked

        converted = G if isinstance(G, ConvertedGraph) else ConvertedGraph(G, weight)
        if converted.weight != weight:
            converted = ConvertedGraph(converted.source, weight)
        graph = converted.graph
        if graph.n_nodes == 0:
            return {}
        if max_iter < 1:
            raise nx.PowerIterationFailedConvergence(max_iter)
        found = ranked(
            graph,
            damping=alpha,
            personalization=_known(personalization, graph),
            dangling=_known(dangling, graph),
            start=_known(nstart, graph),
            tol=tol,
            max_iter=max_iter,
        )
        if not found.converged and found.residuals[-1] >= graph.n_nodes * tol:
            raise nx.PowerIterationFailedConvergence(max_iter)
        return found.to_dict()


def _known(weights: Mapping[Any, float] | None, graph: Graph) -> Mapping[Any, float] | None:
    """The weights of nodes of the graph: networkx ignores others."""
    if weights is None:
        return None
    known = {node: weight for node, weight in weights.items() if node in graph.index}
    if not any(known.values()):
        raise ZeroDivisionError("weights add up to 0")
    return known


def get_info() -> dict[str, Any]:
    """What networkx tells of the backend in its documentation."""
    return {
        "backend_name": "mmlfast",
        "project": "mmlfast",
        "package": "mmlfast",
        "short_summary": "Compiled PageRank with a bound on its true error.",
        "description": _DOCS,
        "functions": {"pagerank": {"additional_docs": _DOCS}},
    }


backend = Backend()
