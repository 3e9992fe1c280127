"""Covariance states add like numbers, exactly where those are whole, and agree with numpy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import CovarianceState, covariance, gram
from tests.api.models import close, spread, whole_numbers

DTYPES = ["float64", "float32", "float16", "uint8", "int8", "int16", "int32", "int64", "bool"]


def state_of(rows, weights=None, **settings) -> CovarianceState:
    return CovarianceState(rows.shape[1], **settings).update(rows, weights)


def same_state(a: CovarianceState, b: CovarianceState) -> None:
    """Both hold the same rows: counts, mean and covariance, bit for bit."""
    assert (a.n_features, a.n_samples, a.weight) == (b.n_features, b.n_samples, b.weight)
    np.testing.assert_array_equal(a.mean, b.mean)
    np.testing.assert_array_equal(a.covariance(0), b.covariance(0))


# A power of two of rows of small whole numbers: nothing is rounded anywhere, so nothing may differ.
row_counts = st.sampled_from([1, 2, 4, 8, 32, 128])
widths = st.integers(1, 12)
seeds = st.integers(0, 1000)


@st.composite
def three_parts(draw):
    n, d = draw(st.sampled_from([4, 16, 64, 256])), draw(widths)
    rows = whole_numbers(
        n, d, draw(st.sampled_from(["float32", "float64", "int16"])), seed=draw(seeds)
    )
    i, j = sorted((draw(st.integers(1, n - 2)), draw(st.integers(1, n - 2))))
    return rows, rows[:i], rows[i : j + 1], rows[j + 1 :]


# Laws


@given(three_parts())
def test_merging_is_associative_and_commutative_exactly(parts):
    rows, *thirds = parts
    a, b, c = (state_of(part) for part in thirds)
    whole = state_of(rows)
    for one in ((a + b) + c, a + (b + c), c + (a + b), b + c + a):
        same_state(one, whole)
    assert a.n_samples == len(thirds[0])


@given(rows=st.builds(whole_numbers, row_counts, widths, seed=seeds))
def test_the_empty_state_changes_nothing(rows):
    state, empty = state_of(rows), CovarianceState(rows.shape[1])
    for other in (state + empty, empty + state, empty + state + empty):
        same_state(other, state)
    same_state(copy.deepcopy(state).merge(empty), state)
    same_state(CovarianceState(rows.shape[1]).merge(state), state)
    assert (empty + empty).n_samples == empty.n_samples == 0


@given(n=st.integers(2, 300), d=widths, cut=st.integers(1, 299), seed=seeds)
def test_merging_is_right_to_rounding(n, d, cut, seed):
    rows = np.random.default_rng(seed).standard_normal((n, d)) + 100 * seed
    a, b = state_of(rows[: min(cut, n - 1)]), state_of(rows[min(cut, n - 1) :])
    close((a + b).covariance(), state_of(rows).covariance(), 1e-9)
    close((a + b).covariance(), (b + a).covariance(), 1e-9)
    close((a + b).mean, rows.mean(axis=0), 1e-12)


@given(
    n=st.integers(1, 40), d=widths, seed=seeds,
    dtype=st.sampled_from(["float32", "float64", "uint8"]),
)  # fmt: skip
def test_weights_are_repetitions(n, d, seed, dtype):
    rows = np.abs(whole_numbers(n, d, seed=seed)).astype(dtype)
    weights = np.random.default_rng(seed).integers(0, 4, n)
    weights[0] = 1
    weighted, repeated = state_of(rows, weights), state_of(np.repeat(rows, weights, axis=0))
    assert weighted.weight == repeated.weight
    close(weighted.covariance(0), repeated.covariance(0), 1e-12)
    close(weighted.mean, repeated.mean, 1e-12)
    if weighted.weight > 1:
        close(
            covariance(rows, weights=weights), covariance(np.repeat(rows, weights, axis=0)), 1e-12
        )


@given(rows=st.builds(whole_numbers, row_counts, widths, seed=seeds), m=st.integers(1, 6))
def test_the_affine_law(rows, m):
    A, b = whole_numbers(m, rows.shape[1], seed=1), whole_numbers(1, m, seed=2)[0]
    mapped = state_of(rows).affine(A, b)
    expected = state_of(rows @ A.T + b)
    assert (mapped.n_features, mapped.n_samples) == (m, len(rows))
    close(mapped.mean, expected.mean, 1e-12)
    close(mapped.covariance(0), expected.covariance(0), 1e-12)
    same_state(state_of(rows).affine(np.eye(rows.shape[1])), state_of(rows))


@given(cuts=st.lists(st.integers(1, 4999), max_size=10), dtype=st.sampled_from(DTYPES[:7]))
def test_batches_change_no_bit(cuts, dtype):
    rows = np.abs(spread(5000, 7)).astype(dtype)
    state = CovarianceState(7)
    for part in np.split(rows, sorted(set(cuts))):
        state.update(part)
    same_state(state, state_of(rows))


@pytest.mark.parametrize("d", [3, 40, 300])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_threads_change_no_bit(d, dtype):
    rows = np.abs(spread(9000, d)).astype(dtype)
    for n_jobs in (2, 3, 4):
        same_state(state_of(rows, n_jobs=n_jobs), state_of(rows, n_jobs=1))


# numpy


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 2048, 2049, 5000])
def test_whole_numbers_are_exact(n, dtype):
    rows = np.abs(whole_numbers(n, 9)) % 2 if dtype == "bool" else np.abs(whole_numbers(n, 9))
    rows = rows.astype(dtype)
    X = rows.astype(np.float64)
    np.testing.assert_array_equal(gram(rows), (X.T @ X).astype(gram(rows).dtype))
    state = state_of(rows)
    close(state.mean, X.mean(axis=0), 1e-15)
    close(state.covariance(0), np.cov(X.T, ddof=0), 1e-12)
    assert (state.covariance(0) == state.covariance(0).T).all()


@pytest.mark.parametrize("ddof", [0, 1, 2.5])
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_covariance_is_numpys(layout, ddof):
    X = spread(200, 9, offset=5.0)
    data = X if layout == "rows" else X.T
    C = (X - X.mean(axis=0)).T @ (X - X.mean(axis=0)) / (len(X) - ddof)
    close(covariance(data, ddof=ddof, layout=layout), C, 1e-12)
    if ddof < 2:
        close(covariance(data, ddof=ddof, layout=layout),
              np.cov(data, rowvar=layout == "columns", ddof=ddof), 1e-12)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_weights_are_numpys_frequencies(dtype):
    X = spread(300, 6, dtype)
    weights = np.random.default_rng(0).integers(0, 5, 300)
    expected = np.cov(X.T.astype(np.float64), fweights=weights)
    close(covariance(X, weights=weights), expected, 1e-6 if dtype == "float32" else 1e-12)
    close(covariance(iter([X[:100], X[100:]]), weights=weights), covariance(X, weights=weights), 0)


@pytest.mark.parametrize(
    ("dtype", "offset", "bound"), [("float32", 1e4, 1e-5), ("float64", 1e12, 1e-9)]
)
def test_a_large_mean_costs_no_digits(dtype, offset, bound):
    X = (whole_numbers(20_000, 5) + offset).astype(dtype)
    expected = np.cov(X.astype(np.float64).T - offset)
    close(covariance(X), expected, bound)
    halves = state_of(X[:9999]) + state_of(X[9999:])
    close(halves.covariance(), expected, bound)


def test_one_wild_first_row_costs_no_digits():
    X = spread(5000, 4, "float32")
    X[0] = 1e6
    expected = np.cov(X.astype(np.float64).T)
    close(covariance(X), expected, 1e-5)
    rest = np.cov(X[1:].astype(np.float64).T)
    close(state_of(X[1:]).covariance(), rest, 1e-5)


def test_gram_is_the_inner_products():
    X = spread(300, 7, offset=2.0)
    close(gram(X), X.T @ X, 1e-12)
    G = gram(X.astype(np.float32))
    assert G.dtype == np.float32
    close(G, X.T @ X, 1e-5)
    np.testing.assert_array_equal(gram(np.ones((3, 1))), [[3.0]])


# Correlation


def test_correlation_is_numpys():
    X = spread(100, 6)
    R = state_of(X).correlation()
    close(R, np.corrcoef(X.T), 1e-12)
    np.testing.assert_array_equal(np.diagonal(R), 1)
    assert np.abs(R).max() == 1


@pytest.mark.parametrize("value", [0.0, 0.1, 7.0, 1e8])
def test_a_constant_column_is_correlated_with_nothing(value):
    X = spread(100, 3)
    X[:, 1] = value
    for state in (state_of(X), state_of(X[:30]) + state_of(X[30:])):
        R = state.correlation()
        np.testing.assert_array_equal(R[1], [0, 1, 0])
        np.testing.assert_array_equal(state.covariance()[1], 0)


def test_equal_and_opposite_columns_are_wholly_correlated():
    x = spread(50, 1)
    R = state_of(np.hstack([x, x, -x])).correlation()
    np.testing.assert_allclose(R, [[1, 1, -1], [1, 1, -1], [-1, -1, 1]], rtol=1e-15)


# Use


def test_one_row_has_a_mean_and_no_covariance():
    state = state_of(np.array([[1.0, 5.0]]))
    np.testing.assert_array_equal(state.mean, [1, 5])
    np.testing.assert_array_equal(state.covariance(ddof=0), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="must exceed ddof = 1; it is 1"):
        state.covariance()


def test_an_empty_state_says_so():
    state = CovarianceState(3)
    assert repr(state) == "CovarianceState(n_features=3, n_samples=0)"
    for ask in (lambda: state.mean, state.covariance, state.correlation):
        with pytest.raises(
            ValueError, match=r"needs at least 1 row; this state has 0. Call update"
        ):
            ask()


def test_rows_of_no_weight():
    X = spread(10, 2)
    state = state_of(X, np.zeros(10))
    with pytest.raises(ValueError, match="positive weight"):
        _ = state.mean
    same = state.update(X, np.ones(10))
    close(same.covariance(), np.cov(X.T), 1e-12)


def test_reading_in_between_changes_no_bit():
    X = spread(5000, 6, "float32")
    state = CovarianceState(6)
    for i in range(0, 5000, 321):
        state.update(X[i : i + 321])
        # Sums of values of some 10 in float32: the error does not shrink with the mean.
        mean = X[: i + 321].mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(state.mean, mean, rtol=0, atol=1e-5)
    same_state(state, state_of(X))


def test_copies_go_on_to_the_same_bits():
    X = spread(5000, 6, "float32")
    state = state_of(X[:1234])
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        same_state(other.update(X[1234:]), state_of(X))
    assert state.n_samples == 1234


def test_a_bad_number_is_named_and_the_state_stays_usable():
    X = spread(5000, 6)
    bad = X.copy()
    bad[4500, 3] = np.nan
    state = CovarianceState(6)
    with pytest.raises(ValueError, match=r"NaN: .* row 4500, column 3"):
        state.update(bad)
    assert 0 < state.n_samples <= 4500
    same_state(state.update(X[state.n_samples :]), state_of(X))


@pytest.mark.parametrize("n_features", [0, -1, 2.5, "3", None])
def test_the_number_of_features_is_checked(n_features):
    with pytest.raises(ValueError, match="n_features must be a positive integer"):
        CovarianceState(n_features)


def test_what_does_not_fit():
    X = spread(20, 3)
    state = state_of(X)
    with pytest.raises(ValueError, match=r"4 columns, but this state has n_features=3.*block.T"):
        state.update(spread(5, 4))
    with pytest.raises(TypeError, match="must be a CovarianceState; got ndarray"):
        state.merge(X)
    with pytest.raises(TypeError):
        state + 3
    with pytest.raises(ValueError, match="n_features=4, this state 3"):
        state.merge(CovarianceState(4))
    with pytest.raises(ValueError, match=r"A must have shape \(m, n_features\)"):
        state.affine(np.eye(4))
    with pytest.raises(ValueError, match=r"b must have shape \(2,\); got \(3,\)"):
        state.affine(np.ones((2, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="dtype must be float32, float64 or None"):
        CovarianceState(3, dtype="float16")
    with pytest.raises(ValueError, match='layout must be "rows" or "columns"'):
        covariance(X, layout="diagonal")
    with pytest.raises(ValueError, match="must exceed ddof"):
        covariance(X[:1])
    assert state.n_samples == 20


def test_precision_is_kept_or_refused():
    X = spread(50, 3)
    state = state_of(X.astype(np.float32))
    with pytest.raises(TypeError, match=r"sums products in float32.*dtype='float64'"):
        state.update(X)
    double = CovarianceState(3, dtype="float64").update(X.astype(np.float32)).update(X)
    close(double.covariance(), np.cov(np.vstack([X, X]).T), 1e-6)


# Files


@pytest.mark.parametrize("name", ["state.npz", "state.state"])
def test_a_saved_state_goes_on(name, tmp_path):
    X = whole_numbers(256, 5)
    state = state_of(X[:100])
    state.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    back = CovarianceState.load(tmp_path / name)
    same_state(back, state)
    same_state(back.update(X[100:]), state_of(X))
    CovarianceState(5).save(tmp_path / name)
    assert CovarianceState.load(tmp_path / name).n_samples == 0


def test_halves_may_be_summed_in_float64():
    X = np.random.default_rng(0).standard_normal((300, 5)).astype(np.float16)
    wide = X.astype(np.float64)
    ours = CovarianceState(5, dtype="float64").update(X)
    np.testing.assert_array_equal(ours.covariance(), CovarianceState(5).update(wide).covariance())


def test_batches_of_fractional_weights_give_the_same_bits():
    generator = np.random.default_rng(1)
    X, w = generator.standard_normal((3000, 4)), generator.random(3000)
    whole, parts = CovarianceState(4).update(X, w), CovarianceState(4)
    for lo in range(0, 3000, 7):
        parts.update(X[lo : lo + 7], w[lo : lo + 7])
    assert parts.weight == whole.weight
    np.testing.assert_array_equal(parts.covariance(), whole.covariance())
    np.testing.assert_array_equal(parts.mean, whole.mean)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8"])
def test_gram_of_two_sides(center, weighted, dtype):
    rng = np.random.default_rng(0)
    X, Y = rng.integers(0, 9, (5000, 7)).astype(dtype), rng.integers(0, 9, (5000, 3)).astype(dtype)
    w = rng.integers(0, 4, 5000).astype(float) if weighted else None
    W = np.ones(5000) if w is None else w
    x, y = X.astype(np.float64), Y.astype(np.float64)
    if center:
        x, y = x - W @ x / W.sum(), y - W @ y / W.sum()
    G, H = (gram(X, right, weights=w, center=center) for right in (None, Y))
    assert G.dtype == H.dtype == (np.float32 if dtype == "float32" else np.float64)
    np.testing.assert_array_equal(G, G.T)
    if not center:
        np.testing.assert_array_equal(G, (x.T * W) @ x)
        np.testing.assert_array_equal(H, (x.T * W) @ y)
    tolerance = 1e-12 if G.dtype == np.float64 else 1e-6
    for actual, right in ((G, x), (H, y)):
        scale = np.sqrt(np.outer(W @ x**2, W @ right**2))
        assert (np.abs(actual - (x.T * W) @ right) <= tolerance * scale).all()


def test_gram_of_two_sides_reads_any_sources():
    X, Y = np.random.default_rng(0).standard_normal((2, 6000, 4))
    pieces = [X[:10], X[10:2500], X[2500:]]
    whole_at_once = gram(X, Y)
    np.testing.assert_array_equal(gram(iter(pieces), Y), whole_at_once)
    np.testing.assert_array_equal(gram(X, iter([Y[:5000], Y[5000:]]), n_jobs=1), whole_at_once)


def test_gram_of_a_large_mean_keeps_its_digits():
    rng = np.random.default_rng(0)
    X, Y = (rng.standard_normal((4000, 3)).astype("float32") + np.float32(1e4) for _ in range(2))
    x, y = (Z.astype(np.float64) - Z.astype(np.float64).mean(axis=0) for Z in (X, Y))
    assert np.abs(gram(X, Y, center=True) - x.T @ y).max() <= 1e-5 * 4000


@pytest.mark.parametrize(
    ("right", "weights", "error"),
    [
        (np.ones((4, 1)), None, "Y must have as many rows as X; one of them ends after row 3"),
        (np.full((3, 1), np.nan), None, "Input Y contains NaN.*row 0, column 0"),
        (np.full((3, 1), 1e300), None, "too large to square and sum"),
        (np.ones((3, 1)), [1.0, 2.0], r"weights must have shape \(3,\)"),
        (np.ones((3, 1)), [1.0, -2.0, 1.0], r"weights\[1\] is -2.0"),
    ],
)
def test_gram_refuses_what_does_not_fit(right, weights, error):
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=error):
        gram(np.full((3, 2), 1e300), right, weights=weights)
