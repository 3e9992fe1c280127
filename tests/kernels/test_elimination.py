"""Elimination side by side: exact where nothing is rounded, alike in every lane."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels import elimination as kernels
from mmlfast.kernels._simd import LANE_BYTES
from mmlfast.kernels.echelon import echelon_stack
from mmlfast.kernels.interleave import deinterleave, interleave
from mmlfast.runtime.validate import aligned
from tests import reference_elimination as reference
from tests.tolerance import tol

DTYPES = ["float32", "float64"]


def lanes_of(dtype):
    return LANE_BYTES // np.dtype(dtype).itemsize


def exact_systems(count, n, m, dtype, seed=0):
    """A = P L U and B = A X of small numbers, pivots powers of two: no operation rounds.

    Off the diagonal L has 0 and ±1/2, so that pivots are the largest of their columns.
    """
    rng = np.random.default_rng(seed)
    L = np.tril(rng.integers(-1, 2, (count, n, n)) / 2, -1) + np.eye(n)
    U = np.triu(rng.integers(-2, 3, (count, n, n)), 1).astype(float)
    signs = rng.choice([-1, 1], (count, n)) * 2.0 ** rng.integers(0, 3, (count, n))
    U[:, range(n), range(n)] = signs
    rows = rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)
    A = np.take_along_axis(L @ U, rows[:, :, None], axis=1)
    X = rng.integers(-3, 4, (count, n, m)).astype(float)
    determinants = np.prod(signs, axis=1) * [np.linalg.det(np.eye(n)[r]).round() for r in rows]
    return A.astype(dtype), (A @ X).astype(dtype), X.astype(dtype), determinants


def solve(A, B):
    """The kernel's X in a frame of NaN, and its report."""
    count, n, m = len(A), *B.shape[1:]
    lanes = lanes_of(A.dtype)
    n_groups = -(-count // lanes)
    frame = np.full((count + 2, n, m), np.nan, A.dtype)
    report = np.full((3, n_groups * lanes), np.nan, A.dtype)
    S = aligned(kernels.workspace_size(n, m) * lanes, A.dtype)
    S.fill(np.nan)
    stride = 0 if len(B) < count else n * m
    kernels.solve_groups(
        A.ravel(), B.ravel(), stride, frame[1:].ravel(),
        (n, m, count), (0, n_groups), S, report,
    )  # fmt: skip
    assert np.isnan(frame[[0, -1]]).all()
    return frame[1:-1], report[:, :count]


def determinants(A):
    count, n = A.shape[:2]
    lanes = lanes_of(A.dtype)
    n_groups = -(-count // lanes)
    report = np.full((4, n_groups * lanes), np.nan, A.dtype)
    S = aligned(kernels.workspace_size(n, 0) * lanes, A.dtype)
    kernels.determinant_groups(A.ravel(), (n, count), (0, n_groups), S, report)
    return report[:3, :count]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 3, 4, 8, 9, 16, 35])
def test_interleave_and_back(size, dtype):
    lanes = lanes_of(dtype)
    for present in {1, lanes - 1, lanes}:
        matrices = np.arange(present * size, dtype=dtype).reshape(present, size) + 1
        S = np.full((size + 2) * lanes, np.nan, dtype)
        interleave(matrices.ravel(), 0, size, size, present, S, lanes)
        rows = S.reshape(-1, lanes)
        np.testing.assert_array_equal(rows[1:-1], reference.interleave(matrices, lanes))
        assert np.isnan(rows[[0, -1]]).all()
        back = np.full(present * (size + 2), np.nan, dtype)
        deinterleave(S, lanes, size, present, back, 1, size + 2)
        back = back.reshape(present, size + 2)
        np.testing.assert_array_equal(back[:, 1:-1], matrices)
        assert np.isnan(back[:, [0, -1]]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [*range(1, 14), 17, 24, 33])
def test_exact_systems_of_every_size(n, dtype):
    for m, count in ((1, 2 * lanes_of(dtype) + 3), (2, 5), (5, lanes_of(dtype))):
        A, B, X, _ = exact_systems(count, n, m, dtype, seed=n)
        solutions, report = solve(A, B)
        np.testing.assert_array_equal(solutions, X, strict=True)
        assert not report[kernels.BAD_INPUT].any()
        assert (report[kernels.ZERO_PIVOT] == -1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [*range(1, 14), 17, 24, 33])
def test_exact_determinants_of_every_size(n, dtype):
    A, _, _, expected = exact_systems(lanes_of(dtype) + 2, n, 0, dtype, seed=n)
    bad, product, power = determinants(A)
    assert not bad.any()
    # In float64: products of 33 pivots may leave the range of float32.
    np.testing.assert_array_equal(product.astype(float) * 2 ** power.astype(float), expected)


@pytest.mark.parametrize("n", [2, 5, 8])
def test_the_reference_agrees(n):
    A, B, X, determinant = exact_systems(6, n, 2, "float64")
    for k in range(6):
        solution, zero_pivot = reference.solve(A[k], B[k])
        np.testing.assert_array_equal(solution, X[k])
        assert zero_pivot == -1
        assert reference.determinant(A[k]) == determinant[k]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 3, 8])
