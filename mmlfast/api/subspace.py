"""Orthogonal projection on a subspace, and what makes a matrix one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike

from mmlfast.api.inner_product import Array, as_vectors, embedded, factor, lengths, scaled
from mmlfast.runtime.threads import blas_for
from mmlfast.runtime.validate import overflow


class Invariant(NamedTuple):
    """A property of projections, and by how much it fails."""

    error: float
    tol: float
    meaning: str

    @property
    def holds(self) -> bool:
        """Whether the error is at most `tol`."""
        return self.error <= self.tol


class ProjectionCheck(NamedTuple):
    """What is true of an orthogonal projection P, each property with its measured error.

    It is true where all hold, and its text names those that do not.
    """

    symmetric: Invariant
    idempotent: Invariant
    rank: Invariant
    orthogonal: Invariant

    def __bool__(self) -> bool:
        return all(invariant.holds for invariant in self)

    def __repr__(self) -> str:
        named = self._asdict().items()
        failing = [name for name, invariant in named if not invariant.holds]
        lines = [f"ProjectionCheck: {'fails: ' + ', '.join(failing) if failing else 'all hold'}"]
        for name, invariant in named:
            sign = "holds" if invariant.holds else "FAILS"
            lines.append(f"  {sign}  {name:10}  error {invariant.error:.0e}  {invariant.meaning}")
        return "\n".join(lines)


class Projection:
    """P = B (Bᵀ B)⁻¹ Bᵀ, the orthogonal projection on the subspace that the columns of B span.

    Parameters
    ----------
    B : array-like of shape (n, k) or (n,)
        The columns span the subspace; they may depend on each other, and one vector spans a line.
        float32 and float64 keep their dtype; float16 is computed in float32, integers in float64.
    A : array-like of shape (n, n), default=None
        The inner product ⟨x, y⟩ = xᵀ A y that says what is orthogonal: symmetric and positive
        definite; the identity if left out.  With it P = B (Bᵀ A B)⁻¹ Bᵀ A.
    tol : float, default=None
        With the columns made one unit long and taken in the order of what is left of them, one of
        which no more than `tol` is left depends on the others.  By default max(n, k)·eps.

    Attributes
    ----------
    basis : ndarray of shape (n, rank)
        Q with QᵀQ = Id (QᵀAQ = Id) and the same span as B.
    rank : int
        Dimension of the subspace.
    columns : ndarray of shape (rank,)
        Which columns of B the rank counts: those that `coordinates` uses.

    Raises
    ------
    ValueError
        NaN or infinity, a stack of matrices, a negative `tol`, or an A that does not fit, is not
        symmetric or not positive definite.
    TypeError
        If an argument does not hold real numbers.

    See Also
    --------
    mmlfast.vector_projection : On a line.
    mmlfast.PCA : On the subspace nearest to the data.

    Notes
    -----
    By QR with column pivoting: P = Q Qᵀ, where the inverse of BᵀB would lose twice the digits
    (Golub and Van Loan, Matrix Computations, 4th edition, section 5.5.6).

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import Projection
    >>> plane = Projection([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> plane
    Projection(n=3, rank=2)
    >>> plane.apply([6.0, 0.0, 0.0]).round(12)
    array([ 5.,  2., -1.])
    >>> plane.coordinates([6.0, 0.0, 0.0]).round(12)
    array([ 5., -3.])
    >>> plane.residual([6.0, 0.0, 0.0]).round(12)
    array([ 1., -2.,  1.])
    >>> bool(plane.check())
    True

    A matrix of one's own, which projects on a line along another one:

    >>> Projection.check_matrix([[1.0, 1.0], [0.0, 0.0]])
    ProjectionCheck: fails: symmetric, orthogonal
      FAILS  symmetric   error 1e+00  P = Pᵀ
      holds  idempotent  error 0e+00  P² = P: projecting twice is projecting once
      holds  rank        error 0e+00  trace P = rank: 1 and 1
      FAILS  orthogonal  error 1e+00  x − Px is orthogonal to what P projects on
    """

    def __init__(
        self, B: ArrayLike, A: ArrayLike | None = None, *, tol: float | None = None
    ) -> None:
        given = as_vectors(B, "B")
        given = given[:, None] if given.ndim == 1 else given
        if given.ndim != 2:
            raise ValueError(
                f"B must be a matrix whose columns span the subspace; got shape {given.shape}."
            )
        if tol is not None and not tol >= 0:
            raise ValueError(f"tol must not be negative; got {tol!r}.")
        n, k = given.shape
        self._L = factor(A, n, given.dtype)
        columns, self._exponents = scaled(given.T)
        self._sizes = lengths(columns, self._L, "B")
        unit = embedded(columns / np.where(self._sizes > 0, self._sizes, 1)[:, None], self._L)
        with blas_for(k):
            Q, R, order = scipy.linalg.qr(unit.T, mode="economic", pivoting=True)
        least = max(n, k) * np.finfo(given.dtype).eps if tol is None else tol
        self.rank = int(np.count_nonzero(np.abs(np.diagonal(R)) > least))
        self.columns = order[: self.rank]
        self._R = R[: self.rank, : self.rank]
        self._inside = Q[:, : self.rank]
        self.basis = self._inside
        if self._L is not None:
            self.basis = scipy.linalg.solve_triangular(self._L, self._inside, trans="T", lower=True)

    def __repr__(self) -> str:
        return f"Projection(n={len(self.basis)}, rank={self.rank})"

    @property
    def matrix(self) -> Array:
        """P, of shape (n, n)."""
        inside = self._inside if self._L is None else self._L @ self._inside
        return self.basis @ inside.T

    def apply(self, x: ArrayLike) -> Array:
        """P x, the point of the subspace nearest to x.

        Parameters
        ----------
        x : array-like of shape (n,) or (…, n)
            One vector, or vectors along the last axis: the rows of a matrix.

        Returns
        -------
        ndarray of the shape of `x`
        """
        return self._expanded(self._as_vectors(x), self.basis.T)

    def residual(self, x: ArrayLike) -> Array:
        """x − P x, the part of x that is orthogonal to the subspace.

        Parameters
        ----------
        x : array-like of shape (n,) or (…, n)
            One vector, or vectors along the last axis.

        Returns
        -------
        ndarray of the shape of `x`
        """
        vectors = self._as_vectors(x)
        return vectors - self._expanded(vectors, self.basis.T)

    def coordinates(self, x: ArrayLike) -> Array:
        """λ with B λ = P x, the coordinates of the projection in the columns of B.

        Parameters
        ----------
        x : array-like of shape (n,) or (…, n)
            One vector, or vectors along the last axis.

        Returns
        -------
        ndarray of shape (k,) or (…, k)
            The least squares solution of B λ ≈ x.  Columns that depend on others get 0.
        """
        vectors = self._as_vectors(x)
        solution = np.zeros((*vectors.shape[:-1], len(self._sizes)), vectors.dtype)
        inverse = scipy.linalg.solve_triangular(self._R, np.eye(self.rank, dtype=self._R.dtype))
        found = self._expanded(vectors, inverse.T) / self._sizes[self.columns]
        solution[..., self.columns] = np.ldexp(found, -self._exponents[self.columns])
        return solution

    def _as_vectors(self, x: ArrayLike) -> Array:
        vectors = as_vectors(x, "x")
        n = len(self.basis)
        if vectors.shape[-1] != n:
            raise ValueError(
                f"x must hold vectors of {n} numbers along its last axis, as the columns of B do; "
                f"got shape {vectors.shape}. If its columns are the vectors, pass x.T."
            )
        return vectors.astype(np.result_type(vectors, self.basis), copy=False)

    def _expanded(self, vectors: Array, combinations: Array) -> Array:
        """(Qᵀ A x)ᵀ M for each x and the given M of shape (rank, …)."""
        with np.errstate(over="ignore", invalid="ignore"):
            expanded = embedded(vectors, self._L) @ self._inside @ combinations
        if not np.isfinite(expanded).all():
            raise overflow(vectors.dtype, "x")
        return expanded

    def check(self, *, tol: float | None = None) -> ProjectionCheck:
        """The invariants of `matrix`, measured: see `check_matrix`."""
        metric = None if self._L is None else self._L @ self._L.T
        return self.check_matrix(self.matrix, self.basis, metric, tol=tol)

    @staticmethod
    def check_matrix(
        P: ArrayLike,
        B: ArrayLike | None = None,
        A: ArrayLike | None = None,
        *,
        tol: float | None = None,
    ) -> ProjectionCheck:
        """Whether a matrix is an orthogonal projection, and if not, what fails.

        Parameters
        ----------
        P : array-like of shape (n, n)
        B : array-like of shape (n, k), default=None
            What it should project on: the span of these columns.  By default any subspace.
        A : array-like of shape (n, n), default=None
            The inner product, the identity if left out.
        tol : float, default=None
            Largest error of a property that holds, relative to ‖P‖.  By default √eps: that far
            a P by the inverse of BᵀB is right for κ(B) up to some 10⁴.

        Returns
        -------
        ProjectionCheck
            Named tuple of `symmetric`, `idempotent`, `rank` and `orthogonal`, each with `error`,
            `tol`, `meaning` and `holds`; true if all hold.

        Raises
        ------
        ValueError
            If P is not square, B does not fit, or a number is NaN or infinite.
        """
        matrix = as_vectors(P, "P", ndim=2)
        n = len(matrix)
        if matrix.shape != (n, n):
            raise ValueError(f"P must be a square matrix; got shape {matrix.shape}.")
        if B is not None and len(as_vectors(B, "B")) != n:
            raise ValueError(f"B must have {n} rows, as P has; got {len(as_vectors(B, 'B'))}.")
        tol = float(np.sqrt(np.finfo(matrix.dtype).eps)) if tol is None else tol
        L = factor(A, n, matrix.dtype)
        if L is not None:
            # Lᵀ P L⁻ᵀ does to Lᵀx what P does to x, and what is orthogonal there is so in A.
            matrix = scipy.linalg.solve_triangular(L, (L.T @ matrix).T, lower=True).T
        trace = float(np.trace(matrix))
        # P and Id − P in units of ‖P‖: no square overflows.  Of the power of two below it, rather,
        # so that what is exact is found exact.
        size = float(lengths(matrix.ravel(), None, "P"))
        size = 2.0 ** (math.frexp(max(size, 1.0))[1] - 1)
        rest = np.eye(n, dtype=matrix.dtype) / size - matrix / size
        matrix = matrix / size
        if B is None:
            values = np.linalg.svd(matrix, compute_uv=False)
            rank = int(np.count_nonzero(values > tol * values.max(initial=0.0)))
            span, subspace = matrix, "what P projects on"
        else:
            wanted = Projection(B, A)
            rank, span, subspace = wanted.rank, wanted._inside, "the span of B"
        return ProjectionCheck(
            symmetric=Invariant(
                _size(matrix - matrix.T), tol, "P = Pᵀ" if A is None else "AP = (AP)ᵀ"
            ),
            idempotent=Invariant(
                _size(matrix @ rest), tol, "P² = P: projecting twice is projecting once"
            ),
            rank=Invariant(
                abs(trace - rank) / max(1, rank), tol, f"trace P = rank: {trace:.6g} and {rank}"
            ),
            orthogonal=Invariant(_size(span.T @ rest), tol, f"x − Px is orthogonal to {subspace}"),
        )


def _size(X: Array) -> float:
    return float(np.linalg.norm(X))
