"""The power method against the plain loop and numpy; what it says where it cannot converge."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from mmlfast import power_iteration
from tests import reference_power as reference
from tests.api.square_matrices import LAYOUTS, forms, general, laid_out, symmetric

DTYPES = ["float32", "float64"]


def certified(A, pair, tol):
    """The residual is what it says, the vector has length 1 and its sign."""
    A, v = np.asarray(A, float), np.asarray(pair.vector, float)
    eps = float(np.finfo(pair.vector.dtype).eps)
    residual = np.linalg.norm(A @ v - pair.value * v)
    assert abs(residual - pair.residual) <= 8 * eps * np.linalg.norm(A)
    assert abs(np.linalg.norm(v) - 1) <= 8 * eps
    assert v[np.abs(v).argmax()] > 0
    assert pair.converged
    assert residual <= max(tol * abs(pair.value), 32 * eps * np.linalg.norm(A))


@pytest.mark.parametrize("make", [symmetric, general])
@pytest.mark.parametrize("values", [[5, 3, 1, -2], [-5, 3, 1, 0], [2.0], [1e-9, 1e-10]])
def test_the_dominant_pair_of_every_form(values, make):
    A = make(values)
    for name, form in forms(A):
        pair = power_iteration(form, n=len(A), random_state=0)
        certified(A, pair, 1e-10)
        assert pair.value == pytest.approx(values[0], rel=1e-9), name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("make", [symmetric, general])
def test_every_layout_gives_the_same(layout, make):
    A = make([7, 4, 2, 1, -1, -3])
    expected = power_iteration(A, v0=np.ones(6))
    pair = power_iteration(laid_out(A, layout), v0=np.ones(6))
    assert pair.value == pytest.approx(expected.value, rel=1e-14)
    np.testing.assert_allclose(pair.vector, expected.vector, atol=1e-10)


@pytest.mark.parametrize("make", [symmetric, general])
@pytest.mark.parametrize("shift", [0.0, -1.5, 4.0])
def test_each_step_is_the_textbooks(make, shift):
    A, v0 = make([5, 4, 1, -2]), np.array([1.0, 2, 3, 4])
    values, residuals, v = reference.power_iteration(A, v0, 12, shift)
    pair = power_iteration(A, v0=v0, shift=shift, tol=0, max_iter=12, history=True)
    assert pair.n_iter == 12
    np.testing.assert_allclose(pair.history.values, values, rtol=1e-12)
    np.testing.assert_allclose(pair.history.residuals, residuals, rtol=1e-11)
    assert pair.value == pair.history.values[-1]
    assert pair.residual == pair.history.residuals[-1]
    np.testing.assert_allclose(pair.vector, v * np.sign(v[np.abs(v).argmax()]), rtol=1e-12)


def test_without_history_there_is_none():
    assert power_iteration(np.eye(2), random_state=0).history is None
    assert power_iteration(np.eye(2), k=2, random_state=0).histories is None
    assert len(power_iteration(np.eye(2), k=2, history=True, random_state=0).histories) == 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_input_dtype_is_kept(dtype):
    A = symmetric([5, 3, 1, -2]).astype(dtype)
    pair = power_iteration(A, random_state=0)
    assert pair.vector.dtype == dtype
    certified(A, pair, 1e-10)
    assert pair.value == pytest.approx(5, rel=10 * float(np.finfo(dtype).eps))
    pairs = power_iteration(A, k=2, random_state=0)
    assert pairs.vectors.dtype == pairs.values.dtype == dtype


@pytest.mark.parametrize("ratio", [0.3, 0.9, 0.99])
def test_the_ratio_is_that_of_the_eigenvalues(ratio):
    pair = power_iteration(symmetric([2, 2 * ratio, 0.1]), random_state=0, max_iter=10_000)
    assert pair.ratio == pytest.approx(ratio, rel=1e-3)
    shifted = power_iteration(symmetric([2, 1, 0.1]), shift=0.5, random_state=0)
    assert shifted.ratio == pytest.approx(0.5 / 1.5, rel=1e-2)


def test_a_shift_finds_the_far_end():
    A = symmetric([4, 3, 0])
    pair = power_iteration(A, shift=4, random_state=0)
    assert pair.value == pytest.approx(0, abs=1e-9)
    assert pair.residual <= 4e-10


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", [[8, 6, 4, 2, 1], [8, -6, 4, -2, 0], [3, 3, 2, 2, 1], [5, 5, 5]])
def test_further_pairs_of_a_symmetric_matrix(values, dtype):
    A = symmetric(values).astype(dtype)
    eps = float(np.finfo(dtype).eps)
    pairs = power_iteration(A, k=len(A), random_state=0)
    np.testing.assert_allclose(pairs.values, values, atol=max(1e-8, 100 * eps))
    V = pairs.vectors.astype(float)
    np.testing.assert_allclose(V.T @ V, np.eye(len(A)), atol=100 * eps)
    residuals = np.linalg.norm(A @ V - V * pairs.values, axis=0)
    np.testing.assert_allclose(residuals, pairs.residuals, atol=100 * eps)
    assert (pairs.residuals <= max(1e-9 * 8, 200 * eps)).all()
    assert pairs.converged.all()


@pytest.mark.parametrize("values", [[8, 6, 4, 2, 1], [-8, 6, 4, -2, 0], [3, 3, 2, 1]])
def test_further_pairs_of_any_matrix(values):
    A = general(values)
    for name, form in forms(A):
        pairs = power_iteration(form, k=len(A), n=len(A), random_state=0)
        np.testing.assert_allclose(pairs.values, values, atol=1e-7, err_msg=name)
        residuals = np.linalg.norm(A @ pairs.vectors - pairs.vectors * pairs.values, axis=0)
        np.testing.assert_allclose(residuals, pairs.residuals, atol=1e-13)
        assert (residuals <= 1e-7).all()
        np.testing.assert_allclose(np.linalg.norm(pairs.vectors, axis=0), 1)
        assert np.linalg.matrix_rank(pairs.vectors, tol=1e-3) == len(A)


@pytest.mark.parametrize("rank", [1, 2])
def test_low_rank(rank):
    factor = np.random.default_rng(0).standard_normal((6, rank))
    pairs = power_iteration(factor @ factor.T, k=5, random_state=0)
    np.testing.assert_allclose(pairs.values[rank:], 0, atol=1e-13)
    assert (pairs.residuals <= 1e-8).all()


@pytest.mark.parametrize("n", [1, 5])
def test_the_zero_matrix(n):
    pair = power_iteration(np.zeros((n, n)), random_state=0)
    assert (pair.value, pair.residual, pair.converged) == (0, 0, True)
    assert np.linalg.norm(pair.vector) == pytest.approx(1)


def test_a_nilpotent_matrix():
    for v0 in (None, [0.0, 0, 1], [1.0, 2, 3]):
        pair = power_iteration(np.diag([1.0, 1.0], 1), v0=v0, random_state=0)
        assert (pair.value, pair.residual, pair.converged) == (0, 0, True)
        np.testing.assert_array_equal(pair.vector, [1, 0, 0])


def test_one_number():
    pair = power_iteration([[-3]], random_state=0)
    assert (pair.value, pair.n_iter, pair.converged) == (-3, 1, True)
    np.testing.assert_array_equal(pair.vector, [1])
    assert np.isnan(pair.ratio)


def test_a_repeated_dominant_eigenvalue():
    pair = power_iteration(symmetric([2, 2, 1]), random_state=0)
    certified(symmetric([2, 2, 1]), pair, 1e-10)
    assert pair.value == pytest.approx(2)


def test_equal_magnitudes_are_told_and_a_shift_helps():
    A = symmetric([3, -3, 1, 0])
    with pytest.warns(ConvergenceWarning, match=r"3 and -3 seem .* pass shift=-1.5 to find"):
        pair = power_iteration(A, random_state=0, max_iter=200)
    assert not pair.converged
    assert pair.n_iter == 200
    assert power_iteration(A, random_state=0, shift=-1.5).value == pytest.approx(3)
    assert power_iteration(A, random_state=0, shift=1.5).value == pytest.approx(-3)


def test_a_complex_pair_is_told():
    A = np.zeros((4, 4))
    A[:2, :2], A[2:, 2:] = [[1, -2], [2, 1]], np.diag([0.5, -1])
    with pytest.warns(ConvergenceWarning, match=r"complex pair, 1 ± 2i.*numpy.linalg.eig"):
        pair = power_iteration(A, random_state=0, max_iter=300)
    assert not pair.converged


def test_a_defective_matrix_gives_its_best_answer():
    with pytest.warns(ConvergenceWarning, match=r"reduces the residual by .*defective"):
        pair = power_iteration([[1, 1], [0, 1]], random_state=0, max_iter=400)
    assert not pair.converged
    assert pair.value == pytest.approx(1, abs=0.01)
    assert pair.vector[0] == pytest.approx(1, abs=0.01)


def test_which_of_several_pairs_did_not_converge():
    A = symmetric([9, 2, 1.99, 0])
    with pytest.warns(ConvergenceWarning, match="did not converge for pair 2 of 2 in 50 steps"):
        pairs = power_iteration(A, k=2, random_state=0, max_iter=50)
    assert pairs.converged.tolist() == [True, False]


@pytest.mark.parametrize("A", [np.diag([3.0, 2, 1]), np.array([[2.0, 1, 0], [0, 3, 1], [0, 0, 1]])])
def test_a_start_without_the_dominant_direction_is_told(A):
    v0 = [0.0, 1, 0] if A[0, 1] == 0 else [1.0, 0, 0]
    with pytest.warns(ConvergenceWarning, match=r"eigenvalue 2, which is not the dominant .*v0"):
        pair = power_iteration(A, v0=v0)
    assert pair.converged
    assert pair.value == 2


@pytest.mark.parametrize("A", [np.diag([3.0, 2, 1]), np.array([[1.0, 1], [0, 1]]), np.eye(3)])
def test_a_right_start_is_not_suspected(A):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        power_iteration(A, v0=np.eye(len(A))[0])


def test_no_tolerance_means_so_many_steps_without_a_word():
    pair = power_iteration(symmetric([3, -3, 1]), random_state=0, tol=0, max_iter=7)
    assert pair.n_iter == 7
    assert not pair.converged
    exact = power_iteration(np.diag([2.0, 1]), v0=[1, 0], tol=0)
    assert (exact.n_iter, exact.residual, exact.converged) == (1, 0, True)


def test_a_given_start_is_only_scaled():
    A = np.array([[2.0, 1], [1, 2]])
    for v0 in ([3, 0], [1e300, 0], [1e-300, 0], np.array([1, 0], np.int8)):
        assert power_iteration(A, v0=v0, history=True).history.values[0] == 2


def test_random_state_decides():
    A = symmetric([3, 2, 1])
    first, second = (power_iteration(A, random_state=7) for _ in range(2))
    np.testing.assert_array_equal(first.vector, second.vector)
    other = power_iteration(A, random_state=np.random.RandomState(8))
    assert other.value == pytest.approx(first.value)


@pytest.mark.parametrize("make", [symmetric, general])
def test_same_bits_on_any_number_of_threads(make):
    A = make(np.r_[2.0, np.linspace(1, -1, 1199)])
    one = power_iteration(A, random_state=0, n_jobs=1, max_iter=100)
    for n_jobs in (2, 4):
        other = power_iteration(A, random_state=0, n_jobs=n_jobs, max_iter=100)
        np.testing.assert_array_equal(other.vector, one.vector)
        assert (other.value, other.residual, other.n_iter) == (one.value, one.residual, one.n_iter)


@given(seed=st.integers(0, 1000), n=st.integers(1, 12), gap=st.floats(0.05, 0.8))
def test_found_is_what_numpy_finds(seed, n, gap):
    rng = np.random.default_rng(seed)
    values = np.r_[rng.choice([-1, 1]), (1 - gap) * rng.uniform(-1, 1, n - 1)]
    A = symmetric(values, seed)
    pair = power_iteration(A, random_state=seed)
    certified(A, pair, 1e-10)
    assert pair.value == pytest.approx(values[0], rel=1e-9)


def test_a_function_takes_its_size_from_the_start():
    A = symmetric([3, 2, 1])
    assert power_iteration(lambda v: A @ v, v0=np.ones(3)).value == pytest.approx(3)
    with pytest.raises(ValueError, match="pass n="):
        power_iteration(lambda v: A @ v)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, ValueError, r"k must be an integer, between 1 and n = 3; got 0"),
        ({"k": 4}, ValueError, "between 1 and n = 3; got 4"),
        ({"k": 1.5}, ValueError, "k must be an integer"),
        ({"max_iter": 0}, ValueError, "max_iter must be an integer, at least 1; got 0"),
        ({"tol": -1}, ValueError, "tol must be a finite number, 0 or larger; got -1"),
        ({"tol": np.nan}, ValueError, "tol must be"),
        ({"tol": "small"}, ValueError, "tol must be"),
        ({"shift": np.inf}, ValueError, "shift must be a finite real number; got inf"),
        ({"shift": 1j}, ValueError, "shift must be"),
        ({"v0": [1, 2]}, ValueError, r"v0 must have shape \(3,\).*got \(2,\)"),
        ({"v0": np.zeros(3)}, ValueError, "v0 must be finite and not zero"),
        ({"v0": [1, np.nan, 0]}, ValueError, "v0 must be finite"),
        ({"v0": [1j, 0, 0]}, TypeError, "v0 must hold real numbers"),
    ],
)
def test_arguments_out_of_range_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        power_iteration(np.diag([3.0, 2, 1]), **options)


def test_products_too_short_or_too_long_to_measure():
    with pytest.raises(ValueError, match="too short to measure"):
        power_iteration(lambda v: v * 1e-200, n=2, random_state=0)
    with pytest.raises(ValueError, match="too large to square"):
        power_iteration(lambda v: v * 1e200, n=2, random_state=0)


def test_sparse_of_many_rows():
    n = 50_000
    A = scipy.sparse.diags_array([np.r_[3.0, np.linspace(2, 1, n - 1)]], offsets=[0]).tocsr()
    pair = power_iteration(A, random_state=0)
    assert pair.value == pytest.approx(3, rel=1e-12)
    assert pair.converged
