"""Probability distributions over the nodes of a graph, from what people write for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.graph import Graph
from mmlfast.api.layout import Layout


class Distribution(NamedTuple):
    """p_i = array[i·step]: step 0 for a uniform one, which needs no array of n."""

    array: NDArray[np.float64]
    step: int

    def moved(self, layout: Layout) -> Distribution:
        """The same by position."""
        return self if self.step == 0 else Distribution(layout.by_position(self.array), 1)

    def sum(self, n: int) -> float:
        """Σ of the first n."""
        return float(n * self.array[0] if self.step == 0 else self.array[:n].sum())


def uniform(n: int) -> Distribution:
    """1/n everywhere."""
    return Distribution(np.array([1.0 / n]), 0)


def distribution(given: Any, graph: Graph, name: str) -> Distribution:
    """`given` as a distribution: None, n weights, a mapping from nodes to weights, or nodes.

    Weights are divided by their sum; nodes that a mapping leaves out weigh 0.  n numbers are
    weights; any other sequence names nodes, which share equally.
    """
    if given is None:
        return uniform(graph.n_nodes)
    return Distribution(weights_of(given, graph, name), 1)


def weights_of(given: Any, graph: Graph, name: str) -> NDArray[np.float64]:
    """The distribution as an array of n, see `distribution`."""
    weights = _weights(given, graph, name)
    bad = ~((weights >= 0) & np.isfinite(weights))
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(
            f"{name} must be finite and not negative; got {weights[i]} for node "
            f"{graph.label_of(i)!r}."
        )
    largest = weights.max()
    if largest == 0:
        raise ValueError(f"{name} must have a weight above 0; all are 0.")
    weights /= largest  # neither overflow nor underflow in the sum
    weights /= weights.sum()
    return weights


def _weights(given: Any, graph: Graph, name: str) -> NDArray[np.float64]:
    n = graph.n_nodes
    if hasattr(given, "to_dict"):
        given = given.to_dict()  # a pandas Series is known by its index
    weights = np.zeros(n)
    if isinstance(given, Mapping):
        for node, weight in given.items():
            weights[_index(graph, node, name)] = weight
        return weights
    if isinstance(given, str | bytes) or not hasattr(given, "__len__"):
        raise TypeError(
            f"{name} must be {n} weights, a mapping from nodes to weights, or a sequence of nodes; "
            f"got {given!r}. Pass [{given!r}] for a single node."
        )
    if getattr(given, "ndim", 1) != 1:
        raise ValueError(
            f"{name} must be {n} weights or a sequence of nodes, with one axis; got shape "
            f"{given.shape}."
        )
    numbers = _common_kind(given)
    if numbers and len(given) == n:
        weights[:] = np.asarray(given)
        return weights
    if numbers == "f" and graph.labels is None:
        raise ValueError(f"{name} must be {n} weights, one for each node; got {len(given)}.")
    for node in given:
        weights[_index(graph, node, name)] += 1.0
    return weights


def _common_kind(given: Any) -> str:
    """Of real numbers "f", of integers alone "i", of anything else ""."""
    if isinstance(given, np.ndarray) and given.dtype != object:
        return {"f": "f", "i": "i", "u": "i", "b": "i"}.get(given.dtype.kind, "")
    kinds = {*map(type, given)}
    if not all(issubclass(kind, int | float | np.integer | np.floating) for kind in kinds):
        return ""
    return "f" if any(issubclass(kind, float | np.floating) for kind in kinds) else "i"


def _index(graph: Graph, node: Any, name: str) -> int:
    try:
        return graph.index_of(node)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
