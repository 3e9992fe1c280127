"""Eigenvalues and eigenvectors of symmetric matrices, of one or of thousands."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.batches import (
    as_square_matrices,
    base,
    lanes_of,
    place,
    refuse_bad_entries,
    share_groups,
    stacked,
)
from mmlfast.runtime.threads import blas_for
from mmlfast.runtime.validate import scratch

# Up to 16 + 2·lanes, Jacobi rotations of whole groups are quicker than numpy.linalg.eigh, on one
# thread: float64 with 8 lanes n = 8 6.3×, 16 3.5×, 24 2.2×, 32 1.2×; with 4 lanes 8 4.9×, 16 2.8×,
# 20 2.2×; with 2 lanes 8 2.5×, 20 1.1×; float32 with 16 lanes 8 14×, 16 9.6×, 32 2.6×, 48 1.7×.
# A group that is not full costs as much as a full one.
KERNEL_LARGEST_BY_LANES = 16, 2
PARTIAL_GROUP_LANES = 2
# Multiply-adds of Jacobi's sweeps, in n³.
SWEEP_FLOPS = 60


class Eigenpairs(NamedTuple):
    """A V = V diag(λ): eigenvalues ascending, eigenvectors as columns, max ‖A v − λ v‖."""

    eigenvalues: NDArray[Any]
    eigenvectors: NDArray[Any] | None
    residual: Any

    @property
    def values(self) -> NDArray[Any]:
        """The eigenvalues."""
        return self.eigenvalues

    @property
    def vectors(self) -> NDArray[Any] | None:
        """The eigenvectors."""
        return self.eigenvectors


def eigh(
    A: ArrayLike,
    *,
    UPLO: Literal["L", "U"] = "L",
    eigenvectors: bool = True,
    n_jobs: int | None = None,
) -> Eigenpairs:
    """A = V diag(λ) Vᵀ, all eigenpairs of a symmetric matrix or of each of a stack, certified.

    Parameters
    ----------
    A : array-like of shape (..., n, n)
        float32 and float64 keep their dtype; float16 is computed in float32, integers in float64.
    UPLO : {"L", "U"}, default="L"
        Which triangle is decomposed, where both differ by rounding.
    eigenvectors : bool, default=True
        Whether eigenvectors, and the residual that needs them, are wanted.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of a result depend neither on it nor
        on the place in the stack.

    Returns
    -------
    Eigenpairs
        A named tuple of

        eigenvalues : ndarray of shape (..., n)
            Ascending.
        eigenvectors : ndarray of shape (..., n, n) or None
            Orthonormal columns; of each the component largest in size, the first one if several
            are, is positive.
        residual : float or ndarray of shape (...), or None
            The largest ‖A v − λ v‖ of a matrix, with A as it was given and calculated in its
            dtype, so that it is right to about n·ε·‖A‖.  No eigenvalue is farther from one of a
            symmetric A than this.

    Raises
    ------
    ValueError
        If A is not square, not symmetric within √ε of its largest number, or not finite.
    TypeError
        If A does not hold real numbers.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If sweeps did not end; what is returned is right to its residual.  No such matrix is known.

    See Also
    --------
    numpy.linalg.eigh : The same without a certificate; it never looks at the other triangle.
    mmlfast.PCA : Leading eigenvectors of a covariance.

    Notes
    -----
    Many small matrices are worked on side by side, one in each lane of the vector registers, by
    cyclic Jacobi rotations, which find the small eigenvalues of a scaled positive definite matrix
    to full relative accuracy; large ones are LAPACK's.

    References
    ----------
    Demmel and Veselić, Jacobi's method is more accurate than QR, SIAM J. Matrix Anal. Appl. 13,
    1992.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import eigh
    >>> values, vectors, residual = eigh([[2, 1], [1, 2]])
    >>> values
    array([1., 3.])
    >>> bool(residual < 1e-15)
    True
    >>> eigh(np.ones((1000, 3, 3))).vectors.shape
    (1000, 3, 3)
    """
    A = as_square_matrices(A, "A")
    if UPLO not in ("L", "U"):
        raise ValueError(f"UPLO must be 'L' or 'U'; got {UPLO!r}.")
    batch, n = A.shape[:-2], A.shape[-1]
    values, vectors = np.empty(A.shape[:-1], A.dtype), None
    if eigenvectors:
        vectors = np.empty(A.shape, A.dtype)
    residual = None if vectors is None else np.zeros(batch, A.dtype)
    if A.size:
        lower = UPLO == "L"
        if _fits_kernel(A.size // n**2, n, A.dtype):
            residual = _by_jacobi(A, lower, values, vectors, n_jobs)
        else:
            residual = _by_lapack(A, lower, values, vectors)
    return Eigenpairs(values, vectors, None if residual is None else residual[()])


def _fits_kernel(count: int, n: int, dtype: np.dtype[Any]) -> bool:
    lanes = lanes_of(dtype)
    offset, slope = KERNEL_LARGEST_BY_LANES
    return n <= (offset + slope * lanes if count >= lanes else PARTIAL_GROUP_LANES * lanes)


def _by_jacobi(
    A: NDArray[Any],
    lower: bool,
    values: NDArray[Any],
    vectors: NDArray[Any] | None,
    n_jobs: int | None,
) -> NDArray[Any] | None:
    """Fill values and vectors; returns the residuals."""
    from mmlfast.kernels import jacobi as kernels

    batch, n = A.shape[:-2], A.shape[-1]
    lanes = lanes_of(A.dtype)
    stack = stacked(A)
    count = len(stack)
    n_groups = -(-count // lanes)
    report = np.zeros((4, n_groups * lanes), A.dtype)
    tables, size = kernels.schedule(n), kernels.workspace_size(n) * lanes
    sizes = (n, count, 0 if vectors is None else n)
    outputs = base(values), base(values if vectors is None else vectors)
    address = base(stack)

    def run(first: int, end: int) -> None:
        workspace = scratch(size, A.dtype)
        kernels.eigh_groups(
            address, sizes, lower, tables, (first, end), workspace, *outputs, report
        )

    share_groups(run, n_groups, SWEEP_FLOPS * count * n**3, n_jobs)
    report = report[:, :count]
    if np.isnan(report[kernels.BAD_INPUT]).any():
        refuse_bad_entries(A, "A")
    _refuse_asymmetry(A, report[kernels.ASYMMETRY].reshape(batch))
    unfinished = int(report[kernels.UNFINISHED].sum())
    if unfinished:
        warnings.warn(
            f"Jacobi's method did not end within {kernels.MOST_SWEEPS} sweeps for {unfinished} of "
            f"{count} matrices; look at the residual, or use numpy.linalg.eigh.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return None if vectors is None else report[kernels.RESIDUAL].reshape(batch)


def _by_lapack(
    A: NDArray[Any], lower: bool, values: NDArray[Any], vectors: NDArray[Any] | None
) -> NDArray[Any] | None:
    """Fill values and vectors; returns the residuals."""
    largest = np.asarray(np.abs(A).max(axis=(-1, -2)))
    if not np.isfinite(largest).all():
        refuse_bad_entries(A, "A")
    # The power of two that the kernel divides by, too: squares shall not overflow.
    scale = np.where(
        largest > 0, np.ldexp(A.dtype.type(0.5), np.frexp(largest)[1]), A.dtype.type(1)
    )
    T = A / scale[..., None, None]
    _refuse_asymmetry(A, np.abs(T - T.swapaxes(-1, -2)).max(axis=(-1, -2)))
    uplo: Literal["L", "U"] = "L" if lower else "U"
    residual = None
    with blas_for(A.shape[-1]):
        if vectors is None:
            values[...] = np.linalg.eigvalsh(T, uplo)
        else:
            values[...], vectors[...] = np.linalg.eigh(T, uplo)
            vectors *= _signs(vectors)
            R = T @ vectors
            R -= vectors * values[..., None, :]
            residual = np.linalg.norm(R, axis=-2).max(axis=-1) * scale
    values *= scale[..., None]
    return residual


def _signs(vectors: NDArray[Any]) -> NDArray[Any]:
    """The signs (…, 1, n) that make the largest component, the first of equals, positive."""
    size = np.abs(vectors)
    nearly = 1 - (1e-3 if vectors.dtype == np.float32 else 1e-6)
    first = np.argmax(size >= nearly * size.max(axis=-2, keepdims=True), axis=-2)
    leaders = np.take_along_axis(vectors, first[..., None, :], axis=-2)
    return np.where(leaders < 0, -1, 1).astype(vectors.dtype)


def _refuse_asymmetry(A: NDArray[Any], asymmetry: NDArray[Any]) -> None:
    """ValueError naming the largest |a_ij − a_ji| of the first matrix that is not symmetric.

    `asymmetry` is in units of a power of two between half the largest |a_ij| and itself.
    """
    wrong = asymmetry > np.finfo(A.dtype).eps ** 0.5
    if not wrong.any():
        return
    index = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    matrix = A[index]
    i, j = np.unravel_index(int(np.argmax(np.abs(matrix - matrix.T))), matrix.shape)
    raise ValueError(
        f"A must be symmetric; {place('A', (*index, i, j))} is {matrix[i, j]:.6g} and "
        f"{place('A', (*index, j, i))} is {matrix[j, i]:.6g}. Symmetrise first, with "
        "(A + A.swapaxes(-1, -2)) / 2, or use numpy.linalg.eig for a matrix that is not symmetric."
    )
