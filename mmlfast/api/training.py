"""The one fit loop: epochs, each a compiled call, until a rule stops them.

Whatever ends training, the weights are those of a finished epoch, and of one whose loss is sane:
they are copied before each call, and put back where it failed or was interrupted.
"""

from __future__ import annotations

import contextlib
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
from mmlfast.api.snapshots import Snapshots
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
        rules, saved = self.rules, Snapshots(self.network, self.trainer)
        many = (
            self.epochs.in_order and self.validation is None and self.rates.steady
            and not task.listening and not rules.verbose
        )  # fmt: skip
        # A stream hands the trainer other data within an epoch.
        awake = self.trainer.awake if self.epochs.in_memory else contextlib.nullcontext
        try:
            with awake():
                self._go_on(task, fitted, saved, many)
        except KeyboardInterrupt:
            saved.restore(generations=1)
            warnings.warn("Training interrupted by user.", stacklevel=5)
        if rules.early_stopping and self.record.best_parameters is not None:
            self.network.set_parameters(self.record.best_parameters)
        return self.n_iter

    def _go_on(self, task: FitTask, fitted: Any, saved: Snapshots, many: bool) -> None:
        """Epochs until a rule, a callback or the loss ends them."""
        rules = self.rules
        while True:
            task.begin("epoch")
            finished = self._several(saved) if many else self._one(saved)
            stop = task.end(fitted)
            if not finished or self._plateau() or stop or rules.incremental:
                return
            if self.n_iter >= rules.max_iter:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({rules.max_iter}) reached and the "
                    "optimization hasn't converged yet. Raise max_iter, or learning_rate_init.",
                    ConvergenceWarning, stacklevel=6,
                )  # fmt: skip
                return

    def _one(self, saved: Snapshots) -> bool:
        """An epoch of mini-batches; whether it could be finished."""
        began = perf_counter()
        rate = self.rates.current()
        report = self.epochs.run(rate)
        if report.failed >= 0 or not self.record.tolerated([report.loss]) or not self._finite():
            step, epoch = self.trainer.t, self.n_iter + 1
            # If the first batch failed already, it was the epoch before that spoilt the weights.
            self._count(-saved.restore(generations=2 if report.failed == 0 else 1))
            self._warn_diverged(step, epoch, report.loss if report.failed < 0 else math.nan, rate)
            return False
        saved.take(1)
        self.record.add([report.loss], [report.gradient_norm], rate, perf_counter() - began)
        self._count(1)
        if self.rules.verbose:
            self._tell(f"Iteration {self.n_iter}, loss = {report.loss:.8f}")
        if self.validation is not None:
            self._validate()
        if not self.rules.early_stopping:
            self.record.judge_loss(report.loss, self.rules.tol)
        return True

    def _several(self, saved: Snapshots) -> bool:
        """Epochs in the order of the rows, in one call; whether they could be finished."""
        began = perf_counter()
        rate, record = self.rates.current(), self.record
        asked = 1 if self.rules.incremental else self.rules.max_iter - self.n_iter
        asked = min(asked, self._per_call)
        report = self._epochs(asked, rate)
        losses, sound = report.losses, record.tolerated(report.losses)
        failed = report.failed >= 0 or sound < len(losses) or not self._finite()
        if failed:
            step, epoch = self.trainer.t, self.n_iter + sound + 1
            loss = losses[sound] if sound < len(losses) else math.nan
            # A loss is that of the weights before its step: the last step of the sound spoilt them.
            self._count(-saved.restore(generations=1 if sound else 2))
            # Once more as far as is good: the same bits come out.
            report = self._epochs(max(sound - 1, 0), rate)
        seconds = perf_counter() - began
        done = len(report.losses)
        if done:
            record.add(report.losses.tolist(), report.gradient_norms.tolist(), rate, seconds)
        record.best_loss, record.no_improvement = report.best_loss, report.no_improvement
        self._count(done)
        if failed:
            self._warn_diverged(step, epoch, loss, rate)
            return False
        saved.take(done)
        wanted = int(SECONDS_PER_CALL * asked / max(seconds, 1e-9))
        self._per_call = min(max(wanted, 1), 4 * asked, MOST_EPOCHS_PER_CALL)
        return True

    def _epochs(self, count: int, rate: float) -> Any:
        return self.trainer.epochs(
            count, rate, best_loss=self.record.best_loss,
            no_improvement=self.record.no_improvement, tol=self.rules.tol,
            n_iter_no_change=self.rules.n_iter_no_change,
        )  # fmt: skip

    def _count(self, epochs: int) -> None:
        """So many more epochs are done; fewer, if below zero, and the record forgets them."""
        self.n_iter += epochs
        if epochs < 0:
            self.record.forget(-epochs)
        self.record.n_samples_seen += epochs * self.epochs.n_samples
        self.rates.epochs_end(epochs, self.record.n_samples_seen)

    def _finite(self) -> bool:
        """Whether all weights are finite; an overflow in the last step shows in no loss yet."""
        with np.errstate(all="ignore"):
            return math.isfinite(np.add.reduce(self.network.parameters))

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

    def _warn_diverged(self, step: int, epoch: int, loss: float, rate: float) -> None:
        warnings.warn(
            f"Training diverged at step {step}, in epoch {epoch}: the loss became {loss:g} with a "
            f"learning rate of {rate:g}. The weights of epoch {self.n_iter} are kept. Lower "
            "learning_rate_init, or scale X (and y), for example with "
            "sklearn.preprocessing.StandardScaler.",
            ConvergenceWarning, stacklevel=8,
        )  # fmt: skip

    def _tell(self, line: str) -> None:
        # scikit-learn's `verbose` writes to standard output, and so must a drop-in.
        sys.stdout.write(line + "\n")
