"""PageRank: within its bound of the dense solution, whatever the graph, the method, the options."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api import in_edges, layout
from mmlfast.api import pagerank as module
from mmlfast.api.graph import Graph
from mmlfast.api.pagerank import largest, pagerank
from tests import reference_pagerank as reference
from tests.reference_pagerank import random_matrix

METHODS = ["power", "gauss_seidel", "anderson", "cg"]
# What the dense solution itself may be wrong by.
SOLVED = 1e-15


def assert_certified(found, W, damping, v=None, d=None, tol=1e-10):
    error = np.abs(found.scores - reference.pagerank(W, damping, v, d)).sum()
    assert error <= found.error_bound + SOLVED / (1 - damping)
    assert found.error_bound <= tol
    assert found.converged
    assert (found.scores >= 0).all()
    assert found.scores.sum() == pytest.approx(1, abs=1e-15)
    assert found.n_iter == len(found.residuals)


@given(
    n=st.integers(1, 40),
    density=st.floats(0, 6),
    seed=st.integers(0, 10**6),
    weighted=st.booleans(),
    damping=st.sampled_from([0.0, 0.2, 0.85, 0.99]),
    tol=st.sampled_from([1e-4, 1e-10, 1e-12]),
    method=st.sampled_from(["auto", *METHODS]),
    options=st.sampled_from(["uniform", "v", "v and d", "d"]),
)
def test_the_true_error_is_within_the_bound(
    n, density, seed, weighted, damping, tol, method, options
):
    W = random_matrix(n, int(density * n), seed, weighted=weighted, directed=method != "cg")
    rng = np.random.default_rng(seed)
    v = rng.random(n) * (rng.random(n) < 0.5) + np.eye(n)[0] if "v" in options else None
    d = rng.random(n) + 1e-3 if "d" in options.split() else None
    found = pagerank(
        W, damping=damping, personalization=v, dangling=d, tol=tol, method=method, max_iter=5000
    )
    v = np.full(n, 1 / n) if v is None else v
    assert_certified(found, W, damping, v, v if d is None else d, tol)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_bits_for_any_number_of_threads(method, cut):
    W = random_matrix(300, 3000, 1, directed=method != "cg")
    one = pagerank(W, method=method, n_jobs=1)
    assert_certified(one, W, 0.85)
    for n_jobs in (2, 4):
        found = pagerank(W, method=method, n_jobs=n_jobs)
        np.testing.assert_array_equal(found.scores, one.scores)
        np.testing.assert_array_equal(found.residuals, one.residuals)


@pytest.mark.parametrize("damping", [0.5, 0.85, 0.999])
def test_gauss_seidel_and_conjugate_gradients_need_fewer_sweeps(damping):
    for directed in (True, False):
        W = random_matrix(200, 500, 3, directed=directed)
        power, other = (
            pagerank(W, damping=damping, max_iter=10**5, method=method)
            for method in ("power", "gauss_seidel" if directed else "cg")
        )
        assert other.n_iter < power.n_iter


def test_a_large_ring_is_not_stopped_at_once():
    """Where the stop rule ‖Δ‖₁ < n·tol ends after one step, with a true error of 1.3."""
    n = 200_000
    start = np.zeros(n)
    start[0] = 1.0
    source = np.arange(n)
    found = pagerank((source, (source + 1) % n), start=start)
    assert found.converged
    assert np.abs(found.scores - 1 / n).sum() <= found.error_bound <= 1e-10


def test_a_large_random_graph_is_right():
    n = 200_000
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, n, (2, 600_000))
    found = pagerank((source, target))
    A = sp.csr_array((np.ones(len(source)), (target, source)), shape=(n, n))
    out = np.asarray(A.sum(axis=0)).ravel()
    P = A * np.divide(1.0, out, out=np.zeros(n), where=out > 0)
    x = found.scores
    image = 0.85 * (P @ x + x[out == 0].sum() / n) + 0.15 / n
    assert np.abs(image - x).sum() / 0.15 <= 1.01e-10
    assert found.error_bound <= 1e-10
    assert found.method == "anderson"
    for n_jobs in (1, 2):
        np.testing.assert_array_equal(pagerank((source, target), n_jobs=n_jobs).scores, x)


def test_what_auto_takes():
    W = random_matrix(20, 60, 0)
    assert (pagerank(W).method, pagerank(W).why) == ("anderson", "the graph is directed")
    assert (pagerank(W + W.T).method, pagerank(W + W.T).why) == ("cg", "the graph is undirected")
    assert pagerank(W, method="power").why == "as asked"


def test_the_page_rank_of_the_course():
    """Columns that add up to 1, a page without links out, ranks that add up to 100."""
    L = np.array(
        [[0, 1 / 2, 1 / 3, 0, 0, 0], [1 / 3, 0, 0, 0, 1 / 2, 0], [1 / 3, 1 / 2, 0, 1, 0, 1 / 2],
         [1 / 3, 0, 1 / 3, 0, 1 / 2, 1 / 2], [0, 0, 0, 0, 0, 0], [0, 0, 1 / 3, 0, 0, 0]]
    )  # fmt: skip
    found = pagerank(L, orientation="column", damping=0.9, scale=100)
    np.testing.assert_allclose(found.scores, 100 * reference.pagerank(L.T, 0.9), rtol=1e-9)
    assert found.scores.sum() == pytest.approx(100)
    assert found.error_bound <= 1e-8
    by_edges = pagerank(sp.csc_array(L), orientation="column", damping=0.9)
    np.testing.assert_allclose(by_edges.scores * 100, found.scores)


def test_graphs_of_nothing_but_dangling_nodes():
    v = np.array([1.0, 2.0, 3.0])
    for method in ["auto", *METHODS]:
        empty = sp.csr_array((3, 3))
        np.testing.assert_allclose(pagerank(empty, method=method).scores, 1 / 3)
        found = pagerank(empty, personalization=v, method=method)
        np.testing.assert_allclose(found.scores, v / 6)
        found = pagerank(empty, personalization=v, dangling=[0], method=method)
        np.testing.assert_allclose(
            found.scores, reference.pagerank(np.zeros((3, 3)), 0.85, v, [1, 0, 0])
        )


@pytest.mark.parametrize("method", METHODS)
def test_one_node(method):
    for A in ([[0]], [[1]]):
        assert pagerank(A, method=method).scores.tolist() == [1.0]


def test_no_nodes():
    found = pagerank(np.empty((0, 0)))
    assert found.scores.shape == (0,)
    assert found.converged
    assert found.top(3) == []
    assert found.to_dict() == {}


def test_loops_traps_and_repeated_edges():
    source, target = [0, 0, 1, 2, 2, 2], [0, 1, 2, 1, 1, 3]
    W = reference.adjacency(source, target, np.ones(6), 4)
    assert_certified(pagerank((source, target)), W, 0.85)
    assert_certified(pagerank(sp.coo_array((np.ones(6), (source, target)), shape=(4, 4))), W, 0.85)
    assert [trap.tolist() for trap in Graph.from_edges([0, 1, 2], [1, 2, 1]).traps()] == [[1, 2]]


def test_weights_of_any_size():
    W = random_matrix(12, 50, 2)
    x = pagerank(W).scores
    for factor in (1e-280, 1e-300 * 1e30, 1e250):
        np.testing.assert_allclose(pagerank(W * factor).scores, x, rtol=1e-9)
    np.testing.assert_array_equal(
        pagerank((W * 7).astype(np.float32)).scores, pagerank(W * 7).scores
    )


def test_a_graph_is_used_again():
    W = random_matrix(30, 90, 5)
    graph = Graph(W, labels=[f"n{i}" for i in range(30)])
    a, b = pagerank(graph), pagerank(W)
    np.testing.assert_array_equal(a.scores, b.scores)
    assert a.top(1)[0][0] == f"n{b.top(1)[0][0]}"
    with pytest.raises(ValueError, match="orientation of its own"):
        pagerank(graph, orientation="column")


def test_ways_to_say_where_walks_restart():
    W = random_matrix(5, 12, 1)
    graph = Graph(W, labels="abcde")
    wanted = pagerank(W, personalization=[0, 2, 0, 1, 0]).scores
    for given_v in ({"b": 2, "d": 1}, {"b": 2.0, "d": 1.0, "a": 0}, ["b", "d", "b"],
                    np.array([0, 4, 0, 2, 0], np.float32), (0, 2e300, 0, 1e300, 0)):  # fmt: skip
        np.testing.assert_allclose(pagerank(graph, personalization=given_v).scores, wanted)
    np.testing.assert_array_equal(
        pagerank(graph, personalization={"c"}).scores, pagerank(W, personalization=[2]).scores
    )
    pandas = pytest.importorskip("pandas")
    series = pandas.Series([1, 2], index=["d", "b"])
    np.testing.assert_allclose(pagerank(graph, personalization=series).scores, wanted)
    v = np.array([0.0, 1, 0, 0, 0])
    same = pagerank(graph, personalization=v, dangling=v)
    np.testing.assert_allclose(same.scores, pagerank(graph, personalization=v).scores, atol=1e-10)
    assert v.tolist() == [0, 1, 0, 0, 0]


def test_start_from_before():
    W = random_matrix(100, 400, 8)
    for method in METHODS[:3]:
        first = pagerank(W, method=method)
        again = pagerank(W, method=method, start=first)
        assert again.n_iter < first.n_iter / 4
        assert_certified(again, W, 0.85)
        given_start = first.scores.copy()
        assert_certified(pagerank(W, method=method, start=given_start), W, 0.85)
        np.testing.assert_array_equal(given_start, first.scores)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("max_iter", [1, 2, 3, 7])
def test_not_converged_warns_and_keeps_the_best(max_iter, method):
    W = random_matrix(60, 200, 4, directed=method != "cg")
    with pytest.warns(ConvergenceWarning, match=f"after {max_iter} sweeps.*Raise max_iter"):
        found = pagerank(W, method=method, max_iter=max_iter)
    assert not found.converged
    assert found.n_iter == max_iter
    error = np.abs(found.scores - reference.pagerank(W)).sum()
    assert 1e-10 < error <= found.error_bound
    assert "NOT converged" in repr(found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("damping", [0.85, 0.9999])
def test_a_tolerance_below_rounding_ends_with_an_honest_bound(damping, method, cut):
    W = random_matrix(60, 200, 4, directed=method != "cg")
    with pytest.warns(ConvergenceWarning, match="Rounding in float64 allows no less"):
        found = pagerank(W, damping=damping, tol=0, method=method, max_iter=10**6)
    error = np.abs(found.scores - reference.pagerank(W, damping)).sum()
    assert error <= found.error_bound + SOLVED / (1 - damping)
    assert found.error_bound <= 1e-12 / (1 - damping)


def test_top():
    found = pagerank((["a", "a", "b", "c"], ["b", "c", "a", "a"]))
    assert [node for node, _ in found.top(2)] == ["a", "b"]
    assert [node for node, _ in found.top()] == ["a", "b", "c"]
    assert found.top(0) == []
    assert found.to_dict() == dict(zip("abc", found.scores.tolist(), strict=True))
    numbered = pagerank(Graph(np.eye(2), labels=np.array([7, 9])))
    assert [type(node) for node, _ in numbered.top()] == [int, int]


@pytest.mark.parametrize("short", [0, 10, 100])
@given(values=st.lists(st.integers(0, 5), max_size=30), k=st.integers(0, 35))
def test_largest_is_a_stable_sort(values, k, short, monkeypatch):
    monkeypatch.setattr(module, "SHORT", short)
    scores = np.array(values, float)
    expected = np.argsort(-scores, kind="stable")[:k]
    np.testing.assert_array_equal(largest(scores, k), expected)


A = np.array([[0.0, 1], [1, 0]])


@pytest.mark.parametrize(
    ("options", "kind", "error"),
    [
        ({"damping": 1}, ValueError, "damping must be at least 0 and below 1; got 1"),
        ({"damping": np.nan}, ValueError, "damping"),
        ({"tol": -1}, ValueError, "tol must be 0 or more"),
        ({"max_iter": 0}, ValueError, "max_iter must be an integer of at least 1; got 0"),
        ({"max_iter": 1.5}, ValueError, "max_iter"),
        ({"scale": 0}, ValueError, "scale must be a positive number"),
        ({"method": "jacobi"}, ValueError, "method must be .*got 'jacobi'"),
        ({"orientation": "rows"}, ValueError, "orientation must be"),
        ({"personalization": [0, 0]}, ValueError, "personalization must have a weight above 0"),
        ({"personalization": {0: -1, 1: 2}}, ValueError, r"not negative; got -1.0 for node 0"),
        ({"personalization": [1, np.nan]}, ValueError, "got nan for node 1"),
        (
            {"personalization": [0.5, 0.2, 0.3]},
            ValueError,
            "must be 2 weights, one for each.*got 3",
        ),
        ({"personalization": np.ones((2, 2))}, ValueError, "must be 2 weights.*one axis"),
        ({"personalization": [1j, 1]}, ValueError, "nodes are numbered 0 … 1; got 1j"),
        ({"personalization": []}, ValueError, "personalization must have a weight"),
        (
            {"personalization": {5: 1}},
            ValueError,
            "personalization: nodes are numbered 0 … 1; got 5",
        ),
        ({"personalization": "ab"}, TypeError, r"Pass \['ab'\]"),
        ({"dangling": 3}, TypeError, "dangling must be 2 weights"),
        ({"start": {0: 0}}, ValueError, "start must have a weight above 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs"),
    ],
)
def test_what_is_refused(options, kind, error):
    with pytest.raises(kind, match=error):
        pagerank(A, **options)


def test_conjugate_gradients_require_an_undirected_graph():
    with pytest.raises(ValueError, match='method="cg" requires an undirected graph'):
        pagerank([[0, 1], [0, 0]], method="cg")


def test_against_networkx():
    networkx = pytest.importorskip("networkx")
    for G in (networkx.karate_club_graph(), networkx.DiGraph([("a", "b"), ("b", "c"), ("a", "c")])):
        nodes = list(G)
        options = {"personalization": {nodes[0]: 3, nodes[1]: 1}, "dangling": {nodes[2]: 1}}
        for chosen in ({}, {"personalization": options["personalization"]}, options):
            expected = networkx.pagerank(G, tol=1e-14, max_iter=1000, **chosen)
            found = pagerank(G, **chosen).to_dict()
            assert found.keys() == expected.keys()
            for node in nodes:
                assert found[node] == pytest.approx(expected[node], abs=1e-10)


def test_warnings_are_not_in_the_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pagerank(random_matrix(20, 50, 0))


@pytest.mark.usefixtures("cut")
def test_what_a_graph_prepares_late_heeds_n_jobs(monkeypatch):
    asked = []

    def noted(task, count, threads):
        asked.append(threads)
        for index in range(count):
            task(index)

    for module_with_threads in (layout, in_edges):
        monkeypatch.setattr(module_with_threads, "parallel_for", noted)
    graph = Graph(random_matrix(30, 90, 0, weighted=True, directed=False))
    asked.clear()
    pagerank(graph, n_jobs=1)
    assert set(asked) == {1}
