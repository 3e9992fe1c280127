"""Linear systems and inverses, of one matrix or of thousands, by Gaussian elimination."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import LinAlgWarning, get_lapack_funcs

from mmlfast.api.batches import (
    as_square_matrices,
    base,
    lanes_of,
    place,
    refuse_bad_entries,
    share_groups,
    stacked,
)
from mmlfast.api.singularity import dependent_columns
from mmlfast.runtime.threads import blas_for
from mmlfast.runtime.validate import as_real, scratch

# Below these sizes whole groups of matrices are quicker than numpy.linalg.solve, on one thread:
# float64 with 8 lanes n = 8 8.2×, 16 6.3×, 32 3.0×, 64 1.3×; with 4 lanes 8 5.0×, 32 2.1×, 48 1.4×;
# with 2 lanes 8 3.2×, 32 1.2×; float32 with 16 lanes 8 15×, 32 5.8×, 64 2.7×.  A group that is not
# full costs the same as a full one.
KERNEL_LARGEST = 64
KERNEL_LARGEST_BY_LANES = 24, 5
PARTIAL_GROUP_LANES = 2
# Right-hand sides, in multiples of n: more of them leave the cache.
KERNEL_COLUMNS = 16

# Up to this size a matrix of bad condition is looked at exactly: 0.2 s at most.
EXACT_LARGEST = 128

OnSingular = Literal["raise", "nan"]


class SingularMatrixError(np.linalg.LinAlgError):
    """A x = b has no solution, or many: in some row of the eliminated matrix no pivot is left.

    It is a :class:`numpy.linalg.LinAlgError` and a :class:`ValueError`.

    Attributes
    ----------
    index : tuple of int
        Which matrix of the stack; empty if there was only one.
    row : int
        The row of the eliminated matrix, counted from 0, from which on its column is zero.

    Examples
    --------
    >>> from mmlfast import SingularMatrixError, inverse
    >>> try:
    ...     inverse([[1, 2], [2, 4]])
    ... except SingularMatrixError as error:
    ...     error.row
    1
    """

    def __init__(self, index: tuple[int, ...], row: int) -> None:
        super().__init__(index, row)
        self.index = index
        self.row = row

    def __str__(self) -> str:
        return (
            f"{place('A', self.index)} is singular: elimination finds no pivot for row {self.row} "
            "(counted from 0). Look at the steps with echelon(A), solve in the sense of least "
            "squares with numpy.linalg.lstsq, or pass on_singular='nan' to mark such results."
        )


def solve(
    A: ArrayLike, B: ArrayLike, *, on_singular: OnSingular = "raise", n_jobs: int | None = None
) -> NDArray[Any]:
    """X = A⁻¹ B, the solution of A X = B, for one matrix or for each of a stack.

    Parameters
    ----------
    A : array-like of shape (..., n, n)
        float32 and float64 keep their dtype (mixed gives float64); float16 is computed in float32,
        integers in float64.
    B : array-like of shape (n,), (..., n, m) or (..., n)
        As in NumPy 2: one axis is a vector; two or more are matrices, whose leading axes are
        broadcast against those of A.  Beyond that, B of exactly the shape of A without its last
        axis holds a vector for each matrix.  Where that could be read as matrices too, it is an
        error: write ``B[..., None]`` for vectors, ``B[None]`` for one matrix.
    on_singular : {"raise", "nan"}, default="raise"
        What to do when some matrix has no inverse: raise, or return NaN for its solution.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of a solution depend neither on it
        nor on the place in the stack.

    Returns
    -------
    ndarray of shape (n,), (..., n, m) or (..., n)

    Raises
    ------
    SingularMatrixError
        If a matrix has no inverse; `index` tells which matrix, `row` which row.  That is decided
        exactly up to n = 128; of larger ones an error says that a pivot came out as zero.
    ValueError
        If the shapes do not fit or a number is not finite.
    TypeError
        If an argument does not hold real numbers.

    Warns
    -----
    scipy.linalg.LinAlgWarning
        If the reciprocal condition number 1/(‖A‖₁‖A⁻¹‖₁) of a matrix is below the precision of its
        dtype, so that no digit of the solution may be right.

    See Also
    --------
    numpy.linalg.solve : The same, without the warning and the name of the matrix.

    Notes
    -----
    Gaussian elimination with partial pivoting.  Many small matrices are worked on side by side, one
    in each lane of the vector registers; large ones are LAPACK's.  A first look at the condition is
    taken at U; what looks suspicious is then calculated in full.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import solve
    >>> solve([[2, 0], [0, 4]], [1, 1])
    array([0.5 , 0.25])
    >>> A = np.array([[[2.0, 0.0], [0.0, 4.0]]] * 1000)
    >>> solve(A, np.ones((1000, 2))).shape
    (1000, 2)
    """
    _check_choice(on_singular)
    A = as_square_matrices(A, "A")
    B, vectors = _right_hand_sides(B, A)
    dtype = np.result_type(A, B)
    A, B = A.astype(dtype, copy=False), B.astype(dtype, copy=False)
    n, m = B.shape[-2:]
    batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])

    def check() -> None:
        refuse_bad_entries(A, "A")
        refuse_bad_entries(B[..., 0] if vectors else B, "B")

    if 0 in (*batch, n, m):
        X = np.empty((*batch, n, m), dtype)
    elif A.size == n * n:
        # One matrix and many right-hand sides: eliminated once.
        columns = np.moveaxis(B, -2, 0).reshape(1, n, -1)
        X = _solved(A.reshape(1, n, n), columns, (), check, on_singular, n_jobs)
        X = np.moveaxis(X.reshape(n, *B.shape[:-2], m), 0, -2)
        X = np.array(np.broadcast_to(X, (*batch, n, m)))
    else:
        shared = B.size == n * m
        right = B.reshape(1, n, m) if shared else stacked(np.broadcast_to(B, (*batch, n, m)))
        left = stacked(np.broadcast_to(A, (*batch, n, n)))
        X = _solved(left, right, batch, check, on_singular, n_jobs).reshape(*batch, n, m)
    return X[..., 0] if vectors else X


def inverse(
    A: ArrayLike, *, on_singular: OnSingular = "raise", n_jobs: int | None = None
) -> NDArray[Any]:
    """A⁻¹, the matrix for which A A⁻¹ = Id, of one matrix or of each of a stack.

    Parameters
    ----------
    A : array-like of shape (..., n, n)
    on_singular : {"raise", "nan"}, default="raise"
    n_jobs : int, default=None
        All as in :func:`mmlfast.solve`, which is quicker and more accurate where A⁻¹ B is wanted.

    Returns
    -------
    ndarray of shape (..., n, n)

    Raises
    ------
    SingularMatrixError, ValueError, TypeError
        As in :func:`mmlfast.solve`.

    Warns
    -----
    scipy.linalg.LinAlgWarning
        As in :func:`mmlfast.solve`.

    See Also
    --------
    numpy.linalg.inv

    Examples
    --------
    >>> from mmlfast import inverse
    >>> inverse([[1, 1], [0, 2]])
    array([[ 1. , -0.5],
           [ 0. ,  0.5]])
    """
    _check_choice(on_singular)
    A = as_square_matrices(A, "A")
    if A.size == 0:
        return np.empty(A.shape, A.dtype)
    identity = np.eye(A.shape[-1], dtype=A.dtype)[None]

    def check() -> None:
        refuse_bad_entries(A, "A")

    X = _solved(stacked(A), identity, A.shape[:-2], check, on_singular, n_jobs)
    return X.reshape(A.shape)


def _check_choice(on_singular: str) -> None:
    if on_singular not in ("raise", "nan"):
        raise ValueError(f"on_singular must be 'raise' or 'nan'; got {on_singular!r}.")


def _right_hand_sides(b: ArrayLike, A: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    """B as (…, n, m), and whether it came as vectors."""
    B = as_real(b, "B")
    n = A.shape[-1]
    if B.ndim == 1 and len(B) == n:
        return B[:, None], True
    vectors = B.ndim > 1 and B.shape == A.shape[:-1]
    matrices = B.ndim > 1 and B.shape[-2] == n and _broadcast(A.shape[:-2], B.shape[:-2])
    if vectors and matrices:
        raise ValueError(
            f"B of shape {B.shape} may be vectors or matrices for A of shape {A.shape}. Write "
            "B[..., None] for a vector for each matrix, B[None] for one matrix for all."
        )
    if not vectors and not matrices:
        raise ValueError(
            f"B must have shape (n,), (..., n, m) or (..., n), with n = {n} and leading axes that "
            f"fit those of A; got B {B.shape} for A {A.shape}."
        )
    return (B[..., None], True) if vectors else (B, False)


def _broadcast(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True


class _Solutions(NamedTuple):
    """X (count, n, m), and what is known of the matrices that are `doubtful` (k,).

    Their first zero pivots (−1 for none) and reciprocal condition numbers, (k,) each.
    """

    X: NDArray[Any]
    doubtful: NDArray[np.intp]
    zero_pivots: NDArray[np.intp]
    rconds: NDArray[np.float64]


def _solved(
    A: NDArray[Any],
    B: NDArray[Any],
    batch: tuple[int, ...],
    check: Callable[[], None],
    on_singular: OnSingular,
    n_jobs: int | None,
) -> NDArray[Any]:
    """The solutions (count, n, m) for A (count, n, n) and B (count or 1, n, m); errors, warnings.

    `check` refuses input that is not finite, in the terms of the caller.
    """
    count, n, m = len(A), *B.shape[-2:]
    if fits_kernel(count, n, A.dtype) and m <= KERNEL_COLUMNS * n:
        X, doubtful, zero_pivots, rconds = _by_kernel(A, B, check, n_jobs)
    else:
        X, doubtful, zero_pivots, rconds = _by_lapack(A, B, check)
    poor = rconds < np.finfo(A.dtype).eps
    unknown = poor & (zero_pivots < 0)
    if unknown.any() and n <= EXACT_LARGEST:
        # Rounding left something of a pivot, as of 9 − 3·(1/3·9).
        zero_pivots[unknown] = dependent_columns(A[doubtful[unknown]])
    singular = zero_pivots >= 0
    if singular.any():
        first = int(np.argmax(singular))
        if on_singular == "raise":
            raise SingularMatrixError(_index(doubtful[first], batch), int(zero_pivots[first]))
        X[doubtful[singular]] = np.nan
    poor &= ~singular
    if poor.any():
        worst = int(np.argmin(np.where(poor, rconds, np.inf)))
        others = f" So are {poor.sum() - 1} more of {count} matrices." if poor.sum() > 1 else ""
        warnings.warn(
            f"{place('A', _index(doubtful[worst], batch))} is nearly singular: its reciprocal "
            f"condition number is {rconds[worst]:.1e}, so that no digit of the solution may be "
            f"right.{others}",
            LinAlgWarning,
            stacklevel=3,
        )
    return X


def _index(position: np.intp, batch: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(position, batch)) if batch else ()


def fits_kernel(count: int, n: int, dtype: np.dtype[Any]) -> bool:
    """Whether elimination side by side is quicker than LAPACK one after the other."""
    lanes = lanes_of(dtype)
    offset, slope = KERNEL_LARGEST_BY_LANES
    largest = min(KERNEL_LARGEST, offset + slope * lanes) if count >= lanes else 0
    return n <= max(largest, PARTIAL_GROUP_LANES * lanes)


def _by_kernel(
    A: NDArray[Any], B: NDArray[Any], check: Callable[[], None], n_jobs: int | None
) -> _Solutions:
    from mmlfast.kernels import elimination as kernels

    count, n, m = len(A), *B.shape[-2:]
    lanes = lanes_of(A.dtype)
    n_groups = -(-count // lanes)
    X = np.empty((count, n, m), A.dtype)
    report = np.empty((3, n_groups * lanes), A.dtype)
    bases = base(A), base(B), 0 if len(B) == 1 else n * m, base(X)
    size = kernels.workspace_size(n, m) * lanes

    def run(first: int, end: int) -> None:
        workspace = scratch(size, A.dtype)
        kernels.solve_groups(*bases, (n, m, count), (first, end), workspace, report)

    share_groups(run, n_groups, count * n * n * (2 * n / 3 + 2 * m), n_jobs)
    # U's condition is as a rule a tenth of A's or more; NaN is doubtful, too.
    doubtful = np.flatnonzero(~(report[kernels.CONDITION, :count] < 0.01 / np.finfo(A.dtype).eps))
    report = report[:, doubtful]
    if np.isnan(report[kernels.BAD_INPUT]).any():
        check()
    zero_pivots = report[kernels.ZERO_PIVOT].astype(np.intp)
    # Factors 1/u_kk overflow when pivots are denormal numbers.
    spoilt = doubtful[(zero_pivots < 0) & ~np.isfinite(X[doubtful]).all(axis=(1, 2))]
    if len(spoilt):
        X[spoilt] = _by_lapack(A[spoilt], B if len(B) == 1 else B[spoilt], check).X
    return _Solutions(X, doubtful, zero_pivots, _reciprocal_conditions(A[doubtful]))


def _reciprocal_conditions(A: NDArray[Any]) -> NDArray[np.float64]:
    """1/(‖A‖₁‖A⁻¹‖₁) of each matrix, from its inverse in float64."""
    if len(A) == 0:
        return np.empty(0)
    A = A.astype(np.float64)
    largest = np.abs(A).max(axis=(1, 2), keepdims=True)
    A /= np.where(largest > 0, largest, 1)
    return 1 / np.linalg.cond(A, 1)


def _by_lapack(A: NDArray[Any], B: NDArray[Any], check: Callable[[], None]) -> _Solutions:
    getrf, gecon, getrs = get_lapack_funcs(("getrf", "gecon", "getrs"), dtype=A.dtype)
    count, n, m = len(A), *B.shape[-2:]
    X = np.empty((count, n, m), A.dtype)
    zero_pivots, rconds = np.full(count, -1), np.zeros(count)
    with blas_for(n):
        for i, a in enumerate(A):
            # LAPACK divides by denormal pivots and overflows.
            a, norm, power = _near_one(a)
            b, size, b_power = _near_one(B[i % len(B)])
            if not np.isfinite(norm + size):
                check()
            lu, pivots, zero_pivot = getrf(a)
            if zero_pivot > 0:
                zero_pivots[i] = zero_pivot - 1
                continue
            rconds[i] = gecon(lu, norm)[0]
            x = getrs(lu, pivots, b)[0]
            X[i] = np.ldexp(x, b_power - power) if b_power != power else x
    doubtful = np.flatnonzero(~(rconds > np.finfo(A.dtype).eps))
    return _Solutions(X, doubtful, zero_pivots[doubtful], rconds[doubtful])


def _near_one(A: NDArray[Any]) -> tuple[NDArray[Any], float, int]:
    """A/2^k, its norm ‖·‖₁ and k: 0 unless the norm is close to an end of the range."""
    with np.errstate(over="ignore"):
        norm = float(np.abs(A).sum(axis=0).max())
    limits = np.finfo(A.dtype)
    if norm == 0 or limits.tiny / limits.eps < norm < limits.max * limits.eps:
        return A, norm, 0
    largest = np.abs(A).max()
    if not np.isfinite(largest):
        return A, np.nan, 0
    power = int(np.frexp(largest)[1])
    A = np.ldexp(A, -power)
    return A, float(np.abs(A).sum(axis=0).max()), power
