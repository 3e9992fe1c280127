"""Newton–Raphson for one equation: x ← x − f(x)/f'(x), from one start or from many."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.eigenpairs import check_count, check_tolerance
from mmlfast.api.scalar_functions import Slope, as_elementwise

Array = NDArray[Any]

CONVERGED, CYCLE, DIVERGED, ZERO_DERIVATIVE, MAX_ITER = range(5)
RUNNING = -1
STATUS = np.array(["converged", "cycle", "diverged", "zero derivative", "max_iter"])

# Periods looked for, how near iterates a period apart must lie, relative to max(1, |x|), and how
# much farther apart neighbours must be, so that slow convergence is no cycle.
LONGEST_PERIOD = 8
SAME, APART = 1e-9, 1e3
# So many last steps without one clearly shorter than the one before are a divergence.
STEPS_AWAY = 3
# Steps before either is looked for: by then most starts have converged.
SETTLING = 2


@dataclass(frozen=True, eq=False, repr=False)
class NewtonTrace:
    """What each step of Newton's method saw; ``print`` shows a table.

    Attributes
    ----------
    x, fun, slope : ndarray of shape (n_iter + 1,)
        The iterates, f and f' there.
    """

    x: Array
    fun: Array
    slope: Array

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"<NewtonTrace of {len(self)} rows>"

    def __str__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in rows)

    def _repr_html_(self) -> str:
        head, *rows = (
            "".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._rows()
        )
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in [head, *rows]) + "</table>"

    def _rows(self) -> list[list[str]]:
        rows = [["n", "x", "f(x)", "f'(x)"]]
        for n, (x, fun, slope) in enumerate(zip(self.x, self.fun, self.slope, strict=True)):
            numbers = (f"{x:.10g}", f"{fun:.4g}", f"{slope:.4g}")
            rows.append([str(n), *(number.replace("-", "−") for number in numbers)])
        return rows


@dataclass(frozen=True, eq=False)
class NewtonRoot:
    """The result of :func:`newton_root`: numbers for one start, arrays of x0's shape for many.

    Attributes
    ----------
    root : float, complex or ndarray
        The last iterate; a root if `converged`.
    fun : float, complex or ndarray
        f there.
    status : str or ndarray of str
        "converged"; "cycle", with its `period`; "diverged": f or x is no longer finite, f is not
        defined where x came to, or the steps do not shrink; "zero derivative"; "max_iter".
    converged : bool or ndarray of bool
        Whether the status is "converged".
    period : int or ndarray of int
        The length of the cycle, otherwise 0.
    n_iter : int or ndarray of int
        Steps taken.
    trace : NewtonTrace, list of NewtonTrace (in the order of ``x0.ravel()``) or None
        Every step.
    """

    root: Any
    fun: Any
    status: Any
    converged: Any
    period: Any
    n_iter: Any
    trace: Any

    def __str__(self) -> str:
        if np.ndim(self.root):
            names, counts = np.unique(self.status, return_counts=True)
            told = ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True))
            return f"{np.size(self.root)} starts: {told}"
        period = f" of period {self.period}" if self.period else ""
        last = f"{self.status}{period} after {self.n_iter} steps, x = {self.root:.16g}"
        return last if self.trace is None else f"{self.trace}\n{last}"


def newton_root(
    f: Callable[..., Any],
    x0: ArrayLike,
    *,
    df: Callable[..., Any] | None = None,
    tol: float = 1e-12,
    max_iter: int = 50,
    args: tuple[Any, ...] = (),
    trace: bool | None = None,
) -> NewtonRoot:
    """x with f(x) = 0, by x ← x - f(x)/f'(x), and what became of it: root, cycle or divergence.

    Parameters
    ----------
    f : callable
        ``f(x, *args)``, a scalar function, given arrays if it takes them and single numbers if
        not; ``@njit`` functions of one number are run over all starts by compiled code.
    x0 : array-like of any shape
        The start or starts, real or complex, each with a result of its own: for basins of
        attraction, a grid.
    df : callable, default=None
        ``df(x, *args)`` → f'(x).  None: complex steps if f takes complex numbers, which are as
        exact as a formula, else central differences.
    tol : float, default=1e-12
        Converged when a step is at most ``tol * max(1, |x|)``, or f(x) = 0.
    max_iter : int, default=50
        Steps at most.
    args : tuple, default=()
        Further arguments of `f` and `df`.
    trace : bool, default=None
        Keep every step.  None: for a single start.

    Returns
    -------
    NewtonRoot
        ``root``, ``fun``, ``status``, ``converged``, ``period``, ``n_iter``, ``trace``; ``print``
        it, or its ``trace``, for a table of n, x, f(x) and f'(x).

    Raises
    ------
    TypeError
        If a function has not the signature expected, or does not give numbers.
    ValueError
        If x0 is not finite or an option is out of range.

    Warns
    -----
    ConvergenceWarning
        If a single start did not converge.  Of many starts each is told by its status.

    See Also
    --------
    scipy.optimize.root_scalar : Brackets and other methods.
    minimize : Stationary points of functions of several variables.

    Notes
    -----
    A cycle is reported when iterates repeat within 1e-9 for one whole period of up to 8 steps.  The
    method and how it fails: Dennis and Schnabel, Numerical methods for unconstrained optimization
    and nonlinear equations, 1983, chapter 2.

    Examples
    --------
    >>> from mmlfast import newton_root
    >>> print(newton_root(lambda x: x**2 - 2, 1.0))
    n            x        f(x)  f'(x)
    0            1          −1      2
    1          1.5        0.25      3
    2  1.416666667    0.006944  2.833
    3  1.414215686   6.007e−06  2.828
    4  1.414213562   4.511e−12  2.828
    5  1.414213562   4.441e−16  2.828
    6  1.414213562  −4.441e−16  2.828
    converged after 6 steps, x = 1.414213562373095
    >>> import numpy as np
    >>> starts = newton_root(lambda x: x**3 - 2 * x + 2, np.array([0.0, -2.0]))
    >>> starts.status.tolist(), starts.period.tolist()
    (['cycle', 'converged'], [2, 0])
    """
    x = _starts(x0)
    if not isinstance(args, tuple):
        raise TypeError(f"args must be a tuple; got {type(args).__name__}. Pass args=(value,).")
    check_count("max_iter", max_iter)
    check_tolerance(tol)
    single = np.ndim(x0) == 0
    keep = single if trace is None else trace
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        function = as_elementwise(f, x, args, "f")
        slope = Slope(function, x) if df is None else as_elementwise(df, x, args, "df")
        run = _Run(x, max_iter, keep)
        while run.active.size:
            run.step(function(run.x), slope(run.x), tol)
    result = run.result(np.shape(x0))
    if single and not result.converged:
        period = f" of period {result.period}" if result.period else ""
        warnings.warn(
            f"newton_root: {result.status}{period} after {result.n_iter} steps from {x[0]:g}; the "
            "last iterate is returned. Start elsewhere.",
            ConvergenceWarning, stacklevel=2,
        )  # fmt: skip
    return result


def _starts(x0: ArrayLike) -> Array:
    array = np.asarray(x0)
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"x0 must hold numbers; got dtype {array.dtype}.")
    if not np.isfinite(array).all():
        raise ValueError("x0 must be finite; it holds NaN or infinity.")
    return array.ravel().astype(np.complex128 if array.dtype.kind == "c" else np.float64)


class _Run:
    """All starts and what became of them; a step moves those that are still active, in lockstep."""

    def __init__(self, x: Array, max_iter: int, keep: bool) -> None:
        self.root, self.max_iter = x.copy(), max_iter
        self.fun = np.full_like(x, np.nan)
        self.status, self.period, self.n_iter = np.zeros((3, x.size), np.int64)
        self.kept: list[tuple[Array, ...]] | None = [] if keep else None
        self._taken = 0
        # Of the active ones: which they are, where, and whether the last step was of no account.
        self.active, self.x, self._small = np.arange(x.size), x, np.zeros(x.size, bool)
        # Their last iterates, the newest first, and how often in a row it was as p steps before.
        self._past: list[Array] = []
        self._same = [np.zeros(x.size, np.int64) for _ in range(LONGEST_PERIOD + 1)]

    def step(self, fun: Array, slope: Array, tol: float) -> None:
        """Note f and f' at the active points, see who has ended, and move the others."""
        if self.kept is not None:
            self.kept.append((self.active, self.x, fun, slope))
        moved = self.x - fun / slope
        status = np.full(fun.size, RUNNING)
        if self._taken >= self.max_iter:
            status[:] = MAX_ITER
        if self._taken >= SETTLING:
            self._past = [self.x, *self._past[: max(LONGEST_PERIOD, STEPS_AWAY + 1)]]
            status[self._find_cycles()] = CYCLE
        status[slope == 0] = ZERO_DERIVATIVE
        status[((status == MAX_ITER) | (slope == 0)) & self._goes_away()] = DIVERGED
        status[~(np.isfinite(fun) & np.isfinite(slope))] = DIVERGED
        status[(status == RUNNING) & ~np.isfinite(moved)] = DIVERGED
        status[(self._small & np.isfinite(fun)) | (fun == 0)] = CONVERGED
        self._small = np.abs(moved - self.x) <= tol * np.maximum(1, np.abs(moved))
        self._end(status, fun, moved)
        self._taken += 1

    def _end(self, status: Array, fun: Array, moved: Array) -> None:
        """Write down those that have ended, and go on with the others."""
        ended, going = status != RUNNING, np.flatnonzero(status == RUNNING)
        who = self.active[ended]
        self.root[who], self.fun[who], self.status[who] = self.x[ended], fun[ended], status[ended]
        self.n_iter[who] = self._taken
        self.x = moved[going]
        if who.size:
            self.active, self._small = self.active[going], self._small[going]
            self._past = [past[going] for past in self._past]
            self._same = [same[going] for same in self._same]

    def _find_cycles(self) -> Array:
        """Which have repeated a whole period; notes the shortest."""
        x, *past = self._past
        found = np.zeros(x.size, bool)
        if not past:
            return found
        near = SAME * np.maximum(1, np.abs(x))
        apart = np.abs(x - past[0]) > APART * near
        for period, before in enumerate(past[1:LONGEST_PERIOD], 2):
            same = self._same[period]
            same += 1
            same *= apart & (np.abs(x - before) <= near)
            new = (same >= period) & ~found
            self.period[self.active[new]] = period
            found |= new
        return found

    def _goes_away(self) -> Array:
        """Whether none of the last steps was clearly shorter than the one before."""
        if len(self._past) < STEPS_AWAY + 2:
            return np.zeros(self.x.size, bool)
        past = np.array(self._past[: STEPS_AWAY + 2])
        steps = np.abs(np.diff(past, axis=0))
        farther = np.abs(past[0]) > np.abs(past[-1])
        return np.asarray(farther & (steps[:-1] >= 0.99 * steps[1:]).all(axis=0))

    def result(self, shape: tuple[int, ...]) -> NewtonRoot:
        """Everything in the shape of x0."""
        self.period[self.status != CYCLE] = 0
        converged = self.status == CONVERGED
        columns = (self.root, self.fun, STATUS[self.status], converged, self.period, self.n_iter)
        traces = None if self.kept is None else self._traces()
        if shape == ():
            values = [*(column[0].item() for column in columns), traces and traces[0]]
        else:
            values = [*(column.reshape(shape) for column in columns), traces]
        return NewtonRoot(*values)

    def _traces(self) -> list[NewtonTrace]:
        assert self.kept is not None
        who = np.concatenate([step[0] for step in self.kept])
        order = np.argsort(who, kind="stable")
        cuts = np.cumsum(np.bincount(who, minlength=self.root.size))[:-1]
        columns = (np.concatenate([step[i] for step in self.kept])[order] for i in (1, 2, 3))
        split = (np.split(column, cuts) for column in columns)
        return [NewtonTrace(*parts) for parts in zip(*split, strict=True)]
