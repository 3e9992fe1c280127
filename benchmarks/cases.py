"""The registry: everything that is timed, with what it is checked against.

    error first, then   ratio = median seconds of the rival / median seconds of mmlfast

The tests run every case at its tiny size, the suites and `python -m benchmarks` at its normal size.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from benchmarks import (
    algebra,
    data,
    elementary,
    graphs,
    images,
    lab_net,
    networks,
    regressions,
    startup,
)
from benchmarks.case import Call, Case, Contestant, Size
from benchmarks.data import Matrix

BATCH = 1000
MB = 10**6


class Fit(NamedTuple):
    """What is kept of a fitted PCA."""

    eigenvalues: np.ndarray
    components: np.ndarray
    n_samples: int
    n_passes: float = np.nan  # rivals do not say


def fitted(pca: Any) -> Fit:
    """Read the fitted attributes, so that what is computed late is computed inside the clock."""
    n_samples = getattr(pca, "n_samples_seen_", None) or pca.n_samples_
    values, components = pca.explained_variance_, pca.components_
    return Fit(values, components, int(n_samples), float(getattr(pca, "n_passes_", np.nan)))


def passes(fit: Fit) -> dict[str, float]:
    """Reads of the data."""
    return {"passes": fit.n_passes}


def eigenvalue_error(fit: Fit, matrix: Matrix) -> float:
    """The largest relative error of an eigenvalue, or of the variance all components capture."""
    X = data.as_array(matrix.X)
    if fit.n_samples != len(X) or fit.components.shape != (matrix.n_components, X.shape[1]):
        return np.inf
    truth = data.reference_eigenvalues(matrix)
    captured = data.captured_variance(X, fit.components)
    errors = np.append(np.abs(fit.eigenvalues - truth) / truth, abs(captured / truth.sum() - 1))
    return float(errors.max()) if np.isfinite(errors).all() else np.inf


def product_error(C: np.ndarray, inputs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    """|C − AB| over sixteen rows, relative to |A||B|, which rounding scales with."""
    A, B, _ = inputs
    rows = np.unique(np.linspace(0, len(A) - 1, 16).astype(int))
    A, B = A[rows].astype(np.float64), B.astype(np.float64)
    error = np.abs(C[rows] - A @ B) / (np.abs(A) @ np.abs(B))
    return float(error.max()) if np.isfinite(C).all() else np.inf


def covariance_error(C: np.ndarray, X: np.ndarray) -> float:
    """The largest |C − cov(X)|, relative to the standard deviations of its row and column."""
    truth = np.cov(X, rowvar=False, dtype=np.float64)
    scale = np.sqrt(np.diag(truth))
    error = np.abs(C - truth) / np.outer(scale, scale)
    return float(error.max()) if np.isfinite(C).all() else np.inf


def ours_matmul() -> Call:
    """`mmlfast.matmul` into a given array."""
    import mmlfast

    return lambda inputs: mmlfast.matmul(inputs[0], inputs[1], out=inputs[2])


def numpy_matmul() -> Call:
    """`numpy.matmul` into a given array."""
    return lambda inputs: np.matmul(inputs[0], inputs[1], out=inputs[2])


def ours_covariance() -> Call:
    """`mmlfast.covariance`."""
    import mmlfast

    return mmlfast.covariance


def numpy_covariance() -> Call:
    """`numpy.cov` of the columns."""
    return lambda X: np.cov(X, rowvar=False)


def ours_pca() -> Call:
    """`mmlfast.PCA(k).fit`, on an array or a path."""
    import mmlfast

    return lambda m: fitted(mmlfast.PCA(m.n_components, random_state=0).fit(m.X))


def sklearn_pca() -> Call:
    """`sklearn.decomposition.PCA(k).fit` with its own choice of solver."""
    from sklearn.decomposition import PCA

    return lambda m: fitted(PCA(m.n_components, random_state=0).fit(m.X))


def sklearnex_pca() -> Call:
    """The same from scikit-learn-intelex."""
    from sklearnex.decomposition import PCA

    return lambda m: fitted(PCA(m.n_components, random_state=0).fit(m.X))


def sklearn_incremental_file() -> Call:
    """`IncrementalPCA(k).fit` on the mapped file, in the batches it chooses: 5 n_features rows."""
    from sklearn.decomposition import IncrementalPCA

    return lambda m: fitted(IncrementalPCA(m.n_components).fit(data.as_array(m.X)))


def in_batches(pca: Any, X: np.ndarray) -> Fit:
    """`partial_fit` on 1000 rows after 1000 rows."""
    for start in range(0, len(X), BATCH):
        pca.partial_fit(X[start : start + BATCH])
    return fitted(pca)


def ours_partial_fit() -> Call:
    """`mmlfast.PCA(k).partial_fit` in batches of 1000 rows."""
    import mmlfast

    return lambda m: in_batches(mmlfast.PCA(m.n_components), m.X)


def sklearn_partial_fit() -> Call:
    """`IncrementalPCA(k).partial_fit` in batches of 1000 rows."""
    from sklearn.decomposition import IncrementalPCA

    return lambda m: in_batches(IncrementalPCA(m.n_components), m.X)


def pair(size: Size, n: int, dtype: str) -> tuple[np.ndarray, ...]:
    """Factors of a product; 13 has an edge in every tile."""
    return data.square_pair(13 if size == "tiny" else n, dtype)


def planted(
    size: Size, n: int, d: int, k: int, dtype: str, tiny: tuple[int, int] = (1500, 24)
) -> Matrix:
    """A planted matrix in memory; at tiny size of the shape `tiny` and with 3 components."""
    return (
        Matrix(data.planted(*tiny, dtype), 3)
        if size == "tiny"
        else Matrix(data.planted(n, d, dtype), k)
    )


def planted_file(size: Size, n: int, d: int, k: int, full: int | None = None) -> Matrix:
    """A planted matrix in a file; `full` rows when the full size is asked for."""
    if size == "tiny":
        return Matrix(data.planted_file(1500, 24), 3)
    return Matrix(data.planted_file(full if full and size == "full" else n, d), k)


def planted_offset(size: Size, n: int, d: int, k: int) -> Matrix:
    """A planted matrix of mean 1e4, to be compared with the same matrix of mean 0."""
    X, base = data.offset(1500, 24, 1e4) if size == "tiny" else data.offset(n, d, 1e4)
    return Matrix(X, 3 if size == "tiny" else k, base)


def array(size: Size, n: int, d: int, dtype: str) -> np.ndarray:
    """The planted matrix alone."""
    return data.planted(*((1500, 24) if size == "tiny" else (n, d)), dtype)


def matmul_case(n: int, dtype: str, threads: int) -> Case:
    """C = AB of two n × n matrices."""
    itemsize = np.dtype(dtype).itemsize
    return Case(
        name=f"matmul_{n}_{'f' + str(8 * itemsize)}_{threads}t",
        group="matmul",
        inputs=partial(pair, n=n, dtype=dtype),
        ours=ours_matmul,
        rivals={"numpy": numpy_matmul},
        check=product_error,
        tolerance=32 * float(np.finfo(dtype).eps),
        flops=2.0 * n**3,
        bytes=3.0 * itemsize * n**2,
        bar={"numpy": 0.95},
        quick=n == 1024,
        threads=threads,
    )


def covariance_case(n: int, d: int, dtype: str) -> Case:
    """The covariance matrix of n rows."""
    itemsize = np.dtype(dtype).itemsize
    return Case(
        name=f"covariance_{n}x{d}_f{8 * itemsize}",
        group="covariance",
        inputs=partial(array, n=n, d=d, dtype=dtype),
        ours=ours_covariance,
        rivals={"numpy": numpy_covariance},
        check=covariance_error,
        tolerance=1e-5 if dtype == "float32" else 1e-12,
        flops=float(n) * d**2,
        bytes=float(n) * d * itemsize,
        bar={"numpy": 1.0},
        quick=dtype == "float32",
    )


def pca_case(n: int, d: int, k: int, dtype: str, bar: dict[str, float], **options: Any) -> Case:
    """k principal components of an n × d matrix in memory."""
    both: dict[str, Contestant] = {"sklearn": sklearn_pca, "sklearnex": sklearnex_pca}
    short = {"float32": "f32", "uint8": "u8"}[dtype]
    given: dict[str, Any] = {
        "name": f"pca_{n}x{d}_{short}",
        "inputs": partial(planted, n=n, d=d, k=k, dtype=dtype),
        "ours": ours_pca,
        "rivals": {name: both[name] for name in bar},
        "tolerance": 1e-5,
    }
    return pca_like(n, d, bar=bar, itemsize=np.dtype(dtype).itemsize, **given | options)


def pca_like(n: int, d: int, itemsize: int = 4, **options: Any) -> Case:
    """A case whose result is a `Fit`."""
    work = {"flops": float(n) * d * min(n, d), "bytes": float(n) * d * itemsize}
    return Case(group="pca", check=eigenvalue_error, counts=passes, **work | options)


# sklearn iterates on these shapes: what counts is to err no more than it does on the same data.
def iterative(n: int, d: int, tiny: tuple[int, int]) -> dict[str, Any]:
    """Options of a case where sklearn iterates."""
    return {
        "inputs": partial(planted, n=n, d=d, k=50, dtype="float32", tiny=tiny),
        "tolerance": 2e-3,
        "no_worse_than": "sklearn",
    }


CASES: dict[str, Case] = {
    case.name: case
    for case in [
        *(
            matmul_case(n, t, c)
            for n, t, c in product((512, 1024, 2048), ("float64", "float32"), (1, 2))
        ),
        covariance_case(500_000, 64, "float32"),
        covariance_case(200_000, 256, "float32"),
        covariance_case(200_000, 100, "float64"),
        pca_case(500_000, 64, 16, "float32", {"sklearn": 3.0, "sklearnex": 3.0}, quick=True),
        pca_case(60_000, 784, 50, "float32", {"sklearn": 1.5, "sklearnex": 1.5}),
        pca_case(60_000, 784, 50, "uint8", {"sklearn": 3.0}, memory_limit=64 * MB),
        pca_case(
            40_000, 2000, 50, "float32", {"sklearn": 4.0}, **iterative(40_000, 2000, (1500, 40))
        ),
        pca_case(
            5_000, 10_000, 50, "float32", {"sklearn": 3.0}, **iterative(5_000, 10_000, (60, 200))
        ),
        pca_like(
            60_000,
            784,
            name="fit_path_60000x784_npy",
            inputs=partial(planted_file, n=60_000, d=784, k=50),
            ours=ours_pca,
            rivals={"IncrementalPCA": sklearn_incremental_file},
            tolerance=1e-5,
            bar={"IncrementalPCA": 20.0},
        ),
        pca_like(
            60_000,
            784,
            name="partial_fit_60000x784_f32",
            inputs=partial(planted, n=60_000, d=784, k=50, dtype="float32"),
            ours=ours_partial_fit,
            rivals={"IncrementalPCA": sklearn_partial_fit},
            tolerance=1e-5,
            bar={"IncrementalPCA": 20.0},
        ),
        pca_like(
            200_000,
            64,
            name="offset_1e4_200000x64_f32",
            inputs=partial(planted_offset, n=200_000, d=64, k=16),
            ours=ours_pca,
            rivals={"sklearn": sklearn_pca},
            tolerance=1e-5,
            quick=True,
        ),
        pca_like(
            3_906_250,
            64,
            name="fit_path_large_npy",
            inputs=partial(planted_file, n=3_906_250, full=31_250_000, d=64, k=16),
            ours=ours_pca,
            rivals={},
            tolerance=1e-5,
            memory_limit=300e6,
        ),
        *algebra.CASES,
        *elementary.CASES,
        *images.CASES,
        *graphs.CASES,
        *networks.CASES,
        *lab_net.CASES,
        *regressions.CASES,
        *startup.CASES,
    ]
}


def get(name: str) -> Case:
    """The case of that name; KeyError names the ones there are."""
    if name not in CASES:
        raise KeyError(f"no case is called {name!r}; there are {', '.join(CASES)}")
    return CASES[name]


def select(
    patterns: Iterable[str] = (), *, quick: bool = False, group: str | None = None
) -> list[Case]:
    """Cases whose name contains one of `patterns`, of `group`, quick ones alone if asked for."""
    patterns = list(patterns)

    def matches(name: str) -> bool:
        return any(p == name if p in CASES else p in name for p in patterns)

    unknown = [p for p in patterns if not any(p in name for name in CASES)]
    if unknown:
        raise KeyError(f"no case is called or contains {unknown}; there are {', '.join(CASES)}")
    return [
        case
        for name, case in CASES.items()
        if (not patterns or matches(name))
        and (case.quick or not quick)
        and group in (None, case.group)
    ]
