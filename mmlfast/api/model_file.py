"""Fitted models and states as .npz files: versioned, whole or absent, and never pickled."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mmlfast.runtime.atomic import atomic_open

FILE_VERSION = 1
KIND = "mmlfast.PCA"
NOT_WRITTEN = ("random_state", "progress")

Model = TypeVar("Model")


def save_model(pca: Any, path: str | os.PathLike[str]) -> None:
    """Write the parameters and what `fit` learned; arrays as arrays, the rest as JSON."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(pca)
    learned = {name: getattr(pca, name) for name in pca._learned}
    arrays = {name: value for name, value in learned.items() if isinstance(value, np.ndarray)}
    facts = {name: value for name, value in learned.items() if name not in arrays}
    write_model(pca, path, KIND, facts, arrays)


def load_model(make: type[Model], path: str | os.PathLike[str]) -> Model:
    """The estimator that `save_model` wrote, made by `make(**parameters)`."""
    with reading_model(make, path, KIND) as (model, learned):
        for name in model._learned:
            setattr(model, name, learned[name])
    return model


def write_model(
    model: Any, path: str | os.PathLike[str], kind: str, facts: dict[str, Any],
    arrays: dict[str, NDArray[Any]], leave_out: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """An estimator's parameters (but for some), its columns' names, and what it learned."""
    parameters = {
        name: value
        for name, value in model.get_params(deep=False).items()
        if name not in (*NOT_WRITTEN, *leave_out)
    }
    names = getattr(model, "feature_names_in_", None)
    facts = {
        **facts,
        "n_features_in_": model.n_features_in_,
        "feature_names_in_": None if names is None else list(names),
    }
    # Before the file is opened: what cannot be written leaves none behind.
    texts = {
        "parameters": json.dumps(parameters, default=_plain),
        "facts": json.dumps(facts, default=_plain),
    }
    with atomic_open(path, "wb") as file:
        np.savez(file, format=kind, version=FILE_VERSION, **texts, **arrays)  # type: ignore[arg-type]


@contextmanager
def reading_model(
    make: type[Model], path: str | os.PathLike[str], kind: str
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """(an estimator with the stored parameters, all that it had learned), to be put together.

    What goes wrong in between is a damaged file.
    """
    stored = read_npz(path, kind, FILE_VERSION)
    try:
        model: Any = make(**json.loads(str(stored.pop("parameters"))))
        learned = {**stored, **json.loads(str(stored.pop("facts")))}
        yield model, learned
        model.n_features_in_ = learned["n_features_in_"]
        names = learned["feature_names_in_"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is a damaged {kind} file: {error!r}. Save it again.") from error
    if names is not None:
        model.feature_names_in_ = np.array(names, dtype=object)


def read_npz(path: str | os.PathLike[str], kind: str, version: int) -> dict[str, NDArray[Any]]:
    """The arrays of a file that names itself `kind`, without those two; never unpickles."""
    way_out = "Pass a whole file written by its save method."
    try:
        # Opened here: numpy leaves a damaged file open.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for damaged files
        raise ValueError(f"{path} is not a {kind} file: {error}. {way_out}") from error
    if str(stored.pop("format", None)) != kind or "version" not in stored:
        raise ValueError(f"{path} is not a {kind} file. {way_out}")
    written = int(stored.pop("version"))
    if written > version:
        raise ValueError(
            f"{path} has format version {written}; this mmlfast reads up to {version}. Upgrade "
            "mmlfast."
        )
    return stored


def _plain(value: Any) -> Any:
    return value.tolist()
