"""Small products without packing: every size, any A, nothing written beside C."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmlfast.kernels._simd import LANE_BYTES
from mmlfast.kernels.small import multiply_each
from mmlfast.runtime.validate import aligned
from tests import reference

DTYPES = ["float32", "float64"]
COUNT = 3


def whole(rng, shape, dtype):
    return rng.integers(-9, 10, shape).astype(dtype)


def run(A, B, C, lo=0, hi=COUNT, streamed=False):
    """Multiply stacks of matrices; C may be a view whose rows have gaps."""
    at = [np.arange(COUNT) * (X.strides[0] // X.itemsize) for X in (A, B, C)]
    steps = [(X.strides[1] // X.itemsize, X.strides[2] // X.itemsize) for X in (A, B, C)]
    flat = [np.lib.stride_tricks.as_strided(X, (1,), (X.itemsize,)) for X in (A, B, C)]
    shape = (C.shape[1], C.shape[2], A.shape[2])
    multiply_each(
        flat[0], at[0], steps[0], flat[1], at[1], steps[1][0], flat[2], at[2], steps[2][0], shape,
        (lo, hi), streamed,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [0, 1, 2, 3, 8])
def test_all_small_sizes(k, dtype):
    rng = np.random.default_rng(k)
    for m, n in itertools.product(range(1, 18), (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40)):
        A, B = whole(rng, (COUNT, m, k), dtype), whole(rng, (COUNT, k, n), dtype)
        frame = np.full((COUNT, m + 2, n + 40), np.nan, dtype)
        C = frame[:, 1:-1, 3 : 3 + n]
        run(A, B, C)
        for i in range(COUNT):
            np.testing.assert_array_equal(C[i], reference.multiply(A[i], B[i]))
        C[:] = np.nan
        assert np.isnan(frame).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_of_the_left_factor(dtype):
    rng = np.random.default_rng(0)
    A, B = whole(rng, (2 * COUNT, 22, 26), dtype), whole(rng, (COUNT, 13, 19), dtype)
    transposed = np.ascontiguousarray(A[:COUNT, :11, :13].swapaxes(1, 2)).swapaxes(1, 2)
    for left in (A[::2, ::2, ::2], A[:COUNT, ::-2, :13], transposed, A[COUNT:, :11, -13:]):
        C = np.full((COUNT, left.shape[1], 19), np.nan, dtype)
        run(left, B, C)
        np.testing.assert_array_equal(C, left @ B)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ranges_of_the_stack(dtype):
    rng = np.random.default_rng(0)
    A, B = whole(rng, (COUNT, 5, 6), dtype), whole(rng, (COUNT, 6, 7), dtype)
    C = np.full((COUNT, 5, 7), np.nan, dtype)
    run(A, B, C, 1, 2)
    np.testing.assert_array_equal(C[1], A[1] @ B[1])
    assert np.isnan(C[[0, 2]]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vectors", [1, 2, 3])
def test_all_small_sizes_streamed_past_the_caches(vectors, dtype):
    rng = np.random.default_rng(0)
    n = vectors * LANE_BYTES // np.dtype(dtype).itemsize
    A, B = whole(rng, (COUNT, 11, 9), dtype), whole(rng, (COUNT, 9, n), dtype)
    C = aligned((COUNT, 11, n), dtype)
    C.fill(np.nan)
    run(A, B, C, streamed=True)
    np.testing.assert_array_equal(C, A @ B)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_stay_in_their_row(dtype):
    A, B = np.ones((COUNT, 9, 4), dtype), np.ones((COUNT, 4, 11), dtype)
    A[1, 4, 2], A[1, 8, 0] = np.nan, np.inf
    C = np.zeros((COUNT, 9, 11), dtype)
    run(A, B, C)
    assert np.isnan(C[1, 4]).all()
    assert np.isposinf(C[1, 8]).all()
    C[1, 4], C[1, 8] = 4, 4
    assert (C == 4).all()
