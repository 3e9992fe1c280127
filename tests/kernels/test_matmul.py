"""The matrix product: exact on integers, in every layout, and never a byte outside of C."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from mmlfast.kernels._simd import LANE_BYTES, TILE_ROWS, TILE_VECTORS
from mmlfast.kernels.matmul import COLUMNS, DEPTH, ROWS, WIDEST, matmul, multiply, workspace_size
from mmlfast.runtime.validate import base_of
from tests import reference
from tests.tolerance import assert_product_close

DTYPES = [np.float32, np.float64]


def integers(rng, shape, dtype):
    """Small enough that every product and sum is exact, float32 included."""
    return rng.integers(-4, 5, shape).astype(dtype)


def product(A, B, C):
    """multiply() on arrays of any layout, with scratch that starts as NaN."""
    m, k = A.shape
    n = B.shape[1]
    workspace = np.full(workspace_size(m, n, k), np.nan, C.dtype)
    multiply(*base_of(A), *base_of(B), *base_of(C), (m, n, k), workspace)


def guarded(m, n, dtype, steps=(1, 1), order="C"):
    """A frame full of NaN and the (m, n) view inside it that is to be written."""
    frame = np.full((m * steps[0] + 5, n * steps[1] + 5), np.nan, dtype, order=order)
    return frame, frame[2 : 2 + m * steps[0] : steps[0], 3 : 3 + n * steps[1] : steps[1]]


def assert_only_inside(frame, C, expected):
    np.testing.assert_array_equal(C, expected)
    C[...] = np.nan
    assert np.isnan(frame).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_small_sizes(dtype):
    rng = np.random.default_rng(0)
    for m in range(1, 13):
        for n in range(1, 13):
            for k in range(1, 13):
                A, B = integers(rng, (m, k), dtype), integers(rng, (k, n), dtype)
                frame, C = guarded(m, n, dtype)
                product(A, B, C)
                assert_only_inside(frame, C, A.astype(np.int64) @ B.astype(np.int64))


def test_the_oracle_is_the_definition():
    rng = np.random.default_rng(1)
    A, B = integers(rng, (5, 7), np.float64), integers(rng, (7, 3), np.float64)
    C = np.empty((5, 3))
    product(A, B, C)
    np.testing.assert_array_equal(C, reference.multiply(A, B))


WIDTH = TILE_VECTORS * LANE_BYTES // 4
SIZES = [
    (TILE_ROWS - 1, WIDTH - 1, 3),
    (TILE_ROWS, WIDTH, 4),
    (TILE_ROWS + 1, WIDTH + 1, 5),
    (3 * TILE_ROWS + 2, 2 * WIDTH + WIDTH // 2, DEPTH - 1),
    (17, 31, DEPTH),
    (17, 33, DEPTH + 1),
    (5, 9, 2 * DEPTH + 3),
    (ROWS - 1, 7, 2),
    (ROWS, 20, DEPTH + 7),
    (ROWS + 1, 49, 9),
    (2 * ROWS + 13, 5, DEPTH + 1),
    (3, COLUMNS - 1, 2),
    (TILE_ROWS + 3, COLUMNS + 1, DEPTH + 1),
    (1, 1, 3 * DEPTH),
    (1, COLUMNS + WIDEST, 1),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes_around_tiles_and_blocks(size, dtype):
    m, n, k = size
    rng = np.random.default_rng(m)
    A, B = integers(rng, (m, k), dtype), integers(rng, (k, n), dtype)
    frame, C = guarded(m, n, dtype)
    product(A, B, C)
    assert_only_inside(frame, C, A.astype(np.int64) @ B.astype(np.int64))


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def spread(X):
    """The same values two apart in both directions, NaN between them."""
    frame = np.full((2 * X.shape[0], 2 * X.shape[1]), np.nan, X.dtype)
    frame[::2, ::2] = X
    return frame[::2, ::2]


LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "transposed": lambda X: np.ascontiguousarray(X.T).T,
    "every second": spread,
    "reversed rows": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "reversed columns": lambda X: np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "read-only": read_only,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("left", LAYOUTS)
def test_layouts_of_the_factors(left, right, dtype):
    rng = np.random.default_rng(2)
    A, B = integers(rng, (29, 27), dtype), integers(rng, (27, 53), dtype)
    C = np.full((29, 53), np.nan, dtype)
    product(LAYOUTS[left](A), LAYOUTS[right](B), C)
    np.testing.assert_array_equal(C, A.astype(np.int64) @ B.astype(np.int64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps", [(1, 1), (1, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("turn", [(1, 1), (-1, 1), (1, -1)])
def test_layouts_of_the_product(steps, order, turn, dtype):
    rng = np.random.default_rng(3)
    depth = DEPTH + 2  # so that a later block of k is added to C
    A, B = integers(rng, (19, depth), dtype), integers(rng, (depth, 58), dtype)
    frame, C = guarded(19, 58, dtype, steps, order)
    C = C[:: turn[0], :: turn[1]]
    product(A, B, C)
    assert_only_inside(frame, C, A.astype(np.int64) @ B.astype(np.int64))


@pytest.mark.parametrize("dtype", DTYPES)
def test_broadcast_factors(dtype):
    rng = np.random.default_rng(4)
    row, column = integers(rng, (1, 27), dtype), integers(rng, (27, 1), dtype)
    A, B = np.broadcast_to(row, (20, 27)), np.broadcast_to(column, (27, 50))
    C = np.full((20, 50), np.nan, dtype)
    product(A, B, C)
    np.testing.assert_array_equal(C, np.broadcast_to(row @ column, (20, 50)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_identities(dtype):
    rng = np.random.default_rng(5)
    A = rng.standard_normal((61, 61)).astype(dtype)
    unit = np.eye(61, dtype=dtype)
    C = np.full_like(A, np.nan)
    product(A, unit, C)
    np.testing.assert_array_equal(C, A)
    product(unit, A, C)
    np.testing.assert_array_equal(C, A)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rounding_stays_within_the_bound(dtype):
    rng = np.random.default_rng(6)
    A = rng.standard_normal((40, 700)).astype(dtype)
    B = rng.standard_normal((700, 60)).astype(dtype)
    C = np.empty((40, 60), dtype)
    product(A, B, C)
    assert_product_close(C, A, B)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_have_the_bits_of_the_whole(dtype):
    rng = np.random.default_rng(7)
    A = rng.standard_normal((53, 300)).astype(dtype)
    B = rng.standard_normal((300, 117)).astype(dtype)
    C, parts = np.empty((53, 117), dtype), np.empty((53, 117), dtype)
    product(A, B, C)
    for rows in (slice(0, 11), slice(11, 53)):
        for columns in (slice(0, 1), slice(1, 70), slice(70, 117)):
            product(A[rows], B[:, columns], parts[rows, columns])
    np.testing.assert_array_equal(parts, C)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_propagate(bad, dtype):
    A, B = np.ones((9, 5), dtype), np.ones((5, 40), dtype)
    A[4, 2] = bad
    C = np.zeros((9, 40), dtype)
    product(A, B, C)
    np.testing.assert_array_equal(C[4], np.full(40, bad, dtype))
    assert (np.delete(C, 4, axis=0) == 5).all()


@pytest.mark.parametrize("shape", [(0, 4, 3), (5, 0, 3), (0, 0, 0), (2, 3, 0), (1, 1, 1)], ids=str)
def test_sizes_zero_and_one(shape):
    m, n, k = shape
    C = np.full((m, n), np.nan)
    matmul(np.ones((m, k)), np.ones((k, n)), C)
    np.testing.assert_array_equal(C, np.full((m, n), float(k)))


@numba.njit
def power(A, exponent):
    """What a user might write: the kernel inside of a loop of their own."""
    result = np.eye(len(A), dtype=A.dtype)
    for _ in range(exponent):
        product = np.empty_like(result)
        matmul(result, A, product)
        result = product
    return result


@numba.njit
def gram_of_slices(A, C):
    matmul(A[::2].T, A[::2], C)


@pytest.mark.parametrize("dtype", DTYPES)
def test_callable_from_compiled_code(dtype):
    A = np.array([[1, 1], [1, 0]], dtype)
    np.testing.assert_array_equal(power(A, 20), [[10946, 6765], [6765, 4181]])
    X = integers(np.random.default_rng(8), (31, 14), dtype)
    C = np.full((14, 14), np.nan, dtype)
    gram_of_slices(X, C)
    np.testing.assert_array_equal(C, X[::2].T @ X[::2])
