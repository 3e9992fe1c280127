"""hessian and taylor: against analytic ones, within the errors they state."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from mmlfast import hessian, taylor
from tests import reference_derivatives as reference

EPS = float(np.finfo(float).eps)
POINTS = ([1.0, 1.0], [-1.2, 1.0], [0.0, 3.0], [0.3, -0.7])


def himmelblau(v):
    return (v[0] ** 2 + v[1] - 11) ** 2 + (v[0] + v[1] ** 2 - 7) ** 2


def himmelblau_hessian(v):
    across = 4 * (v[0] + v[1])
    return [[12 * v[0] ** 2 + 4 * v[1] - 42, across], [across, 12 * v[1] ** 2 + 4 * v[0] - 26]]


def hill(v):
    return np.exp(-(v[0] ** 2) - 2 * v[1] ** 2)


def hill_hessian(v):
    x, y = v
    return hill(v) * np.array([[4 * x * x - 2, 8 * x * y], [8 * x * y, 16 * y * y - 4]])


FUNCTIONS = {
    "rosenbrock": (scipy.optimize.rosen, scipy.optimize.rosen_hess),
    "himmelblau": (himmelblau, himmelblau_hessian),
    "hill": (hill, hill_hessian),
    "in math": (
        lambda v: math.exp(v[0]) * math.sin(v[1]),
        lambda v: (
            np.exp(v[0])
            * np.array([[np.sin(v[1]), np.cos(v[1])], [np.cos(v[1]), -np.sin(v[1])]])
        ),
    ),
}


def within(value, error, exact):
    assert np.isfinite(error).all()
    assert (np.abs(value - exact) <= error + 2 * EPS * np.abs(exact)).all(), (value, error, exact)


@pytest.mark.parametrize("method", ["auto", "central"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_hessians(name, method):
    f, exact = FUNCTIONS[name]
    for x in POINTS:
        found = hessian(f, x, method=method)
        H = np.array(exact(np.array(x)))
        within(found.value, found.error, H)
        np.testing.assert_array_equal(found.value, found.value.T)
        np.testing.assert_allclose(found.value, H, atol=1e-9 * max(1, np.abs(H).max()))
        expected = reference.hessian(f, x)
        np.testing.assert_allclose(found.value, expected, atol=1e-4 * max(1, np.abs(H).max()))
        complex_step = method == "auto" and name != "in math"
        assert found.method == ("complex-step" if complex_step else "central")


@given(st.lists(st.integers(-5, 5), min_size=16, max_size=16), st.integers(1, 4))
def test_the_hessian_of_a_quadratic_form_is_its_matrix(entries, n):
    A = np.reshape(entries, (4, 4))[:n, :n].astype(float)
    x = np.linspace(-1, 2, n)
    exact = A + A.T
    for method in ("auto", "central"):
        found = hessian(lambda v: v @ A @ v + v.sum(), x, method=method)
        within(found.value, found.error, exact)
        np.testing.assert_allclose(found.value, exact, atol=1e-8)


def test_a_gradient_of_ones_own_makes_it_exact():
    x = [0.5, -1.0, 2.0]
    found = hessian(scipy.optimize.rosen, x, grad=scipy.optimize.rosen_der)
    exact = scipy.optimize.rosen_hess(np.array(x))
    assert found.method == "complex-step"
    np.testing.assert_allclose(found.value, exact, rtol=8 * EPS)
    within(found.value, found.error, exact)
    alone = hessian(scipy.optimize.rosen, x)
    assert found.n_evaluations < alone.n_evaluations
    central = hessian(lambda v: math.cos(v[0]), [0.5], grad=lambda v: [-math.sin(v[0])])
    assert central.method == "central"
    within(central.value, central.error, [[-math.cos(0.5)]])


def test_what_is_not_the_gradient_is_refused():
    f = scipy.optimize.rosen
    with pytest.raises(ValueError, match=r"grad must return the gradient of f: along a line"):
        hessian(f, [0.5, 2.0], grad=lambda v: 2 * scipy.optimize.rosen_der(v))
    with pytest.raises(ValueError, match="grad must return 2 numbers, as x has; got 3"):
        hessian(f, [0.5, 2.0], grad=lambda v: np.zeros(3))
    with pytest.raises(TypeError, match="grad must be callable; got ndarray"):
        hessian(f, [0.5, 2.0], grad=np.zeros(2))


def test_variables_of_different_scale():
    def f(v):
        return v[0] ** 2 * 1e-12 + np.sin(1e3 * v[1]) + v[0] * v[1]

    x = np.array([1e6, 1e-3])
    exact = np.array([[2e-12, 1], [1, -1e6 * np.sin(1.0)]])
    for method in ("auto", "central"):
        found = hessian(f, x, method=method)
        within(found.value, found.error, exact)
        np.testing.assert_allclose(found.value[1, 1], exact[1, 1], rtol=1e-6)


@numba.njit
def _bowl(x):
    return x[0] * x[0] * x[1] + np.exp(x[1])


@numba.njit
def _abs_bowl(x):
    return x[0] * abs(x[0]) * x[1] if x[1] > 0 else 0.0


def test_compiled_functions():
    found = hessian(_bowl, [1.0, 0.5])
    assert found.method == "complex-step"
    np.testing.assert_allclose(found.value, [[1, 2], [2, np.exp(0.5)]], atol=1e-10)
    found = hessian(_abs_bowl, [1.0, 0.5])
    assert found.method == "central"
    within(found.value, found.error, [[1, 2], [2, 0]])


@pytest.mark.parametrize("method", ["auto", "central"])
def test_what_is_not_twice_differentiable_is_told(method):
    with pytest.warns(ConvergenceWarning, match=r"hessian: f does not seem smooth at x = \[0"):
        found = hessian(lambda v: v[0] * np.abs(v[0]) + v[1] ** 2, [0.0, 1.0], method=method)
    assert found.error[0, 0] > 0.5


SERIES = {
    "exp": (np.exp, [math.exp(0.5)] * 21),
    "sin": (np.sin, [math.sin(0.5 + k * math.pi / 2) for k in range(21)]),
    "log": (np.log, [math.log(0.5)]
            + [-((-1.0) ** k) * math.factorial(k - 1) / 0.5**k for k in range(1, 21)]),
    "geometric": (lambda x: 1 / (1 - x), [math.factorial(k) / 0.5 ** (k + 1) for k in range(21)]),
}  # fmt: skip


@pytest.mark.parametrize("order", [0, 1, 2, 8, 20])
@pytest.mark.parametrize("name", SERIES)
def test_series_of_analytic_functions(name, order):
    f, derivatives = SERIES[name]
    exact = reference.taylor_coefficients(derivatives[: order + 1])
    p = taylor(f, 0.5, order)
    assert p.method == "complex-step"
    assert p.order == order
    within(p.coefficients, p.error, exact)
    # Rounding is relative to the largest of aₖ rᵏ, for the best radius of each k.
    np.testing.assert_allclose(p.coefficients, exact, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", SERIES)
def test_series_of_real_values_alone(name):
    f, derivatives = SERIES[name]
    exact = reference.taylor_coefficients(derivatives[:5])
    for p in (taylor(f, 0.5, 4, method="central"), taylor(lambda x: float(f(x)), 0.5, 4)):
        assert p.method == "central"
        within(p.coefficients, p.error, exact)
        np.testing.assert_allclose(p.coefficients, exact, rtol=1e-6)


def test_the_polynomial():
    p = taylor(np.exp, 2.0, 6)
    t = np.linspace(-0.5, 0.5, 7)
    expected = [reference.taylor_value(p.coefficients, v) for v in t]
    np.testing.assert_allclose(p(2.0 + t), expected, rtol=1e-14)
    np.testing.assert_allclose(p.polynomial(2.0 + t), expected, rtol=1e-13)
    np.testing.assert_allclose(p.polynomial.deriv()(2.0), np.exp(2.0), rtol=1e-13)
    assert p(2.0) == p.coefficients[0] == np.exp(2.0)
    assert np.shape(p(2.0)) == ()
    assert p.center == 2.0
    remainder = np.abs(p(2.0 + t) - np.exp(2.0 + t))
    assert (remainder <= np.exp(2.5) / math.factorial(7) * np.abs(t) ** 7 + 1e-13).all()


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9), st.integers(-3, 3))
def test_a_polynomial_is_its_own_series(coefficients, center):
    exact = np.polynomial.Polynomial(coefficients)
    p = taylor(lambda x: exact(x) + 0 * x, center, 8)
    shifted = exact(np.polynomial.Polynomial([center, 1])).coef
    within(p.coefficients[: len(shifted)], p.error[: len(shifted)], shifted)
    assert (np.abs(p.coefficients[len(shifted) :]) <= p.error[len(shifted) :]).all()


def test_a_sparse_polynomial_is_not_aliased():
    for power in (32, 33, 34, 40):
        p = taylor(lambda x, n=power: x**n + x**2 + 1, 0.0, 3)
        np.testing.assert_allclose(p.coefficients, [1, 0, 1, 0], atol=1e-14)


def test_kinks_are_told():
    with pytest.warns(ConvergenceWarning, match=r"taylor: f does not seem smooth at x = 0"):
        taylor(np.abs, 0.0, 3)
    near = taylor(np.abs, 0.01, 2)
    within(near.coefficients, near.error, [0.01, 1, 0])
    with pytest.raises(ValueError, match="'complex-step' needs"):
        taylor(np.abs, 1.0, 2, method="complex-step")


@pytest.mark.parametrize("method", ["auto", "central"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_quadratic_model(order, method):
    x = np.array([0.3, -0.7])
    q = taylor(himmelblau, x, order, method=method)
    assert q.order == order
    assert q.value == himmelblau(x)
    assert (q.gradient is None, q.hessian is None) == (order < 1, order < 2)
    assert q(x) == q.value
    for step in (1e-2, 1e-3):
        points = x + step * np.array([[1.0, 0.0], [0.6, -0.8], [0.0, 1.0]])
        exact = np.array([himmelblau(p) for p in points])
        assert q(points).shape == (3,)
        assert (np.abs(q(points) - exact) <= 100 * step ** (order + 1)).all()
    if order == 2:
        within(q.hessian, q.hessian_error, np.array(himmelblau_hessian(x)))
        assert (q.gradient_error < 1e-9).all()
        np.testing.assert_allclose(q(x[:, None, None] * 0 + x).shape, (2, 1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: taylor(np.exp, 0.0, -1), ValueError, "order must be an integer from 0 to 64"),
        (lambda: taylor(np.exp, 0.0, 65), ValueError, "got 65"),
        (lambda: taylor(np.exp, 0.0, 1.5), ValueError, r"got 1\.5"),
        (lambda: taylor(np.sum, [0.0], 3), ValueError, "order must be an integer from 0 to 2"),
        (lambda: taylor(np.exp, np.inf, 2), ValueError, "x0 must be finite; got inf"),
        (lambda: taylor(np.exp, 1j, 2), TypeError, "x0 must hold real numbers"),
        (lambda: taylor(np.sum, [[1.0]], 2), ValueError, r"x must be a vector .*\(1, 1\)"),
        (lambda: taylor(np.sqrt, 0.0, 2), ValueError, "finite on both sides of x"),
        (lambda: taylor("exp", 0.0, 2), TypeError, "f must be callable; got str"),
        (lambda: taylor(np.exp, 0.0, 2, method="cauchy"), ValueError, "method must be one of"),
        (lambda: hessian(np.sum, 1.0), ValueError, "x must be a vector"),
        (lambda: hessian(np.sum, [1.0], method=None), ValueError, "method must be one of"),
        (lambda: hessian(lambda v: v, [1.0, 2]), ValueError, r"one real number; got shape \(2,\)"),
        (lambda: hessian(lambda v: math.sin(v[0]), [1.0], method="complex-step"),
         ValueError, "'complex-step' needs"),
        (lambda: hessian(lambda v: np.sqrt(v[0]), [0.0]), ValueError, "finite on both sides"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
