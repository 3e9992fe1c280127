"""The basis stays orthonormal and its projections exact; the schedule looks when it pays."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.api import lanczos
from mmlfast.api.lanczos import _Basis, _may_hide_copies, _Schedule
from tests.api.square_matrices import symmetric


def descending(values):
    return np.argsort(-values, kind="stable")


def grown(A, block, blocks, threads=1):
    capacity = min(len(A), block * blocks)
    basis = _Basis(len(A), capacity, block, np.random.RandomState(0), threads)

    def apply(V, out):
        out[:] = A @ V

    while not basis.full:
        basis.extend(apply)
    return basis


@pytest.mark.parametrize("block", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(
    "values",
    [
        np.linspace(1, 0, 200),
        1e3 * 0.5 ** np.arange(200.0),
        np.r_[1e6, np.linspace(1, 0, 199)],
        np.r_[3.0, 2, 1, np.zeros(197)],
    ],
)
def test_the_basis_is_orthonormal_and_carries_its_projection(values, block):
    A = symmetric(values)
    basis = grown(A, block, 80 // block)
    assert basis.size == 80
    scale = values[0]
    np.testing.assert_allclose(basis.V @ basis.V.T, np.eye(80), atol=1e-13)
    np.testing.assert_allclose(basis.T, basis.V @ A @ basis.V.T, atol=1e-12 * scale)
    # A V = V T but for the last block, where W stands over.
    rest = A @ basis.V.T - basis.V.T @ basis.T
    np.testing.assert_allclose(rest[:, -block:], basis.W, atol=1e-12 * scale)
    np.testing.assert_allclose(rest[:, :-block], 0, atol=1e-10 * scale)


def test_residuals_need_no_product():
    A = symmetric(np.linspace(1, 0, 200))
    basis = grown(A, 8, 6)
    values, S = basis.ritz_pairs(descending)
    X = basis.vectors(S)
    exact = np.linalg.norm(A @ X - X * values, axis=0)
    np.testing.assert_allclose(basis.residuals(S), exact, atol=1e-14)


def test_a_restart_keeps_what_it_should():
    A = symmetric(np.linspace(1, 0, 200))
    basis = grown(A, 8, 6)
    values, S = basis.ritz_pairs(descending)
    before = basis.residuals(S[:, :20])
    basis.restart(S[:, :20], values[:20])
    np.testing.assert_allclose(basis.V @ A @ basis.V.T, np.diag(values[:20]), atol=1e-14)
    basis.extend(lambda V, out: np.copyto(out, A @ V))
    np.testing.assert_allclose(basis.T, basis.V @ A @ basis.V.T, atol=1e-14)
    after, S = basis.ritz_pairs(descending)
    assert (after[:20] >= values[:20] - 1e-14).all()
    assert basis.residuals(S[:, :1])[0] < before[0]


def test_threads_do_not_change_the_bits(monkeypatch):
    A = symmetric(np.linspace(1, 0, 150))
    alone = grown(A, 8, 8)
    monkeypatch.setattr(lanczos, "PARALLEL_FLOPS", 0)
    shared = grown(A, 8, 8, threads=3)
    np.testing.assert_array_equal(shared.V, alone.V)
    np.testing.assert_array_equal(shared.T, alone.T)


def test_the_whole_space_can_be_filled():
    A = symmetric(np.linspace(1, -1, 43))
    basis = grown(A, 8, 6)
    assert basis.complete
    np.testing.assert_allclose(basis.V @ basis.V.T, np.eye(43), atol=1e-13)
    values, _ = basis.ritz_pairs(descending)
    np.testing.assert_allclose(values, np.linspace(1, -1, 43), atol=1e-13)


def test_the_schedule_foretells_convergence():
    schedule = _Schedule(first=3)
    assert schedule.next == 3
    schedule.note(3, 1e8)
    schedule.note(7, 1e7)
    assert 7 < schedule.next <= 7 + lanczos.BLOCKS
    schedule.note(20, 1e3)
    schedule.note(24, 1e1)
    assert schedule.next == 26
    schedule.note(26, 20.0)
    assert schedule.next > 26


@pytest.mark.parametrize(
    ("values", "block", "expected"),
    [
        ([3, 2, 1], 8, False),
        ([2, 2, 2, 1], 3, True),
        ([2, 2, 2, 1], 4, False),
        ([2, 2, 2, 2], 2, False),  # further copies would change nothing
        ([2, 2, 1, 1], 2, True),
        ([5], 1, False),
        ([5, 4], 1, True),
        ([-5, 5, 4], 2, False),
        ([-5, 5, -5, 5, 4], 2, True),
    ],
)
def test_where_copies_may_be_hidden(values, block, expected):
    assert _may_hide_copies(np.array(values, float), block, 1e-8) is expected
