"""Affine maps of the plane and of space, for points and for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api import affine
from mmlfast.api.affine import Matrix
from mmlfast.api.warping import warp_images
from mmlfast.runtime.validate import as_matrix, refuse_bad_numbers


class Transform:
    """p ↦ A·p + b: an affine map of the plane (2-D) or of space (3-D), as one homogeneous matrix.

    Made by :meth:`rotation`, :meth:`scaling`, :meth:`shear`, :meth:`reflection`,
    :meth:`translation`, :meth:`identity` and :meth:`from_matrix`, joined by ``@``: ``T2 @ T1``
    does T1 first.  It never changes.  A stack of N maps, from :meth:`stack`, goes wherever one
    goes; it warps N images with a map each.

    Parameters
    ----------
    matrix : array-like of shape (d + 1, d + 1) or (N, d + 1, d + 1), d = 2 or 3
        Homogeneous: A and b above the row (0, …, 0, 1).

    Attributes
    ----------
    matrix : ndarray of shape (d + 1, d + 1) or (N, d + 1, d + 1), float64, read-only
    linear : ndarray of shape (d, d) or (N, d, d)
        A.
    offset : ndarray of shape (d,) or (N, d)
        b.
    determinant : float or ndarray of shape (N,)
        det A: the factor of areas or volumes, negative for a map that mirrors.

    See Also
    --------
    rotate_image : Turn an image about its centre.
    scipy.ndimage.affine_transform : The same with the map from output to input, in (row, column).

    Examples
    --------
    >>> from mmlfast import Transform
    >>> quarter = Transform.rotation(90, degrees=True)
    >>> (quarter @ Transform.translation(1, 0)).apply([2.0, 0.0])
    array([0., 3.])
    >>> Transform.reflection([1, 1]).linear
    array([[0., 1.],
           [1., 0.]])
    """

    __slots__ = ("_matrix",)
    __array_ufunc__ = None  # an array does not join with it
    _matrix: Matrix

    def __init__(self, matrix: ArrayLike) -> None:
        array = affine.as_homogeneous(matrix)
        array.flags.writeable = False
        object.__setattr__(self, "_matrix", array)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Transform never changes; make a new one instead of setting {name}")

    @classmethod
    def identity(cls, dim: int = 2) -> Transform:
        """p ↦ p in the plane (dim=2) or in space (dim=3)."""
        if dim not in (2, 3):
            raise ValueError(f"dim must be 2 or 3; got {dim!r}.")
        return cls(np.eye(dim + 1))

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, offset: ArrayLike | None = None) -> Transform:
        """The map of a matrix: p ↦ A·p + b.

        Parameters
        ----------
        matrix : array-like
            (3, 3) or (4, 4), homogeneous; (2, 3) or (3, 4), A beside b, as in OpenCV; (2, 2), A
            alone.  With `offset` (2, 2) or (3, 3), A.
        offset : array-like of shape (d,), default=None
            b.

        Examples
        --------
        >>> from mmlfast import Transform
        >>> Transform.from_matrix([[2, 0], [0, 1]], offset=[5, 0]).apply([1, 1])
        array([7., 1.])
        """
        return cls(affine.completed(matrix, offset))

    @classmethod
    def stack(cls, transforms: Sequence[Transform]) -> Transform:
        """N maps as one, to warp N images or to move the same points N ways."""
        matrices = [transform.matrix for transform in transforms]
        if not matrices or len({matrix.shape for matrix in matrices}) > 1 or matrices[0].ndim > 2:
            raise ValueError("transforms must be one or more single maps, all 2-D or all 3-D.")
        return cls(np.array(matrices))

    @classmethod
    def rotation(
        cls,
        angle: ArrayLike,
        *,
        degrees: bool = False,
        center: ArrayLike | None = None,
        axis: str | ArrayLike | None = None,
    ) -> Transform:
        """x ↦ (x cos θ − y sin θ, x sin θ + y cos θ): a turn by `angle`, from the x- to the y-axis.

        Where y runs up that is counter-clockwise, where it runs down, as in images, clockwise.
        Quarter turns are exact: their matrix holds 0, 1 and −1.

        Parameters
        ----------
        angle : float or array-like of shape (N,)
            In radians, or in degrees with ``degrees=True``.  N angles make a stack.
        center : array-like of shape (d,), default=None
            The point that stays; the origin by default.
        axis : {"x", "y", "z"} or array-like of shape (3,), default=None
            Turns space about this axis, counter-clockwise seen from its tip; None turns the plane.
            Rodrigues' formula.

        Examples
        --------
        >>> from mmlfast import Transform
        >>> Transform.rotation(90, degrees=True, center=[1, 0]).apply([2, 0])
        array([1., 1.])
        """
        return cls(affine.about(affine.turn(angle, degrees, axis), center))

    @classmethod
    def scaling(cls, *factors: float, center: ArrayLike | None = None) -> Transform:
        """p ↦ (s₁·x, s₂·y, …): one factor for both axes of the plane, or one for each axis.

        Examples
        --------
        >>> from mmlfast import Transform
        >>> Transform.scaling(2, 3).determinant
        6.0
        """
        scale = affine.numbers(factors, "factors")
        scale = np.repeat(scale, 2) if scale.shape == (1,) else scale
        return cls(affine.about(np.diag(affine.vector(scale, "factors", None)), center))

    @classmethod
    def shear(
        cls,
        *,
        xy: float = 0.0,
        yx: float = 0.0,
        xz: float | None = None,
        yz: float | None = None,
        zx: float | None = None,
        zy: float | None = None,
        center: ArrayLike | None = None,
    ) -> Transform:
        """x ↦ x + xy·y, y ↦ y + yx·x, …: each axis leans by the named share of the other.

        With any of xz, yz, zx, zy it is a map of space.

        Examples
        --------
        >>> from mmlfast import Transform
        >>> Transform.shear(xy=0.5).apply([0, 2])
        array([1., 2.])
        """
        space = [xz, yz, zx, zy]
        flat = all(share is None for share in space)
        xz, yz, zx, zy = (0.0 if share is None else share for share in space)
        linear = affine.numbers([[1, xy, xz], [yx, 1, yz], [zx, zy, 1]], "a share")
        return cls(affine.about(linear[:2, :2] if flat else linear, center))

    @classmethod
    def reflection(cls, basis: ArrayLike, *, center: ArrayLike | None = None) -> Transform:
        """T = E·diag(1, …, 1, −1)·Eᵀ: the mirror stays, what lies across it turns over.

        E is `basis` made orthonormal.  Only the mirror matters, so T = I − 2·n·nᵀ/(nᵀn) with n at
        right angles to it.

        Parameters
        ----------
        basis : array-like of shape (2,), (2, 1), (2, 2), (3, 2) or (3, 3)
            Columns are vectors: those that span the mirror, a line in the plane or a plane in
            space; in a square basis the last lies across it, at whatever angle.
        center : array-like of shape (d,), default=None
            A point of the mirror; the origin by default.

        Examples
        --------
        >>> from mmlfast import Transform
        >>> Transform.reflection([[1.0, 0.0], [0.0, 1.0]]).apply([3, 4])
        array([ 3., -4.])
        """
        return cls(affine.about(affine.mirror(basis), center))

    @classmethod
    def translation(cls, *offset: float) -> Transform:
        """p ↦ p + b.

        Examples
        --------
        >>> from mmlfast import Transform
        >>> Transform.translation(3, 4).apply([0, 0])
        array([3., 4.])
        """
        b = affine.vector(offset, "offset", None)
        return cls(affine.homogeneous(np.eye(len(b)), b))

    @property
    def matrix(self) -> Matrix:
        """The homogeneous matrix or matrices."""
        return self._matrix

    @property
    def linear(self) -> Matrix:
        """A, without the translation."""
        return self._matrix[..., :-1, :-1]

    @property
    def offset(self) -> Matrix:
        """b, where the origin goes."""
        return self._matrix[..., :-1, -1]

    @property
    def determinant(self) -> Any:
        """det A."""
        determinants = np.linalg.det(self.linear)
        return determinants if determinants.ndim else float(determinants)

    def inverse(self) -> Transform:
        """The map that undoes this one.

        Raises
        ------
        ValueError
            If the map is singular.
        """
        return Transform(affine.inverted(self._matrix))

    def __matmul__(self, other: Transform) -> Transform:
        """``self @ other``: `other` first, then `self`."""
        if not isinstance(other, Transform):
            raise TypeError("@ joins a Transform with a Transform; apply(points) moves points.")
        if self._matrix.shape[-1] != other._matrix.shape[-1]:
            raise ValueError("a map of the plane and a map of space cannot be joined.")
        return Transform(self._matrix @ other._matrix)

    def __len__(self) -> int:
        if self._matrix.ndim == 2:
            raise TypeError("a single Transform has no len(); Transform.stack makes many of them.")
        return len(self._matrix)

    def __getitem__(self, index: Any) -> Transform:
        """One of a stack, or some of it."""
        if self._matrix.ndim == 2:
            raise TypeError("a single Transform has no parts; Transform.stack makes many of them.")
        return Transform(self._matrix[index])

    def __eq__(self, other: object) -> bool:
        """Whether the matrices are equal, number for number."""
        if not isinstance(other, Transform):
            return NotImplemented
        return np.array_equal(self._matrix, other._matrix)

    def __hash__(self) -> int:
        return hash((self._matrix.shape, (self._matrix + 0.0).tobytes()))

    def __reduce__(self) -> tuple[type[Transform], tuple[Matrix]]:
        return Transform, (self._matrix,)

    def __repr__(self) -> str:
        return f"Transform({np.array2string(self._matrix, separator=', ', prefix='Transform(')})"

    def apply(self, points: ArrayLike, *, layout: str | None = None) -> NDArray[Any]:
        """A·p + b for every point.

        Parameters
        ----------
        points : array-like of shape (n, d), (d, n) or (d,)
            float32 stays float32, all other numbers become float64.
        layout : {"rows", "columns"}, default=None
            Whether a point is a row of shape (n, d), or a column of shape (d, n) as the course has
            it.  None goes by the shape; a d × d array could be both and must be told.

        Returns
        -------
        ndarray of the same shape
            A stack of N maps gives shape (N, …).

        Raises
        ------
        ValueError
            If the shape does not fit or could be both, or a point is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from mmlfast import Transform
        >>> triangle = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> Transform.translation(5, 5).apply(triangle)
        array([[5., 6., 5.],
               [5., 5., 6.]])
        """
        array = np.asanyarray(points)
        single = array.ndim == 1
        P = as_matrix(array[None] if single else array, "points")
        refuse_bad_numbers(P, 0, "points")
        d = self._matrix.shape[-1] - 1
        columns = affine.by_columns(P.shape, d, "rows" if single else layout)
        A, b = self.linear, self.offset[..., None]
        moved = A @ (P if columns else P.T) + b
        moved = moved if columns else np.swapaxes(moved, -1, -2)
        moved = np.ascontiguousarray(moved, dtype=P.dtype)
        return moved[..., 0, :] if single else moved

    def warp(
        self,
        image: ArrayLike,
        *,
        order: int = 1,
        mode: str = "constant",
        cval: ArrayLike = 0,
        expand: bool = False,
        out: NDArray[Any] | None = None,
        y_up: bool = False,
        n_jobs: int | None = None,
    ) -> NDArray[Any]:
        """out(T·p) = image(p): the picture moved as :meth:`apply` moves its points.

        Pixel (row, column) has its centre at x = column, y = row: x runs right and y down, unless
        `y_up`.  Coordinates are computed in float64 for each pixel and used as they are.  A map
        under which every pixel comes to lie on a pixel (quarter turns, mirrors, whole translations)
        moves the pixels and interpolates nothing, whatever the order.

        Parameters
        ----------
        image : array-like of shape (H, W), (H, W, C) with C ≤ 4, or (N, H, W, C)
            uint8, uint16, float32 or float64; any strides.  Channels are warped independently: to
            keep the colour of transparent pixels out, multiply by alpha first.
        order : {0, 1, 3}, default=1
            0, the nearest pixel.  1, bilinear; a NaN or infinite pixel makes NaN where it is one of
            the four neighbours.  3, the cubic B-spline through all pixels, as scipy.ndimage has it;
            pixels must be finite.
        mode : str, default="constant"
            What lies outside, in scipy.ndimage's words.  "constant": `cval` wherever a coordinate
            is outside of the outermost pixel centres; "grid-constant": the image goes over into
            pixels of `cval`, so that its edge is smooth.  "nearest": the outermost pixel.
            "reflect" (d c b a | a b c d | d c b a), "mirror" (d c b | a b c d | c b a), "grid-wrap"
            (a b c d | a b c d | a b c d), "wrap" (the same with first and last pixel in one).
        cval : number or sequence of C numbers, default=0
            For integers a whole number within the dtype.
        expand : bool, default=False
            Whether the output is as large as all of the moved image and shows it in its middle,
            whatever the translation; otherwise it is as large as the image.
        out : ndarray, default=None
            Overwritten with the result.
        y_up : bool, default=False
            Read the map in mathematics' axes: y runs up and the lower left pixel is the origin.
        n_jobs : int, default=None
            Threads, see :func:`mmlfast.config_context`; they change no bit of the result.

        Returns
        -------
        ndarray
            Of the image's dtype; integers are rounded to the nearest, half up.  `out` if given.

        Raises
        ------
        ValueError
            If the map is singular or not of the plane, an argument does not fit, an output of
            ``expand`` would not fit into memory, or a pixel is not finite with order 3.
        TypeError
            If the image has another dtype.

        Notes
        -----
        Unser, Splines: a perfect fit for signal and image processing, IEEE Signal Processing
        Magazine 16(6), 1999 (order 3).

        Examples
        --------
        >>> import numpy as np
        >>> from mmlfast import Transform
        >>> Transform.translation(1, 0).warp(np.array([[1.0, 2.0, 3.0]]))
        array([[0., 1., 2.]])
        >>> Transform.scaling(2).warp(np.array([[0.0, 1.0, 4.0]]), expand=True)
        array([[0. , 0.5, 1. , 2.5, 4. ]])
        """
        if self._matrix.shape[-1] != 3:
            raise ValueError("warp needs a map of the plane; this one is of space (4 × 4).")
        return warp_images(
            image, self._matrix.reshape(-1, 3, 3), order=order, mode=mode, cval=cval,
            expand=expand, y_up=y_up, out=out, n_jobs=n_jobs,
        )  # fmt: skip
