"""A list of the arrays of a network's layers that stays true to the network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class LayerList(list[NDArray[Any]]):
    """Views of the parameters: what is written to an item, or assigned in its place, trains on."""

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            write_layers(self[index], value)
        else:
            write_layers([self[index]], [value])


def write_layers(layers: list[NDArray[Any]], values: Iterable[Any]) -> None:
    """Overwrite the arrays of layers; ValueError for other shapes."""
    given = [np.asarray(value) for value in values]
    wanted = [layer.shape for layer in layers]
    if [value.shape for value in given] != wanted:
        raise ValueError(
            f"The arrays of the layers must have shapes {wanted}; got "
            f"{[value.shape for value in given]}."
        )
    for layer, value in zip(layers, given, strict=True):
        layer[...] = value
