"""Optimiser steps against one number at a time."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels import optimizers
from mmlfast.kernels._simd import LANE_BYTES
from tests import reference_optimizers as reference
from tests.tolerance import tol

RULES = ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
DTYPES = ("float32", "float64")


def settings_of(dtype, *numbers):
    return tuple(np.dtype(dtype).type(number) for number in numbers)


def state(size, dtype, random):
    p, g, m = random.standard_normal((3, size)).astype(dtype)
    return p, g, m, np.abs(random.standard_normal(size)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_follows_its_equations(rule, dtype):
    random = np.random.default_rng(3)
    width = LANE_BYTES // np.dtype(dtype).itemsize
    settings = settings_of(dtype, 0.1, 0.9, 0.99, 1e-3, 0.5, 0.25)
    for size in (1, 3, width, 2 * width + 5):
        p, g, m, v = state(size, dtype, random)
        expected = np.array([
            reference.update(rule, *map(float, numbers), tuple(map(float, settings)))
            for numbers in zip(p, g, m, v, strict=True)
        ])  # fmt: skip
        slope = g.astype(float) + float(settings[4]) * p
        square, size_after = optimizers.update(
            RULES.index(rule), p, g, m, v, (0, size), settings
        )
        for actual, wanted in zip((p, m, v), expected.T, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=tol(dtype, 20), atol=tol(dtype, 4))
        np.testing.assert_allclose(square, slope @ slope, rtol=tol(dtype, 100))
        np.testing.assert_allclose(size_after, p.astype(float) @ p, rtol=tol(dtype, 100))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
def test_nothing_beyond_the_range_is_touched(rule, dtype):
    arrays = state(40, dtype, np.random.default_rng(0))
    before = [array.copy() for array in arrays]
    optimizers.update(
        RULES.index(rule), *arrays, (3, 31), settings_of(dtype, 0.1, 0.9, 0.9, 1e-8, 0, 0)
    )
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array[:3], old[:3])
        np.testing.assert_array_equal(array[31:], old[31:])
    assert (arrays[0][3:31] != before[0][3:31]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_numbers_are_exact(dtype):
    p, g = np.arange(40, dtype=dtype), np.arange(40, dtype=dtype)[::-1].copy()
    m, v = np.ones(40, dtype), np.zeros(40, dtype)
    expected = p + (3 * m - 2 * (g + p))
    square, _ = optimizers.update(
        optimizers.MOMENTUM, p, g, m, v, (0, 40), settings_of(dtype, 2, 3, 0, 0, 1, 0)
    )
    np.testing.assert_array_equal(p, expected)
    assert square == 40 * 39**2
