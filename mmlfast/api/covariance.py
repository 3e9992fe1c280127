"""Covariance and Gram matrices, whole or of a stream of rows."""

from __future__ import annotations

import os
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.api.inputs import borrowed_source
from mmlfast.api.model_file import read_npz
from mmlfast.api.moments import Moments
from mmlfast.api.stream import MomentStream
from mmlfast.runtime.atomic import atomic_open
from mmlfast.runtime.progress import Progress, ProgressArgument
from mmlfast.runtime.sources import Source
from mmlfast.runtime.threads import n_threads
from mmlfast.runtime.validate import work_dtype

FILE_VERSION = 1


class CovarianceState:
    """Sums from which mean and covariance are read: n, Σ(x − s) and Σ(x − s)(x − s)ᵀ.

    States add: the state of two sets of rows is the sum of their states, and an empty state changes
    nothing.  The rows of one state give the same bits in whatever batches they arrive, on any
    number of threads.

    Parameters
    ----------
    n_features : int
        Columns of the blocks to come.
    dtype : {"float32", "float64"}, default=None
        What products are formed in; sums are kept in float64.  By default it follows the first
        block: float32 for float32, float16 and integers of up to 16 bits, else float64.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.

    Attributes
    ----------
    n_features : int
    n_samples : int
        Rows so far.
    weight : float
        Sum of their weights.
    mean : ndarray of shape (n_features,)

    Notes
    -----
    Values are taken about a shift s near the data before they are squared, so that a large mean
    costs no digits (Chan, Golub and LeVeque, Algorithms for computing the sample variance, The
    American Statistician 37(3), 1983).

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import CovarianceState
    >>> X = np.array([[1.0, 2.0], [3.0, 5.0], [5.0, 2.0]])
    >>> state = CovarianceState(2).update(X[:1]).update(X[1:])
    >>> state.mean
    array([3., 3.])
    >>> state.covariance()
    array([[4., 0.],
           [0., 3.]])
    """

    def __init__(
        self, n_features: int, *, dtype: Any = None, n_jobs: int | None = None
    ) -> None:
        if not isinstance(n_features, int | np.integer) or n_features < 1:
            raise ValueError(f"n_features must be a positive integer; got {n_features!r}.")
        self.n_features = int(n_features)
        self._dtype = None if dtype is None else np.dtype(dtype)
        if self._dtype is not None and self._dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32, float64 or None; got {dtype!r}.")
        self.n_jobs = n_jobs
        self._closed = Moments.empty(self.n_features)
        self._stream: MomentStream | None = None

    def __repr__(self) -> str:
        return f"CovarianceState(n_features={self.n_features}, n_samples={self.n_samples})"

    @property
    def n_samples(self) -> int:
        """Rows so far."""
        return self._closed.n_rows + (0 if self._stream is None else self._stream.n_rows)

    @property
    def weight(self) -> float:
        """Sum of the weights of the rows so far."""
        return self._closed.weight + (0.0 if self._stream is None else self._stream.weight)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Σ w x / Σ w, of shape (n_features,)."""
        moments = self._moments(needed=1, for_what="a mean")
        if moments.weight == 0:
            raise ValueError("a mean needs a positive weight; all weights so far are zero.")
        return moments.mean()

    def update(
        self,
        block: Any,
        weights: ArrayLike | None = None,
        *,
        progress: ProgressArgument = None,
    ) -> Self:
        """Add rows.

        Parameters
        ----------
        block : array-like of shape (n, n_features), or anything a source can be
            An array, path, frame or iterator of batches.  float64, float32, float16, uint8, int8,
            int16 and int32 are read as they are.
        weights : array-like of shape (n,), default=None
            How often each row counts: weight 2 is the row twice.  Not negative.
        progress : bool or callable, default=None
            True shows a bar once it takes over a second.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            NaN or infinity (row and column are named; the rows of whole steps before it have been
            added), another number of columns, or weights that do not fit.
        TypeError
            A block of higher precision than this state's dtype.
        """
        with borrowed_source(block, "block") as source:
            self._check_width(source)
            w = None if weights is None else checked_weights(weights, source)
            stream = self._stream_for(source.dtype)
            threads = n_threads(self.n_jobs)
            batches = iter([source.array]) if source.array is not None else source.batches()
            row = 0
            with Progress(progress, source.n_rows, "covariance") as shown:
                for X in batches:
                    part = None if w is None else w[row : row + len(X)]
                    stream.add(X, part, threads=threads, advance=shown.advance)
                    row += len(X)
        return self

    def _check_width(self, source: Source) -> None:
        if source.n_features != self.n_features:
            raise ValueError(
                f"{source.name} has {source.n_features} columns, but this state has "
                f"n_features={self.n_features}. If rows and columns are swapped, pass block.T."
            )

    def _stream_for(self, dtype: np.dtype[Any]) -> MomentStream:
        wanted = work_dtype(dtype)
        if self._dtype is None:
            self._dtype = wanted
        if wanted.itemsize > self._dtype.itemsize:
            raise TypeError(
                f"block has dtype {dtype}, but this state sums products in {self._dtype}. Make it "
                f"with CovarianceState({self.n_features}, dtype='float64')."
            )
        if self._stream is None:
            self._stream = MomentStream(self.n_features, self._dtype)
        return self._stream

    def merge(self, other: CovarianceState) -> Self:
        """Add the rows of another state to this one.

        Parameters
        ----------
        other : CovarianceState
            Of as many features; unchanged.

        Returns
        -------
        self
        """
        if not isinstance(other, CovarianceState):
            raise TypeError(f"other must be a CovarianceState; got {type(other).__name__}.")
        if other.n_features != self.n_features:
            raise ValueError(
                f"other has n_features={other.n_features}, this state {self.n_features}; "
                "only states of the same columns can be merged."
            )
        if other.n_samples:
            self._closed = self._moments().merged(other._moments())
            self._stream = None
            self._dtype = self._dtype or other._dtype
        return self

    def __add__(self, other: CovarianceState) -> CovarianceState:
        """The state of the rows of both."""
        if not isinstance(other, CovarianceState):
            return NotImplemented
        both = CovarianceState(self.n_features, dtype=self._dtype, n_jobs=self.n_jobs)
        return both.merge(self).merge(other)

    def _moments(self, needed: int = 0, for_what: str = "") -> Moments:
        if self.n_samples < needed:
            raise ValueError(
                f"{for_what} needs at least {needed} row{'s' * (needed > 1)}; this state has "
                f"{self.n_samples}. Call update first."
            )
        if self._stream is None:
            return self._closed
        return self._closed.merged(self._stream.moments())

    def covariance(self, ddof: float = 1) -> NDArray[np.float64]:
        """Σ w (x − μ)(x − μ)ᵀ / (Σ w − ddof), of shape (n_features, n_features), symmetric.

        Parameters
        ----------
        ddof : float, default=1
            1 as in ``numpy.cov`` and scikit-learn's PCA, 0 for the divisor n.
        """
        moments = self._moments(needed=1, for_what="a covariance")
        if moments.weight <= ddof:
            raise ValueError(
                f"the sum of weights must exceed ddof = {ddof}; it is {moments.weight:g}. Add "
                "rows, or pass ddof=0."
            )
        return moments.covariance(ddof)

    def correlation(self) -> NDArray[np.float64]:
        """C_ij / √(C_ii C_jj), of shape (n_features, n_features), with ones on the diagonal.

        A constant column has no correlation: 0 beside the diagonal.
        """
        C = self.covariance(ddof=0)
        deviation = np.sqrt(np.diagonal(C))
        scale = np.where(deviation > 0, deviation, 1.0)
        C /= scale[:, None] * scale
        np.clip(C, -1.0, 1.0, out=C)
        np.fill_diagonal(C, 1.0)
        return C

    def affine(self, A: ArrayLike, b: ArrayLike | None = None) -> CovarianceState:
        """The state of the rows A x + b: mean A μ + b, covariance A C Aᵀ.

        Parameters
        ----------
        A : array-like of shape (m, n_features)
        b : array-like of shape (m,), default=None
            Zero if left out.

        Returns
        -------
        CovarianceState
            Of m features.
        """
        matrix = np.asarray(A, np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != self.n_features:
            raise ValueError(
                f"A must have shape (m, n_features) with n_features={self.n_features}; "
                f"got {matrix.shape}."
            )
        offset = np.zeros(len(matrix)) if b is None else np.asarray(b, np.float64)
        if offset.shape != (len(matrix),):
            raise ValueError(f"b must have shape ({len(matrix)},); got {offset.shape}.")
        mapped = CovarianceState(len(matrix), dtype=self._dtype, n_jobs=self.n_jobs)
        mapped._closed = self._moments().affine(matrix, offset)
        return mapped

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a .npz file: whole or not at all, and without pickle."""
        moments = self._moments()
        with atomic_open(path, "wb") as file:
            np.savez(
                file, format="mmlfast.CovarianceState", version=FILE_VERSION,
                n_samples=moments.n_rows, weight=moments.weight, shift=moments.shift,
                sums=moments.sums, products=moments.G,
                dtype="" if self._dtype is None else self._dtype.name,
            )  # fmt: skip

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CovarianceState:
        """Read what `save` wrote; ValueError if the file is something else."""
        stored = read_npz(path, "mmlfast.CovarianceState", FILE_VERSION)
        try:
            moments = Moments(
                int(stored["n_samples"]), float(stored["weight"]), stored["shift"], stored["sums"],
                stored["products"],
            )  # fmt: skip
            dtype = str(stored["dtype"]) or None
        except KeyError as error:
            raise ValueError(
                f"{path} is a damaged mmlfast.CovarianceState file: it has no {error}. Save it "
                "again."
            ) from error
        state = cls(len(moments.shift), dtype=dtype)
        state._closed = moments
        return state


