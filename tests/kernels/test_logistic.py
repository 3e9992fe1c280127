"""The kernel of logistic regression in lanes against Newton's method written out."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels import logistic as kernel
from tests import reference_regression as reference
from tests.kernels.regression_groups import LANES, fit_stack


def fit(X, y, w=None, *, ones=1, alpha=0.0, solver=kernel.NEWTON, tol=1e-9, max_iter=None):
    """Coefficients (B, p) with the intercept last, errors (B, p) and the rest of the report."""
    _, n, d = X.shape
    max_iter = max_iter or (100 if solver == kernel.NEWTON else 20_000)
    options = solver, alpha, tol, max_iter
    return fit_stack(kernel, kernel.layout(n, d, ones), X, y, w, ones, options)


def problems(count, n, d, seed=0, shift=1.0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, n, d)) + shift
    eta = (X - shift) @ (rng.standard_normal(d) / 2)
    return X, (rng.random((count, n)) < 1 / (1 + np.exp(-eta))).astype(float)


@pytest.mark.parametrize("solver", [kernel.NEWTON, kernel.GD])
@pytest.mark.parametrize("ones", [0, 1])
@pytest.mark.parametrize("alpha", [0.0, 2.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_the_method_written_out(solver, ones, alpha, weighted):
    X, y = problems(3, 61, 4)
    w = np.random.default_rng(9).integers(0, 4, y.shape).astype(float) if weighted else None
    found, errors, rest = fit(X, y, w, ones=ones, alpha=alpha, solver=solver)
    close = 1e-9 if solver == kernel.NEWTON else 1e-6
    for b in range(3):
        weight = None if w is None else w[b]
        exact, deviations, loss = reference.logistic(X[b], y[b], weight, alpha, ones)
        np.testing.assert_allclose(found[b], np.roll(exact, -ones), rtol=close, atol=close)
        np.testing.assert_allclose(errors[b], np.roll(deviations, -ones), rtol=1e-5)
        np.testing.assert_allclose(rest[kernel.LOSS, b], loss, rtol=1e-6)
    np.testing.assert_array_equal(rest[kernel.STATE], kernel.CONVERGED)
    np.testing.assert_array_equal(rest[kernel.COUNT], 61 if w is None else (w > 0).sum(1))
    counted = y if w is None else np.where(w > 0, y, 0)
    np.testing.assert_array_equal(rest[kernel.POSITIVE], counted.sum(1))


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 7, 8, 11])
@pytest.mark.parametrize("n", [40, 64, 77])
def test_every_edge_of_tiles_and_blocks(n, d):
    X, y = problems(LANES + 1, n, d, seed=d)
    found, _, _ = fit(X, y, alpha=0.5)
    for b in (0, LANES):
        exact, _, _ = reference.logistic(X[b], y[b], alpha=0.5)
        np.testing.assert_allclose(found[b], np.roll(exact, -1), rtol=1e-8, atol=1e-9)


def test_separated_classes_are_told_from_converged_ones():
    X, y = problems(6, 40, 2)
    y[1] = X[1, :, 0] > 1.0  # a plane between them
    y[3] = np.where(X[3, :, 1] > 1.5, 1.0, y[3])
    X[3, :, 1] = X[3, :, 1] > 1.5  # nearly so: all with x = 1 are of one class
    found, errors, rest = fit(X, y)
    separated = [False, True, False, True, False, False]
    np.testing.assert_array_equal(rest[kernel.STATE] == kernel.SEPARATED, separated)
    np.testing.assert_array_equal(np.isnan(errors).all(axis=1), separated)
    assert np.isfinite(found).all()
    eta = X[1] @ found[1, :2] + found[1, 2]
    np.testing.assert_array_equal(eta > 0, y[1] == 1)
    # A penalty brings the maximum back from infinity.
    _, _, rest = fit(X, y, alpha=1e-3)
    np.testing.assert_array_equal(rest[kernel.STATE], kernel.CONVERGED)


# Found among 40 000 random problems: the one on which a full step of Newton's goes uphill.
UPHILL = """
    0 0.2 0.0 -1.6 -4.4    1 3.1 -0.8 0.1 -0.6    0 1.8 -10.9 5.3 7.6    0 -9.3 1.2 -11.5 0.4
    1 2.2 0.1 0.5 0.5      1 0.9 1.2 0.2 0.6      0 5.0 -10.8 2.2 0.4    0 2.9 -3.9 -1.9 -20.5
    0 -2.6 0.5 -4.4 -2.3   0 2.6 -4.4 -15.6 -0.7  0 0.4 -2.4 1.8 -25.4   0 0.7 -28.5 -5.0 0.0
    0 4.3 -1.0 -4.9 0.3    1 0.8 3.4 1.7 1.8      0 22.7 -1.0 -1.0 -1.8  0 -7.9 -10.4 1.6 2.3
    0 -2.7 -4.2 -0.1 -1.8  1 -2.5 7.1 -0.7 -4.7   0 4.5 -2.9 0.0 -4.7
