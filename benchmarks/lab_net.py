"""The lab's net: 1-6-7-2, logistic, all points at once, by steepest descent in float64.

error: how far the cost after training lies from that of plain numpy, relative.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from benchmarks.case import Call, Case, Size

Weights = list[np.ndarray]

ITERATIONS, POINTS, AGGRESSION = 50_000, 100, 7.0


class Curve(NamedTuple):
    """The lab's task: a closed curve y(x), and a start."""

    x: np.ndarray
    y: np.ndarray
    iterations: int

    def start(self) -> tuple[Weights, Weights]:
        """What MLPRegressor draws for random_state=0; as in the lab, a column for each input."""
        random = np.random.RandomState(0)
        weights, biases = [], []
        for n_in, n_out in pairwise((1, 6, 7, 2)):
            bound = np.sqrt(2 / (n_in + n_out))
            weights.append(random.uniform(-bound, bound, (n_in, n_out)).T)
            biases.append(random.uniform(-bound, bound, n_out)[:, None])
        return weights, biases


@lru_cache(maxsize=2)
def curve(size: Size) -> Curve:
    """A heart in the unit square, seen at POINTS moments."""
    x = np.arange(POINTS) / POINTS
    t = 2 * np.pi * x
    across = np.sin(t) ** 3
    along = (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
    y = 0.5 + 0.4 * np.stack([across, along])
    return Curve(x[None], y, 20 if size == "tiny" else ITERATIONS)


class Cost(NamedTuple):
    """The cost after training, and the epochs it took."""

    cost: float
    n_iter: int


def counts(trained: Cost) -> dict[str, float]:
    """Passes through all points."""
    return {"epochs": float(trained.n_iter)}


def ours_curve() -> Call:
    """`mmlfast.MLPRegressor` with logistic output, all points at once."""
    import mmlfast

    def call(task: Curve) -> Cost:
        model = mmlfast.MLPRegressor(
            hidden_layer_sizes=(6, 7), activation="logistic", out_activation="logistic",
            solver="gd", alpha=0.0, learning_rate_init=2 * AGGRESSION, batch_size=POINTS,
            max_iter=task.iterations, tol=0.0, n_iter_no_change=task.iterations + 1,
            shuffle=False, random_state=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(task.x.T, task.y.T)
        cost = float(((model.predict(task.x.T) - task.y.T) ** 2).sum() / POINTS)
        return Cost(cost, model.n_iter_)

    return call


def lab_curve() -> Call:
    """The lab's functions, each of which runs the network anew."""
    from tests import reference_lab as lab

    def call(task: Curve) -> Cost:
        net = lab.train(task.x, task.y, *task.start(), task.iterations, AGGRESSION)
        return Cost(lab.cost(net, task.x, task.y), task.iterations)

    return call


@lru_cache(maxsize=1)
def expected_cost(iterations: int) -> float:
    """The cost after training with gradients in one pass, in plain numpy."""
    task = curve("tiny") if iterations < ITERATIONS else curve("normal")
    weights, biases = task.start()
    for _ in range(iterations):
        values = [task.x]
        for W, b in zip(weights, biases, strict=True):
            values.append(1 / (1 + np.exp(-(W @ values[-1] + b))))
        delta = 2 * (values[-1] - task.y)
        for i in (2, 1, 0):
            delta = delta * values[i + 1] * (1 - values[i + 1])
            back = weights[i].T @ delta
            weights[i] = weights[i] - AGGRESSION * (delta @ values[i].T) / POINTS
            biases[i] = biases[i] - AGGRESSION * delta.mean(axis=1, keepdims=True)
            delta = back
    A = task.x
    for W, b in zip(weights, biases, strict=True):
        A = 1 / (1 + np.exp(-(W @ A + b)))
    return float(((A - task.y) ** 2).sum() / POINTS)


def cost_error(trained: Cost, task: Curve) -> float:
    """|cost − cost of plain numpy| / cost of plain numpy."""
    cost, expected = trained.cost, expected_cost(task.iterations)
    return abs(cost - expected) / expected if np.isfinite(cost) else np.inf


CASES = [
    Case(
        name="lab_net_1-6-7-2",
        group="networks",
        inputs=curve,
        ours=ours_curve,
        rivals={"lab": lab_curve},
        check=cost_error,
        tolerance=0.01,
        bar={"lab": 50.0},
        counts=counts,
    ),
]
