"""What training has come to: its history, the best it saw, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A loss that has grown by this factor over the first epoch's will not come back.
EXPLODED = 1e8

History = dict[str, NDArray[np.float64]]


@dataclass(slots=True)
class Curves:
    """A number for each epoch, in lists that grow."""

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_score: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def as_arrays(self) -> History:
        """Arrays of the same length; NaN where an epoch was not validated."""
        n = len(self.loss)
        columns = {name: np.full(n, math.nan) for name in self.__slots__}
        for name, column in columns.items():
            values = getattr(self, name)
            # Curves of a partial_fit before a validated fit have no validation: the last have.
            column[n - len(values) :] = values
        return columns


@dataclass(slots=True)
class TrainingRecord:
    """Lasts as long as the weights do: over partial_fit and warm starts, as scikit-learn's."""

    curves: Curves = field(default_factory=Curves)
    n_samples_seen: int = 0
    no_improvement: int = 0
    best_loss: float = math.inf
    best_score: float = -math.inf
    best_parameters: NDArray[Any] | None = None

    def add(self, losses: Any, norms: Any, rate: float, seconds: float) -> None:
        """Append epochs of the same rate that took `seconds` together."""
        count = len(losses)
        self.curves.loss.extend(losses)
        self.curves.gradient_norm.extend(norms)
        self.curves.learning_rate.extend([rate] * count)
        self.curves.seconds.extend([seconds / count] * count)

    def forget(self, count: int) -> None:
        """Drop the last epochs: their steps have been undone."""
        for name in self.curves.__slots__:
            column = getattr(self.curves, name)
            del column[max(len(column) - count, 0) :]

    def judge_loss(self, loss: float, tol: float) -> None:
        """Count epochs without an improvement of more than tol."""
        self.no_improvement = self.no_improvement + 1 if loss > self.best_loss - tol else 0
        self.best_loss = min(self.best_loss, loss)

    def judge_score(self, score: float, tol: float, network: Any) -> None:
        """The same for a validation score; keeps the parameters that scored best."""
        self.no_improvement = self.no_improvement + 1 if score < self.best_score + tol else 0
        if score > self.best_score:
            self.best_score, self.best_parameters = score, network.copy_parameters()

    def tolerated(self, losses: Any) -> int:
        """How many leading losses are finite and have not exploded."""
        if len(losses) == 0:
            return 0
        first = self.curves.loss[0] if self.curves.loss else float(losses[0])
        # Also false for NaN.
        sane = np.asarray(losses) <= EXPLODED * (1 + abs(first))
        return len(losses) if sane.all() else int(sane.argmin())
