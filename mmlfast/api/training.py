"""The one fit loop: epochs, each a compiled call, until a rule stops them.

Whatever ends training, the weights are those of a finished epoch: they are copied before each call
and put back where the call failed or was interrupted.
"""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.callbacks import FitTask
from mmlfast.api.epochs import Epochs
from mmlfast.api.learning_rates import LearningRates
from mmlfast.api.network import Network
from mmlfast.api.trainer import Trainer
from mmlfast.api.training_record import TrainingRecord
from mmlfast.api.validation import Validation

# Epochs that need no new order run many to a call.  A call aims at these seconds, so that an
# interrupt is soon heard: the interpreter sees it between calls only.
SECONDS_PER_CALL = 0.1
MOST_EPOCHS_PER_CALL = 1000


@dataclass(slots=True)
class Rules:
    """When to stop, and what to tell meanwhile."""

    max_iter: int
    tol: float
    n_iter_no_change: float
    early_stopping: bool
    shuffle: bool
    verbose: bool
    incremental: bool


class Snapshot:
    """The parameters and the optimiser's state, to go back to."""

    def __init__(self, network: Network, trainer: Trainer) -> None:
        self._network, self._trainer = network, trainer
        self._first, self._second = np.empty_like(trainer.first), np.empty_like(trainer.second)
        self.take()

    def take(self) -> None:
        """Remember the present."""
        self._parameters = self._network.copy_parameters()
        np.copyto(self._first, self._trainer.first)
        np.copyto(self._second, self._trainer.second)
        self._t = self._trainer.t

    def restore(self) -> None:
        """Go back to what was remembered last."""
        self._network.set_parameters(self._parameters)
        np.copyto(self._trainer.first, self._first)
        np.copyto(self._trainer.second, self._second)
        self._trainer.t = self._t


