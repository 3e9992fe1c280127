"""Seconds and peak memory of a PCA with 16 components, beside scikit-learn where it can follow.

    rows     1e4 … 1e7 at 64 columns, streamed: batches come from a callable, never all in memory
    columns  64 … 4096 at 3.2e7 entries, in memory

The batches are four seeded blocks of 16 MiB handed out in turn, so that the stream itself costs
nothing.  scikit-learn's PCA has to collect them; that copy is part of its time and of its memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np

from benchmarks import data, engine, report
from benchmarks.case import OURS, Call, Case, Contestant, Size
from benchmarks.cases import Fit, fitted, ours_pca, sklearn_pca
from benchmarks.data import Matrix

K = 16
ROWS = [10**4, 10**5, 10**6, 10**7]
COLUMNS = [64, 128, 256, 512, 1024, 2048, 4096]
ENTRIES = 32_000_000
BATCH = 65_536
MOST_COLLECTED = 10**6  # rows scikit-learn's PCA and IncrementalPCA are given
MOST_INCREMENTAL_COLUMNS = 512

Stream = Callable[[], Iterator[np.ndarray]]


@lru_cache(maxsize=1)
def pool() -> np.ndarray:
    """Four batches of the planted matrix, 64 columns."""
    return data.planted(4 * BATCH, 64)


def batches(n: int) -> Iterator[np.ndarray]:
    """n rows in batches of 65 536."""
    X = pool()
    for start in range(0, n, BATCH):
        offset = start % len(X)
        yield X[offset : offset + min(BATCH, n - start)]


def stream(size: Size, n: int) -> tuple[Stream, int]:
    """The stream and its rows."""
    n = 2000 if size == "tiny" else n
    pool()
    return partial(batches, n), n


def matrix(size: Size, d: int) -> Matrix:
    """A matrix in memory of 3.2e7 entries."""
    return Matrix(data.planted(*((500, d) if size == "tiny" else (ENTRIES // d, d))), K)


def ours_stream() -> Call:
    """`mmlfast.PCA(16).fit` of a callable."""
    import mmlfast

    return lambda inputs: fitted(mmlfast.PCA(K, random_state=0).fit(inputs[0]))


def sklearn_collected() -> Call:
    """`sklearn.decomposition.PCA(16).fit` of the batches put together."""
    from sklearn.decomposition import PCA

    return lambda inputs: fitted(PCA(K, random_state=0).fit(np.concatenate(list(inputs[0]()))))


def sklearn_stream() -> Call:
    """`IncrementalPCA(16).partial_fit` of each batch."""
    from sklearn.decomposition import IncrementalPCA

    def call(inputs: tuple[Stream, int]) -> Fit:
        pca = IncrementalPCA(K)
        for batch in inputs[0]():
            pca.partial_fit(batch)
        return fitted(pca)

    return call


def sklearn_incremental() -> Call:
    """`IncrementalPCA(16).fit` of an array."""
    from sklearn.decomposition import IncrementalPCA

    return lambda m: fitted(IncrementalPCA(K).fit(m.X))


def complete(fit: Fit, inputs: Any) -> float:
    """Zero when every row was seen and the eigenvalues are near the planted ones; else infinity."""
    n = inputs[1] if isinstance(inputs[1], int) and callable(inputs[0]) else len(inputs.X)
    planted = 1 / np.arange(1, K + 1) + data.NOISE**2
    near = np.allclose(fit.eigenvalues[:3], planted[:3], rtol=0.1 if n >= 5000 else 0.5)
    return 0.0 if fit.n_samples == n and near else math.inf


def get(name: str) -> Case:
    """The case `rows_N` or `columns_D`."""
    axis, _, count = name.partition("_")
    n = int(count)
    if axis == "rows":
        rivals: dict[str, Contestant] = {
            "sklearn PCA": sklearn_collected,
            "IncrementalPCA": sklearn_stream,
        }
        if n > MOST_COLLECTED:
            rivals = {}
        inputs, ours = partial(stream, n=n), ours_stream
    else:
        rivals = {"sklearn PCA": sklearn_pca}
        if n <= MOST_INCREMENTAL_COLUMNS:
            rivals["IncrementalPCA"] = sklearn_incremental
        inputs, ours = partial(matrix, d=n), ours_pca
    return Case(name, "scaling", inputs, ours, rivals, complete, tolerance=0.0)


def main(quick: bool = False) -> int:
    """Measure, print a table, and save a picture and the figures under build/scaling."""
    names = [f"rows_{n}" for n in ROWS if not quick or n <= 10**6]
    names += [f"columns_{d}" for d in COLUMNS if not quick or d <= 1024]
    outcomes = []
    for name in names:
        case = get(name)
        outcomes.append(
            engine.run(case, list(case.rivals), registry="benchmarks.scaling", budget=10.0)
        )
        for note in report.notes(outcomes[-1]):
            print(note)
    print(table(outcomes))
    folder = data.folder().parent / "scaling"
    report.save_json(folder / "scaling.json", outcomes)
    print(f"figures: {folder / 'scaling.json'}")
    try:
        print(f"picture: {picture(outcomes, folder / 'scaling.png')}")
    except ImportError:
        print("no picture: matplotlib is not installed (the extra `plot` brings it)")
    return report.exit_code(row for outcome in outcomes for row in report.rows(outcome))


def table(outcomes: list[engine.Outcome]) -> str:
    """Seconds and memory, a line for each size and contestant."""
    lines = [f"{'case':16} {'contestant':16} {'seconds':>10} {'memory':>10}"]
    for outcome in outcomes:
        for name, measured in outcome.measured.items():
            took = report.seconds(measured.median) or "BROKEN"
            added = report.size(measured.extra_bytes)
            lines.append(f"{outcome.case.name:16} {name:16} {took:>10} {added:>10}")
    return "\n".join(lines)


def picture(outcomes: list[engine.Outcome], path: Any) -> Any:
    """Two columns (rows, columns) of two panels (seconds, memory), logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for column, axis in enumerate(("rows", "columns")):
        for name in (OURS, "sklearn PCA", "IncrementalPCA"):
            points = [
                (
                    int(outcome.case.name.split("_")[1]),
                    measured.median,
                    max(measured.extra_bytes, 1e5) / 1e6,
                )
                for outcome in outcomes
                if outcome.case.name.startswith(axis)
                and (measured := outcome.measured.get(name)) is not None
            ]
            if points:
                x, took, memory = zip(*points, strict=True)
                axes[0, column].loglog(x, took, "o-", label=name)
                axes[1, column].loglog(x, memory, "o-", label=name)
        what = "64 columns, streamed" if axis == "rows" else f"{ENTRIES:.1e} entries"
        axes[0, column].set_title(f"{axis}: {what}")
        axes[1, column].set_xlabel(axis)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("memory added, MB")
    axes[0, 0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=120, format="png")
    part.replace(path)
    plt.close(figure)
    return path
