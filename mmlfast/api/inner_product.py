"""Vectors as arguments, and inner products ⟨x, y⟩ = xᵀ A y of them.

With A = L Lᵀ an inner product is the dot product of Lᵀx and Lᵀy: no cancellation can then make a
square negative.  Vectors lie along the last axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.runtime.validate import as_real, overflow

Array = NDArray[Any]


def as_vectors(a: ArrayLike, name: str, ndim: int = 1) -> Array:
    """`a` as finite float32 or float64 numbers with at least `ndim` axes.

    Integers become float64 and halves float32.
    """
    array = as_real(a, name)
    if array.ndim < ndim:
        kind = {1: "a vector (1 axis)", 2: "a matrix (2 axes)"}[ndim]
        raise ValueError(f"{name} must be {kind} or a stack of them; got shape {array.shape}.")
    if not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name} must be finite; {name}[{', '.join(map(str, at))}] is {array[at]}. Remove or "
            "replace such values first."
        )
    return array


def as_pair(x: ArrayLike, y: ArrayLike, names: tuple[str, str]) -> tuple[Array, Array]:
    """Two vectors, or stacks of them, of one dtype and of shapes that broadcast."""
    a, b = as_vectors(x, names[0]), as_vectors(y, names[1])
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"{names[0]} and {names[1]} must have vectors of one length along their last axis; got "
            f"shapes {a.shape} and {b.shape}. If vectors are columns, pass the transpose."
        )
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"{names[0]} and {names[1]} must be one vector each, or stacks whose shapes broadcast; "
            f"got {a.shape} and {b.shape}."
        ) from None
    dtype = np.result_type(a, b)
    return a.astype(dtype, copy=False), b.astype(dtype, copy=False)


def factor(A: ArrayLike | None, n: int, dtype: np.dtype[Any]) -> Array | None:
    """The lower triangle L with L Lᵀ = A, as `dtype`; None for None, which is the identity.

    ValueError unless A is symmetric, positive definite and of shape (n, n).
    """
    if A is None:
        return None
    given = as_vectors(A, "A", ndim=2)
    if given.shape != (n, n):
        raise ValueError(
            f"A must have shape ({n}, {n}), as the vectors have {n} numbers; got {given.shape}."
        )
    matrix = given.astype(np.float64)
    eps = np.finfo(given.dtype).eps
    differences = np.abs(matrix - matrix.T)
    if differences.max(initial=0.0) > np.sqrt(eps) * np.abs(matrix).max(initial=0.0):
        i, j = (int(k) for k in np.unravel_index(np.argmax(differences), differences.shape))
        raise ValueError(
            f"A must be symmetric; A[{i}, {j}] is {matrix[i, j]:g} and A[{j}, {i}] is "
            f"{matrix[j, i]:g}. For its symmetric part pass (A + A.T) / 2."
        )
    matrix = (matrix + matrix.T) / 2
    try:
        L = np.linalg.cholesky(matrix)
        left = np.diagonal(L) ** 2
        if (left > n * eps * np.diagonal(matrix)).all():
            return L.astype(dtype)
    except np.linalg.LinAlgError:
        pass
    smallest = np.linalg.eigvalsh(matrix)[0]
    raise ValueError(
        "A must be positive definite, or lengths would be zero or imaginary; its smallest "
        f"eigenvalue is {smallest:.3g}."
    )


def embedded(x: Array, L: Array | None) -> Array:
    """Lᵀx for each vector x: their dot products are the inner products."""
    return x if L is None else x @ L


def scaled(x: Array) -> tuple[Array, NDArray[np.int32]]:
    """x·2^−e and e, one for each vector, so that the largest entries lie in [½, 1)."""
    exponents = np.frexp(np.abs(x).max(axis=-1, initial=0.0))[1]
    return np.ldexp(x, -exponents[..., None]), exponents


def inner_products(x: Array, y: Array, L: Array | None, names: tuple[str, str]) -> Array:
    """⟨x, y⟩, an intermediate overflow avoided."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.vecdot(embedded(x, L), embedded(y, L))
        if np.isfinite(values).all():
            return values
        (x, i), (y, j) = scaled(x), scaled(y)
        values = np.ldexp(np.vecdot(embedded(x, L), embedded(y, L)), i + j)
    if not np.isfinite(values).all():
        raise overflow(x.dtype, " or ".join(names))
    return values


def lengths(x: Array, L: Array | None, name: str) -> Array:
    """√⟨x, x⟩, safe against overflow and underflow of the squares."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        inside = embedded(x, L)
        squares = np.vecdot(inside, inside)
        if _are_ordinary(squares):
            return np.sqrt(squares)
        x, i = scaled(x)
        inside, j = scaled(embedded(x, L))
        values = np.ldexp(np.sqrt(np.vecdot(inside, inside)), i + j)
    if not np.isfinite(values).all():
        raise overflow(x.dtype, name)
    return values


def directions(x: Array, L: Array | None, name: str) -> Array:
    """x/√⟨x, x⟩ for each vector; ValueError where one is zero."""
    with np.errstate(over="ignore", under="ignore"):
        ordinary = _are_ordinary(np.vecdot(x, x))
    if not ordinary:
        zero = ~x.any(axis=-1)
        if zero.any():
            where = "".join(f"[{int(i)}]" for i in np.argwhere(zero)[0])
            raise ValueError(f"{name} must have a direction; {name}{where} is the zero vector.")
        x, _ = scaled(x)
    return x / lengths(x, L, name)[..., None]


def _are_ordinary(squares: Array) -> bool:
    """Whether all squares of lengths have kept their digits."""
    limits = np.finfo(squares.dtype)
    return bool(((squares > limits.tiny / limits.eps) & (squares <= limits.max)).all())
