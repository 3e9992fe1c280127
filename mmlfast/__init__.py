"""mmlfast: the mathematics of machine learning as a compiled numerical core.

Names are resolved on first use, so that `import mmlfast` costs nothing beyond numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "CovarianceState": "mmlfast.api.covariance",
    "PCA": "mmlfast.api.pca",
    "config_context": "mmlfast.runtime.threads",
    "covariance": "mmlfast.api.covariance",
    "gram": "mmlfast.api.gram",
    "matmul": "mmlfast.api.linalg",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mmlfast' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
