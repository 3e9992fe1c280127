"""The same components from scikit-learn, and how far apart the two answers are."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mmlfast.runtime.memory import available_bytes, format_bytes

if TYPE_CHECKING:
    from mmlfast.runtime.sources import Source

__all__ = ["Comparison", "compare_with_sklearn"]


class Comparison(NamedTuple):
    """How scikit-learn did on the same data.

    Attributes
    ----------
    version : str
        Of scikit-learn.
    solver : str
        The route that its PCA chose.
    n_components : int
        How many components it kept.
    n_compared : int
        How many of the components both have, leaving out those below the numerical rank, which
        are rounding error in either.
    reading_seconds : float
        To bring the whole matrix into memory.
    seconds : float
        To fit, without the reading.
    variance_difference : float
        Largest ``|ours - theirs| / theirs`` over the explained variances compared.
    component_difference : float
        Largest ``|ours - theirs|`` over the entries of the components compared, each with the
        sign that brings the two together.
    largest_angle : float
        Largest principal angle between the spans of the components compared, in radians.
    """

    version: str
    solver: str
    n_components: int
    n_compared: int
    reading_seconds: float
    seconds: float
    variance_difference: float
    component_difference: float
    largest_angle: float


def compare_with_sklearn(pca: Any, source: Source) -> Comparison:
    """Fit scikit-learn's PCA on `source` and measure the difference from `pca`.

    The matrix is brought into memory whole, as scikit-learn needs it, in the dtype that it
    computes in.  With ``pca.standardize`` a StandardScaler goes before it.

    Parameters
    ----------
    pca : PCA
        Fitted on `source`.
    source : Source
        Read once more.

    Returns
    -------
    comparison : Comparison

    Raises
    ------
    MemoryError
        The matrix and the copy that scikit-learn makes of it exceed the memory available.

    Examples
    --------
    >>> import mmlfast
    >>> from mmlfast.api.comparison import compare_with_sklearn
    >>> from mmlfast.runtime.sources import open_source
    >>> with open_source("sample:digits") as source:
    ...     pca = mmlfast.PCA(5).fit(source)
    ...     compare_with_sklearn(pca, source).variance_difference < 1e-9
    True
    """
    import sklearn
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    dtype = np.dtype(np.float32 if source.dtype == np.float32 else np.float64)
    _require_memory(pca.n_samples_, source, dtype)

    start = perf_counter()
    X = _whole(source, pca.n_samples_, dtype)
    reading_seconds = perf_counter() - start

    theirs = PCA(n_components=pca.n_components, whiten=pca.whiten, random_state=0)
    start = perf_counter()
    if pca.standardize:
        X = StandardScaler(copy=False).fit_transform(X)
    theirs.fit(X)
    seconds = perf_counter() - start

    k = min(pca.n_components_, pca.rank_, int(theirs.n_components_))
    return Comparison(
        version=sklearn.__version__,
        solver=theirs._fit_svd_solver,
        n_components=int(theirs.n_components_),
        n_compared=k,
        reading_seconds=reading_seconds,
        seconds=seconds,
        variance_difference=_relative_difference(
            pca.explained_variance_[:k], theirs.explained_variance_[:k]
        ),
        component_difference=_component_difference(pca.components_[:k], theirs.components_[:k]),
        largest_angle=_largest_angle(pca.components_[:k], theirs.components_[:k]),
    )


def _require_memory(n_rows: int, source: Source, dtype: np.dtype) -> None:
    matrix = n_rows * source.n_features * dtype.itemsize
    available = available_bytes()
    if available is not None and 2 * matrix > available:
        raise MemoryError(
            f"scikit-learn needs the whole of {source.name} and a copy in memory, "
            f"2 × {format_bytes(matrix)} as {dtype}, but {format_bytes(available)} are available; "
            "leave out the comparison or compare on fewer rows."
        )


def _whole(source: Source, n_rows: int, dtype: np.dtype) -> np.ndarray:
    X = np.empty((n_rows, source.n_features), dtype)
    first = 0
    for block in source.batches():
        X[first : first + len(block)] = block
        first += len(block)
    return X


def _relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    # Below the rounding error of the largest variance both are noise.
    floor = float(theirs.max(initial=0.0)) * float(np.finfo(theirs.dtype).eps)
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    scale = np.maximum(np.abs(theirs), max(floor, np.finfo(np.float64).tiny))
    return float(np.max(np.abs(ours - theirs) / scale, initial=0.0))


def _component_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    signs = np.where(np.einsum("ij,ij->i", ours, theirs) < 0, -1.0, 1.0)
    return float(np.max(np.abs(ours - signs[:, None] * theirs), initial=0.0))


def _largest_angle(ours: np.ndarray, theirs: np.ndarray) -> float:
    from scipy.linalg import subspace_angles

    if not ours.size:
        return 0.0
    angles = subspace_angles(ours.T.astype(np.float64), theirs.T.astype(np.float64))
    return float(np.max(angles))
