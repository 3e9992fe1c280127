"""Samples for networks, from any source: X as one block in memory, or as a stream of chunks.

X of float64, float32, float16, uint8, int8, int16 and int32 is read as it lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_y, check_is_fitted

from mmlfast.api.training_data import TrainingData, open_training_data


@dataclass(frozen=True)
class Samples:
    """X in memory, or a stream of it; y and sample_weight as arrays with an entry for each row."""

    X: Any
    stream: TrainingData | None
    y: Any
    weight: Any

    @property
    def n_features(self) -> int:
        """Columns of X."""
        return int(self.X.shape[1] if self.stream is None else self.stream.n_features)

    @property
    def dtype(self) -> np.dtype[Any]:
        """To train in: float32 for float32, float64 for everything else, as scikit-learn."""
        dtype = self.X.dtype if self.stream is None else self.stream.dtype
        return np.dtype(np.float32 if dtype == np.float32 else np.float64)


@contextmanager
def open_samples(
    estimator: Any, X: Any, y: Any, sample_weight: Any = None, *, reset: bool, once: bool
) -> Iterator[Samples]:
    """Samples with targets, checked; `once` if one pass is enough."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    with open_training_data(estimator, X, y, sample_weight, reset=reset, once=once) as data:
        y = _check_y(data.y, multi_output=True, estimator=estimator)
        X, stream = (data.X, None) if data.in_memory else (None, data)
        yield Samples(X, stream, y, data.sample_weight)


def blocks_of(estimator: Any, X: Any) -> Iterator[Any]:
    """The rows of X for a fitted estimator: in one block, or in chunks of a stream."""
    check_is_fitted(estimator)
    with open_training_data(estimator, X, reset=False, once=True) as data:
        for chunk, _ in data.chunks():
            yield chunk


def check_inputs(estimator: Any, X: Any) -> Any:
    """X in memory for a fitted estimator, as the network reads it."""
    return concatenated(list(blocks_of(estimator, X)))


def narrowed(values: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Finite numbers in the dtype that is trained in, C-contiguous; ValueError if it has no room.

    It has none for what would become infinite, nor for weights all of which would become 0.
    """
    with np.errstate(over="ignore", under="ignore"):
        made = np.ascontiguousarray(values, dtype)
    lost = name == "sample_weight" and values.any() and not made.any()
    if made.dtype != values.dtype and (lost or not np.isfinite(made).all()):
        raise ValueError(
            f"{name} must fit in {dtype}, which X is trained in; its largest number is "
            f"{np.abs(values).max():.6g}. Scale {name}, or pass X as float64."
        )
    return made


def concatenated(blocks: list[NDArray[Any]]) -> NDArray[Any]:
    """Blocks of rows as one array; the array itself if there is one."""
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
