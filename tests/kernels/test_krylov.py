"""Products of a centred row block with vectors, there and back, against the plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels import krylov as kernels
from mmlfast.runtime.validate import WORK_DTYPES, aligned, base_of, work_dtype
from tests import reference
from tests.tolerance import assert_product_close

DTYPES = list(WORK_DTYPES)
WORK = ["float32", "float64"]
# One group of the panel and several; 1, 2, 3, 4, 5 and 7 vectors of 16 numbers.
FEATURES = [1, 13, 144, 300]
VECTORS = [1, 16, 33, 64, 70, 100]


def integers(shape, dtype, seed=0):
    low = 0 if np.dtype(dtype).kind == "u" else -3
    return np.random.default_rng(seed).integers(low, 4, shape).astype(dtype)


class Workspace:
    """Everything one call needs, made as the library makes it."""

    def __init__(self, d, b, work, n_moments=2):
        self.panel = aligned(kernels.block_panel_shape(d, work), work, zero=True)
        self.Y = aligned(kernels.projection_shape(b, work), work, zero=True)
        self.Z = aligned(kernels.product_shape(d, b, work), work, zero=True)
        self.moments = np.zeros((n_moments, d), work)

    def padded(self, Q):
        padded = aligned((len(Q), self.Y.shape[1]), self.Y.dtype, zero=True)
        padded[:, : Q.shape[1]] = Q
        return padded

    def run(self, X, shift, Q, lo=0, hi=None):
        rows = (lo, len(X) if hi is None else hi)
        return kernels.covariance_rows(
            *base_of(X), rows, shift, self.padded(Q), self.panel, self.Y, self.moments, self.Z
        )


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("b", VECTORS)
@pytest.mark.parametrize("d", FEATURES)
def test_project_and_back(d, b, work):
    work = np.dtype(work)
    n_rows = 29
    space = Workspace(d, b, work)
    P, Q = integers((n_rows, d), work), integers((d, b), work, seed=1)
    panel = reference.to_panel(P, space.panel.shape)
    kernels.project(panel, n_rows, d, space.padded(Q), space.Y)
    Y = reference.project(P, Q)
    np.testing.assert_array_equal(space.Y[:n_rows, :b], Y)
    assert not space.Y[:, b:].any()
    kernels.project_back(panel, n_rows, d, space.Y, space.Z)
    np.testing.assert_array_equal(space.Z[:d, :b], reference.project_back(P, Y))
    assert not space.Z[:, b:].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 96, 250])
@pytest.mark.parametrize("d", [13, 300])
def test_covariance_rows_is_exact_on_integers(d, n, dtype):
    X, work = integers((n, d), dtype), work_dtype(np.dtype(dtype))
    Q, shift = integers((d, 20), work, seed=1), X[0].astype(work)
    space = Workspace(d, 20, work)
    assert space.run(X, shift, Q) == n
    Z, sums, squares = reference.covariance_rows(X, shift, Q)
    np.testing.assert_array_equal(space.Z[:d, :20], Z)
    np.testing.assert_array_equal(space.moments, [sums, squares])


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda X: X[::-1, ::-1]])
def test_covariance_rows_in_other_layouts(layout):
    X = layout(integers((110, 50), "float32"))
    Q, shift = integers((50, 9), "float32", seed=1), X[0].copy()
    space = Workspace(50, 9, X.dtype)
    space.run(X, shift, Q)
    np.testing.assert_array_equal(space.Z[:50, :9], reference.covariance_rows(X, shift, Q)[0])


@pytest.mark.parametrize("work", WORK)
def test_same_bits_however_the_rows_are_cut(work):
    X = np.random.default_rng(2).standard_normal((400, 150)).astype(work)
    Q = np.random.default_rng(3).standard_normal((150, 40)).astype(work)
    whole, pieces = Workspace(150, 40, X.dtype), Workspace(150, 40, X.dtype)
    whole.run(X, X[0], Q)
    for lo, hi in ((0, 5), (5, 101), (101, 293), (293, 400)):
        pieces.run(X, X[0], Q, lo, hi)
    np.testing.assert_array_equal(pieces.Z, whole.Z)
    np.testing.assert_array_equal(pieces.moments, whole.moments)


def test_the_squares_are_left_out_when_not_asked_for():
    X, Q = integers((100, 30), "float64"), integers((30, 8), "float64")
    both, one = Workspace(30, 8, X.dtype), Workspace(30, 8, X.dtype, n_moments=1)
    both.run(X, X[0], Q)
    one.run(X, X[0], Q)
    np.testing.assert_array_equal(one.moments[0], both.moments[0])
    np.testing.assert_array_equal(one.Z, both.Z)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 95, 96, 230])
def test_a_bad_number_ends_before_its_panel(row, bad):
    X, Q = integers((240, 30), "float32"), integers((30, 8), "float32")
    X[row, 29] = bad
    shift = np.zeros(30, np.float32)
    space = Workspace(30, 8, X.dtype)
    reached = space.run(X, shift, Q)
    assert reached == row // kernels.PANEL_ROWS * kernels.PANEL_ROWS
    Z, _, _ = reference.covariance_rows(X[:reached], shift, Q)
    np.testing.assert_array_equal(space.Z[:30, :8], Z)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (3, 110), (0, 200)])
def test_project_rows_writes_only_its_block(lo, hi, dtype):
    X, work = integers((200, 150), dtype), work_dtype(np.dtype(dtype))
    Q, shift = integers((150, 21), work, seed=1), X[0].astype(work)
    space = Workspace(150, 21, work)
    frame = np.full((hi - lo + 2, 24), np.nan, work)
    kernels.project_rows(
        *base_of(X), (lo, hi), shift, space.padded(Q), space.panel, space.Y, np.zeros(150, work),
        frame[1:-1, 2:-1],
    )  # fmt: skip
    expected = reference.project(X[lo:hi].astype(work) - shift, Q)
    np.testing.assert_array_equal(frame[1:-1, 2:-1], expected)
    frame[1:-1, 2:-1] = np.nan
    assert np.isnan(frame).all()


@pytest.mark.parametrize("work", WORK)
def test_rounding_stays_within_the_bound(work):
    P = np.random.default_rng(4).standard_normal((90, 700)).astype(work)
    Q = np.random.default_rng(5).standard_normal((700, 30)).astype(work)
    space = Workspace(700, 30, P.dtype)
    panel = reference.to_panel(P, space.panel.shape)
    kernels.project(panel, 90, 700, space.padded(Q), space.Y)
    assert_product_close(space.Y[:90, :30], P, Q)
    kernels.project_back(panel, 90, 700, space.Y, space.Z)
    assert_product_close(space.Z[:700, :30], P.T, space.Y[:90, :30])


@pytest.mark.parametrize("work", WORK)
def test_add_to_adds_what_fits_and_clears_all(work):
    Z = integers((11, 16), work)
    total = np.ones((9, 13))
    expected = total + Z[:9, :13]
    kernels.add_to(Z, total)
    np.testing.assert_array_equal(total, expected)
    assert not Z.any()
