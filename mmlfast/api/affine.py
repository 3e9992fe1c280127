"""Matrices of affine maps: turns, mirrors, inverses; what is checked before one is made.

p ↦ A·p + b      as the homogeneous matrix [[A, b], [0, 1]]
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]
_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


def homogeneous(linear: Matrix, offset: Matrix) -> Matrix:
    """p ↦ linear·p + offset, of shape (…, d + 1, d + 1)."""
    d = linear.shape[-1]
    matrix = np.zeros((*linear.shape[:-2], d + 1, d + 1))
    matrix[..., :-1, :-1], matrix[..., :-1, -1], matrix[..., -1, -1] = linear, offset, 1.0
    return matrix


def as_homogeneous(values: ArrayLike) -> Matrix:
    """A copy of one homogeneous matrix or a stack of them, or a precise error."""
    matrix = numbers(values, "matrix").copy()
    if matrix.ndim not in (2, 3) or matrix.shape[-2:] not in ((3, 3), (4, 4)):
        raise ValueError(
            "matrix must be homogeneous, of shape (3, 3) for the plane or (4, 4) for space, or a "
            f"stack of such; got shape {matrix.shape}. Transform.from_matrix takes the linear part "
            "and the offset."
        )
    bottom = np.eye(matrix.shape[-1])[-1]
    if (matrix[..., -1, :] != bottom).any():
        raise ValueError(
            f"the last row of matrix must be {bottom.tolist()} (an affine map; projective maps are "
            f"not taken); got {matrix[..., -1, :].tolist()}."
        )
    return matrix


def completed(values: ArrayLike, offset: ArrayLike | None) -> Matrix:
    """The homogeneous matrix of A and b, of A beside b, of A alone, or as it comes."""
    array = numbers(values, "matrix")
    if offset is not None:
        if array.shape not in ((2, 2), (3, 3)):
            raise ValueError(
                f"with offset, matrix must have shape (2, 2) or (3, 3); got {array.shape}."
            )
        return homogeneous(array, vector(offset, "offset", len(array)))
    if array.shape == (2, 2):
        return homogeneous(array, np.zeros(2))
    if array.shape in ((2, 3), (3, 4)):
        return homogeneous(array[:, :-1], array[:, -1])
    return array


def about(linear: Matrix, center: ArrayLike | None) -> Matrix:
    """The linear map or maps with `center` in place of the origin."""
    d = linear.shape[-1]
    c = np.zeros(d) if center is None else vector(center, "center", d)
    return homogeneous(linear, c - linear @ c)


def turn(angle: ArrayLike, degrees: bool, axis: str | ArrayLike | None) -> Matrix:
    """The plane turned from the x- to the y-axis, or space about an axis, once for each angle."""
    c, s = _cosine_and_sine(angle, degrees)
    if axis is None:
        return np.moveaxis(np.array([[c, -s], [s, c]]), (0, 1), (-2, -1))
    c, s = c[..., None, None], s[..., None, None]
    named = _AXES.get(axis) if isinstance(axis, str) else axis
    if named is None:
        raise ValueError(f"axis must be 'x', 'y', 'z' or three numbers; got {axis!r}.")
    u = _direction(vector(named, "axis", 3), "axis")
    cross = np.array([[0.0, -u[2], u[1]], [u[2], 0.0, -u[0]], [-u[1], u[0], 0.0]])
    rodrigues: Matrix = c * np.eye(3) + s * cross + (1 - c) * np.outer(u, u)
    return rodrigues


def mirror(basis: ArrayLike) -> Matrix:
    """I − 2·n·nᵀ/(nᵀn), n at right angles to the line or plane that the first columns span."""
    E = numbers(basis, "basis")
    E = E[:, None] if E.shape == (2,) else E
    if E.shape not in ((2, 1), (2, 2), (3, 2), (3, 3)):
        raise ValueError(
            "basis must hold, as columns, the vectors that span the mirror: shape (2,), (2, 2), "
            f"(3, 2) or (3, 3); got shape {E.shape}."
        )
    if len(E) == len(E.T) and is_singular(E):
        raise ValueError(f"basis must be a basis: its columns are dependent; got {E.tolist()}.")
    E = np.column_stack([_direction(column, "basis") for column in E.T])
    n = np.array([-E[1, 0], E[0, 0]]) if len(E) == 2 else np.cross(E[:, 0], E[:, 1])
    if np.linalg.norm(n) < 1e-12:
        raise ValueError(
            f"basis must span a plane: its first two columns are parallel; got {E.tolist()}."
        )
    n = n / np.abs(n).max()
    reflected: Matrix = np.eye(len(E)) - 2 * np.outer(n, n) / (n @ n)
    return reflected


def is_singular(linear: Matrix) -> Any:
    """Whether the columns of (…, d, d) are dependent, as far as float64 can tell."""
    lengths = np.abs(linear).max(axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        volume = np.abs(np.linalg.det(linear / lengths[..., None, :]))
    return ~(volume > 4 * np.finfo(np.float64).eps)


@np.errstate(over="ignore", invalid="ignore")
def inverted(matrices: Matrix) -> Matrix:
    """T⁻¹ of homogeneous matrices (…, d + 1, d + 1); ValueError for one that flattens the space."""
    linear = matrices[..., :-1, :-1]
    singular = is_singular(linear)
    if singular.any():
        many = singular.size > 1
        which = f"Transform {int(np.argmax(singular))} of {singular.size}" if many else "The map"
        at = np.unravel_index(int(np.argmax(singular)), singular.shape)
        raise ValueError(
            f"{which} is singular: it flattens the space and has no inverse. Its linear part is "
            f"{linear[at].tolist()}."
        )
    inverse = np.zeros_like(matrices)
    inverse[..., :-1, :-1] = np.linalg.inv(linear)
    inverse[..., :-1, -1:] = -inverse[..., :-1, :-1] @ matrices[..., :-1, -1:]
    inverse[..., -1, -1] = 1.0
    return inverse


def numbers(values: Any, name: str) -> Matrix:
    """`values` as float64, all finite."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be numbers in a regular array; got {values!r}.") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got {values!r}.")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; got {values!r}.")
    return array


