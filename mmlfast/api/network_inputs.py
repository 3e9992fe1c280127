"""Samples for networks: arrays, frames and sparse matrices, checked by scikit-learn, or a stream.

X of float64, float32, float16, uint8, int8, int16 and int32 is read as it lies; what else there is
becomes float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array
from sklearn.utils.validation import _check_sample_weight, validate_data

from mmlfast.api.training_data import TrainingData, open_training_data

DTYPES = [np.float64, np.float32, np.float16, np.uint8, np.int8, np.int16, np.int32]


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
    if _lies_in_memory(X) and not isinstance(y, str):
        X, y = validate_data(
            estimator, X, y, accept_sparse="csr", multi_output=True, dtype=DTYPES, order="C",
            reset=reset,
        )  # fmt: skip
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
            if (sample_weight < 0).any() or not sample_weight.any():
                raise ValueError(
                    "sample_weight must be at least 0, and above 0 for some sample; got "
                    f"{sample_weight.min()} … {sample_weight.max()}."
                )
        yield Samples(X, None, y, sample_weight)
        return
    with open_training_data(estimator, X, y, sample_weight, reset=reset, once=once) as data:
        if data.y is None:
            raise ValueError(
                f"{type(estimator).__name__} requires y to be passed, but the target y is None."
            )
        y = check_array(data.y, ensure_2d=False, dtype=None, input_name="y")
        in_memory = data.in_memory
        yield Samples(data.X if in_memory else None, None if in_memory else data, y,
                      data.sample_weight)  # fmt: skip


def blocks_of(estimator: Any, X: Any) -> Iterator[Any]:
    """The rows of X for a fitted estimator: in one block, or in chunks of a stream."""
    if _lies_in_memory(X):
        yield check_inputs(estimator, X)
        return
    with open_training_data(estimator, X, reset=False, once=True) as data:
        for chunk, _ in data.chunks():
            yield chunk


def check_inputs(estimator: Any, X: Any) -> Any:
    """X in memory for a fitted estimator, as the network reads it."""
    return validate_data(
        estimator, X, accept_sparse="csr", dtype=DTYPES, order="C", reset=False
    )  # fmt: skip


def concatenated(blocks: list[NDArray[Any]]) -> NDArray[Any]:
    """Blocks of rows as one array; the array itself if there is one."""
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _lies_in_memory(X: Any) -> bool:
    """Whether X is for scikit-learn to check, which also says what is wrong with it."""
    if X is None or isinstance(X, list | tuple):
        return True
    return hasattr(X, "shape") or hasattr(X, "__array__")
