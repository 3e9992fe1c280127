"""A gradient against differences of its loss:  ∂L/∂w ≈ (L(w + h) − L(w − h))/2h."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.eigenpairs import check_count, check_tolerance
from mmlfast.api.layer_list import write_layers
from mmlfast.api.network import Network

# A smaller step is tried where a larger one fails: across a kink of relu no difference is right.
STEPS = (1e-5, 1e-6, 1e-7)


class GradientCheck(NamedTuple):
    """How far a gradient is from the differences of its loss.

    Attributes
    ----------
    ok : bool
        Whether `error` is at most `tol`.
    error : float
        The largest difference, relative to the largest entry of the gradient.
    worst : str
        The parameter where it is, such as "coefs_[0][2, 5]".
    analytic, numeric : float
        Both derivatives there.
    n_checked, n_parameters : int
    tol : float
    """

    ok: bool
    error: float
    worst: str
    analytic: float
    numeric: float
    n_checked: int
    n_parameters: int
    tol: float


def check_gradient(
    network: Network, X: Any, Y: NDArray[Any], *, alpha: float, tol: float, max_weights: int
) -> GradientCheck:
    """Compare the gradient of a copy of the network in float64 with central differences."""
    check_tolerance(tol)
    check_count("max_weights", max_weights)
    work = Network(network.sizes, network.activations, network.head, np.float64)
    write_layers([*work.coefs, *work.intercepts], [*network.coefs, *network.intercepts])
    Y = Y.astype(np.float64)
    found = work.gradients(X, Y, alpha=alpha)
    scale = max(
        float(np.abs(g).max()) for g in (*found.coefs, *found.intercepts)
    ) or 1.0  # fmt: skip
    places = [
        (kind, layer, index)
        for kind in ("coefs", "intercepts")
        for layer, array in enumerate(getattr(work, kind))
        for index in np.ndindex(array.shape)
    ]
    chosen = np.unique(
        np.linspace(0, len(places) - 1, min(max_weights, len(places))).round().astype(int)
    )
    worst = GradientCheck(True, -1.0, "", 0.0, 0.0, len(chosen), len(places), tol)
    for place in chosen:
        kind, layer, index = places[place]
        array = getattr(work, kind)[layer]
        analytic = float(getattr(found, kind)[layer][index])
        error, numeric = np.inf, np.nan
        for step in STEPS:
            difference = _difference(work, array, index, step, X, Y, alpha)
            distance = abs(difference - analytic) / scale
            if distance < error:
                error, numeric = distance, difference
            if error <= tol:
                break
        if error > worst.error:
            name = f"{kind}_[{layer}][{', '.join(map(str, index))}]"
            worst = worst._replace(error=error, worst=name, analytic=analytic, numeric=numeric)
    return worst._replace(ok=bool(worst.error <= tol))


def _difference(
    work: Network, array: NDArray[Any], index: Any, step: float, X: Any, Y: Any, alpha: float
) -> float:
    kept = array[index]
    step *= max(1.0, abs(float(kept)))
    try:
        array[index] = kept + step
        above, high = work.loss(X, Y, alpha=alpha), float(array[index])
        array[index] = kept - step
        below, low = work.loss(X, Y, alpha=alpha), float(array[index])
    finally:
        array[index] = kept
    return (above - below) / (high - low)
