"""The four routes from rows to eigenvalues and eigenvectors of their covariance.

    covariance_eigh   C = Σ(x − μ)(x − μ)ᵀ/(n − 1), then a symmetric eigenproblem
    krylov            C applied to blocks of vectors, never formed
    dual              the n × n matrix of inner products (x_i − μ)·(x_j − μ), for n < d
    full              singular values of X − μ by a QR factorisation block by block

Only the last keeps singular values below √eps of the largest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mmlfast.api.callbacks import Reads
from mmlfast.api.eigen import leading_eigenpairs
from mmlfast.api.krylov import leading_pairs
from mmlfast.api.linalg import matmul
from mmlfast.api.moments import Moments
from mmlfast.api.operator import CovarianceOperator
from mmlfast.api.stream import MomentStream
from mmlfast.runtime.blocks import in_multiples
from mmlfast.runtime.plan import krylov_block
from mmlfast.runtime.sources import Source
from mmlfast.runtime.threads import blas_for
from mmlfast.runtime.validate import refuse_bad_numbers, work_dtype

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Options:
    """What a route has to know besides the data."""

    n_components: int | None  # None: all min(n, d)
    standardize: bool
    threads: int
    block: int | None  # vectors of a Krylov block; None: chosen
    tol: float  # of its residuals, relative to the eigenvalue
    min_applications: int
    max_applications: int
    random_state: np.random.RandomState


@dataclass(frozen=True)
class Spectrum:
    """Variances along orthonormal directions, falling; all of them or the leading ones.

    values (m,) and vectors (d, m) of the covariance, divisor n − 1, of the rows (x − mean)/scale;
    `total` is its trace.  Values below noise·values[0] are rounding error.  `residual` is None
    where the route is exact.
    """

    n_samples: int
    mean: Array
    scale: Array | None
    values: Array
    vectors: Array
    total: float
    n_passes: int
    noise: float
    residual: float | None = None
    converged: bool = True


def batches_of(source: Source) -> Iterator[NDArray[Any]]:
    """The whole array at once where there is one, else the batches."""
    return iter([source.array]) if source.array is not None else source.batches()


def noise_of_products(work: np.dtype[Any], n_features: int) -> float:
    """Rounding error of eigenvalues from sums of products, as a share of the largest.

    Measured on data of low rank: at most 3 eps, in float32 and float64, for 20 to 784 columns.
    """
    return float(np.finfo(work).eps) * max(16.0, float(np.sqrt(n_features)))


def require_samples(n: int, d: int) -> None:
    """ValueError for fewer than two rows, which is known only after reading some sources."""
    if n < 2:
        raise ValueError(
            f"Found array with {n} sample(s) (shape=({n}, {d})) while a minimum of 2 is required "
            "by PCA: one row has no variance."
        )


def deviation(variances: Array) -> Array:
    """√variance, with 1 for constant columns: they are left as they are, as in StandardScaler."""
    return np.where(variances > 0, np.sqrt(variances), 1.0)


def covariance_route(source: Source, options: Options, reads: Reads) -> Spectrum:
    """One read: moments, then LAPACK on the d × d covariance."""
    stream = MomentStream(source.n_features, work_dtype(source.dtype))
    reads.begin()
    for batch in batches_of(source):
        stream.add(batch, threads=options.threads, advance=reads.advance)
    reads.end()
    require_samples(stream.n_rows, source.n_features)
    return spectrum_of_moments(
        stream.moments(), options.n_components, options.standardize, stream.dtype, overwrite=True
    )


def spectrum_of_moments(
    moments: Moments,
    n_components: int | None,
    standardize: bool,
    work: np.dtype[Any],
    *,
    overwrite: bool = False,
) -> Spectrum:
    """Eigenpairs of the covariance that moments hold, which were summed in `work` precision.

    With `overwrite` the moments are of no use afterwards.
    """
    mean = moments.mean()
    C = moments.covariance(ddof=1, overwrite=overwrite)
    scale = None
    if standardize:
        n = moments.weight
        scale = deviation(np.diagonal(C) * ((n - 1) / n))
        C /= scale[:, None] * scale
    total = float(np.trace(C))
    d = len(C)
    k = min(n_components or d, d)
    values, vectors = leading_eigenpairs(C, k, work)
    values = np.maximum(values, 0.0)
    return Spectrum(
        moments.n_rows, mean, scale, values, vectors, total, n_passes=1,
        noise=noise_of_products(work, d),
    )  # fmt: skip


def krylov_route(source: Source, options: Options, reads: Reads) -> Spectrum:
    """A few reads: block Krylov on the covariance operator."""
    k = options.n_components or min(source.n_rows or source.n_features, source.n_features)
    operator = CovarianceOperator(
        source, work_dtype(source.dtype), threads=options.threads, advance=reads.advance
    )

    def apply(Q: Array) -> Array:
        reads.begin()
        CQ = operator.apply(Q)
        reads.end()
        return CQ

    if options.standardize:
        apply(np.zeros((source.n_features, 1)))
        assert operator.variances is not None
        operator.scale = deviation(operator.variances)
    pairs = leading_pairs(
        apply, source.n_features, k,
        block=options.block or krylov_block(k, source.n_features), tol=options.tol,
        min_applications=options.min_applications, max_applications=options.max_applications,
        random_state=options.random_state, stopped=lambda: reads.stopped,
    )  # fmt: skip
    n = operator.n_rows
    require_samples(n, source.n_features)
    assert operator.mean is not None
    assert operator.variances is not None
    rescale = n / (n - 1)
    total = float((operator.variances / operator.scale**2).sum()) * rescale
    return Spectrum(
        n, operator.mean, operator.scale if options.standardize else None, pairs.values * rescale,
        pairs.vectors, total, operator.n_passes,
        noise_of_products(work_dtype(source.dtype), source.n_features), pairs.residual,
        pairs.converged,
    )  # fmt: skip


FEATURES_AT_A_TIME = 2048


def dual_route(source: Source, options: Options, reads: Reads) -> Spectrum:
    """K = (X − μ)(X − μ)ᵀ, its eigenvectors U, and the components (X − μ)ᵀ U σ⁻¹."""
    X = source.array if source.array is not None else np.concatenate(list(source.batches()))
    n, d = X.shape
    require_samples(n, d)
    refuse_bad_numbers(X, 0)
    dtype = work_dtype(X.dtype)
    mean, scale = np.empty(d), np.ones(d)
    stream = MomentStream(n, dtype, np.zeros(n, dtype))
    spans = [slice(lo, lo + FEATURES_AT_A_TIME) for lo in range(0, d, FEATURES_AT_A_TIME)]
    total = 0.0
    reads.begin()
    for span in spans:
        # C order whatever X has, for the same bits; about the first row, so that constant columns
        # are zero and not the rounding error of their mean.
        block = X[:, span].astype(np.float64, order="C")
        mean[span] = block[0]
        block -= mean[span]
        centre = block.mean(axis=0)
        block -= centre
        mean[span] += centre
        if options.standardize:
            scale[span] = deviation(np.einsum("ij,ij->j", block, block) / n)
            block /= scale[span]
        total += float(np.einsum("ij,ij->", block, block))
        stream.add(np.ascontiguousarray(block.T, dtype=dtype), threads=options.threads)
        reads.advance(n * min(span.stop, d) // d - n * span.start // d)
    reads.end()
    k = min(options.n_components or n, n, d)
    leading = [n - k, n - 1] if k <= n // 5 else None
    with blas_for(n):
        values, U = scipy.linalg.eigh(stream.moments().G, subset_by_index=leading, overwrite_a=True)
    values, U = np.maximum(values[::-1][:k], 0.0), U[:, ::-1][:, :k]
    # Below the rank a direction (X − μ)ᵀ u is noise; any direction orthogonal to the others does.
    rank = int(np.count_nonzero(values > float(np.finfo(dtype).eps) * n * max(values[0], EPS**2)))
    vectors = np.empty((d, k))
    weights = U[:, :rank] / np.sqrt(values[:rank])
    reads.begin()
    for span in spans:
        block = (X[:, span].astype(np.float64, order="C") - mean[span]) / scale[span]
        vectors[span, :rank] = matmul(block.T, weights, n_jobs=options.threads)
        reads.advance(n * min(span.stop, d) // d - n * span.start // d)
    reads.end()
    complete_basis(vectors, rank, options.random_state)
    return Spectrum(
        n, mean, scale if options.standardize else None, values / (n - 1), vectors,
        total / (n - 1), n_passes=2, noise=noise_of_products(dtype, n),
    )  # fmt: skip


def complete_basis(V: Array, rank: int, random_state: np.random.RandomState) -> None:
    """Overwrite the columns of V from `rank` on so that they are orthonormal to all others."""
    missing = V.shape[1] - rank
    if missing == 0:
        return
    W = random_state.standard_normal((V.shape[0], missing))
    for _ in range(2):
        W -= V[:, :rank] @ (V[:, :rank].T @ W)
        W = scipy.linalg.qr(W, mode="economic")[0]
    V[:, rank:] = W


def full_route(source: Source, options: Options, reads: Reads) -> Spectrum:
    """Singular values of X − μ by QR over blocks of rows.

    The corner of the R of [1, X − s] is the R of the centred rows, because the first Householder
    vector takes the mean out of all other columns (the communication-avoiding TSQR of Demmel,
    Grigori, Hoemmen and Langou, SIAM J. Sci. Comput. 34(1), 2012, with one column more).
    """
    with blas_for(source.n_features):
        return _full_route(source, options, reads)


def _full_route(source: Source, options: Options, reads: Reads) -> Spectrum:
    d = source.n_features
    R = np.empty((0, d + 1))
    shift: Array | None = None
    n = 0
    rows = max(4 * d, 1024)
    reads.begin()
    for batch in in_multiples(source.batches(), rows):
        for lo in range(0, len(batch), rows):
            block = batch[lo : lo + rows].astype(np.float64)
            refuse_bad_numbers(block, n)
            shift = block[0].copy() if shift is None else shift
            ones = np.ones((len(block), 1))
            stacked = np.concatenate([R, np.hstack([ones, block - shift])])
            R = scipy.linalg.qr(stacked, mode="r", overwrite_a=True, check_finite=False)[0]
            R = R[: d + 1]
            n += len(block)
            reads.advance(len(block))
    reads.end()
    require_samples(n, d)
    assert shift is not None
    mean = shift + R[0, 1:] / R[0, 0]
    centred = R[1:, 1:]
    scale = None
    if options.standardize:
        scale = deviation(np.einsum("ij,ij->j", centred, centred) / n)
        centred = centred / scale
    m = min(n, d)
    if len(centred) < m:
        centred = np.concatenate([centred, np.zeros((m - len(centred), d))])
    _, singular, Vt = scipy.linalg.svd(centred, full_matrices=False, check_finite=False)
    values = singular**2 / (n - 1)
    k = min(options.n_components or m, m)
    # Singular values are right to eps of the largest, so their squares to its square.
    given = np.float32 if source.dtype in (np.float32, np.float16) else np.float64
    noise = (float(np.finfo(given).eps) * max(16.0, float(np.sqrt(max(n, d))))) ** 2
    return Spectrum(
        n, mean, scale, values[:k], Vt[:k].T, float(values.sum()), n_passes=1, noise=noise
    )


def most_reads(route: str, options: Options) -> int:
    """How often a route reads its source at the most."""
    if route == "krylov":
        return options.max_applications + options.standardize
    return {"covariance_eigh": 1, "dual": 2, "full": 1}[route]


ROUTES: dict[str, Callable[[Source, Options, Reads], Spectrum]] = {
    "covariance_eigh": covariance_route,
    "krylov": krylov_route,
    "dual": dual_route,
    "full": full_route,
}
