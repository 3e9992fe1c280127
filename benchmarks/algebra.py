"""Stacks of small problems, integers, eigenpairs: cases beside numpy, scipy, torch and jax.

error of a product:      |C − AB| / |A||B|
error of eigenpairs:     max ‖Av − λv‖ / ‖A‖
error of a solution:     ‖Ax − b‖ / (‖A‖ ‖x‖)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.case import Call, Case, Contestant, Size

STACK = 20_000
SYSTEMS = 10_000
STEPS = 100
EPS = float(np.finfo(np.float64).eps)


@lru_cache(maxsize=1)
def stacks(count: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two stacks of n × n matrices, and room for their products.

    Without it what is timed is the kernel's page faults, which vary threefold from run to run.
    """
    A, B = np.random.default_rng(n).standard_normal((2, count, n, n))
    return A, B, np.zeros((count, n, n))


def stack_input(size: Size, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The stacks of a case."""
    return stacks(50 if size == "tiny" else STACK, n)


def stack_error(C: Any, inputs: tuple[np.ndarray, ...]) -> float:
    """The largest error of every hundredth product."""
    A, B, _ = (X[:: max(1, len(X) // 100)] for X in inputs)
    C = np.asarray(C)[:: max(1, len(inputs[0]) // 100)]
    error = np.abs(C - A @ B) / (np.abs(A) @ np.abs(B))
    return float(error.max()) if np.isfinite(C).all() else np.inf


def ours_product() -> Call:
    """`mmlfast.matmul` into a given array."""
    import mmlfast

    return lambda inputs: mmlfast.matmul(inputs[0], inputs[1], out=inputs[2])


def numpy_product() -> Call:
    """`numpy.matmul` into a given array."""
    return lambda inputs: np.matmul(inputs[0], inputs[1], out=inputs[2])


def torch_product() -> Call:
    """`torch.bmm` into a given tensor, all over the same memory."""
    import torch

    def call(inputs: tuple[np.ndarray, ...]) -> np.ndarray:
        A, B, C = map(torch.from_numpy, inputs)
        torch.bmm(A, B, out=C)
        return inputs[2]

    return call


def jax_product() -> Call:
    """`jax.jit(jnp.matmul)` of arrays given to it beforehand; the result is its own."""
    import jax

    jax.config.update("jax_enable_x64", True)
    product = jax.jit(jax.numpy.matmul)
    kept: dict[int, tuple[Any, Any]] = {}

    def call(inputs: tuple[np.ndarray, ...]) -> Any:
        if id(inputs) not in kept:
            kept.clear()
            kept[id(inputs)] = jax.device_put(inputs[0]), jax.device_put(inputs[1])
        return product(*kept[id(inputs)]).block_until_ready()

    return call


def product_case(n: int) -> Case:
    """Products of 20 000 pairs of n × n matrices."""
    rivals: dict[str, Contestant] = {
        "numpy": numpy_product, "torch": torch_product, "jax": jax_product,
    }  # fmt: skip
    return Case(
        name=f"matmul_20000x{n}x{n}_f64",
        group="stacks",
        inputs=partial(stack_input, n=n),
        ours=ours_product,
        rivals=rivals,
        check=stack_error,
        tolerance=n * EPS,
        flops=2.0 * STACK * n**3,
        bytes=3.0 * STACK * n**2 * 8,
        bar=dict.fromkeys(rivals, 3.0),
        quick=n == 16,
    )


@lru_cache(maxsize=1)
def integer_pair(n: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Two n × n matrices that use the whole range of their dtype."""
    info = np.iinfo(dtype)
    A, B = np.random.default_rng(n).integers(info.min, info.max, (2, n, n), dtype, endpoint=True)
    return A, B


def integer_input(size: Size, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The factors of a case."""
    return integer_pair(70 if size == "tiny" else 1024, dtype)


def integer_error(C: np.ndarray, inputs: tuple[np.ndarray, np.ndarray]) -> float:
    """How many entries of sixteen rows are wrong modulo 2^32, where NumPy's int32 wraps around."""
    rows = np.unique(np.linspace(0, len(C) - 1, 16).astype(int))
    exact = inputs[0][rows].astype(np.int64) @ inputs[1].astype(np.int64)
    return float(np.count_nonzero(C[rows].astype(np.int32) != exact.astype(np.int32)))


def ours_integers() -> Call:
    """`mmlfast.matmul` of integers."""
    import mmlfast

    return lambda inputs: mmlfast.matmul(*inputs)


def numpy_integers() -> Call:
    """`numpy.matmul` on int32."""
    return lambda inputs: np.matmul(*(X.astype(np.int32) for X in inputs))


def integer_case(dtype: str) -> Case:
    """The product of two 1024 × 1024 matrices of integers."""
    return Case(
        name=f"matmul_1024_{dtype}",
        group="stacks",
        inputs=partial(integer_input, dtype=dtype),
        ours=ours_integers,
        rivals={"numpy on int32": numpy_integers},
        check=integer_error,
        tolerance=0.0,
        flops=2.0 * 1024**3,
        bytes=2.0 * 1024**2 * np.dtype(dtype).itemsize,
        bar={"numpy on int32": 15.0},
        quick=dtype == "int8",
    )


@lru_cache(maxsize=1)
def wishart(n: int) -> tuple[np.ndarray, np.ndarray]:
    """XᵀX/2n of a (2n, n) normal matrix, and a start vector: no eigenvalue stands apart."""
    rng = np.random.default_rng(n)
    X = rng.standard_normal((2 * n, n))
    A = X.T @ X / len(X)
    return (A + A.T) / 2, rng.standard_normal(n)


def wishart_input(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """The symmetric matrix of a case."""
    return wishart(60 if size == "tiny" else 2000)


Pairs = tuple[np.ndarray, np.ndarray]


class Iterated(NamedTuple):
    """Eigenpairs as mmlfast found them; rivals return the first two alone."""

    values: Any
    vectors: np.ndarray
    n_iter: int
    n_products: int


def iterations(pairs: Iterated) -> dict[str, float]:
    """Products of A with a block of vectors, and with a vector."""
    return {"iterations": float(pairs.n_iter), "products": float(pairs.n_products)}


def pairs_error(pairs: Pairs | Iterated, inputs: tuple[np.ndarray, np.ndarray], k: int) -> float:
    """The largest ‖Av − λv‖ / λ of the k pairs, infinite unless they are the k largest."""
    A, _ = inputs
    values, V = (np.asarray(x, np.float64) for x in pairs[:2])
    order = np.argsort(values)[::-1]
    values, V = values[order], V[:, order]
    if values.shape != (k,) or not np.isfinite(V).all():
        return np.inf
    exact = leading_values(len(A))[:k]
    if np.abs(values / exact - 1).max() > 1e-6 or np.abs(V.T @ V - np.eye(k)).max() > 1e-8:
        return np.inf
    return float((np.linalg.norm(A @ V - V * values, axis=0) / values).max())


@lru_cache(maxsize=2)
def leading_values(n: int) -> np.ndarray:
    """The ten largest eigenvalues of the matrix, by LAPACK."""
    from scipy.linalg import eigh

    return eigh(wishart(n)[0], eigvals_only=True, subset_by_index=[n - 10, n - 1])[::-1]


def ours_pairs(k: int) -> Call:
    """`mmlfast.top_eigenpairs` to machine precision."""
    import mmlfast

    def call(inputs: tuple[np.ndarray, np.ndarray]) -> Iterated:
        top = mmlfast.top_eigenpairs(inputs[0], k, tol=PAIRS_TOL, random_state=0)
        return Iterated(top.values, top.vectors, top.n_iter, top.n_applications)

    return call


def scipy_pairs(k: int) -> Call:
    """`scipy.sparse.linalg.eigsh` to machine precision, its default."""
    from scipy.sparse.linalg import eigsh

    return lambda inputs: eigsh(inputs[0], k, which="LA", v0=inputs[1])


# Both to machine precision, which is eigsh's default.
PAIRS_TOL = 0.0


def pairs_case(k: int, bar: float) -> Case:
    """The k largest eigenpairs of a dense 2000 × 2000 Wishart matrix."""
    return Case(
        name=f"top_eigenpairs_{k}_wishart2000",
        group="eigen",
        inputs=wishart_input,
        ours=partial(ours_pairs, k),
        rivals={"eigsh": partial(scipy_pairs, k)},
        check=partial(pairs_error, k=k),
        tolerance=1e-12,
        bytes=8.0 * 2000**2,
        bar={"eigsh": bar},
        counts=iterations,
    )


def ours_power() -> Call:
    """`mmlfast.power_iteration`, 100 steps from the given vector."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    import mmlfast

    def call(inputs: tuple[np.ndarray, np.ndarray]) -> Iterated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps are what is timed
            found = mmlfast.power_iteration(inputs[0], v0=inputs[1], tol=0.0, max_iter=STEPS)
        return Iterated(found.value, found.vector, found.n_iter, found.n_iter)

    return call


def numpy_power() -> Call:
    """The same steps in NumPy: w = Av, λ = vᵀw, v = w/‖w‖."""

    def call(inputs: tuple[np.ndarray, np.ndarray]) -> Pairs:
        A, v = inputs
        v = v / np.linalg.norm(v)
        for _ in range(STEPS):
            w = A @ v
            value = v @ w
            v = w / np.linalg.norm(w)
        return value, v

    return call


def power_error(pair: Pairs | Iterated, inputs: tuple[np.ndarray, np.ndarray]) -> float:
    """‖v − Aˢv₀/‖Aˢv₀‖‖ of the steps s that came nearest, 100 or one fewer."""
    A, v = inputs
    found = np.asarray(pair[1])
    errors = []
    for step in range(STEPS + 1):
        v = v / np.linalg.norm(v)
        if step >= STEPS - 1:
            errors.append(min(np.linalg.norm(found - v), np.linalg.norm(found + v)))
        v = A @ v
    return float(min(errors))


@lru_cache(maxsize=1)
def systems(count: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Random matrices and right-hand sides."""
    rng = np.random.default_rng(n)
    return rng.standard_normal((count, n, n)), rng.standard_normal((count, n, 1))


def systems_input(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """The systems of a case."""
    return systems(30 if size == "tiny" else SYSTEMS, 8)


def solve_error(X: np.ndarray, inputs: tuple[np.ndarray, np.ndarray]) -> float:
    """The largest backward error ‖Ax − b‖ / (‖A‖ ‖x‖ + ‖b‖)."""
    A, b = inputs
    norms = np.linalg.norm(A, axis=(1, 2)) * np.linalg.norm(X[..., 0], axis=1)
    residual = np.linalg.norm((A @ X - b)[..., 0], axis=1)
    error = residual / (norms + np.linalg.norm(b[..., 0], axis=1))
    return float(error.max()) if np.isfinite(X).all() else np.inf


def ours_solve() -> Call:
    """`mmlfast.solve`."""
    import mmlfast

    return lambda inputs: mmlfast.solve(*inputs)


def numpy_solve() -> Call:
    """`numpy.linalg.solve`."""
    return lambda inputs: np.linalg.solve(*inputs)


@lru_cache(maxsize=1)
def symmetric_stack(count: int, n: int) -> np.ndarray:
    """Random symmetric matrices."""
    A = np.random.default_rng(n).standard_normal((count, n, n))
    return A + A.swapaxes(1, 2)


def symmetric_input(size: Size) -> np.ndarray:
    """The matrices of a case."""
    return symmetric_stack(30 if size == "tiny" else SYSTEMS, 8)


def eigh_error(pairs: Pairs, A: np.ndarray) -> float:
    """The largest of ‖Av − λv‖ / ‖A‖ and ‖VᵀV − I‖."""
    values, V = pairs
    if not (np.isfinite(V).all() and (np.diff(values, axis=1) >= 0).all()):
        return np.inf
    residual = np.linalg.norm(A @ V - V * values[:, None, :], axis=(1, 2))
    departure = np.linalg.norm(V.swapaxes(1, 2) @ V - np.eye(A.shape[1]), axis=(1, 2))
    return float(max((residual / np.linalg.norm(A, axis=(1, 2))).max(), departure.max()))


def ours_eigh() -> Call:
    """`mmlfast.eigh`."""
    import mmlfast

    def call(A: np.ndarray) -> Pairs:
        found = mmlfast.eigh(A)
        return found.eigenvalues, found.eigenvectors

    return call


def numpy_eigh() -> Call:
    """`numpy.linalg.eigh`."""
    return lambda A: tuple(np.linalg.eigh(A))


def simple(
    name: str, inputs: Callable[[Size], Any], ours: Contestant, numpy: Contestant,
    check: Callable[[Any, Any], float], bar: float, **options: Any,
) -> Case:  # fmt: skip
    """A case beside numpy alone."""
    given: dict[str, Any] = {"tolerance": 1e-13, "group": "stacks", **options}
    return Case(
        name=name, inputs=inputs, ours=ours, rivals={"numpy": numpy}, check=check,
        bar={"numpy": bar}, **given,
    )  # fmt: skip


CASES = [
    *map(product_case, (8, 16, 32)),
    *map(integer_case, ("int8", "int32")),
    simple(
        "power_iteration_100_sym2000", wishart_input, ours_power, numpy_power, power_error, 1.2,
        tolerance=1e-10, group="eigen", bytes=8.0 * 2000**2 * STEPS, counts=iterations,
    ),
    pairs_case(1, 1.5),
    pairs_case(10, 3.0),
    simple(
        "eigh_10000x8x8_f64", symmetric_input, ours_eigh, numpy_eigh, eigh_error, 4.0, quick=True
    ),
    simple("solve_10000x8x8_f64", systems_input, ours_solve, numpy_solve, solve_error, 3.0,
           quick=True),
]  # fmt: skip
