"""Linear models as networks without hidden layers: one layer of weights, started at zero."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.utils.extmath import safe_sparse_dot

from mmlfast.api.introspection import Introspection
from mmlfast.api.network import Network
from mmlfast.api.network_estimator import NetworkEstimator
from mmlfast.api.network_file import StoredNetwork
from mmlfast.api.network_inputs import blocks_of, concatenated
from mmlfast.api.network_settings import OPTIMIZERS


class LinearNetwork(Introspection, StoredNetwork, NetworkEstimator):
    """A network of one layer whose penalty is a term of the mean loss."""

    _solvers = OPTIMIZERS
    _mean_penalty = True

    def _hidden(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        return (), ()

    def _initialize(self, network: Network, random_state: Any) -> None:
        """A convex problem starts at zero."""

    def _penalty(self, total: float) -> float:
        return float(self.alpha * total)

    @property
    def intercept_(self) -> NDArray[Any]:
        """One for each row of coef_."""
        return self._known_network("intercept_").intercepts[0]

    def _scores(self, X: Any) -> NDArray[Any]:
        return concatenated([self._block_scores(block) for block in blocks_of(self, X)])

    def _block_scores(self, X: Any) -> NDArray[Any]:
        W, b = self._network.coefs[0], self._network.intercepts[0]
        scores: NDArray[Any] = safe_sparse_dot(X.astype(W.dtype, copy=False), W, dense_output=True)
        scores += b
        return scores
