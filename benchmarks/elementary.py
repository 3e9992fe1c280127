"""Elementary functions over an array: cases beside numpy, both into a given array.

error:   max |y − f(x)| / |f(x)|, with f(x) in float64; a unit in the last place is eps at most
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from benchmarks.case import Call, Case, Size

NUMBERS = 1_000_000

Inputs = tuple[np.ndarray, np.ndarray]


@lru_cache(maxsize=2)
def numbers(count: int) -> Inputs:
    """Normal numbers with a standard deviation of 3, and room for the results."""
    x = np.random.default_rng(0).normal(scale=3.0, size=count).astype(np.float32)
    return x, np.zeros_like(x)


def numbers_input(size: Size) -> Inputs:
    """The array of a case."""
    return numbers(1001 if size == "tiny" else NUMBERS)


def relative_error(y: np.ndarray, inputs: Inputs, name: str) -> float:
    """The largest relative error."""
    exact = getattr(np, name)(inputs[0].astype(np.float64))
    error = np.abs(y - exact) / np.abs(exact)
    return float(error.max()) if np.isfinite(y).all() else np.inf


def ours(name: str) -> Call:
    """The kernel of that name."""
    from mmlfast.kernels import elementary

    kernel = getattr(elementary, name)

    def call(inputs: Inputs) -> np.ndarray:
        kernel(*inputs)
        return inputs[1]

    return call


def numpys(name: str) -> Call:
    """numpy's function of that name."""
    function = getattr(np, name)
    return lambda inputs: function(inputs[0], out=inputs[1])


def elementary_case(name: str) -> Case:
    """One function of a million float32 on one thread."""
    return Case(
        name=f"{name}_1e6_f32",
        group="elementary",
        inputs=numbers_input,
        ours=partial(ours, name),
        rivals={"numpy": partial(numpys, name)},
        check=partial(relative_error, name=name),
        tolerance=2 * float(np.finfo(np.float32).eps),
        bytes=8.0 * NUMBERS,
        bar={"numpy": 1.0},
        quick=True,
        threads=1,
    )


CASES = [elementary_case("exp"), elementary_case("tanh")]
