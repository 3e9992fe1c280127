"""One epoch after another over the same samples: in memory in a drawn order, or from a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.streamed_epoch import streamed_epoch
from mmlfast.api.trainer import EpochReport, Trainer
from mmlfast.api.training_data import TrainingData


@dataclass(frozen=True)
class Prepared:
    """X in memory or a stream of it, with Y and weight as the network takes them."""

    X: Any
    stream: TrainingData | None
    Y: NDArray[Any]
    weight: NDArray[Any] | None


class Epochs(Protocol):
    """Passes over samples.

    Attributes
    ----------
    n_samples : int
    in_memory : bool
    in_order : bool
        Whether each pass takes the samples as they lie, from memory and all of them.
    """

    n_samples: int
    in_memory: bool
    in_order: bool

    def run(self, learning_rate: float) -> EpochReport:
        """Train for one epoch."""


def epochs_of(
    trainer: Trainer, data: Prepared, order: NDArray[np.int64], random_state: Any
) -> Epochs:
    """Epochs over the rows of `order`, shuffled by random_state, or as they are if it is None.

    A batch of all rows is never shuffled: its order changes nothing but the rounding.
    """
    random_state = random_state if trainer.batch_size < len(order) else None
    if data.stream is not None:
        return StreamedEpochs(trainer, data, random_state)
    return EpochsInMemory(trainer, data, order, random_state)


class EpochsInMemory:
    """Epochs over rows of an array, each a compiled call."""

    in_memory = True

    def __init__(
        self, trainer: Trainer, data: Prepared, order: NDArray[np.int64], random_state: Any
    ) -> None:
        trainer.prepare(data.X, data.Y, data.weight)
        self._trainer, self._order, self._random_state = trainer, order, random_state
        self.n_samples = n = len(order)
        self.in_order = n == len(data.Y) and random_state is None
        self._counting = np.arange(n)
        self._drawn, self._spare = np.empty_like(order), np.empty_like(order)

    def run(self, learning_rate: float) -> EpochReport:
        """Train for one epoch, in a new order."""
        if self._random_state is not None:
            self._shuffle()
        return self._trainer.epoch(self._order, learning_rate)

    def _shuffle(self) -> None:
        """Permute the order as sklearn.utils.shuffle does, without its checks and copies."""
        np.copyto(self._drawn, self._counting)
        self._random_state.shuffle(self._drawn)
        np.take(self._order, self._drawn, out=self._spare)
        self._order, self._spare = self._spare, self._order


class StreamedEpochs:
    """Epochs over chunks of rows, shuffled within each."""

    in_memory = in_order = False

    def __init__(self, trainer: Trainer, data: Prepared, random_state: Any) -> None:
        self._trainer, self._data, self._random_state = trainer, data, random_state
        self.n_samples = len(data.Y)

    def run(self, learning_rate: float) -> EpochReport:
        """Train for one epoch."""
        data = self._data
        assert data.stream is not None
        return streamed_epoch(
            self._trainer, data.stream, data.Y, data.weight, learning_rate, self._random_state
        )
