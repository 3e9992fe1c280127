"""The in-edges of every node, from whatever holds the edges of a graph.

    values[k] = weight of the edge indices[k] → t,     k = indptr[t] … indptr[t + 1] − 1

This is the transpose of the adjacency matrix in compressed rows: what a sweep of PageRank reads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.runtime.edges import MOST_NODES, Edges, Labels
from mmlfast.runtime.threads import parallel_for

# Below this many edges a hand-over to another thread costs more than it saves.
PARALLEL_EDGES = 1 << 18

NO_WEIGHTS = np.empty(0)

# One layout to compile the kernels for: contiguous, writable, no subclass.
_AS_COMPILED: Any = ["C", "W", "ALIGNED", "ENSUREARRAY"]


class InEdges(NamedTuple):
    """Sources and weights of the edges to each node, and the sums of weights from each node.

    `values` is empty if all weights are equal: then they count as 1.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float64]
    out_weights: NDArray[np.float64]


def in_edges(edges: Edges, threads: int) -> InEdges:
    """Sort edges by target; weights are checked, edges of weight 0 left out."""
    sources, targets, n = edges.sources, edges.targets, edges.n_nodes
    values = NO_WEIGHTS
    if edges.weights is not None:
        weights = real_numbers(edges.weights)
        kept = _kept(weights, lambda k: _edge(sources[k], targets[k], edges.labels))
        if kept is not None:
            sources, targets, weights = sources[kept], targets[kept], weights[kept]
        values = _unequal(weights)
    out_weights = _sums(sources, values, n, edges.labels)
    return InEdges(*sorted_by_target(sources, targets, values, n, threads), out_weights)


def in_edges_of_matrix(A: Any, orientation: str, threads: int) -> InEdges:
    """The same from a square sparse matrix: A[i, j] weighs i → j ("row") or j → i ("column")."""
    n = A.shape[0]
    if n > MOST_NODES:
        raise ValueError(f"a graph has at most {MOST_NODES} nodes; got {n}.")
    if A.format not in ("csr", "csc", "coo"):
        A = A.tocsr()
    if A.format == "coo":
        row, column = (_checked_indices(end, n).astype(np.int32) for end in A.coords)
        ends = (row, column) if orientation == "row" else (column, row)
        return in_edges(Edges(*ends, A.data, n), threads)
    pointers, inner, data = _compressed(A)
    by_target = (A.format == "csc") == (orientation == "row")
    if by_target and data.size and np.min(data) > 0:
        # Already what is wanted; copied, for the caller may change the matrix.
        indices = inner.astype(np.int32)
        _kept(data, lambda k: _edge(indices[k], np.searchsorted(pointers, k, "right") - 1, None))
        values = _unequal(data)
        return InEdges(pointers, indices, values, _sums(indices, values, n, None))
    inner, outer = inner.astype(np.int32, copy=False), expanded(pointers, threads)
    ends = (inner, outer) if by_target else (outer, inner)
    return in_edges(Edges(*ends, data, n), threads)


