"""Products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.runtime.threads import n_threads, parallel_for
from mmlfast.runtime.validate import as_matrix, base_of, scratch

# Below this many flops a hand-over to another thread (25–100 µs) costs more than it saves.
PARALLEL_FLOPS = 1 << 25


def matmul(
    a: ArrayLike, b: ArrayLike, *, out: NDArray[Any] | None = None, n_jobs: int | None = None
) -> NDArray[Any]:
    """C = A·B, the matrix product of two real matrices.

    Parameters
    ----------
    a : array-like of shape (m, k)
    b : array-like of shape (k, n)
        Any strides: transposed, sliced, reversed, Fortran-ordered and read-only arrays are read
        where they lie.  float32 and float64 keep their dtype (mixed gives float64); float16 is
        computed in float32, integers in float64.
    out : ndarray of shape (m, n), default=None
        Overwritten with the product; its dtype must be that of the result, and it must not share
        memory with `a` or `b`.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    ndarray of shape (m, n)
        `out` if it was given.

    Raises
    ------
    ValueError
        If an argument is not a matrix, the inner sizes differ, or `out` does not fit or overlaps.
    TypeError
        If an argument does not hold real numbers, or `out` has another dtype.

    See Also
    --------
    numpy.matmul : The same for more kinds of operands.

    Notes
    -----
    Goto and van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 34(3), 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import matmul
    >>> matmul(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0], [1.0]]))
    array([[3.],
           [7.]])
    """
    A, B = as_matrix(a, "a"), as_matrix(b, "b")
    dtype = np.result_type(A, B)
    A, B = A.astype(dtype, copy=False), B.astype(dtype, copy=False)
    if A.shape[1] != B.shape[0]:
        raise ValueError(
            f"a has {A.shape[1]} columns and b has {B.shape[0]} rows; they must be equal. "
            f"Shapes: a {A.shape}, b {B.shape}."
        )
    shape = (A.shape[0], B.shape[1])
    C = np.empty(shape, dtype) if out is None else _checked_out(out, shape, dtype, A, B)
    if C.size == 0:
        return C
    if A.shape[1] == 0:
        C[...] = 0
        return C
    _multiply_in_parts(A, B, C, n_threads(n_jobs))
    return C


def _checked_out(
    out: NDArray[Any],
    shape: tuple[int, int],
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


def _multiply_in_parts(A: NDArray[Any], B: NDArray[Any], C: NDArray[Any], threads: int) -> None:
    """Divide C by rows or columns, whichever is longer; every part is a product of its own."""
    from mmlfast.kernels._simd import TILE_ROWS
    from mmlfast.kernels.matmul import WIDEST, multiply, workspace_size

    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    parts = min(threads, 2 * m * n * k // PARALLEL_FLOPS + 1)
    cuts = _cuts(max(m, n), parts, TILE_ROWS if m >= n else WIDEST)

    def part(index: int) -> None:
        span = slice(cuts[index], cuts[index + 1])
        a, b, c = (A[span], B, C[span]) if m >= n else (A, B[:, span], C[:, span])
        sizes = (c.shape[0], c.shape[1], k)
        workspace = scratch(workspace_size(*sizes), C.dtype)
        multiply(*base_of(a), *base_of(b), *base_of(c), sizes, workspace)

    parallel_for(part, len(cuts) - 1, threads)


def _cuts(length: int, parts: int, multiple: int) -> list[int]:
    """Cut 0…length into nearly equal parts at multiples of `multiple`, so that tiles stay whole."""
    step = -(-length // (multiple * parts)) * multiple
    return [*range(0, length, step), length]
