"""A validation set: what the network makes of it after each epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.head_losses import head_loss
from mmlfast.api.network import Network

Score = Callable[[NDArray[Any], NDArray[Any], Any], float]


class Validation:
    """Samples kept out of training, targets encoded as the network's outputs."""

    def __init__(
        self, X: Any, Y: NDArray[Any], weight: NDArray[Any] | None, score: Score, n_jobs: int | None
    ) -> None:
        self._X, self._Y, self._weight, self._score = X, Y, weight, score
        self._n_jobs = n_jobs

    def measure(self, network: Network) -> tuple[float, float]:
        """(loss without penalty, score) of one pass."""
        outputs = network.predict(self._X, n_jobs=self._n_jobs)
        return (
            head_loss(network.head, outputs, self._Y, self._weight),
            self._score(outputs, self._Y, self._weight),
        )


def split(
    rows: NDArray[np.int64], share: float, random_state: Any, stratify: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows to train on, rows to validate on), drawn as scikit-learn's networks draw them."""
    from sklearn.model_selection import train_test_split

    try:
        train, kept = train_test_split(
            rows, random_state=random_state, test_size=share, stratify=stratify
        )
    except ValueError as error:
        raise ValueError(
            f"early_stopping cannot set validation_fraction={share} of {len(rows)} samples aside: "
            f"{error} Change validation_fraction, or pass eval_set=(X, y)."
        ) from error
    if len(kept) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            f"dataset; got {len(kept)} of {len(rows)} samples."
        )
    return train, kept
