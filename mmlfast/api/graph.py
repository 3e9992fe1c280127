"""A graph prepared for PageRank: the in-edges of every node, kept between calls."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from mmlfast.api.graph_inputs import checked_labels, read_graph
from mmlfast.api.in_edges import (
    InEdges,
    expanded,
    in_edges,
    in_edges_of_matrix,
    sorted_by_target,
)
from mmlfast.api.layout import Layout, lay_out
from mmlfast.api.networkx_graphs import is_networkx
from mmlfast.runtime.edges import Edges, Labels, edges_of_arrays
from mmlfast.runtime.threads import n_threads

Orientation = Literal["row", "column"]
STOCHASTIC = 1e-6


class Graph:
    """The edges i → j of weight w_ij ≥ 0, sorted once by the node they lead to.

    `pagerank` and `personalized_pagerank` make one of whatever they are given; making it beforehand
    spares the second call and all later ones the sorting.

    Parameters
    ----------
    A : sparse or dense matrix, tuple, table, path, networkx graph or Graph
        - matrix of shape (n_nodes, n_nodes), scipy sparse of any format and index width or
          array-like: A[i, j] is the weight of i → j, see `orientation`;
        - tuple (source, target) or (source, target, weight) of arrays of shape (n_edges,), as
          `Graph.from_edges` takes;
        - pandas, polars or pyarrow table with columns ``source``, ``target`` (or src and dst, from
          and to, else the first two) and perhaps ``weight``;
        - path of a ``.parquet``, ``.csv``, ``.tsv`` or ``.txt`` file (text also ``.gz``), with a
          line of names, or else columns source, target and perhaps weight; of an ``.npz`` or
          ``.mtx`` file with a sparse matrix;
        - networkx graph, directed or not, multigraph or not;
        - ``"sample:imports"``: which modules of Python's standard library import which.
    orientation : {"row", "column"}, default="row"
        Of a matrix: "row" reads A[i, j] as i → j, "column" as j → i, as in textbooks that have
        columns add up to 1.  Rows (columns) are divided by their sums in any case.
    weight : str or None, default="weight"
        Column or edge attribute that holds the weights.  None ignores weights of any source.
    directed : bool, default=True
        False, for lists of edges: each is an edge in both directions.
    labels : sequence of n_nodes hashable objects, default=None
        Names of the nodes, where A has none.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.

    Attributes
    ----------
    n_nodes, n_edges : int
        Edges as they came: repeated ones count, those of weight 0 do not.
    n_dangling : int
        Nodes without an edge that leaves them.
    labels : list, ndarray or None
        Names of the nodes; None where they are 0 … n_nodes − 1.
    is_weighted : bool
        Whether weights differ; if all are equal none are kept.
    in_edges : InEdges
        indptr, indices, values and out_weights: for each node the sources and weights of the edges
        that lead to it, and the sums of weights of those that leave.
    inverse_out : ndarray of shape (n_nodes,)
        1/out_weights, 0 for dangling nodes.

    Raises
    ------
    ValueError
        A weight is negative, NaN or infinite (the message names the edge); the matrix is not
        square; labels repeat or are not as many as nodes.
    TypeError
        Weights are not real numbers, or labels cannot be hashed.

    See Also
    --------
    mmlfast.pagerank : Its stationary distribution.

    Notes
    -----
    Edges given more than once add up, and without weights count once each; loops count.  An edge
    takes 4 bytes, 12 if weights differ; a node takes 24.  The first sweep orders nodes by degree
    and keeps the edges once more in that order.  Nodes are int32 numbers.

    Examples
    --------
    >>> from mmlfast import Graph
    >>> graph = Graph((["home", "home", "news"], ["news", "shop", "home"]))
    >>> graph
    <Graph: 3 nodes, 3 edges, 1 dangling>
    >>> graph.labels
    ['home', 'news', 'shop']
    >>> Graph([[0, 2, 1], [0, 0, 1], [1, 0, 0]]).is_weighted
    True
    """

    def __init__(
        self,
        A: Any,
        *,
        orientation: Orientation = "row",
        weight: str | None = "weight",
        directed: bool = True,
        labels: Sequence[Hashable] | NDArray[Any] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        threads = n_threads(n_jobs)
        if orientation not in ("row", "column"):
            raise ValueError(f'orientation must be "row" or "column"; got {orientation!r}.')
        found = read_graph(A, weight)
        symmetric = None
        if isinstance(found, Edges):
            if orientation != "row":
                raise ValueError(
                    "orientation is for matrices; of edges the source and the target are given. "
                    "Exchange the two to reverse them."
                )
            if is_networkx(A) and not A.is_directed():
                symmetric = True
            elif not directed:
                found, symmetric = found.both_ways(), True
            in_order = in_edges(found, threads)
            n_nodes, own_labels = found.n_nodes, found.labels
        else:
            if not directed:
                raise ValueError(
                    "directed=False is for lists of edges; make the matrix symmetric, for example "
                    "A + A.T, instead."
                )
            in_order = in_edges_of_matrix(found, orientation, threads)
            n_nodes, own_labels = found.shape[0], None
        self._set(in_order, n_nodes, checked_labels(labels, own_labels, n_nodes), symmetric)
        if not isinstance(found, Edges):
            self._warn_if_turned(orientation)

    @classmethod
    def from_edges(
        cls,
        source: ArrayLike,
        target: ArrayLike,
        weight: ArrayLike | None = None,
        *,
        n_nodes: int | None = None,
        directed: bool = True,
        labels: Sequence[Hashable] | NDArray[Any] | None = None,
        n_jobs: int | None = None,
    ) -> Graph:
        """The graph with the edges source[k] → target[k] of weight[k].

        Parameters
        ----------
        source, target : array-like of shape (n_edges,)
            Integers count nodes from 0, as rows and columns of a matrix do; anything else is a
            label, and labels are numbered as they first appear.
        weight : array-like of shape (n_edges,), default=None
            All 1 by default.
        n_nodes : int, default=None
            Nodes there are, when the last ones have no edge.
        directed, labels, n_jobs
            As for `Graph`.

        Examples
        --------
        >>> from mmlfast import Graph
        >>> Graph.from_edges([0, 1, 1], [1, 0, 2], n_nodes=5)
        <Graph: 5 nodes, 3 edges, 3 dangling>
        """
        edges = edges_of_arrays(source, target, weight, n_nodes=n_nodes)
        if n_nodes is None and labels is not None and edges.labels is None:
            edges = edges_of_arrays(source, target, weight, n_nodes=len(labels))
        return cls(edges, directed=directed, labels=labels, n_jobs=n_jobs)

    def _set(
        self, in_order: InEdges, n_nodes: int, labels: Labels | None, symmetric: bool | None
    ) -> None:
        self.in_edges = in_order
        self.n_nodes = n_nodes
        self.n_edges = len(in_order.indices)
        self.labels = labels
        self.is_weighted = in_order.values.size > 0
        self._symmetric = symmetric
        out = in_order.out_weights
        self.inverse_out = np.divide(1.0, out, out=np.zeros(n_nodes), where=out > 0)
        self.n_dangling = n_nodes - int(np.count_nonzero(out))

    def __repr__(self) -> str:
        weighted = ", weighted" if self.is_weighted else ""
        return (
            f"<Graph: {self.n_nodes:,} nodes, {self.n_edges:,} edges{weighted}, "
            f"{self.n_dangling:,} dangling>"
        )

    @cached_property
    def layout(self) -> Layout:
        """The same edges in the order in which sweeps go through them; made at the first one."""
        return lay_out(self)

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether each edge has a reverse of the same weight: the graph is undirected."""
        if self._symmetric is not None:
            return self._symmetric
        # Few directed graphs get past this: as much leads to every node as away from it.
        if not np.allclose(self._in_weights(), self.in_edges.out_weights, rtol=1e-9, atol=0.0):
            return False
        turned = self._transposed(self.in_edges)
        if _same(turned, self.in_edges):
            return True
        return _same(_merged(self._transposed(turned)), _merged(turned))

    def _in_weights(self) -> NDArray[np.float64]:
        indptr, values = self.in_edges.indptr, self.in_edges.values
        if values.size == 0:
            return np.diff(indptr).astype(np.float64)
        sums = np.add.reduceat(np.append(values, 0.0), indptr[:-1])
        sums[np.diff(indptr) == 0] = 0.0
        return sums

    def _transposed(self, of: InEdges) -> InEdges:
        threads = n_threads()
        rows = expanded(of.indptr, threads)
        return InEdges(
            *sorted_by_target(rows, of.indices, of.values, self.n_nodes, threads), of.out_weights
        )

    @cached_property
    def index(self) -> dict[Any, int]:
        """The number of each label; empty where nodes have no labels."""
        return {} if self.labels is None else {label: i for i, label in enumerate(self.labels)}

    def index_of(self, node: Any) -> int:
        """The number of a node, given its label, or its number where nodes have no labels.

        Raises
        ------
        ValueError
            There is no such node.
        """
        if self.labels is None:
            whole = isinstance(node, int | np.integer) and not isinstance(node, bool)
            if whole and 0 <= node < self.n_nodes:
                return int(node)
            raise ValueError(f"nodes are numbered 0 … {self.n_nodes - 1}; got {node!r}.")
        try:
            return self.index[node]
        except (KeyError, TypeError):
            raise ValueError(
                f"there is no node {node!r}; the first label is {self.label_of(0)!r}."
            ) from None

    def label_of(self, i: int) -> Any:
        """The label of node i as a plain Python object; i where nodes have no labels."""
        label = i if self.labels is None else self.labels[i]
        return label.item() if isinstance(label, np.generic) else label

    def traps(self) -> list[NDArray[np.intp]]:
        """Spider traps: sets of nodes with edges among them and none that leaves them.

        A walk that enters one stays until it restarts, so that they collect rank.  A graph whose
        nodes all reach each other is not called a trap.

        Returns
        -------
        list of ndarray
            The numbers of the nodes of each trap, smallest set first.

        Examples
        --------
        >>> from mmlfast import Graph
        >>> Graph.from_edges([0, 1, 2, 3], [1, 2, 3, 2]).traps()
        [array([2, 3])]
        """
        indptr, sources = self.in_edges.indptr, self.in_edges.indices
        n = self.n_nodes
        A = scipy.sparse.csr_array((np.ones(self.n_edges, np.int8), sources, indptr), shape=(n, n))
        count, part = connected_components(A, connection="strong")
        if count <= 1:
            return []
        from_part, to_part = part[sources], part[expanded(indptr, n_threads())]
        closed, inhabited = np.ones(count, bool), np.zeros(count, bool)
        closed[from_part[from_part != to_part]] = False
        inhabited[from_part[from_part == to_part]] = True
        by_part = np.argsort(part, kind="stable")
        parts = np.split(by_part, np.cumsum(np.bincount(part))[:-1])
        traps = [parts[p] for p in np.flatnonzero(closed & inhabited)]
        return sorted(traps, key=lambda nodes: (len(nodes), int(nodes[0])))

    def _warn_if_turned(self, orientation: str) -> None:
        """A matrix whose rows add up to 1 the other way round has probably been turned."""
        if not self.is_weighted:
            return
        into, out = self._in_weights(), self.in_edges.out_weights
        if _add_up_to_one(into) and not _add_up_to_one(out):
            read, other, right = (
                ("row", "columns", "column") if orientation == "row" else ("column", "rows", "row")
            )
            warnings.warn(
                f"the {other} of A add up to 1 and its {read}s do not, but A is read with "
                f'orientation="{read}". If A[i, j] is the share of '
                f"{'j that goes to i' if right == 'column' else 'i that goes to j'}, pass "
                f'orientation="{right}".',
                UserWarning,
                stacklevel=3,
            )


def as_graph(A: Any, orientation: Orientation = "row", n_jobs: int | None = None) -> Graph:
    """`A` itself if it is a Graph, else the Graph of it."""
    if not isinstance(A, Graph):
        return Graph(A, orientation=orientation, n_jobs=n_jobs)
    if orientation != "row":
        raise ValueError("A is a Graph, made with an orientation of its own; leave it out here.")
    return A


def _same(one: InEdges, other: InEdges) -> bool:
    return (
        np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
        and np.array_equal(one.values, other.values)
    )


def _merged(of: InEdges) -> InEdges:
    """Repeated edges as one, their weights added up, without touching `of`."""
    from mmlfast.kernels.graph import merge_duplicates

    if of.values.size == 0:
        return of
    indptr, indices, values = of.indptr.copy(), of.indices.copy(), of.values.copy()
    n = merge_duplicates(indptr, indices, values)
    return InEdges(indptr, indices[:n], values[:n], of.out_weights)


def _add_up_to_one(sums: NDArray[np.float64]) -> bool:
    """Whether all that are not zero are 1, to the precision of printed numbers."""
    there = sums[sums > 0]
    return there.size > 0 and bool((np.abs(there - 1) <= STOCHASTIC).all())
