"""Training of networks: the same start, the same batches in the same order, Adam in float32.

error: how far the loss after training lies from that of plain numpy, relative.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from benchmarks.case import Call, Case, Contestant, Size

RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
Weights = list[np.ndarray]


class Task(NamedTuple):
    """A network to be trained."""

    X: np.ndarray
    labels: np.ndarray
    hidden: tuple[int, ...]
    batch_size: int
    epochs: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of every layer."""
        return (self.X.shape[1], *self.hidden, 10)

    def start(self) -> tuple[Weights, Weights]:
        """The weights and biases that scikit-learn and mmlfast draw for random_state=0."""
        random = np.random.RandomState(0)
        weights, biases = [], []
        for n_in, n_out in pairwise(self.sizes):
            bound = np.sqrt(6 / (n_in + n_out))
            weights.append(random.uniform(-bound, bound, (n_in, n_out)).astype(np.float32))
            biases.append(random.uniform(-bound, bound, n_out).astype(np.float32))
        return weights, biases


@lru_cache(maxsize=2)
def digits(n: int, hidden: tuple[int, ...], batch_size: int, epochs: int) -> Task:
    """The first n of scikit-learn's 8 × 8 digits, in [0, 1]."""
    from sklearn.datasets import load_digits

    X, labels = load_digits(return_X_y=True)
    return Task((X[:n] / 16).astype(np.float32), labels[:n], hidden, batch_size, epochs)


@lru_cache(maxsize=2)
def pictures(n: int, hidden: tuple[int, ...], batch_size: int, epochs: int) -> Task:
    """n noisy pictures of 28 × 28 pixels in ten classes, a third of them with a wrong label.

    Without those the loss falls to nothing, and two losses near 0 are never within 1 %.
    """
    random = np.random.default_rng(0)
    labels = np.arange(n) % 10
    X = random.random((10, 784), np.float32)[labels] + random.random((n, 784), np.float32)
    wrong = random.random(n) < 1 / 3
    labels[wrong] = random.integers(0, 10, wrong.sum())
    return Task(X / 2, labels, hidden, batch_size, epochs)


def loss_of(task: Task, weights: Weights, biases: Weights) -> float:
    """Mean cross-entropy over all samples, in float64."""
    A = task.X.astype(np.float64)
    for i, (W, b) in enumerate(zip(weights, biases, strict=True)):
        A = A @ np.asarray(W, np.float64) + np.asarray(b, np.float64)
        if i < len(weights) - 1:
            A = np.maximum(A, 0)
    A -= A.max(axis=1, keepdims=True)
    logs = A - np.log(np.exp(A).sum(axis=1, keepdims=True))
    return float(-logs[np.arange(len(A)), task.labels].mean())


def train_in_numpy(task: Task) -> tuple[Weights, Weights]:
    """The specification: forward, backward and Adam, written out."""
    weights, biases = task.start()
    parameters = [*weights, *biases]
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    one_hot = np.eye(10, dtype=np.float32)[task.labels]
    t = 0
    for _ in range(task.epochs):
        for lo in range(0, len(task.X), task.batch_size):
            Y = one_hot[lo : lo + task.batch_size]
            values = [task.X[lo : lo + task.batch_size]]
            for W, b in zip(weights, biases, strict=True):
                Z = values[-1] @ W + b
                values.append(np.maximum(Z, 0))
            E = np.exp(Z - Z.max(axis=1, keepdims=True))
            delta = (E / E.sum(axis=1, keepdims=True) - Y) / len(Y)
            W_gradients, b_gradients = [], []
            for i in reversed(range(len(weights))):
                W_gradients.insert(0, values[i].T @ delta)
                b_gradients.insert(0, delta.sum(axis=0))
                delta = (delta @ weights[i].T) * (values[i] > 0)
            t += 1
            rate = np.float32(RATE * np.sqrt(1 - BETA_2**t) / (1 - BETA_1**t))
            for p, g, m, v in zip(
                parameters, W_gradients + b_gradients, first, second, strict=True
            ):
                m += np.float32(1 - BETA_1) * (g - m)
                v += np.float32(1 - BETA_2) * (g * g - v)
                p -= rate * m / (np.sqrt(v) + np.float32(EPSILON))
    return weights, biases


@lru_cache(maxsize=1)
def _expected_loss(key: tuple[Any, ...]) -> float:
    task = _TASKS[key]
    return loss_of(task, *train_in_numpy(task))


_TASKS: dict[tuple[Any, ...], Task] = {}


class Trained(NamedTuple):
    """A network that counted its epochs; rivals that do not return the first two alone."""

    weights: Weights
    biases: Weights
    n_iter: int


def counts(trained: Trained) -> dict[str, float]:
    """Passes through all samples."""
    return {"epochs": float(trained.n_iter)}


def loss_error(result: Trained | tuple[Weights, Weights], task: Task) -> float:
    """|loss − loss of numpy| / loss of numpy."""
    key = (len(task.X), task.hidden, task.batch_size, task.epochs)
    _TASKS[key] = task
    expected = _expected_loss(key)
    loss = loss_of(task, *result[:2])
    return abs(loss - expected) / expected if np.isfinite(loss) else np.inf


