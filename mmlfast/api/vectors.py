"""Lengths, angles, distances and projections of vectors, for any inner product."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mmlfast.api.inner_product import (
    Array,
    as_pair,
    as_vectors,
    directions,
    embedded,
    factor,
    inner_products,
    lengths,
)
from mmlfast.runtime.validate import overflow


def inner(x: ArrayLike, y: ArrayLike, A: ArrayLike | None = None) -> Any:
    """⟨x, y⟩ = xᵀ A y, the inner product of vectors; the dot product without A.

    Parameters
    ----------
    x, y : array-like of shape (n,) or (…, n)
        Vectors along the last axis; leading axes are broadcast.  float32 and float64 keep their
        dtype; float16 is computed in float32, integers in float64.
    A : array-like of shape (n, n), default=None
        Symmetric and positive definite; the identity if left out.

    Returns
    -------
    scalar or ndarray of the leading axes

    Raises
    ------
    ValueError
        Lengths that differ, NaN or infinity, a result too large for its dtype, or an A that is not
        symmetric (two entries are named) or not positive definite (its smallest eigenvalue is).
    TypeError
        If an argument does not hold real numbers.

    See Also
    --------
    mmlfast.gram : All inner products of the columns of a matrix.

    Notes
    -----
    A is factored into L Lᵀ by Cholesky, and the result is (Lᵀx)·(Lᵀy): that of a vector with
    itself is never negative.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import inner
    >>> inner([1.0, 2.0], [3.0, 4.0])
    np.float64(11.0)
    >>> inner([1.0, 2.0], np.eye(2), A=[[4.0, 0.0], [0.0, 9.0]])
    array([ 4., 18.])
    """
    a, b = as_pair(x, y, ("x", "y"))
    return inner_products(a, b, factor(A, a.shape[-1], a.dtype), ("x", "y"))[()]


def norm(x: ArrayLike, A: ArrayLike | None = None, *, axis: int = -1) -> Any:
    """‖x‖ = √(xᵀ A x), the length of vectors.

    Parameters
    ----------
    x : array-like of shape (n,) or (…, n)
        Vectors along `axis`.  float32 and float64 keep their dtype; float16 is computed in float32,
        integers in float64.
    A : array-like of shape (n, n), default=None
        The inner product: symmetric and positive definite; the identity if left out.
    axis : int, default=-1
        Along which the vectors lie: 0 for the columns of a matrix.

    Returns
    -------
    scalar or ndarray of the other axes
        Right wherever it can be represented, though the squares could not.

    Raises
    ------
    ValueError
        NaN or infinity, a length too large for its dtype, or an A that does not fit, is not
        symmetric or not positive definite.
    TypeError
        If an argument does not hold real numbers.

    See Also
    --------
    numpy.linalg.norm : Other norms of vectors, and norms of matrices.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import norm
    >>> norm([3.0, 4.0])
    np.float64(5.0)
    >>> norm([1e200, 0.0])
    np.float64(1e+200)
    >>> norm([[3.0, 4.0], [0.0, 2.0]], A=[[1.0, 0.0], [0.0, 4.0]])
    array([8.54400375, 4.        ])
    """
    a = np.moveaxis(as_vectors(x, "x"), axis, -1)
    return lengths(a, factor(A, a.shape[-1], a.dtype), "x")[()]


def distance(x: ArrayLike, y: ArrayLike, A: ArrayLike | None = None) -> Any:
    """‖x − y‖ = √((x − y)ᵀ A (x − y)), the distance of vectors.

    Parameters
    ----------
    x, y : array-like of shape (n,) or (…, n)
        Vectors along the last axis; leading axes are broadcast.  float32 and float64 keep their
        dtype; float16 is computed in float32, integers in float64: differences of uint8 images do
        not wrap around.
    A : array-like of shape (n, n), default=None
        The inner product: symmetric and positive definite; the identity if left out.

    Returns
    -------
    scalar or ndarray of the leading axes

    Raises
    ------
    ValueError
        Lengths that differ, NaN or infinity, a distance too large for its dtype, or an A that is
        not symmetric or not positive definite.
    TypeError
        If an argument does not hold real numbers.

    See Also
    --------
    sklearn.metrics.pairwise_distances : All distances between two sets of rows.
    sklearn.neighbors.NearestNeighbors : The nearest rows without that matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import distance
    >>> distance([1.0, 2.0], [4.0, 6.0])
    np.float64(5.0)
    >>> points = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> distance(points[:, None], points)
    array([[0.        , 1.41421356],
           [1.41421356, 0.        ]])
    """
    a, b = as_pair(x, y, ("x", "y"))
    with np.errstate(over="ignore"):
        difference = a - b
    if not np.isfinite(difference).all():
        raise overflow(a.dtype, "x - y")
    return lengths(difference, factor(A, a.shape[-1], a.dtype), "x - y")[()]


def angle(x: ArrayLike, y: ArrayLike, A: ArrayLike | None = None, *, degrees: bool = False) -> Any:
    """θ with cos θ = ⟨x, y⟩ / (‖x‖ ‖y‖), the angle between vectors, from 0 to π.

    Parameters
    ----------
    x, y : array-like of shape (n,) or (…, n)
        Vectors along the last axis, none of them zero; leading axes are broadcast.  float32 and
        float64 keep their dtype; float16 is computed in float32, integers in float64.
    A : array-like of shape (n, n), default=None
        The inner product: symmetric and positive definite; the identity if left out.
    degrees : bool, default=False
        Degrees, not radians.

    Returns
    -------
    scalar or ndarray of the leading axes
        With an error of a few units in the last place of π; an arc cosine would lose half of the
        digits near 0 and π.

    Raises
    ------
    ValueError
        A zero vector (its place is named), lengths that differ, NaN or infinity, or an A that is
        not symmetric or not positive definite.
    TypeError
        If an argument does not hold real numbers.

    Notes
    -----
    θ = 2 atan2(‖u − v‖, ‖u + v‖) for the unit vectors u and v along x and y: W. Kahan, How futile
    are mindless assessments of roundoff in floating-point computation?, 2006, section 12.

    Examples
    --------
    >>> from mmlfast import angle
    >>> angle([1.0, 0.0], [1.0, 1.0], degrees=True)
    np.float64(45.0)
    >>> angle([1.0, 0.0], [[1.0, 1e-9], [-2.0, 0.0]])
    array([1.00000000e-09, 3.14159265e+00])

    What is perpendicular depends on the inner product:

    >>> angle([1.0, 1.0], [-1.0, 1.0], A=[[2.0, 0.0], [0.0, 1.0]], degrees=True).round(2)
    np.float64(109.47)
    """
    a, b = as_pair(x, y, ("x", "y"))
    L = factor(A, a.shape[-1], a.dtype)
    u, v = embedded(directions(a, L, "x"), L), embedded(directions(b, L, "y"), L)
    theta = 2 * np.arctan2(lengths(u - v, None, "x"), lengths(u + v, None, "x"))
    return (np.rad2deg(theta) if degrees else theta)[()]


def scalar_projection(x: ArrayLike, onto: ArrayLike, A: ArrayLike | None = None) -> Any:
    """⟨x, b⟩ / ‖b‖, the length of the shadow of x on b, negative where it points away from b.

    Parameters
    ----------
    x : array-like of shape (n,) or (…, n)
        Vectors along the last axis.
    onto : array-like of shape (n,) or (…, n)
        b, none of them zero; leading axes are broadcast with those of `x`.
    A : array-like of shape (n, n), default=None
        The inner product: symmetric and positive definite; the identity if left out.

    Returns
    -------
    scalar or ndarray of the leading axes
        float32 for float32 and float16 arguments, else float64.

    Raises
    ------
    ValueError
        A zero vector in `onto` (its place is named), lengths that differ, NaN or infinity, or an A
        that is not symmetric or not positive definite.
    TypeError
        If an argument does not hold real numbers.

    Examples
    --------
    >>> from mmlfast import scalar_projection
    >>> scalar_projection([1.0, 2.0], onto=[3.0, 4.0])
    np.float64(2.2)
    """
    a, b = as_pair(x, onto, ("x", "onto"))
    return _shadow(a, b, A)[0][()]


def vector_projection(x: ArrayLike, onto: ArrayLike, A: ArrayLike | None = None) -> Any:
    """⟨x, b⟩ / ⟨b, b⟩ · b, the shadow of x on the line along b.

    Parameters
    ----------
    x : array-like of shape (n,) or (…, n)
        Vectors along the last axis.
    onto : array-like of shape (n,) or (…, n)
        b, none of them zero; leading axes are broadcast with those of `x`.
    A : array-like of shape (n, n), default=None
        The inner product: symmetric and positive definite; the identity if left out.

    Returns
    -------
    ndarray of shape (n,) or (…, n)
        float32 for float32 and float16 arguments, else float64.

    Raises
    ------
    ValueError
        A zero vector in `onto` (its place is named), lengths that differ, NaN or infinity, or an A
        that is not symmetric or not positive definite.
    TypeError
        If an argument does not hold real numbers.

    See Also
    --------
    mmlfast.Projection : The projection on a plane or a larger subspace.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import vector_projection
    >>> vector_projection([1.0, 2.0], onto=[1.0, 1.0])
    array([1.5, 1.5])
    >>> vector_projection(np.eye(2), onto=[0.0, 5.0])
    array([[0., 0.],
           [0., 1.]])
    """
    a, b = as_pair(x, onto, ("x", "onto"))
    shadow, unit = _shadow(a, b, A)
    with np.errstate(over="ignore"):
        projection = shadow[..., None] * unit
    if not np.isfinite(projection).all():
        raise overflow(a.dtype)
    return projection


def _shadow(x: Array, onto: Array, A: ArrayLike | None) -> tuple[Array, Array]:
    """⟨x, u⟩ and u, the vector of length 1 along `onto`."""
    L = factor(A, x.shape[-1], x.dtype)
    unit = directions(onto, L, "onto")
    return inner_products(x, unit, L, ("x", "onto")), unit
