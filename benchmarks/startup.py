"""Start-up in a fresh process: the import, the first call with a filled and an empty cache."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.case import Call, Case, Contestant

ROOT = Path(__file__).resolve().parent.parent
IMPORT_NUMPY = "import numpy"
IMPORT = "import mmlfast"
IMPORTS = """
import numba, scipy.linalg, sklearn.decomposition, mmlfast
mmlfast.PCA, mmlfast.matmul
"""
MATMUL = """
import numba, scipy.linalg, sklearn.decomposition, mmlfast
import numpy as np
A = np.ones((64, 64), dtype=np.float32)
assert (mmlfast.matmul(A, A) == 64).all()
"""
FIT = """
import numba, scipy.linalg, sklearn.decomposition, mmlfast
import numpy as np
X = np.random.default_rng(0).standard_normal((2000, 64), dtype=np.float32)
assert np.isfinite(mmlfast.PCA(2).fit(X).explained_variance_).all()
"""


def search_path() -> str:
    """PYTHONPATH with which a new process imports the mmlfast that this one would.

    That is not always the checkout's: asv measures the one it installed.  Installed packages are
    on the path anyway, and named here again they would be searched before the standard library.
    """
    spec = importlib.util.find_spec("mmlfast")
    if spec is None or spec.origin is None:
        raise ImportError("mmlfast is neither installed nor on the path")
    home = Path(spec.origin).resolve().parent.parent
    others = [
        entry
        for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if entry and Path(entry).resolve() not in {home, ROOT}
    ]
    installed = home == Path(sysconfig.get_path("purelib")).resolve()
    return os.pathsep.join(others if installed else [str(home), *others])


def python(code: str, cache: Path) -> None:
    """Run `code` in a new interpreter whose kernel cache is the folder `cache`."""
    env = os.environ | {"MMLFAST_CACHE_DIR": str(cache), "PYTHONPATH": search_path()}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=env, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(
            f"a new process exited with {done.returncode}: {done.stderr.strip()[-500:]}"
        )


def with_filled_cache(code: str) -> Contestant:
    """Run `code`; the cache is filled by the first run, which is never timed."""

    def make() -> Call:
        return lambda cache: python(code, cache)

    return make


def with_empty_cache(code: str) -> Contestant:
    """Run `code` on a cache folder that is new each time."""

    def make() -> Call:
        def call(_: Path) -> None:
            with tempfile.TemporaryDirectory(
                dir=data.folder(), ignore_cleanup_errors=True
            ) as cache:
                python(code, Path(cache))

        return call

    return make


def cache_folder(size: str) -> Path:
    """The cache that stays filled between runs."""
    path = data.folder() / "cache"
    path.mkdir(exist_ok=True)
    return path


def ran(result: None, cache: Path) -> float:
    """Zero: a process that fails has raised."""
    return 0.0


def case(
    name: str, ours: Contestant, rival: str, theirs: Contestant, seconds: float, quick: bool = True
) -> Case:
    """A case that may take `seconds` more than `rival`."""
    return Case(
        name=name,
        group="startup",
        inputs=cache_folder,
        ours=ours,
        rivals={rival: theirs},
        check=ran,
        tolerance=0.0,
        excess={rival: seconds},
        quick=quick,
    )


filled = with_filled_cache
CASES = [
    case("import", filled(IMPORT), "import numpy", filled(IMPORT_NUMPY), 0.05),
    case("first_matmul_cached", filled(MATMUL), "imports", filled(IMPORTS), 0.3),
    case("first_fit_cached", filled(FIT), "imports", filled(IMPORTS), 0.3),
    case(
        "first_fit_compiled", with_empty_cache(FIT), "filled cache", filled(FIT), 6.0, quick=False
    ),
]
