"""The whole-data route: scipy's L-BFGS-B on the loss and gradient of all samples at once.

It works in float64 whatever the network's dtype: with the rounding of float32 in the loss its line
search gives up long before the gradient is small.
"""

from __future__ import annotations

import math
import warnings
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.callbacks import FitTask
from mmlfast.api.epochs import Prepared
from mmlfast.api.layer_list import write_layers
from mmlfast.api.network import Network
from mmlfast.api.training_record import TrainingRecord


def fit_lbfgs(
    estimator: Any, network: Network, record: TrainingRecord, data: Prepared, task: FitTask
) -> int:
    """Overwrite the parameters of a network by those of least loss; returns the iterations."""
    work = Network(network.sizes, network.activations, network.head, np.float64)
    write_layers(_arrays(work), _arrays(network))
    X, Y = data.X, data.Y.astype(np.float64, copy=False)
    weight = None if data.weight is None else data.weight.astype(np.float64, copy=False)
    gradient = np.empty(sum(array.size for array in _arrays(work)))
    latest = best = _packed(work)
    began = perf_counter()
    task.begin("iteration")

    def objective(parameters: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        nonlocal latest
        _unpack(parameters, work)
        found = work.gradients(X, Y, weight, alpha=estimator.alpha, n_jobs=estimator.n_jobs)
        np.concatenate(
            [array.ravel() for array in (*found.coefs, *found.intercepts)], out=gradient
        )
        latest = parameters.copy()
        return found.loss, gradient

    def iterated(intermediate_result: Any) -> None:
        nonlocal best, began
        best = intermediate_result.x.copy()
        # The last point that was evaluated is the one the line search took.
        norm = float(np.linalg.norm(gradient)) if np.array_equal(best, latest) else math.nan
        now = perf_counter()
        record.add([float(intermediate_result.fun)], [norm], math.nan, now - began)
        record.judge_loss(float(intermediate_result.fun), estimator.tol)
        began = now
        _give(best, work, network)
        stop = task.end(estimator._as_if_fitted)
        # scipy does not say which iteration is the last: the task after it is empty.
        task.begin("iteration")
        if stop:
            raise StopIteration

    n_iter = 0
    try:
        result = minimize(
            objective, best, method="L-BFGS-B", jac=True, callback=iterated,
            options={
                "maxfun": estimator.max_fun, "maxiter": estimator.max_iter, "gtol": estimator.tol,
            },
        )  # fmt: skip
        n_iter = min(int(result.nit), estimator.max_iter)
        if np.isfinite(result.x).all() and math.isfinite(result.fun):
            best = result.x
        if not record.curves.loss:
            record.add([float(result.fun)], [float(np.linalg.norm(gradient))], math.nan, 0.0)
        if result.status != 0 and not task.stopped:
            warnings.warn(
                f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}): "
                f"{result.message}. Increase max_iter (now {estimator.max_iter}) or max_fun, or "
                "scale the data, for example with sklearn.preprocessing.StandardScaler.",
                ConvergenceWarning, stacklevel=5,
            )  # fmt: skip
    except KeyboardInterrupt:
        n_iter = len(record.curves.loss)
        warnings.warn("Training interrupted by user.", stacklevel=5)
    task.end(estimator._as_if_fitted)
    _give(best, work, network)
    return n_iter


def _arrays(network: Network) -> list[NDArray[Any]]:
    return [*network.coefs, *network.intercepts]


def _packed(network: Network) -> NDArray[np.float64]:
    return np.concatenate([array.ravel() for array in _arrays(network)]).astype(np.float64)


def _unpack(parameters: NDArray[Any], network: Network) -> None:
    place = 0
    for array in _arrays(network):
        array[...] = parameters[place : place + array.size].reshape(array.shape)
        place += array.size


def _give(parameters: NDArray[Any], work: Network, network: Network) -> None:
    _unpack(parameters, work)
    write_layers(_arrays(network), _arrays(work))
