"""Jacobi rotations side by side: certified, alike in every lane, right on every scale."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmlfast.kernels import jacobi as kernels
from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import LANE_BYTES
from mmlfast.kernels._vectors import read, write
from mmlfast.runtime.validate import aligned
from tests import reference_elimination as reference
from tests.tolerance import tol

DTYPES = ["float32", "float64"]


def lanes_of(dtype):
    return LANE_BYTES // np.dtype(dtype).itemsize


def symmetric(count, n, dtype, seed=0):
    A = np.random.default_rng(seed).standard_normal((count, n, n))
    return (A + A.swapaxes(1, 2)).astype(dtype)


def eigh(A, *, lower=True, n_vectors=None):
    """Values, vectors and report; the outputs stand in frames of NaN."""
    count, n = A.shape[:2]
    lanes = lanes_of(A.dtype)
    n_groups = -(-count // lanes)
    values, vectors = (
        np.full((count + 1, n), np.nan, A.dtype),
        np.full((count + 1, n, n), np.nan, A.dtype),
    )
    report = np.full((4, n_groups * lanes), np.nan, A.dtype)
    S = aligned(kernels.workspace_size(n) * lanes, A.dtype)
    S.fill(np.nan)
    sizes = (n, count, n if n_vectors is None else n_vectors)
    kernels.eigh_groups(
        A.ravel(), sizes, lower, kernels.schedule(n), (0, n_groups), S, values.ravel(),
        vectors.ravel(), report,
    )  # fmt: skip
    assert np.isnan(values[-1]).all()
    assert np.isnan(vectors[-1]).all()
    return values[:-1], vectors[:-1], report[:, :count]


def certify(A, values, vectors, report):
    """Residual, orthogonality, order, signs; the report is the residual."""
    n, dtype = A.shape[1], A.dtype
    A, V, w = A.astype(float), vectors.astype(float), values.astype(float)
    size = np.abs(A).max(axis=(1, 2)) * n
    residual = np.linalg.norm(A @ V - V * w[:, None, :], axis=1).max(axis=1)
    assert (residual <= 4 * tol(dtype, n) * size).all()
    assert (np.abs(report[kernels.RESIDUAL] - residual) <= 4 * tol(dtype, n) * size).all()
    assert (np.abs(V.swapaxes(1, 2) @ V - np.eye(n)) <= 8 * tol(dtype, n)).all()
    assert (np.diff(w, axis=1) >= 0).all()
    leaders = np.take_along_axis(V, np.abs(V).argmax(axis=1)[:, None], axis=1)
    nearly = np.abs(V.max(axis=1)) >= 0.999 * np.abs(leaders[:, 0])
    assert nearly.all()
    assert not report[[kernels.BAD_INPUT, kernels.ASYMMETRY, kernels.UNFINISHED]].any()


@pytest.mark.parametrize("n", range(1, 12))
def test_a_sweep_meets_every_pair_once(n):
    pairs = [pair for round_, _ in kernels.tournament(n) for pair in round_]
    assert sorted(pairs) == list(itertools.combinations(range(n), 2))
    for round_, rest in kernels.tournament(n):
        players = [p for pair in round_ for p in pair] + ([] if rest is None else [rest])
        assert sorted(players) == list(range(n))


@pytest.mark.parametrize("n", range(1, 12))
def test_a_round_finds_every_number_once(n):
    planes, blocks, rests = kernels.schedule(n)
    upper = sorted(i * n + j for i in range(n) for j in range(i, n))
    for turn in range(len(planes)):
        touched = [*planes[turn, :, :3].flat, *blocks[turn, :, :4].flat, *rests[turn, :, :2].flat]
        if n % 2:
            _, rest = kernels.tournament(n)[turn]
            touched.append(rest * (n + 1))
        assert sorted(touched) == upper


@ordered_kernel
def roots(z, out):
    write(out, 0, kernels.reciprocal_root(read(z, 0)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_reciprocal_root(dtype):
    for z in np.linspace(1, 2, 1024).astype(dtype).reshape(-1, lanes_of(dtype)):
        out = np.empty_like(z)
        roots(z, out)
        np.testing.assert_allclose(
            out, 1 / np.sqrt(z.astype(float)), rtol=1.5 * np.finfo(dtype).eps
        )
    roots(np.ones(lanes_of(dtype), dtype), out)
    np.testing.assert_array_equal(out, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [*range(1, 13), 17, 32])
def test_random_matrices(n, dtype):
    A = symmetric(2 * lanes_of(dtype) + 3, n, dtype, seed=n)
    values, vectors, report = eigh(A)
    certify(A, values, vectors, report)
    expected = np.linalg.eigvalsh(A.astype(float))
    np.testing.assert_allclose(values, expected, atol=8 * n * tol(dtype, n), rtol=0)
    alone, _, report = eigh(A, n_vectors=0)
    np.testing.assert_array_equal(alone, values)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_the_reference_agrees(n):
    A = symmetric(3, n, "float64")
    values, vectors, _ = eigh(A)
    for k in range(3):
        expected_values, expected_vectors = reference.eigh(A[k])
        np.testing.assert_allclose(values[k], expected_values, atol=1e-13)
        np.testing.assert_allclose(vectors[k], expected_vectors, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 11])
def test_diagonal_matrices_are_exact(n, dtype):
    rng = np.random.default_rng(4)
    diagonals = rng.integers(-3, 4, (20, n)) * 1.0
    A = (diagonals[:, :, None] * np.eye(n)).astype(dtype)
    values, vectors, report = eigh(A)
    np.testing.assert_array_equal(values, np.sort(diagonals, axis=1))
    np.testing.assert_array_equal(np.sort(vectors, axis=1)[:, -1], 1)
    assert (np.count_nonzero(vectors, axis=1) == 1).all()
    assert not report.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_quarter_turn(dtype):
    """t = 1: both numbers of the diagonal are equal."""
    A = np.array([[[0, 1], [1, 0]], [[2, -1], [-1, 2]]], dtype)
    values, vectors, _ = eigh(A)
    np.testing.assert_allclose(values, [[-1, 1], [1, 3]], rtol=2 * np.finfo(dtype).eps)
    half = np.sqrt(0.5)
    expected = [[[half, half], [-half, half]], [[half, half], [half, -half]]]
    np.testing.assert_allclose(vectors, expected, rtol=2 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 3, 7, 8])
def test_repeated_and_missing_eigenvalues(n, dtype):
    rng = np.random.default_rng(5)
    Q = np.linalg.qr(rng.standard_normal((4, n, n)))[0]
    spectra = np.array([np.ones(n), [0] * (n - 1) + [1], [-1] + [1] * (n - 1), [0] * n])
    A = (Q * spectra[:, None]) @ Q.swapaxes(1, 2)
    A = ((A + A.swapaxes(1, 2)) / 2).astype(dtype)
    values, vectors, report = eigh(A)
    certify(A, values, vectors, report)
    np.testing.assert_allclose(values, np.sort(spectra), atol=8 * tol(dtype, n))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 3, 8])
def test_every_scale_has_the_same_digits(n, dtype):
    A = symmetric(5, n, dtype)
    values, vectors, report = eigh(A)
    for power in (np.finfo(dtype).maxexp - 5, np.finfo(dtype).minexp + 40):
        scaled = eigh(np.ldexp(A, power))
        np.testing.assert_array_equal(scaled[0], np.ldexp(values, power))
        np.testing.assert_array_equal(scaled[1], vectors)
        np.testing.assert_array_equal(
            scaled[2][kernels.RESIDUAL], np.ldexp(report[kernels.RESIDUAL], power)
        )
    smallest = np.finfo(dtype).smallest_subnormal
    values, vectors, _ = eigh(np.full((1, n, n), smallest, dtype))
    np.testing.assert_allclose(values[0, -1], n * smallest, rtol=0.5)
    assert np.isfinite(vectors).all()


def test_small_eigenvalues_have_all_their_digits():
    """Scaled diagonally dominant, graded over 16 powers of ten: LAPACK's error is 1e-16 · 1."""
    rng = np.random.default_rng(6)
    D = np.diag(10.0 ** np.array([0, -3, -5, -8]))
    B = np.eye(4) + 0.1 * symmetric(1, 4, "float64")[0] / 4
    A = D @ B @ D
    A = (A + A.T) / 2
    order = rng.permutation(4)
    values = eigh(A[order][:, order][None])[0]
    # λ₁ = 1/(A⁻¹ᵢᵢ …) of the smallest: its inverse dominates A⁻¹, which is as well scaled.
    exact = 1 / np.linalg.eigvalsh(np.linalg.inv(B) / np.outer(D.diagonal(), D.diagonal()))[-1]
    assert values[0, 0] == pytest.approx(exact, rel=1e-13)
    assert values[0, 0] < 1e-15


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 8])
def test_a_matrix_has_the_same_bits_in_every_place(n, dtype):
    A = symmetric(3 * lanes_of(dtype), n, dtype)
    A[1], A[4], A[5] = np.nan, 0, np.eye(n)
    values, vectors, report = eigh(A)
    for count in (1, 2, lanes_of(dtype) + 1, len(A) - 1):
        part = eigh(A[-count:])
        np.testing.assert_array_equal(part[0], values[-count:])
        np.testing.assert_array_equal(part[1], vectors[-count:])
        np.testing.assert_array_equal(part[2], report[:, -count:])
    assert np.isnan(report[kernels.BAD_INPUT, 1])
    assert not report[kernels.BAD_INPUT, 2:].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_numbers_anywhere_are_reported(bad):
    for at in range(9):
        A = symmetric(3, 3, "float64")
        A[1].ravel()[at] = bad
        _, _, report = eigh(A)
        np.testing.assert_array_equal(np.isnan(report[kernels.BAD_INPUT]), [False, True, False])
        assert np.isfinite(report[:, [0, 2]]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 5, 8])
def test_either_triangle(n, dtype):
    A = symmetric(9, n, dtype)
    other = A + np.triu(np.full((n, n), np.array(0.25, dtype)), 1)
    for lower, matrices in ((True, other), (False, other.swapaxes(1, 2).copy())):
        values, vectors, report = eigh(matrices, lower=lower)
        np.testing.assert_array_equal(values, eigh(A)[0])
        np.testing.assert_array_equal(vectors, eigh(A)[1])
        exponents = np.frexp(np.abs(other).max(axis=(1, 2)))[1] - 1
        np.testing.assert_allclose(
            report[kernels.ASYMMETRY],
            np.ldexp(0.25, -exponents),
            rtol=1e-5 if dtype == "float32" else 1e-12,
        )
        # The residual looks at both triangles.
        assert (report[kernels.RESIDUAL] > 0.01).all()
