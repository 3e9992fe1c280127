"""Integers, powers of two and polynomials of vector registers: exact where nothing is rounded."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mmlfast.kernels._jit import kernel
from mmlfast.kernels._simd import HAS_FMA, LANE_BYTES
from mmlfast.kernels._vector_bits import (
    constant,
    exponent,
    multiply_add,
    nearest,
    polynomial,
    power_of_two,
    product_error,
    scaled,
    shifted,
    significand,
    split,
    two_to,
)
from mmlfast.kernels._vectors import read, write

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
COEFFICIENTS = ((1.0, -2.0, 3.0), (5.0, 0.0, -1.0, 2.0))


# Kernels that reassociate: what is promised here has to hold there too.
@kernel
def unary(x, out, lanes):
    for i in range(0, x.size, lanes):
        v = read(x, i)
        write(out, i, nearest(v))
        write(out, x.size + i, two_to(nearest(v)))
        write(out, 2 * x.size + i, polynomial(v, COEFFICIENTS))
        write(out, 3 * x.size + i, constant(v, (1.5, 2.5)))
        write(out, 4 * x.size + i, multiply_add(v, 3.0, v))
        write(out, 5 * x.size + i, shifted(multiply_add(v, 0.0, 1.5), nearest(v)))


@kernel
def binary(x, y, out, lanes):
    for i in range(0, x.size, lanes):
        a, b = read(x, i), read(y, i)
        write(out, i, scaled(a, b))
        p = a * b
        write(out, x.size + i, p)
        write(out, 2 * x.size + i, product_error(a, b, p))


@kernel
def pieces(x, out, lanes):
    for i in range(0, x.size, lanes):
        k, f = split(read(x, i))
        write(out, i, k)
        write(out, x.size + i, f)


def padded(numbers, dtype):
    lanes = LANE_BYTES // np.dtype(dtype).itemsize
    numbers = np.asarray(numbers, dtype)
    return np.resize(numbers, lanes * -(-numbers.size // lanes)), lanes


def run(function, rows, dtype, *columns):
    arrays = [padded(column, dtype)[0] for column in columns]
    out = np.full(rows * arrays[0].size, np.nan, dtype)
    function(*arrays, out, padded(columns[0], dtype)[1])
    return [*arrays, *out.reshape(rows, -1)]


@each_dtype
def test_integers_and_polynomials_are_exact(dtype):
    numbers = [0, 0.25, 0.5, 0.75, 1.5, 2.5, -0.5, -1.5, -2.5, -126, 127, 3.75]
    x, rounded, power, value, chosen, sums, moved = run(unary, 6, dtype, numbers)
    np.testing.assert_array_equal(rounded, np.round(x))
    np.testing.assert_array_equal(power, 2.0 ** np.round(x).astype(int))
    c = COEFFICIENTS[0 if dtype is np.float32 else 1]
    np.testing.assert_array_equal(value, np.polynomial.polynomial.polyval(x, c))
    np.testing.assert_array_equal(chosen, 1.5 if dtype is np.float32 else 2.5)
    np.testing.assert_array_equal(sums, 4 * x)
    np.testing.assert_array_equal(moved, 1.5 * 2.0 ** np.round(x))


@each_dtype
def test_the_nearest_integer_of_large_numbers(dtype):
    largest = 2.0 ** (np.finfo(dtype).nmant - 2)
    numbers = [largest, -largest, largest - 0.5, 0.5 - largest, 1e4 / 3]
    x, rounded, *_ = run(unary, 6, dtype, numbers)
    np.testing.assert_array_equal(rounded, np.round(x))


@each_dtype
def test_scaling_reaches_past_the_range_and_rounds_once(dtype):
    limits = np.finfo(dtype)
    top, bottom = limits.maxexp, limits.minexp - limits.nmant
    k = [0, 1, top - 1, top, top + 9, bottom, bottom - 1, bottom - 2, bottom - 50, -3]
    for x in (1, -1.5, 1 + limits.eps, 1.75):
        a, b, y, *_ = run(binary, 3, dtype, np.full(len(k), x), k)
        with np.errstate(over="ignore", under="ignore"):
            expected = np.ldexp(a.astype(np.longdouble), b.astype(int)).astype(dtype)
        if np.finfo(np.longdouble).nmant > limits.nmant:
            np.testing.assert_array_equal(y, expected)


@each_dtype
def test_split_takes_out_the_power_of_two(dtype):
    limits = np.finfo(dtype)
    root = np.sqrt(dtype(2))
    numbers = [1, root, np.nextafter(root, dtype(0)), root / 2, 3, 0.1, limits.max, limits.tiny]
    x, k, f = run(pieces, 2, dtype, numbers)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.ldexp(f, k.astype(int) - 1) * 2, x)
    assert (f >= dtype(np.sqrt(0.5) * (1 - limits.eps))).all()
    assert (f < root).all()


@each_dtype
def test_a_product_and_its_error_make_the_exact_product(dtype):
    rng = np.random.default_rng(0)
    x, y, _, product, error = run(binary, 3, dtype, *rng.uniform(-30, 30, (2, 200)))
    np.testing.assert_array_equal(product, x * y)
    # Halves of 26 and 27 bits: without FMA the last of 106 bits may be lost.
    allowed = 0 if HAS_FMA or dtype is np.float32 else Fraction(2) ** -100
    for a, b, p, e in zip(x, y, product, error, strict=True):
        exact = Fraction(float(a)) * Fraction(float(b))
        assert abs(exact - Fraction(float(p)) - Fraction(float(e))) <= allowed * abs(exact)


@kernel
def parts(a, out, width):
    x = read(a, 0)
    write(out, 0, significand(x))
    write(out, width, exponent(x))
    write(out, 2 * width, power_of_two(x))


@each_dtype
def test_significand_and_exponent_make_the_number(dtype):
    width = LANE_BYTES // np.dtype(dtype).itemsize
    limits = np.finfo(dtype)
    numbers = np.array([1, -1, 1.5, -3, 0.1, limits.max, limits.tiny, -1e-30], dtype)
    for start in range(0, len(numbers), 2):
        a = np.resize(numbers[start : start + 2], width)
        out = np.empty(3 * width, dtype)
        parts(a, out, width)
        f, e, power = out.reshape(3, width)
        np.testing.assert_array_equal(np.ldexp(f, e.astype(int)), a, strict=True)
        assert (np.abs(f) >= 1).all()
        assert (np.abs(f) < 2).all()
        np.testing.assert_array_equal(power, np.ldexp(np.ones_like(f), e.astype(int)))


@each_dtype
def test_the_power_of_two_of_what_has_none(dtype):
    width = LANE_BYTES // np.dtype(dtype).itemsize
    out = np.empty(3 * width, dtype)
    for number, expected in ((0, 0), (np.finfo(dtype).smallest_subnormal, 0), (-np.inf, np.inf)):
        parts(np.full(width, number, dtype), out, width)
        np.testing.assert_array_equal(out[2 * width :], expected)
