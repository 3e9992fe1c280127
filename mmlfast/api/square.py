"""A square matrix in any form that users have it, as products with vectors.

    w = A v        W = A V

Dense arrays are read where they lie, symmetric ones by one triangle; sparse matrices as CSR;
operators and functions are called.  What the eigenvalue solvers do beyond that is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from mmlfast.runtime.crew import Crew
from mmlfast.runtime.threads import parallel_for
from mmlfast.runtime.validate import (
    aligned,
    as_matrix,
    base_of,
    overflow,
    readable,
    refuse_bad_numbers,
)

Array = NDArray[Any]
Result = TypeVar("Result")

# ‖A − Aᵀ‖ up to this many eps·‖A‖ (Frobenius) is rounding, as in Q D Qᵀ: then A is symmetric.
ROUNDING = 100
# Below this a sum of squares has lost digits to underflow.
LEAST_SQUARES = 1e-280
# Parts that the rows of a matrix are cut into.
MATRIX_PARTS = 32
# Bytes to read from which a second thread pays: where it must be woken (25–100 µs), or is awake.
PARALLEL_BYTES = 4 << 20
PARALLEL_BYTES_AWAKE = 1 << 20
# Up to this many a product is so short that to wake threads for each of them tells.
SHORT_BYTES = 64 << 20


class Square:
    """What every form of a matrix offers.

    `symmetric` is None where it cannot be known.  `width` vectors are multiplied at about the price
    of one.
    """

    n: int
    dtype: np.dtype[Any]
    symmetric: bool | None = None
    width = 1

    def times(self, v: Array, out: Array) -> None:
        """out = A v for vectors of `dtype`; they share no memory."""
        raise NotImplementedError

    def times_block(self, V: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """out = A V for V and out (n, b), float64; they share no memory."""
        w = np.empty(self.n, self.dtype)
        for j in range(V.shape[1]):
            self.times(V[:, j].astype(self.dtype), w)
            out[:, j] = w

    def to_array(self) -> NDArray[np.float64]:
        """All of A, dense, in new memory."""
        A = np.empty((self.n, self.n))
        self.times_block(np.eye(self.n), A)
        return A

    def lead(self, body: Callable[[], Result]) -> Result:
        """body(), with threads kept awake for the products in it where that pays."""
        return body()


def as_square(A: Any, *, n: int | None = None, threads: int = 1, name: str = "A") -> Square:
    """`A` as what it is: dense, sparse, an operator or a function of vectors of length `n`."""
    if scipy.sparse.issparse(A):
        _check_shape(A.shape, name)
        return SparseMatrix(A, threads, name)
    if hasattr(A, "matvec") and hasattr(A, "shape"):
        _check_shape(A.shape, name)
        return Function(A.matvec, A.shape[0], getattr(A, "dtype", None), name, A.matmat)
    if callable(A):
        if n is None:
            raise ValueError(
                f"{name} is a function, which does not tell its size: pass n=, the length of the "
                "vectors it takes."
            )
        return Function(A, n, None, name)
    X = as_matrix(A, name)
    _check_shape(X.shape, name)
    if X.itemsize not in X.strides:
        X = X.copy()
    by_rows = X.strides[1] == X.itemsize
    if is_symmetric(X, threads, name):
        return SymmetricMatrix(X if by_rows else X.T, threads)
    return Matrix(X, by_rows, threads)


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
        raise ValueError(
            f"{name} must be a square matrix with at least one row; got shape {shape}."
        )


def is_symmetric(X: Array, threads: int, name: str) -> bool:
    """Whether ‖X − Xᵀ‖ is within rounding of 0; refuses NaN and Inf, all in one read of X."""
    from mmlfast.kernels.symmetric import SQUARE, triangle_cuts, triangle_squares

    base, strides = base_of(X)
    cuts = triangle_cuts(len(X))
    sums = np.empty((len(cuts) - 1, 2))

    def part(p: int) -> None:
        square = np.empty((SQUARE, SQUARE), X.dtype)
        triangle_squares(base, strides, (cuts[p], cuts[p + 1]), square, sums[p])

    parallel_for(part, len(sums), threads if X.nbytes > PARALLEL_BYTES else 1)
    total, difference = sums.sum(axis=0)
    if not np.isfinite(total):
        refuse_bad_numbers(X, 0, name)
    _check_scale(total, X, name)
    return _is_rounding(difference, total, X.dtype)


def _check_scale(squares: float, entries: Array, name: str) -> None:
    """ValueError if entries are finite but their squares are not, or are lost to underflow."""
    if not np.isfinite(squares):
        raise overflow(entries.dtype, name)
    if squares < LEAST_SQUARES and entries.any():
        raise ValueError(
            f"Input {name} holds only values too small to square and sum: the largest is "
            f"{np.abs(entries).max():.3g}. Scale them up."
        )


def _is_rounding(difference: float, total: float, dtype: np.dtype[Any]) -> bool:
    eps = float(np.finfo(dtype).eps)
    return bool(difference <= (ROUNDING * eps) ** 2 * total)


class _DenseMatrix(Square):
    """A matrix in memory, whose products a crew shares out: `n_bytes` are read for each."""

    def __init__(self, A: Array, n_bytes: int, threads: int) -> None:
        self.n, self.dtype = len(A), A.dtype
        self._A = A
        self._base, self._strides = base_of(A)
        self._vector = aligned(self.n, self.dtype)
        self._crew = Crew(self._work, threads if n_bytes > PARALLEL_BYTES_AWAKE else 1)
        self._short = n_bytes <= SHORT_BYTES

    def _work(self, control: NDArray[np.int64], patience: int) -> None:
        raise NotImplementedError

    def to_array(self) -> NDArray[np.float64]:
        """A as it is, in float64."""
        return self._A.astype(np.float64, order="C")

    def lead(self, body: Callable[[], Result]) -> Result:
        """body(), quicker where the products in it are short."""
        return self._crew.lead(body) if self._short else body()


class SymmetricMatrix(_DenseMatrix):
    """A dense symmetric matrix, of which only what lies on and below the diagonal is read."""

    symmetric = True

    def __init__(self, A: Array, threads: int) -> None:
        from mmlfast.kernels.symmetric import block_width, triangle_cuts

        super().__init__(A, A.nbytes // 2, threads)
        self.width = block_width(A.dtype)
        self._cuts = np.array(triangle_cuts(self.n))
        self._block = aligned((self.n, self.width), self.dtype)
        # Each part of the rows adds to a product of its own.
        parts = len(self._cuts) - 1
        self._products = aligned((parts, self.n), self.dtype)
        self._block_products = aligned((parts, self.n * self.width), self.dtype)

    def _work(self, control: NDArray[np.int64], patience: int) -> None:
        from mmlfast.kernels.symmetric import work

        work(
            control, patience, self._base, self._strides[0], self._cuts, self._vector, self._block,
            (self._products, self._block_products),
        )  # fmt: skip

    def times(self, v: Array, out: Array) -> None:
        """out = A v."""
        from mmlfast.kernels.symmetric import VECTOR, add_parts

        self._vector[:] = v
        self._crew.section(VECTOR, len(self._products))
        add_parts(self._products, self._cuts, 1, out)

    def times_block(self, V: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """out = A V; products are formed in A's dtype."""
        from mmlfast.kernels.symmetric import BLOCK, add_parts

        for first in range(0, V.shape[1], self.width):
            columns = slice(first, min(first + self.width, V.shape[1]))
            count = columns.stop - first
            self._block[:, :count] = V[:, columns]
            self._block[:, count:] = 0
            self._crew.section(BLOCK, len(self._block_products))
            direct = count == out.shape[1] == self.width and out.dtype == self.dtype
            product = out if direct and out.flags.c_contiguous else np.empty_like(self._block)
            add_parts(self._block_products, self._cuts, self.width, product.reshape(-1))
            if product is not out:
                out[:, columns] = product[:, :count]


