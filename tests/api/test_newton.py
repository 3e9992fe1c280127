"""newton_root: roots, cycles and divergence, one start or a grid of them."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from mmlfast import newton_root
from tests.reference_descent import newton_path


def cubic(x):
    return x**3 - 2 * x + 2


def slope(x):
    return 3 * x**2 - 2


fast_cubic, fast_slope = numba.njit(cubic), numba.njit(slope)


@pytest.mark.parametrize("functions", [(cubic, slope), (fast_cubic, fast_slope)])
def test_the_iterates_are_those_of_the_books(functions):
    run = newton_root(functions[0], -2.0, df=functions[1])
    path = newton_path(cubic, slope, -2.0, run.n_iter)
    np.testing.assert_allclose(run.trace.x, path, rtol=1e-14)
    np.testing.assert_allclose(run.trace.fun, [cubic(x) for x in path], rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(run.trace.slope, [slope(x) for x in path], rtol=1e-13)
    assert run.status == "converged"
    assert run.converged is True
    assert abs(run.fun) < 1e-14
    assert len(run.trace) == run.n_iter + 1


@pytest.mark.parametrize("f", [cubic, fast_cubic])
def test_without_a_derivative_the_iterates_are_the_same(f):
    exact, numeric = newton_root(cubic, -2.0, df=slope), newton_root(f, -2.0)
    # A compiled x**3 of a complex x goes by logarithms: too coarse, so differences are taken.
    loose = 1e-14 if f is cubic else 1e-10
    np.testing.assert_allclose(numeric.trace.x, exact.trace.x, rtol=loose)


def test_a_function_without_complex_numbers_has_differences():
    def only_real(x):
        return math.exp(x) - 3

    np.testing.assert_allclose(newton_root(only_real, 0.0).root, math.log(3), rtol=1e-14)
    # Complex numbers go through abs(), but their derivative does not.
    np.testing.assert_allclose(newton_root(lambda x: abs(x) ** 2 - 2, 1.0).root, math.sqrt(2))


@pytest.mark.parametrize(
    ("f", "df", "x0", "status", "period"),
    [
        (cubic, slope, 0.0, "cycle", 2),
        (cubic, slope, 0.05, "cycle", 2),  # drawn into it
        (lambda x: np.arctan(x), lambda x: 1 / (1 + x**2), 1.5, "diverged", 0),
        (np.cbrt, lambda x: 1 / (3 * np.cbrt(x) ** 2), 1.0, "diverged", 0),
        (lambda x: math.exp(-x), lambda x: -math.exp(-x), 0.0, "diverged", 0),
        (lambda x: math.exp(x) if x < 9 else math.exp(900), math.exp, -2.0, "diverged", 0),
        (lambda x: math.sqrt(x) - 2, lambda x: 0.5 / math.sqrt(x), 100.0, "diverged", 0),
        (lambda x: x**2 + 1, lambda x: 2 * x, 0.0, "zero derivative", 0),
        (lambda x: x**2 + 1, lambda x: 2 * x, 1 / math.sqrt(3), "cycle", 2),
        (lambda x: x**2 + 1, lambda x: 2 * x, 0.3, "max_iter", 0),
        (lambda x: x**2, lambda x: 2 * x, 1.0, "converged", 0),  # slowly, which is no cycle
        (abs, np.sign, 3.0, "converged", 0),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_becomes_of_a_start(f, df, x0, status, period):
    run = newton_root(f, x0, df=df, max_iter=60)
    assert (run.status, run.period) == (status, period)
    assert run.converged == (status == "converged")


def test_longer_cycles_tell_their_period():
    """Maps with a period of one's choice: x − f/f' = T(x) for f' = 1, f(x) = x − T(x)."""
    for period in (3, 5, 8):
        jump = {float(k): float((k + 1) % period) for k in range(period)}
        run = newton_root(
            lambda x, jump=jump: x - jump[float(x)], np.zeros(2), df=lambda x: 1.0, max_iter=40
        )
        assert run.status.tolist() == ["cycle", "cycle"]
        assert run.period.tolist() == [period, period]


def test_one_start_that_fails_warns():
    with pytest.warns(ConvergenceWarning, match=r"newton_root: cycle of period 2 after .* from 0"):
        newton_root(cubic, 0.0)


