"""Sweeps and the vector work of PageRank: exact on small integers, range by range."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmlfast.kernels import graph as graph_kernels
from mmlfast.kernels import pagerank as kernels
from tests import reference_pagerank as reference
from tests.tolerance import tol

N = 37
CUTS = [[0, N], [0, 1, 20, 20, N]]


def whole(seed, *shape):
    """Small integers, whose products and sums are exact."""
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(float)


def make_graph(*, weighted, n=N, m=150, seed=0):
    source, target, weight = reference.random_edges(n, m, seed, weighted=weighted)
    indptr, indices, order = reference.in_edges(source, target, n)
    values = weight[order] if weighted else np.empty(0)
    # Halves and quarters are exact as well.
    inverse = np.where(np.isin(np.arange(n), source), 2.0 ** -(np.arange(n) % 3), 0.0)
    share = np.where(inverse > 0, (np.arange(n) % 4) / 4, 0.0)
    return np.asarray(indptr, np.int64), np.asarray(indices, np.int32), values, inverse, share


def over(cuts, task, n_sums):
    """task(rows, sums) for each range, its sums in NaN before."""
    total = np.zeros(n_sums)
    for rows in itertools.pairwise(cuts):
        sums = np.full(n_sums, np.nan)
        task(rows, sums)
        total += sums
    return total


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("step", [0, 1])
def test_sweep(step, weighted, cuts):
    graph = make_graph(weighted=weighted)
    b = (whole(1, N if step else 1), step, 0.5)
    x, y = whole(2, N), whole(3, N)
    outcomes = []
    for code in (kernels, reference):
        new = np.full(N, np.nan), np.full(N, np.nan)
        sums = over(cuts, lambda *a, f=code.sweep, new=new: f(graph, 0.5, b, x, y, new, *a), 3)
        outcomes.append((*new, sums))
    for actual, expected in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("in_place", [False, True])
def test_seidel(in_place, copies, step, weighted, cuts):
    # So few edges that all halves of halves stay exact.
    graph = make_graph(weighted=weighted, n=9, m=20)
    b = (whole(1, 9 if step else 1), step, 0.5)
    outcomes = []
    for code in (kernels, reference):
        x, y = whole(2, 9), np.tile(whole(3, 9), copies)
        new_x = x if in_place else np.full(9, np.nan)
        f = code.seidel
        ranges = [min(cut, 9) for cut in cuts]
        task = lambda *a, f=f, x=(x, y, new_x): f(graph, 0.5, b, *x, *a)  # noqa: E731
        outcomes.append((new_x, y, over(ranges, task, 3)))
    for actual, expected in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_apply_symmetric(weighted, cuts):
    graph = make_graph(weighted=weighted)
    p, y = whole(2, N), whole(3, N)
    outcomes = []
    for code in (kernels, reference):
        q = np.full(N, np.nan)
        f = code.apply_symmetric
        sums = over(cuts, lambda *a, f=f, q=q: f(graph, 0.25, p, y, q, *a), 1)
        outcomes.append((q, sums))
    for actual, expected in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize(
    ("name", "first", "n_arrays", "n_sums"),
    [("divide", (whole(9, N),), 2, 2), ("descend", (0.5,), 4, 2), ("turn", (0.25,), 3, 0)],
)
def test_vector_work(name, first, n_arrays, n_sums, cuts):
    inverse = make_graph(weighted=False)[3]
    outcomes = []
    for code in (kernels, reference):
        arrays = [whole(seed, N) for seed in range(n_arrays)]
        f = getattr(code, name)
        sums = over(cuts, lambda *a, f=f, x=arrays: f(inverse, *first, *x, *a), n_sums)
        outcomes.append((*arrays, sums))
    for actual, expected in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("kept", [1, 2, 6])
@pytest.mark.parametrize("copies", [1, 2])
def test_combinations(copies, kept, cuts):
    inverse = make_graph(weighted=False)[3]
    image, x, theta, G = whole(1, N), whole(2, N), whole(3, kept), whole(4, kept, N)
    outcomes = []
    for code in (kernels, reference):
        F, f = whole(0, kept, N), code.inner_products
        given = (image, x, (0.5, 2.0), F, kept // 2)
        products = over(cuts, lambda *a, f=f, x=given: f(*x, *a), kept)
        new_x, y = np.full(N, np.nan), np.full(copies * N, np.nan)
        given = (G, theta, inverse, whole(5, N), new_x, y)
        sums = over(cuts, lambda *a, f=code.mix, x=given: f(*x, *a), 2)
        outcomes.append((F, products, new_x, y, sums))
    for actual, expected in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("copies", [1, 2])
def test_sweep_of_lanes(copies, step, weighted, cuts):
    graph = make_graph(weighted=weighted, n=9, m=20)
    shape = (9, kernels.LANES)
    restart = (whole(1, *shape), whole(2, kernels.LANES))
    dangling = (whole(3, 9 if step else 1), step, whole(4, kernels.LANES))
    outcomes = []
    for code in (kernels, reference):
        X, Y = whole(5, *shape), whole(6, *shape)
        new_Y = Y if copies == 1 else np.full(shape, np.nan)
        f, ranges = code.sweep_lanes, [min(cut, 9) for cut in cuts]
        task = lambda *a, f=f, x=(X, Y, new_Y): f(graph, 0.5, restart, dangling, *x, *a)  # noqa: E731
        outcomes.append((X, Y, new_Y, over(ranges, task, 3 * kernels.LANES)))
    for actual, expected in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("k", [1, 2, 7, N])
@pytest.mark.parametrize("order", ["any", "rising", "falling", "equal"])
def test_the_largest_in_order(order, k):
    scores = whole(4, N)
    if order != "any":
        scores = np.sort(scores)[:: 1 if order == "rising" else -1] * (order != "equal")
    scores = np.ascontiguousarray(scores)
    values, places = np.full(k, np.nan), np.full(k, -1)
    kernels.keep_largest(scores, values, places)
    np.testing.assert_array_equal(places, np.argsort(-scores, kind="stable")[:k])
    np.testing.assert_array_equal(values, scores[places])


def test_rounding_of_a_sweep_stays_within_the_bound():
    indptr, indices, _, inverse, share = make_graph(weighted=False, n=5, m=4000)
    rng = np.random.default_rng(0)
    x, y = rng.random(5), rng.random(5)
    new, sums = (np.empty(5), np.empty(5)), np.empty(3)
    graph = (indptr, indices, np.empty(0), inverse, share)
    kernels.sweep(graph, 0.85, (np.zeros(1), 0, 1.0), x, y, new, (0, 5), sums)
    exact = [0.85 * y.astype(np.longdouble)[indices[lo:hi]].sum()
             for lo, hi in itertools.pairwise(indptr)]  # fmt: skip
    assert (np.abs(new[0] - exact) <= tol(np.float64, 4000) * new[0]).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shift", [0, 1, 3, 10])
@pytest.mark.parametrize("n", [1, 2, 37, 64])
def test_sorting_by_target(n, shift, weighted):
    """Through buckets in two parts, as with two threads."""
    source, target, weight = reference.random_edges(n, 5 * n, n, weighted=weighted)
    source, target = source.astype(np.int32), target.astype(np.int32)
    weights = weight if weighted else np.empty(0)
    m, n_buckets, half = len(target), (n >> shift) + 1, 2 * n
    counts = np.zeros((2, n_buckets), np.int64)
    for part, span in enumerate([(0, half), (half, m)]):
        graph_kernels.count_buckets(target, *span, shift, counts[part])
    assert counts.sum() == m
    begins = np.concatenate([[0], np.cumsum(counts.T.ravel())])
    cursors = begins[:-1].reshape(n_buckets, 2).T.copy()
    filled = (np.full(m, -1, np.int32), np.full(m, -1, np.int32), np.full(len(weights), np.nan))
    for part, span in enumerate([(0, half), (half, m)]):
        edges = (source, target, weights)
        graph_kernels.fill_buckets(edges, *span, shift, cursors[part], filled)
    indptr, indices = np.zeros(n + 1, np.int64), np.full(m, -1, np.int32)
    values = np.full(len(weights), np.nan)
    for b in reversed(range(n_buckets)):
        span = (begins[2 * b], begins[2 * b + 2])
        nodes = (b << shift, min((b + 1) << shift, n))
        graph_kernels.sort_bucket(filled, span, nodes, indptr, indices, values)
    expected, sources, order = reference.in_edges(source, target, n)
    np.testing.assert_array_equal(indptr, expected)
    np.testing.assert_array_equal(indices, sources)
    np.testing.assert_array_equal(values, weights[order] if weighted else [])


def test_rows_of_a_compressed_matrix():
    indptr = np.array([0, 2, 2, 5, 6])
    rows = np.full(6, -1, np.int32)
    for lo, hi in ((0, 3), (3, 4)):
        graph_kernels.fill_sources(indptr, lo, hi, rows)
    assert rows.tolist() == [0, 0, 2, 2, 2, 3]


@pytest.mark.parametrize("weights", [np.empty(0), np.array([2.0, 3.0, 5.0, 7.0])])
def test_sums_of_weights(weights):
    out = np.zeros(4)
    graph_kernels.add_weights(np.array([0, 3, 0, 1], np.int32), weights, out)
    assert out.tolist() == ([2, 1, 0, 1] if weights.size == 0 else [7, 7, 0, 3])


def test_repeated_edges_are_merged_in_place():
    indptr = np.array([0, 3, 3, 4, 8])
    indices = np.array([1, 1, 2, 2, 0, 0, 0, 3], np.int32)
    values = np.arange(1.0, 9.0)
    n = graph_kernels.merge_duplicates(indptr, indices, values)
    assert n == 5
    assert indptr.tolist() == [0, 2, 2, 3, 5]
    assert indices[:n].tolist() == [1, 2, 2, 0, 3]
    assert values[:n].tolist() == [3, 3, 4, 18, 8]


@pytest.mark.parametrize("weighted", [False, True])
def test_nodes_in_another_order(weighted):
    indptr, indices, values, *_ = make_graph(weighted=weighted)
    order = np.random.default_rng(0).permutation(N)
    rank = np.argsort(order).astype(np.int32)
    new = np.zeros(N + 1, np.int64)
    np.cumsum(np.diff(indptr)[order], out=new[1:])
    moved = (new, np.full(len(indices), -1, np.int32), np.full(len(values), np.nan))
    for rows in ((0, 20), (20, N)):
        graph_kernels.relabel((indptr, indices, values), order, rank, rows, moved)
    for p, node in enumerate(order):
        here, there = slice(*indptr[node : node + 2]), slice(*new[p : p + 2])
        np.testing.assert_array_equal(moved[1][there], rank[indices[here]])
        np.testing.assert_array_equal(moved[2][there], values[here])


@pytest.mark.parametrize("name", ["divide", "mix", "take_lane", "descend"])
def test_sums_do_not_depend_on_where_arrays_lie(name):
    """Side by side in one buffer, in any order, or far apart: the same bits."""
    n, rng = 3000, np.random.default_rng(0)
    numbers = rng.random((5, n))

    def total(arrays):
        for array, values in zip(arrays, numbers, strict=True):
            array[:] = values
        a, b, c, d, e = arrays
        sums = np.empty(2)
        if name == "divide":
            kernels.divide(a, b, c, d, (0, n), sums)
        elif name == "mix":
            kernels.mix(a[None], np.ones(1), b, c, d, e, (0, n), sums)
        elif name == "descend":
            kernels.descend(a, 0.3, b, c, d, e, (0, n), sums)
        else:
            kernels.take_lane(a[:, None], 0, np.arange(n), 0.7, b, c, (0, n), sums)
        return tuple(sums[: 1 if name == "take_lane" else 2])

    apart = total([np.empty(n) for _ in numbers])
    for order in itertools.permutations(range(5)):
        whole_buffer = np.empty(5 * n)
        assert total([whole_buffer[k * n : (k + 1) * n] for k in order]) == apart
