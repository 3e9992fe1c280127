"""Products that read one triangle, against the plain loops: exact on whole numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmlfast.kernels import symmetric as kernels
from mmlfast.runtime.validate import aligned, base_of
from tests import reference_power as reference
from tests.tolerance import tol

WORK = ["float32", "float64"]


def whole(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def symmetric(n, dtype, seed=0):
    """A whole-number symmetric matrix whose upper triangle holds NaN: it must not be read."""
    A = whole((n, n), dtype, seed)
    full = np.tril(A) + np.tril(A, -1).T
    A[np.triu_indices(n, 1)] = np.nan
    return A, full


def vector_share(A, rows, x):
    """times_vector into the middle of an array of NaN."""
    base, (stride, _) = base_of(A)
    frame = np.full(rows[1] + 2, np.nan, x.dtype)
    kernels.times_vector(base, stride, rows, x, frame[1:-1])
    assert np.isnan(frame[[0, -1]]).all()
    return frame[1:-1]


def block_share(A, rows, V):
    base, (stride, _) = base_of(A)
    frame = aligned((rows[1] + 2, V.shape[1]), V.dtype)
    frame[:] = np.nan
    kernels.times_block(base, stride, rows, V, frame[1:-1])
    assert np.isnan(frame[[0, -1]]).all()
    return frame[1:-1]


@pytest.mark.parametrize("dtype", WORK)
@pytest.mark.parametrize("n", [*range(1, 20), 67, 130])
def test_products_with_one_triangle_are_exact(n, dtype):
    A, full = symmetric(n, dtype)
    x = whole(n, dtype, 1)
    np.testing.assert_array_equal(vector_share(A, (0, n), x), full @ x)
    V = whole((n, kernels.block_width(A.dtype)), dtype, 2)
    np.testing.assert_array_equal(block_share(A, (0, n), V), full @ V)


@pytest.mark.parametrize("dtype", WORK)
@pytest.mark.parametrize("rows", [(0, 1), (3, 4), (5, 29), (8, 40), (16, 37)])
def test_a_range_of_rows_gives_its_share(rows, dtype):
    A, _ = symmetric(40, dtype)
    x, V = whole(40, dtype, 1), whole((40, kernels.block_width(A.dtype)), dtype, 2)
    np.testing.assert_array_equal(
        vector_share(A, rows, x), reference.lower_triangle_product(A, rows, x)
    )
    np.testing.assert_array_equal(
        block_share(A, rows, V), reference.lower_triangle_product(A, rows, V)
    )


@pytest.mark.parametrize("layout", ["strided", "reversed", "every other row"])
def test_any_stride_between_rows(layout):
    A, full = symmetric(33, "float64")
    laid = {
        "strided": np.full((33, 50), np.nan)[:, :33],
        "reversed": np.full((33, 33), np.nan)[::-1],
        "every other row": np.full((66, 33), np.nan)[::2],
    }[layout]
    laid[:] = A
    x = whole(33, "float64", 1)
    np.testing.assert_array_equal(vector_share(laid, (0, 33), x), full @ x)


@pytest.mark.parametrize("n", [1, 7, 600, 601, 2000, 100_000])
def test_cuts_share_the_triangle_out_evenly(n):
    cuts = kernels.triangle_cuts(n)
    assert cuts[0] == 0
    assert cuts[-1] == n
    assert len(cuts) - 1 <= kernels.MOST_PARTS
    areas = [hi * hi - lo * lo for lo, hi in itertools.pairwise(cuts)]
    assert min(areas) > 0
    if n >= 2000:
        assert max(areas) < 1.1 * min(areas)


@pytest.mark.parametrize("dtype", WORK)
def test_parts_add_up_to_the_product(dtype):
    n, cuts = 61, np.array([0, 24, 40, 61])
    A, full = symmetric(n, dtype)
    V = whole((n, kernels.block_width(A.dtype)), dtype, 2)
    parts = np.full((3, V.size), np.nan, dtype)
    for p, rows in enumerate(itertools.pairwise(cuts)):
        parts[p, : rows[1] * V.shape[1]] = block_share(A, rows, V).ravel()
    total = np.full_like(V, np.nan)
    kernels.add_parts(parts, cuts, V.shape[1], total.reshape(-1))
    np.testing.assert_array_equal(total, full @ V)


@pytest.mark.parametrize("dtype", WORK)
def test_rounding_stays_within_the_bound(dtype):
    n = 300
    A = np.random.default_rng(3).standard_normal((n, n)).astype(dtype)
    A = np.tril(A) + np.tril(A, -1).T
    V = np.random.default_rng(4).standard_normal((n, kernels.block_width(A.dtype))).astype(dtype)
    bound = 2 * tol(dtype, n) * (np.abs(A).astype(float) @ np.abs(V))
    exact = A.astype(np.float64) @ V
    assert (np.abs(block_share(A, (0, n), V) - exact) <= bound).all()
    assert (np.abs(vector_share(A, (0, n), V[:, 0].copy()) - exact[:, 0]) <= bound[:, 0]).all()


@pytest.mark.parametrize("dtype", WORK)
@pytest.mark.parametrize("rows", [(0, 1), (0, 32), (32, 70), (7, 45), (0, 70)])
def test_triangle_squares_are_exact(rows, dtype):
    A = whole((70, 70), dtype)
    square = np.empty((kernels.SQUARE, kernels.SQUARE), dtype)
    for layout in (A, np.asfortranarray(A), A[::-1, ::-1]):
        sums = np.full(2, np.nan)
        kernels.triangle_squares(*base_of(layout), rows, square, sums)
        assert tuple(sums) == reference.triangle_squares(layout, rows)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0), (5, 69), (69, 5), (40, 41)])
def test_a_bad_number_spoils_the_first_sum(where, bad):
    A = np.zeros((70, 70))
    A[where] = bad
    sums = np.empty(2)
    square = np.empty((kernels.SQUARE, kernels.SQUARE))
    kernels.triangle_squares(*base_of(A), (0, 70), square, sums)
    assert not np.isfinite(sums[0])