def sorted_by_target(
    sources: NDArray[np.int32],
    targets: NDArray[np.int32],
    values: NDArray[np.float64],
    n: int,
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """indptr, indices and values of the in-edges; edges to one node keep their order."""
    from mmlfast.kernels.graph import BUCKETS, count_buckets, fill_buckets, sort_bucket

    m = len(sources)
    sources, targets = (np.require(end, np.int32, _AS_COMPILED) for end in (sources, targets))
    parts, shift = 1, n.bit_length()
    if m >= PARALLEL_EDGES:
        parts, shift = threads, max(0, shift - (BUCKETS - 1).bit_length())
    n_buckets = (n >> shift) + 1
    cuts = [m * part // parts for part in range(parts + 1)]
    counts = np.zeros((parts, n_buckets), np.int64)
    parallel_for(
        lambda p: count_buckets(targets, cuts[p], cuts[p + 1], shift, counts[p]), parts, parts
    )
    # Part p of bucket b begins after all parts of earlier buckets and earlier parts of its own.
    begins = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.T.ravel(), out=begins[1:])
    cursors = begins[:-1].reshape(n_buckets, parts).T.copy()
    edges = (sources, targets, values)
    filled = (np.empty(m, np.int32), np.empty(m, np.int32), np.empty(len(values)))
    parallel_for(
        lambda p: fill_buckets(edges, cuts[p], cuts[p + 1], shift, cursors[p], filled), parts, parts
    )
    indptr, indices = np.zeros(n + 1, np.int64), np.empty(m, np.int32)
    sorted_values = np.empty(len(values))
    ends = begins[::parts].tolist()

    def sort(b: int) -> None:
        nodes = (b << shift, min((b + 1) << shift, n))
        sort_bucket(filled, (ends[b], ends[b + 1]), nodes, indptr, indices, sorted_values)

    parallel_for(sort, n_buckets, parts)
    return indptr, indices, sorted_values


def expanded(indptr: NDArray[np.int64], threads: int) -> NDArray[np.int32]:
    """The row of each entry of a compressed matrix."""
    from mmlfast.kernels.graph import fill_sources

    n, m = len(indptr) - 1, int(indptr[-1])
    parts = threads if m >= PARALLEL_EDGES else 1
    cuts = np.searchsorted(indptr, [m * part // parts for part in range(parts + 1)]).tolist()
    cuts[0], cuts[-1] = 0, n
    rows = np.empty(m, np.int32)
    parallel_for(lambda p: fill_sources(indptr, cuts[p], cuts[p + 1], rows), parts, parts)
    return rows


def real_numbers(weights: Any, name: str = "weights") -> NDArray[Any]:
    """The weights as an array, if they are real numbers."""
    weights = np.asarray(weights)
    if weights.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got dtype {weights.dtype}.")
    return weights


def _kept(weights: NDArray[Any], edge: Any) -> NDArray[np.bool_] | None:
    """Which edges have a weight above zero, None if all; `edge(k)` names edge k."""
    if weights.size == 0:
        return None
    least = weights.min()
    if not (least >= 0 and np.isfinite(weights.max())):
        k = int(np.argmin((weights >= 0) & np.isfinite(weights)))
        raise ValueError(
            f"weights must be finite and not negative; the edge {edge(k)} has {weights[k]}. "
            "Leave out such edges, or shift the weights."
        )
    return None if least > 0 else weights > 0


def _unequal(weights: NDArray[Any]) -> NDArray[np.float64]:
    """The weights as float64; empty if they are all equal, which is as if all were 1."""
    if weights.size == 0 or weights.min() == weights.max():
        return NO_WEIGHTS
    return weights.astype(np.float64)


def _sums(
    sources: NDArray[np.int32], values: NDArray[np.float64], n: int, labels: Labels | None
) -> NDArray[np.float64]:
    from mmlfast.kernels.graph import add_weights

    sums = np.zeros(n)
    add_weights(sources, values, sums)
    # y = x/sum must neither overflow nor vanish.
    bad = ~((sums == 0) | ((sums > 1e-290) & (sums < 1e290)))
    if bad.any():
        node = int(np.argmax(bad))
        raise ValueError(
            f"the weights of the edges from {node if labels is None else labels[node]!r} add up to "
            f"{sums[node]}. Scale all weights, so that such sums lie between 1e-290 and 1e290."
        )
    return sums


def _edge(source: Any, target: Any, labels: Labels | None) -> str:
    if labels is not None:
        source, target = labels[source], labels[target]
    return f"{source!s} → {target!s}"


def _compressed(A: Any) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    """Pointers, indices and data of a CSR or CSC matrix; a malformed one is refused."""
    n = A.shape[0]
    pointers = A.indptr.astype(np.int64)
    n_entries = int(pointers[-1])
    if (
        len(pointers) != n + 1
        or pointers[0] != 0
        or (np.diff(pointers) < 0).any()
        or n_entries > min(len(A.indices), len(A.data))
    ):
        raise ValueError("A has row pointers that do not fit its entries; make it again.")
    return pointers, _checked_indices(A.indices[:n_entries], n), A.data[:n_entries]


def _checked_indices(indices: NDArray[Any], n: int) -> NDArray[Any]:
    # scipy does not look at them, and a kernel would read outside its arrays.
    if indices.size and not (indices.min() >= 0 and indices.max() < n):
        raise ValueError(f"A has indices outside 0 … {n - 1}; make it again.")
    return indices