"""


def test_a_step_that_goes_uphill_is_halved():
    table = np.array(UPHILL.split(), float).reshape(-1, 5)
    y, A = table[:, 0].copy(), table[:, 1:].copy()
    b, losses = np.zeros(4), []
    for _ in range(30):
        eta = A @ b
        losses.append(np.sum(np.logaddexp(0, eta) - y * eta))
        p = 1 / (1 + np.exp(-eta))
        b = b - np.linalg.solve((A.T * (p * (1 - p))) @ A, A.T @ (p - y))
    assert (np.diff(losses) > 1e-3).any()
    others, labels = problems(LANES, len(y), 4)
    others[0], labels[0] = A, y
    found, _, rest = fit(others, labels, ones=0)
    exact, _, loss = reference.logistic(A, y, ones=0)
    np.testing.assert_allclose(found[0], exact, rtol=1e-8)
    np.testing.assert_allclose(rest[kernel.LOSS, 0], loss, rtol=1e-9)
    np.testing.assert_array_equal(rest[kernel.STATE], kernel.CONVERGED)


def test_a_dependent_column_drops_out_of_its_lane():
    X, y = problems(3, 50, 3)
    X[1, :, 2] = X[1, :, 0] - X[1, :, 1] + 4
    found, errors, rest = fit(X, y)
    np.testing.assert_array_equal(rest[kernel.LOST], [0, 1, 0])
    assert found[1, 2] == 0
    assert np.isnan(errors[1, 2])
    exact, deviations, _ = reference.logistic(X[1][:, :2], y[1])
    np.testing.assert_allclose(found[1, [3, 0, 1]], exact, rtol=1e-8)
    np.testing.assert_allclose(errors[1, [3, 0, 1]], deviations, rtol=1e-6)


def test_a_lane_is_the_same_whatever_its_neighbours_need():
    X, y = problems(LANES, 30, 2)
    y[0] = X[0, :, 0] > 1.0
    X[LANES - 1, 0, 0] = np.nan
    together, _, rest = fit(X, y)
    assert np.isnan(together[LANES - 1]).all()
    assert np.isnan(rest[kernel.BAD_INPUT, LANES - 1])
    for b in range(LANES - 1):
        alone, _, _ = fit(X[b : b + 1], y[b : b + 1])
        np.testing.assert_array_equal(alone[0], together[b])


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_large_mean_costs_no_digits(offset):
    X, y = problems(2, 80, 2, shift=0.0)
    plain, errors, _ = fit(X, y)
    moved, moved_errors, rest = fit(X + offset, y)
    np.testing.assert_allclose(moved[:, :2], plain[:, :2], rtol=1e-9)
    np.testing.assert_allclose(moved_errors[:, :2], errors[:, :2], rtol=1e-9)
    np.testing.assert_array_equal(rest[kernel.STATE], kernel.CONVERGED)
