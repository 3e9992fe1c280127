"""Orthonormal bases by Gram–Schmidt."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.inner_product import as_vectors
from mmlfast.runtime.threads import n_threads, parallel_for

METHODS = ("twice", "modified", "classical")
# Rounding leaves up to 32·max(m, n)·eps of a vector that is a combination of the others.
ROUNDING = 32
# A hand-over to another thread pays from some 0.1 ms of work; small vectors run at 3 GFLOP/s.
PART_FLOPS = 1 << 19
PARTS = 64


class OrthonormalBasis(NamedTuple):
    """An orthonormal basis Q and its rank: an int, or an array for a stack."""

    Q: NDArray[Any]
    rank: Any

    @property
    def orthogonality_loss(self) -> Any:
        """‖QᵀQ − Id‖, see :func:`orthogonality_loss`."""
        return orthogonality_loss(self.Q)


def gram_schmidt(
    A: ArrayLike,
    *,
    method: Literal["twice", "modified", "classical"] = "twice",
    tol: float | None = None,
    dependent: Literal["zero", "drop"] = "zero",
    return_rank: bool = False,
    n_jobs: int | None = None,
) -> Any:
    """Q with QᵀQ = Id, whose first j columns span what the first j columns of A span.

    Parameters
    ----------
    A : array-like of shape (m, n) or (…, m, n)
        The vectors are the columns.  float32 and float64 keep their dtype; float16 is computed in
        float32, integers in float64.
    method : {"twice", "modified", "classical"}, default="twice"
        "classical" is the definition: from each vector its projections on the earlier ones are
        subtracted.  "modified" projects what is left, one projection after the other.  "twice" is
        "classical" and then once more on what is left.
    tol : float, default=None
        A column of which no more than `tol` times its own length is left depends on the columns
        before it.  By default 32·max(m, n)·eps, what rounding may leave.
    dependent : {"zero", "drop"}, default="zero"
        Whether a dependent column becomes a column of zeros, or is left out of the result (of one
        matrix, not of a stack).
    return_rank : bool, default=False
        Return the number of independent columns, too.
    n_jobs : int, default=None
        Threads for a stack, see :func:`mmlfast.config_context`.  The bits do not depend on it.

    Returns
    -------
    ndarray of shape (m, n) or (…, m, n), or (m, rank) with ``dependent="drop"``
        With ``return_rank`` a named tuple ``(Q, rank)``, the rank an int or an array of the leading
        axes; its ``orthogonality_loss`` is ‖QᵀQ − Id‖.

    Raises
    ------
    ValueError
        NaN or infinity, fewer than two axes, a negative `tol`, an unknown option, or "drop" for a
        stack.
    TypeError
        If A does not hold real numbers.

    See Also
    --------
    mmlfast.is_independent : Whether all columns are, by singular values.
    numpy.linalg.qr : By Householder reflections; signs may differ.

    Notes
    -----
    The textbook's test, a length below 1e-14, depends on the unit of the vectors; here what is left
    is compared with the vector itself, so that vectors of any length are treated alike.

    With κ the condition number of A, ‖QᵀQ − Id‖ is of the order of κ²·eps for "classical", κ·eps
    for "modified" and eps for "twice" (Giraud, Langou, Rozložník and van den Eshof, Rounding error
    analysis of the classical Gram–Schmidt orthogonalization process, Numerische Mathematik 101,
    2005).  "twice" also drops what the second time shrinks to half: that was rounding error
    (Kahan's and Parlett's "twice is enough").  Panels of columns are projected at once (Barlow and
    Smoktunowicz, Reorthogonalized block classical Gram–Schmidt, Numerische Mathematik 123, 2013).

    The result lies in memory column by column.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import gram_schmidt
    >>> A = np.array([[3.0, 1.0, 6.0], [4.0, 2.0, 8.0]])
    >>> Q, rank = gram_schmidt(A, return_rank=True)
    >>> Q
    array([[ 0.6, -0.8,  0. ],
           [ 0.8,  0.6,  0. ]])
    >>> rank
    2
    >>> gram_schmidt(A, dependent="drop").shape
    (2, 2)

    How much orthogonality each method loses on nearly parallel columns:

    >>> H = 1 / (np.arange(8) + np.arange(1, 9)[:, None])
    >>> def loss(method):
    ...     return gram_schmidt(H, method=method, return_rank=True).orthogonality_loss
    >>> bool(loss("classical") > 0.1 and loss("modified") < 1e-5 and loss("twice") < 1e-14)
    True
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    if dependent not in ("zero", "drop"):
        raise ValueError(f'dependent must be "zero" or "drop"; got {dependent!r}.')
    given = as_vectors(A, "A", ndim=2)
    *stack, m, n = given.shape
    if dependent == "drop" and stack:
        raise ValueError(
            f'dependent="drop" takes one matrix, as ranks may differ; got shape {given.shape}. '
            'Pass dependent="zero".'
        )
    if tol is None:
        tol = ROUNDING * max(m, n) * float(np.finfo(given.dtype).eps)
    if not 0 <= tol < 1:
        raise ValueError(f"tol must be at least 0 and below 1; got {tol!r}.")
    vectors = np.array(given.swapaxes(-1, -2), order="C").reshape(math.prod(stack), n, m)
    ranks = np.zeros(len(vectors), np.int64)
    _orthonormalise(vectors, method, tol, ranks, n_threads(n_jobs))
    Q = vectors.reshape(*stack, n, m).swapaxes(-1, -2)
    if dependent == "drop":
        Q = Q[:, Q.any(axis=0)]
    if not return_rank:
        return Q
    return OrthonormalBasis(Q, ranks.reshape(stack) if stack else int(ranks[0]))


def _orthonormalise(
    vectors: NDArray[Any], method: str, tol: float, ranks: NDArray[np.int64], threads: int
) -> None:
    from mmlfast.kernels import orthogonal as kernels

    kernel = getattr(kernels, method)
    count, n, m = vectors.shape
    parts = min(PARTS, count, 1 + 4 * count * n * n * m // PART_FLOPS)

    def part(index: int) -> None:
        span = slice(count * index // parts, count * (index + 1) // parts)
        kernel(vectors[span], vectors.dtype.type(tol), ranks[span])

    parallel_for(part, parts, threads)


def orthogonality_loss(Q: ArrayLike) -> Any:
    """‖QᵀQ − Id‖, how far columns are from orthonormal; columns of zeros are left out.

    Parameters
    ----------
    Q : array-like of shape (m, n) or (…, m, n)

    Returns
    -------
    float or ndarray of the leading axes
        The Frobenius norm.

    Examples
    --------
    >>> from mmlfast.api.orthogonal import orthogonality_loss
    >>> orthogonality_loss([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0]]).round(3)
    np.float64(0.75)
    """
    given = as_vectors(Q, "Q", ndim=2)
    error = given.swapaxes(-1, -2) @ given
    kept = given.any(axis=-2)
    diagonal = np.arange(error.shape[-1])
    error[..., diagonal, diagonal] -= kept
    return np.linalg.norm(error, axis=(-2, -1))