def fit(estimator: Any, task: Task) -> Trained:
    """Fit a scikit-learn estimator that stops because it is told to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(task.X, task.labels)
    return Trained(estimator.coefs_, estimator.intercepts_, estimator.n_iter_)


def estimator_of(kind: Any) -> Call:
    """`fit` of scikit-learn's or mmlfast's MLPClassifier with the parameters they share."""

    def call(task: Task) -> Trained:
        model = kind(
            task.hidden, batch_size=task.batch_size, max_iter=task.epochs, alpha=0.0,
            shuffle=False, tol=0.0, n_iter_no_change=task.epochs + 1, random_state=0,
            learning_rate_init=RATE,
        )  # fmt: skip
        return fit(model, task)

    return call


def ours() -> Call:
    """`mmlfast.MLPClassifier`."""
    import mmlfast

    return estimator_of(mmlfast.MLPClassifier)


def sklearn_mlp() -> Call:
    """scikit-learn's MLPClassifier."""
    from sklearn.neural_network import MLPClassifier

    return estimator_of(MLPClassifier)


def torch_mlp() -> Call:
    """PyTorch, eager; its Adam fused into one call, the fastest of its three."""
    import torch
    from torch.nn import functional

    def call(task: Task) -> tuple[Weights, Weights]:
        weights, biases = (
            [torch.tensor(p, requires_grad=True) for p in part] for part in task.start()
        )
        adam = torch.optim.Adam([*weights, *biases], RATE, (BETA_1, BETA_2), EPSILON, fused=True)
        X, labels = torch.from_numpy(task.X), torch.from_numpy(task.labels)
        for _ in range(task.epochs):
            for lo in range(0, len(X), task.batch_size):
                A = X[lo : lo + task.batch_size]
                for W, b in zip(weights[:-1], biases[:-1], strict=True):
                    A = torch.relu(torch.addmm(b, A, W))
                Z = torch.addmm(biases[-1], A, weights[-1])
                loss = functional.cross_entropy(Z, labels[lo : lo + task.batch_size])
                adam.zero_grad()
                loss.backward()
                adam.step()
        return [W.detach().numpy() for W in weights], [b.detach().numpy() for b in biases]

    return call


def jax_mlp() -> Call:
    """JAX: the whole training one jitted function, scans over epochs and batches."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    def loss(parameters: Any, X: Any, Y: Any) -> Any:
        weights, biases = parameters
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            X = jax.nn.relu(X @ W + b)
        logits = jax.nn.log_softmax(X @ weights[-1] + biases[-1])
        return -(Y * logits).sum() / len(Y)

    def step(state: Any, batch: Any) -> Any:
        parameters, first, second, t = state
        gradient = jax.grad(loss)(parameters, *batch)
        t = t + 1
        rate = RATE * jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, first, gradient)
        second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, second, gradient)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), parameters, first, second
        )
        return (parameters, first, second, t), None

    @partial(jax.jit, static_argnums=3)
    def train(parameters: Any, X: Any, Y: Any, epochs: int) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, parameters)

        def epoch(state: Any, _: Any) -> Any:
            return lax.scan(step, state, (X, Y))[0], None

        state = (parameters, zeros, zeros, jnp.float32(0))
        return lax.scan(epoch, state, None, length=epochs)[0][0]

    kept: dict[int, Any] = {}

    def call(task: Task) -> tuple[Weights, Weights]:
        if id(task) not in kept:
            kept.clear()
            shape = (-1, task.batch_size)
            Y = np.eye(10, dtype=np.float32)[task.labels]
            kept[id(task)] = (
                task,
                jax.device_put(task.X.reshape(*shape, task.X.shape[1])),
                jax.device_put(Y.reshape(*shape, 10)),
                jax.device_put(task.start()),
            )
        _, X, Y, start = kept[id(task)]
        weights, biases = jax.block_until_ready(train(start, X, Y, task.epochs))
        return [np.asarray(W) for W in weights], [np.asarray(b) for b in biases]

    return call


def network_case(
    data: Callable[..., Task], hidden: tuple[int, ...], batch_size: int, batches: int, epochs: int,
    bar: dict[str, float], *, quick: bool = False,
) -> Case:  # fmt: skip
    """Training of a network on `batches` whole batches, several times over."""

    def inputs(size: Size) -> Task:
        if size == "tiny":
            return data(2 * batch_size, hidden, batch_size, 1)
        return data(batches * batch_size, hidden, batch_size, epochs)

    rivals: dict[str, Contestant] = {"jax": jax_mlp, "torch": torch_mlp, "sklearn": sklearn_mlp}
    n_in = 64 if data is digits else 784
    sizes = (n_in, *hidden, 10)
    products = [a * b for a, b in pairwise(sizes)]
    steps = batches * epochs * batch_size
    return Case(
        name=f"mlp_{'-'.join(map(str, sizes))}_batch{batch_size}",
        group="networks",
        inputs=inputs,
        ours=ours,
        rivals=rivals,
        check=loss_error,
        tolerance=0.01,
        flops=2.0 * steps * (3 * sum(products) - products[0]),
        bar=bar,
        counts=counts,
        quick=quick,
    )


ALL = ("jax", "torch", "sklearn")
CASES = [
    network_case(
        digits, (32,), 32, 56, 100, {"jax": 2.0, "torch": 10.0, "sklearn": 8.0}, quick=True
    ),
    network_case(digits, (100,), 200, 8, 100, {"jax": 2.0, "torch": 4.0, "sklearn": 4.0}),
    network_case(pictures, (256, 128), 128, 100, 2, dict.fromkeys(ALL, 1.2)),
    network_case(pictures, (1024, 1024), 512, 10, 3, dict.fromkeys(ALL, 1.0)),
]  # fmt: skip
