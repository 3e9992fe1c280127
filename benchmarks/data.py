"""Seeded inputs and float64 references of the cases.

    X = Z diag(1/√i) Vᵀ + 0.05 E,   i = 1 … 200

Planted orthonormal factors V whose covariance eigenvalues are 1/i, under white noise.  Nothing here
is ever changed in place: a changed input is a new function, or the history of figures would lie.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROWS = 8192
N_FACTORS = 200
NOISE = 0.05


class Matrix(NamedTuple):
    """What a PCA case gets: an array or a path, and how many components are wanted."""

    X: np.ndarray | Path
    n_components: int
    reference: np.ndarray | Path | None = (
        None  # what the eigenvalues are taken of, where that is not X
    )


def folder() -> Path:
    """Where files and references are kept between runs."""
    path = Path(
        os.environ.get("MMLFAST_BENCH_DIR", Path(__file__).parent.parent / "build" / "benchmarks")
    )
    path.mkdir(parents=True, exist_ok=True)
    return path


def planted_blocks(n: int, d: int, *, seed: int = 0) -> Iterator[np.ndarray]:
    """The rows of the planted matrix, 8192 at a time, float32."""
    r = min(N_FACTORS, d)
    rng = np.random.default_rng(seed)
    factors = np.linalg.qr(rng.standard_normal((d, r)))[0]
    loadings = np.ascontiguousarray((factors / np.sqrt(np.arange(1, r + 1))).T, dtype=np.float32)
    for number, start in enumerate(range(0, n, ROWS)):
        rng = np.random.default_rng([seed, number])
        m = min(ROWS, n - start)
        block = rng.standard_normal((m, r), dtype=np.float32) @ loadings
        noise = rng.standard_normal((m, d), dtype=np.float32)
        noise *= NOISE
        block += noise
        yield block


@lru_cache(maxsize=2)
def planted(n: int, d: int, dtype: str = "float32") -> np.ndarray:
    """The planted matrix; uint8 is scaled to a deviation near 40 about 128 and clipped."""
    X = np.empty((n, d), dtype=dtype)
    for start, block in zip(range(0, n, ROWS), planted_blocks(n, d), strict=True):
        if dtype == "uint8":
            block = np.clip(np.rint(block * np.float32(400) + np.float32(128)), 0, 255)
        X[start : start + len(block)] = block
    return X


@lru_cache(maxsize=2)
def offset(n: int, d: int, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """The planted matrix with `mean` added to every entry, and without.

    Entries are multiples of 2⁻¹⁰, the spacing of float32 near 1e4: both matrices are exact, so
    their true eigenvalues are the same.
    """
    X = np.rint(planted(n, d) * np.float32(1024)) / np.float32(1024)
    return X + np.float32(mean), X


@lru_cache(maxsize=2)
def square_pair(n: int, dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two random n × n factors and room for their product."""
    rng = np.random.default_rng(n)
    A, B = rng.standard_normal((2, n, n)).astype(dtype)
    return A, B, np.empty((n, n), dtype=dtype)


def planted_file(n: int, d: int) -> Path:
    """A float32 `.npy` file of the planted matrix, written once, block by block."""
    path = folder() / f"planted_{n}x{d}.npy"
    if path.exists():
        return path
    needed, free = 4 * n * d, shutil.disk_usage(folder()).free
    if free < needed + 2**28:
        raise OSError(
            f"{path.name} needs {needed / 1e9:.1f} GB; {folder()} has {free / 1e9:.1f} GB free"
        )
    handle, name = tempfile.mkstemp(dir=folder(), suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
            np.lib.format.write_array_header_1_0(file, header)
            for block in planted_blocks(n, d):
                file.write(block.astype("<f4", copy=False).data)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def as_array(X: np.ndarray | Path) -> np.ndarray:
    """X itself, or the file mapped into memory."""
    return X if isinstance(X, np.ndarray) else np.load(X, mmap_mode="r")


def reference_eigenvalues(matrix: Matrix) -> np.ndarray:
    """The largest covariance eigenvalues in float64, remembered on disk by content."""
    X = as_array(matrix.X if matrix.reference is None else matrix.reference)
    sample = np.ascontiguousarray(X[:: max(1, len(X) // 512)])
    key = hashlib.sha256(repr((X.shape, X.dtype.str)).encode() + sample.tobytes()).hexdigest()[:24]
    path = folder() / f"eigenvalues_{key}.json"
    if path.exists():
        return np.array(json.loads(path.read_text()))[: matrix.n_components]
    values = covariance_eigenvalues(X)[:N_FACTORS]
    with tempfile.NamedTemporaryFile("w", dir=folder(), suffix=".part", delete=False) as file:
        json.dump(values.tolist(), file)
    os.replace(file.name, path)
    return values[: matrix.n_components]


def covariance_eigenvalues(X: np.ndarray) -> np.ndarray:
    """Eigenvalues of the covariance of X in float64, largest first.

    The smaller of XᵀX and XXᵀ is formed of the centred X in blocks: no float64 copy is ever held.
    """
    n, d = X.shape
    shift = X[:ROWS].mean(axis=0, dtype=np.float64)
    if d <= n:
        G, total = np.zeros((d, d)), np.zeros(d)
        for start in range(0, n, ROWS):
            block = X[start : start + ROWS] - shift
            G += block.T @ block
            total += block.sum(axis=0)
        C = (G - np.outer(total, total) / n) / (n - 1)
    else:
        C = np.zeros((n, n))
        for start in range(0, d, 1024):
            block = X[:, start : start + 1024] - shift[start : start + 1024]
            block -= block.mean(axis=0)
            C += block @ block.T
        C /= n - 1
    return np.linalg.eigvalsh(C)[::-1].copy()


def captured_variance(X: np.ndarray, components: np.ndarray) -> float:
    """Total variance of the scores of X on `components`, in float64."""
    P = np.asarray(components, dtype=np.float64).T
    shift = X[:ROWS].mean(axis=0, dtype=np.float64)
    total, square = np.zeros(P.shape[1]), np.zeros(P.shape[1])
    for start in range(0, len(X), ROWS):
        scores = (X[start : start + ROWS] - shift) @ P
        total += scores.sum(axis=0)
        square += np.einsum("ij,ij->j", scores, scores)
    return float(((square - total**2 / len(X)) / (len(X) - 1)).sum())
