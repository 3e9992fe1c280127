"""Products with one vector and the steps between them, against the plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse

from mmlfast.kernels import power as kernels
from mmlfast.runtime.validate import base_of
from tests import reference_power as reference
from tests.tolerance import tol

WORK = ["float32", "float64"]


def whole(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


@pytest.mark.parametrize("dtype", WORK)
@pytest.mark.parametrize("n", [*range(1, 14), 50])
@pytest.mark.parametrize("kernel", ["times_rows", "times_columns"])
def test_dense_products_are_exact(kernel, n, dtype):
    A, x = whole((n, n), dtype), whole(n, dtype, 1)
    base, strides = base_of(A if kernel == "times_rows" else np.asfortranarray(A))
    stride = strides[0] if kernel == "times_rows" else strides[1]
    for span in ((0, n), (n // 2, n), (0, n - n // 3)):
        y = np.full(n, np.nan, dtype)
        getattr(kernels, kernel)(base, stride, span, x, y)
        inside = slice(*span)
        np.testing.assert_array_equal(y[inside], reference.product_of_rows(A, span, x))
        y[inside] = np.nan
        assert np.isnan(y).all()


@pytest.mark.parametrize("kernel", ["times_rows", "times_columns"])
def test_same_bits_however_the_rows_are_cut(kernel):
    n = 203
    A = np.random.default_rng(0).standard_normal((n, n))
    x = np.random.default_rng(1).standard_normal(n)
    base, (stride, _) = base_of(A)
    whole_y, parts_y = np.empty(n), np.empty(n)
    multiply = getattr(kernels, kernel)
    multiply(base, stride, (0, n), x, whole_y)
    for span in ((0, 64), (64, 128), (128, n)):
        multiply(base, stride, span, x, parts_y)
    np.testing.assert_array_equal(parts_y, whole_y)
    exact = A @ x if kernel == "times_rows" else A.T @ x
    bound = tol("float64", n) * (np.abs(A) @ np.abs(x) + np.abs(A.T) @ np.abs(x))
    assert (np.abs(whole_y - exact) <= bound).all()


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("dtype", WORK)
def test_sparse_products_are_exact(dtype, index):
    dense = whole((40, 40), dtype) * (whole((40, 40), dtype, 1) > 2)
    dense[7] = 0
    A = scipy.sparse.csr_array(dense)
    arrays = (A.indptr.astype(index), A.indices.astype(index), A.data)
    x, X = whole(40, dtype, 2), whole((40, 5), dtype, 3)
    for span in ((0, 40), (3, 21), (7, 8)):
        y, Y = np.full(40, np.nan, dtype), np.full((40, 5), np.nan, dtype)
        kernels.times_sparse(*arrays, span, x, y)
        kernels.times_sparse_block(*arrays, span, X, Y)
        for product, factor in ((y, x), (Y, X)):
            expected = reference.product_of_rows(dense, span, factor)
            np.testing.assert_array_equal(product[slice(*span)], expected)
            product[slice(*span)] = np.nan
            assert np.isnan(product).all()


@pytest.mark.parametrize("dtype", WORK)
@pytest.mark.parametrize("n", [1, 5, 100])
def test_a_step_is_exact(n, dtype):
    v, w = whole(n, dtype), whole(n, dtype, 1)
    shifted = w - 2 * v
    along, squares = kernels.rayleigh(v, w, 2.0)
    np.testing.assert_array_equal(w, shifted)
    assert along == float(v.astype(float) @ shifted)
    assert squares == float(shifted.astype(float) @ shifted)
    rest = kernels.advance(v, w, 3.0, 0.5)
    assert rest == float(((shifted - 3 * v).astype(float) ** 2).sum())
    np.testing.assert_array_equal(w, shifted / 2)


def test_steps_of_float32_are_summed_in_float64():
    v = np.full(1 << 20, 1e-3, np.float32)
    along, squares = kernels.rayleigh(v, v.copy(), 0.0)
    expected = float(np.float32(1e-3)) ** 2 * (1 << 20)
    assert math.isclose(along, expected, rel_tol=1e-10)
    assert math.isclose(squares, expected, rel_tol=1e-10)


def test_bad_numbers_are_passed_on():
    v, w = np.ones(9), np.ones(9)
    w[4] = np.nan
    assert all(math.isnan(x) for x in kernels.rayleigh(v, w, 0.0))
