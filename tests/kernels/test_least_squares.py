"""The kernel of least squares in lanes against fractions: exact answers, edges, refinement."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels import least_squares as kernel
from tests import reference_regression as reference
from tests.kernels.regression_groups import LANES, fit_stack

SOLVERS = [kernel.QR, kernel.CHOLESKY, kernel.GD]


def fit(X, y, w=None, *, ones=1, alpha=0.0, solver=kernel.QR, tol=1e-13, max_iter=20_000):
    """Coefficients (B, p), errors (B, p) and the rest of the report of a stack."""
    _, n, d = X.shape
    layout = kernel.layout(n, d, ones, alpha > 0, solver != kernel.QR)
    return fit_stack(kernel, layout, X, y, w, ones, (solver, alpha, tol, max_iter))


def orthogonal_problems(count, d, seed=0):
    """Columns of ±1 that are orthogonal, and y for which nothing is rounded."""
    rng = np.random.default_rng(seed)
    H = np.ones((1, 1))
    while len(H) < 2 * (d + 1):
        H = np.block([[H, H], [H, -H]])
    X = np.tile(H[:, 1 : d + 1], (count, 1, 1))
    b = rng.integers(-8, 8, (count, d + 1)).astype(float)
    residual = np.outer(rng.integers(1, 4, count), H[:, d + 1])
    return X, b, b[:, :1] + np.einsum("bnd,bd->bn", X, b[:, 1:]) + residual, residual


@pytest.mark.parametrize("solver", [kernel.QR, kernel.CHOLESKY])
@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6, 7, 9, 12])
def test_exact_where_nothing_is_rounded(d, solver):
    """Every width of a sweep, with groups that are full and not."""
    for count in (1, LANES, LANES + 3):
        X, b, y, residual = orthogonal_problems(count, d)
        found, _, rest = fit(X, y, solver=solver)
        np.testing.assert_array_equal(found, b)
        np.testing.assert_array_equal(rest[kernel.RSS], (residual**2).sum(1))
        np.testing.assert_array_equal(rest[kernel.LOST], 0)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("ones", [0, 1])
@pytest.mark.parametrize("alpha", [0.0, 2.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_fractions(solver, ones, alpha, weighted):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((3, 11, 3)) + ones
    y = rng.standard_normal((3, 11))
    w = rng.integers(0, 4, (3, 11)).astype(float) if weighted else None
    found, errors, rest = fit(X, y, w, ones=ones, alpha=alpha, solver=solver)
    for b in range(3):
        weight = None if w is None else w[b]
        exact, deviations, rss = reference.least_squares(X[b], y[b], weight, alpha, ones)
        np.testing.assert_allclose(found[b], exact, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(errors[b], deviations, rtol=1e-9)
        np.testing.assert_allclose(rest[kernel.RSS, b], rss, rtol=1e-9)
    count = 11 if w is None else (w > 0).sum(1)
    np.testing.assert_array_equal(rest[kernel.COUNT], count)


def test_ill_conditioned_lanes_are_refined_and_their_neighbours_left_alone():
    """Hilbert matrices of condition 10¹⁰ and more beside ordinary ones."""
    rng = np.random.default_rng(2)
    n, d = 12, 8
    X = rng.standard_normal((LANES, n, d))
    X[::2] = 1 / (np.arange(n)[:, None] + np.arange(d) + 1.0)
    y = rng.integers(-9, 9, (LANES, n)).astype(float)
    found, errors, rest = fit(X, y, ones=0)
    for b in range(LANES):
        exact, deviations, _ = reference.least_squares(X[b], y[b], ones=0)
        np.testing.assert_allclose(found[b], exact, rtol=1e-13 if b % 2 == 0 else 1e-11)
        np.testing.assert_allclose(errors[b], deviations, rtol=1e-11)
    if LANES > 1:
        assert (rest[kernel.N_ITER, 1::2] == 1).all()
    assert (rest[kernel.N_ITER, ::2] > 1).all()


@pytest.mark.parametrize("solver", [kernel.QR, kernel.CHOLESKY])
@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_dependent_column_drops_out_of_its_lane(lost, solver):
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((5, 20, 4)), rng.standard_normal((5, 20))
    X[2, :, lost] = 7.0 if lost == 0 else X[2, :, :lost].sum(1)
    found, errors, rest = fit(X, y, solver=solver)
    np.testing.assert_array_equal(rest[kernel.LOST], [0, 0, 1, 0, 0])
    assert found[2, 1 + lost] == 0
    assert np.isnan(errors[2, 1 + lost])
    kept = np.delete(np.arange(4), lost)
    exact, deviations, _ = reference.least_squares(X[2][:, kept], y[2])
    np.testing.assert_allclose(found[2, [0, *(1 + kept)]], exact, rtol=1e-10)
    np.testing.assert_allclose(errors[2, [0, *(1 + kept)]], deviations, rtol=1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
def test_bad_numbers_stay_in_their_lane(solver):
    rng = np.random.default_rng(4)
    X, y = rng.standard_normal((LANES + 2, 9, 2)), rng.standard_normal((LANES + 2, 9))
    clean, _, _ = fit(X, y, solver=solver)
    X[0, 3, 1], y[LANES, 2] = np.nan, np.inf
    found, errors, rest = fit(X, y, solver=solver)
    bad = np.isin(np.arange(LANES + 2), [0, LANES])
    np.testing.assert_array_equal(np.isnan(rest[kernel.BAD_INPUT]), bad)
    assert np.isnan(found[bad]).all()
    assert np.isnan(errors[bad]).all()
    np.testing.assert_array_equal(found[~bad], clean[~bad])
