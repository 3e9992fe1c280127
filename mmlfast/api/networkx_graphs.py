"""Edges of networkx graphs, read from their dictionaries without a matrix between."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from mmlfast.runtime.edges import Edges


def is_networkx(A: Any) -> bool:
    """Whether A is a networkx graph; networkx is not imported to find out."""
    return hasattr(A, "is_directed") and hasattr(A, "adjacency") and hasattr(A, "nodes")


def edges_of_networkx(G: Any, weight: str | None = "weight") -> Edges:
    """The edges of a networkx graph; of an undirected one in both directions, loops once.

    An edge without the attribute `weight` weighs 1, as in networkx; the parallel edges of a
    multigraph are edges of their own, so that their weights add up.
    """
    nodes = list(G)
    number = dict(zip(nodes, range(len(nodes)), strict=True))
    rows = [neighbours for _, neighbours in G.adjacency()]
    # Chained and mapped inside the interpreter: a loop in Python takes three times as long.
    ends = np.fromiter(map(number.__getitem__, chain.from_iterable(rows)), np.int32)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    sources = np.repeat(np.arange(len(nodes), dtype=np.int32), lengths)
    data: Any = chain.from_iterable(row.values() for row in rows)
    if G.is_multigraph():
        parallel = list(data)
        copies = np.fromiter(map(len, parallel), np.int64, len(parallel))
        sources, ends = np.repeat(sources, copies), np.repeat(ends, copies)
        data = chain.from_iterable(edges.values() for edges in parallel)
    weights = None
    if weight is not None:
        listed = [attributes.get(weight, 1) for attributes in data]
        weights = _numbers(listed, weight)
    return Edges(sources, ends, weights, len(nodes), nodes)


def _numbers(listed: list[Any], weight: str) -> Any:
    try:
        return np.array(listed, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the edge attribute {weight!r} must be a number: {error}. weight=None counts each "
            "edge once."
        ) from error
