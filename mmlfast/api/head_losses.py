"""Loss and score of outputs that are there already, for validation.

Each is summed over the outputs and averaged over the samples, so that it is the loss whose gradient
training follows.  scikit-learn's squared error is averaged over the outputs instead, while its
gradient is that of the sum: with several outputs the two differ by that factor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def head_loss(
    head: str, outputs: NDArray[Any], Y: NDArray[Any], weight: NDArray[Any] | None
) -> float:
    """The mean loss that belongs to a head, without penalty; NaN for NaN."""
    from scipy.special import xlogy

    if head in ("identity", "squared_logistic"):
        losses = (outputs - Y) ** 2 / 2
    elif head == "poisson":
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            losses = xlogy(Y, Y / outputs) - Y + outputs
    else:
        eps = np.finfo(outputs.dtype).eps
        p = np.clip(outputs, eps, 1 - eps)
        losses = -xlogy(Y, p)
        if head == "logistic":
            losses -= xlogy(1 - Y, 1 - p)
    return float(np.average(losses.sum(axis=1), weights=weight))


def r2(outputs: NDArray[Any], Y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    """R² = 1 − Σ(y − ŷ)²/Σ(y − ȳ)², averaged over the outputs; NaN for NaN.

    A constant target scores 1 if met exactly, else 0, as scikit-learn has it.
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    Y, outputs = Y.astype(np.float64), outputs.astype(np.float64)
    w = np.ones((len(Y), 1)) if weight is None else np.asarray(weight, np.float64)[:, None]
    left = (w * (Y - outputs) ** 2).sum(axis=0)
    spread = (w * (Y - np.average(Y, axis=0, weights=w[:, 0])) ** 2).sum(axis=0)
    flat = spread == 0
    share = left / np.where(flat, 1.0, spread)
    return float(np.where(flat, left == 0, 1 - share).mean())
