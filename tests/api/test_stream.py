"""Moments of a stream: the same bits however rows are batched, and a state that survives errors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlfast.api import stream as module
from mmlfast.api.stream import MomentStream
from mmlfast.runtime.validate import WORK_DTYPES, work_dtype
from tests import reference

DTYPES = list(WORK_DTYPES)
WIDTHS = [1, 7, 64, 300, 500]
ROWS = 1100
SUPERBLOCK = 256

# Where threads take superblocks of their own, where they share each, and where steps are short.
PATHS = {
    "own superblocks": {"PARTIAL_BYTES": 1 << 40},
    "shared superblocks": {"PARTIAL_BYTES": 0},
    "short steps": {"PARTIAL_BYTES": 0, "rows_per_step": lambda flops, threads: 100},
}


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Small superblocks, so that a thousand rows go through everything."""
    monkeypatch.setattr(module, "SUPERBLOCK", SUPERBLOCK)
    monkeypatch.setattr(module, "PARALLEL_COLUMNS", 50)
    for name, value in PATHS[request.param].items():
        monkeypatch.setattr(module, name, value)
    return request.param


def numbers(d, dtype, n=ROWS):
    return (20 * np.random.default_rng(d).standard_normal((n, d)) + 50).astype(dtype)


def integers(n, d, dtype):
    low = 0 if np.dtype(dtype).kind == "u" else -5
    return np.random.default_rng(d).integers(low, 6, (n, d)).astype(dtype)


def stream_of(X, cuts=(), threads=1, weights=None, shift=None):
    """The stream that got X in batches that end at `cuts`."""
    stream = MomentStream(X.shape[1], work_dtype(X.dtype), shift)
    for lo, hi in itertools.pairwise([0, *sorted(cuts), len(X)]):
        stream.add(X[lo:hi], None if weights is None else weights[lo:hi], threads=threads)
    return stream


def assert_same_bits(stream, expected):
    actual, expected = stream.moments(), expected.moments()
    assert actual.n_rows == expected.n_rows
    assert actual.weight == expected.weight
    for name in ("shift", "sums", "G"):
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name))


CUTS = st.lists(st.integers(0, ROWS), max_size=7)
THREADS = st.integers(1, 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", WIDTHS)
def test_same_bits_for_any_batches_and_threads(d, dtype, path):
    X = numbers(d, dtype)
    whole = stream_of(X)

    @settings(max_examples=5)
    @given(CUTS, THREADS)
    def check(cuts, threads):
        assert_same_bits(stream_of(X, cuts, threads), whole)

    check()
    assert_same_bits(stream_of(X, range(97, ROWS, 97), 2), whole)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda X: np.repeat(X, 2, axis=1)[:, ::2]])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_same_bits_in_any_layout(dtype, layout, path):
    X = numbers(64, dtype)
    assert_same_bits(stream_of(layout(X), (500,), 2), stream_of(X))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", WIDTHS)
def test_exact_on_integers(d, dtype, path):
    X = integers(600, d, dtype)
    moments = stream_of(X, (70, 400), 3).moments()
    shift = reference.shift_of(X).astype(np.float64)
    P = X - shift
    np.testing.assert_array_equal(moments.shift, shift)
    np.testing.assert_array_equal(moments.sums, P.sum(axis=0))
    np.testing.assert_array_equal(moments.G, P.T @ P)
    assert (moments.n_rows, moments.weight) == (600, 600.0)


@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17])
def test_few_rows(n):
    X = integers(n, 5, "float64")
    stream = stream_of(X, range(n))
    moments = stream.moments()
    assert moments.n_rows == n
    if n:
        P = X - moments.shift
        np.testing.assert_array_equal(moments.G, P.T @ P)
        np.testing.assert_array_equal(moments.shift, reference.shift_of(X))


@settings(max_examples=25)
@given(CUTS, THREADS, st.integers(0, 99))
def test_looking_at_the_moments_changes_nothing(cuts, threads, seed):
    X = np.random.default_rng(seed).standard_normal((ROWS, 33)).astype(np.float32)
    stream = MomentStream(33, X.dtype)
    for lo, hi in itertools.pairwise([0, *sorted(cuts), ROWS]):
        stream.add(X[lo:hi], threads=threads)
        stream.moments()
    assert_same_bits(stream, stream_of(X))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 7, 64, 300])
