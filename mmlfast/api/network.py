"""A dense feed-forward network on compiled kernels: values, loss, and all gradients in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from mmlfast.api.network_layout import Workspace, passes, table_of_layers
from mmlfast.kernels import activations, backprop, losses
from mmlfast.kernels import layers as of
from mmlfast.kernels.samples import DTYPES, SPARSE
from mmlfast.runtime.threads import n_threads, ordered_for
from mmlfast.runtime.validate import aligned, bytes_of

ACTIVATIONS = {
    "identity": activations.IDENTITY,
    "logistic": activations.LOGISTIC,
    "tanh": activations.TANH,
    "relu": activations.RELU,
    "leaky_relu": activations.LEAKY_RELU,
    "gelu": activations.GELU,
    "gelu_tanh": activations.GELU_TANH,
    "softplus": activations.SOFTPLUS,
}
# The output's activation, and with it the loss: but for the last the one whose derivative by Z is
# A − Y.
HEADS = {
    "identity": losses.SQUARED,
    "logistic": losses.LOGISTIC,
    "softmax": losses.SOFTMAX,
    "poisson": losses.POISSON,
    "squared_logistic": losses.SQUARED_LOGISTIC,
}
KEEPS_SLOPES = (activations.GELU, activations.GELU_TANH)

# Bytes of activations that a block of rows may have: they stay in the second-level cache.
BLOCK_BYTES = 1 << 19
# Multiplications that are worth a second thread.
SERIAL_WORK = 4_000_000

NOBODY = np.empty(0, np.int64)
Data = tuple[Any, ...]


class Gradients(NamedTuple):
    """A loss and its derivatives by every weight, by every bias, and by the inputs."""

    loss: float
    coefs: list[NDArray[Any]]
    intercepts: list[NDArray[Any]]
    inputs: NDArray[Any]


class Network:
    """A_l = f_l(A_{l−1} W_l + b_l), A_0 = X: layers of given sizes, all weights zero to begin with.

    Parameters
    ----------
    sizes : sequence of int
        Units of each layer (n_0, …, n_L), input and output included.
    activations : sequence of str
        Of the L − 1 hidden layers, from `ACTIVATIONS`.
    head : {"identity", "logistic", "softmax", "poisson", "squared_logistic"}
        Of the output, with its loss: ½‖a − y‖², −Σ y log a + (1 − y) log(1 − a), −Σ y log a,
        Σ y log(y/a) − y + a for a = eᶻ, and ½‖a − y‖² for logistic a.
    dtype : {float32, float64}

    Attributes
    ----------
    coefs, intercepts : list of ndarray
        W_l of shape (n_{l−1}, n_l) and b_l of shape (n_l,): views, to be written to as well.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast.api.network import Network
    >>> network = Network((2, 3, 1), ["tanh"], "identity", np.float64)
    >>> network.coefs[0][:] = 1
    >>> network.gradients(np.ones((4, 2)), np.ones((4, 1))).loss
    0.5
    """

    def __init__(
        self, sizes: Sequence[int], activations: Sequence[str], head: str, dtype: Any
    ) -> None:
        self.sizes = tuple(int(size) for size in sizes)
        self.activations = tuple(activations)
        self.head = head
        self.dtype = np.dtype(dtype)
        self._check()
        self.table, size = table_of_layers(self.sizes, self.dtype)
        codes = [ACTIVATIONS[name] for name in self.activations]
        self.table[: len(codes), of.ACTIVATION] = codes
        self.passes = passes(self.table, size, self.dtype, inputs=True)
        self.parameters = aligned(size, self.dtype, zero=True)
        self.coefs, self.intercepts = self.views(self.parameters)

    def _check(self) -> None:
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"sizes must be at least two positive integers; got {self.sizes}.")
        if len(self.activations) != len(self.sizes) - 2:
            raise ValueError(
                f"activations must name one for each of the {len(self.sizes) - 2} hidden layers; "
                f"got {list(self.activations)}."
            )
        for name in self.activations:
            if name not in ACTIVATIONS:
                raise ValueError(f"activation must be one of {list(ACTIVATIONS)}; got {name!r}.")
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {list(HEADS)}; got {self.head!r}.")
        if self.dtype not in (np.float32, np.float64):
            raise TypeError(f"dtype must be float32 or float64; got {self.dtype}.")

    @property
    def n_layers(self) -> int:
        """Layers that have weights."""
        return len(self.sizes) - 1

    def views(self, flat: NDArray[Any]) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """([W_0, …], [b_0, …]) within an array that is laid out like the parameters."""
        coefs, intercepts = [], []
        for layer in self.table:
            n_in, n_out, stride = (int(layer[k]) for k in (of.N_IN, of.N_OUT, of.OUT_STRIDE))
            rows = flat[layer[of.W] : layer[of.B]].reshape(-1, stride)
            coefs.append(rows[:n_in, :n_out])
            intercepts.append(flat[layer[of.B] : layer[of.B] + n_out])
        return coefs, intercepts

    def like_parameters(self) -> NDArray[Any]:
        """Zeros laid out like the parameters."""
        return aligned(self.parameters.size, self.dtype, zero=True)

    def copy_parameters(self) -> NDArray[Any]:
        """The flat parameters, copied: for `set_parameters`."""
        return self.parameters.copy()

    def set_parameters(self, flat: NDArray[Any]) -> None:
        """Take parameters that `copy_parameters` gave."""
        self.parameters[:] = flat

    def __getstate__(self) -> dict[str, Any]:
        """Weights as they are, not as they lie: another processor has vectors of another length."""
        return {
            "arguments": (self.sizes, self.activations, self.head, self.dtype.str),
            "coefs": [np.array(W) for W in self.coefs],
            "intercepts": [np.array(b) for b in self.intercepts],
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["arguments"])  # type: ignore[misc]
        for mine, stored in zip(
            [*self.coefs, *self.intercepts], [*state["coefs"], *state["intercepts"]], strict=True
        ):
            mine[:] = stored

    @property
    def work(self) -> int:
        """Multiplications that one sample takes, forward and back."""
        return 3 * sum(a * b for a, b in pairwise(self.sizes))

    def workspace(self, rows: int, *, backward: bool, dropout: bool = False) -> Workspace:
        """Room for `rows` samples at once."""
        codes = self.table[:, of.ACTIVATION]
        keep = [bool(backward and (dropout or code in KEEPS_SLOPES)) for code in codes]
        keep[-1] = False
        return Workspace(self.table, rows, self.dtype, keep, backward, HEADS[self.head])

    def arrays(self, room: Workspace, *state: NDArray[Any]) -> Data:
        """The network as the kernels take it; `state`: gradient and the optimiser's two."""
        nothing = self.parameters[:0]
        gradient, first, second = (*state, nothing, nothing, nothing)[:3]
        return (room.layers, self.parameters, gradient, first, second, room.work, room.places)

    def rows_in_block(self, n: int) -> int:
        """Rows that are worked on at once where the order does not matter."""
        widths = sum(self.sizes) * self.dtype.itemsize
        return int(min(max(n, 1), max(64, BLOCK_BYTES // widths // 8 * 8)))

    def _by_blocks(
        self,
        X: Any,
        data: Data,
        compute: Callable[[Data, Workspace, NDArray[np.int64]], object],
        merge: Callable[[object, int, int, Workspace, Data], object],
        n_jobs: int | None,
        *,
        backward: bool = False,
    ) -> None:
        """compute(network, room, batch) for each block of rows, merge(its result, …) in order."""
        n, size = X.shape[0], self.rows_in_block(X.shape[0])
        count = -(-n // size)
        threads = min(n_threads(n_jobs), count) if n * self.work > SERIAL_WORK else 1
        rooms = [self.workspace(size, backward=backward) for _ in range(threads)]
        networks = [
            self.arrays(room, *([self.like_parameters()] if backward else [])) for room in rooms
        ]
        results: list[object] = [None] * count

        def one(i: int, worker: int) -> None:
            batch = np.zeros(backprop.BATCH, np.int64)
            batch[backprop.FIRST] = i * size
            batch[backprop.COUNT] = min(size, n - i * size)
            results[i] = compute(networks[worker], rooms[worker], batch)

        def put(i: int, worker: int) -> bool:
            lo = i * size
            merge(results[i], lo, min(lo + size, n), rooms[worker], networks[worker])
            return True

        ordered_for(one, put, count, threads)

    def forward(self, X: Any, *, n_jobs: int | None = None) -> list[NDArray[Any]]:
        """[Z_1, A_1, …, Z_L, A_L]: what every layer gets and gives, each of shape (n, n_l)."""
        data = data_of(X, None, None, self)
        found = [np.empty((X.shape[0], n), self.dtype) for n in self.sizes[1:] for _ in "ZA"]

        def compute(network: Data, room: Workspace, batch: NDArray[np.int64]) -> None:
            batch[backprop.KEEP_Z] = 1
            backprop.run(NOBODY, self.passes.forward, network, data, batch, RATES, SUMS)

        def merge(_: object, lo: int, hi: int, room: Workspace, network: Data) -> None:
            for k, layer in enumerate(room.layers):
                n, last = int(layer[of.N_OUT]), k == self.n_layers - 1
                place = int(layer[of.OUTPUT if last else of.OUT_DELTA])
                found[2 * k][lo:hi] = room.rows_at(place, n, k, hi - lo)
                if last:
                    found[2 * k][lo:hi] += self.intercepts[k]
                    self._output(network, room, hi - lo)
                found[2 * k + 1][lo:hi] = room.rows_at(int(layer[of.OUTPUT]), n, k, hi - lo)

        self._by_blocks(X, data, compute, merge, n_jobs)
        return found

    def _output(self, network: Data, room: Workspace, rows: int) -> None:
        losses.output(
            HEADS[self.head], room.layers[-1], self.parameters, room.work,
            room.places[backprop.BLOCK], rows,
        )  # fmt: skip

    def predict(self, X: Any, *, n_jobs: int | None = None) -> NDArray[Any]:
        """A_L of shape (n, n_L); beside it, memory for a few blocks of rows."""
        data = data_of(X, None, None, self)
        found = np.empty((X.shape[0], self.sizes[-1]), self.dtype)

        def compute(network: Data, room: Workspace, batch: NDArray[np.int64]) -> None:
            backprop.run(NOBODY, self.passes.forward, network, data, batch, RATES, SUMS)
            lo, count = batch[backprop.FIRST], batch[backprop.COUNT]
            self._output(network, room, count)
            place, last = int(room.layers[-1, of.OUTPUT]), self.n_layers - 1
            found[lo : lo + count] = room.rows_at(place, self.sizes[-1], last, count)

        self._by_blocks(X, data, compute, lambda *_: None, n_jobs)
        return found

    def loss(
        self, X: Any, Y: NDArray[Any], weight: NDArray[Any] | None = None, *,
        alpha: float = 0.0, n_jobs: int | None = None,
    ) -> float:  # fmt: skip
        """Σ wᵢ ℓᵢ/Σ w + α/2 Σ W²/Σ w."""
        data = data_of(X, Y, weight, self)
        total = [0.0, 0.0]

        def compute(network: Data, room: Workspace, batch: NDArray[np.int64]) -> object:
            backprop.run(NOBODY, self.passes.forward, network, data, batch, RATES, SUMS)
            weights = self._take_targets(network, data, batch)
            return self._find_loss(network, batch), weights

        def merge(result: Any, *_: object) -> None:
            total[0] += result[0] * result[1]
            total[1] += result[1]

        self._by_blocks(X, data, compute, merge, n_jobs)
        return (total[0] + self._penalty(alpha)) / total[1]

    def gradients(
        self, X: Any, Y: NDArray[Any], weight: NDArray[Any] | None = None, *,
        alpha: float = 0.0, n_jobs: int | None = None,
    ) -> Gradients:  # fmt: skip
        """The loss, its derivatives by every weight and bias, and by X: one pass."""
        data = data_of(X, Y, weight, self)
        inputs = np.empty(X.shape, self.dtype)
        flat = self.like_parameters()
        total = [0.0, 0.0]
        kind = self.dtype.type

        def compute(network: Data, room: Workspace, batch: NDArray[np.int64]) -> object:
            backprop.run(NOBODY, self.passes.forward, network, data, batch, RATES, SUMS)
            weights = self._take_targets(network, data, batch)
            value = self._find_loss(network, batch)
            backprop.run(NOBODY, self.passes.back, network, data, batch, RATES, SUMS)
            return value, weights

        def merge(result: Any, lo: int, hi: int, room: Workspace, network: Data) -> None:
            value, weights = result
            total[0] += value * weights
            total[1] += weights
            np.add(flat, kind(weights) * network[2], out=flat)
            place = int(room.layers[0, of.IN_DELTA])
            inputs[lo:hi] = kind(weights) * room.rows_at(place, self.sizes[0], -1, hi - lo)

        self._by_blocks(X, data, compute, merge, n_jobs, backward=True)
        coefs, intercepts = self.views(flat)
        for gradient, W in zip(coefs, self.coefs, strict=True):
            gradient += kind(alpha) * W
        flat /= kind(total[1])
        inputs /= kind(total[1])
        loss = (total[0] + self._penalty(alpha)) / total[1]
        return Gradients(loss, coefs, intercepts, inputs)

    def input_gradients(
        self, X: Any, E: NDArray[Any], *, n_jobs: int | None = None
    ) -> NDArray[Any]:
        """Row i is Σ_j E_ij ∂z_j/∂x_i, for the outputs z before the head's function."""
        data = data_of(X, None, None, self)
        inputs = np.empty(X.shape, self.dtype)

        def compute(network: Data, room: Workspace, batch: NDArray[np.int64]) -> None:
            backprop.run(NOBODY, self.passes.forward, network, data, batch, RATES, SUMS)
            lo, count = int(batch[backprop.FIRST]), int(batch[backprop.COUNT])
            last = self.n_layers - 1
            place = int(room.layers[last, of.OUT_DELTA])
            slopes = room.rows_at(place, self.sizes[-1], last, room.height)
            slopes[:count] = E[lo : lo + count]
            slopes[count:] = 0
            backprop.run(NOBODY, self.passes.back, network, data, batch, RATES, SUMS)

        def merge(_: object, lo: int, hi: int, room: Workspace, network: Data) -> None:
            place = int(room.layers[0, of.IN_DELTA])
            inputs[lo:hi] = room.rows_at(place, self.sizes[0], -1, hi - lo)

        self._by_blocks(X, data, compute, merge, n_jobs, backward=True)
        return inputs

    def _take_targets(self, network: Data, data: Data, batch: NDArray[np.int64]) -> float:
        """The batch's targets and weights into the workspace; Σ wᵢ."""
        Y, weight, order = data[4:]
        rows = order[batch[backprop.FIRST] :][: batch[backprop.COUNT]]
        total: float = backprop.sum_of_weights(weight, rows)
        scale = 1 / total if total else 0.0
        backprop.take_targets(network[6], network[5], Y, weight, order, batch, scale)
        return total

    def _find_loss(self, network: Data, batch: NDArray[np.int64]) -> float:
        loss: float = backprop.find_loss(
            network[0], network[1], network[5], network[6], batch, SUMS
        )
        return loss

    def _penalty(self, alpha: float) -> float:
        squares = sum(float(np.sum(np.square(W, dtype=np.float64))) for W in self.coefs)
        return 0.5 * alpha * squares if alpha else 0.0


# For kernels that take rates and sums and do not use them.
RATES, SUMS = np.zeros(9), np.zeros((1, 2))


def data_of(
    X: Any, Y: NDArray[Any] | None, weight: NDArray[Any] | None, network: Network
) -> Data:
    """Training data as the kernels take it: all rows, in their order.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n, n_0)
        C-contiguous, of a dtype that kernels read; sparse: CSR.
    Y : ndarray of shape (n, n_L) or None
    weight : ndarray of shape (n,) or None
    network : Network
    """
    n, n_features = X.shape
    if n_features != network.sizes[0]:
        raise ValueError(f"X must have {network.sizes[0]} columns; got {n_features}.")
    if scipy.sparse.issparse(X):
        kept = np.ascontiguousarray(X.data, network.dtype)
        starts = X.indptr.astype(np.int64, copy=False)
        indices = X.indices.astype(np.int32, copy=False)
        kind = SPARSE
    else:
        kept, starts, indices = np.ascontiguousarray(X), np.zeros(1, np.int64), EMPTY
        if kept.dtype.name not in DTYPES:
            raise TypeError(f"X must be of {', '.join(DTYPES)}; got {kept.dtype}.")
        kind = DTYPES.index(kept.dtype.name)
    targets = np.zeros((0, network.sizes[-1])) if Y is None else Y
    targets = np.ascontiguousarray(targets, network.dtype)
    weights = np.zeros(0) if weight is None else np.ascontiguousarray(weight, np.float64)
    return (
        bytes_of(kept), kind, starts, indices, targets, weights, np.arange(n, dtype=np.int64),
    )  # fmt: skip


EMPTY = np.zeros(1, np.int32)
