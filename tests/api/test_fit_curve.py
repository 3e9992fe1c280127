"""fit_curve beside scipy's curve_fit, and its path beside that of the books."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy.optimize import curve_fit
from sklearn.exceptions import ConvergenceWarning

from mmlfast import fit_curve
from tests.reference_descent import gauss_newton_path, steepest_path


def bell(x, mu, sigma):
    return np.exp(-((x - mu) ** 2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)


def slopes(x, mu, sigma):
    f = bell(x, mu, sigma)
    return np.stack([f * (x - mu) / sigma**2, f * ((x - mu) ** 2 / sigma**2 - 1) / sigma], axis=1)


X = np.arange(140.0, 211.0)
Y = bell(X, 176.0, 8.0) + 1e-3 * np.random.default_rng(0).standard_normal(X.size)
METHODS = ("levenberg-marquardt", "gauss-newton", "steepest")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("jac", [None, slopes])
def test_every_method_ends_where_scipy_does(method, jac):
    fit = fit_curve(bell, X, Y, [174.0, 7.0], method=method, jac=jac, max_iter=5000, tol=1e-7)
    p, covariance = curve_fit(bell, X, Y, [174.0, 7.0], jac=slopes, xtol=1e-14, ftol=1e-14)
    assert fit.success
    np.testing.assert_allclose(fit.p, p, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-5)
    np.testing.assert_allclose(fit.std_errors, np.sqrt(np.diag(fit.covariance)))
    np.testing.assert_allclose(fit.residuals, Y - bell(X, *fit.p), atol=1e-15)
    np.testing.assert_allclose(fit.chi2, np.sum(fit.residuals**2))
    np.testing.assert_allclose(fit.residual_norm, np.linalg.norm(fit.residuals))
    assert fit.cosine <= 1e-6
    assert fit.path.shape == (fit.nit + 1, 2)
    np.testing.assert_array_equal(fit.path[0], [174, 7])
    np.testing.assert_array_equal(fit.path[-1], fit.p)
    np.testing.assert_allclose(fit.chi2_path, [((Y - bell(X, *p)) ** 2).sum() for p in fit.path])
    assert (fit.njev > 0) == (jac is not None)


def test_gauss_newton_takes_the_steps_of_the_books():
    fit = fit_curve(bell, X, Y, [172.0, 7.0], method="gauss-newton", max_iter=4, tol=0)
    wanted = gauss_newton_path(bell, slopes, X, Y, [172.0, 7.0], 4)
    np.testing.assert_allclose(fit.path, wanted, rtol=1e-11)


def test_steepest_descent_with_the_courses_aggression():
    start = [155.0, 6.0]
    fit = fit_curve(bell, X, Y, start, method="steepest", aggression=2000, max_iter=50, tol=0)
    wanted = steepest_path(bell, slopes, X, Y, start, 2000, 50)
    np.testing.assert_allclose(fit.path, wanted, rtol=1e-8)
    assert fit.nit == 50


@pytest.mark.parametrize("kind", ["sigma", "covariance"])
@pytest.mark.parametrize("absolute", [False, True])
def test_weights_are_scipys(kind, absolute):
    generator = np.random.default_rng(1)
    sigma = generator.uniform(0.5, 2, X.size) * 1e-3
    if kind == "covariance":
        near = np.exp(-np.abs(X[:, None] - X) / 3)
        sigma = sigma[:, None] * near * sigma
    options = {"sigma": sigma, "absolute_sigma": absolute}
    fit = fit_curve(bell, X, Y, [170.0, 6.0], **options)
    p, covariance = curve_fit(bell, X, Y, [170.0, 6.0], **options)
    np.testing.assert_allclose(fit.p, p, rtol=1e-6)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-4)


def test_a_linear_model_takes_one_step_and_has_exact_errors():
    x, y = np.arange(6.0), np.array([1.0, 3, 2, 5, 4, 6])
    fit = fit_curve(lambda x, a, b: a + b * x, x, y, [0.0, 0.0])
    A = np.stack([np.ones(6), x], axis=1)
    p, rss = np.linalg.lstsq(A, y, rcond=None)[:2]
    np.testing.assert_allclose(fit.p, p, rtol=1e-13)
    np.testing.assert_allclose(fit.covariance, rss / 4 * np.linalg.inv(A.T @ A), rtol=1e-12)
    assert (fit.rank, fit.dof) == (2, 4)
    assert fit_curve(lambda x, a, b: a + b * x, x, y, [0, 0], method="gauss-newton").nit == 1


def test_data_without_any_error_end_at_the_parameters():
    for method in METHODS[:2]:
        fit = fit_curve(bell, X, bell(X, 176.0, 8.0), [170.0, 6.0], method=method)
        assert fit.success
        np.testing.assert_allclose(fit.p, [176, 8], rtol=1e-10)
    assert fit_curve(bell, X, bell(X, 176.0, 8.0), [176.0, 8.0]).nit == 0


def test_data_that_are_zero():
    fit = fit_curve(lambda x, a, b: a * np.exp(-b * x), X / 100, 0 * X, [1.0, 1.0])
    assert abs(fit.p[0]) < 1e-100
    assert fit.success


def test_parameters_that_the_data_do_not_determine():
    fit = fit_curve(lambda x, a, b: (a + b) * x, X, 3 * X, [1.0, 1.0])
    assert fit.rank == 1
    assert np.isinf(fit.covariance).all()
    np.testing.assert_allclose(fit.p, [1.5, 1.5])
    exact = fit_curve(lambda x, a, b: a + b * x, [0.0, 1.0], [1.0, 3.0], [0.0, 0.0])
    np.testing.assert_allclose(exact.p, [1, 2])
    assert np.isinf(exact.covariance).all()  # no degree of freedom is left to tell the error


def test_a_step_into_overflow_is_taken_back():
    x = np.linspace(0, 5, 20)
    fit = fit_curve(lambda x, a, b: a * np.exp(b * x), x, 2 * np.exp(1.5 * x), [1e-3, 5.0])
    assert fit.success
    np.testing.assert_allclose(fit.p, [2, 1.5], rtol=1e-9)


def test_gauss_newton_that_diverges_keeps_the_best_point():
    y = np.arctan(X)
    with pytest.warns(ConvergenceWarning, match=r"fit_curve: (diverged|stalled)"):
        fit = fit_curve(
            lambda x, a: np.arctan(x * 0 + a), X, 0 * y, [1.5], method="gauss-newton"
        )
    assert not fit.success
    np.testing.assert_array_equal(fit.p, [1.5])
    assert fit.chi2 == min(fit.chi2_path)


def test_too_few_steps_warn_unless_tol_is_zero():
    with pytest.warns(ConvergenceWarning, match="fit_curve: max_iter: after 1 steps"):
        fit = fit_curve(bell, X, Y, [160.0, 6.0], max_iter=1)
    assert (fit.status, fit.reason) == (1, "max_iter")
    assert fit_curve(bell, X, Y, [160.0, 6.0], max_iter=1, tol=0, history=False).path is None


def test_compiled_models():
    fast = numba.njit(bell)
    np.testing.assert_allclose(
        fit_curve(fast, X, Y, [170.0, 6.0]).p, fit_curve(bell, X, Y, [170.0, 6.0]).p, rtol=1e-10
    )


def test_ctrl_c_ends_it():
    calls = []

    def interrupted(x, a):
        calls.append(a)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return a * x

    with pytest.raises(KeyboardInterrupt):
        fit_curve(interrupted, X, Y, [1.0])


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"f": lambda x: x}, TypeError, r"f must have the signature f\(xdata, p1, p2\); got"),
        ({"f": numba.njit(lambda x: x)}, TypeError, r"the signature f\(xdata, p1, p2\)"),
        ({"f": lambda x, a, b: 1.0}, ValueError, r"ydata's shape \(71,\)"),
        ({"f": lambda x, a, b: x * np.nan}, ValueError, "must be finite"),
        ({"ydata": 1e200 * Y}, ValueError, "scale the data"),
        ({"jac": lambda x, a, b: x}, ValueError, r"must have shape \(71, 2\)"),
        ({"method": "lm"}, ValueError, "method must be one of steepest, gauss-newton"),
        ({"aggression": 2000}, ValueError, "aggression is for method='steepest'"),
        ({"aggression": 0, "method": "steepest"}, ValueError, "aggression must be a finite"),
        ({"max_iter": 0}, ValueError, "max_iter"),
        ({"tol": np.nan}, ValueError, "tol"),
        ({"p0": []}, ValueError, "p0 must have from 1 to"),
        ({"p0": np.ones(72), "f": lambda x, *p: x}, ValueError, "could not determine them"),
        ({"p0": [np.inf, 1]}, ValueError, "p0 must be finite"),
        ({"ydata": ["a"]}, TypeError, "ydata must hold real numbers"),
        ({"ydata": np.ones((2, 2))}, ValueError, "ydata must have one axis"),
        ({"sigma": [1.0, 2.0]}, ValueError, r"sigma must have shape \(71,\)"),
        ({"sigma": np.zeros(71)}, ValueError, "larger than 0"),
        ({"sigma": -np.eye(71)}, ValueError, "positive definite"),
    ],
)
def test_bad_inputs(change, error, match):
    options = {"f": bell, "xdata": X, "ydata": Y, "p0": [170.0, 6.0]} | change
    f, x, y, p0 = (options.pop(name) for name in ("f", "xdata", "ydata", "p0"))
    with pytest.raises(error, match=match):
        fit_curve(f, x, y, p0, **options)


@pytest.mark.parametrize("method", ["gauss-newton", "levenberg-marquardt", "steepest"])
def test_parameters_that_the_data_cannot_tell_apart(method):
    x = np.linspace(0, 2, 20)
    y = 2 * np.exp(-x)
    fit = fit_curve(lambda x, a, b: (a + b) * x, x, y, [1.0, 0.0], method=method)
    assert fit.p.sum() == pytest.approx(x @ y / (x @ x), rel=1e-9)
    assert (fit.reason, fit.rank) == ("converged", 1)
    # The residuals are at right angles to the one direction there is.
    assert fit.cosine < 1e-9
    assert np.isinf(fit.std_errors).all()


def test_data_whose_squares_vanish():
    with pytest.raises(ValueError, match="ydata over sigma must not be so small"):
        fit_curve(bell, X, Y * 1e-200, [170.0, 6.0])
