"""Thousands of small regressions: cases beside numpy, jax and scikit-learn.

error of least squares:    max |b − b*| / |b*| and of standard errors, b* by LAPACK's QR
error of logistic fits:    the largest ‖Σ (p − y) x‖ of a problem
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from benchmarks.case import Call, Case, Size

FITS, LOGISTIC_FITS = 20_000, 2000
GRADIENT = 1e-6

Problems = tuple[np.ndarray, np.ndarray]


@lru_cache(maxsize=1)
def least_squares(count: int) -> Problems:
    """Normal columns, y = their sum and noise: no intercept, so that all solve the same system."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((count, 100, 5))
    return X, X.sum(2) + rng.standard_normal((count, 100))


def least_squares_input(size: Size) -> Problems:
    """The problems of a case."""
    return least_squares(50 if size == "tiny" else FITS)


@lru_cache(maxsize=1)
def logistic(count: int) -> Problems:
    """Normal columns, labels drawn with the odds of a normal coefficient vector of length ½√d."""
    rng = np.random.default_rng(6)
    X = rng.standard_normal((count, 200, 10))
    eta = np.einsum("bnd,bd->bn", X, rng.standard_normal((count, 10)) / 2)
    return X, (rng.random((count, 200)) < 1 / (1 + np.exp(-eta))).astype(float)


def logistic_input(size: Size) -> Problems:
    """The problems of a case."""
    return logistic(20 if size == "tiny" else LOGISTIC_FITS)


