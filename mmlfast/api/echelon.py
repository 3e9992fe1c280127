"""Echelon form of a matrix, with a table of the steps that lead to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from numbers import Rational
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.batches import as_matrices, refuse_bad_entries, share_groups, stacked

# A step keeps a copy of the matrix: of 40 × 40 some 800 copies, 10 MB.
LARGEST_WITH_STEPS = 1600

Kind = Literal["swap", "scale", "add", "eliminate", "round"]


class EchelonStep(NamedTuple):
    """One row operation: what was done, in words and in numbers, and the matrix after it.

    Rows are counted from 1 in `operation`, as on paper, and from 0 in `row` and `source`.
    """

    operation: str
    kind: Kind
    row: int
    source: int | None
    factor: Any
    matrix: NDArray[Any]


@dataclass(frozen=True, eq=False, repr=False)
class Echelon:
    """An echelon form; ``print`` shows the steps.

    Attributes
    ----------
    matrix : ndarray of shape (..., m, n)
        With leading ones; of :class:`fractions.Fraction` if the calculation was exact.
    pivots : ndarray of int of shape (rank,) or (..., min(m, n))
        The columns of the leading ones; in a stack −1 follows them.
    rank : int or ndarray of int of shape (...)
        How many there are.
    steps : tuple of EchelonStep or None
        The row operations in order; None if they were not wanted.
    start : ndarray of shape (m, n) or None
        The matrix before the first step.
    """

    matrix: NDArray[Any]
    pivots: NDArray[np.int64]
    rank: Any
    steps: tuple[EchelonStep, ...] | None
    start: NDArray[Any] | None

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.matrix.shape))
        if self.matrix.ndim > 2:
            return f"<Echelon of {shape}>"
        steps = "" if self.steps is None else f", {len(self.steps)} steps"
        return f"<Echelon of {shape}: rank {self.rank}, pivots {self.pivots.tolist()}{steps}>"

    def __str__(self) -> str:
        if self.matrix.ndim > 2:
            return f"{self!r}\n{self.matrix}"
        tables = list(self._tables())
        columns = zip(*(row for _, rows in tables for row in rows), strict=True)
        widths = [max(map(len, column)) for column in columns]
        margin = max((len(step.operation) for step in self.steps or ()), default=0)
        lines = []
        for step, rows in tables:
            for i, row in enumerate(rows):
                operation = step.operation if step and step.row == i else ""
                numbers = "  ".join(map(str.rjust, row, widths))
                lines.append(f"{operation:{margin}}   {numbers}".rstrip())
            lines.append("")
        return "\n".join([*lines, self._summary()])

    def _repr_html_(self) -> str:
        if self.matrix.ndim > 2:
            return f"<pre>{escape(str(self))}</pre>"
        rows = []
        for step, cells in self._tables():
            numbers = "".join(
                _tag("tr", "".join(_tag("td", cell, "text-align:right") for cell in row),
                     "font-weight:bold" if step and step.row == i else "")
                for i, row in enumerate(cells)
            )  # fmt: skip
            operation = _tag("td", step.operation if step else "", "text-align:left")
            rows.append(_tag("tr", operation + _tag("td", _tag("table", numbers))))
        return _tag("table", _tag("caption", self._summary()) + "".join(rows))

    def _summary(self) -> str:
        columns = ", ".join(str(column + 1) for column in self.pivots)
        return f"rank {self.rank}" + (f", pivots in columns {columns}" if columns else "")

    def _tables(self) -> Iterator[tuple[EchelonStep | None, list[list[str]]]]:
        """The matrix given and the matrices after each step, as text; without steps the result."""
        yield None, _as_text(self.matrix if self.start is None else self.start)
        for step in self.steps or ():
            yield step, _as_text(step.matrix)


def echelon(
    A: ArrayLike,
    *,
    pivot: Literal["partial", "none"] = "partial",
    reduced: bool = False,
    return_steps: bool = True,
    exact: bool | None = None,
    tol: float | None = None,
    n_jobs: int | None = None,
) -> Echelon:
    """E A, an upper echelon form with leading ones, by row operations that can be looked at.

    Parameters
    ----------
    A : array-like of shape (m, n) or (..., m, n)
        Any shape; a system A x = b is its augmented matrix ``np.column_stack([A, b])``.
    pivot : {"partial", "none"}, default="partial"
        "partial" swaps the row with the largest number up, as one calculates on a machine.  "none"
        takes the next row as it is and, if its pivot is zero, adds a lower row to it, as on paper.
    reduced : bool, default=False
        Make the columns of pivots zero above them, too: the reduced form, which is unique.
    return_steps : bool, default=True
        Keep every step, of one matrix of up to 1600 numbers.  Without steps a compiled kernel takes
        matrices of any size and stacks of them.
    exact : bool, default=None
        Calculate with :class:`fractions.Fraction`, which knows no rounding.  None: for whole
        numbers and fractions, if steps are wanted.
    tol : float, default=None
        Numbers up to `tol` in size count as zero where a pivot is looked for; by default
        max(m, n)·ε times the largest number of the matrix, 0 if exact.
    n_jobs : int, default=None
        Threads for a stack, see :func:`mmlfast.config_context`.  No bit depends on it.

    Returns
    -------
    Echelon
        `matrix`, `pivots`, `rank` and, if wanted, `steps` and `start`.  ``print`` it for a table of
        the steps; a notebook shows one.  A square matrix is singular if its rank is smaller than
        its size.

    Raises
    ------
    ValueError
        If A is not a matrix or not finite, steps are wanted of a stack or of a large matrix, or an
        option is unknown.
    TypeError
        If A does not hold real numbers, or with `exact` numbers that are neither whole nor
        fractions.

    See Also
    --------
    mmlfast.solve, mmlfast.rank : Where the answer matters and not the way.

    Examples
    --------
    >>> from mmlfast import echelon
    >>> print(echelon([[1, 1, 3], [2, 5, 9]], pivot="none"))
                     1  1  3
                     2  5  9
    <BLANKLINE>
                     1  1  3
    R2 ← R2 − 2·R1   0  3  3
    <BLANKLINE>
                     1  1  3
    R2 ← R2 / 3      0  1  1
    <BLANKLINE>
    rank 2, pivots in columns 1, 2
    """
    if pivot not in ("partial", "none"):
        raise ValueError(f"pivot must be 'partial' or 'none'; got {pivot!r}.")
    if tol is not None and not tol >= 0:
        raise ValueError(f"tol must be None or a number that is not negative; got {tol!r}.")
    if np.ma.is_masked(A):
        raise ValueError("A has masked entries. Fill them first, with A.filled(value).")
    array = np.asarray(A)
    if exact is None:
        exact = return_steps and _is_rational(array)
    if exact or return_steps:
        _check_steps(array)
    if exact:
        start = _as_fractions(array)
    else:
        start = as_matrices(array, "A")
        refuse_bad_entries(start, "A")
    if not exact and not return_steps:
        return _by_kernel(start, pivot == "partial", reduced, tol, n_jobs)
    if tol is None:
        tol = 0 if exact else float(_tolerances(start))
    notes = _Notes(start.copy())
    columns = _eliminate(notes, pivot == "partial", reduced, tol)
    pivots, rank = np.array(columns, np.int64), len(columns)
    if not return_steps:
        return Echelon(notes.matrix, pivots, rank, None, None)
    return Echelon(notes.matrix, pivots, rank, tuple(notes.steps), start.copy())


class _Notes:
    """A matrix and the row operations done to it, written down with a copy each."""

    def __init__(self, matrix: NDArray[Any]) -> None:
        self.matrix = matrix
        self.steps: list[EchelonStep] = []
        number: Any = Fraction if matrix.dtype.kind == "O" else matrix.dtype.type
        self._zero, self._one = number(0), number(1)

    def swap(self, row: int, other: int) -> None:
        self.matrix[[row, other]] = self.matrix[[other, row]]
        self._write(f"R{row + 1} ↔ R{other + 1}", "swap", row, other, None)

    def add(self, row: int, other: int) -> None:
        self.matrix[row] += self.matrix[other]
        self._write(f"R{row + 1} ← R{row + 1} + R{other + 1}", "add", row, other, 1)

    def scale(self, row: int, column: int) -> None:
        pivot = self.matrix[row, column]
        # Adding 0 makes 0 of −0.
        self.matrix[row] = self.matrix[row] / pivot + self._zero
        self.matrix[row, column] = self._one
        divisor = _number(pivot) if pivot > 0 and "/" not in str(pivot) else f"({_number(pivot)})"
        self._write(f"R{row + 1} ← R{row + 1} / {divisor}", "scale", row, None, 1 / pivot)

    def eliminate(self, row: int, source: int, column: int) -> None:
        factor = self.matrix[row, column]
        self.matrix[row] -= factor * self.matrix[source]
        self.matrix[row, column] = self._zero
        size = "" if abs(factor) == 1 else f"{_number(abs(factor))}·"
        text = f"R{row + 1} ← R{row + 1} {'−' if factor > 0 else '+'} {size}R{source + 1}"
        self._write(text, "eliminate", row, source, -factor)

    def round_off(self, row: int, column: int) -> None:
        below = self.matrix[row:, column]
        if np.any(below != 0):
            below[:] = self._zero
            self._write(f"column {column + 1} ≈ 0", "round", row, None, None)

    def _write(self, text: str, kind: Kind, row: int, source: int | None, factor: Any) -> None:
        self.steps.append(EchelonStep(text, kind, row, source, factor, self.matrix.copy()))


def _eliminate(notes: _Notes, swap: bool, reduced: bool, tol: float) -> list[int]:
    """Bring the matrix of the notes into echelon form; returns the columns of the pivots."""
    M = notes.matrix
    pivots: list[int] = []
    for column in range(M.shape[1]):
        row = len(pivots)
        candidates = [i for i in range(row, len(M)) if abs(M[i, column]) > tol]
        if not candidates:
            notes.round_off(row, column)
            continue
        if swap:
            largest = max(candidates, key=lambda i: abs(M[i, column]))
            if largest != row:
                notes.swap(row, largest)
        elif candidates[0] != row:
            notes.add(row, candidates[0])
        if M[row, column] != 1:
            notes.scale(row, column)
        for i in range(row + 1, len(M)):
            if M[i, column] != 0:
                notes.eliminate(i, row, column)
        pivots.append(column)
    if reduced:
        for row in range(len(pivots) - 1, 0, -1):
            for i in range(row - 1, -1, -1):
                if M[i, pivots[row]] != 0:
                    notes.eliminate(i, row, pivots[row])
    return pivots


def _by_kernel(
    start: NDArray[Any], swap: bool, reduced: bool, tol: float | None, n_jobs: int | None
) -> Echelon:
    from mmlfast.kernels.echelon import echelon_stack

    batch, (m, n) = start.shape[:-2], start.shape[-2:]
    A = stacked(start).copy()
    pivots, ranks = np.full((len(A), min(m, n)), -1, np.int64), np.zeros(len(A), np.int64)
    tolerances = _tolerances(A) if tol is None else np.full(len(A), tol, A.dtype)

    def run(first: int, end: int) -> None:
        part = slice(first, end)
        echelon_stack(A[part], swap, reduced, tolerances[part], pivots[part], ranks[part])

    if A.size:
        share_groups(run, len(A), 2 * A.size * min(m, n), n_jobs)
    matrix = A.reshape(start.shape)
    if not batch:
        return Echelon(matrix, pivots[0, : ranks[0]], int(ranks[0]), None, None)
    shape = (*batch, min(m, n))
    return Echelon(matrix, pivots.reshape(shape), ranks.reshape(batch), None, None)


def _tolerances(A: NDArray[Any]) -> NDArray[Any]:
    """max(m, n)·ε·max |a_ij| of each matrix."""
    largest = np.abs(A).max(axis=(-1, -2), initial=0)
    return np.asarray(largest * max(A.shape[-2:]) * np.finfo(A.dtype).eps)


def _is_rational(array: NDArray[Any]) -> bool:
    if array.dtype.kind == "O":
        return all(isinstance(entry, Rational) for entry in array.flat)
    return array.dtype.kind in "iub"


def _as_fractions(array: NDArray[Any]) -> NDArray[Any]:
    if not _is_rational(array):
        raise TypeError(
            "exact needs whole numbers or fractions.Fraction; got "
            f"dtype {array.dtype}. Convert first, with Fraction('0.1') or "
            "Fraction(x).limit_denominator()."
        )
    # int() because numpy's integers, which may stand in an object array, overflow.
    fractions = [Fraction(int(x.numerator), int(x.denominator)) for x in array.ravel().tolist()]
    return np.array(fractions, object).reshape(array.shape)


def _check_steps(array: NDArray[Any]) -> None:
    if array.ndim != 2:
        raise ValueError(
            f"Steps and fractions are for one matrix (m, n); got shape {array.shape}. Pass "
            "return_steps=False for a stack of matrices."
        )
    if array.size > LARGEST_WITH_STEPS:
        raise ValueError(
            f"Steps and fractions are for matrices of at most {LARGEST_WITH_STEPS} numbers; got "
            f"shape {array.shape}. Pass return_steps=False."
        )


def _number(x: Any) -> str:
    """A number as one writes it: 2/3, 0.3333, −1."""
    text = str(x) if isinstance(x, Fraction) else f"{x:.4g}"
    return "0" if text == "-0" else text.replace("-", "−")


def _as_text(matrix: NDArray[Any]) -> list[list[str]]:
    return [[_number(x) for x in row] for row in matrix]


def _tag(name: str, content: str, style: str = "") -> str:
    return f'<{name} style="{style}">{content}</{name}>' if style else f"<{name}>{content}</{name}>"
