"""Networks that classify and networks that regress: their targets, heads and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import column_or_1d

from mmlfast.api.head_losses import r2
from mmlfast.api.labels import Labels
from mmlfast.api.network_estimator import NetworkEstimator
from mmlfast.api.network_inputs import narrowed


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """A network whose outputs are probabilities of classes."""

    _losses = ("log_loss",)
    # scikit-learn's has this attribute too, though it is no parameter.
    loss = "log_loss"
    _multilabel = True
    _labels: Labels

    def _target(
        self, y: Any, *, fresh: bool = False, classes: Any = None, refit: bool = False
    ) -> Any:
        if y.ndim == 2 and (y.shape[1] == 1 or not self._multilabel):
            y = column_or_1d(y, warn=True)
        if fresh:
            self._labels = Labels.of(y, classes)
            self.classes_ = self._labels.classes
            refit = False
        if not fresh or classes is not None:
            self._labels.check_known(y, all_of_them=refit)
        return y

    def _encode(self, y: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        return self._labels.encode(y, dtype)

    def _head(self) -> str:
        return self._labels.head

    def _score(self, outputs: NDArray[Any], Y: NDArray[Any], weight: Any) -> float:
        return self._labels.score(outputs, Y, weight)

    def _weight(self, weight: Any, y: Any, incremental: bool) -> Any:
        if self.class_weight is None:
            return weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all of y, which partial_fit does not see. Pass a "
                "dict of weights, such as dict(zip(classes, sklearn.utils.compute_class_weight("
                "'balanced', classes=classes, y=y)))."
            )
        each = self._labels.class_weights(self.class_weight, y, weight)
        weight = each if weight is None else each * weight
        if not (incremental or weight.any()):
            raise ValueError(
                f"class_weight={self.class_weight!r} leaves no sample of y a weight above 0."
            )
        return weight

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Any:
        if classes is not None:
            classes = np.unique(classes)
        if "_labels" not in self.__dict__:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
        elif classes is not None and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    def _predictions(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return self._labels.decode(outputs)

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of largest probability.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or what a source can be

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_classes) of 0 and 1 for multilabel targets
        """
        return self._predictions(self._outputs(X))

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, in the order of `classes_`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or what a source can be

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Rows sum to 1, except for multilabel targets.
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self._labels.kind == "binary" else outputs

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or what a source can be

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        p = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(p, out=p)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self._multilabel
        return tags


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """A network whose outputs are the targets, or with the Poisson loss their means."""

    _losses = ("squared_error", "poisson")

    def _target(
        self, y: Any, *, fresh: bool = False, classes: Any = None, refit: bool = False
    ) -> Any:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = y.astype(np.float64) if y.dtype.kind == "O" else y
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError(
                f"loss='poisson' needs y of at least 0, as counts are; got {y.min()}. Use "
                "loss='squared_error'."
            )
        if not fresh and self._network.sizes[-1] != (1 if y.ndim == 1 else y.shape[1]):
            raise ValueError(
                f"y must have {self._network.sizes[-1]} columns, as in the fit before; got shape "
                f"{y.shape}."
            )
        return y

    def _encode(self, y: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        return narrowed(y.reshape(len(y), -1), dtype, "y")

    def _head(self) -> str:
        logistic = getattr(self, "out_activation", "identity") == "logistic"
        if self.loss == "poisson":
            if logistic:
                raise ValueError(
                    "loss='poisson' has an output of its own, eᶻ; got out_activation='logistic'. "
                    "Use loss='squared_error', or leave out_activation='identity'."
                )
            return "poisson"
        return "squared_logistic" if logistic else "identity"

    def _score(self, outputs: NDArray[Any], Y: NDArray[Any], weight: Any) -> float:
        return r2(outputs, Y, weight)

    def _predictions(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def predict(self, X: Any) -> NDArray[Any]:
        """The targets that the model expects.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or what a source can be

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        return self._predictions(self._outputs(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
