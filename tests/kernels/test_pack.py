"""Packing puts every element where the tile reads it, and zeros where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels._simd import LANE_BYTES, TILE_ROWS, TILE_VECTORS
from mmlfast.kernels.pack import pack_columns, pack_rows
from mmlfast.runtime.validate import base_of
from tests import reference

DTYPES = [np.float32, np.float64]
ORDERS = {"C": lambda X: X, "F": np.asfortranarray, "reversed": lambda X: X[::-1, ::-1]}


def numbers(shape, dtype, order):
    return ORDERS[order](np.arange(1, 1 + np.prod(shape), dtype=dtype).reshape(shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n_rows", [1, TILE_ROWS - 1, TILE_ROWS, TILE_ROWS + 1, 3 * TILE_ROWS])
def test_rows(n_rows, order, dtype):
    A = numbers((n_rows, 5), dtype, order)
    expected = reference.pack_rows(A, TILE_ROWS)
    packed = np.full(expected.size + 3, np.nan, dtype)
    pack_rows(*_base_first(A), n_rows, 5, packed)
    np.testing.assert_array_equal(packed[:-3], expected)
    assert np.isnan(packed[-3:]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_columns(extra, order, dtype):
    width = TILE_VECTORS * LANE_BYTES // np.dtype(dtype).itemsize
    n_columns = 2 * width + extra
    B = numbers((4, n_columns), dtype, order)
    expected = reference.pack_columns(B, width)
    packed = np.full(expected.size + 3, np.nan, dtype)
    pack_columns(*_base_first(B), 4, n_columns, packed)
    np.testing.assert_array_equal(packed[:-3], expected)
    assert np.isnan(packed[-3:]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_block_inside_of_a_matrix(dtype):
    A = numbers((20, 30), dtype, "C")
    base, strides = base_of(A)
    expected = reference.pack_rows(A[3:16, 7:18], TILE_ROWS)
    packed = np.full(expected.size, np.nan, dtype)
    pack_rows(base, 3 * 30 + 7, strides, 13, 11, packed)
    np.testing.assert_array_equal(packed, expected)


def _base_first(X):
    base, strides = base_of(X)
    return base, 0, strides
