"""The order in which PageRank goes through the nodes of a graph.

    positions:   nodes with out-edges, then dangling ones;      order[position] = node

Nothing flows on from a dangling node, so a sweep may end before them.  Nodes of a large graph are
sorted by degree as well, for the few that most edges come from then share the caches, and rows of
one length follow each other; they are dealt out to the blocks of a sweep like cards, so that each
block has its share of them.  On an RMAT graph of 1 M nodes and 16 M edges a sweep takes 28 ms
instead of 60 on one thread, 15 instead of 29 on two, and 7 block Gauss–Seidel sweeps leave an error
of 1e-8 instead of 8e-7 with blocks of falling degree.  A graph most of whose edges lead to a
neighbouring number, as those of a web crawl do, keeps its own order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.in_edges import InEdges
from mmlfast.runtime.threads import n_threads, parallel_for

if TYPE_CHECKING:
    from mmlfast.api.graph import Graph

Vector = NDArray[np.float64]

# Work is counted in edges, a node as two.  Graphs of less than SERIAL_WORK are swept as one range,
# node after node; larger ones are cut into blocks that are swept in order.
NODE_WORK = 2
SERIAL_WORK = 1 << 20
BLOCKS = 16
# An edge is short if its ends are less than one part in NEAR of all numbers apart.
NEAR, SAMPLE = 64, 1 << 16
PARTS = 16


class Layout(NamedTuple):
    """In-edges by position: indptr, indices, values; inverse out-weights; shares; and the order.

    share[p] is the part of the out-weight of p that leads to nodes with out-edges.  `order` and
    `rank` are None if positions are nodes.  `is_dealt`: sorted by degree, dealt out to the blocks.
    """

    arrays: tuple[NDArray[np.int64], NDArray[np.int32], Vector, Vector, Vector]
    n_linked: int
    order: NDArray[np.intp] | None
    rank: NDArray[np.int32] | None
    is_dealt: bool

    @property
    def n(self) -> int:
        """Nodes."""
        return len(self.arrays[3])

    @property
    def nodes(self) -> NDArray[np.intp]:
        """The node of each position."""
        return np.arange(self.n) if self.order is None else self.order

    def by_position(self, x: Vector) -> Vector:
        """x, given by node; a copy if the order differs."""
        return x if self.order is None else x[self.order]

    def by_node(self, x: Vector) -> Vector:
        """x, given by position."""
        if self.order is None:
            return x
        out = np.empty_like(x)
        out[self.order] = x
        return out

    def positions(self, nodes: NDArray[np.intp]) -> NDArray[np.integer]:
        """Where these nodes stand."""
        return nodes if self.rank is None else self.rank[nodes]


def is_large(n_nodes: int, n_edges: int) -> bool:
    """Whether a sweep is worth more than one range."""
    return n_edges + NODE_WORK * n_nodes >= SERIAL_WORK


def lay_out(graph: Graph) -> Layout:
    """The layout that suits the graph."""
    given, inverse = graph.in_edges, graph.inverse_out
    linked = inverse > 0
    n_linked = int(np.count_nonzero(linked))
    is_dealt = is_large(len(linked), len(given.indices)) and not _is_local(given)
    order = _order(given, linked, is_dealt)
    if order is None:
        arrays, rank = (given.indptr, given.indices, given.values, inverse), None
    else:
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        arrays = (*_moved(given, order, rank), inverse[order])
    return Layout((*arrays, _shares(*arrays, n_linked)), n_linked, order, rank, is_dealt)


def _order(given: InEdges, linked: NDArray[np.bool_], deal: bool) -> NDArray[np.intp] | None:
    nodes = np.flatnonzero(linked)
    if deal:
        degree = np.diff(given.indptr)
        falling = nodes[np.argsort(-degree[nodes], kind="stable")]
        nodes = np.concatenate([falling[block::BLOCKS] for block in range(BLOCKS)])
    elif linked.all():
        return None
    return np.concatenate([nodes, np.flatnonzero(~linked)])


def _is_local(given: InEdges) -> bool:
    """Whether most of some edges, taken at equal distances, are short."""
    n, m = len(given.indptr) - 1, len(given.indices)
    sample = np.arange(0, m, max(1, m // SAMPLE))
    targets = np.searchsorted(given.indptr, sample, side="right") - 1
    short = np.abs(given.indices[sample] - targets) < n // NEAR
    return bool(np.count_nonzero(short) > len(sample) // 2)


def _moved(
    given: InEdges, order: NDArray[np.intp], rank: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32], Vector]:
    """The in-edges of order[0], order[1] … with sources as positions."""
    from mmlfast.kernels.graph import relabel

    n, m = len(order), len(given.indices)
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(np.diff(given.indptr)[order], out=indptr[1:])
    moved = (indptr, np.empty(m, np.int32), np.empty(len(given.values)))
    parts = PARTS if is_large(n, m) else 1
    cuts = np.searchsorted(indptr, [m * part // parts for part in range(parts + 1)]).tolist()
    cuts[0], cuts[-1] = 0, n
    whole = (given.indptr, given.indices, given.values)
    parallel_for(
        lambda p: relabel(whole, order, rank, (cuts[p], cuts[p + 1]), moved), parts, n_threads()
    )
    return moved


def _shares(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    values: Vector,
    inverse: Vector,
    n_linked: int,
) -> Vector:
    from mmlfast.kernels.graph import add_weights

    lost = np.zeros(len(inverse))
    first = indptr[n_linked]
    add_weights(indices[first:], values[first:], lost)
    shares = np.maximum(1.0 - lost * inverse, 0.0)
    shares[n_linked:] = 0.0
    return shares
