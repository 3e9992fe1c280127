"""The leading eigenpairs of a symmetric matrix in any form, with their residuals."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from mmlfast.api.eigen import leading_eigenpairs
from mmlfast.api.eigenpairs import check_count, check_tolerance, turn_signs
from mmlfast.api.lanczos import capacity, end_of_spectrum
from mmlfast.api.square import Square, as_square
from mmlfast.runtime.threads import blas_for, n_threads

Array = NDArray[Any]
Matrix = NDArray[np.float64]

# Vectors at a time for operators, whose price goes by the vector: a wider block sees more copies of
# an eigenvalue at once, and needs more vectors in all (1 pair to 1e-8: 95, 146, 220, 336 for blocks
# of 1, 2, 4, 8).
FUNCTION_BLOCK = 4
# Up to this size LAPACK finds the pairs of a matrix sooner than the first hundred products.
LAPACK_SIZE = 400
# Residuals of computed pairs below this many eps·‖A‖ are rounding error.
ROUNDING = 64


class TopEigenpairs(NamedTuple):
    """The result of :func:`top_eigenpairs`.

    Attributes
    ----------
    values : ndarray of shape (k,)
        Eigenvalues, the first one first in the order asked for.
    vectors : ndarray of shape (n, k)
        Orthonormal eigenvectors as columns; the entry of largest magnitude is positive in each.
    residuals : ndarray of shape (k,)
        ``‖A v - λ v‖`` of what is returned.  Some eigenvalue lies within this distance of λ.
    n_iter : int
        Products of A with a block of vectors; 0 where LAPACK found the pairs.
    n_applications : int
        Products of A with a vector that the iteration took.
    converged : bool
        Whether every residual is at most ``tol * |λ|`` or rounding error.
    """

    values: Array
    vectors: Array
    residuals: NDArray[np.float64]
    n_iter: int
    n_applications: int
    converged: bool


def _largest(values: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.argsort(-values, kind="stable")


def _magnitude(values: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.argsort(-np.abs(values), kind="stable")


ORDERS = {"largest": _largest, "LA": _largest, "magnitude": _magnitude, "LM": _magnitude}


def top_eigenpairs(
    A: Any,
    k: int,
    *,
    which: str = "largest",
    tol: float = 1e-10,
    max_iter: int = 1000,
    n: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> TopEigenpairs:
    """A v = λ v for the k leading eigenvalues λ of a symmetric matrix A.

    Parameters
    ----------
    A : array-like, sparse matrix or LinearOperator of shape (n, n), or callable
        Symmetric: real, and equal to its transpose up to rounding.  Dense arrays of any strides are
        read where they lie, one triangle of them; sparse matrices may have any format.  A function
        is called with vectors of length `n` and returns A times the vector.  float32 keeps its
        dtype, float16 is computed in float32, integers in float64.
    k : int
        Number of pairs, from 1 to n.
    which : {"largest", "magnitude"}, default="largest"
        "largest" means largest algebraically, -3 before -5; "magnitude" means -5 before 3.  SciPy's
        names "LA" and "LM" are understood.
    tol : float, default=1e-10
        Residuals ``‖A v - λ v‖`` may be ``tol * |λ|``.  0 asks for as little as rounding allows.
        The error of an eigenvalue is at most its residual, and with a gap of the order of its
        square.
    max_iter : int, default=1000
        Products of A with a block of vectors (8 of float64, 16 of float32; 4 for functions).
    n : int, default=None
        Length of the vectors, which a function does not tell.
    random_state : int, RandomState instance or None, default=None
        For the block that the iteration starts from.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    TopEigenpairs
        ``values, vectors, residuals, n_iter, n_applications, converged``.

    Raises
    ------
    ValueError
        If A is not square, not symmetric or not finite, or another argument is out of range.
    TypeError
        If A does not hold real numbers.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` was not enough; the best pairs are returned, with their residuals.

    See Also
    --------
    power_iteration : The dominant pair of any square matrix, by the method that can be watched.
    scipy.sparse.linalg.eigsh : Other parts of the spectrum.

    Notes
    -----
    Block Lanczos with thick restarts and full reorthogonalisation (Wu and Simon, SIAM J. Matrix
    Anal. Appl. 22(2), 2000).  Each eigenvalue is found with its multiplicity: copies that the block
    could not contain are looked for with a fresh one.  Where the basis would fill the space, or k
    is more than an eighth of n, and for small matrices, LAPACK does it all.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import top_eigenpairs
    >>> pairs = top_eigenpairs(np.diag([1.0, -4.0, 3.0]), k=2)
    >>> pairs.values
    array([3., 1.])
    >>> top_eigenpairs(np.diag([1.0, -4.0, 3.0]), k=1, which="magnitude").values
    array([-4.])
    """
    threads = n_threads(n_jobs)
    matrix = as_square(A, n=n, threads=threads)
    random = check_random_state(random_state)
    check_count("k", k, matrix.n)
    check_count("max_iter", max_iter)
    check_tolerance(tol)
    if which not in ORDERS:
        raise ValueError(f"which must be 'largest' or 'magnitude'; got {which!r}.")
    _require_symmetric(matrix, random)
    order = ORDERS[which]
    block = FUNCTION_BLOCK if matrix.symmetric is None else matrix.width
    n_iter = n_applications = 0
    if _is_small(matrix, k, block):
        vectors = _by_lapack(matrix, k, order)
    else:
        pairs = matrix.lead(
            lambda: end_of_spectrum(
                matrix.times_block, matrix.n, k, block=block, order=order, tol=tol,
                eps=float(np.finfo(matrix.dtype).eps), max_iter=max_iter, random_state=random,
                threads=threads,
            )
        )  # fmt: skip
        vectors, n_iter, n_applications = pairs.vectors, pairs.n_iter, pairs.n_applications
    result = _certified(matrix, vectors, tol, n_iter, n_applications)
    if not result.converged:
        warnings.warn(
            f"top_eigenpairs did not converge in {result.n_iter} products with a block of {block} "
            f"vectors: the largest residual is {result.residuals.max():.2g}, and tol={tol:g} asks "
            f"for {tol:g}·|λ|. Raise max_iter or tol.",
            ConvergenceWarning, stacklevel=2,
        )  # fmt: skip
    return result


def _require_symmetric(matrix: Square, random_state: np.random.RandomState) -> None:
    symmetric = matrix.symmetric
    if symmetric is None:
        # vᵀ(A u) = uᵀ(A v) for all u and v if A is symmetric, and for hardly any others if not.
        u, v = random_state.standard_normal((2, matrix.n)).astype(matrix.dtype)
        Au, Av = np.empty_like(u), np.empty_like(v)
        matrix.times(u, Au)
        matrix.times(v, Av)
        scale = float(np.linalg.norm(Au) * np.linalg.norm(v))
        rounding = float(np.sqrt(np.finfo(matrix.dtype).eps))
        symmetric = abs(float(v @ Au) - float(u @ Av)) <= rounding * scale
    if not symmetric:
        raise ValueError(
            "A must be symmetric: equal to its transpose up to rounding. For the dominant "
            "eigenvector of any square matrix call power_iteration(A); to average the triangles "
            "pass (A + A.T) / 2."
        )


def _is_small(matrix: Square, k: int, block: int) -> bool:
    """Whether LAPACK is sooner done: the basis would fill the space, or much of it is asked for."""
    if capacity(k, block) >= matrix.n or k > matrix.n // 8:
        return True
    return matrix.symmetric is not None and matrix.n <= LAPACK_SIZE


def _by_lapack(matrix: Square, k: int, order: Any) -> Matrix:
    A = matrix.to_array()
    if order is _largest:
        return leading_eigenpairs(A, k, np.dtype(np.float64))[1]
    with blas_for(len(A)):
        values, V = scipy.linalg.eigh(A, overwrite_a=True, check_finite=False)
    return V[:, order(values)[:k]]


def _certified(
    matrix: Square, vectors: Matrix, tol: float, n_iter: int, n_applications: int
) -> TopEigenpairs:
    """The result as it is in A's dtype: values from the vectors, residuals from both."""
    V = vectors.astype(matrix.dtype)
    turn_signs(V)
    exact = V.astype(np.float64)
    AV = np.empty(V.shape)
    matrix.times_block(exact, AV)
    values = (np.einsum("ij,ij->j", exact, AV) / np.einsum("ij,ij->j", exact, exact)).astype(
        matrix.dtype
    )
    residuals = np.linalg.norm(AV - exact * values, axis=0)
    noise = ROUNDING * float(np.finfo(matrix.dtype).eps) * np.abs(values).max()
    converged = bool((residuals <= np.maximum(tol * np.abs(values), noise)).all())
    return TopEigenpairs(values, V, residuals, n_iter, n_applications, converged)
