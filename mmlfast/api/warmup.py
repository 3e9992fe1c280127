"""Compile every kernel ahead of the first call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.api.batched_linear import BatchedLinearRegression
from mmlfast.api.batched_logistic import BatchedLogisticRegression
from mmlfast.api.determinant import determinant
from mmlfast.api.elimination import inverse, solve
from mmlfast.api.graph import Graph
from mmlfast.api.images import rotate_image
from mmlfast.api.linalg import matmul
from mmlfast.api.minimize import minimize
from mmlfast.api.mlp_classifier import MLPClassifier
from mmlfast.api.orthogonal import gram_schmidt
from mmlfast.api.pagerank import pagerank
from mmlfast.api.pca import PCA
from mmlfast.api.personalized import personalized_pagerank
from mmlfast.api.power import power_iteration
from mmlfast.api.symmetric import eigh
from mmlfast.api.top_eigenpairs import top_eigenpairs
from mmlfast.kernels._jit import cache_state, remove_unused_caches
from mmlfast.runtime.progress import Progress, ProgressArgument

DTYPES = ("float32", "float64", "uint8", "float16", "int8", "int16", "int32", "uint16")


def warm_up(
    dtypes: tuple[str, ...] = DTYPES, *, progress: ProgressArgument = None
) -> dict[str, Any]:
    """Compile every kernel for the given dtypes, and fill the cache with them.

    Caches of other builds that have not been used for 30 days are removed.

    Parameters
    ----------
    dtypes : tuple of str
        Of the data to come.
    progress : bool or callable, default=None
        True shows a bar.

    Returns
    -------
    dict
        The cache's state: path, writable, files, bytes, key; and the dtypes compiled for.

    Examples
    --------
    >>> from mmlfast.api.warmup import warm_up
    >>> warm_up(("float64",))["dtypes"]
    ['float64']
    """
    generator = np.random.default_rng(0)
    numbers = np.abs(10 * generator.standard_normal((600, 20)))
    with Progress(progress, len(dtypes) + 1, "compiling", unit="dtypes") as shown:
        for dtype in dtypes:
            X = numbers.astype(dtype)
            for solver in ("covariance_eigh", "krylov"):
                PCA(2, svd_solver=solver, random_state=0).fit(X).transform(X)
            if dtype in ("float32", "float64"):
                _algebra(X)
                _networks(X)
            if dtype in ("float32", "float64", "uint8", "uint16"):
                for order in (0, 1, 3):
                    rotate_image(numbers[:8, :8].astype(dtype), 30, order=order)
            shown.advance(1)
        _graphs()
        _regressions(numbers)
        shown.advance(1)
    remove_unused_caches()
    return {**cache_state(), "dtypes": list(dtypes)}


def _algebra(X: NDArray[Any]) -> None:
    matmul(X.T, X)
    stack = X[:540].reshape(30, 18, 20)[:, :8, :8] + 50 * np.eye(8, dtype=X.dtype)
    symmetric = matmul(stack, stack.swapaxes(1, 2))
    solve(stack, stack)
    inverse(stack)
    determinant(stack)
    eigh(symmetric)
    for method in ("twice", "classical", "modified"):
        gram_schmidt(X, method=method)
    for rule in ("gd", "newton"):
        minimize(lambda x: x @ x, X[0, :2], method=rule, max_iter=1, tol=0)  # type: ignore[arg-type]
    power_iteration(symmetric[0], random_state=0, tol=1e-3)
    power_iteration(X[:20], random_state=0, tol=1.0)
    top_eigenpairs(matmul(X.T, X), 1, random_state=0)


def _networks(X: NDArray[Any]) -> None:
    model = MLPClassifier((4,), batch_size=60)
    y = np.arange(len(X)) % 3
    for _ in range(2):
        model.partial_fit(X, y, classes=[0, 1, 2])
    model.gradients(X, y)
    model.forward(X, return_all=True)
    model._network.loss(X, np.eye(3, dtype=X.dtype)[y])


def _graphs() -> None:
    source, target = np.arange(40) % 11, np.arange(40) % 7
    directed = Graph.from_edges(source, target)
    weighted = Graph.from_edges(source, target, 1.0 + source, directed=False)
    for graph in (directed, weighted):
        for method in ("auto", "gauss_seidel"):
            pagerank(graph, method=method)
        personalized_pagerank(graph, [0, 1])


def _regressions(X: NDArray[Any]) -> None:
    tables = X[:576, :4].reshape(12, 48, 4)
    BatchedLinearRegression().fit(tables, tables.sum(2))
    BatchedLogisticRegression(1.0).fit(tables, tables[..., 0] > 7)
