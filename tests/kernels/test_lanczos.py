"""Blocks made orthogonal and orthonormal, against the plain formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmlfast.kernels import lanczos as kernels
from mmlfast.kernels._simd import TILE_ROWS
from mmlfast.runtime.validate import aligned
from tests import reference_power as reference

SIZES = [(1, 1), (3, 30), (8, 8), (13, 41), (40, 100)]
BLOCKS = [1, 4, 8, 16]


def in_tiles(A, rows=0, multiple=TILE_ROWS):
    """A in the corner of an array of NaN that ends where tiles do."""
    shape = (len(A) + rows + TILE_ROWS, kernels.padded(A.shape[1], multiple))
    padded = aligned(shape, np.float64)
    padded[:] = np.nan
    padded[: len(A), : A.shape[1]] = A
    return padded


def block_in_tiles(W):
    """As above, with zeros beside the columns: they stay zero."""
    padded = in_tiles(W, multiple=kernels.LANES)
    padded[: len(W), W.shape[1] :] = 0
    return padded


def whole(shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("b", BLOCKS)
def test_coordinates_and_their_way_back_are_exact(m, n, b):
    V, W = whole((m, n)), whole((n, b), 1)
    H, total = block_in_tiles(np.zeros((m, b))), block_in_tiles(W)
    kernels.coordinates(in_tiles(V), (0, m), n, block_in_tiles(W), H)
    expected = reference.coordinates(V, W)
    np.testing.assert_array_equal(H[:m, :b], expected)
    assert not H[:m, b:].any()
    kernels.add_back(in_tiles(V), m, (0, n), H, total)
    np.testing.assert_array_equal(total[:n, :b], W + V.T @ expected)


def test_parts_give_the_same_bits():
    m, n, b = 50, 300, 8
    V = in_tiles(np.random.default_rng(0).standard_normal((m, n)))
    W = block_in_tiles(np.random.default_rng(1).standard_normal((n, b)))
    results = []
    for rows, columns in (([0, m], [0, n]), ([0, 24, m], [0, 96, 192, n])):
        H, total = block_in_tiles(np.zeros((m, b))), W.copy()
        for lo, hi in itertools.pairwise(rows):
            kernels.coordinates(V, (lo, hi), n, W, H)
        for lo, hi in itertools.pairwise(columns):
            kernels.add_back(V, m, (lo, hi), H, total)
        results.append((H[:m].copy(), total[:n].copy()))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("first", [0, 7])
def test_what_lies_along_the_basis_is_taken_off(first):
    m, n, b = 20, 130, 8
    rng = np.random.default_rng(0)
    V = np.linalg.qr(rng.standard_normal((n, m)))[0].T
    W = rng.standard_normal((n, b))
    padded, H = block_in_tiles(W), block_in_tiles(np.full((m, b), np.nan))
    scratch = np.empty_like(H)
    kernels.project_out(in_tiles(V), first, m, n, padded, scratch, H)
    rest, expected = reference.project_out(V, W)
    np.testing.assert_allclose(H[:m, :b], expected, atol=1e-14)
    np.testing.assert_allclose(padded[:n, :b], rest, atol=1e-14)
    assert np.abs(V @ padded[:n, :b]).max() < 1e-14


@pytest.mark.parametrize("n", [8, 9, 100])
@pytest.mark.parametrize("b", [1, 3, 8])
def test_an_orthonormal_basis_of_the_block(n, b):
    W = np.random.default_rng(n).standard_normal((n, b))
    padded = block_in_tiles(W)
    G = np.full((kernels.padded(padded.shape[1]), padded.shape[1]), np.nan)
    Q = np.full_like(padded, np.nan)
    least, most = kernels.orthonormalise(padded, n, b, G, Q)
    R = np.linalg.cholesky(W.T @ W).T
    np.testing.assert_allclose([least, most], [R.diagonal().min(), R.diagonal().max()], rtol=1e-10)
    condition = np.linalg.cond(W) ** 2
    np.testing.assert_allclose(Q[:n, :b].T @ Q[:n, :b], np.eye(b), atol=1e-14 * condition)
    np.testing.assert_allclose(Q[:n, :b] @ R, W, atol=1e-14 * condition)
    assert not Q[:n, b:].any()


@pytest.mark.parametrize("column", [0, 3, 7])
def test_a_dependent_column_shows_in_the_least_pivot(column):
    W = whole((40, 8))
    W[:, column] = 0 if column == 0 else W[:, 0]
    padded = block_in_tiles(W)
    G = np.zeros((kernels.padded(padded.shape[1]), padded.shape[1]))
    least, _ = kernels.orthonormalise(padded, 40, 8, G, np.empty_like(padded))
    assert not least > 1e-6


def test_columns_become_rows():
    Q, V = whole((30, 8)), np.full((12, 32), np.nan)
    kernels.append(Q, 5, V, 3)
    np.testing.assert_array_equal(V[3:8, :30], Q[:, :5].T)
    V[3:8, :30] = np.nan
    assert np.isnan(V).all()
