"""The weights a network starts from: uniform, |w| ≤ √(6/(fan in + fan out)).

Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks (2010);
√(2/…) for the logistic function.  Numbers are drawn layer by layer, weights before intercepts, so
that a seed gives the weights it gives in scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def draw_weights(network: Any, activations: tuple[str, ...], random_state: Any) -> None:
    """Overwrite all weights and intercepts of a network.

    `activations` names one for each layer of weights: the output layer counts as the hidden layer
    before it.
    """
    for W, b, activation in zip(network.coefs, network.intercepts, activations, strict=True):
        fan_in, fan_out = W.shape
        bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / (fan_in + fan_out))
        W[...] = random_state.uniform(-bound, bound, (fan_in, fan_out))
        b[...] = random_state.uniform(-bound, bound, fan_out)
