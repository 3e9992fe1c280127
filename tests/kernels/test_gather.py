"""Rows of lanes: sums of gathered ones, exact on small integers, nothing written beside."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels._jit import kernel
from mmlfast.kernels._simd_gather import LANES, gather_lanes, relax_lanes


@kernel
def gathered(weighted, Y, indices, weights, first, count, out):
    if weighted:
        gather_lanes(True, Y, indices, weights, first, count, out)
    else:
        gather_lanes(False, Y, indices, weights, first, count, out)


@kernel
def relaxed(alpha, totals, r, V, e, constant, X, row, Y, y_row, inverse, share, sums):
    relax_lanes(alpha, totals, r, V, e, constant, X, row, Y, y_row, inverse, share, sums)


def whole(seed, *shape):
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("count", range(12))
def test_gathered_rows_are_exact_on_integers(count, weighted):
    Y, weights = whole(0, 30, LANES), whole(1, 20)
    indices = np.random.default_rng(2).integers(0, 30, 20).astype(np.int32)
    out = np.full(LANES + 4, np.nan)
    gathered(weighted, Y, indices, weights, 3, count, out)
    factors = weights[3 : 3 + count] if weighted else np.ones(count)
    np.testing.assert_array_equal(out[:LANES], factors @ Y[indices[3 : 3 + count]])
    assert np.isnan(out[LANES:]).all()


def test_a_relaxed_row_is_exact_on_integers():
    totals, r, e, sums = whole(0, LANES), whole(1, LANES), whole(2, LANES), whole(3, 3 * LANES)
    V, X, before = whole(4, 3, LANES), whole(5, 3, LANES), sums.copy()
    Y, old = np.full((6, LANES), np.nan), X.copy()
    relaxed(0.5, totals, r, V, e, 3.0, X, 1, Y, 4, 0.25, 2.0, sums)
    new = 0.5 * totals + r * V[1] + 3.0 * e
    np.testing.assert_array_equal(X, [old[0], new, old[2]])
    np.testing.assert_array_equal(Y[4], 0.25 * new)
    assert np.isnan(np.delete(Y, 4, axis=0)).all()
    added = np.concatenate([new, 2 * new, np.abs(new - old[1])])
    np.testing.assert_array_equal(sums - before, added)
