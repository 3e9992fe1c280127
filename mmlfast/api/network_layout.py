"""Where the layers of a network lie in flat arrays: the table that the kernels read.

The parameters are one array [W₀ | b₀ | W₁ | b₁ | …], W_l of IN_ROWS rows, OUT_STRIDE numbers apart.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.kernels import layers as of
from mmlfast.kernels._simd import LANE_BYTES, TILE_ROWS, TILE_VECTORS
from mmlfast.kernels.activations import NOT_KEPT
from mmlfast.kernels.backprop import (
    BACK,
    BLOCK,
    FORWARD,
    GATHER,
    GRADIENT,
    HEAD,
    MILLION,
    NARROW,
    NARROW_BACK,
    NARROW_FORWARD,
    NARROW_TURN,
    PLACES,
    SAMPLES,
    SEED,
    SMALL_GRADIENT,
    SMALL_PASS,
    SMALL_TURN,
    TARGETS,
    UPDATE,
    UPDATED,
    WEIGHTS,
)
from mmlfast.runtime.validate import aligned

# Wider layers keep an odd number of vectors between rows: with 4 KiB between them the rows of a
# panel share one set of the cache, a step of 784-1024-1024-10 took 49.4 ms instead of 47.2.
FEW_VECTORS = 3

# Tiles of ∂W in a part: few where there would be no second part, many where Δ is to be used often.
FEW_TILES, MANY_TILES, MANY_INPUTS = 4, 6, 256

# Samples of a small network that are taken forward and back by one thread, at least.  A network is
# small if its weights stay in the cache next to a core.
SAMPLES_AT_ONCE = 48
SMALL_BYTES = 1 << 18


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def rows_of(n: int, dtype: np.dtype[Any]) -> int:
    """Rows that a matrix with a row for each of n units has: whole vectors and whole tiles."""
    return max(_up(n, LANE_BYTES // dtype.itemsize), _up(n, TILE_ROWS))


def stride_of(n: int, dtype: np.dtype[Any]) -> int:
    """Numbers from row to row of a matrix with a column for each of n units."""
    lanes = LANE_BYTES // dtype.itemsize
    vectors = _up(rows_of(n, dtype), lanes) // lanes
    return (vectors | 1 if vectors > FEW_VECTORS else vectors) * lanes


def table_of_layers(sizes: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[NDArray[np.int64], int]:
    """(table, size of the flat parameters) of a network; its workspace is still to be placed."""
    table = np.zeros((len(sizes) - 1, of.FIELDS), np.int64)
    place = 0
    for layer, n_in, n_out in zip(table, sizes, sizes[1:], strict=False):
        layer[of.N_IN], layer[of.N_OUT] = n_in, n_out
        layer[of.IN_STRIDE], layer[of.OUT_STRIDE] = stride_of(n_in, dtype), stride_of(n_out, dtype)
        layer[of.IN_ROWS] = rows_of(n_in, dtype)
        layer[of.W] = place
        layer[of.PART_ROWS] = TILE_ROWS * (FEW_TILES if n_in < MANY_INPUTS else MANY_TILES)
        layer[of.B] = place + layer[of.IN_ROWS] * layer[of.OUT_STRIDE]
        place = layer[of.B] + layer[of.OUT_STRIDE]
    return table, int(place)


def passes(table: NDArray[np.int64], size: int, dtype: np.dtype[Any], *, inputs: bool) -> Passes:
    """What is done forward, back (with `inputs` down to ∂loss/∂X), and to update `size` parameters.

    Each an array of rows (section, parts).
    """
    width = TILE_VECTORS * (LANE_BYTES // dtype.itemsize)
    n_in, n_out = table[:, of.N_IN].tolist(), table[:, of.N_OUT].tolist()
    forward = [(GATHER, 0)] + [(FORWARD + k, -(-n // width)) for k, n in enumerate(n_out)]
    back = []
    for k in reversed(range(len(table))):
        if k > 0 or inputs:
            back.append((BACK + k, -(-n_in[k] // width)))
        back.append((GRADIENT + k, _gradient_parts(table[k])))
    update = [(UPDATE, -(-size // UPDATED))]
    return Passes(*(np.array(sections, np.int64) for sections in (forward, back, update)))


def _gradient_parts(layer: NDArray[np.int64]) -> int:
    return int(-(-layer[of.N_IN] // layer[of.PART_ROWS]))


def small_passes(table: NDArray[np.int64], size: int) -> Passes:
    """The same for training a network that `is_small`: some samples all the way at a time."""
    parts = sum(_gradient_parts(layer) for layer in table)
    sections = ([(SMALL_TURN, 1), (SMALL_PASS, 0)], [(SMALL_GRADIENT, parts)],
                [(UPDATE, -(-size // UPDATED))])  # fmt: skip
    return Passes(*(np.array(rows, np.int64) for rows in sections))


def is_small(size: int, dtype: np.dtype[Any]) -> bool:
    """Whether `size` parameters stay in the cache next to a core."""
    return size * dtype.itemsize <= SMALL_BYTES


def samples_at_once(dtype: np.dtype[Any]) -> int:
    """Samples in a part of a small network: whole tiles and whole registers of them."""
    whole = math.lcm(TILE_ROWS, LANE_BYTES // dtype.itemsize)
    return _up(SAMPLES_AT_ONCE, whole)


def narrow_passes(size: int) -> Passes:
    """The same for the training of a network that `is_narrow`."""
    forward = [(GATHER, 0), (NARROW_TURN, 1), (NARROW_FORWARD, 1)]
    sections = (forward, [(NARROW_BACK, 1)], [(UPDATE, -(-size // UPDATED))])
    return Passes(*(np.array(rows, np.int64) for rows in sections))


def is_narrow(sizes: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether no layer fills a register, so that samples had better lie along it."""
    return max(sizes) <= LANE_BYTES // dtype.itemsize


