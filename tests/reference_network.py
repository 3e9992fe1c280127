"""A dense network and its training, written to be read: the specification of the kernels.

Samples are rows.  Z_l = A_{l−1} W_l + b_l, A_l = f_l(Z_l), A_0 = X; the last f is the head's, and
every head is paired with the loss L for which ∂L/∂Z_L = (A_L − Y)/Σ weight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse
from scipy.special import erf, expit, xlogy

LEAK = 0.01
TANH_GELU = np.sqrt(2 / np.pi), 0.044715


def normal_density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def gelu_tanh_slope(z):
    a, b = TANH_GELU
    t = np.tanh(a * (z + b * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t**2) * a * (1 + 3 * b * z**2)


# name → (f, f′), both functions of z
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "logistic": (expit, lambda z: expit(z) * expit(-z)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "leaky_relu": (lambda z: np.where(z > 0, z, LEAK * z), lambda z: np.where(z > 0, 1.0, LEAK)),
    "gelu": (
        lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
        lambda z: (1 + erf(z / np.sqrt(2))) / 2 + z * normal_density(z),
    ),
    "gelu_tanh": (
        lambda z: z / 2 * (1 + np.tanh(TANH_GELU[0] * (z + TANH_GELU[1] * z**3))),
        gelu_tanh_slope,
    ),
    "softplus": (lambda z: np.logaddexp(0, z), expit),
}


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def clipped(p):
    """Probabilities kept off 0 and 1, as scikit-learn's log losses do."""
    eps = np.finfo(p.dtype).eps
    return np.clip(p, eps, 1 - eps)


# head → (f, loss of each sample): outputs are summed
HEADS = {
    "identity": (lambda z: z, lambda y, a: ((y - a) ** 2).sum(axis=1) / 2),
    "logistic": (
        expit,
        lambda y, a: -(xlogy(y, clipped(a)) + xlogy(1 - y, 1 - clipped(a))).sum(axis=1),
    ),
    "softmax": (softmax, lambda y, a: -xlogy(y, clipped(a)).sum(axis=1)),
    "squared_logistic": (expit, lambda y, a: ((y - a) ** 2).sum(axis=1) / 2),
    "poisson": (np.exp, lambda y, a: (xlogy(y, y / a) - y + a).sum(axis=1)),
}

OPTIMIZERS = ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")


class Gradients(NamedTuple):
    loss: float
    coefs: list
    intercepts: list
    inputs: np.ndarray


class Network:
    def __init__(self, sizes, activations, head, dtype):
        self.sizes, self.activations, self.head = tuple(sizes), tuple(activations), head
        self.dtype = np.dtype(dtype)
        self.n_layers = len(self.sizes) - 1
        count = sum((a + 1) * b for a, b in zip(self.sizes, self.sizes[1:], strict=False))
        self.flat = np.zeros(count, self.dtype)

    def views(self, flat):
        """The matrices and the vectors that lie in a buffer shaped like the parameters."""
        coefs, intercepts, at = [], [], 0
        for a, b in zip(self.sizes, self.sizes[1:], strict=False):
            coefs.append(flat[at : at + a * b].reshape(a, b))
            intercepts.append(flat[at + a * b : at + (a + 1) * b])
            at += (a + 1) * b
        return coefs, intercepts

    @property
    def coefs(self):
        return self.views(self.flat)[0]

    @property
    def intercepts(self):
        return self.views(self.flat)[1]

    def copy_parameters(self):
        return self.flat.copy()

    def set_parameters(self, flat):
        self.flat[:] = flat

    def forward(self, X, *, n_jobs=None, masks=None):
        """[Z_1, A_1, …, Z_L, A_L]; masks[l] multiplies the A of hidden layer l."""
        A, found = dense(X, self.dtype), []
        for layer in range(self.n_layers):
            Z = A @ self.coefs[layer] + self.intercepts[layer]
            last = layer == self.n_layers - 1
            f = HEADS[self.head][0] if last else ACTIVATIONS[self.activations[layer]][0]
            A = np.asarray(f(Z), self.dtype)
            if masks is not None and not last:
                A = A * masks[layer]
            found += [Z, A]
        return found

    def predict(self, X, *, n_jobs=None):
        return self.forward(X)[-1]

    def loss(self, X, Y, weight=None, *, alpha=0.0):
        return self.gradients(X, Y, weight, alpha=alpha).loss

    def gradients(self, X, Y, weight=None, *, alpha=0.0, masks=None):
        X = dense(X, self.dtype)
        found = self.forward(X, masks=masks)
        weight = np.ones(len(X), self.dtype) if weight is None else np.asarray(weight, self.dtype)
        total = weight.sum()
        losses = HEADS[self.head][1](Y, found[-1])
        squares = sum(float((W**2).sum()) for W in self.coefs)
        loss = float((weight * losses).sum() / total + alpha / 2 * squares / total)

        delta = (found[-1] - Y) * weight[:, None]
        if self.head == "squared_logistic":
            delta = delta * found[-1] * (1 - found[-1])
        coefs, intercepts = [], []
        for layer in reversed(range(self.n_layers)):
            A = X if layer == 0 else found[2 * layer - 1]
            coefs.insert(0, (A.T @ delta + alpha * self.coefs[layer]) / total)
            intercepts.insert(0, delta.sum(axis=0) / total)
            delta = delta @ self.coefs[layer].T
            if layer:
                slope = ACTIVATIONS[self.activations[layer - 1]][1](found[2 * layer - 2])
                delta = delta * slope.astype(self.dtype)
                if masks is not None:
                    delta = delta * masks[layer - 1]
        return Gradients(loss, coefs, intercepts, delta / total)