def checked_weights(weights: ArrayLike, source: Source) -> NDArray[np.float64]:
    """`weights` as float64, one for each row of the source, finite and not negative."""
    w = np.asarray(weights, np.float64)
    n = source.n_rows
    if w.ndim != 1 or (n is not None and len(w) != n):
        raise ValueError(f"weights must have shape ({n},), one for each row; got {w.shape}.")
    if not np.isfinite(w).all() or (w < 0).any():
        bad = int(np.argmin(np.isfinite(w) & (w >= 0)))
        raise ValueError(f"weights must be finite and not negative; weights[{bad}] is {w[bad]}.")
    return w


def covariance(
    X: Any,
    *,
    ddof: float = 1,
    weights: ArrayLike | None = None,
    layout: Literal["rows", "columns"] = "rows",
    n_jobs: int | None = None,
) -> NDArray[np.float64]:
    """C = Σ w (x − μ)(x − μ)ᵀ / (Σ w − ddof), the covariance matrix.

    Parameters
    ----------
    X : array-like, or anything a source can be
        An array, path, frame or iterator of batches; read once, never copied as a whole.
    ddof : float, default=1
        1 as in ``numpy.cov``; 0 divides by n.
    weights : array-like of shape (n_samples,), default=None
        How often each observation counts.
    layout : {"rows", "columns"}, default="rows"
        Whether the observations are the rows of X, as in scikit-learn, or its columns, as in
        ``numpy.cov``.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits do not depend on it.

    Returns
    -------
    ndarray of shape (n_features, n_features), float64
        Symmetric to the last bit.

    Raises
    ------
    ValueError
        NaN or infinity, too few observations, weights that do not fit.

    See Also
    --------
    numpy.cov : The same for arrays in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import covariance
    >>> covariance(np.array([[1.0, 2.0], [3.0, 5.0], [5.0, 2.0]]))
    array([[4., 0.],
           [0., 3.]])
    """
    if layout not in ("rows", "columns"):
        raise ValueError(f'layout must be "rows" or "columns"; got {layout!r}.')
    if layout == "columns":
        X = np.asarray(X).T
    with borrowed_source(X) as source:
        state = CovarianceState(source.n_features, n_jobs=n_jobs)
        return state.update(source, weights).covariance(ddof)
