"""Multi-layer perceptrons: what the classifier and the regressor share."""

from __future__ import annotations

from typing import Any

from mmlfast.api.initial_weights import draw_weights
from mmlfast.api.introspection import Introspection
from mmlfast.api.network import Network
from mmlfast.api.network_estimator import NetworkEstimator
from mmlfast.api.network_file import StoredNetwork
from mmlfast.api.network_settings import activations_of, dropouts_of, hidden_sizes
from mmlfast.api.sklearn_mlp import to_sklearn


class MultilayerPerceptron(Introspection, StoredNetwork, NetworkEstimator):
    """Hidden layers of given sizes and activations, started at random."""

    def _hidden(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        sizes = hidden_sizes(self.hidden_layer_sizes)
        dropouts_of(self.dropout, len(sizes))
        return sizes, activations_of(self.activation, len(sizes))

    def _initialize(self, network: Network, random_state: Any) -> None:
        names = network.activations
        if not names:
            # No hidden layer: scikit-learn's bound still goes by the name of the activation.
            names = (self.activation if isinstance(self.activation, str) else "identity",)
        else:
            names = (*names, names[-1])
        draw_weights(network, names, random_state)

    def to_sklearn(self) -> Any:
        """A fitted estimator of scikit-learn's with these weights, for its exporters and tools.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            Predicts the same.  Its parameters are this model's as far as it knows them; a solver
            it does not have becomes its default.

        Raises
        ------
        ValueError
            The hidden layers differ in activation, or have one that scikit-learn lacks.
        """
        return to_sklearn(self)
