"""Minimising a function by descent, with the path for everyone to see."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.compiled_functions import check_takes, first_call
from mmlfast.api.descent import How, Interpreted, Problem, State, checked, run_compiled
from mmlfast.api.differences import (
    central_jacobian,
    complex_jacobian,
    jacobian_rule,
    steps_into_the_complex,
)
from mmlfast.api.eigenpairs import check_count, check_tolerance, is_finite_number
from mmlfast.runtime.validate import as_real

Array = NDArray[Any]
Method = Literal[
    "gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "newton", "hybrid"
]  # fmt: skip
METHODS = ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "newton", "hybrid")
RATES = {"adagrad": 0.5, "adam": 0.1, "hybrid": 0.5}
OTHER_RATE = 0.01
STATUS = ("converged", "max_iter", "diverged", "stalled", "singular")


def minimize(
    fun: Callable[..., Any],
    x0: ArrayLike,
    *,
    jac: Any = None,
    hess: Callable[..., Any] | None = None,
    method: Method = "gd",
    step_rule: Callable[[float, Array, Array], Any] | None = None,
    learning_rate: float | None = None,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    max_step: float = 2.0,
    max_iter: int = 10_000,
    tol: float = 1e-6,
    args: tuple[Any, ...] = (),
    history: bool = True,
    n_jobs: int | None = None,
) -> OptimizeResult:
    """x with ‖∇f(x)‖ ≤ tol, by steps x ← x + s from one start or from many at once.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` → number, for an array x of shape (n,).  If it is an ``@njit`` function,
        and so are `jac`, `hess` and `step_rule` where given, the whole loop is compiled, and the
        starts are spread over threads.  It is compiled once for each function and process.
    x0 : array-like of shape (n,) or (n_starts, n)
        The start, or starts, each of which goes its own way and stops by itself.  float32 keeps
        its dtype, others become float64.
    jac : callable, True, "complex-step", "central" or None, default=None
        ``jac(x, *args)`` → ∇f of shape (n,).  True: `fun` gives the pair (f, ∇f).  None: complex
        steps if the first start shows that a Python function takes them, else central differences;
        for a compiled function central differences.
    hess : callable, default=None
        ``hess(x, *args)`` → ∇²f of shape (n, n), for the methods and rules that use it.  None:
        central differences, of the gradient if `jac` gives one.
    method : str, default="gd"
        With the gradient J and the Hessian H, the step s is

        - "gd": -γ J
        - "momentum", "nesterov", "adagrad", "rmsprop", "adam": as the optimisers of networks
        - "newton": -H⁻¹ J, which finds maxima and saddles, too
        - "hybrid": -H⁻¹ J, but -γ J where s·(-J) <= 0, ‖s‖ > `max_step` or H is singular
    step_rule : callable, default=None
        A rule of one's own instead of `method`: ``step_rule(f, J, H)`` → s.
    learning_rate : float, default=None
        γ; None is 0.5 for "hybrid" and "adagrad", 0.1 for "adam" and 0.01 otherwise.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        `beta_1` is the momentum of "momentum", "nesterov" and "adam", `beta_2` the decay of the
        mean square of "rmsprop" and "adam", `epsilon` what "adagrad" and these add to its root.
    max_step : float, default=2.0
        The longest Newton step of "hybrid".
    max_iter : int, default=10_000
        Steps at most.
    tol : float, default=1e-6
        For the norm of the gradient; 0 means `max_iter` steps unless it is exactly 0, and no
        warning.
    args : tuple, default=()
        Further arguments of `fun`, `jac` and `hess`.
    history : bool, default=True
        Keep the paths.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    scipy.optimize.OptimizeResult
        For one start:

        - ``x`` (n,), ``fun``, ``jac`` (n,): where it converged, else the point of least f visited;
          the start, inf and NaN if f was finite nowhere
        - ``success``, ``status``, ``reason``, ``message``: why it stopped: 0 "converged",
          1 "max_iter", 2 "diverged" (f, its gradient or x was no longer finite), 3 "stalled" (the
          step no longer changes x), 4 "singular" (a Newton step does not exist)
        - ``nit``, ``nfev``, ``njev``, ``nhev``: steps, and calls of `fun`, `jac` and `hess`
        - ``path`` (nit + 1, n) and ``fun_path`` (nit + 1,), or None; ``method``, ``compiled``

        For many starts each has a further first axis, or is a list; ``path``, ``fun_path``,
        ``reason`` and ``message`` are lists.

    Raises
    ------
    TypeError
        If a function has not the signature expected, or does not give real numbers.
    ValueError
        If another argument is out of range, or a function gives another shape.

    Warns
    -----
    ConvergenceWarning
        If one start did not converge and `tol` is not 0.  Of many starts each is told by its
        status, without a warning.

    See Also
    --------
    scipy.optimize.minimize : Quasi-Newton methods, bounds and constraints.
    lagrange_stationary : Stationary points under constraints.

    Notes
    -----
    The optimisers are those of Polyak (1964), Nesterov (1983), Duchi, Hazan and Singer (2011),
    Tieleman and Hinton (2012), Kingma and Ba (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import minimize
    >>> def valley(x):
    ...     return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> run = minimize(valley, [-1.2, 1.0], method="newton")
    >>> run.x.round(6), run.reason, run.path.shape == (run.nit + 1, 2)
    (array([1., 1.]), 'converged', True)
    >>> def next_step(f, J, H):
    ...     return -0.5 * J
    >>> minimize(lambda x: x @ x / 2, [[4.0, 2.0], [0.0, 1.0]], step_rule=next_step).nit
    array([23, 20])
    """
    starts, single = _starts(x0)
    how = _how(method, step_rule, learning_rate, (beta_1, beta_2, epsilon), max_step, max_iter, tol)
    problem = _problem(fun, jac, hess, step_rule, args, method)
    # As on the way: overflow shows in the status.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        _check_functions(problem, starts[0])
    state = State(starts, history)
    rule = _rule_of_jac(problem, jac, starts[0])
    compiled = problem.is_compiled() and rule is not complex_jacobian
    if compiled:
        run_compiled(problem, how, state, n_jobs)
    else:
        Interpreted(problem, how, rule).run(state)
    name = method if step_rule is None else "step_rule"
    result = _result(state, how, single, {"method": name, "compiled": compiled})
    if single and tol > 0 and not result.success:
        warnings.warn(f"minimize: {result.message}", ConvergenceWarning, stacklevel=2)
    return result


def _starts(x0: ArrayLike) -> tuple[Array, bool]:
    array = as_real(x0, "x0")
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(
            f"x0 must be a start (n,) or starts (n_starts, n), not empty; got shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("x0 must be finite; it holds NaN or infinity.")
    return np.ascontiguousarray(np.atleast_2d(array)), array.ndim == 1


def _how(
    method: str,
    step_rule: Any,
    learning_rate: float | None,
    decays: tuple[float, float, float],
    max_step: float,
    max_iter: int,
    tol: float,
) -> How:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    if step_rule is not None and method != "gd":
        raise ValueError(f"Pass either step_rule or method; got both, method={method!r}.")
    check_count("max_iter", max_iter)
    check_tolerance(tol)
    rate = RATES.get(method, OTHER_RATE) if learning_rate is None else learning_rate
    for name, value in (("learning_rate", rate), ("max_step", max_step), ("epsilon", decays[2])):
        if not is_finite_number(value) or value <= 0:
            raise ValueError(f"{name} must be a finite number larger than 0; got {value!r}.")
    for name, value in zip(("beta_1", "beta_2"), decays, strict=False):
        if not is_finite_number(value) or not 0 <= value < 1:
            raise ValueError(f"{name} must be a number in [0, 1); got {value!r}.")
    beta_1, beta_2, epsilon = map(float, decays)
    rule = METHODS.index(method) if step_rule is None else len(METHODS)
    limits = (float(max_step), float(tol), int(max_iter))
    return How(rule, (float(rate), beta_1, beta_2, epsilon), limits)


def _problem(
    fun: Any, jac: Any, hess: Any, step_rule: Any, args: tuple[Any, ...], method: str
) -> Problem:
    if not isinstance(args, tuple):
        raise TypeError(f"args must be a tuple; got {type(args).__name__}. Pass args=(value,).")
    differences = jac is None or (isinstance(jac, str) and jac in ("complex-step", "central"))
    if jac is False or (isinstance(jac, str) and not differences):
        raise ValueError(
            "jac must be a function, True, 'complex-step', 'central' or None; got " f"{jac!r}."
        )
    curved = step_rule is not None or method in ("newton", "hybrid")
    return Problem(
        fun, None if differences else jac, hess if curved else None, step_rule, args, curved
    )


def _check_functions(problem: Problem, start: Array) -> None:
    """Signatures, and what the functions give at the first start."""
    fun, jac, hess, rule, args = (
        problem.fun, problem.jac, problem.hess, problem.step_rule, problem.args
    )  # fmt: skip
    more, size = (", *args" if args else ""), start.size
    expected = f"fun(x{more}) with x an array of shape ({size},)"
    check_takes(fun, (start, *args), "fun", expected)
    given = first_call(fun, (start.copy(), *args), expected)
    if jac is True:
        if not isinstance(given, tuple) or len(given) != 2:
            raise TypeError(f"With jac=True fun must give a pair (f, gradient); got {given!r}.")
        given, slope = given
        checked(slope, start.shape, "The gradient that fun gives")
    if isinstance(given, tuple):
        raise TypeError(
            f"{expected} must give one real number; it gave a tuple. For a pair (f, gradient) pass "
            "jac=True."
        )
    if np.ndim(given) or np.asarray(given).dtype.kind not in "fiub":
        raise TypeError(
            f"{expected} must give one real number; it gave {_in_words(given)} at the first start."
        )
    for function, name, shape in ((jac, "jac", start.shape), (hess, "hess", (size, size))):
        if function is not None and function is not True:
            expected = f"{name}(x{more}) with x an array of shape ({size},)"
            check_takes(function, (start, *args), name, expected)
            slope = first_call(function, (start.copy(), *args), expected)
            checked(slope, shape, f"What {name} gives")
    if rule is not None:
        expected = f"step_rule(f, J, H) with J of shape ({size},) and H ({size}, {size})"
        example = (1.0, np.ones_like(start), np.eye(size, dtype=start.dtype))
        check_takes(rule, example, "step_rule", expected)
        checked(first_call(rule, example, expected), start.shape, "The step that step_rule gives")


def _rule_of_jac(problem: Problem, jac: Any, start: Array) -> Callable[..., Array]:
    """How the gradient is taken where no function gives it."""

    def fun(x: Array) -> Any:
        return problem.fun(x, *problem.args)

    if isinstance(jac, str) and jac == "complex-step":
        if not steps_into_the_complex(fun, start):
            raise ValueError(
                "jac='complex-step' needs a function that follows complex arguments, without abs, "
                "comparisons or conversions; at the first start it does not give what differences "
                "give. Pass jac='central'."
            )
        return complex_jacobian
    if problem.jac is not None or isinstance(jac, str) or problem.is_compiled():
        return central_jacobian
    return jacobian_rule(fun, start)


def _in_words(given: Any) -> str:
    if isinstance(given, np.ndarray):
        return f"an array of dtype {given.dtype} and shape {given.shape}"
    return f"{type(given).__name__} {given!r}"


def _message(state: State, i: int, how: How) -> str:
    steps, tol = state.counts[i, 0], how.limits[1]
    slope = float(np.linalg.norm(state.best_g[i].astype(np.float64)))
    return (
        f"converged: the gradient's norm is {slope:.3g}, at most tol={tol:g}, after {steps} steps.",
        f"max_iter: after {steps} steps the gradient's norm is {slope:.3g} at the best point, "
        f"above tol={tol:g}. Raise max_iter, or change method or learning_rate="
        f"{how.settings[0]:g}.",
        f"diverged: f, its gradient or x was no longer finite after {steps} steps with "
        f"learning_rate={how.settings[0]:g}; the best point before is kept. Lower learning_rate.",
        f"stalled: after {steps} steps a step no longer changes x, where the gradient's norm is "
        f"{slope:.3g}, above tol={tol:g}.",
        f"singular: after {steps} steps the Hessian has no inverse. Try method='hybrid'.",
    )[state.status[i]]


def _result(state: State, how: How, single: bool, more: dict[str, Any]) -> OptimizeResult:
    count = len(state.x)
    result: dict[str, Any] = {
        "x": state.best, "fun": state.least, "jac": state.best_g,
        "success": state.status == 0, "status": state.status,
        "reason": [STATUS[status] for status in state.status],
        "message": [_message(state, i, how) for i in range(count)],
        "nit": state.counts[:, 0], "nfev": state.counts[:, 1], "njev": state.counts[:, 2],
        "nhev": state.counts[:, 3],
        "path": None if state.seen is None else [np.concatenate(parts) for parts in state.seen],
        "fun_path": None if state.seen is None else [np.concatenate(p) for p in state.values],
    }  # fmt: skip
    if single:
        result = {name: None if value is None else value[0] for name, value in result.items()}
        for name in ("fun", "success", "status", "nit", "nfev", "njev", "nhev"):
            result[name] = result[name].item()
    return OptimizeResult(**result, **more)
