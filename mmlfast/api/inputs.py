"""What users hand to an estimator, opened as a source and checked in scikit-learn's manner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mmlfast.runtime.sources import Source, open_source


@contextmanager
def borrowed_source(X: Any, name: str = "X") -> Iterator[Source]:
    """X as a source, closed at the end unless X is one already: that is its owner's to close."""
    source = open_source(X, name=name)
    try:
        yield source
    finally:
        if source is not X:
            source.close()


@contextmanager
def open_input(estimator: Any, X: Any, *, reset: bool) -> Iterator[Source]:
    """X as a source; with `reset` the estimator notes its columns' number and names.

    Arrays and frames go through scikit-learn's check of names; nothing is converted or copied.
    """
    with borrowed_source(X) as source:
        if reset:
            estimator.n_features_in_ = source.n_features
            estimator.__dict__.pop("feature_names_in_", None)
            if source.feature_names is not None:
                estimator.feature_names_in_ = np.array(source.feature_names, dtype=object)
        elif hasattr(X, "shape") and hasattr(X, "columns"):
            from sklearn.utils.validation import validate_data

            validate_data(estimator, X, reset=False, skip_check_array=True)
        else:
            _check_names(estimator, source)
        yield source


def _check_names(estimator: Any, source: Source) -> None:
    known = getattr(estimator, "feature_names_in_", None)
    if known is None or source.feature_names is None or list(known) == source.feature_names:
        return
    pairs = zip(source.feature_names, known, strict=False)
    different = [f"column {i} is {a!r}, not {b!r}" for i, (a, b) in enumerate(pairs) if a != b]
    what = different[0] if different else f"there are {len(source.feature_names)} columns"
    raise ValueError(
        f"The feature names should match those that were passed during fit: of {source.name} "
        f"{what}. Give it the same columns in the same order."
    )


def check_features(estimator: Any, source: Source) -> None:
    """ValueError if the source has another number of columns than the estimator was fitted to."""
    if source.n_features != estimator.n_features_in_:
        raise ValueError(
            f"X has {source.n_features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_features_in_} features as input."
        )


def check_shape(n_samples: int | None, n_features: int, least: int = 2) -> None:
    """ValueError, worded as scikit-learn's, for too few rows or no columns."""
    shape = f"(shape=({n_samples}, {n_features}))"
    if n_features == 0:
        raise ValueError(f"Found array with 0 feature(s) {shape} while a minimum of 1 is required.")
    if n_samples is not None and n_samples < least:
        raise ValueError(
            f"Found array with {n_samples} sample(s) {shape} while a minimum of {least} is "
            "required."
        )


