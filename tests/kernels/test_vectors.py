"""Vector registers as values: what each operator and function does in every lane."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import LANE_BYTES
from mmlfast.kernels._vectors import (
    absolute,
    any_lane,
    both,
    maximum,
    minimum,
    read,
    read_apart,
    read_first,
    select,
    splat,
    sqrt,
    transpose,
    write,
    write_apart,
    write_first,
)

DTYPES = ["float32", "float64"]


def lanes_of(dtype):
    return LANE_BYTES // np.dtype(dtype).itemsize


@ordered_kernel
def arithmetic(a, b, out, width):
    x, y = read(a, 0), read(b, 0)
    write(out, 0, x + y)
    write(out, width, x - 2.0)
    write(out, 2 * width, 3 * x)
    write(out, 3 * width, x / y)
    write(out, 4 * width, 1.0 / (absolute(y) + 1.0))
    write(out, 5 * width, sqrt(absolute(x)))
    write(out, 6 * width, splat(out, 7))


@pytest.mark.parametrize("dtype", DTYPES)
def test_arithmetic(dtype):
    width = lanes_of(dtype)
    a = np.arange(1, width + 1, dtype=dtype) * 4
    b = (-1) ** np.arange(width).astype(dtype) * 2
    out = np.full(8 * width, np.nan, dtype)
    arithmetic(a, b, out, width)
    expected = [a + b, a - 2, 3 * a, a / b, 1 / (np.abs(b) + 1), np.sqrt(a), np.full(width, 7)]
    np.testing.assert_array_equal(out.reshape(8, width)[:7], np.array(expected, dtype))
    assert np.isnan(out[7 * width :]).all()


@ordered_kernel
def comparisons(a, b, out, width):
    x, y = read(a, 0), read(b, 0)
    write(out, 0, select(x < y, 1.0, splat(out, 0)))
    write(out, width, select(x > y, x, y))
    write(out, 2 * width, select(x == y, 1, 0))
    write(out, 3 * width, select(both(x > 0.0, y > 0.0), 1, 0))
    return any_lane(x < y), any_lane(x > 1e6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_comparisons_are_false_for_nan(dtype):
    width = lanes_of(dtype)
    a, b = np.ones(width, dtype), np.arange(width, dtype=dtype)
    a[-1] = np.nan
    out = np.empty(4 * width, dtype)
    assert comparisons(a, b, out, width) == ((a < b).any(), False)
    expected = [a < b, np.where(a > b, a, b), a == b, (a > 0) & (b > 0)]
    np.testing.assert_array_equal(out.reshape(4, width), np.array(expected, dtype))


@ordered_kernel
def bounds(a, b, out, width):
    x, y = read(a, 0), read(b, 0)
    write(out, 0, maximum(x, y))
    write(out, width, minimum(x, y))
    write(out, 2 * width, maximum(x, 0.0))
    write(out, 3 * width, minimum(1.0, y))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bound_lets_nan_pass(dtype):
    width = lanes_of(dtype)
    pairs = [(1, 2), (2, -1), (np.nan, 3), (4, np.nan), (-np.inf, np.inf), (np.nan, np.nan)]
    for pair in pairs:
        a, b = (np.full(width, number, dtype) for number in pair)
        out = np.full(4 * width, 9, dtype)
        bounds(a, b, out, width)
        x, y = pair
        expected = [max(x, y), min(x, y), max(x, 0), min(1, y)]
        np.testing.assert_array_equal(out[::width], np.array(expected, dtype), str(pair))


@ordered_kernel
def first_lanes(source, offset, count, out, target):
    write(out, 0, read_first(source, offset, count))
    write_first(target, 1, count, read(source, 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_lanes_alone_are_read_and_written(dtype):
    width = lanes_of(dtype)
    source = np.arange(1, width + 1, dtype=dtype)
    for count in range(width + 1):
        out = np.full(width, np.nan, dtype)
        target = np.full(width + 2, np.nan, dtype)
        first_lanes(source, width - count, count, out, target)
        np.testing.assert_array_equal(out[:count], source[width - count :])
        np.testing.assert_array_equal(out[count:], 0)
        np.testing.assert_array_equal(target[1 : 1 + count], source[:count])
        assert np.isnan(target[[0, *range(1 + count, width + 2)]]).all()


@ordered_kernel
def move(source, stride, target):
    transpose(source, 1, stride, target, 2, stride + 1)


@ordered_kernel
def gather_and_scatter(source, stride, target):
    write_apart(target, 1, stride, read_apart(source, 0, stride))


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose_touches_nothing_else(dtype):
    width = lanes_of(dtype)
    stride = width + 3
    source = np.arange(width * stride + 1, dtype=dtype)
    target = np.full(width * (stride + 1) + 2, np.nan, dtype)
    move(source, stride, target)
    square = source[1:].reshape(width, stride)[:, :width]
    expected = np.full_like(target, np.nan)
    expected[2:].reshape(width, stride + 1)[:, :width] = square.T
    np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stride", [1, 5])
def test_numbers_apart(stride, dtype):
    width = lanes_of(dtype)
    source = np.arange(width * stride, dtype=dtype)
    target = np.full(width * stride + 1, np.nan, dtype)
    gather_and_scatter(source, stride, target)
    expected = np.full_like(target, np.nan)
    expected[1::stride][:width] = source[::stride]
    np.testing.assert_array_equal(target, expected)