class Matrix(_DenseMatrix):
    """Any dense matrix, read along its rows or its columns, whichever lie in one piece."""

    symmetric = False

    def __init__(self, A: Array, by_rows: bool, threads: int) -> None:
        super().__init__(A, A.nbytes, threads)
        self._by_rows = by_rows
        self._stride = self._strides[0 if by_rows else 1]
        # By columns, each part reads a piece of every column: the longer the better.
        parts = MATRIX_PARTS if by_rows else threads
        step = -(-self.n // (64 * parts)) * 64
        self._cuts = np.array([*range(0, self.n, step), self.n])
        self._product = aligned(self.n, self.dtype)

    def _work(self, control: NDArray[np.int64], patience: int) -> None:
        from mmlfast.kernels.power import work

        work(
            control, patience, self._by_rows, self._base, self._stride, self._cuts, self._vector,
            self._product,
        )  # fmt: skip

    def times(self, v: Array, out: Array) -> None:
        """out = A v."""
        self._vector[:] = v
        self._crew.section(0, len(self._cuts) - 1)
        out[:] = self._product


class SparseMatrix(Square):
    """A sparse matrix, brought into CSR."""

    width = 8

    def __init__(self, A: Any, threads: int, name: str) -> None:
        if A.dtype.kind not in "fiub":
            raise TypeError(f"{name} must hold real numbers; got dtype {A.dtype}.")
        self.dtype = np.dtype(A.dtype if A.dtype in (np.float32, np.float64) else np.float64)
        A = A.tocsr().astype(self.dtype, copy=False)
        self.n = A.shape[0]
        self._starts, self._columns = A.indptr, A.indices
        self._values = readable(A.data)
        squares = _sum_of_squares(self._values)
        if not np.isfinite(squares):
            _refuse_bad_entries(A, name)
        _check_scale(squares, self._values, name)
        difference = _sum_of_squares((A - A.T).tocsr().data)
        self.symmetric = _is_rounding(difference, squares, self.dtype)
        self._threads = threads if A.data.nbytes + A.indices.nbytes > PARALLEL_BYTES else 1
        shares = np.linspace(0, A.nnz, 2 * self._threads + 1)[1:-1]
        inner = np.searchsorted(self._starts, shares)
        self._cuts = [0, *sorted({*inner.tolist()} - {0, self.n}), self.n]

    def times(self, v: Array, out: Array) -> None:
        """out = A v."""
        from mmlfast.kernels.power import times_sparse

        self._spread(times_sparse, v, out)

    def times_block(self, V: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """out = A V, formed in float64."""
        from mmlfast.kernels.power import times_sparse_block

        self._values = self._values.astype(np.float64, copy=False)
        self._spread(times_sparse_block, np.ascontiguousarray(V), out)

    def _spread(self, kernel: Callable[..., None], x: Array, y: Array) -> None:
        def part(p: int) -> None:
            span = (self._cuts[p], self._cuts[p + 1])
            kernel(self._starts, self._columns, self._values, span, x, y)

        parallel_for(part, len(self._cuts) - 1, self._threads)


def _sum_of_squares(values: Array) -> float:
    with np.errstate(over="ignore"):
        return float(np.square(values, dtype=np.float64).sum())


def _refuse_bad_entries(A: Any, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(A.data))
    if len(bad):
        row = int(np.searchsorted(A.indptr, bad[0], side="right")) - 1
        what = "NaN" if np.isnan(A.data[bad[0]]) else "infinity"
        raise ValueError(
            f"Input {name} contains {what}: the first stands in row {row}, column "
            f"{A.indices[bad[0]]} (counted from 0)."
        )


class Function(Square):
    """A matrix known by what it does to vectors: a function, or a LinearOperator."""

    def __init__(
        self,
        function: Callable[[Array], Any],
        n: int,
        dtype: Any,
        name: str,
        block_function: Callable[[Array], Any] | None = None,
    ) -> None:
        dtype = np.dtype(np.float64 if dtype is None else dtype)
        if dtype.kind not in "fiub":
            raise TypeError(f"{name} must map real vectors to real ones; its dtype is {dtype}.")
        self.n, self._name = n, name
        self.dtype = np.dtype(np.float32 if dtype == np.float32 else np.float64)
        self._function, self._block_function = function, block_function

    def times(self, v: Array, out: Array) -> None:
        """out = A v."""
        out[:] = self._checked(self._function(_read_only(v)), v.shape)

    def times_block(self, V: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """out = A V, in one call where A has a `matmat`."""
        if self._block_function is None:
            super().times_block(V, out)
        else:
            out[:] = self._checked(self._block_function(_read_only(V)), V.shape)

    def _checked(self, product: Any, shape: tuple[int, ...]) -> Array:
        result = np.asarray(product)
        if result.size != np.prod(shape):
            raise ValueError(
                f"{self._name} must return as many numbers as it is given, {shape}; got shape "
                f"{result.shape}."
            )
        if result.dtype.kind not in "fiub":
            raise TypeError(f"{self._name} must return real numbers; got dtype {result.dtype}.")
        if not np.isfinite(result).all():
            raise ValueError(f"{self._name} returned NaN or infinity for a finite vector.")
        return result.reshape(shape)


def _read_only(v: Array) -> Array:
    """A view that a user's function cannot write to by mistake."""
    view = v.view()
    view.flags.writeable = False
    return view
