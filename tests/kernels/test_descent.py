"""The kernels of descent: exact where numbers are whole, and nothing written beside the results."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmlfast.kernels.descent import GD, HYBRID, NEWTON, newton_step, optimiser_step, solve_in_place
from mmlfast.kernels.differences import central_gradient, central_hessian

WHOLE = st.integers(-9, 9)


@given(st.integers(1, 5).flatmap(lambda n: arrays(np.float64, (n, n + 1), elements=WHOLE)))
def test_solutions_leave_no_residual(system):
    A, x = system[:, :-1].copy(), system[:, -1].copy()
    n = len(x)
    b = A @ x
    solution = b.copy()
    if not solve_in_place(A.copy(), solution):
        assert abs(np.linalg.det(A)) < 1e-9
        return
    # Growth of at most 2ⁿ⁻¹ with partial pivoting (Higham, section 9.3).
    bound = 2.0**n * n * np.finfo(float).eps * (np.abs(A).max() * np.abs(solution).sum() + 1)
    assert np.abs(A @ solution - b).max() <= 8 * bound


def test_whole_numbers_are_solved_exactly_and_singular_ones_refused():
    A, b = np.array([[0.0, 2, 0], [4, 0, 0], [0, 1, 8]]), np.array([2.0, 12, 17])
    assert solve_in_place(A, b)
    np.testing.assert_array_equal(b, [3, 1, 2])
    assert not solve_in_place(np.array([[1.0, 2], [2, 4]]), np.ones(2))
    assert not solve_in_place(np.array([[np.nan, 2], [2, 4]]), np.ones(2))
    assert solve_in_place(np.diag([1e-200, 1e200]), np.ones(2))


@pytest.mark.parametrize(
    ("rule", "diagonal", "wanted"),
    [
        (NEWTON, [2, 4], [-2, 1]),
        (NEWTON, [-2, -4], [2, -1]),  # uphill
        (HYBRID, [4, 4], [-1, 1]),
        (HYBRID, [2, 4], [-2, 2]),  # longer than the radius: −γg
        (HYBRID, [-2, -4], [-2, 2]),  # uphill: −γg
        (HYBRID, [0, 4], [-2, 2]),  # singular: −γg
    ],
)
def test_newton_and_hybrid_steps(rule, diagonal, wanted):
    how = (rule, (0.5, 0.9, 0.999, 1e-8), (2.0, 0.0, 10))
    g, step = np.array([4.0, -4.0]), np.full(2, np.nan)
    assert newton_step(how, g, np.diag(np.array(diagonal, float)), step)
    np.testing.assert_array_equal(g, [4, -4])
    np.testing.assert_array_equal(step, wanted)


def test_a_newton_step_that_does_not_exist():
    how = (NEWTON, (0.5, 0.9, 0.999, 1e-8), (2.0, 0.0, 10))
    assert not newton_step(how, np.ones(2), np.zeros((2, 2)), np.empty(2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_step_of_the_optimisers_writes_where_it_should(dtype):
    frame = np.full((5, 3), np.nan, dtype)
    frame[1:4] = 0
    frame[1] = [1, 2, 3]
    x, m, v = frame[1], frame[2], frame[3]
    optimiser_step((GD, (0.5, 0.9, 0.999, 1e-8), (2.0, 0.0, 10)), 1, x * 0 + 2, x, m, v)
    np.testing.assert_array_equal(x, [0, 1, 2])
    assert np.isnan(frame[[0, 4]]).all()


@numba.njit
def quadratic(x, a):
    x *= a  # spoils what it was given
    return 3 * x[0] ** 2 + 2 * x[0] * x[1] - x[1] ** 2 + x[2], x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_differences_of_a_quadratic(dtype):
    x, y = np.array([1.0, -2.0, 1000.0], dtype), np.empty(3, dtype)
    frame = np.full((6, 3), np.nan, dtype)
    given_x = x.copy()
    central_gradient(quadratic, x, y, (2.0,), frame[1])
    central_hessian(quadratic, x, y, (2.0,), frame[2:5])
    np.testing.assert_array_equal(x, given_x)
    root = np.finfo(dtype).eps ** (1 / 3)
    # f is 2000 times larger than its slopes, which their differences have to bear.
    np.testing.assert_allclose(frame[1], [8, 24, 2], atol=2000 * root**2 * 10)
    wanted = np.array([[24, 8, 0], [8, -8, 0], [0, 0, 0]])
    np.testing.assert_allclose(frame[2:5], wanted, atol=2000 * root**1.5 * 20)
    assert np.isnan(frame[[0, 5]]).all()
