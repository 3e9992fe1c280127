"""Products of matrices, stacks of matrices and vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mmlfast.api.stacks import by_numpy, converted, multiply_into
from mmlfast.api.whole_numbers import multiply_integers
from mmlfast.runtime.threads import n_threads
from mmlfast.runtime.validate import aligned, as_numbers, readable

ONE_THREAD = 1 << 20  # multiplications that no second thread can help with


def matmul(
    a: ArrayLike,
    b: ArrayLike,
    *,
    out: NDArray[Any] | None = None,
    dtype: DTypeLike | None = None,
    n_jobs: int | None = None,
) -> NDArray[Any]:
    """C = A·B, the product of matrices, of stacks of matrices, or with vectors.

    Parameters
    ----------
    a : array-like of shape (m, k), (…, m, k) or (k,)
    b : array-like of shape (k, n), (…, k, n) or (k,)
        Any strides: transposed, sliced, reversed, Fortran-ordered, repeated and read-only arrays
        are read where they lie.  Leading axes are broadcast; a vector stands for one row (`a`) or
        one column (`b`), and that axis is left out of the result, as in ``numpy.matmul``.
    out : ndarray of the shape and dtype of the result, default=None
        Overwritten with the product; it must not share memory with `a` or `b`.
    dtype : dtype, default=None
        In which the products are formed and summed, and of the result.  By default float32 and
        float64 keep their dtype (mixed gives float64), float16 gives float32, two 8-bit integers
        int32, other integers int64 (two uint64: uint64), two bools bool, as in NumPy.  Name a
        wider one to have float32 summed in float64, or 8-bit integers in int64.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    ndarray
        `out` if it was given; a scalar for two vectors.

    Raises
    ------
    ValueError
        If the inner sizes differ, the leading axes cannot be broadcast, an argument has no axis,
        or `out` does not fit or overlaps.
    TypeError
        If an argument does not hold numbers, or `dtype` or the dtype of `out` cannot hold the
        product.

    See Also
    --------
    numpy.matmul : What complex numbers are handed to.
    mmlfast.gram : XᵀX and XᵀY for half the work or of data on disk.

    Notes
    -----
    Matrices of up to 64 rows and columns run in register tiles without packing; larger ones by
    Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34(3), 2008.
    Integers are multiplied on the floating-point units, in limbs small enough to be exact; sums
    beyond the result's dtype wrap around, as NumPy's do.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import matmul
    >>> matmul(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0], [1.0]]))
    array([[3.],
           [7.]])

    Ten thousand rotations applied to as many sets of three points, and 8-bit integers:

    >>> turns = np.broadcast_to([[0.0, -1.0], [1.0, 0.0]], (10_000, 2, 2))
    >>> matmul(turns, np.ones((10_000, 2, 3))).shape
    (10000, 2, 3)
    >>> matmul(np.full((1, 1000), 200, np.uint8), np.full(1000, 200, np.uint8))
    array([40000000], dtype=int32)
    """
    A, B = as_numbers(a, "a"), as_numbers(b, "b")
    result = _result_dtype(A.dtype, B.dtype, dtype)
    rows, columns = A.ndim == 1, B.ndim == 1
    A, B = _with_axes(A, "a", 0), _with_axes(B, "b", 1)
    if A.shape[-1] != B.shape[-2]:
        raise ValueError(
            f"a has {A.shape[-1]} columns and b has {B.shape[-2]} rows; they must be equal. "
            f"Shapes: a {np.shape(a)}, b {np.shape(b)}."
        )
    A, B = _broadcast(A, B)
    shape = (*A.shape[:-1], B.shape[-1])
    left_out = (*((-2,) if rows else ()), *((-1,) if columns else ()))
    if out is None:
        C = aligned(shape, result)
        _fill(A, B, C, n_jobs, fresh=True)
        return C.squeeze(left_out)[()] if left_out else C
    given = tuple(n for i, n in enumerate(shape, -len(shape)) if i not in left_out)
    C = np.expand_dims(_checked_out(out, given, result, A, B), left_out)
    _fill(A, B, C, n_jobs, fresh=False)
    return out


def _result_dtype(a: np.dtype[Any], b: np.dtype[Any], asked: DTypeLike | None) -> np.dtype[Any]:
    common = np.result_type(a, b)
    if asked is not None:
        dtype = np.dtype(asked)
        if dtype.kind not in "fiubc" or dtype == np.float16:
            raise TypeError(f"dtype must be float32, float64, an integer or complex; got {dtype}.")
        if not np.can_cast(common, dtype, "same_kind"):
            raise TypeError(
                f"dtype must hold the product of {a} and {b}; got {dtype}. Convert the arguments "
                "first if digits may be lost."
            )
        return dtype.newbyteorder("=")
    if common.kind in "iu":
        if max(a.itemsize, b.itemsize) == 1:
            return np.dtype(np.int32)
        return np.dtype(np.uint64 if common == np.uint64 else np.int64)
    if common.kind == "f":
        return np.dtype(np.float64 if common.itemsize > 4 else np.float32)
    return common.newbyteorder("=")


def _with_axes(X: NDArray[Any], name: str, at: int) -> NDArray[Any]:
    """X as a stack of matrices; a vector becomes one row or one column."""
    if X.ndim == 0:
        raise ValueError(
            f"{name} must have at least one axis; got a number. Write a * b to scale by it."
        )
    return readable(np.expand_dims(X, at) if X.ndim == 1 else X)


def _broadcast(A: NDArray[Any], B: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if A.ndim == B.ndim == 2:
        return A, B
    try:
        stack = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    except ValueError:
        raise ValueError(
            f"the leading axes of a and b must be equal or 1; got shapes {A.shape} and {B.shape}."
        ) from None
    return (
        np.broadcast_to(A, stack + A.shape[-2:]),
        np.broadcast_to(B, stack + B.shape[-2:]),
    )


def _checked_out(
    out: NDArray[Any],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    A: NDArray[Any],
    B: NDArray[Any],
) -> NDArray[Any]:
    if not isinstance(out, np.ndarray) or out.shape != shape:
        raise ValueError(
            f"out must be an array of shape {shape}; got {getattr(out, 'shape', type(out))}."
        )
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"out must have dtype {dtype}, as the product has; got {out.dtype}.")
    if not out.flags.writeable:
        raise ValueError("out must be writeable; got a read-only array.")
    if not out.flags.aligned or any(stride % out.itemsize for stride in out.strides):
        raise ValueError("out must be aligned, with strides that are multiples of its itemsize.")
    if np.may_share_memory(out, A) or np.may_share_memory(out, B):
        raise ValueError("out must not share memory with a or b; pass a separate array.")
    return out


def _fill(
    A: NDArray[Any], B: NDArray[Any], C: NDArray[Any], n_jobs: int | None, *, fresh: bool
) -> None:
    dtype = C.dtype
    # Asking the environment how many threads there are takes as long as a small product.
    threads = 1 if C.size * A.shape[-1] <= ONE_THREAD and n_jobs is None else n_threads(n_jobs)
    if C.size == 0:
        return
    if A.shape[-1] == 0:
        C[...] = 0
    elif dtype.kind == "c":
        by_numpy(converted(A, dtype), converted(B, dtype), C)
    elif dtype.kind == "b":
        counts = np.empty(C.shape, np.int64)
        multiply_integers(A.view(np.uint8), B.view(np.uint8), counts, threads)
        np.not_equal(counts, 0, out=C)
    elif dtype.kind in "iu":
        multiply_integers(A, B, C, threads)
    elif C.ndim == 2 and min(C.shape) == 1:
        # Bound by reading the matrix once, where there is nothing to win over BLAS.
        by_numpy(converted(A, dtype), converted(B, dtype), C)
    else:
        multiply_into(converted(A, dtype), converted(B, dtype), C, threads, fresh=fresh)
