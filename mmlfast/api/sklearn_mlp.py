"""A trained network as scikit-learn's own estimator, fitted."""

from __future__ import annotations

from typing import Any

import numpy as np

SHARED = ("identity", "logistic", "tanh", "relu")
SGD = ("sgd", "momentum", "nesterov", "gd")


def to_sklearn(model: Any) -> Any:
    """The MLPClassifier or MLPRegressor of scikit-learn with a model's weights."""
    from sklearn import neural_network
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model)
    names = set(model._network.activations)
    if len(names) > 1 or not names <= set(SHARED):
        raise ValueError(
            "scikit-learn's networks have one activation for all hidden layers, out of "
            f"{', '.join(SHARED)}; this one has {', '.join(model._network.activations)}."
        )
    classifies = hasattr(model, "classes_")
    make: Any = neural_network.MLPClassifier if classifies else neural_network.MLPRegressor
    theirs = make()
    known = theirs.get_params()
    given = {name: value for name, value in model.get_params().items() if name in known}
    if model._network.head == "squared_logistic":
        raise ValueError(
            "scikit-learn's MLPRegressor has no out_activation='logistic'. Fit with 'identity'."
        )
    if model.loss == "poisson" and "loss" not in known:
        raise ValueError("loss='poisson' needs scikit-learn 1.7 or later; update scikit-learn.")
    given["activation"] = next(iter(names), "identity")
    if model.solver in SGD:
        given["solver"] = "sgd"
        given["nesterovs_momentum"] = model._optimizer() == "nesterov"
        if model.solver == "gd":
            given["momentum"] = 0.0
    elif model.solver != "lbfgs":
        given["solver"] = "adam"
    if given["learning_rate"] not in ("constant", "invscaling", "adaptive"):
        given["learning_rate"] = "constant"
    theirs.set_params(**given)

    theirs.coefs_ = [np.array(W, order="C") for W in model.coefs_]
    theirs.intercepts_ = [np.array(b) for b in model.intercepts_]
    for name in (
        "n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "loss_", "loss_curve_",
        "best_loss_", "validation_scores_", "best_validation_score_", "n_features_in_",
        "feature_names_in_",
    ):  # fmt: skip
        if hasattr(model, name):
            value = getattr(model, name)
            setattr(theirs, name, list(value) if isinstance(value, list) else value)
    theirs._no_improvement_count = model._record.no_improvement
    theirs._random_state = np.random.mtrand._rand
    if classifies:
        theirs._label_binarizer = model._labels.binarizer()
        theirs.classes_ = model.classes_
    return theirs
