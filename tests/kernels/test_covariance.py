"""Shifted second moments: exact on integers of every dtype, the same bits however they are cut."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest

from mmlfast.kernels import covariance as kernels
from mmlfast.runtime.validate import WORK_DTYPES, aligned, base_of, work_dtype
from tests import reference
from tests.tolerance import tol

DTYPES = list(WORK_DTYPES)
WORK = ["float32", "float64"]
# One vector, part of one, several tiles, and more than one group of the panel.
WIDTHS = [1, 7, 64, 201]


def integers(n, d, dtype, seed=0):
    """Values with few bits, the products of which add up exactly even in float32."""
    low = 0 if np.dtype(dtype).kind == "u" else -6
    return np.random.default_rng(seed).integers(low, 7, (n, d)).astype(dtype)


class Workspace:
    """Everything one call needs, made as the library makes it."""

    def __init__(self, d, work):
        self.panel = aligned(kernels.panel_shape(d, work), work, zero=True)
        self.G = aligned(kernels.gram_shape(d, work), work, zero=True)
        self.sums = np.zeros(d, work)
        self.vectors = self.G.shape[1] // kernels.padded_columns(1, work)

    def rows(self, X, shift, lo=0, hi=None, columns=None):
        hi = len(X) if hi is None else hi
        columns = columns or (0, self.vectors)
        base, strides = base_of(X)
        return kernels.gram_rows(
            base, strides, lo, hi, shift, self.panel, columns, self.sums, self.G
        )

    def upper(self):
        d = len(self.sums)
        return np.triu(self.G[:d, :d])


def moments(X, shift):
    space = Workspace(X.shape[1], shift.dtype)
    assert space.rows(X, shift) == len(X)
    return space


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("n", [1, 5, 200])
def test_exact_on_integers(n, d, dtype):
    X = integers(n, d, dtype)
    shift = X[0].astype(work_dtype(X.dtype))
    space = moments(X, shift)
    G, sums = reference.gram(X, shift)
    np.testing.assert_array_equal(space.upper(), np.triu(G))
    np.testing.assert_array_equal(space.sums, sums)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["F", "every second", "reversed", "read-only"])
def test_exact_in_every_layout(layout, dtype):
    X = integers(60, 71, dtype)
    shift = X[0].astype(work_dtype(X.dtype))
    G, sums = reference.gram(X, shift)
    if layout == "F":
        laid_out = np.asfortranarray(X)
    elif layout == "every second":
        laid_out = np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2]
    elif layout == "reversed":
        laid_out = np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    else:
        laid_out = X.copy()
        laid_out.flags.writeable = False
    space = moments(laid_out, shift)
    np.testing.assert_array_equal(space.upper(), np.triu(G))
    np.testing.assert_array_equal(space.sums, sums)


@pytest.mark.parametrize("d", [*range(2, 40), 95, 97, 192, 193, 300])
def test_every_width(d):
    X = integers(30, d, "float64")
    G, _ = reference.gram(X, X[0])
    np.testing.assert_array_equal(moments(X, X[0]).upper(), np.triu(G))


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("d", [7, 64, 201])
def test_padding_stays_zero(d, work):
    X = integers(300, d, work)
    space = moments(X, X[0])
    assert not space.G[:, d:].any()
    assert not np.tril(space.G[:d, :d], -max(64, d)).any()
    columns = reference.from_panel(space.panel, space.panel.shape[1], space.panel[:, 0].size)
    assert not columns[:, d:].any()


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("d", [1, 33, 201])
def test_same_bits_however_the_rows_are_cut(d, work):
    X = np.random.default_rng(1).standard_normal((500, d)).astype(work)
    whole = moments(X, X[3])
    for cuts in ([0, 1, 500], [0, 192, 384, 500], [0, 7, 30, 191, 399, 500]):
        pieces = Workspace(d, X.dtype)
        for lo, hi in itertools.pairwise(cuts):
            pieces.rows(X, X[3], lo, hi)
        np.testing.assert_array_equal(pieces.upper(), whole.upper())
        np.testing.assert_array_equal(pieces.sums, whole.sums)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("d", [64, 201, 500])
def test_same_bits_however_the_columns_are_cut(d, work):
    X = np.random.default_rng(2).standard_normal((250, d)).astype(work)
    whole = moments(X, X[0])
    for n_parts in (2, 3, whole.vectors):
        cuts = np.linspace(0, whole.vectors, n_parts + 1).astype(int)
        parts = Workspace(d, X.dtype)
        for first, last in itertools.pairwise(cuts):
            parts.sums[:] = 0
            parts.rows(X, X[0], columns=(int(first), int(last)))
        np.testing.assert_array_equal(parts.upper(), whole.upper())


@pytest.mark.parametrize("work", WORK)
def test_rounding_stays_within_the_bound(work):
    X = np.random.default_rng(3).standard_normal((400, 50)).astype(work)
    exact, _ = reference.gram(X.astype(np.float64), X[0].astype(np.float64))
    size, _ = reference.gram(np.abs(X - X[0]).astype(np.float64), np.zeros(50))
    bound = tol(work, 400) * size
    assert (np.abs(moments(X, X[0]).upper() - np.triu(exact)) <= bound).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [(0, 0), (191, 70), (192, 3), (450, 40)])
def test_a_bad_number_ends_before_its_panel(at, bad, dtype):
    X = integers(500, 71, dtype)
    X[at] = bad
    shift = np.zeros(71, work_dtype(X.dtype))
    space = Workspace(71, shift.dtype)
    rows = space.panel.shape[1]
    reached = space.rows(X, shift)
    assert reached == at[0] // rows * rows
    G, _ = reference.gram(X[:reached], shift)
    np.testing.assert_array_equal(space.upper(), np.triu(G))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [5, 201])
def test_centre_rows_lays_out_a_panel(d, dtype):
    X = integers(40, d, dtype)
    work = work_dtype(X.dtype)
    shift = X[1].astype(work)
    panel = aligned(kernels.panel_shape(d, work), work, zero=True)
    sums = np.zeros(d, work)
    base, strides = base_of(X)
    kernels.centre_rows(base, strides, 10, 20, shift, panel, 4, sums)
    P, expected_sums = reference.centre_rows(X, 10, 20, shift)
    rows = np.zeros((panel.shape[1], d), work)
    rows[4:24] = P
    np.testing.assert_array_equal(panel, reference.to_panel(rows, panel.shape))
    np.testing.assert_array_equal(sums, expected_sums)


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("d", [5, 201])
def test_weigh_rows(d, work):
    P = integers(30, d, work)
    weights = np.arange(40.0) % 4
    panel = reference.to_panel(P, kernels.panel_shape(d, np.dtype(work)))
    weighted, sums = np.zeros_like(panel), np.zeros(d, work)
    kernels.weigh_rows(panel, weights, 6, 0, 30, weighted, sums)
    expected, expected_sums = reference.weigh_rows(P, weights[6:36])
    np.testing.assert_array_equal(reference.from_panel(weighted, 30, d), expected)
    np.testing.assert_array_equal(sums, expected_sums)


@pytest.mark.parametrize("work", WORK)
def test_rank_update_with_two_factors(work):
    """Weighted rows on the left, the rows themselves on the right."""
    P = integers(25, 201, work)
    weights = (np.arange(25) % 3).astype(work)
    right = reference.to_panel(P, kernels.panel_shape(201, np.dtype(work)))
    left = reference.to_panel(P * weights[:, None], right.shape)
    space = Workspace(201, np.dtype(work))
    kernels.rank_update(left, right, 25, 0, space.vectors, space.G)
    G, _ = reference.gram(P, np.zeros(201, work), weights)
    np.testing.assert_array_equal(space.upper(), np.triu(G))


@pytest.mark.parametrize("work", WORK)
def test_all_finite(work):
    values = np.linspace(-1, 1, 37).astype(work) * np.finfo(work).max
    assert kernels.all_finite(values)
    assert kernels.all_finite(values[:0])
    for bad in (np.nan, np.inf, -np.inf):
        for at in (0, 17, 36):
            spoilt = values.copy()
            spoilt[at] = bad
            assert not kernels.all_finite(spoilt)
            assert not reference.all_finite(spoilt)


@pytest.mark.parametrize("work", WORK)
def test_add_upper_adds_its_columns_and_clears_them(work):
    space = moments(integers(50, 40, work), np.zeros(40, work))
    G, sums, before = space.upper().copy(), space.sums.copy(), space.G.copy()
    total, total_sums = np.ones((40, 40)), np.ones(40)
    kernels.add_upper(space.G, space.sums, (16, space.G.shape[1]), total, total_sums)
    expected = np.ones((40, 40))
    expected[:, 16:] += G[:, 16:]
    np.testing.assert_array_equal(total, expected)
    assert not space.G[:, 16:].any()
    np.testing.assert_array_equal(space.G[:, :16], before[:, :16])
    assert (total_sums == 1).all()
    kernels.add_upper(space.G, space.sums, (0, 16), total, total_sums)
    np.testing.assert_array_equal(total, 1 + G)
    np.testing.assert_array_equal(total_sums, 1 + sums)
    assert not space.G.any()
    assert not space.sums.any()


@pytest.mark.parametrize("bad_row", [None, 5, 130, 299])
def test_superblocks(bad_row):
    X = integers(300, 9, "float32")
    if bad_row is not None:
        X[bad_row, 2] = np.nan
    space = Workspace(9, X.dtype)
    G, sums = np.zeros((3, *space.G.shape), X.dtype), np.zeros((3, 9), X.dtype)
    shift = np.zeros(9, X.dtype)
    base, strides = base_of(X)
    done = kernels.gram_superblocks(base, strides, 0, 300, 128, shift, space.panel, sums, G)
    assert done == (3 if bad_row is None else bad_row // 128)
    for b in range(done):
        expected, t = reference.gram(X[b * 128 : (b + 1) * 128], shift)
        np.testing.assert_array_equal(np.triu(G[b, :9, :9]), np.triu(expected))
        np.testing.assert_array_equal(sums[b], t)


@pytest.mark.parametrize("bad_row", [None, 5, 130, 383])
def test_superblocks_in_some_columns(bad_row):
    X = integers(384, 100, "float32")
    if bad_row is not None:
        X[bad_row, 99] = np.inf
    space = Workspace(100, X.dtype)
    shift = np.zeros(100, X.dtype)
    total, t = np.zeros((100, 100)), np.zeros(100)
    half = space.vectors // 2
    base, strides = base_of(X)
    for columns in ((0, half), (half, space.vectors)):
        space.sums[:] = 0
        done = kernels.gram_columns(
            base, strides, (0, 384, 128), shift, space.panel, columns, space.sums, space.G,
            (total, t),
        )  # fmt: skip
        assert done == (3 if bad_row is None else bad_row // 128)
    G, sums = reference.gram(X[: done * 128], shift)
    np.testing.assert_array_equal(total, np.triu(G))
    np.testing.assert_array_equal(t, sums)


@numba.njit
def largest_inner_product(X):
    """What a user might write."""
    G = np.empty((X.shape[1], X.shape[1]), X.dtype)
    kernels.gram(X, np.zeros(X.shape[1], X.dtype), G)
    return G.max()


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("n", [1, 250])
def test_gram_is_callable_from_compiled_code(n, work):
    X = integers(n, 33, work)
    expected, _ = reference.gram(X, np.zeros(33, work))
    assert largest_inner_product(X) == expected.max()
    for layout in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        G = np.full((33, 33), np.nan, work)
        kernels.gram(layout, X[0], G)
        np.testing.assert_array_equal(G, reference.gram(X, X[0])[0])