class Training:
    """One call of `fit` or `partial_fit`; `run` returns how many epochs it finished."""

    def __init__(
        self, network: Network, trainer: Trainer, rates: LearningRates, record: TrainingRecord,
        rules: Rules, epochs: Epochs, validation: Validation | None,
    ) -> None:  # fmt: skip
        self.network, self.trainer, self.rates = network, trainer, rates
        self.record, self.rules = record, rules
        self.epochs, self.validation = epochs, validation
        self.n_iter = 0
        self._per_call = 1

    def run(self, task: FitTask, fitted: Any) -> int:
        """Train.  `fitted()` is the model so far, for callbacks that ask for it."""
        rules, saved = self.rules, Snapshot(self.network, self.trainer)
        many = (
            self.epochs.in_order and self.validation is None and self.rates.steady
            and not task.listening and not rules.verbose
        )  # fmt: skip
        try:
            while True:
                task.begin("epoch")
                finished = self._several(saved) if many else self._one(saved)
                stop = task.end(fitted)
                if not finished or self._plateau() or stop or rules.incremental:
                    break
                if self.n_iter >= rules.max_iter:
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({rules.max_iter}) reached and "
                        "the optimization hasn't converged yet. Raise max_iter, or learning_rate_"
                        "init.",
                        ConvergenceWarning, stacklevel=5,
                    )  # fmt: skip
                    break
        except KeyboardInterrupt:
            saved.restore()
            warnings.warn("Training interrupted by user.", stacklevel=5)
        if rules.early_stopping and self.record.best_parameters is not None:
            self.network.set_parameters(self.record.best_parameters)
        return self.n_iter

    def _one(self, saved: Snapshot) -> bool:
        """An epoch of mini-batches; whether it could be finished."""
        began = perf_counter()
        rate = self.rates.current()
        report = self.epochs.run(rate)
        losses = [] if report.failed >= 0 else [report.loss]
        if not self._sound(losses):
            step = self.trainer.t
            saved.restore()
            self._warn_diverged(step, report.loss, rate)
            return False
        saved.take()
        self.record.add(losses, [report.gradient_norm], rate, perf_counter() - began)
        self._count(1)
        if self.rules.verbose:
            self._tell(f"Iteration {self.n_iter}, loss = {report.loss:.8f}")
        if self.validation is not None:
            self._validate()
        if not self.rules.early_stopping:
            self.record.judge_loss(report.loss, self.rules.tol)
        self.rates.epochs_end(1, self.record.n_samples_seen)
        return True

    def _several(self, saved: Snapshot) -> bool:
        """Epochs in the order of the rows, in one call; whether they could be finished."""
        began = perf_counter()
        rate, record = self.rates.current(), self.record
        asked = 1 if self.rules.incremental else self.rules.max_iter - self.n_iter
        asked = min(asked, self._per_call)
        report = self._epochs(asked, rate)
        losses, failed = report.losses, report.failed >= 0
        sound = record.tolerated(losses)
        if failed or not self._sound(losses):
            # Once more, up to the last good epoch: the same bits come out.
            step, loss = self.trainer.t, losses[sound] if sound < len(losses) else math.nan
            while True:
                saved.restore()
                report = self._epochs(sound, rate)
                if self._sound(report.losses):
                    break
                sound -= 1
            self._keep(saved, report, rate, perf_counter() - began)
            self._warn_diverged(step, loss, rate)
            return False
        seconds = perf_counter() - began
        self._keep(saved, report, rate, seconds)
        wanted = int(SECONDS_PER_CALL * asked / max(seconds, 1e-9))
        self._per_call = min(max(wanted, 1), 4 * asked, MOST_EPOCHS_PER_CALL)
        return True

    def _epochs(self, count: int, rate: float) -> Any:
        return self.trainer.epochs(
            count, rate, best_loss=self.record.best_loss,
            no_improvement=self.record.no_improvement, tol=self.rules.tol,
            n_iter_no_change=self.rules.n_iter_no_change,
        )  # fmt: skip

    def _keep(self, saved: Snapshot, report: Any, rate: float, seconds: float) -> None:
        saved.take()
        count = len(report.losses)
        if count:
            self.record.add(report.losses.tolist(), report.gradient_norms.tolist(), rate, seconds)
        self.record.best_loss = report.best_loss
        self.record.no_improvement = report.no_improvement
        self._count(count)
        self.rates.epochs_end(count, self.record.n_samples_seen)

    def _count(self, epochs: int) -> None:
        self.n_iter += epochs
        self.record.n_samples_seen += epochs * self.epochs.n_samples

    def _sound(self, losses: Any) -> bool:
        """Whether epochs were finished, their losses are sane, and all weights are finite."""
        if self.record.tolerated(losses) < len(losses) or (not len(losses) and self._per_call == 1):
            return False
        with np.errstate(all="ignore"):
            return math.isfinite(np.add.reduce(self.network.copy_parameters()))

    def _validate(self) -> None:
        assert self.validation is not None
        loss, score = self.validation.measure(self.network)
        self.record.curves.validation_loss.append(loss)
        self.record.curves.validation_score.append(score)
        if self.rules.verbose:
            self._tell(f"Validation score: {score:f}")
        if self.rules.early_stopping:
            self.record.judge_score(score, self.rules.tol, self.network)

    def _plateau(self) -> bool:
        """Whether nothing has improved for so long that training ends."""
        if self.record.no_improvement <= self.rules.n_iter_no_change:
            return False
        why = self.rates.plateau()
        if self.rules.verbose:
            what = "Validation score" if self.rules.early_stopping else "Training loss"
            self._tell(
                f"{what} did not improve more than tol={self.rules.tol:f} for "
                f"{self.rules.n_iter_no_change} consecutive epochs. "
                + (why or f"Setting learning rate to {self.rates.rate:f}")
            )
        if why is None:
            self.record.no_improvement = 0
        return why is not None

    def _warn_diverged(self, step: int, loss: float, rate: float) -> None:
        warnings.warn(
            f"Training diverged at step {step}, in epoch {self.n_iter + 1}: the loss became "
            f"{loss:g} with a learning rate of {rate:g}. The weights of the last finished epoch "
            "are kept. Lower learning_rate_init, or scale X (and y), for example with "
            "sklearn.preprocessing.StandardScaler.",
            ConvergenceWarning, stacklevel=7,
        )  # fmt: skip

    def _tell(self, line: str) -> None:
        # scikit-learn's `verbose` writes to standard output, and so must a drop-in.
        sys.stdout.write(line + "\n")