class Passes(NamedTuple):
    """The sections of a pass, in order."""

    forward: NDArray[np.int64]
    back: NDArray[np.int64]
    update: NDArray[np.int64]


class Workspace:
    """Room for the activations, Δ and slopes of up to `rows` samples at once.

    Parameters
    ----------
    table : ndarray of int64
        Of the network, copied; activations filled in.
    rows : int
    dtype : dtype
    keep_slopes : list of bool
        For each layer, whether its slopes cannot be told from its values.
    backward : bool
        Whether there is to be a backward pass.
    head : int
        Kind of output.
    """

    def __init__(
        self, table: NDArray[np.int64], rows: int, dtype: np.dtype[Any], keep_slopes: list[bool],
        backward: bool, head: int,
    ) -> None:  # fmt: skip
        self.rows = rows
        self.layers = table.copy()
        self.places = np.zeros(PLACES, np.int64)
        self._end = 0
        lanes = LANE_BYTES // dtype.itemsize
        # Outputs are worked on in blocks of `lanes` samples, the last of which may reach beyond.
        self.height = height = _up(_up(rows, TILE_ROWS), lanes)
        self.layers[0, of.INPUT] = self._take(height * int(table[0, of.IN_STRIDE]))
        self.layers[0, of.IN_DELTA] = self._take(height * int(table[0, of.IN_STRIDE]))
        for i, layer in enumerate(self.layers):
            size = height * int(layer[of.OUT_STRIDE])
            layer[of.OUTPUT] = self._take(size)
            layer[of.OUT_DELTA] = self._take(size)
            layer[of.SLOPE] = self._take(size) if keep_slopes[i] else NOT_KEPT
            if i > 0:
                layer[of.INPUT] = self.layers[i - 1, of.OUTPUT]
                layer[of.IN_DELTA] = self.layers[i - 1, of.OUT_DELTA]
            if backward:
                out_rows = rows_of(int(layer[of.N_OUT]), dtype)
                layer[of.PANELS] = self._take(out_rows * int(layer[of.IN_ROWS]))
        n_out = int(self.layers[-1, of.N_OUT])
        self.places[HEAD] = head
        self.places[TARGETS] = self._take(height * n_out)
        self.places[WEIGHTS] = self._take(height)
        # A block for each part of a small network.
        blocks = -(-rows // samples_at_once(dtype))
        self.places[BLOCK] = self._take(blocks * _up(n_out, lanes) * lanes)
        self.work = aligned(self._end, dtype, zero=True)

    def work_small(self) -> None:
        """Take a few samples forward and back at a time."""
        self.places[SAMPLES] = samples_at_once(self.work.dtype)

    def lie_narrow(self) -> None:
        """Let the same room hold a narrow network: units by samples.

        What a layer gives is by no more units than a register has lanes, so it fits.
        """
        self.places[NARROW] = 1
        self.layers[0, of.PANELS] = self.layers[0, of.IN_DELTA]
        self.layers[-1, of.OUT_DELTA] = self.layers[-1, of.OUTPUT]

    def _take(self, size: int) -> int:
        place, self._end = self._end, self._end + size
        return place

    def drop_out(self, shares: list[float], seed: int) -> None:
        """Let units of layer l drop out with probability shares[l]."""
        self.layers[: len(shares), of.DROPOUT] = [round(share * MILLION) for share in shares]
        self.places[SEED] = seed

    def rows_at(self, place: int, n: int, layer: int, count: int) -> NDArray[Any]:
        """The first `count` rows of a matrix of n columns in `work`, laid out as `layer`'s output.

        layer −1 is the input.
        """
        where = (0, of.IN_STRIDE) if layer < 0 else (layer, of.OUT_STRIDE)
        stride = int(self.layers[where])
        return self.work[place : place + count * stride].reshape(count, stride)[:, :n]
