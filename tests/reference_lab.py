"""The course's backpropagation lab as a learner writes it, in our own words: the 1-6-7-2 network.

A sample is a column.  Each of the six functions J_W3 … J_b1 runs the network anew, as the lab's do:
that costs six forward passes for one step.
"""

from __future__ import annotations

import numpy as np


def sigma(z):
    return 1 / (1 + np.exp(-z))


def d_sigma(z):
    return np.cosh(z / 2) ** (-2) / 4


def network_function(net, a0):
    (W1, W2, W3), (b1, b2, b3) = net
    z1 = W1 @ a0 + b1
    a1 = sigma(z1)
    z2 = W2 @ a1 + b2
    a2 = sigma(z2)
    z3 = W3 @ a2 + b3
    a3 = sigma(z3)
    return a0, z1, a1, z2, a2, z3, a3


def cost(net, x, y):
    return np.linalg.norm(network_function(net, x)[-1] - y) ** 2 / x.size


def J_W3(net, x, y):
    _, _, _, _, a2, z3, a3 = network_function(net, x)
    J = 2 * (a3 - y)
    J = J * d_sigma(z3)
    return J @ a2.T / x.size


def J_b3(net, x, y):
    _, _, _, _, _, z3, a3 = network_function(net, x)
    J = 2 * (a3 - y)
    J = J * d_sigma(z3)
    return np.sum(J, axis=1, keepdims=True) / x.size


def J_W2(net, x, y):
    _, _, a1, z2, _, z3, a3 = network_function(net, x)
    J = 2 * (a3 - y)
    J = J * d_sigma(z3)
    J = (J.T @ net[0][2]).T
    J = J * d_sigma(z2)
    return J @ a1.T / x.size


def J_b2(net, x, y):
    _, _, _, z2, _, z3, a3 = network_function(net, x)
    J = 2 * (a3 - y)
    J = J * d_sigma(z3)
    J = (J.T @ net[0][2]).T
    J = J * d_sigma(z2)
    return np.sum(J, axis=1, keepdims=True) / x.size


def J_W1(net, x, y):
    a0, z1, _, z2, _, z3, a3 = network_function(net, x)
    J = 2 * (a3 - y)
    J = J * d_sigma(z3)
    J = (J.T @ net[0][2]).T
    J = J * d_sigma(z2)
    J = (J.T @ net[0][1]).T
    J = J * d_sigma(z1)
    return J @ a0.T / x.size


def J_b1(net, x, y):
    _, z1, _, z2, _, z3, a3 = network_function(net, x)
    J = 2 * (a3 - y)
    J = J * d_sigma(z3)
    J = (J.T @ net[0][2]).T
    J = J * d_sigma(z2)
    J = (J.T @ net[0][1]).T
    J = J * d_sigma(z1)
    return np.sum(J, axis=1, keepdims=True) / x.size


def train(x, y, weights, biases, iterations, aggression):
    """Steepest descent: all six steps are taken from the same point."""
    net = [list(weights), list(biases)]
    for _ in range(iterations):
        steps = (
            [J_W1(net, x, y), J_W2(net, x, y), J_W3(net, x, y)],
            [J_b1(net, x, y), J_b2(net, x, y), J_b3(net, x, y)],
        )
        net = [
            [p - aggression * J for p, J in zip(part, step, strict=True)]
            for part, step in zip(net, steps, strict=True)
        ]
    return net
