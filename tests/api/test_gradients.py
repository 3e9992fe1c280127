"""gradient, jacobian, compiled functions, and what is refused."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
import scipy.optimize

from mmlfast import derivative, gradient, jacobian
from tests import reference_derivatives as reference

EPS = float(np.finfo(float).eps)


def within(found, exact):
    """The stated error bounds the true one; two units in the last place for the exact value."""
    true = np.abs(found.value - exact)
    assert np.isfinite(found.error).all()
    assert (true <= found.error + 2 * EPS * np.abs(exact)).all(), (found, exact)


@numba.njit
def _cube(x):
    return x * x * x


@numba.njit
def _power(x):
    return x**3


@numba.njit
def _branch(x):
    return x * x if x > 0 else -x * x


@numba.njit
def _sphere(x):
    total = 0.0 * x[0]
    for i in range(x.size):
        total += (i + 1) * x[i] ** 2
    return total


@numba.njit
def _largest(x):
    return np.max(np.abs(x)) + x[0]


@numba.njit
def _polar(p):
    return np.array([p[0] * np.cos(p[1]), p[0] * np.sin(p[1])])


def test_compiled_functions():
    found = derivative(_cube, [1.0, -2.0])
    assert found.method == "complex-step"
    np.testing.assert_allclose(found.value, [3, 12], rtol=4 * EPS)
    # Its complex power goes through a logarithm, and has an imaginary part of π there.
    power = derivative(_power, -2.0)
    assert power.method == "central"
    within(power, 12.0)
    branch = derivative(_branch, [1.5, -2.0])
    assert branch.method == "central"
    within(branch, np.array([3.0, 4.0]))
    np.testing.assert_allclose(gradient(_sphere, [1.0, 2, 3]).value, [2, 8, 18], rtol=4 * EPS)
    largest = gradient(_largest, [1.0, 3.0])
    assert largest.method == "central"
    within(largest, np.array([1.0, 1.0]))
    r, t = 2.0, 0.7
    exact = [[np.cos(t), -r * np.sin(t)], [np.sin(t), r * np.cos(t)]]
    np.testing.assert_allclose(jacobian(_polar, [r, t]).value, exact, rtol=4 * EPS)


def test_fixed_signatures():
    double = numba.njit("float64(float64)")(lambda x: x * x)
    found = derivative(double, 3.0)
    assert found.method == "central"
    within(found, 6.0)
    whole = numba.njit("int64(int64)")(lambda x: x * x)
    expected = r"Expected signature: float64\(float64\)"
    with pytest.raises(TypeError, match=expected + r".*compiled: \(int64,\) -> int64"):
        derivative(whole, 2.5)
    with pytest.raises(TypeError, match=expected):
        derivative(numba.njit(lambda a, b: a + b), 1.0)
    with pytest.raises(TypeError, match=r"shape \(2,\). Expected .* float64\(float64\[::1\]"):
        gradient(double, [1.0, 2.0])
    with pytest.raises(TypeError, match=r"float64\[::1\]\(float64\[::1\]\).*numba says"):
        jacobian(numba.njit(lambda x: x.nothing), [1.0, 2.0])


BEALE = ((1, 1.5), (2, 2.25), (3, 2.625))

# name → f, its gradient
FUNCTIONS = {
    "rosenbrock": (scipy.optimize.rosen, scipy.optimize.rosen_der),
    "himmelblau": (
        lambda v: (v[0] ** 2 + v[1] - 11) ** 2 + (v[0] + v[1] ** 2 - 7) ** 2,
        lambda v: [
            4 * v[0] * (v[0] ** 2 + v[1] - 11) + 2 * (v[0] + v[1] ** 2 - 7),
            2 * (v[0] ** 2 + v[1] - 11) + 4 * v[1] * (v[0] + v[1] ** 2 - 7),
        ],
    ),
    "beale": (
        lambda v: sum((c - v[0] * (1 - v[1] ** k)) ** 2 for k, c in BEALE),
        lambda v: [
            sum(-2 * (c - v[0] * (1 - v[1] ** k)) * (1 - v[1] ** k) for k, c in BEALE),
            sum(2 * (c - v[0] * (1 - v[1] ** k)) * k * v[0] * v[1] ** (k - 1) for k, c in BEALE),
        ],
    ),
    "log-sum-exp": (lambda v: np.log(np.sum(np.exp(v))), lambda v: np.exp(v) / np.exp(v).sum()),
}  # fmt: skip


@pytest.mark.parametrize("method", ["auto", "central"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name, method):
    f, exact = FUNCTIONS[name]
    for x in ([1.0, 1.0], [-1.2, 1.0], [0.0, 3.0], [0.3, -0.7]):
        found = gradient(f, x, method=method)
        within(found, np.array(exact(np.array(x))))
        assert found.value.shape == found.error.shape == (2,)
        expected = reference.gradient(f, x)
        np.testing.assert_allclose(found.value, expected, rtol=1e-6, atol=1e-6)
        assert found.method == ("complex-step" if method == "auto" else "central")


def test_a_trap_in_one_variable_of_many_is_found():
    def f(x):
        return np.sum(x**2) + 1e-3 * np.abs(x[17])

    x = np.linspace(-1, 2, 40)
    found = gradient(f, x)
    assert found.method == "central"
    exact = 2 * x
    exact[17] += 1e-3 * np.sign(x[17])
    within(found, exact)


def test_a_trap_in_one_output_of_many_is_found():
    found = jacobian(lambda x: np.array([x[0] * x[1], x[0], np.conj(x[1]) * 1e-3]), [2.0, 3.0])
    assert found.method == "central"
    within(found, np.array([[3, 2], [1, 0], [0, 1e-3]]))


def test_a_hundred_variables():
    x = np.random.default_rng(0).standard_normal(100)
    found = gradient(scipy.optimize.rosen, x)
    assert found.method == "complex-step"
    assert found.n_evaluations < 400
    within(found, scipy.optimize.rosen_der(x))


def test_scales_of_variables_may_differ():
    x = np.array([1e6, 1e-6, 1.0])

    def f(v):
        return v[0] ** 2 * 1e-12 + np.sin(1e6 * v[1]) + v[2]

    exact = np.array([2e-6, 1e6 * np.cos(1.0), 1.0])
    for method in ("auto", "central"):
        found = gradient(f, x, method=method)
        within(found, exact)
        np.testing.assert_allclose(found.value, exact, rtol=1e-5)


def test_jacobians_have_a_row_for_each_output():
    A = np.arange(6.0).reshape(2, 3)
    for method in ("auto", "central"):
        found = jacobian(lambda x: A @ x, [1.0, -1.0, 2.0], method=method)
        within(found, A)
        np.testing.assert_allclose(found.value, A, atol=1e-12)
    assert jacobian(lambda x: [x[0], x[1], 1.0], [1.0, 2.0]).value.shape == (3, 2)
    assert jacobian(lambda x: x[0] + x[1], [1.0, 2.0]).value.shape == (1, 2)
    assert jacobian(lambda x: x, [1.0]).value.tolist() == [[1.0]]
    x = np.array([0.3, -0.4])
    f = lambda v: np.array([np.sin(v[0] * v[1]), v[0] ** 3, v[1]])  # noqa: E731
    np.testing.assert_allclose(jacobian(f, x).value, reference.jacobian(f, x), atol=1e-9)


def test_the_chain_rule():
    inner = lambda v: np.array([v[0] * v[1], v[0] + v[1]])  # noqa: E731
    outer = lambda u: np.array([np.exp(u[0]), u[0] * u[1], u[1]])  # noqa: E731
    x = np.array([0.5, -0.2])
    whole = jacobian(lambda v: outer(inner(v)), x).value
    parts = jacobian(outer, inner(x)).value @ jacobian(inner, x).value
    np.testing.assert_allclose(whole, parts, rtol=1e-14, atol=1e-15)


def test_a_function_may_write_to_its_argument():
    def f(x):
        x *= 2
        return x @ x

    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(gradient(f, x).value, [8, 16], rtol=1e-15)
    assert x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("method", ["auto", "complex-step", "central"])
def test_an_edge_of_the_domain_has_no_derivative(method):
    with pytest.raises(ValueError, match=r"finite on both sides of x .*x = 0\.\. Move x"):
        derivative(np.sqrt, 0.0, method=method)
    with pytest.raises(ValueError, match=r"finite on both sides of x"):
        gradient(lambda v: v[0] + np.sqrt(v[1]), [1.0, 0.0], method=method)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: derivative(3, 1.0), TypeError, "f must be callable; got int"),
        (lambda: derivative(np.sin, 1j), TypeError, "x must hold real numbers; got dtype complex"),
        (lambda: derivative(np.sin, "1"), TypeError, "x must hold real numbers"),
        (lambda: derivative(np.sin, np.nan), ValueError, r"x must be finite; got nan\."),
        (lambda: derivative(np.sin, [0, np.inf]), ValueError, r"got inf at index \(1,\)"),
        (lambda: derivative(np.sin, 1.0, order=0), ValueError, "order must be .* 1 to 64; got 0"),
        (lambda: derivative(np.sin, 1.0, order=65), ValueError, "got 65"),
        (lambda: derivative(np.sin, 1.0, order=1.0), ValueError, "order must be an integer"),
        (lambda: derivative(np.sin, 1.0, order=True), ValueError, "order must be an integer"),
        (lambda: derivative(np.sin, 1.0, method="exact"), ValueError, "one of 'auto', .*'exact'"),
        (lambda: derivative(np.log, -1.0), ValueError, r"must be finite .*got nan at x = -1\."),
        (lambda: derivative(lambda x: 1 / np.float64(x), 0.0), ValueError, "got inf at x = 0"),
        (lambda: derivative(lambda x: [x, x], 1.0), ValueError, r"one real number; got .*\(2,\)"),
        (lambda: derivative(lambda x: 1j * x, 1.0), TypeError, "must return real numbers; got"),
        (lambda: derivative(lambda x: "a", 1.0), TypeError, "must return real numbers; got str"),
        (lambda: derivative(lambda x: None, 1.0), TypeError, "got NoneType"),
        (lambda: gradient(np.sum, 1.0), ValueError, r"vector .*got \(\)\. Use derivative"),
        (lambda: gradient(np.sum, []), ValueError, r"n ≥ 1; got \(0,\)"),
        (lambda: gradient(np.sum, [[1.0]]), ValueError, r"got \(1, 1\)"),
        (lambda: gradient(lambda x: x, [1.0, 2]), ValueError, r"got shape \(2,\).*Use jacobian"),
        (lambda: gradient(lambda x: np.nan, [1.0, 2]), ValueError, r"got nan at x = \[1\. 2\.\]"),
        (lambda: gradient(np.sum, [1.0, np.nan]), ValueError, r"got nan at index \(1,\)"),
        (lambda: jacobian(np.diag, [1.0, 2.0]), ValueError, r"vector .*got shape \(2, 2\)"),
        (lambda: jacobian(lambda x: [], [1.0]), ValueError, r"got shape \(0,\)"),
        (lambda: jacobian(lambda x: [1, [2, 3]], [1.0]), ValueError, "must return a vector"),
        (lambda: gradient(np.sum, np.ma.masked_less([1, 2], 2)), ValueError, "masked"),
    ],
)  # fmt: skip
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_what_f_raises_at_x_passes_with_a_note():
    with pytest.raises(TypeError) as caught:
        derivative(lambda a, b: a, 1.0)
    assert "called as f(x) with a float64 number" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative|positive"):
        derivative(math.log, -1.0)


def test_results_repeat():
    first, second = (gradient(scipy.optimize.rosen, [0.1, 0.2, 0.3]) for _ in range(2))
    np.testing.assert_array_equal(first.value, second.value)
    np.testing.assert_array_equal(first.error, second.error)