def test_weights_are_repetitions(d, dtype, path):
    X = integers(500, d, dtype)
    weights = np.random.default_rng(1).integers(0, 4, 500)
    shift = X[0].astype(work_dtype(X.dtype))
    repeated = stream_of(np.repeat(X, weights, axis=0), shift=shift).moments()
    for cuts, threads in (((), 1), ((3, 90, 300), 2)):
        weighted = stream_of(X, cuts, threads, weights.astype(float), shift).moments()
        np.testing.assert_array_equal(weighted.G, repeated.G)
        np.testing.assert_array_equal(weighted.sums, repeated.sums)
        assert weighted.weight == repeated.weight == weights.sum()
        assert weighted.n_rows == 500


@settings(max_examples=25)
@given(CUTS, THREADS)
def test_same_bits_with_weights(cuts, threads):
    rng = np.random.default_rng(5)
    X, weights = rng.standard_normal((ROWS, 70)).astype(np.float32), rng.random(ROWS)
    actual = stream_of(X, cuts, threads, weights).moments()
    expected = stream_of(X, weights=weights).moments()
    np.testing.assert_array_equal(actual.G, expected.G)
    np.testing.assert_array_equal(actual.sums, expected.sums)


def test_batches_with_and_without_weights():
    X = integers(900, 20, "float32")
    stream = MomentStream(20, X.dtype)
    stream.add(X[:300])
    stream.add(X[300:700], np.ones(400))
    stream.add(X[700:])
    assert_same_bits(stream, stream_of(X))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_bad_number_is_named_and_the_state_goes_on(bad, weighted, path):
    X = numbers(60, "float32")
    weights = np.random.default_rng(3).integers(0, 3, ROWS).astype(float) if weighted else None
    whole = stream_of(X, weights=weights)

    @settings(max_examples=12)
    @given(CUTS, THREADS, st.integers(0, ROWS - 1), st.integers(0, 59))
    def check(cuts, threads, row, column):
        spoilt = X.copy()
        spoilt[row, column] = bad
        stream = MomentStream(60, X.dtype)
        with pytest.raises(ValueError, match=f"stands in row {row}, column {column} "):
            for lo, hi in itertools.pairwise([0, *sorted(cuts), ROWS]):
                stream.add(spoilt[lo:hi], None if weights is None else weights[lo:hi],
                           threads=threads)  # fmt: skip
        # What was added are the rows before it, as many as n_rows says, and no others.
        kept = stream.n_rows
        assert kept <= row
        if kept:
            few = stream_of(X[:kept], weights=None if weights is None else weights[:kept])
            assert_same_bits(stream, few)
        stream.add(X[kept:], None if weights is None else weights[kept:], threads=threads)
        assert_same_bits(stream, whole)

    check()


@pytest.mark.parametrize("at", [(0, 0), (15, 3), (16, 1), (ROWS - 1, 499)])
def test_a_bad_number_in_wide_rows(at, path):
    X = numbers(500, "float64")
    spoilt = X.copy()
    spoilt[at] = np.nan
    stream = MomentStream(500, X.dtype)
    with pytest.raises(ValueError, match=f"NaN: the first stands in row {at[0]}, column {at[1]} "):
        stream.add(spoilt, threads=3)
    stream.add(X[stream.n_rows :], threads=3)
    assert_same_bits(stream, stream_of(X))


def test_finite_numbers_that_are_too_large(path):
    X = numbers(20, "float32")
    X[700:703] = np.finfo(np.float32).max
    stream = MomentStream(20, X.dtype)
    with pytest.raises(ValueError, match=r"too large to square and sum in float32.*float64"):
        stream.add(X, threads=2)
        stream.moments()


class Interrupting:
    """A look at the progress during which Ctrl-C is pressed."""

    def __init__(self, after):
        self.steps = after

    def __call__(self, rows):
        self.steps -= 1
        if self.steps == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupt_leaves_a_state_that_goes_on(after, monkeypatch):
    monkeypatch.setattr(module, "SUPERBLOCK", SUPERBLOCK)
    monkeypatch.setattr(module, "rows_per_step", lambda flops, threads: SUPERBLOCK)
    X = numbers(64, "float32")
    stream = MomentStream(64, X.dtype)
    with pytest.raises(KeyboardInterrupt):
        stream.add(X, threads=2, advance=Interrupting(after))
    assert 0 < stream.n_rows < ROWS
    stream.add(X[stream.n_rows :])
    assert_same_bits(stream, stream_of(X))


def test_progress_counts_every_row_after_the_first():
    steps = []
    stream = MomentStream(8, np.dtype(np.float32))
    stream.add(numbers(8, "float32"), advance=steps.append)
    assert sum(steps) in (ROWS, ROWS - module.SHIFT_ROWS)
