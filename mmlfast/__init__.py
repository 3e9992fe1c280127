"""mmlfast: the mathematics of machine learning as a compiled numerical core.

Names are resolved on first use, so that `import mmlfast` costs nothing beyond numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "angle": "mmlfast.api.vectors",
    "BatchedLinearRegression": "mmlfast.api.batched_linear",
    "BatchedLogisticRegression": "mmlfast.api.batched_logistic",
    "change_basis": "mmlfast.api.bases",
    "config_context": "mmlfast.runtime.threads",
    "covariance": "mmlfast.api.covariance",
    "CovarianceState": "mmlfast.api.covariance",
    "derivative": "mmlfast.api.derivatives",
    "determinant": "mmlfast.api.determinant",
    "distance": "mmlfast.api.vectors",
    "echelon": "mmlfast.api.echelon",
    "eigh": "mmlfast.api.symmetric",
    "fit_curve": "mmlfast.api.curve_fit",
    "GDClassifier": "mmlfast.api.gd_classifier",
    "GDRegressor": "mmlfast.api.gd_regressor",
    "gradient": "mmlfast.api.derivatives",
    "gram": "mmlfast.api.gram",
    "gram_schmidt": "mmlfast.api.orthogonal",
    "Graph": "mmlfast.api.graph",
    "hessian": "mmlfast.api.hessian",
    "inner": "mmlfast.api.vectors",
    "inverse": "mmlfast.api.elimination",
    "is_independent": "mmlfast.api.bases",
    "is_singular": "mmlfast.api.determinant",
    "jacobian": "mmlfast.api.derivatives",
    "lagrange_stationary": "mmlfast.api.lagrange",
    "Landscape": "mmlfast.api.landscapes",
    "make_heart_curve": "mmlfast.api.datasets",
    "make_heights": "mmlfast.api.datasets",
    "matmul": "mmlfast.api.linalg",
    "minimize": "mmlfast.api.minimize",
    "MLPClassifier": "mmlfast.api.mlp_classifier",
    "MLPRegressor": "mmlfast.api.mlp_regressor",
    "newton_root": "mmlfast.api.newton",
    "norm": "mmlfast.api.vectors",
    "pagerank": "mmlfast.api.pagerank",
    "PCA": "mmlfast.api.pca",
    "personalized_pagerank": "mmlfast.api.personalized",
    "power_iteration": "mmlfast.api.power",
    "Projection": "mmlfast.api.subspace",
    "rank": "mmlfast.api.determinant",
    "rotate_image": "mmlfast.api.images",
    "scalar_projection": "mmlfast.api.vectors",
    "SingularMatrixError": "mmlfast.api.elimination",
    "solve": "mmlfast.api.elimination",
    "taylor": "mmlfast.api.taylor",
    "top_eigenpairs": "mmlfast.api.top_eigenpairs",
    "Transform": "mmlfast.api.transforms",
    "vector_projection": "mmlfast.api.vectors",
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
