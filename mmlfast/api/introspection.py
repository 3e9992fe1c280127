"""Looking inside a fitted network: activations, gradients by weight and input, and their proof."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.gradient_check import GradientCheck, check_gradient
from mmlfast.api.network import Gradients
from mmlfast.api.network_inputs import open_samples


class Forward(NamedTuple):
    """Z_l = A_{l−1} W_l + b_l and A_l = f_l(Z_l) of all layers.

    Attributes
    ----------
    pre_activations : list of ndarray of shape (n_samples, n_l)
        Z_1 … Z_L.
    activations : list of ndarray of shape (n_samples, n_l)
        A_0 = X, A_1 … A_L.
    """

    pre_activations: list[NDArray[Any]]
    activations: list[NDArray[Any]]


class Introspection:
    """Mixin for estimators that hold a network."""

    _network: Any
    _checked: Any
    _outputs: Any
    _target: Any
    _encode: Any
    alpha: float
    n_jobs: Any

    def forward(self, X: Any, *, return_all: bool = False) -> NDArray[Any] | Forward:
        """What the network makes of X: its outputs, or with `return_all` every layer's.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        return_all : bool, default=False

        Returns
        -------
        ndarray of shape (n_samples, n_outputs), or Forward
            A_L; or all Z and A.
        """
        if not return_all:
            outputs: NDArray[Any] = self._outputs(X)
            return outputs
        X = self._checked(X)
        found = self._network.forward(X, n_jobs=self.n_jobs)
        return Forward(found[0::2], [X, *found[1::2]])

    def gradients(self, X: Any, y: Any, sample_weight: Any = None) -> Gradients:
        """∂L/∂W_l, ∂L/∂b_l and ∂L/∂X of the loss that training lowers, in one pass.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        Gradients
            A NamedTuple of `loss` (the mean over the samples and the penalty), lists `coefs` and
            `intercepts` shaped as coefs_ and intercepts_, and `inputs` shaped as X.
        """
        X, Y = self._samples(X, y)
        weight, total = None, len(Y)
        if sample_weight is not None:
            weight = np.ascontiguousarray(sample_weight, Y.dtype)
            if weight.shape != (len(Y),):
                raise ValueError(
                    f"sample_weight must have shape ({len(Y)},); got {weight.shape}."
                )
            total = weight.sum()
        return self._network.gradients(
            X, Y, weight, alpha=self._penalty(total), n_jobs=self.n_jobs
        )

    def input_gradient(self, X: Any, y: Any = None, *, output: Any = None) -> NDArray[Any]:
        """How each sample's loss, or an output, changes with its features.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            If given, row i is ∂L_i/∂x_i of the sample's own loss, without penalty.
        output : class label or int, default=None
            Without y, row i is ∂z/∂x_i of this output before the head's function: of a class, by
            its label, or of a target, by its number.  None is the class predicted for the sample,
            or the only target.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        if y is not None:
            X, Y = self._samples(X, y)
            return self._network.gradients(X, Y, n_jobs=self.n_jobs).inputs * len(Y)
        X = self._checked(X)
        outputs = self._network.predict(X, n_jobs=self.n_jobs)
        return self._network.input_gradients(X, self._asked(outputs, output), n_jobs=self.n_jobs)

    def gradient_check(
        self, X: Any, y: Any, tol: float = 1e-6, *, max_weights: int = 2000
    ) -> GradientCheck:
        """Whether the gradient is that of the loss: central differences of it, in float64.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            A few dozen samples are enough.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        tol : float, default=1e-6
            The largest difference, relative to the gradient's largest entry, that is no error.
        max_weights : int, default=2000
            Of a larger network so many parameters are checked, spread evenly over all.

        Returns
        -------
        GradientCheck
            `ok`, the largest `error`, and where it stands.
        """
        X, Y = self._samples(X, y)
        return check_gradient(
            self._network, X, Y, alpha=self._penalty(len(Y)), tol=tol, max_weights=max_weights
        )

    def _penalty(self, total: float) -> float:
        """λ of the penalty λ/2 Σ ‖W‖² beside a loss summed over samples of this total weight."""
        return self.alpha

    def _samples(self, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self)
        with open_samples(self, X, y, reset=False, once=True) as samples:
            if samples.X is None:
                raise ValueError("X must fit in memory here. Pass some of its rows.")
            y = self._target(samples.y)
            return samples.X, self._encode(y, self._network.dtype)

    def _asked(self, outputs: NDArray[Any], output: Any) -> NDArray[Any]:
        """E with 1 where an output is asked for; −1 for the first of two classes, which is −z."""
        E = np.zeros_like(outputs)
        labels = getattr(self, "_labels", None)
        if labels is None:
            if output is None and E.shape[1] > 1:
                raise ValueError(
                    f"output must be one of 0 … {E.shape[1] - 1} where there are several targets."
                )
            E[:, self._number(0 if output is None else output, E.shape[1])] = 1
        elif labels.kind == "binary":
            if output is None:
                E[:, 0] = np.where(outputs[:, 0] > 0.5, 1, -1)
            else:
                E[:, 0] = 2 * self._class_number(output) - 1
        elif output is None:
            E[np.arange(len(E)), outputs.argmax(axis=1)] = 1
        else:
            E[:, self._class_number(output)] = 1
        return E

    def _class_number(self, label: Any) -> int:
        classes = self._labels.classes  # type: ignore[attr-defined]
        found = np.flatnonzero(classes == label) if np.ndim(label) == 0 else None
        if found is None or len(found) != 1:
            raise ValueError(
                f"output must be one of the classes {classes}; got {label!r}."
            )
        return int(found[0])

    @staticmethod
    def _number(output: Any, count: int) -> int:
        if isinstance(output, bool) or not isinstance(output, int | np.integer):
            raise ValueError(f"output must be the number of a target; got {output!r}.")
        if not 0 <= output < count:
            raise ValueError(f"output must be one of 0 … {count - 1}; got {output}.")
        return int(output)
