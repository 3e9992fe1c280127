"""What a bug report needs: versions, CPU, threads and their limits, memory, compiled-code cache."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mmlfast.runtime.memory import available_bytes, peak_bytes

__all__ = ["examine"]

_REQUIRED = ("numpy", "numba", "llvmlite", "scipy", "scikit-learn", "joblib", "threadpoolctl")
_OPTIONAL = ("narwhals", "tqdm", "typer", "pyarrow", "pandas", "polars", "matplotlib")
_ENVIRONMENT = (
    "MMLFAST_NUM_THREADS",
    "MMLFAST_CACHE_DIR",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
    "NUMBA_DISABLE_JIT",
    "NUMBA_CACHE_DIR",
)


def examine() -> dict[str, Any]:
    """What mmlfast runs on and how it is set up, as a dictionary fit for JSON.

    A part that cannot be found out holds ``{"error": reason}``, so that a broken installation can
    be examined as well.

    Returns
    -------
    report : dict
        With the keys ``versions`` (of packages; None for one that is not installed), ``system``,
        ``cpu`` (compile target, features, vector lanes), ``threads`` (used and allowed),
        ``blas`` (libraries and their threads), ``memory`` (bytes), ``cache`` (place and
        state of the compiled kernels) and ``environment`` (variables that change any of these).

    Examples
    --------
    >>> from mmlfast.runtime.doctor import examine
    >>> sorted(examine())
    ['blas', 'cache', 'cpu', 'environment', 'memory', 'system', 'threads', 'versions']
    """
    parts: dict[str, Callable[[], Any]] = {
        "versions": _versions,
        "system": _system,
        "cpu": _cpu,
        "threads": _threads,
        "blas": _blas,
        "memory": lambda: {"available_bytes": available_bytes(), "peak_bytes": peak_bytes()},
        "cache": _cache,
        "environment": lambda: {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ},
    }
    return {name: _told(part) for name, part in parts.items()}


def _told(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _versions() -> dict[str, str | None]:
    from mmlfast import __version__

    found: dict[str, str | None] = {"mmlfast": __version__, "python": platform.python_version()}
    return found | {name: _version(name) for name in (*_REQUIRED, *_OPTIONAL)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _system() -> dict[str, str]:
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _cpu() -> dict[str, Any]:
    from mmlfast.kernels import _simd

    return {
        "name": _simd.cpu_name(),
        "features": list(_simd.cpu_features()),
        "lane_bytes": _simd.LANE_BYTES,
        "lanes_float32": _simd.LANE_BYTES // 4,
        "lanes_float64": _simd.LANE_BYTES // 8,
    }


def _threads() -> dict[str, Any]:
    from mmlfast.runtime.threads import available_cpus, n_threads

    return {"used": n_threads(), "cpus_allowed": available_cpus(), "cpus": os.cpu_count()}


def _blas() -> list[dict[str, Any]]:
    import numpy as np
    import threadpoolctl

    # numpy loads its BLAS with the first use of linalg's extension module.
    np.linalg.norm(np.ones(1))
    return [
        {
            "library": pool.get("internal_api"),
            # Some libraries cannot tell it.
            "version": str(pool.get("version") or "unknown"),
            "architecture": pool.get("architecture"),
            "threads": pool.get("num_threads"),
        }
        for pool in threadpoolctl.threadpool_info()
    ]


def _cache() -> dict[str, Any]:
    from mmlfast.kernels._jit import cache_state

    return dict(cache_state())
