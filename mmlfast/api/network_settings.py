"""What the parameters of the network estimators may be; errors that name them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmlfast.api.learning_rates import SCHEDULES
from mmlfast.api.network import ACTIVATIONS

OPTIMIZERS = ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
SOLVERS = ("lbfgs", "sgd", *OPTIMIZERS)

Rule = tuple[Callable[[Any], bool], str]


def _number(least: float, most: float, *, open_at: str = "", words: str) -> Rule:
    def holds(value: Any) -> bool:
        if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
            return False
        x = float(value)
        if (x == least and "(" in open_at) or (x == most and ")" in open_at):
            return False
        return least <= x <= most

    return holds, words


def _integer(value: Any) -> bool:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return whole and int(value) >= 1


def _flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


AT_LEAST_0 = _number(0, math.inf, open_at=")", words="a finite number of at least 0")
POSITIVE = _number(0, math.inf, open_at="()", words="a finite number above 0")
SHARE = _number(0, 1, open_at=")", words="a number in [0, 1)")
COUNT: Rule = (_integer, "an integer of at least 1")
FLAG: Rule = (_flag, "True or False")

RULES: dict[str, Rule] = {
    "alpha": AT_LEAST_0,
    "batch_size": (lambda v: v == "auto" or _integer(v), "'auto' or an integer of at least 1"),
    "learning_rate": (
        lambda v: callable(v) or (isinstance(v, str) and v in SCHEDULES),
        "a function of the epoch or one of " + ", ".join(SCHEDULES),
    ),
    "learning_rate_init": POSITIVE,
    "power_t": AT_LEAST_0,
    "max_iter": COUNT,
    "shuffle": FLAG,
    "tol": AT_LEAST_0,
    "verbose": (lambda v: _flag(v) or isinstance(v, numbers.Integral), "True, False or an integer"),
    "warm_start": FLAG,
    "momentum": _number(0, 1, words="a number in [0, 1]"),
    "nesterovs_momentum": FLAG,
    "early_stopping": FLAG,
    "validation_fraction": SHARE,
    "beta_1": SHARE,
    "beta_2": SHARE,
    "epsilon": POSITIVE,
    "n_iter_no_change": (
        lambda v: _integer(v) or (isinstance(v, float) and v == math.inf),
        "an integer of at least 1, or infinity",
    ),
    "max_fun": COUNT,
    "out_activation": (lambda v: v in ("identity", "logistic"), "'identity' or 'logistic'"),
    "weight_decay": AT_LEAST_0,
    "fit_intercept": FLAG,
}


def check_settings(
    parameters: dict[str, Any], solvers: Sequence[str], losses: Sequence[str]
) -> None:
    """ValueError, naming the parameter, for settings no data could satisfy."""
    for name, (holds, words) in RULES.items():
        if name in parameters and not holds(parameters[name]):
            raise ValueError(f"{name} must be {words}; got {parameters[name]!r}.")
    for name, allowed in (("solver", solvers), ("loss", losses)):
        if parameters.get(name, allowed[0]) not in allowed:
            raise ValueError(
                f"{name} must be one of {', '.join(allowed)}; got {parameters[name]!r}."
            )


def hidden_sizes(given: Any) -> tuple[int, ...]:
    """hidden_layer_sizes as a tuple of positive integers."""
    sizes = tuple(np.atleast_1d(np.array(given, dtype=object)).tolist())
    if not all(_integer(size) for size in sizes):
        raise ValueError(
            f"hidden_layer_sizes must be > 0, and integers: the number of units in each hidden "
            f"layer, such as (100,); got {given!r}. Leave a layer out, or pass () for none."
        )
    return sizes


def for_each_layer(given: Any, n_hidden: int, name: str) -> tuple[Any, ...]:
    """A setting given once for all hidden layers, or once for each."""
    if isinstance(given, str | numbers.Real):
        return (given,) * n_hidden
    each = tuple(given) if isinstance(given, Sequence | np.ndarray) else (given,) * n_hidden
    if len(each) != n_hidden:
        raise ValueError(
            f"{name} must be one for all or one for each of the {n_hidden} hidden layers; got "
            f"{len(each)}: {given!r}."
        )
    return each


def activations_of(given: Any, n_hidden: int) -> tuple[str, ...]:
    """An activation for each hidden layer."""
    names = for_each_layer(given, n_hidden, "activation")
    for name in (given,) if isinstance(given, str) else names:
        if name not in ACTIVATIONS:
            raise ValueError(f"activation must be among {', '.join(ACTIVATIONS)}; got {name!r}.")
    return names


def dropouts_of(given: Any, n_hidden: int) -> tuple[float, ...]:
    """The share of units to drop for each hidden layer."""
    shares = for_each_layer(given, n_hidden, "dropout")
    for share in (given,) if isinstance(given, numbers.Real) else shares:
        if not SHARE[0](share):
            raise ValueError(f"dropout must be {SHARE[1]}; got {share!r}.")
    return tuple(float(share) for share in shares)
