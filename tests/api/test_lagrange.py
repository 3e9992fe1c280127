"""lagrange_stationary: every point, its multipliers and its kind, certified by the residual."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from mmlfast import lagrange_stationary


def product(x):
    return x[0] * x[1]


def circle(x):
    return x[0] ** 2 + x[1] ** 2 - 2


QUADRANTS = [[1.0, 2.0], [-1.0, 2.0], [2.0, -1.0], [-1.0, -3.0]]


@pytest.mark.parametrize("compiled", [False, True])
def test_the_product_on_a_circle(compiled):
    f, g = (numba.njit(product), numba.njit(circle)) if compiled else (product, circle)
    points = lagrange_stationary(f, g, QUADRANTS)
    np.testing.assert_allclose(points.x, [[-1, 1], [1, -1], [-1, -1], [1, 1]], atol=1e-12)
    np.testing.assert_allclose(points.multipliers[:, 0], [-0.5, -0.5, 0.5, 0.5])
    np.testing.assert_allclose(points.fun, [-1, -1, 1, 1])
    assert points.kinds == ("minimum", "minimum", "maximum", "maximum")
    np.testing.assert_allclose(np.concatenate(points.curvatures), [2, 2, -2, -2], rtol=1e-6)
    assert (points.residuals <= 1e-12).all()
    assert points.n_found.tolist() == [1, 1, 1, 1]
    assert (points.n_failed, len(points)) == (0, 4)


def test_given_derivatives_lead_to_the_same_points():
    points = lagrange_stationary(
        product, circle, QUADRANTS,
        jac=lambda x: x[::-1], jac_g=lambda x: 2 * x[None],
        hess=lambda x: np.array([[0.0, 1], [1, 0]]), hess_g=lambda x: 2 * np.eye(2)[None],
    )  # fmt: skip
    numeric = lagrange_stationary(product, circle, QUADRANTS)
    np.testing.assert_allclose(points.x, numeric.x, atol=1e-12)
    assert points.kinds == numeric.kinds


def test_eigenvectors_are_the_stationary_points_of_a_quadratic_form_on_the_sphere():
    A = np.diag([1.0, 2.0, 4.0]) + 0.3
    starts = np.random.default_rng(0).standard_normal((60, 3))
    points = lagrange_stationary(lambda x: x @ A @ x, lambda x: x @ x - 1, starts)
    values, vectors = np.linalg.eigh(A)
    assert len(points) == 6
    np.testing.assert_allclose(points.multipliers[:, 0], np.repeat(values, 2), rtol=1e-9)
    np.testing.assert_allclose(np.abs(points.x), np.abs(np.repeat(vectors.T, 2, 0)), atol=1e-9)
    assert points.kinds == ("minimum", "minimum", "saddle", "saddle", "maximum", "maximum")
    assert points.n_found.sum() + points.n_failed == 60


def test_several_constraints():
    plane, line = lambda x: x.sum() - 3, lambda x: x[0] - x[1] - 1
    nearest = lagrange_stationary(lambda x: x @ x, [plane, line], np.zeros(3))
    both = lambda x: np.array([plane(x), line(x)])  # noqa: E731
    together = lagrange_stationary(lambda x: x @ x, both, [1, 2, 3])
    B = np.array([[1.0, 1, 1], [1, -1, 0]])
    wanted = np.linalg.pinv(B) @ [3, 1]
    for points in (nearest, together):
        np.testing.assert_allclose(points.x, [wanted], atol=1e-12)
        np.testing.assert_allclose(points.multipliers[0] @ B, 2 * wanted, atol=1e-12)
        assert points.kinds == ("minimum",)


def test_points_that_second_derivatives_do_not_tell():
    flat = lagrange_stationary(lambda x: x[0] ** 4 + x[1], lambda x: x[1], [[0.0, 1.0]])
    assert flat.kinds == ("degenerate",)
    # Two tangent circles: one point, dependent gradients, multipliers that are not unique.
    pair = lagrange_stationary(
        lambda x: x[0] + 0 * x[1] + x[2],
        [lambda x: x[0], lambda x: 2 * x[0], lambda x: x[2]], [[0.0, 0.3, 0.0]],
    )  # fmt: skip
    assert pair.kinds == ("degenerate",)
    corner = lagrange_stationary(
        lambda x: x @ x, [lambda x: x[0] - 1, lambda x: x[1] - 2], np.zeros(2)
    )
    assert corner.kinds == ("isolated",)
    np.testing.assert_allclose(corner.x, [[1, 2]])
    np.testing.assert_allclose(corner.multipliers, [[2, 4]])


def test_the_table():
    lines = str(lagrange_stationary(product, circle, QUADRANTS)).splitlines()
    assert lines[0].split() == ["x1", "x2", "λ1", "f", "kind"]
    assert lines[1].split() == ["−1", "1", "−0.5", "−1", "minimum"]
    assert lines[-1] == "0 of 4 starts led nowhere"


def test_constraints_that_cannot_hold_are_told():
    with pytest.warns(ConvergenceWarning, match="none of 2 starts led to a stationary point"):
        points = lagrange_stationary(product, lambda x: circle(x) + 9, QUADRANTS[:2])
    assert (len(points), points.n_failed) == (0, 2)
    assert points.x.shape == (0, 2)
    assert points.multipliers.shape == (0, 1)
    assert "2 of 2 starts led nowhere" in str(points)


@pytest.mark.parametrize(
    ("f", "g", "starts", "options", "error", "match"),
    [
        (lambda x, y: x, circle, [1, 2], {}, TypeError, r"f must have the signature f\(x\)"),
        (product, lambda: 0, [1, 2], {}, TypeError, r"g must have the signature g\(x\)"),
        (product, [circle, 3], [1, 2], {}, TypeError, r"g\[1\] must be a function"),
        (product, [], [1, 2], {}, ValueError, "at least one constraint"),
        (lambda x: x, circle, [1, 2], {}, ValueError, "must give one number; got shape"),
        (product, lambda x: np.zeros((2, 2)), [1, 2], {}, ValueError, r"array of shape \(m,\)"),
        (product, [circle] * 3, [1, 2], {}, ValueError, "m = 3 constraints for n = 2"),
        (product, circle, [], {}, ValueError, "not empty"),
        (product, circle, [np.inf, 1], {}, ValueError, "starts must be finite"),
        (product, circle, ["a"], {}, TypeError, "starts must hold real numbers"),
        (product, circle, [1, 2], {"jac": lambda x: x[:1]}, ValueError, r"must give shape \(2,\)"),
        (product, circle, [1, 2], {"tol": -1}, ValueError, "tol"),
        (product, circle, [1, 2], {"same": 0}, ValueError, "same"),
    ],
)
def test_bad_inputs(f, g, starts, options, error, match):
    with pytest.raises(error, match=match):
        lagrange_stationary(f, g, starts, **options)
