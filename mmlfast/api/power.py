"""The power method: v ← A v / ‖A v‖, until v is an eigenvector."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from mmlfast.api.eigenpairs import check_count, check_tolerance, is_finite_number
from mmlfast.api.power_runs import PowerHistory, Solver
from mmlfast.api.square import Square, as_square
from mmlfast.runtime.threads import n_threads

Array = NDArray[Any]
Vector = NDArray[np.float64]


class EigenPair(NamedTuple):
    """The result of :func:`power_iteration` for one pair.

    Attributes
    ----------
    value : float
        The eigenvalue, vᵀA v.
    vector : ndarray of shape (n,)
        The eigenvector, of length 1; its entry of largest magnitude is positive.
    n_iter : int
        Steps taken, each a product of A with a vector.
    residual : float
        ``‖A v - λ v‖`` of this value and this vector.
    converged : bool
        Whether the residual is at most ``tol * |λ|`` or rounding error.
    ratio : float
        By what factor a step reduced the residual at the end: |λ₂/λ₁|, or with a shift
        |λ₂ - shift|/|λ₁ - shift|.  NaN if there were too few steps to tell.
    history : PowerHistory or None
        Value and residual at each step, if asked for.
    """

    value: float
    vector: Array
    n_iter: int
    residual: float
    converged: bool
    ratio: float
    history: PowerHistory | None


class EigenPairs(NamedTuple):
    """The result of :func:`power_iteration` for k > 1: as :class:`EigenPair`, an entry for each.

    ``values`` (k,), ``vectors`` (n, k), ``n_iter`` (k,), ``residuals`` (k,), ``converged`` (k,),
    ``ratios`` (k,), and ``histories``, a tuple of k or None.
    """

    values: Array
    vectors: Array
    n_iter: NDArray[np.intp]
    residuals: Vector
    converged: NDArray[np.bool_]
    ratios: Vector
    histories: tuple[PowerHistory, ...] | None


def power_iteration(
    A: Any,
    *,
    v0: ArrayLike | None = None,
    tol: float = 1e-10,
    max_iter: int = 1000,
    shift: float = 0.0,
    k: int = 1,
    history: bool = False,
    n: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> EigenPair | EigenPairs:
    """A v = λ v for the eigenvalue λ of largest magnitude, by v ← A v / ‖A v‖.

    Parameters
    ----------
    A : array-like, sparse matrix or LinearOperator of shape (n, n), or callable
        Any real square matrix.  Dense arrays are read where they lie, symmetric ones by one
        triangle; sparse matrices may have any format.  A function is called with vectors of length
        n and returns A times the vector; n is that of `v0`, or given.  float32 keeps its dtype,
        float16 is computed in float32, integers in float64.
    v0 : array-like of shape (n,), default=None
        Start.  Used exactly as it is, only scaled to length 1.  A start without any component along
        the dominant eigenvector leads to another eigenpair, or is kept from it by rounding errors
        alone; a short run from elsewhere looks for that and warns.  By default random: then the
        component is there.
    tol : float, default=1e-10
        Stop when ``‖A v - λ v‖ <= tol * |λ|``.  (With a shift: of the larger of |λ|, |λ - shift|.)
        0 means `max_iter` steps, unless the residual is exactly 0, and no warning.
    max_iter : int, default=1000
        Steps for each pair.
    shift : float, default=0.0
        The method runs on A - shift·I and finds the eigenvalue farthest from `shift`: the way out
        where λ and -λ are both dominant, and quicker where it moves |λ₂ - shift| further below
        |λ₁ - shift|.
    k : int, default=1
        Number of pairs, found one after another.
    history : bool, default=False
        Whether to keep value and residual of each step.
    n : int, default=None
        Length of the vectors that a function takes.
    random_state : int, RandomState instance or None, default=None
        For random starts.
    n_jobs : int, default=None
        Threads, see :func:`mmlfast.config_context`.  The bits of the result do not depend on it.

    Returns
    -------
    EigenPair or EigenPairs
        For k = 1 ``value, vector, n_iter, residual, converged, ratio, history``; for k > 1 the same
        with an entry, or a column of ``vectors``, for each pair.

    Raises
    ------
    ValueError
        If A is not square or not finite, or another argument is out of range.
    TypeError
        If A does not hold real numbers.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` was not enough, with the reason where it shows: a complex pair of eigenvalues,
        a pair λ and -λ, or close ones.  The last step is returned.  Also if `v0` led elsewhere than
        to the dominant eigenvalue.

    See Also
    --------
    top_eigenpairs : Many pairs of a symmetric matrix in a fraction of the products.
    numpy.linalg.eig : All eigenpairs, complex ones too.

    Notes
    -----
    The residual shrinks by |λ₂/λ₁| at each step.  It does so more slowly, as 1/step, if λ₁ lacks an
    eigenvector (a defective matrix); if the dominant eigenvalues are a complex pair, or λ and -λ,
    it does not.  Further pairs are found with the earlier ones projected out; for matrices that are
    not symmetric this is Schur deflation (Saad, Numerical Methods for Large Eigenvalue Problems,
    2nd ed., section 4.2), and needs real eigenvalues.

    Examples
    --------
    >>> import numpy as np
    >>> from mmlfast import power_iteration
    >>> A = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> pair = power_iteration(A, v0=[1.0, 0.0], history=True)
    >>> round(pair.value, 6), pair.vector.round(6), round(pair.ratio, 3)
    (3.0, array([0.707107, 0.707107]), 0.333)
    >>> pair.history.values[:3].round(3)
    array([2.   , 2.8  , 2.976])
    >>> power_iteration(A, k=2, random_state=0).values.round(6)
    array([3., 1.])
    """
    if n is None and v0 is not None and callable(A) and not hasattr(A, "shape"):
        n = np.size(v0)
    matrix = as_square(A, n=n, threads=n_threads(n_jobs))
    check_count("k", k, matrix.n)
    check_count("max_iter", max_iter)
    check_tolerance(tol)
    if not is_finite_number(shift):
        raise ValueError(f"shift must be a finite real number; got {shift!r}.")
    start = None if v0 is None else _checked_start(v0, matrix)
    solver = Solver(matrix, tol, max_iter, float(shift), check_random_state(random_state))
    values, vectors, residuals = matrix.lead(lambda: solver.find(k, start))
    for problem in solver.problems:
        warnings.warn(problem, ConvergenceWarning, stacklevel=2)
    runs = solver.runs
    histories = tuple(run.history() for run in runs) if history else None
    if k == 1:
        return EigenPair(
            float(values[0]), vectors[:, 0], len(runs[0].values), float(residuals[0]),
            runs[0].converged, runs[0].ratio(), None if histories is None else histories[0],
        )  # fmt: skip
    return EigenPairs(
        values, vectors, np.array([len(run.values) for run in runs]), residuals,
        np.array([run.converged for run in runs]), np.array([run.ratio() for run in runs]),
        histories,
    )  # fmt: skip


def _checked_start(v0: ArrayLike, matrix: Square) -> Array:
    v = np.asarray(v0)
    if v.shape != (matrix.n,):
        raise ValueError(f"v0 must have shape ({matrix.n},), as A has rows; got {v.shape}.")
    if v.dtype.kind not in "fiub":
        raise TypeError(f"v0 must hold real numbers; got dtype {v.dtype}.")
    v = v.astype(np.float64)
    largest = np.abs(v).max()
    if not 0 < largest < np.inf:
        raise ValueError("v0 must be finite and not zero: it needs a direction.")
    # Scaled before it is measured, since squares overflow.
    v /= largest
    return (v / np.linalg.norm(v)).astype(matrix.dtype)