def test_one_right_hand_side_for_all(n, dtype):
    A, _, _, _ = exact_systems(21, n, n, dtype)
    shared, _ = solve(A, np.eye(n, dtype=dtype)[None])
    each, _ = solve(A, np.broadcast_to(np.eye(n, dtype=dtype), A.shape).copy())
    np.testing.assert_array_equal(shared, each)
    np.testing.assert_array_equal(A @ shared, np.broadcast_to(np.eye(n), A.shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_first_zero_pivot_is_named(n, dtype):
    A, B, X, _ = exact_systems(3 * n, n, 1, dtype)
    expected = np.full(3 * n, -1)
    for k in range(n):
        # Column k becomes a combination of those before it.
        A[3 * k, :, k] = A[3 * k, :, :k].sum(axis=1)
        expected[3 * k] = k
    solutions, report = solve(A, B)
    np.testing.assert_array_equal(report[kernels.ZERO_PIVOT], expected)
    assert [reference.eliminate(a, b)[3] for a, b in zip(A, B, strict=True)] == expected.tolist()
    np.testing.assert_array_equal(solutions[expected < 0], X[expected < 0])
    _, product, power = determinants(A)
    np.testing.assert_array_equal(product[expected >= 0], 0)
    assert np.isfinite(power).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 8, 13])
def test_a_matrix_has_the_same_bits_in_every_place(n, dtype):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3 * lanes_of(dtype) + 3, n, n)).astype(dtype)
    B = rng.standard_normal((len(A), n, 2)).astype(dtype)
    A[4], B[6] = np.nan, np.inf
    X, report = solve(A, B)
    product = determinants(A)
    for count in (1, 2, lanes_of(dtype) + 1, len(A) - 1):
        np.testing.assert_array_equal(solve(A[-count:], B[-count:])[0], X[-count:])
        np.testing.assert_array_equal(determinants(A[-count:])[1:], product[1:, -count:])
    assert np.isnan(report[kernels.BAD_INPUT, [4, 6]]).all()
    assert np.isnan(report[kernels.CONDITION, [4, 6]]).all()
    assert not report[kernels.BAD_INPUT, 7:].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_bad_numbers_anywhere_are_reported(dtype):
    n, m = 4, 2
    for bad in (np.nan, np.inf, -np.inf):
        for at in range(n * (n + m)):
            A, B, _, _ = exact_systems(3, n, m, dtype)
            (A if at < n * n else B)[1].ravel()[at if at < n * n else at - n * n] = bad
            _, report = solve(A, B)
            np.testing.assert_array_equal(np.isnan(report[0]), [False, True, False])
            if at < n * n:
                assert np.isnan(determinants(A)[0]).tolist() == [False, True, False]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 7, 16])
def test_solutions_within_the_bound(n, dtype):
    rng = np.random.default_rng(1)
    A = rng.standard_normal((50, n, n)).astype(dtype)
    B = rng.standard_normal((50, n, 3)).astype(dtype)
    X, _ = solve(A, B)
    # Higham, theorem 9.5: a residual of n³ ρ u ‖A‖‖x‖, in practice n u.
    residual = np.abs(A.astype(float) @ X - B)
    bound = 4 * tol(dtype, n) * (np.abs(A) @ np.abs(X)).max(axis=(1, 2), keepdims=True)
    assert (residual <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_the_condition_is_a_lower_bound_near_the_true_one(n, dtype):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((40, n, n)).astype(dtype)
    _, report = solve(A, np.ones((40, n, 1), dtype))
    for a, estimate in zip(A.astype(float), report[kernels.CONDITION], strict=True):
        U = reference.eliminate(a, np.zeros((n, 0)))[0]
        assert estimate == pytest.approx(reference.condition(U), rel=1e-2)
        assert estimate <= 1.01 * np.linalg.cond(U, 1)
        assert estimate >= 0.03 * np.linalg.cond(a, 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_determinants_neither_overflow_nor_underflow(dtype):
    large, small = np.finfo(dtype).max / 4, np.finfo(dtype).tiny * 8
    A = np.stack([np.eye(5) * large, np.eye(5) * small, np.diag([large, small, 1, -2, 0])])
    _, product, power = determinants(A.astype(dtype))
    for k, factor in enumerate((large, small)):
        f, e = np.frexp(float(factor))
        assert np.log2(float(product[k])) + float(power[k]) == pytest.approx(
            5 * (np.log2(f) + e), rel=1e-6
        )
    assert product[2] == 0


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 5), (5, 2), (4, 7), (6, 6)])
def test_echelon_forms(shape, dtype, swap, reduced):
    rng = np.random.default_rng(3)
    A = rng.standard_normal((30, *shape)).astype(dtype)
    A[10:15, -1] = A[10:15, 0]
    A[15:20, :, -1] = A[15:20, :, 0] * 2
    A[20:25, :, 0] = 0
    A[25, 0, 0] = 0
    A[29] = 0
    m, n = shape
    frame = np.full((32, m, n), np.nan, dtype)
    frame[1:-1] = A
    pivots, ranks = np.full((30, min(m, n)), 99), np.full(30, 99)
    tolerance = np.full(30, 1e-4, dtype)
    echelon_stack(frame[1:-1], swap, reduced, tolerance, pivots, ranks)
    assert np.isnan(frame[[0, -1]]).all()
    for k in range(30):
        expected, columns = reference.echelon(A[k].astype(float), swap, reduced, 1e-4)
        np.testing.assert_allclose(frame[1 + k], expected, rtol=0, atol=2000 * tol(dtype, m))
        assert pivots[k].tolist() == columns + [-1] * (min(m, n) - len(columns))
        assert ranks[k] == len(columns) == np.linalg.matrix_rank(A[k])
        assert (frame[1 + k][range(ranks[k]), columns] == 1).all()