def test_the_table():
    lines = str(newton_root(lambda x: x**2 - 2, 1.0).trace).splitlines()
    assert lines[0].split() == ["n", "x", "f(x)", "f'(x)"]
    assert lines[1].split() == ["0", "1", "−1", "2"]
    assert lines[2].split() == ["1", "1.5", "0.25", "3"]
    assert "<td>1.5</td>" in newton_root(lambda x: x**2 - 2, 1.0).trace._repr_html_()
    assert repr(newton_root(lambda x: x**2 - 2, 1.0).trace) == "<NewtonTrace of 7 rows>"


def test_the_course_has_a_table_of_twenty_rows():
    run = newton_root(lambda x: x**2, np.array([1.0]), max_iter=19, trace=True)
    np.testing.assert_allclose(run.trace[0].x, 0.5 ** np.arange(20), rtol=1e-12)
    assert run.status.tolist() == ["max_iter"]


@pytest.mark.parametrize("f", [lambda z: z**3 - 1, numba.njit(lambda z: z * z * z - 1)])
def test_basins_of_a_complex_cubic(f):
    axis = np.linspace(-2, 2, 24)
    run = newton_root(f, axis[:, None] + 1j * axis)
    assert run.root.shape == run.status.shape == (24, 24)
    assert run.converged.all()
    roots = np.exp(2j * np.pi * np.arange(3) / 3)
    nearest = np.abs(run.root[..., None] - roots).argmin(-1)
    np.testing.assert_allclose(run.root, roots[nearest], atol=1e-9)
    assert np.unique(nearest).size == 3
    # f(z̄) is the conjugate of f(z), so the picture has a mirror.
    mirror = run.root[:, ::-1]
    np.testing.assert_allclose(mirror, run.root.conj(), atol=1e-9)


def test_each_of_many_starts_is_as_it_would_be_alone():
    starts = np.array([-2.0, 0.0, 0.5, 0.9, 3.0])
    many = newton_root(cubic, starts, df=slope, trace=True)
    for i, start in enumerate(starts):
        one = newton_root(cubic, starts[i : i + 1], df=slope, trace=True)
        assert (one.status[0], one.n_iter[0]) == (many.status[i], many.n_iter[i])
        np.testing.assert_allclose(one.trace[0].x, many.trace[i].x, rtol=1e-10)
        assert many.trace[i].x[0] == start
    assert newton_root(cubic, starts).trace is None
    assert str(many).startswith("5 starts: ")
    assert newton_root(cubic, np.empty((0, 3))).root.shape == (0, 3)


@given(st.floats(0.01, 1e6), st.floats(0.5, 2))
def test_square_roots(a, factor):
    run = newton_root(lambda x, a: x * x - a, factor * max(a, 1.0), args=(a,))
    assert abs(run.root - math.sqrt(a)) <= 1e-12 * max(1, math.sqrt(a))


@pytest.mark.parametrize(
    ("f", "x0", "options", "error", "match"),
    [
        (lambda x, y: x, 1.0, {}, TypeError, r"the signature f\(x\) with x a number"),
        (numba.njit(lambda x, y: x), 1.0, {}, TypeError, r"the signature f\(x\) with x a number"),
        (numba.njit(lambda x: x[0]), 1.0, {}, TypeError, "cannot be compiled as f"),
        (lambda x: "a", 1.0, {}, TypeError, "must give a number; it gave 'a'"),
        (cubic, np.nan, {}, ValueError, "x0 must be finite"),
        (cubic, "a", {}, TypeError, "x0 must hold numbers"),
        (cubic, 1.0, {"tol": -1}, ValueError, "tol"),
        (cubic, 1.0, {"max_iter": 0}, ValueError, "max_iter"),
        (cubic, 1.0, {"df": 3}, TypeError, "df must be a function"),
    ],
)
def test_bad_inputs(f, x0, options, error, match):
    with pytest.raises(error, match=match):
        newton_root(f, x0, **options)


def test_fixed_types_that_cut_off_what_they_are_given():
    whole = numba.njit("int64(int64)")(lambda x: x * x - 2)
    with pytest.raises(TypeError, match=r"fixed types, \(int64,\) -> int64, that cut off"):
        newton_root(whole, 1.5)
    fixed = numba.njit("float64(float64)")(lambda x: x * x - 2)
    assert newton_root(fixed, 1.5).root == pytest.approx(np.sqrt(2), rel=1e-12)
    with pytest.raises(TypeError, match="args must be a tuple; got int"):
        newton_root(lambda x, a: x - a, 1.0, args=2)


def test_what_f_raises_reaches_the_caller():
    def refuses(x):
        raise RuntimeError("as it was")

    with pytest.raises(RuntimeError, match="as it was"):
        newton_root(refuses, 1.0)
