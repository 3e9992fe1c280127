"""An epoch over chunks of rows, with the batches that an epoch over all rows would take."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.trainer import EpochReport, Trainer
from mmlfast.api.training_data import TrainingData


def streamed_epoch(
    trainer: Trainer,
    data: TrainingData,
    Y: NDArray[Any],
    weight: NDArray[Any] | None,
    learning_rate: float,
    random_state: np.random.RandomState | None,
) -> EpochReport:
    """One pass over `data`; Y (n_samples, n_outputs) and weight (n_samples,) are those of its rows.

    The rows of each chunk are shuffled by `random_state`, or taken as they lie if that is None:
    then weights come out as from memory, bit for bit.  If the data turn out to be bad, the chunks
    before have been trained on.
    """
    loss = squares = 0.0
    rows = batches = 0
    try:
        for X, first in data.chunks(trainer.batch_size):
            n = X.shape[0]
            order = np.arange(n)
            if random_state is not None:
                random_state.shuffle(order)
            part = slice(first, first + n)
            trainer.prepare(X, Y[part], None if weight is None else weight[part])
            report = trainer.epoch(order, learning_rate)
            if report.failed >= 0:
                return EpochReport(report.loss, report.gradient_norm, batches + report.failed)
            count = -(-n // trainer.batch_size)
            loss, rows = loss + report.loss * n, rows + n
            squares, batches = squares + report.gradient_norm**2 * count, batches + count
    finally:
        trainer.release()
    return EpochReport(loss / rows, math.sqrt(squares / batches), -1)
