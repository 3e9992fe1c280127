"""What elimination and singular values tell about a matrix: determinant, rank, singularity."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.batches import (
    as_matrices,
    as_square_matrices,
    base,
    lanes_of,
    refuse_bad_entries,
    share_groups,
    stacked,
)
from mmlfast.api.elimination import fits_kernel
from mmlfast.api.singularity import dependent_columns
from mmlfast.runtime.threads import blas_for
from mmlfast.runtime.validate import scratch


class LogDeterminant(NamedTuple):
    """det A = sign · exp(logabsdet); each an array over the stack or a number."""

    sign: Any
    logabsdet: Any


def determinant(A: ArrayLike, *, log: bool = False, n_jobs: int | None = None) -> Any:
    """det A = ± Π u_kk, the factor by which A scales volumes, of one matrix or of each of a stack.

    Parameters
    ----------
    A : array-like of shape (..., n, n)
        Dtypes as in :func:`mmlfast.solve`.
    log : bool, default=False
        Return sign and logarithm, which neither overflow nor underflow.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    number or ndarray of shape (...)
        With `log` a named tuple ``(sign, logabsdet)`` of them: sign 0 and −inf for a singular one.

    Raises
    ------
    ValueError
        If A is not square or a number is not finite.
    TypeError
        If A does not hold real numbers.

    See Also
    --------
    numpy.linalg.det, numpy.linalg.slogdet

    Notes
    -----
    The product is kept as a number between 1 and 2ⁿ and a power of two, so that only a determinant
    that is itself out of range overflows (a RuntimeWarning) or underflows.  Of a small matrix that
    is singular it is 0, not what rounding leaves.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import determinant
    >>> determinant(np.diag([1.0, 2.0, 4.0]))
    np.float64(8.0)
    >>> determinant(np.diag([1e200, -1e200]), log=True).sign
    np.float64(-1.0)
    """
    A = as_square_matrices(A, "A")
    batch, n = A.shape[:-2], A.shape[-1]
    if n == 0:
        product, power = np.ones(batch, A.dtype), np.zeros(batch, A.dtype)
    else:
        product, power = (part.reshape(batch) for part in _determinants(stacked(A), A, n_jobs))
    if not log:
        return np.ldexp(product, power.astype(np.int32))[()]
    with np.errstate(divide="ignore"):
        logabsdet = np.log(np.abs(product)) + power * A.dtype.type(np.log(2))
    return LogDeterminant(np.sign(product)[()], logabsdet[()])


def rank(A: ArrayLike, *, tol: float | None = None) -> Any:
    """The number of linearly independent columns: singular values above `tol`.

    Parameters
    ----------
    A : array-like of shape (..., m, n)
        Dtypes as in :func:`mmlfast.solve`.
    tol : float, default=None
        Singular values up to `tol` count as zero; by default max(m, n)·ε times the largest one.

    Returns
    -------
    int or ndarray of int of shape (...)

    Raises
    ------
    ValueError
        If A has fewer than two axes, a number is not finite, or `tol` is negative.
    TypeError
        If A does not hold real numbers.

    See Also
    --------
    numpy.linalg.matrix_rank
    mmlfast.echelon : The rank with the steps that show it; exact for whole numbers.

    Examples
    --------
    >>> from mmlfast import rank
    >>> rank([[1, 2, 3], [2, 4, 6]])
    1
    """
    A = as_matrices(A, "A")
    refuse_bad_entries(A, "A")
    if tol is not None and not tol >= 0:
        raise ValueError(f"tol must be None or a number that is not negative; got {tol!r}.")
    with blas_for(max(A.shape[-2:])):
        values = np.linalg.svd(A, compute_uv=False)
    if tol is None:
        largest = values.max(axis=-1, keepdims=True, initial=0)
        threshold = largest * max(A.shape[-2:]) * np.finfo(A.dtype).eps
    else:
        threshold = np.asarray(tol)
    ranks = np.count_nonzero(values > threshold, axis=-1)
    return int(ranks) if A.ndim == 2 else ranks


def is_singular(A: ArrayLike, *, tol: float | None = None) -> Any:
    """Whether A has no inverse: its rank, as :func:`mmlfast.rank` finds it, is below n.

    Parameters
    ----------
    A : array-like of shape (..., n, n)
    tol : float, default=None
        Both as in :func:`mmlfast.rank`.

    Returns
    -------
    bool or ndarray of bool of shape (...)

    Raises
    ------
    ValueError
        If A is not square, a number is not finite, or `tol` is negative.
    TypeError
        If A does not hold real numbers.

    Examples
    --------
    >>> from mmlfast import is_singular
    >>> is_singular([[1, 2], [2, 4]])
    True
    """
    A = as_square_matrices(A, "A")
    return rank(A, tol=tol) < A.shape[-1]


def _determinants(
    A: NDArray[Any], original: NDArray[Any], n_jobs: int | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """p and e (count,) with det A = p·2^e, for A (count, n, n)."""
    from mmlfast.kernels import elimination as kernels

    count, n = A.shape[:2]
    if not fits_kernel(count, n, A.dtype):
        refuse_bad_entries(original, "A")
        return _lapack_determinants(A)
    lanes = lanes_of(A.dtype)
    n_groups = -(-count // lanes)
    report = np.empty((4, n_groups * lanes), A.dtype)
    size = kernels.workspace_size(n, 0) * lanes
    address = base(A)

    def run(first: int, end: int) -> None:
        workspace = scratch(size, A.dtype)
        kernels.determinant_groups(address, (n, count), (first, end), workspace, report)

    share_groups(run, n_groups, count * n**3 * 2 / 3, n_jobs)
    bad, product, power, condition = report[:, :count]
    if np.isnan(bad).any():
        refuse_bad_entries(original, "A")
    overflown = np.isnan(product)
    if overflown.any():
        product[overflown], power[overflown] = _lapack_determinants(A[overflown])
    suspicious = ~(condition < 0.01 / np.finfo(A.dtype).eps) & (product != 0)
    if suspicious.any():
        product[suspicious] *= dependent_columns(A[suspicious]) < 0
    return product, power


def _lapack_determinants(A: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """As above, by numpy.linalg.slogdet of matrices whose rows are divided by powers of two."""
    _, exponents = np.frexp(np.abs(A).max(axis=2))
    with blas_for(A.shape[-1]):
        sign, logarithm = np.linalg.slogdet(np.ldexp(A, -exponents[:, :, None]))
    power = np.where(sign == 0, 0, np.floor(logarithm / np.log(2)))
    product = np.where(sign == 0, 0, sign * np.exp(logarithm - power * np.log(2)))
    return product.astype(A.dtype), (power + exponents.sum(axis=1)).astype(A.dtype)
