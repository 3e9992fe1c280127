"""Elementary functions: errors in ulp over the whole range, ends of the range, tails of arrays."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels import _elementary, elementary
from mmlfast.kernels._jit import kernel
from mmlfast.kernels._simd import HAS_FMA, LANE_BYTES
from mmlfast.kernels._vectors import read, write
from tests.reference_elementary import DOUBLE, hard_numbers, special_numbers, ulp_errors

FUNCTIONS = sorted(DOUBLE)
DTYPES = [np.float32, np.float64]
BOUND = dict.fromkeys(FUNCTIONS, 2.0) | {"gelu_slope": 3.0, "gelu_tanh_slope": 4.0}
if not HAS_FMA:
    BOUND |= {"gelu": 2.5, "gelu_slope": 4.0}


each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def apply(name, x):
    out = np.full_like(x, np.nan)
    getattr(elementary, name)(x, out)
    return out


@each_dtype
@each_function
def test_few_ulp_from_the_exact_value(name, dtype):
    x = hard_numbers(dtype, 100_000 if dtype is np.float32 else 300)
    errors = ulp_errors(name, x, apply(name, x))
    worst = int(errors.argmax())
    assert errors[worst] <= BOUND[name], f"{errors[worst]} ulp at {x[worst]!r}"


INF, NAN = np.inf, np.nan
LIMITS = {
    "exp": [(-INF, 0), (-800, 0), (-0.0, 1), (0, 1), (800, INF), (INF, INF)],
    "expm1": [(-INF, -1), (-800, -1), (-0.0, -0.0), (0, 0), (800, INF), (INF, INF)],
    "log": [(-INF, NAN), (-1, NAN), (-0.0, -INF), (0, -INF), (1, 0), (INF, INF)],
    "log1p": [(-INF, NAN), (-2, NAN), (-1, -INF), (-0.0, -0.0), (0, 0), (INF, INF)],
    "tanh": [(-INF, -1), (-800, -1), (-0.0, -0.0), (0, 0), (800, 1), (INF, 1)],
    "sigmoid": [(-INF, 0), (-800, 0), (-0.0, 0.5), (0, 0.5), (800, 1), (INF, 1)],
    "softplus": [(-INF, 0), (-800, 0), (800, 800), (INF, INF)],
    "erf": [(-INF, -1), (-800, -1), (-0.0, -0.0), (0, 0), (800, 1), (INF, 1)],
    "gelu": [(-INF, -0.0), (-800, -0.0), (-0.0, -0.0), (0, 0), (800, 800), (INF, INF)],
    "gelu_slope": [(-INF, 0), (-800, 0), (-0.0, 0.5), (0, 0.5), (800, 1), (INF, 1)],
    "gelu_tanh": [(-INF, -0.0), (-800, -0.0), (-0.0, -0.0), (0, 0), (800, 800), (INF, INF)],
    "gelu_tanh_slope": [(-INF, 0), (-800, 0), (-0.0, 0.5), (0, 0.5), (800, 1), (INF, 1)],
}


@each_dtype
@each_function
def test_ends_of_the_range_are_exact(name, dtype):
    x, expected = np.array([*LIMITS[name], (NAN, NAN)], dtype).T
    y = apply(name, x.copy())
    np.testing.assert_array_equal(y, expected)
    if not name.endswith("slope"):
        numbers = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(y[numbers]), np.signbit(expected[numbers]))


@each_dtype
@each_function
def test_every_length_touches_nothing_else(name, dtype):
    """A register more or less, in place too: every element as in the longest array."""
    lanes = LANE_BYTES // np.dtype(dtype).itemsize
    longest = 3 * lanes + 1
    x = np.linspace(0.1, 3, longest).astype(dtype)
    expected = apply(name, x)
    for length in range(longest + 1):
        out = np.full(longest + 2, np.nan, dtype)
        getattr(elementary, name)(x[:length], out[1 : 1 + length])
        np.testing.assert_array_equal(out[1 : 1 + length], expected[:length])
        assert np.isnan(out[[0, *range(1 + length, longest + 2)]]).all()
        inside = x.copy()
        getattr(elementary, name)(inside[:length], inside[:length])
        np.testing.assert_array_equal(inside[:length], expected[:length])
        np.testing.assert_array_equal(inside[length:], x[length:])


@kernel
def fast(x, out):
    for i in range(0, x.size, LANE_BYTES // x.itemsize):
        v = read(x, i)
        write(out, i, _elementary.exp(v))
        write(out, x.size + i, _elementary.log1p(v))
        write(out, 2 * x.size + i, _elementary.expm1(v))
        write(out, 3 * x.size + i, _elementary.gelu(v))
        write(out, 4 * x.size + i, _elementary.gelu_tanh(v))


@each_dtype
def test_same_bits_inside_a_kernel_that_reassociates(dtype):
    x = hard_numbers(dtype, 2000)
    x = x[: x.size - x.size % 16]
    out = np.full(5 * x.size, np.nan, dtype)
    fast(x, out)
    names = ("exp", "log1p", "expm1", "gelu", "gelu_tanh")
    expected = np.concatenate([apply(name, x) for name in names])
    np.testing.assert_array_equal(out, expected)


@each_function
def test_specials_are_the_same_in_every_lane(name):
    x = special_numbers(np.float32)
    expected = np.tile(apply(name, x), 17)
    np.testing.assert_array_equal(apply(name, np.tile(x, 17)), expected)
