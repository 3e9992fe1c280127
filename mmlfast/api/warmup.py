"""Compile every kernel ahead of the first call."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlfast.kernels._jit import cache_state, remove_unused_caches
from mmlfast.runtime.progress import Progress, ProgressArgument

DTYPES = ("float32", "float64", "uint8", "float16", "int8", "int16", "int32")


def warm_up(
    dtypes: tuple[str, ...] = DTYPES, *, progress: ProgressArgument = None
) -> dict[str, Any]:
    """Compile what PCA, covariance and matmul need, and fill the cache with it.

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
    from mmlfast import PCA, matmul

    generator = np.random.default_rng(0)
    with Progress(progress, len(dtypes), "compiling", unit="dtypes") as shown:
        for dtype in dtypes:
            X = (10 * generator.standard_normal((600, 20))).astype(dtype)
            for solver in ("covariance_eigh", "krylov"):
                PCA(2, svd_solver=solver, random_state=0).fit(X).transform(X)
            if dtype in ("float32", "float64"):
                matmul(X.T, X)
            shown.advance(1)
    remove_unused_caches()
    return {**cache_state(), "dtypes": list(dtypes)}