def least_squares_error(fit: Problems, problems: Problems) -> float:
    """The largest relative error of coefficients and their errors, of every hundredth problem."""
    b, errors = (np.asarray(part) for part in fit)
    if b.shape != errors.shape or not (np.isfinite(b).all() and np.isfinite(errors).all()):
        return np.inf
    X, y = problems
    worst = 0.0
    for i in range(0, len(X), max(1, len(X) // 100)):
        Q, R = np.linalg.qr(X[i])
        exact = np.linalg.solve(R, Q.T @ y[i])
        variance = np.sum((y[i] - X[i] @ exact) ** 2) / (X.shape[1] - X.shape[2])
        deviations = np.sqrt(variance * np.sum(np.linalg.inv(R) ** 2, axis=1))
        worst = max(
            worst, np.abs(b[i] / exact - 1).max(), np.abs(errors[i] / deviations - 1).max()
        )  # fmt: skip
    return float(worst)


class LogisticFits(NamedTuple):
    """Coefficients (B, d) of mmlfast, and the steps each problem took; rivals return an array."""

    coefficients: np.ndarray
    n_iter: np.ndarray


def iterations(fits: LogisticFits) -> dict[str, float]:
    """Newton steps of all problems, and the most that one took."""
    return {
        "iterations": float(fits.n_iter.sum()),
        "most_iterations": float(fits.n_iter.max()),
    }


def logistic_error(fits: Any, problems: Problems) -> float:
    """The largest length of a gradient."""
    X, y = problems
    b = np.asarray(getattr(fits, "coefficients", fits))
    p = 1 / (1 + np.exp(-np.einsum("bnd,bd->bn", X, b)))
    lengths = np.linalg.norm(np.einsum("bn,bnd->bd", p - y, X), axis=1)
    return float(lengths.max()) if np.isfinite(b).all() else np.inf


def ours_least_squares() -> Call:
    """`mmlfast.BatchedLinearRegression`, by QR."""
    import mmlfast

    def call(problems: Problems) -> Problems:
        model = mmlfast.BatchedLinearRegression(fit_intercept=False).fit(*problems)
        return model.coef_, model.coef_standard_error_

    return call


def numpy_loop() -> Call:
    """`numpy.linalg.lstsq` of one problem after the other, and the inverse for the errors."""

    def call(problems: Problems) -> Problems:
        X, y = problems
        b, errors = np.empty((2, len(X), X.shape[2]))
        freedom = X.shape[1] - X.shape[2]
        for i in range(len(X)):
            b[i], rss, _, _ = np.linalg.lstsq(X[i], y[i], rcond=None)
            errors[i] = np.sqrt(rss[0] / freedom * np.diag(np.linalg.inv(X[i].T @ X[i])))
        return b, errors

    return call


def numpy_batch() -> Call:
    """Normal equations of the whole stack by `numpy.matmul` and `numpy.linalg.inv`."""

    def call(problems: Problems) -> Problems:
        X, y = problems
        Xt = X.transpose(0, 2, 1)
        inverse = np.linalg.inv(Xt @ X)
        b = (inverse @ (Xt @ y[:, :, None]))[:, :, 0]
        r = y - (X @ b[:, :, None])[:, :, 0]
        variance = np.einsum("bn,bn->b", r, r) / (X.shape[1] - X.shape[2])
        return b, np.sqrt(variance[:, None] * np.einsum("bii->bi", inverse))

    return call


def ours_logistic() -> Call:
    """`mmlfast.BatchedLogisticRegression`, by Newton's method."""
    import mmlfast

    def call(problems: Problems) -> LogisticFits:
        # A length of GRADIENT for the sum over 200 rows, with a little to spare.
        model = mmlfast.BatchedLogisticRegression(fit_intercept=False, tol=GRADIENT / 250)
        model.fit(*problems)
        return LogisticFits(model.coef_, model.n_iter_)

    return call


def jax_newton() -> Call:
    """The same method in `jax.vmap`, jitted: arrays given beforehand, stops when all have ended."""
    import jax
    import jax.numpy as jnp
    from jax.scipy.linalg import cho_factor, cho_solve

    jax.config.update("jax_enable_x64", True)

    def one(X: Any, y: Any) -> Any:
        def gradient(b: Any) -> tuple[Any, Any]:
            p = jax.nn.sigmoid(X @ b)
            return X.T @ (p - y), p

        def step(state: Any) -> Any:
            b, g, p, k = state
            H = X.T @ (X * (p * (1 - p))[:, None])
            b = b - cho_solve(cho_factor(H), g)
            return b, *gradient(b), k + 1

        def unfinished(state: Any) -> Any:
            return (jnp.linalg.norm(state[1]) > GRADIENT) & (state[3] < 50)

        start = jnp.zeros(X.shape[1])
        return jax.lax.while_loop(unfinished, step, (start, *gradient(start), 0))[0]

    fit = jax.jit(jax.vmap(one))
    kept: dict[int, tuple[Any, Any]] = {}

    def call(problems: Problems) -> Any:
        if id(problems) not in kept:
            kept.clear()
            kept[id(problems)] = jax.device_put(problems[0]), jax.device_put(problems[1])
        return fit(*kept[id(problems)]).block_until_ready()

    return call


def sklearn_loop() -> Call:
    """`LogisticRegression` of one problem after the other, by its Newton solver, unpenalised."""
    from sklearn.linear_model import LogisticRegression

    def call(problems: Problems) -> np.ndarray:
        # Its tolerance is of the mean gradient's largest component.
        model = LogisticRegression(
            C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=GRADIENT / 1000,
            max_iter=1000,
        )  # fmt: skip
        return np.array([model.fit(*pair).coef_[0] for pair in zip(*problems, strict=True)])

    return call


CASES = [
    Case(
        name="ols_20000x100x5_f64",
        group="regressions",
        inputs=least_squares_input,
        ours=ours_least_squares,
        rivals={"lstsq in a loop": numpy_loop, "numpy in a batch": numpy_batch},
        check=least_squares_error,
        tolerance=1e-10,
        flops=2.0 * FITS * 100 * 25,
        bytes=8.0 * FITS * 100 * 6,
        bar={"lstsq in a loop": 50.0, "numpy in a batch": 3.0},
        quick=True,
    ),
    Case(
        name="logistic_2000x200x10_f64",
        group="regressions",
        inputs=logistic_input,
        ours=ours_logistic,
        rivals={"jax.vmap": jax_newton, "sklearn in a loop": sklearn_loop},
        check=logistic_error,
        tolerance=GRADIENT,
        flops=6.0 * LOGISTIC_FITS * 200 * 10 * 14,
        bytes=8.0 * LOGISTIC_FITS * 200 * 11,
        bar={"jax.vmap": 8.0, "sklearn in a loop": 100.0},
        counts=iterations,
    ),
]
