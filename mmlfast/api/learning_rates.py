"""The learning rate of each epoch: constant, or falling by a rule or where the loss stands."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable

SCHEDULES = ("constant", "invscaling", "adaptive", "cosine", "exponential")

# What "exponential" has fallen to after max_iter epochs.
EXPONENTIAL_END = 0.01
# scikit-learn's: "adaptive" divides by this, and stops once the rate is this small.
ADAPTIVE_DIVISOR = 5.0
ADAPTIVE_END = 1e-6

Schedule = str | Callable[[int], float]


class LearningRates:
    """Gives the rate of epoch 0, 1, …; is told when an epoch ends and when nothing improves.

    Parameters
    ----------
    schedule : name or callable
        With η the initial rate, e the epoch and t the samples seen: "constant" η; "invscaling"
        η/(t + 1)^power_t; "adaptive" η/5 at each plateau; "cosine" η (1 + cos(π e/max_iter))/2;
        "exponential" η 0.01^(e/max_iter); a callable its value at e.
    """

    def __init__(
        self, schedule: Schedule, initial: float, power_t: float, max_iter: int
    ) -> None:  # fmt: skip
        self.schedule, self.initial = schedule, float(initial)
        self.power_t, self.max_iter = power_t, max_iter
        self.rate = self.initial
        self.epoch = 0

    @property
    def steady(self) -> bool:
        """Whether the rate stays as it is until a plateau."""
        return self.schedule in ("constant", "adaptive")

    def current(self) -> float:
        """The rate of the epoch that comes."""
        if callable(self.schedule):
            rate = self.schedule(self.epoch)
            if not isinstance(rate, numbers.Real) or not 0 < rate < math.inf:
                raise ValueError(
                    f"learning_rate must return a positive number; got {rate!r} for epoch "
                    f"{self.epoch}."
                )
            self.rate = float(rate)
        return self.rate

    def epochs_end(self, count: int, samples: int) -> None:
        """`count` more epochs are done, and `samples` samples in all."""
        self.epoch += count
        share = min(self.epoch / self.max_iter, 1.0)
        if self.schedule == "invscaling":
            self.rate = self.initial / (samples + 1) ** self.power_t
        elif self.schedule == "cosine":
            self.rate = self.initial * (1 + math.cos(math.pi * share)) / 2
        elif self.schedule == "exponential":
            self.rate = self.initial * EXPONENTIAL_END**share

    def plateau(self) -> str | None:
        """The loss has stopped improving: why to stop training, or None to go on more slowly."""
        if self.schedule != "adaptive":
            return "Stopping."
        if self.rate <= ADAPTIVE_END:
            return "Learning rate too small. Stopping."
        self.rate /= ADAPTIVE_DIVISOR
        return None
