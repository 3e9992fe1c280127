"""echelon: steps that a learner can follow, the reduced form, exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import echelon
from tests import reference_elimination as reference

COURSE = np.array([[0, 7, -5, 3], [2, 8, 0, 4], [3, 12, 0, 5], [1, 3, 1, 3]])


def is_echelon(matrix, pivots, reduced):
    matrix = np.asarray(matrix, float)
    assert (np.diff(pivots) > 0).all()
    for row, column in enumerate(pivots):
        assert matrix[row, column] == 1
        assert not matrix[row, :column].any()
        assert not matrix[row + 1 :, column].any()
        assert not (reduced and matrix[:row, column].any())
    assert not matrix[len(pivots) :].any()


def replay(A, steps):
    """The same operations, from what the steps say in numbers."""
    M = A.copy()
    for step in steps:
        if step.kind == "swap":
            M[[step.row, step.source]] = M[[step.source, step.row]]
        elif step.kind == "scale":
            M[step.row] = M[step.row] * step.factor
        elif step.kind in ("add", "eliminate"):
            M[step.row] = M[step.row] + step.factor * M[step.source]
        assert (step.matrix == M).all(), step
    return M


@given(
    m=st.integers(1, 5), n=st.integers(1, 6), swap=st.booleans(), reduced=st.booleans(),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_exact_forms_and_their_steps(m, n, swap, reduced, seed):
    A = np.random.default_rng(seed).integers(-2, 3, (m, n))
    result = echelon(A, pivot="partial" if swap else "none", reduced=reduced)
    fractions = np.array([[Fraction(int(x)) for x in row] for row in A])
    expected, pivots = reference.echelon(fractions, swap, reduced, 0)
    np.testing.assert_array_equal(result.matrix, expected)
    assert result.pivots.tolist() == pivots
    assert result.rank == len(pivots) == np.linalg.matrix_rank(A)
    is_echelon(result.matrix, result.pivots, reduced)
    assert all(isinstance(entry, Fraction) for entry in result.matrix.flat)
    np.testing.assert_array_equal(replay(fractions, result.steps), result.matrix)
    assert {step.kind for step in result.steps} <= {"swap" if swap else "add", "scale", "eliminate"}
    kernel = echelon(A, pivot="partial" if swap else "none", reduced=reduced, return_steps=False)
    assert kernel.steps is None
    if reduced:
        np.testing.assert_allclose(kernel.matrix, expected.astype(float), atol=1e-11)
        assert kernel.pivots.tolist() == pivots


@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 3), (4, 6), (6, 4)])
def test_floats_with_steps_and_without(shape, dtype, swap):
    A = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    A[-1] = A[0] + A[1]
    kept = A.copy()
    pivot = "partial" if swap else "none"
    slow, fast = (echelon(A, pivot=pivot, return_steps=steps) for steps in (True, False))
    np.testing.assert_array_equal(A, kept)
    for result in (slow, fast):
        assert result.matrix.dtype == dtype
        assert result.rank == min(shape[0] - 1, shape[1])
        is_echelon(result.matrix, result.pivots, False)
    assert fast.start is None
    np.testing.assert_array_equal(slow.start, A, strict=True)
    assert slow.start is not A
    np.testing.assert_allclose(fast.matrix, slow.matrix, atol=1e-3 if dtype == "float32" else 1e-12)
    np.testing.assert_array_equal(fast.pivots, slow.pivots)


def test_the_way_of_the_course():
    """A pivot of zero: a lower row is added.  Nothing helps: the matrix is singular."""
    result = echelon(COURSE, pivot="none")
    assert [step.operation for step in result.steps] == [
        "R1 ← R1 + R2", "R1 ← R1 / 2", "R2 ← R2 − 2·R1", "R3 ← R3 − 3·R1", "R4 ← R4 − R1",
        "R2 ← R2 / (−7)", "R3 ← R3 + 21/2·R2", "R4 ← R4 + 9/2·R2", "R3 ← R3 + R4",
        "R3 ← R3 / (2/7)", "R4 ← R4 − 2/7·R3",
    ]  # fmt: skip
    assert result.rank == 4
    first = result.steps[0]
    assert (first.kind, first.row, first.source, first.factor) == ("add", 0, 1, 1)
    assert result.steps[1].factor == Fraction(1, 2)
    singular = echelon([[1, 2], [2, 4]], pivot="none")
    assert singular.rank == 1
    assert singular.steps[-1].operation == "R2 ← R2 − 2·R1"


def test_partial_pivoting_swaps():
    steps = echelon([[1.0, 2.0], [-4.0, 1.0]]).steps
    assert [step.operation for step in steps] == [
        "R1 ↔ R2", "R1 ← R1 / (−4)", "R2 ← R2 − R1", "R2 ← R2 / 2.25",
    ]  # fmt: skip
    assert [step.kind for step in steps] == ["swap", "scale", "eliminate", "scale"]


def test_the_table():
    text = str(echelon([[0, 2], [1, 3]]))
    assert text == (
        "              0  2\n              1  3\n\n"
        "R1 ↔ R2       1  3\n              0  2\n\n"
        "              1  3\nR2 ← R2 / 2   0  1\n\n"
        "rank 2, pivots in columns 1, 2"
    )  # fmt: skip
    assert repr(echelon([[0, 2], [1, 3]])) == "<Echelon of 2 × 2: rank 2, pivots [0, 1], 2 steps>"
    assert str(echelon(np.zeros((1, 2)))) == "   0  0\n\nrank 0"
    without = echelon([[2.0, 1.0]], return_steps=False)
    assert str(without) == "   1  0.5\n\nrank 1, pivots in columns 1"
    assert repr(without) == "<Echelon of 1 × 2: rank 1, pivots [0]>"
    stack = echelon(np.ones((3, 1, 2)), return_steps=False)
    assert repr(stack) == "<Echelon of 3 × 1 × 2>"
    assert str(stack).startswith(repr(stack))
    assert stack._repr_html_().startswith("<pre>&lt;Echelon")


def test_the_table_of_a_notebook():
    html = echelon([[0, 2], [1, 3]])._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 4
    assert '<td style="text-align:left">R1 ↔ R2</td>' in html
    assert "rank 2, pivots in columns 1, 2" in html


def test_exact_or_not():
    assert echelon([[2, 1]]).matrix.tolist() == [[1, Fraction(1, 2)]]
    assert echelon([[Fraction(1, 3), True]], return_steps=False, exact=True).matrix[0, 1] == 3
    assert echelon([[2, 1]], exact=False).matrix.dtype == "float64"
    assert echelon([[2, 1]], return_steps=False).matrix.dtype == "float64"
    assert echelon(np.array([[2, 1]], object)).matrix[0, 1] == Fraction(1, 2)
    big = echelon(np.array([[np.int64(2**62), np.int64(3)], [np.int64(7), 5]], object))
    assert big.matrix[0, 1] == Fraction(3, 2**62)
    with pytest.raises(TypeError, match=r"exact needs whole numbers.*got dtype float64.*Fraction"):
        echelon([[0.1]], exact=True)
    with pytest.raises(TypeError, match="A must hold real numbers"):
        echelon([[Fraction(1, 3)]], exact=False)
    with pytest.raises(TypeError, match="A must hold real numbers"):
        echelon(np.array([[1.5, Fraction(1, 3)]], object))


def test_noise_counts_as_zero():
    A = np.array([[0.1, 0.3], [0.2, 0.6 + 2e-17], [0.3, 0.9]])
    for steps in (True, False):
        assert echelon(A * 3, return_steps=steps).rank == 1
        assert echelon(A * 3e-300, return_steps=steps).rank == 1
        assert echelon([[1.0, 0.5], [1e-3, 1.0]], return_steps=steps, tol=2.0).rank == 0
        is_echelon(echelon(A, return_steps=steps).matrix, [0], False)
    rounded = echelon([[1e-20, 1.0], [0.0, 2.0]])
    assert rounded.steps[0].kind == "round"
    assert rounded.steps[0].operation == "column 1 ≈ 0"
    assert rounded.pivots.tolist() == [1]
    assert echelon([[1e-20, 1.0], [0.0, 2.0]], tol=0).rank == 2


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2)])
def test_stacks(shape):
    A = np.random.default_rng(0).integers(-2, 3, (4, 50, *shape))
    result = echelon(A, return_steps=False, reduced=True)
    assert result.matrix.shape == A.shape
    assert result.pivots.shape == (4, 50, min(shape))
    assert result.rank.shape == (4, 50)
    for index in np.ndindex(4, 50):
        one = echelon(A[index], return_steps=False, reduced=True)
        np.testing.assert_array_equal(one.matrix, result.matrix[index])
        np.testing.assert_array_equal(one.pivots, result.pivots[index][: result.rank[index]])
        assert (result.pivots[index][result.rank[index] :] == -1).all()
        assert one.rank == result.rank[index] == np.linalg.matrix_rank(A[index])
    for n_jobs in (1, 2, 4):
        again = echelon(A, return_steps=False, reduced=True, n_jobs=n_jobs)
        np.testing.assert_array_equal(again.matrix, result.matrix)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nothing(shape):
    for steps in (True, False):
        result = echelon(np.empty(shape), return_steps=steps)
        assert result.matrix.shape == shape
        assert result.rank == 0
        assert result.pivots.tolist() == []
        assert "rank 0" in str(result)
        assert "rank 0" in result._repr_html_()
    assert echelon(np.empty((0, 2, 3)), return_steps=False).rank.shape == (0,)


def test_every_layout():
    A = np.random.default_rng(0).standard_normal((5, 6))
    for steps in (True, False):
        expected = echelon(A, return_steps=steps).matrix
        reversed_ = np.ascontiguousarray(A[::-1, ::-1])[::-1, ::-1]
        read_only = A.copy()
        read_only.flags.writeable = False
        for laid_out in (np.asfortranarray(A), reversed_, read_only, A.astype(">f8"), A.tolist()):
            np.testing.assert_array_equal(echelon(laid_out, return_steps=steps).matrix, expected)


@pytest.mark.parametrize(
    ("A", "options", "kind", "error"),
    [
        (np.ones(3), {}, ValueError, r"one matrix.*got shape \(3,\)"),
        (np.ones(3), {"return_steps": False}, ValueError, "A must be a matrix"),
        (np.ones((2, 2, 2)), {}, ValueError, "return_steps=False for a stack"),
        (np.ones((50, 50)), {}, ValueError, "at most 1600 numbers.*return_steps=False"),
        (np.ones((2, 2)), {"pivot": "full"}, ValueError, "pivot must be 'partial' or 'none'"),
        (np.ones((2, 2)), {"tol": -1}, ValueError, "tol must be None or a number"),
        (np.ones((2, 2)) * 1j, {}, TypeError, "A must hold real numbers"),
        ([[1.0, np.nan]], {}, ValueError, r"A contains NaN.*A\[0, 1\]"),
        ([[np.inf, 1.0]], {"return_steps": False}, ValueError, r"A contains infinity.*A\[0, 0\]"),
        (np.ma.masked_equal(np.eye(2), 0), {}, ValueError, "A has masked entries"),
    ],
)
def test_what_is_refused(A, options, kind, error):
    with pytest.raises(kind, match=error):
        echelon(A, **options)