def vector(values: Any, name: str, dim: int | None) -> Matrix:
    """`values` as `dim` numbers; None is 2 or 3."""
    array = numbers(values, name)
    if array.shape not in ([(2,), (3,)] if dim is None else [(dim,)]):
        wanted = "2 or 3" if dim is None else dim
        raise ValueError(f"{name} must be {wanted} numbers; got shape {array.shape}.")
    return array


def _cosine_and_sine(angle: Any, degrees: bool) -> tuple[Matrix, Matrix]:
    """cos and sin; those of quarter turns, π/2 as near as floats come to it, are exact."""
    angle = numbers(angle, "angle")
    if angle.ndim > 1:
        raise ValueError(f"angle must be one number, or N for a stack; got shape {angle.shape}.")
    quarter = 90.0 if degrees else math.pi / 2
    turns = np.fmod(angle, 4 * quarter) / quarter
    whole = np.rint(turns)
    radians = np.radians(np.fmod(angle, 360.0)) if degrees else angle
    index = whole.astype(np.int64) % 4
    c = np.where(turns == whole, np.array([1.0, 0.0, -1.0, 0.0])[index], np.cos(radians))
    s = np.where(turns == whole, np.array([0.0, 1.0, 0.0, -1.0])[index], np.sin(radians))
    return c, s


def _direction(along: Matrix, name: str) -> Matrix:
    """The unit vector of that direction; exact along an axis."""
    largest = float(np.abs(along).max())
    if largest == 0.0:
        raise ValueError(f"{name} must not be the zero vector.")
    scaled = along / largest
    return scaled / np.linalg.norm(scaled)


def by_columns(shape: tuple[int, ...], d: int, layout: str | None) -> bool:
    """Whether points of this shape are columns; an error where they cannot be, or could be both."""
    if layout not in (None, "rows", "columns"):
        raise ValueError(f"layout must be 'rows', 'columns' or None; got {layout!r}.")
    if d not in shape or (layout is not None and shape[layout == "rows"] != d):
        wanted = {None: f"(n, {d}) or ({d}, n)", "rows": f"(n, {d})", "columns": f"({d}, n)"}
        raise ValueError(f"points must have shape {wanted[layout]}; got {shape}.")
    if layout is None and shape == (d, d):
        raise ValueError(
            f"{d} × {d} points could be rows or columns; say layout='rows' or layout='columns'."
        )
    return shape[0] == d if layout is None else layout == "columns"
