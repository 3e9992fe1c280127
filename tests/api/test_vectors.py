"""Lengths, angles, distances and projections of vectors: exact cases, extremes, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmlfast import angle, distance, inner, norm, scalar_projection, vector_projection
from tests import reference_bases as reference
from tests.tolerance import tol

FLOATS = ["float32", "float64"]
PAIRS = [inner, distance, angle, scalar_projection, vector_projection]
METRIC = np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]])

numbers = st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda value: round(value, 3))
vectors = arrays(np.float64, 3, elements=numbers)
directions = vectors.filter(lambda v: np.abs(v).max() > 0.1)


def gaussian(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_whole_numbers_are_exact(dtype):
    x, y = np.array([2, 3, 6], dtype), np.array([6, -2, 3], dtype)
    assert norm(x) == norm(y) == 7
    assert inner(x, y) == 24
    assert inner(x, x, METRIC) == reference.inner(x, x, METRIC)
    assert distance(x, y) == norm(x - y)
    assert distance(x + 1, x) == norm(np.ones(3, dtype))
    assert angle([1, 0], [0, 5]) == np.pi / 2
    assert angle(x, -x, degrees=True) == 180
    assert angle(x, 2 * x) == 0
    assert scalar_projection(x, [0, 0, -4]) == -6
    np.testing.assert_array_equal(vector_projection(x, np.array([0, 0, -4], dtype)), [0, 0, 6])
    for value in (norm(x), inner(x, y), distance(x, y), angle(x, y), scalar_projection(x, y)):
        assert value.dtype == dtype
        assert np.ndim(value) == 0


@given(x=directions, y=directions)
def test_against_the_definitions(x, y):
    np.testing.assert_allclose(norm(x), reference.length(x), rtol=tol("float64", 4))
    np.testing.assert_allclose(distance(x, y), reference.length(x - y), rtol=tol("float64", 4))
    np.testing.assert_allclose(angle(x, y), reference.angle(x, y), atol=1e-7)
    size = norm(x) * norm(y)
    for A in (None, METRIC):
        expected = reference.inner(x, y, np.eye(3) if A is None else A)
        np.testing.assert_allclose(inner(x, y, A), expected, atol=tol("float64", 20) * size)
    shadow = vector_projection(x, y)
    np.testing.assert_allclose(
        shadow, reference.vector_projection(x, y), atol=tol("float64", 8) * norm(x)
    )
    np.testing.assert_allclose(abs(scalar_projection(x, y)), norm(shadow), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("A", [None, METRIC])
@given(x=directions, y=directions, c=st.floats(0.1, 10))
def test_the_axioms(A, x, y, c):
    size = float(norm(x, A) * norm(y, A))
    assert inner(x, y, A) == inner(y, x, A)
    assert inner(x, x, A) > 0
    assert abs(inner(x, y, A)) <= size * (1 + 1e-14)
    assert norm(x + y, A) <= (norm(x, A) + norm(y, A)) * (1 + 1e-14)
    np.testing.assert_allclose(norm(c * x, A), c * norm(x, A), rtol=1e-14)
    np.testing.assert_allclose(np.cos(angle(x, y, A)) * size, inner(x, y, A), atol=1e-13 * size)
    np.testing.assert_allclose(angle(x, -c * y, A), np.pi - angle(x, y, A), atol=1e-14)
    rest = x - vector_projection(x, y, A)
    assert abs(inner(rest, y, A)) <= 1e-14 * size


@pytest.mark.parametrize("turn", [0.0, 1e-12, 1e-9, 1e-5, 0.5])
def test_small_and_nearly_straight_angles_keep_their_digits(turn):
    """The arc cosine of 1 − θ²/2 is zero for θ = 1e-9."""
    x, y = np.array([1.0, 0.0]), np.array([np.cos(turn), np.sin(turn)])
    assert angle(x, y) == pytest.approx(turn, rel=1e-12, abs=0)
    assert np.pi - angle(x, -y) == pytest.approx(turn, abs=1e-15)
    assert angle(3e200 * x, 1e-200 * y) == pytest.approx(turn, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize("dtype", FLOATS)
def test_no_square_overflows_or_vanishes(dtype):
    limits = np.finfo(dtype)
    for size in (limits.max / 8, limits.tiny * 8):
        v = np.array([3, 4], dtype) * size
        assert norm(v) == pytest.approx(5 * float(size), rel=tol(dtype, 2))
        assert distance(v, np.zeros(2, dtype)) == norm(v)
        assert angle(v, [1.0, 0.0]) == pytest.approx(np.arctan2(4, 3), rel=tol(dtype, 4))
        assert scalar_projection(v, v) == pytest.approx(float(norm(v)), rel=tol(dtype, 4))
        np.testing.assert_allclose(vector_projection(v, v), v, rtol=tol(dtype, 4))
        assert norm(v, np.diag([4.0, 1.0])) == pytest.approx(float(size) * 52**0.5, rel=1e-6)
    assert norm(np.full(4, limits.smallest_subnormal)) == 2 * limits.smallest_subnormal
    huge = np.array([limits.max / 2, limits.max], dtype)
    assert inner(huge, [1.0, -0.5]) == 0
    assert inner(np.array([huge[1], -huge[1]]), np.array([2, 2], dtype)) == 0


def test_stacks_broadcast():
    X, Y = gaussian(5, 1, 3), gaussian(4, 3, seed=1)
    for A in (None, METRIC):
        for function in PAIRS:
            together = function(X, Y, A)
            assert together.shape[:2] == (5, 4)
            for i in range(5):
                for j in range(4):
                    one = function(X[i, 0], Y[j], A)
                    np.testing.assert_allclose(together[i, j], one, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(norm(Y.T, A, axis=0), norm(Y, A), rtol=1e-15)
    np.testing.assert_allclose(norm(Y), np.linalg.norm(Y, axis=1), rtol=1e-15)


@pytest.mark.parametrize(
    ("given", "result"),
    [("float16", "float32"), ("uint8", "float64"), ("int64", "float64"), ("bool", "float64"),
     (">f4", "float32"), (">f8", "float64"), ("longdouble", "float64")],
)  # fmt: skip
def test_the_dtype_of_the_result(given, result):
    x, y = np.array([1, 0, 1]).astype(given), np.array([0, 1, 1]).astype(given)
    for function in PAIRS:
        value = function(x, y)
        assert value.dtype == result
        assert value.dtype.isnative
    assert norm(x).dtype == result
    assert distance(np.array([250], np.uint8), np.array([5], np.uint8)) == 245
    assert inner(np.ones(2, np.float32), np.ones(2)).dtype == "float64"
    assert norm(np.ones(3, np.float32), METRIC).dtype == "float32"


def test_layouts_lists_and_no_change_of_the_input():
    X = gaussian(6, 8)
    expected = norm(X)
    read_only = X.copy()
    read_only.flags.writeable = False
    reversed_view = X[::-1, ::-1].copy()[::-1, ::-1]
    for laid_out in (np.asfortranarray(X), read_only, reversed_view, X.tolist()):
        np.testing.assert_allclose(norm(laid_out), expected, rtol=1e-15)
    np.testing.assert_allclose(norm(X[::2, ::2]), np.linalg.norm(X[::2, ::2], axis=1))
    before = X.copy()
    vector_projection(X, X[0])
    np.testing.assert_array_equal(X, before)


def test_nothing_is_allowed():
    assert norm([]) == 0
    assert inner([], []) == 0
    assert norm(np.zeros((0, 3))).shape == (0,)
    assert angle(np.zeros((0, 3)), [1.0, 0.0, 0.0]).shape == (0,)
    assert norm(np.zeros(3)) == 0
    assert scalar_projection(np.zeros(3), [1.0, 0.0, 0.0]) == 0


ONE = [1.0, 2.0, 3.0]


@pytest.mark.parametrize("function", PAIRS)
@pytest.mark.parametrize(
    ("x", "y", "A", "kind", "error"),
    [
        (ONE, [1.0, 2.0], None, ValueError, r"x and \w+ must have vectors of one length.*\(3,\)"),
        (np.ones((2, 3)), np.ones((4, 3)), None, ValueError, "shapes broadcast"),
        (5.0, ONE, None, ValueError, r"x must be a vector \(1 axis\)"),
        ([1.0, np.nan, 0.0], ONE, None, ValueError, r"x must be finite; x\[1\] is nan"),
        (ONE, [[1, 1, 1], [0, 0, np.inf]], None, ValueError, r"finite; \w+\[1, 2\] is inf"),
        ([1j, 0, 0], ONE, None, TypeError, "x must hold real numbers; got dtype complex128"),
        (["a", "b", "c"], ONE, None, TypeError, "x must hold real numbers"),
        (np.ma.masked_less([1.0, -1.0, 2.0], 0), ONE, None, ValueError, "x has masked entries"),
        (ONE, ONE, np.eye(2), ValueError, r"A must have shape \(3, 3\).*got \(2, 2\)"),
        (ONE, ONE, np.ones(3), ValueError, "A must be a matrix"),
        (ONE, ONE, np.tri(3), ValueError, r"symmetric; A\[0, 1\] is 0 and A\[1, 0\] is 1"),
        (ONE, ONE, np.diag([1, 2, -3]), ValueError, "positive definite.*eigenvalue is -3"),
        (ONE, ONE, np.ones((3, 3)), ValueError, "positive definite.*smallest eigenvalue is"),
        (ONE, ONE, np.full((3, 3), np.nan), ValueError, r"A must be finite; A\[0, 0\] is nan"),
    ],
)  # fmt: skip
def test_what_does_not_fit(function, x, y, A, kind, error):
    with pytest.raises(kind, match=error):
        function(x, y, A)


def test_a_zero_vector_has_no_direction():
    some = [[1.0, 0.0], [0.0, 0.0]]
    with pytest.raises(ValueError, match=r"x must have a direction; x\[1\] is the zero vector"):
        angle(some, [1.0, 1.0])
    with pytest.raises(ValueError, match="y must have a direction; y is the zero vector"):
        angle([1.0, 1.0], [0.0, 0.0])
    for function in (scalar_projection, vector_projection):
        with pytest.raises(ValueError, match=r"onto must have a direction; onto\[1\]"):
            function([1.0, 1.0], some)


def test_what_cannot_be_represented_is_refused():
    huge = np.full(4, 1.7e308)
    with pytest.raises(ValueError, match="x holds values too large"):
        norm(huge)
    with pytest.raises(ValueError, match="x - y holds values too large"):
        distance(huge, -huge)
    with pytest.raises(ValueError, match="x or y holds values too large"):
        inner(huge, huge)
    with pytest.raises(ValueError, match=r"float32.*astype\('float64'\)"):
        norm(np.full(4, 3e38, np.float32))
    with pytest.raises(ValueError, match="axis"):
        norm(huge, axis=1)


def test_an_almost_singular_inner_product_has_no_negative_square():
    H = 1 / (np.arange(9) + np.arange(1, 10)[:, None])
    x = np.linalg.eigh(H)[1][:, 0]
    assert norm(x, H) > 0
    assert inner(x, x, H) == pytest.approx(norm(x, H) ** 2, rel=1e-12)
    unequal = np.diag([1e200, 1e-200])
    assert norm([0.0, 1.0], unequal) == pytest.approx(1e-100, rel=1e-15)
    assert angle([1.0, 0.0], [0.0, 1.0], unequal) == np.pi / 2
