"""Trained networks as .npz files: parameters, weights, classes, history, state of the optimiser."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any, Self, TypeVar

import numpy as np

from mmlfast.api.labels import Labels
from mmlfast.api.learning_rates import LearningRates
from mmlfast.api.model_file import reading_model, write_model
from mmlfast.api.network import Network
from mmlfast.api.training_record import Curves, TrainingRecord

Model = TypeVar("Model")

KEPT_OF_RECORD = ("n_samples_seen", "no_improvement", "best_loss", "best_score")
KEPT_OF_RATES = ("schedule", "initial", "power_t", "max_iter", "rate", "epoch")
KEPT_OF_TRAINER = ("batch_size", "t", "seed")


class StoredNetwork:
    """Mixin for estimators that hold a network."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to a .npz file: whole or not at all, and without pickle.

        Parameters
        ----------
        path : str or path-like
            The optimiser's state is written too, so that `partial_fit` goes on; `random_state` and
            the callbacks are not.

        Raises
        ------
        ValueError
            A parameter that cannot be written: `learning_rate` is a function.
        """
        save_network(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        The estimator, fitted

        Raises
        ------
        ValueError
            The file is damaged, something else, or of a newer version.
        """
        return load_network(cls, path)


def save_network(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator that holds a network."""
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)
    if callable(model.learning_rate):
        raise ValueError(
            "learning_rate is a function, which cannot be written without pickle. Set it to a name "
            "first, for example with set_params(learning_rate='constant')."
        )
    network, record = model._network, model._record
    facts: dict[str, Any] = {
        "sizes": network.sizes, "activations": network.activations, "head": network.head,
        "dtype": network.dtype.name, "n_iter_": model.n_iter_,
        "record": {name: getattr(record, name) for name in KEPT_OF_RECORD},
    }  # fmt: skip
    arrays = _layers("weights", network.coefs, network.intercepts)
    for field in fields(Curves):
        arrays[f"curve_{field.name}"] = np.array(getattr(record.curves, field.name), float)
    trainer = model.__dict__.get("_trainer")
    if trainer is not None:
        facts["trainer"] = {name: getattr(trainer, name) for name in KEPT_OF_TRAINER}
        facts["rates"] = {name: getattr(model._rates, name) for name in KEPT_OF_RATES}
        for name in ("first", "second"):
            arrays |= _layers(name, *network.views(getattr(trainer, name)))
    if "_labels" in model.__dict__:
        facts["labels"], facts["classes"] = model._labels.kind, None
        if model.classes_.dtype.kind == "O":
            facts["classes"] = list(model.classes_)
        else:
            arrays["classes_array"] = model.classes_
        weight = model.class_weight
        # As pairs: the keys of an object of JSON are strings.
        facts["class_weight"] = list(weight.items()) if isinstance(weight, dict) else weight
    write_model(model, path, _kind(type(model)), facts, arrays, leave_out=("class_weight",))


def load_network(make: type[Model], path: str | os.PathLike[str]) -> Model:
    """The estimator that `save_network` wrote, made by `make(**parameters)`."""
    with reading_model(make, path, _kind(make)) as (model, learned):
        network = Network(
            learned["sizes"], learned["activations"], learned["head"], learned["dtype"]
        )
        _take(learned, "weights", network.coefs, network.intercepts)
        curves = Curves(*(learned[f"curve_{field.name}"].tolist() for field in fields(Curves)))
        model._network = network
        model._record = TrainingRecord(curves, **learned["record"])
        # What fit leaves with early stopping are the best.
        model._record.best_parameters = network.copy_parameters()
        model.n_iter_ = learned["n_iter_"]
        for name in ("hidden_layer_sizes", "activation", "dropout"):
            # Tuples come back as lists.
            if isinstance(getattr(model, name, None), list):
                setattr(model, name, tuple(getattr(model, name)))
        if "labels" in learned:
            listed = learned["classes"]
            model.classes_ = (
                learned["classes_array"] if listed is None else np.array(listed, dtype=object)
            )
            weight = learned["class_weight"]
            model.class_weight = dict(weight) if isinstance(weight, list) else weight
            model._labels = Labels(learned["labels"], model.classes_)
        if "trainer" in learned:
            state = learned["trainer"]
            model._trainer = model._trainer_of(state["batch_size"], state["seed"])
            model._trainer.t = state["t"]
            for name in ("first", "second"):
                _take(learned, name, *network.views(getattr(model._trainer, name)))
            rates = learned["rates"]
            model._rates = LearningRates(*(rates.pop(name) for name in KEPT_OF_RATES[:4]))
            model._rates.rate, model._rates.epoch = rates["rate"], rates["epoch"]
        model._publish()
    return model


def _kind(make: type[Any]) -> str:
    return f"mmlfast.{make.__name__}"


def _layers(name: str, coefs: Any, intercepts: Any) -> dict[str, Any]:
    """Arrays under names of their own."""
    layers = {f"{name}_W{i}": np.array(W) for i, W in enumerate(coefs)}
    return layers | {f"{name}_b{i}": np.array(b) for i, b in enumerate(intercepts)}


def _take(learned: dict[str, Any], name: str, coefs: Any, intercepts: Any) -> None:
    """Overwrite arrays by those that `_layers` named."""
    for i, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        W[...], b[...] = learned[f"{name}_W{i}"], learned[f"{name}_b{i}"]
