"""An optimiser and its state on a network: epochs of mini-batches in compiled code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.network import NOBODY, Network, data_of
from mmlfast.api.network_layout import (
    is_narrow,
    is_small,
    narrow_passes,
    passes,
    samples_at_once,
    small_passes,
)
from mmlfast.kernels import backprop, optimizers
from mmlfast.kernels.layers import blocks
from mmlfast.runtime.crew import Crew
from mmlfast.runtime.threads import n_threads

OPTIMIZERS = {
    "gd": optimizers.GD,
    "momentum": optimizers.MOMENTUM,
    "nesterov": optimizers.NESTEROV,
    "adagrad": optimizers.ADAGRAD,
    "rmsprop": optimizers.RMSPROP,
    "adam": optimizers.ADAM,
}

# Multiplications in a batch from which on a second thread is worth waiting for at every section.
PARALLEL_WORK = 2_000_000


class EpochReport(NamedTuple):
    """What an epoch gave; `failed` is −1, or the batch whose loss or gradient was not finite."""

    loss: float
    gradient_norm: float
    failed: int


class EpochsReport(NamedTuple):
    """What several epochs gave, an entry for each, and where the rule that stops them stands."""

    losses: NDArray[np.float64]
    gradient_norms: NDArray[np.float64]
    failed: int
    best_loss: float
    no_improvement: int


class Trainer:
    """p ← p − η d(∂loss/∂p): steps of an optimiser on the weights of a network.

    Parameters
    ----------
    network : Network
        Its weights are changed in place.
    optimizer : {"gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"}
    batch_size : int
    alpha : float
        Of the penalty α/2 Σ W².
    mean_penalty : bool
        Whether the penalty is a term of a batch's mean loss.  If not, it is one of the loss summed
        over the batch, as in scikit-learn: divided by the batch's sum of weights.
    beta_1, beta_2, epsilon : float
        beta_1 is the momentum of "momentum" and "nesterov", beta_2 the decay of "rmsprop".
    weight_decay : float
        δ of W ← W − η δ W (Loshchilov and Hutter, 2019).
    dropout : float or sequence of float
        Share of the units of each hidden layer that drop out.
    seed : int
        Of the dropout.
    intercepts : bool
        Whether biases are trained; if not they stay as they are.
    n_jobs : int, default=None
        Threads; the bits do not depend on it.

    Attributes
    ----------
    t : int
        Steps done.
    first, second : ndarray
        The optimiser's state, laid out like the network's flat parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast.api.network import Network
    >>> from mmlfast.api.trainer import Trainer
    >>> network = Network((1, 1), [], "identity", np.float64)
    >>> trainer = Trainer(network, "gd", batch_size=2)
    >>> trainer.prepare(np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]]))
    >>> for _ in range(1000):
    ...     report = trainer.epoch(np.arange(2), 0.2)
    >>> network.coefs[0].round(3), round(report.loss, 6), trainer.t
    (array([[2.]]), 0.0, 1000)
    """

    def __init__(
        self,
        network: Network,
        optimizer: str = "adam",
        *,
        batch_size: int,
        alpha: float = 0.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        seed: int = 0,
        mean_penalty: bool = False,
        intercepts: bool = True,
        n_jobs: int | None = None,
    ) -> None:
        if optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {list(OPTIMIZERS)}; got {optimizer!r}.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {batch_size}.")
        n_hidden = network.n_layers - 1
        shares = [dropout] * n_hidden if isinstance(dropout, float | int) else list(dropout)
        if len(shares) != n_hidden or not all(0 <= share < 1 for share in shares):
            raise ValueError(
                f"dropout must be a share in [0, 1), or one for each of the {n_hidden} hidden "
                f"layers; got {dropout!r}."
            )
        self.network = network
        self.batch_size = int(batch_size)
        self.alpha, self.mean_penalty = float(alpha), bool(mean_penalty)
        self.n_jobs = n_jobs
        # In float32 a smaller ε is 0, and the step of a weight without a gradient 0/0.
        epsilon = max(float(epsilon), float(np.finfo(network.dtype).tiny))
        self.rates = np.array(
            [OPTIMIZERS[optimizer], 0.0, beta_1, beta_2, epsilon, 0.0, 0.0, intercepts, 0.0]
        )
        self.weight_decay = float(weight_decay)
        self.shares, self.seed = [float(share) for share in shares], int(seed)
        self.first, self.second = network.like_parameters(), network.like_parameters()
        self.batch = np.zeros(backprop.BATCH, np.int64)
        self._get_ready()

    def _get_ready(self) -> None:
        """Make what is not state: room for a batch, the gradient, the sums."""
        network = self.network
        self._data: tuple[Any, ...] | None = None
        self._order: NDArray[np.int64] | None = None
        n_updates = blocks(network.parameters.size, backprop.UPDATED)
        size = network.parameters.size
        # Units that drop out are told by row: such networks lie as others do.
        self._narrow = is_narrow(network.sizes, network.dtype) and not any(self.shares)
        self._small = not self._narrow and is_small(size, network.dtype)
        in_place = 1
        if self._narrow:
            (forward, back, update), in_place = narrow_passes(size), 2
        elif self._small:
            (forward, back, update), in_place = small_passes(network.table, size), 0
        else:
            forward, back, update = passes(network.table, size, network.dtype, inputs=False)
        self._program = (forward, forward[in_place:], np.concatenate([back, update]))
        n_parts = blocks(self.batch_size, samples_at_once(network.dtype)) if self._small else 0
        self._sums = np.zeros((max(n_updates, n_parts), 2))
        self._crew: Crew | None = None
        self._room: Any = None
        self._arrays: tuple[Any, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """State without data and scratch; the optimiser's as the weights are, not as they lie."""
        state = {k: v for k, v in self.__dict__.items() if not k.startswith("_")}
        for name in ("first", "second"):
            coefs, intercepts = self.network.views(state.pop(name))
            state[name] = [np.array(part) for part in (*coefs, *intercepts)]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        stored = {name: state.pop(name) for name in ("first", "second")}
        self.__dict__.update(state)
        for name, parts in stored.items():
            flat = self.network.like_parameters()
            coefs, intercepts = self.network.views(flat)
            for view, part in zip((*coefs, *intercepts), parts, strict=True):
                view[:] = part
            setattr(self, name, flat)
        self._get_ready()

    @property
    def t(self) -> int:
        """Steps done."""
        return int(self.batch[backprop.STEP])

    @t.setter
    def t(self, steps: int) -> None:
        self.batch[backprop.STEP] = steps

    def prepare(self, X: Any, Y: NDArray[Any], weight: NDArray[Any] | None = None) -> None:
        """Take the training data: X (n, n_0) dense or CSR, Y (n, n_L), weight (n,) or None."""
        assert self._crew is None, "helpers that are awake would go on with other data"
        self._data = data_of(X, Y, weight, self.network)
        self._order = self._data[-1].copy()
        rows = min(self.batch_size, X.shape[0])
        if self._room is None or self._room.rows < rows:
            self._room = self.network.workspace(rows, backward=True, dropout=any(self.shares))
            self._room.drop_out(self.shares, self.seed)
            if self._narrow:
                self._room.lie_narrow()
            elif self._small:
                self._room.work_small()
            gradient = self.network.like_parameters()
            self._arrays = self.network.arrays(self._room, gradient, self.first, self.second)

    def release(self) -> None:
        """Let go of the data and of the room for a batch."""
        self._get_ready()

    def epoch(self, order: NDArray[np.int64], learning_rate: float) -> EpochReport:
        """One pass over the rows order[0], order[1], … in mini-batches, the last one shorter.

        At most as many as there are; some may be left out, and some come twice.
        Nothing is updated from the failed batch on, if there is one.
        """
        history = np.zeros((1, 2))
        schedule = (
            1, *self._objective(), float(learning_rate), np.inf, 0, 0.0, np.inf,
        )  # fmt: skip
        failed = self._train(order, schedule, history)[1]
        return EpochReport(float(history[0, 0]), float(history[0, 1]), failed)

    def epochs(
        self,
        n_epochs: int,
        learning_rate: float,
        *,
        best_loss: float,
        no_improvement: int,
        tol: float,
        n_iter_no_change: float,
    ) -> EpochsReport:
        """Up to n_epochs passes over all rows as they lie, in one call.

        They end once the loss has not improved on best_loss by tol for more than n_iter_no_change
        epochs.
        """
        assert self._order is not None, "prepare comes first"
        history = np.zeros((n_epochs, 2))
        schedule = (
            int(n_epochs), *self._objective(), float(learning_rate), float(best_loss),
            int(no_improvement), float(tol), float(n_iter_no_change),
        )  # fmt: skip
        done, failed, best, idle = self._train(self._order, schedule, history)
        return EpochsReport(history[:done, 0], history[:done, 1], failed, best, idle)

    def _objective(self) -> tuple[Any, ...]:
        return self.batch_size, self.alpha, self.mean_penalty, self.weight_decay

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Helpers stay awake between the epochs in the block, where a second thread is worth it.

        Nothing may be prepared within.
        """
        threads = n_threads(self.n_jobs)
        work = self._room.rows * self.network.work
        if self._crew is not None or threads == 1 or work < PARALLEL_WORK:
            yield
            return
        self._crew = Crew(
            lambda control, patience: backprop.help_crew(control, patience, *self._arguments()),
            threads,
        )
        try:
            with self._crew.awake():
                yield
        finally:
            self._crew = None

    def _arguments(self) -> tuple[Any, ...]:
        assert self._data is not None, "prepare comes first"
        return (self._arrays, self._data, self.batch, self.rates, self._sums)

    def _train(
        self, order: NDArray[np.int64], schedule: tuple[Any, ...], history: NDArray[np.float64]
    ) -> tuple[int, int, float, int]:
        assert self._data is not None, "prepare comes first"
        # Helpers that are awake read the order from where it was when they woke: it never moves,
        # and a shorter one takes the front of its place.
        self._data[-1][: len(order)] = order
        state = (self.batch, self.rates, self._sums)
        with self.awake():
            control = NOBODY if self._crew is None else self._crew.control
            result: tuple[int, int, float, int] = backprop.train(
                control, self._program, self._arrays, self._data, *state,
                (len(order), *schedule), history,
            )
        return result
