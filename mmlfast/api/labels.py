"""Class labels as columns of an output layer, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

MULTILABEL = "multilabel-indicator"


class Labels:
    """The classes of a problem: which, and what an output layer must say of each.

    - binary: one output, the probability of classes[1]; a logistic head.
    - multiclass: an output for each class; a softmax head.
    - multilabel: an output for each label, any number of them true; a logistic head.
    """

    def __init__(self, kind: str, classes: NDArray[Any]) -> None:
        self.kind, self.classes = kind, classes
        if kind != MULTILABEL and len(classes) < 2:
            raise ValueError(
                "A classifier needs at least two classes; y has only 1 class: "
                f"{classes.tolist()[0]!r}. Pass samples of another class, or use "
                "sklearn.dummy.DummyClassifier."
            )

    @classmethod
    def of(cls, y: Any, classes: Any = None) -> Labels:
        """The labels of a target; `classes` names them where y need not hold all."""
        check_classification_targets(y)
        if type_of_target(y).startswith("multilabel"):
            return cls(MULTILABEL, unique_labels(y))
        return cls.among(unique_labels(y if classes is None else classes))

    @classmethod
    def among(cls, classes: NDArray[Any]) -> Labels:
        """The labels of a problem with one label for each sample."""
        return cls("binary" if len(classes) <= 2 else "multiclass", classes)

    @property
    def n_outputs(self) -> int:
        """Units of the output layer."""
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def head(self) -> str:
        """What the output layer computes."""
        return "softmax" if self.kind == "multiclass" else "logistic"

    def check_known(self, y: Any, *, all_of_them: bool) -> None:
        """ValueError if y has labels that are not among the classes."""
        if (self.kind == MULTILABEL) != (y.ndim == 2):
            raise ValueError(f"y must be {self.kind}, as in the fit before; got shape {y.shape}.")
        if self.kind == MULTILABEL:
            if y.shape[1] != len(self.classes) or not type_of_target(y).startswith("multilabel"):
                raise ValueError(
                    f"y must hold 0 and 1 for each of {len(self.classes)} labels, as in the fit "
                    f"before; got shape {y.shape} and {type_of_target(y)}."
                )
            return
        found = np.unique(y)
        if all_of_them and set(found) != set(self.classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes}, `y` has {found}"
            )
        if len(np.setdiff1d(found, self.classes)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. 'y' "
                f"has {found}."
            )

    def encode(self, y: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """0 and 1 of shape (n_samples, n_outputs)."""
        if self.kind == MULTILABEL:
            y = y.toarray() if issparse(y) else np.asarray(y)
            if not ((y == 0) | (y == 1)).all():
                raise ValueError(
                    f"y of several labels must hold 0 and 1; got {y.min()} … {y.max()}."
                )
            return np.ascontiguousarray(y, dtype)
        index = np.searchsorted(self.classes, y)
        if self.kind == "binary":
            return index.astype(dtype).reshape(-1, 1)
        encoded = np.zeros((len(index), len(self.classes)), dtype)
        encoded[np.arange(len(index)), index] = 1
        return encoded

    def decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """The labels that probabilities of shape (n_samples, n_outputs) stand for."""
        chosen = self._chosen(outputs)
        return chosen.astype(int) if self.kind == MULTILABEL else self.classes[chosen.astype(int)]

    def class_weights(self, class_weight: Any, y: Any, weight: Any) -> NDArray[np.float64]:
        """The weight that each sample's class gives it; "balanced" makes classes weigh alike."""
        if class_weight != "balanced" or self.kind == MULTILABEL:
            each = compute_sample_weight(class_weight, y)
            if not (np.isfinite(each) & (each >= 0)).all():
                raise ValueError(
                    f"class_weight must give finite weights of at least 0; got {class_weight!r}."
                )
            return each
        index = np.searchsorted(self.classes, y)
        total = np.bincount(index, weight, len(self.classes))
        there = total > 0
        shares = np.zeros(len(total))
        shares[there] = total.sum() / (there.sum() * total[there])
        return shares[index]

    def score(self, outputs: NDArray[Any], encoded: NDArray[Any], weight: Any = None) -> float:
        """The share, by weight, of samples whose labels are all right; NaN for NaN."""
        if not np.isfinite(outputs).all():
            return float("nan")
        right = self._chosen(outputs) == self._chosen(encoded)
        if self.kind == MULTILABEL:
            right = right.all(axis=1)
        return float(np.average(right, weights=weight))

    def _chosen(self, outputs: NDArray[Any]) -> NDArray[Any]:
        if self.kind == "multiclass":
            return outputs.argmax(axis=1)
        return (outputs[:, 0] if self.kind == "binary" else outputs) > 0.5

    def binarizer(self) -> Any:
        """scikit-learn's LabelBinarizer, fitted to these classes."""
        from sklearn.preprocessing import LabelBinarizer

        if self.kind == MULTILABEL:
            return LabelBinarizer().fit(np.eye(len(self.classes), dtype=int))
        return LabelBinarizer().fit(self.classes)
