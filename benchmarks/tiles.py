"""The functions that hold register tiles, and the types of arguments they are compiled for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Examples(NamedTuple):
    """Arguments to compile for; nothing is ever called with them."""

    flat: Any
    matrix: Any
    panels: Any  # of three axes
    number: Any
    layer: Any  # a row of the table of layers of a network

    @classmethod
    def of(cls, dtype: str) -> Examples:
        """Empty arrays of that dtype, C-contiguous."""
        arrays = [np.empty((0,) * axes, dtype) for axes in (1, 2, 3)]
        return cls(*arrays, np.dtype(dtype).type(1), np.empty(0, np.int64))


SINGLE, DOUBLE = ("float32",), ("float64",)
BOTH = SINGLE + DOUBLE
TWO, THREE = (1,) * 2, (1,) * 3


def of_pagerank(x: Examples) -> tuple[Any, ...]:
    """Of a weighted graph, the personalized scores of eight seeds at a time."""
    graph = (x.layer, x.layer.astype(np.int32), x.flat, x.flat, x.flat)
    restart, dangling = (x.matrix, x.flat), (x.flat, 1, x.flat)
    return graph, x.number, restart, dangling, x.matrix, x.matrix, x.matrix, TWO, x.flat


def of_warp(x: Examples) -> tuple[Any, ...]:
    """Of an image of the dtype, matrices in float64."""
    border = (1, ((1.0,) * 4, (1.0,) * 4))
    return 1, x.flat, (1,) * 5, np.empty((0, 2, 3)), border, x.flat, x.panels, TWO


def of_jacobi(x: Examples) -> tuple[Any, ...]:
    """Of a table with three parts, and all lanes active or not."""
    import numba

    from mmlfast.kernels._vectors import Mask

    return x.flat, 1, 1, (np.empty((0, 0, 5), np.int64),) * 3, Mask(numba.typeof(x.number))


class Kernel(NamedTuple):
    """A function that holds a register tile, what it is compiled for, and whether it is quick."""

    arguments: Callable[[Examples], tuple[Any, ...]]
    dtypes: tuple[str, ...] = BOTH
    quick: bool = False


# The smallest functions that hold the tiles: what surrounds them takes longer to compile.
KERNELS = {
    "matmul._tiles": Kernel(
        lambda x: (True, x.flat, x.flat, THREE, x.flat, x.flat, 1, TWO), quick=True
    ),
    "small.multiply_one": Kernel(
        lambda x: (x.flat, 1, TWO, x.flat, 1, 1, x.flat, 1, 1, THREE, False)
    ),
    "covariance.rank_update": Kernel(lambda x: (x.panels, x.panels, 1, 1, 1, x.matrix), quick=True),
    "krylov.project": Kernel(lambda x: (x.panels, 1, 1, x.matrix, x.matrix), quick=True),
    "krylov.project_back": Kernel(lambda x: (x.panels, 1, 1, x.matrix, x.matrix)),
    "symmetric.times_block": Kernel(lambda x: (x.flat, 1, TWO, x.matrix, x.matrix)),
    "pagerank.sweep_lanes": Kernel(of_pagerank, DOUBLE),
    "warp.warp": Kernel(of_warp, SINGLE),
    "elementary.exp": Kernel(lambda x: (x.flat, x.flat), quick=True),
    "elementary.tanh": Kernel(lambda x: (x.flat, x.flat), quick=True),
    "layers.forward": Kernel(lambda x: (x.layer, 1, x.flat, x.flat, 1, 1)),
    "layers.weight_gradient": Kernel(lambda x: (x.layer, 1, x.flat, x.flat, 1)),
    "narrow.forward": Kernel(lambda x: (x.layer, x.flat, x.flat, 1)),
    "narrow.gradient_of": Kernel(lambda x: (x.layer, x.flat, x.flat, 1), quick=True),
    "optimizers.update": Kernel(
        lambda x: (1, x.flat, x.flat, x.flat, x.flat, TWO, (x.number,) * 6)
    ),
    "jacobi.sweep": Kernel(of_jacobi, DOUBLE),
    "orthogonal_lanes._subtract": Kernel(lambda x: (x.flat, 1, 1, 1, 1, 1, 1), DOUBLE),
    "normal_equations.add_products": Kernel(lambda x: (x.flat, THREE, THREE, TWO, 1, 1), DOUBLE),
    "logistic.evaluate": Kernel(lambda x: (x.flat, (1,) * 8, 1, 1, False, 1, 1, 1), DOUBLE),
}
