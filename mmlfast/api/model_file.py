"""Fitted models and states as .npz files: versioned, whole or absent, and never pickled."""

from __future__ import annotations

import json
import os
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
    parameters = {
        name: value
        for name, value in pca.get_params(deep=False).items()
        if name not in NOT_WRITTEN
    }
    learned = {name: getattr(pca, name) for name in pca._learned}
    arrays: dict[str, Any] = {
        name: value for name, value in learned.items() if isinstance(value, np.ndarray)
    }
    facts = {name: value for name, value in learned.items() if name not in arrays}
    names = getattr(pca, "feature_names_in_", None)
    facts["n_features_in_"] = pca.n_features_in_
    facts["feature_names_in_"] = None if names is None else list(names)
    with atomic_open(path, "wb") as file:
        np.savez(
            file, format=KIND, version=FILE_VERSION,
            parameters=json.dumps(parameters, default=_plain),
            facts=json.dumps(facts, default=_plain), **arrays,
        )  # fmt: skip


def load_model(make: type[Model], path: str | os.PathLike[str]) -> Model:
    """The estimator that `save_model` wrote, made by `make(**parameters)`."""
    stored = read_npz(path, KIND, FILE_VERSION)
    try:
        model: Any = make(**json.loads(str(stored.pop("parameters"))))
        facts = json.loads(str(stored.pop("facts")))
        names = facts.pop("feature_names_in_")
        learned = {**stored, **facts}
        for name in (*model._learned, "n_features_in_"):
            setattr(model, name, learned[name])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is a damaged {KIND} file: {error!r}. Save it again.") from error
    if names is not None:
        model.feature_names_in_ = np.array(names, dtype=object)
    return model


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
    return value.item()
