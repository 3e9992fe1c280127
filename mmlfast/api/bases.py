"""Bases: coordinates in another one, and whether vectors form one."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.inner_product import Array, as_vectors, lengths, scaled
from mmlfast.runtime.threads import blas_for
from mmlfast.runtime.validate import overflow


def change_basis(
    x: ArrayLike,
    basis: ArrayLike,
    *,
    from_basis: ArrayLike | None = None,
    layout: Literal["rows", "columns"] = "rows",
) -> Array:
    """c with B c = x, the coordinates of x in the basis of the columns of B.

    Parameters
    ----------
    x : array-like of shape (n,) or (…, n)
        One vector, or vectors along the last axis: the rows of a matrix are vectors, as everywhere
        in NumPy and scikit-learn.
    basis : array-like of shape (n, n)
        B: its columns are the vectors of the basis, as in the mathematics of B c = x.
    from_basis : array-like of shape (n, n), default=None
        The basis in which `x` is given, its vectors as columns; the standard basis if left out.
    layout : {"rows", "columns"}, default="rows"
        "columns" if the vectors are the columns of `x`, of shape (n, m); the result is so, too.

    Returns
    -------
    ndarray of the shape of `x`
        float32 if all arguments are float32 or float16, else float64.

    Raises
    ------
    ValueError
        A basis that is not square (for a subspace see :class:`mmlfast.Projection`), vectors of
        another length, NaN or infinity.
    numpy.linalg.LinAlgError
        If the columns of a basis are dependent; their rank is told.
    TypeError
        If an argument does not hold real numbers.

    Notes
    -----
    By Bᵀx where the basis is orthonormal, else by elimination with partial pivoting on columns that
    have been made one unit long.

    Examples
    --------
    >>> from mmlfast import change_basis
    >>> change_basis([5.0, -1.0], basis=[[1.0, 1.0], [1.0, -1.0]])
    array([2., 3.])
    >>> change_basis([[2.0, 3.0], [1.0, 0.0]], basis=[[1.0, 0.0], [0.0, 1.0]],
    ...              from_basis=[[1.0, 1.0], [1.0, -1.0]])
    array([[ 5., -1.],
           [ 1.,  1.]])
    """
    if layout not in ("rows", "columns"):
        raise ValueError(f'layout must be "rows" or "columns"; got {layout!r}.')
    B, vectors = _as_basis(basis, "basis"), as_vectors(x, "x")
    columns = layout == "columns" and vectors.ndim > 1
    if columns:
        vectors = vectors.swapaxes(-1, -2)
    if vectors.shape[-1] != len(B):
        hint = "" if columns else ' If the vectors are its columns, pass layout="columns".'
        raise ValueError(
            f"x must hold vectors of {len(B)} numbers, as basis does; got shape {np.shape(x)}."
            + hint
        )
    start = None if from_basis is None else _as_basis(from_basis, "from_basis")
    if start is not None and len(start) != len(B):
        raise ValueError(
            f"basis and from_basis must be of one size; got {B.shape} and {start.shape}."
        )
    dtype = np.result_type(B, vectors, B if start is None else start)
    with blas_for(len(B)), np.errstate(over="ignore", invalid="ignore"):
        if start is not None:
            _factored(start, "from_basis")
            vectors = vectors.astype(dtype) @ start.T
        coordinates = _coordinates(vectors.astype(dtype), B.astype(dtype))
    if not np.isfinite(coordinates).all():
        raise overflow(dtype, "x")
    return coordinates.swapaxes(-1, -2) if columns else coordinates


def _as_basis(B: ArrayLike, name: str) -> Array:
    basis = as_vectors(B, name, ndim=2)
    if basis.ndim != 2 or basis.shape[0] != basis.shape[1]:
        raise ValueError(
            f"{name} must be square, a column for each vector; got shape {basis.shape}. For "
            "coordinates in a subspace use mmlfast.Projection(B).coordinates(x)."
        )
    return basis


def _coordinates(vectors: Array, B: Array) -> Array:
    """c with B c = v for each v along the last axis."""
    factors = _factored(B, "basis")
    if factors is None:
        return vectors @ B
    lu, pivots, sizes = factors
    (solve,) = scipy.linalg.get_lapack_funcs(("getrs",), (lu, vectors))
    solution, _ = solve(lu, pivots, vectors.reshape(-1, len(B)).T)
    return (solution.T / sizes).reshape(vectors.shape)


def _factored(B: Array, name: str) -> tuple[Array, NDArray[np.int32], Array] | None:
    """The factors L U and pivots of B with columns of length 1, and their lengths before.

    None if B is orthonormal, when there is nothing to solve; LinAlgError if B is singular.
    """
    n, eps = len(B), np.finfo(B.dtype).eps
    if (np.abs(B.T @ B - np.eye(n, dtype=B.dtype)) <= n * eps).all():
        return None
    sizes = lengths(B.T, None, name)
    U = _unit_columns(B)
    factorise, condition = scipy.linalg.get_lapack_funcs(("getrf", "gecon"), (U,))
    lu, pivots, zero_pivot = factorise(U)
    reciprocal = 0.0 if zero_pivot else condition(lu, np.abs(U).sum(axis=0).max())[0]
    # Beyond this no singular value can be below the tolerance of `is_independent`.
    if reciprocal <= n * n * eps:
        rank = int(_rank(U, None))
        if zero_pivot or rank < n:
            raise np.linalg.LinAlgError(
                f"the columns of {name} must be independent; {n} columns have rank "
                f"{min(rank, n - 1)}. mmlfast.gram_schmidt(..., dependent='drop') gives a basis of "
                "what they span."
            )
    return lu, pivots, sizes


def is_independent(A: ArrayLike, *, tol: float | None = None) -> Any:
    """Whether A c = 0 for c = 0 alone: no column of A is a combination of the others.

    Parameters
    ----------
    A : array-like of shape (m, n) or (…, m, n)
        The vectors are the columns.
    tol : float, default=None
        Singular values of the columns, made one unit long, count as zero up to `tol`.  By default
        max(m, n)·eps times the largest, as in ``numpy.linalg.matrix_rank``.

    Returns
    -------
    bool or ndarray of bool, of the leading axes
        True without columns; False if there are more columns than rows or one is zero.

    Raises
    ------
    ValueError
        NaN or infinity, fewer than two axes, or a negative `tol`.
    TypeError
        If A does not hold real numbers.

    See Also
    --------
    numpy.linalg.matrix_rank : How many are, where columns share a unit.

    Examples
    --------
    >>> from mmlfast import is_independent
    >>> is_independent([[1.0, 2.0], [2.0, 4.0], [3.0, 7.0]])
    True
    >>> is_independent([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    False

    Length has no say in it:

    >>> is_independent([[1.0, 0.0], [0.0, 1e-300]])
    True
    """
    given = as_vectors(A, "A", ndim=2)
    if tol is not None and not tol >= 0:
        raise ValueError(f"tol must not be negative; got {tol!r}.")
    independent = _rank(_unit_columns(given), tol) == given.shape[-1]
    return bool(independent) if given.ndim == 2 else independent


def _unit_columns(A: Array) -> Array:
    """A with columns of length 1; zeros stay."""
    columns, _ = scaled(A.swapaxes(-1, -2))
    sizes = lengths(columns, None, "A")[..., None]
    return (columns / np.where(sizes > 0, sizes, 1)).swapaxes(-1, -2)


def _rank(U: Array, tol: float | None) -> Any:
    """Singular values above `tol`, by default max(m, n)·eps times the largest."""
    values = np.linalg.svd(U, compute_uv=False)
    largest = values.max(axis=-1, initial=0.0, keepdims=True)
    limit = max(U.shape[-2:]) * np.finfo(U.dtype).eps * largest if tol is None else tol
    return np.count_nonzero(values > limit, axis=-1)
