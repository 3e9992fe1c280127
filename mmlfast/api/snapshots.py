"""Where training stood one and two calls ago, to go back to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.network import Network
from mmlfast.api.trainer import Trainer


class Snapshots:
    """Copies of the parameters and of the optimiser's state; the latest is of the beginning.

    Two are kept, for a spoilt step shows in the loss of the next.
    """

    def __init__(self, network: Network, trainer: Trainer) -> None:
        self._state = (network.parameters, trainer.first, trainer.second)
        self._trainer = trainer
        self._kept = [self._room(), self._room()]
        self._t, self._epochs = [trainer.t, trainer.t], [0, 0]
        for room in self._kept:
            self._copy(room)

    def take(self, epochs: int) -> None:
        """Remember the present, `epochs` after what was remembered last, instead of the oldest."""
        self._kept.reverse()
        self._copy(self._kept[0])
        self._t = [self._trainer.t, self._t[0]]
        self._epochs = [epochs, self._epochs[0]]

    def restore(self, generations: int) -> int:
        """Go back to the last or the one before; how many epochs before the last that is."""
        for array, kept in zip(self._state, self._kept[generations - 1], strict=True):
            np.copyto(array, kept)
        self._trainer.t = self._t[generations - 1]
        return self._epochs[0] if generations > 1 else 0

    def _room(self) -> list[NDArray[Any]]:
        return [np.empty_like(array) for array in self._state]

    def _copy(self, room: list[NDArray[Any]]) -> None:
        for kept, array in zip(room, self._state, strict=True):
            np.copyto(kept, array)
