"""A machine with a clock of its own, so that the engine is tested without looking at the time.

    python -m tests.testing.simulation [TRIALS]

prints how often `assert_not_slower` says "slower", by true ratio and noise of a turn.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from mmlfast.testing import Comparison, Rules, Sides, compare
from mmlfast.testing.assertions import MOST, TURN

NOISES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5)
ASSERTION = Rules(seconds=10, turn=TURN, most=MOST)
RATIOS = (1.0, 1.05, 1.1, 1.15, 1.3)


class Machine:
    """Sides whose calls take random seconds of a simulated clock.

    Parameters
    ----------
    ratio : float
        Candidate's true seconds over the baseline's.
    noise : float
        Standard deviation of the logarithm of each turn.
    seed : int
    call : float
        Seconds of a call of the baseline.
    bursts : float
        Probability with which one of the two turns of a pair takes twice as long.
    drift : float
        What is added to the seconds of a call in each second, as a part of them.
    launch_bias : sequence of float
        By what the candidate's seconds are multiplied in each launch; 1 after the last.
    start_up : float
        Seconds that a launch takes.
    """

    def __init__(
        self, ratio: float = 1.0, noise: float = 0.0, seed: int = 0, *, call: float = 0.005,
        bursts: float = 0.0, drift: float = 0.0, launch_bias: Sequence[float] = (),
        start_up: float = 0.0,
    ) -> None:  # fmt: skip
        self.random = random.Random(seed)
        self.ratio, self.noise, self.call = ratio, noise, call
        self.bursts, self.drift, self.launch_bias = bursts, drift, launch_bias
        self.start_up = start_up
        self.now = 0.0
        self.turns: list[tuple[str, int]] = []
        self.launches = 0
        self._victim = ""

    def clock(self) -> float:
        return self.now

    def turn(self, name: str, seconds: float) -> Callable[[int], float]:
        def run(number: int) -> float:
            if len(self.turns) % 2 == 0:
                burst = self.random.random() < self.bursts
                self._victim = self.random.choice("AB") if burst else ""
            took = seconds * (1 + self.drift * self.now)
            took *= self.random.lognormvariate(0, self.noise) * (1 + (name == self._victim))
            self.now += took * number
            self.turns.append((name, number))
            return took

        return run

    @contextmanager
    def launch(self) -> Iterator[Sides]:
        bias = self.launch_bias[self.launches] if self.launches < len(self.launch_bias) else 1
        self.launches += 1
        self.now += self.start_up
        yield Sides(self.turn("A", self.call * self.ratio * bias), self.turn("B", self.call))

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Make its clock the engine's."""
        with patch("mmlfast.testing.paired.perf_counter", self.clock):
            yield

    def compare(self, rules: Rules | None = None) -> Comparison:
        with self.ticking():
            return compare(self.launch, rules or Rules(seconds=10.0))


def slower(trials: int, **properties: float) -> float:
    """Part of the trials in which the verdict is "slower"."""
    found = [Machine(seed=seed, **properties).compare(ASSERTION) for seed in range(trials)]
    return sum(result.verdict == "slower" for result in found) / trials


def table(trials: int) -> Iterator[str]:
    yield "noise  pairs" + "".join(f"{ratio:8.2f}" for ratio in RATIOS)
    for noise in NOISES:
        machines = [Machine(noise=noise, seed=seed) for seed in range(trials)]
        pairs = [machine.compare(ASSERTION).n_pairs for machine in machines]
        parts = [slower(trials, ratio=ratio, noise=noise) for ratio in RATIOS]
        yield f"{noise:5.0%} {sum(pairs) / trials:6.1f}" + "".join(f"{p:8.1%}" for p in parts)


if __name__ == "__main__":
    for line in table(int(sys.argv[1]) if len(sys.argv) > 1 else 1000):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