class EpochReport(NamedTuple):
    loss: float
    gradient_norm: float
    failed: int


class EpochsReport(NamedTuple):
    losses: np.ndarray
    gradient_norms: np.ndarray
    failed: int
    best_loss: float
    no_improvement: int


class Trainer:
    def __init__(
        self, network, optimizer="adam", *, batch_size, alpha=0.0, beta_1=0.9, beta_2=0.999,
        epsilon=1e-8, weight_decay=0.0, dropout=0.0, seed=0, mean_penalty=False, intercepts=True,
        n_jobs=None,
    ):  # fmt: skip
        self.network, self.optimizer, self.batch_size = network, optimizer, batch_size
        self.alpha, self.weight_decay = alpha, weight_decay
        self.mean_penalty, self.intercepts = mean_penalty, intercepts
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.dropout, self.seed = dropout, seed
        self.rng = np.random.default_rng(seed)
        self.t = 0
        self.first = np.zeros_like(network.flat)
        self.second = np.zeros_like(network.flat)
        # Weights are decayed, intercepts are not.
        self.decayed = np.zeros(len(network.flat), bool)
        for W in network.views(self.decayed)[0]:
            W[...] = True

    def prepare(self, X, Y, weight=None):
        self.X, self.Y, self.weight = X, Y, weight

    def release(self):
        self.X = self.Y = self.weight = None

    def _masks(self, rows):
        """Inverted dropout: a unit is kept with probability 1 − p and then scaled by 1/(1 − p)."""
        n_hidden = self.network.n_layers - 1
        rates = np.broadcast_to(self.dropout, n_hidden)
        if not np.any(rates):
            return None
        return [
            ((self.rng.random((rows, units)) >= p) / (1 - p)).astype(self.network.dtype)
            for p, units in zip(rates, self.network.sizes[1:-1], strict=True)
        ]

    def epoch(self, order, learning_rate):
        total = squares = 0.0
        for batch, lo in enumerate(range(0, len(order), self.batch_size)):
            rows = order[lo : lo + self.batch_size]
            weight = np.ones(len(rows)) if self.weight is None else self.weight[rows]
            self.t += 1
            if weight.sum() == 0:
                continue
            # The penalty is a term of the batch's summed loss, or of its mean.
            alpha = self.alpha * (weight.sum() if self.mean_penalty else 1)
            found = self.network.gradients(
                self.X[rows], self.Y[rows], weight, alpha=alpha, masks=self._masks(len(rows))
            )
            g = np.empty_like(self.network.flat)
            coefs, intercepts = self.network.views(g)
            for view, part in zip(
                coefs + intercepts, found.coefs + found.intercepts, strict=True
            ):
                view[...] = part
            if not self.intercepts:
                g = np.where(self.decayed, g, 0)
            norm = float((g.astype(float) ** 2).sum())
            if not np.isfinite(found.loss) or not np.isfinite(norm):
                return EpochReport(total / max(lo, 1), np.sqrt(squares / max(batch, 1)), batch)
            self.step(g, learning_rate)
            total += found.loss * len(rows)
            squares += norm
        return EpochReport(total / len(order), float(np.sqrt(squares / (batch + 1))), -1)

    def step(self, g, rate):
        """One step of the optimiser along the gradient g, on all parameters."""
        p, m, v = self.network.flat, self.first, self.second
        b1, b2 = self.beta_1, self.beta_2
        # Loshchilov and Hutter, 2019: by the rate itself, Adam's too.
        p -= rate * self.weight_decay * np.where(self.decayed, p, 0)
        if self.optimizer == "gd":
            p -= rate * g
        elif self.optimizer in ("momentum", "nesterov"):
            m[:] = b1 * m - rate * g
            p += m if self.optimizer == "momentum" else b1 * m - rate * g
        elif self.optimizer == "adagrad":
            v += g * g
            p -= rate * g / (np.sqrt(v) + self.epsilon)
        elif self.optimizer == "rmsprop":
            v[:] = b2 * v + (1 - b2) * g * g
            p -= rate * g / (np.sqrt(v) + self.epsilon)
        elif self.optimizer == "adam":
            m[:] = b1 * m + (1 - b1) * g
            v[:] = b2 * v + (1 - b2) * g * g
            corrected = rate * np.sqrt(1 - b2**self.t) / (1 - b1**self.t)
            p -= corrected * m / (np.sqrt(v) + self.epsilon)

    def epochs(
        self, n_epochs, learning_rate, *, best_loss, no_improvement, tol, n_iter_no_change
    ):  # fmt: skip
        """Full batches until n_epochs are done, a batch fails, or the loss no longer improves."""
        losses, norms, failed = [], [], -1
        order = np.arange(len(self.Y))
        for done in range(n_epochs):
            report = self.epoch(order, learning_rate)
            if report.failed >= 0:
                failed = done
                break
            losses.append(report.loss)
            norms.append(report.gradient_norm)
            no_improvement = no_improvement + 1 if report.loss > best_loss - tol else 0
            best_loss = min(best_loss, report.loss)
            if no_improvement > n_iter_no_change:
                break
        return EpochsReport(np.array(losses), np.array(norms), failed, best_loss, no_improvement)


def dense(X, dtype):
    X = X.toarray() if scipy.sparse.issparse(X) else np.asarray(X)
    return X.astype(dtype, copy=False)
