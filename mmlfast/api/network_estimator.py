"""What the estimators of networks share: checks, targets, start, and the fit by either route."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from mmlfast.api.all_or_nothing import all_or_nothing
from mmlfast.api.callbacks import CallbackSupport, FitTask
from mmlfast.api.epochs import Prepared, epochs_of
from mmlfast.api.layer_list import LayerList, write_layers
from mmlfast.api.learning_rates import LearningRates
from mmlfast.api.network import Network
from mmlfast.api.network_inputs import (
    Samples,
    blocks_of,
    check_inputs,
    concatenated,
    narrowed,
    open_samples,
)
from mmlfast.api.network_lbfgs import fit_lbfgs
from mmlfast.api.network_settings import SOLVERS, check_settings, dropouts_of
from mmlfast.api.trainer import Trainer
from mmlfast.api.training import Rules, Training
from mmlfast.api.training_display import TrainingDisplay
from mmlfast.api.training_record import History, TrainingRecord
from mmlfast.api.validation import Validation, split

AUTO_BATCH = 200


class NetworkEstimator(CallbackSupport, BaseEstimator):
    """A network that is fitted.  What it is for, a subclass says in its first six methods."""

    _losses: tuple[str, ...] = ()
    _solvers: tuple[str, ...] = SOLVERS
    # Whether alpha/2 Σ W² is a term of the mean loss, or of the summed loss of each batch.
    _mean_penalty = False
    _network: Network
    _record: TrainingRecord

    # What a subclass says.

    def _hidden(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Sizes and activations of the hidden layers."""
        raise NotImplementedError

    def _initialize(self, network: Network, random_state: Any) -> None:
        """Write the weights to start from."""
        raise NotImplementedError

    def _target(
        self, y: Any, *, fresh: bool = False, classes: Any = None, refit: bool = False
    ) -> Any:
        """y checked, as it was given; with `fresh` its kind is noted, else it must be the same."""
        raise NotImplementedError

    def _encode(self, y: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
        """y as (n_samples, n_outputs) of a dtype."""
        raise NotImplementedError

    def _head(self) -> str:
        """The output's activation, by the network's name."""
        raise NotImplementedError

    def _score(self, outputs: NDArray[Any], Y: NDArray[Any], weight: Any) -> float:
        """The score that early stopping goes by."""
        raise NotImplementedError

    def _predictions(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """What `predict` says of outputs."""
        raise NotImplementedError

    def _weight(self, weight: Any, y: Any, incremental: bool) -> Any:
        """The weights of the samples that fit uses, given the user's."""
        return weight

    def _optimizer(self) -> str:
        solver: str = self.solver
        if solver == "sgd":
            return "nesterov" if self.nesterovs_momentum else "momentum"
        return solver

    # Fitting.

    def _fit(
        self, X: Any, y: Any, sample_weight: Any = None, eval_set: Any = None, *,
        incremental: bool = False, classes: Any = None,
    ) -> Self:  # fmt: skip
        check_settings(self.__dict__, self._solvers, self._losses)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        sizes, activations = self._hidden()
        fresh = "_network" not in self.__dict__ or not (self.warm_start or incremental)
        # partial_fit is a step of somebody else's loop; L-BFGS begins a task more than it ends.
        task = FitTask(
            None if incremental else self, self.max_iter + (self.solver == "lbfgs"), X=X, y=y,
            sample_weight=sample_weight,
        )  # fmt: skip
        with all_or_nothing(self) as accept, open_samples(
            self, X, y, sample_weight, reset=fresh, once=incremental
        ) as samples, task:  # fmt: skip
            y = self._target(samples.y, fresh=fresh, classes=classes, refit=not incremental)
            random_state = check_random_state(self.random_state)
            if fresh:
                self._begin(samples, y, sizes, activations, random_state)
            else:
                self._check_same_network(sizes, activations)
            Y = self._encode(y, self._network.dtype)
            weight = self._weight(samples.weight, y, incremental)
            if weight is not None:
                weight = narrowed(weight, self._network.dtype, "sample_weight")
            if not incremental:
                self.__dict__.pop("_trainer", None)
            data = Prepared(samples.X, samples.stream, Y, weight)
            if self.solver == "lbfgs":
                self._refuse_epochs_only(data, eval_set)
                accept()
                self._record = TrainingRecord()
                self.n_iter_ = fit_lbfgs(self, self._network, self._record, data, task)
            else:
                chosen = self._validation(data, eval_set, random_state)
                accept()
                self.n_iter_ = self._train(data, *chosen, random_state, task, incremental)
            self._publish()
        return self

    def _begin(
        self, samples: Samples, y: Any, sizes: tuple[int, ...], activations: tuple[str, ...],
        random_state: Any,
    ) -> None:  # fmt: skip
        """A new network of the samples' size."""
        n_outputs = self._encode(y[:1], samples.dtype).shape[1]
        network = Network(
            (samples.n_features, *sizes, n_outputs), activations, self._head(), samples.dtype
        )
        self._initialize(network, random_state)
        self._network, self._record = network, TrainingRecord()

    def _refuse_epochs_only(self, data: Prepared, eval_set: Any) -> None:
        if data.X is None:
            raise ValueError(
                "solver='lbfgs' needs all samples in memory. Use a solver of mini-batches, such as "
                "'adam'."
            )
        if eval_set is not None:
            raise ValueError("eval_set needs a solver that goes by epochs; got solver='lbfgs'.")

    def _check_same_network(self, sizes: tuple[int, ...], activations: tuple[str, ...]) -> None:
        network = self._network
        if network.sizes[1:-1] != sizes or tuple(network.activations) != activations:
            raise ValueError(
                f"Training goes on only with the same layers: the network has hidden layers of "
                f"{network.sizes[1:-1]} units with {network.activations}, and now {sizes} with "
                f"{activations} are asked for. Fit with warm_start=False to begin anew."
            )

    def _validation(
        self, data: Prepared, eval_set: Any, random_state: Any
    ) -> tuple[Validation | None, NDArray[np.int64]]:
        """The validation set, and the rows that are left to train on."""
        Y, rows = data.Y, np.arange(len(data.Y))
        if eval_set is not None:
            if not isinstance(eval_set, tuple | list) or len(eval_set) != 2:
                raise ValueError("eval_set must be a pair (X, y) of samples to validate on.")
            with open_samples(self, *eval_set, reset=False, once=True) as samples:
                if samples.X is None:
                    raise ValueError("eval_set must fit in memory: it is read after each epoch.")
                Y_eval = self._encode(self._target(samples.y), self._network.dtype)
                return Validation(samples.X, Y_eval, None, self._score, self.n_jobs), rows
        if not self.early_stopping:
            return None, rows
        if data.X is None:
            raise ValueError(
                "early_stopping sets samples aside, which it cannot do with X in a stream. Pass "
                "others as eval_set=(X, y)."
            )
        stratify = Y[:, 0] if self._network.head == "logistic" and Y.shape[1] == 1 else None
        train, kept = split(rows, self.validation_fraction, random_state, stratify)
        weight = None if data.weight is None else data.weight[kept]
        return Validation(data.X[kept], Y[kept], weight, self._score, self.n_jobs), train

    def _train(
        self, data: Prepared, validation: Validation | None, order: NDArray[np.int64],
        random_state: Any, task: FitTask, incremental: bool,
    ) -> int:  # fmt: skip
        """Epochs over the rows of `order`; returns how many."""
        if "_trainer" not in self.__dict__:
            self._trainer = self._new_trainer(len(order), random_state, incremental)
            self._rates = LearningRates(
                "constant" if self._ignores_schedule() else self.learning_rate,
                self.learning_rate_init, self.power_t, self.max_iter,
            )  # fmt: skip
        rules = Rules(
            self.max_iter, self.tol, self.n_iter_no_change, self.early_stopping, self.shuffle,
            bool(self.verbose), incremental,
        )  # fmt: skip
        training = Training(
            self._network, self._trainer, self._rates, self._record, rules,
            epochs_of(self._trainer, data, order, random_state if self.shuffle else None),
            validation,
        )  # fmt: skip
        try:
            return training.run(task, self._as_if_fitted)
        finally:
            self._trainer.release()

    def _ignores_schedule(self) -> bool:
        # scikit-learn's three schedules are for its SGD; its Adam takes no notice of them.
        return self.solver == "adam" and self.learning_rate in ("invscaling", "adaptive")

    def _new_trainer(self, n_samples: int, random_state: Any, incremental: bool) -> Trainer:
        size = AUTO_BATCH if self.batch_size == "auto" else int(self.batch_size)
        if size > n_samples and not incremental:
            if self.batch_size != "auto":
                warnings.warn(
                    f"Got `batch_size` {size} larger than sample size {n_samples}. It is going "
                    "to be clipped.",
                    stacklevel=5,
                )
            size = n_samples
        # A seed is drawn only where it is used: otherwise draws are scikit-learn's, one by one.
        drops = any(self._dropout())
        seed = int(random_state.randint(np.iinfo(np.int32).max)) if drops else 0
        return self._trainer_of(size, seed)

    def _dropout(self) -> tuple[float, ...]:
        return dropouts_of(getattr(self, "dropout", 0.0), len(self._network.sizes) - 2)

    def _trainer_of(self, batch_size: int, seed: int) -> Trainer:
        optimizer = self._optimizer()
        return Trainer(
            self._network, optimizer, batch_size=batch_size, alpha=self.alpha,
            beta_1=self.momentum if optimizer in ("momentum", "nesterov") else self.beta_1,
            beta_2=self.beta_2, epsilon=self.epsilon, weight_decay=self.weight_decay,
            dropout=self._dropout(), seed=seed, mean_penalty=self._mean_penalty,
            intercepts=getattr(self, "fit_intercept", True), n_jobs=self.n_jobs,
        )  # fmt: skip

    def _as_if_fitted(self) -> dict[str, Any]:
        """Attributes of the model as if training ended here, for scikit-learn's callbacks."""
        here = copy.copy(self)
        here._network, here._record = copy.deepcopy((self._network, self._record))
        here.n_iter_ = len(self._record.curves.loss)
        here._publish()
        kept = ("_network", "_record")
        return {k: v for k, v in vars(here).items() if k.endswith("_") or k in kept}

    def _publish(self) -> None:
        """Set the learned attributes that are not the network's."""
        network, record = self._network, self._record
        losses = record.curves.loss
        self.n_layers_ = len(network.sizes)
        self.n_outputs_ = network.sizes[-1]
        names = {"poisson": "exp", "squared_logistic": "logistic"}
        self.out_activation_ = names.get(network.head, network.head)
        self.t_ = record.n_samples_seen
        self.loss_curve_ = losses
        self.loss_ = losses[-1] if losses else math.nan
        stopping = self.early_stopping and self.solver != "lbfgs"
        self.best_loss_ = None if stopping else record.best_loss
        self.best_validation_score_ = record.best_score if stopping else None
        self.validation_scores_ = record.curves.validation_score if stopping else None

    # What has been learned.

    def _known_network(self, name: str) -> Network:
        if "_network" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._network

    @property
    def coefs_(self) -> LayerList:
        """W_l of shape (n_l, n_{l+1}); writing to them changes the model."""
        return LayerList(self._known_network("coefs_").coefs)

    @coefs_.setter
    def coefs_(self, values: Any) -> None:
        write_layers(self._known_network("coefs_").coefs, values)

    @property
    def intercepts_(self) -> LayerList:
        """b_l of shape (n_{l+1},); writing to them changes the model."""
        return LayerList(self._known_network("intercepts_").intercepts)

    @intercepts_.setter
    def intercepts_(self, values: Any) -> None:
        write_layers(self._known_network("intercepts_").intercepts, values)

    @property
    def history_(self) -> History:
        """Arrays with a number for each epoch; see the class."""
        self._known_network("history_")
        return self._record.curves.as_arrays()

    def plot_training(self, *, ax: Any = None) -> TrainingDisplay:
        """Loss and validation score of each epoch; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            To draw on; by default in a figure of its own.

        Returns
        -------
        TrainingDisplay
            With attributes figure_ and ax_.
        """
        check_is_fitted(self)
        return TrainingDisplay(self.history_).plot(ax=ax)

    def _checked(self, X: Any) -> Any:
        """X in memory of a fitted model, as the network reads it."""
        return check_inputs(self, X)

    def _iter_outputs(self, X: Any) -> Iterator[NDArray[Any]]:
        for block in blocks_of(self, X):
            yield self._network.predict(block, n_jobs=self.n_jobs)

    def _outputs(self, X: Any) -> NDArray[Any]:
        return concatenated(list(self._iter_outputs(X)))

    def iter_predict(self, source: Any) -> Iterator[NDArray[Any]]:
        """`predict` of a source, block of rows after block of rows, in bounded memory.

        Parameters
        ----------
        source : anything that `predict` takes

        Yields
        ------
        ndarray of shape (rows,) or (rows, n_outputs)
        """
        for outputs in self._iter_outputs(source):
            yield self._predictions(outputs)

    def __sklearn_is_fitted__(self) -> bool:
        return "n_iter_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def has_epochs(estimator: NetworkEstimator) -> bool:
    """True for solvers that take one step after another; AttributeError for L-BFGS."""
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )
    return True
