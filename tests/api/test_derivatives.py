"""derivative: against analytic ones, within the errors it states."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from mmlfast import derivative
from tests import reference_derivatives as reference

EPS = float(np.finfo(float).eps)

# name → f, f′, where
ANALYTIC = {
    "sin": (np.sin, np.cos, [0.0, 0.3, -1.7, 10.0, 1e3]),
    "exp": (np.exp, np.exp, [0.0, 0.3, -3.0, 10.0]),
    "log": (np.log, lambda x: 1 / x, [1.0, 1e-3, 1e-8, 1e5]),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x), [1.0, 1e-3, 1e-8, 1e5]),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2, [0.0, 0.5, -2.0]),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x), [0.0, 1.0, -30.0]),
    "erf": (
        scipy.special.erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x), [0.0, 0.5, 3.0],
    ),
    "power": (lambda x: x**2.5, lambda x: 2.5 * x**1.5, [0.1, 1.0, 7.0]),
    "quotient": (
        lambda x: np.sin(x) / (1 + x**2),
        lambda x: (np.cos(x) * (1 + x**2) - 2 * x * np.sin(x)) / (1 + x**2) ** 2,
        [0.0, 0.5, -4.0],
    ),
    "narrow": (
        lambda x: 1 / (1 + 1e6 * x * x), lambda x: -2e6 * x / (1 + 1e6 * x * x) ** 2,
        [0.0, 1e-3, 0.5],
    ),
    "quick": (lambda x: np.sin(1e9 * x), lambda x: 1e9 * np.cos(1e9 * x), [0.0, 1e-9]),
    "whole periods": (
        lambda x: np.sin(2 * np.pi * x), lambda x: 2 * np.pi * np.cos(2 * np.pi * x),
        [0.0, 1.0, 4.0],
    ),
    "large": (lambda x: 1e200 * np.sin(x), lambda x: 1e200 * np.cos(x), [0.5, -1.0]),
    "small": (lambda x: 1e-200 * np.sin(x), lambda x: 1e-200 * np.cos(x), [0.5, -1.0]),
}  # fmt: skip

# What takes complex numbers and does not follow them, or does not take them: f, f′, where.
TRAPS = {
    "abs": (np.abs, np.sign, [1.0, -2.0, 1e-3, 1e-5, 3e-7]),
    "abs among others": (lambda x: np.abs(x) + x**2, lambda x: np.sign(x) + 2 * x, [1.0, -0.1]),
    "real": (lambda x: np.real(x) ** 2 + x, lambda x: 2 * x + 1, [1.0, -0.1]),
    "conjugate": (lambda x: x * np.conj(x), lambda x: 2 * x, [1.0, -0.7]),
    "float": (lambda x: float(x) ** 2 + x, lambda x: 2 * x + 1, [1.0, -0.7]),
    "modulus": (lambda x: np.hypot(x.real, x.imag) + x, lambda x: 1 + np.sign(x), [1.0, -2.0]),
    "math": (math.sin, math.cos, [0.0, 1.0, -2.0]),
    "comparison in math": (
        lambda x: math.exp(x) if x > 0 else math.cos(x),
        lambda x: math.exp(x) if x > 0 else -math.sin(x), [1.0, -1.0],
    ),
    "rounded into an array": (
        lambda x: float(np.array([x], dtype=np.float64)[0] ** 2), lambda x: 2 * x, [1.0, -3.0],
    ),
    "constant": (lambda x: 3, lambda x: 0.0, [0.0, 1.0]),
    "float32 inside": (lambda x: np.sin(np.float32(x)).astype(float), np.cos, [1.0, 2.0]),
}  # fmt: skip


def within(found, exact):
    """The stated error bounds the true one; two units in the last place for the exact value."""
    true = np.abs(found.value - exact)
    assert np.isfinite(found.error).all()
    assert (true <= found.error + 2 * EPS * np.abs(exact)).all(), (found, exact)


@pytest.mark.parametrize("method", ["auto", "complex-step", "central"])
@pytest.mark.parametrize("name", ANALYTIC)
def test_of_analytic_functions(name, method):
    f, slope, x = ANALYTIC[name]
    exact = np.array([slope(v) for v in x])
    found = derivative(f, x, method=method)
    within(found, exact)
    assert found.value.shape == found.error.shape == (len(x),)
    assert found.value.dtype == np.float64
    assert found.n_evaluations > 0
    if method == "central":
        assert found.method == "central"
        np.testing.assert_allclose(found.value, exact, rtol=1e-6, atol=1e-9)
    else:
        assert found.method == "complex-step"
        np.testing.assert_allclose(found.value, exact, rtol=64 * EPS, atol=1e-300)


@pytest.mark.parametrize("name", TRAPS)
def test_functions_that_do_not_follow_complex_numbers(name):
    f, slope, points = TRAPS[name]
    for x in points:
        found = derivative(f, x)
        assert found.method == "central"
        within(found, slope(x))
        assert found.error <= 1e-4
        with pytest.raises(ValueError, match=r"'complex-step' needs .* Pass method='central'"):
            derivative(f, x, method="complex-step")


@pytest.mark.parametrize("name", ANALYTIC)
def test_the_definition_says_the_same(name):
    f, slope, points = ANALYTIC[name]
    if name in ("quick", "narrow", "log", "sqrt", "sin"):
        points = [x for x in points if 0.1 <= abs(x) <= 100 and name != "quick"]
    for x in points:
        expected = reference.derivative(f, x)
        scale = abs(slope(x)) + abs(f(x))
        assert derivative(f, x).value == pytest.approx(expected, abs=1e-7 * scale, rel=1e-6)


def test_a_number_gives_numbers_and_an_array_its_shape():
    found = derivative(np.sin, 0.0)
    assert (float(found.value), found.method) == (1.0, "complex-step")
    assert isinstance(found.value, float)
    assert isinstance(found.error, float)
    assert derivative(np.sin, np.zeros((2, 3))).value.shape == (2, 3)
    assert derivative(np.sin, np.zeros((0, 3))).value.shape == (0, 3)
    assert derivative(math.sin, [[0.0], [1.0]]).value.shape == (2, 1)


def test_an_array_is_each_of_its_numbers():
    x = np.linspace(-2, 2, 7)
    for f in (np.exp, math.exp, lambda v: v * abs(v), lambda v: v if v > 0 else 2 * v):
        together = derivative(f, x[x != 0])
        for i, v in enumerate(x[x != 0]):
            assert together.value[i] == pytest.approx(derivative(f, v).value, rel=1e-9)


def test_a_function_that_mixes_the_array_is_called_with_numbers():
    x = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(derivative(lambda v: v**2 / np.max(v), x).value, 1, rtol=1e-12)
    np.testing.assert_allclose(derivative(np.sum, x).value, 1, rtol=1e-12)


def test_arrays_are_handed_to_functions_that_take_them():
    shapes = []

    def f(x):
        shapes.append(np.shape(x))
        return np.exp(x)

    found = derivative(f, np.linspace(0, 1, 100), method="central")
    assert len(shapes) < 130
    assert found.n_evaluations > 2000


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.int64, bool])
def test_other_dtypes_are_computed_in_float64(dtype):
    x = np.array([1, 0], dtype)
    found = derivative(lambda v: v**3 + v, x)
    assert found.value.dtype == np.float64
    np.testing.assert_allclose(found.value, [4, 1], rtol=4 * EPS)


@given(
    coefficients=st.lists(st.integers(-9, 9), min_size=1, max_size=8),
    x=st.integers(-4, 4),
    method=st.sampled_from(["auto", "central"]),
)
def test_polynomials_with_integer_coefficients(coefficients, x, method):
    p = np.polynomial.Polynomial(coefficients)
    found = derivative(lambda v: p(v) + 0 * v, x, method=method)
    exact = float(p.deriv()(x))
    within(found, exact)
    size = float(np.polynomial.Polynomial(np.abs(coefficients)).deriv()(abs(x)))
    if found.method == "complex-step":
        # Horner's rule: 2n roundings of Σ k|a_k||x|^(k−1).
        assert abs(found.value - exact) <= 16 * EPS * size


@pytest.mark.parametrize("order", [2, 3, 4, 6])
@pytest.mark.parametrize("method", ["auto", "central"])
def test_higher_orders(order, method):
    x = np.array([0.5, 1.0, 2.0])
    exact = {
        "exp": np.exp(x),
        "sin": np.sin(x + order * np.pi / 2),
        "log": -((-1.0) ** order) * math.factorial(order - 1) / x**order,
    }
    for name, values in exact.items():
        found = derivative(getattr(np, name), x, order=order, method=method)
        within(found, values)
        if method == "auto":
            assert found.method == "complex-step"
            np.testing.assert_allclose(found.value, values, rtol=1e-10)
        else:
            np.testing.assert_allclose(found.value, values, rtol=10.0 ** (2 * order - 15))


def test_what_happens_near_x_is_not_passed_by():
    # tanh is ±1 to the last digit at nearly every point of a wide circle around x.
    exact = -32 * math.exp(-25)  # of 1 − 2 e^(−2x) + 2 e^(−4x) …
    for method in ("auto", "central"):
        found = derivative(np.tanh, 12.5, order=4, method=method)
        assert abs(found.value - exact) <= found.error <= 0.1 * abs(exact)


def test_higher_orders_of_functions_that_do_not_follow():
    within(derivative(math.exp, 1.0, order=2), math.e)
    # On every circle around 0, z|z| = r z looks analytic.
    with pytest.warns(ConvergenceWarning, match=r"does not seem smooth at x = 0"):
        found = derivative(lambda v: v * abs(v), 0.0, order=2)
    assert found.method == "central"
    assert found.error > 0.5
    with pytest.raises(ValueError, match="any circle"):
        derivative(lambda v: v * abs(v), 0.0, order=2, method="complex-step")
    assert derivative(lambda v: v**3, 2, order=64).value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("method", ["auto", "central"])
@pytest.mark.parametrize(
    ("f", "jump"),
    [
        (np.abs, 2), (abs, 2), (lambda x: np.maximum(x, 0), 1), (lambda x: math.sqrt(x * x), 2),
        (lambda x: np.sqrt(x * x), 2), (lambda x: 2 * x if x > 0 else x, 1),
        (lambda x: np.where(x > 0, x, 0.01 * x), 0.99),
    ],
)  # fmt: skip
def test_a_kink_is_told(f, jump, method):
    with pytest.warns(ConvergenceWarning, match=r"does not seem smooth at x = 0\..*\.error"):
        found = derivative(f, 0.0, method=method)
    assert found.error >= 0.99 * jump
    with pytest.warns(ConvergenceWarning, match="smooth"):
        near = derivative(lambda x: f(x + 1.0), [0.0, -1.0], method="central")
    assert near.error[0] < 1e-6 < near.error[1]


def test_a_kink_nearby_is_not_averaged():
    for distance in (0.1, 1e-2, 1e-3, 1e-4, 1e-5, 3e-6, 1e-6):
        within(derivative(np.abs, distance), 1.0)
    for distance in (1e-8, 1e-10, 1e-12):
        with pytest.warns(ConvergenceWarning, match="smooth"):
            within(derivative(np.abs, distance), 1.0)


def test_steps_and_square_roots_are_doubted():
    with pytest.warns(ConvergenceWarning, match="smooth"):
        assert derivative(np.floor, 1.0).error > 1
    with pytest.warns(ConvergenceWarning, match="smooth"):
        derivative(lambda x: np.sqrt(np.abs(x)), 0.0)


def test_smooth_zeros_are_not_doubted():
    for f in (np.cos, np.square, lambda x: x**3, lambda x: x * abs(x), lambda x: np.exp(-x * x)):
        found = derivative(f, 0.0, method="central")
        assert abs(found.value) <= found.error <= 1e-6


def test_what_f_raises_around_x_is_outside_its_domain():
    found = derivative(math.log, 1e-6)
    assert found.method == "central"
    within(found, 1e6)
    within(derivative(lambda x: 1 / float(x), 1e-3), -1e6)
    within(derivative(lambda x: x**0.5, 1e-12, method="central"), 5e5)
