"""Graph: whatever holds the edges, the same structure; what is no graph is refused."""

from __future__ import annotations

import gzip
import pickle
import warnings

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from mmlfast.api import in_edges as module
from mmlfast.api.graph import Graph
from tests import reference_pagerank as reference

FORMATS = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]


def dense(graph: Graph) -> np.ndarray:
    """W[i, j] = weight of i → j, as the graph holds it."""
    W = np.zeros((graph.n_nodes, graph.n_nodes))
    indptr, indices, values, _ = graph.in_edges
    for t in range(graph.n_nodes):
        for k in range(indptr[t], indptr[t + 1]):
            W[indices[k], t] += values[k] if graph.is_weighted else 1.0
    return W


def example(n=9, m=30, seed=0, *, weighted=True):
    source, target, weight = reference.random_edges(n, m, seed, weighted=weighted)
    return source, target, weight, reference.adjacency(source, target, weight, n)


def check(graph: Graph, W: np.ndarray) -> None:
    np.testing.assert_array_equal(dense(graph), W)
    out = W.sum(axis=1)
    np.testing.assert_array_equal(graph.in_edges.out_weights, out)
    np.testing.assert_array_equal(graph.inverse_out, [1 / w if w else 0.0 for w in out])
    assert graph.n_nodes == len(W)
    assert graph.n_dangling == (out == 0).sum()
    assert graph.in_edges.indices.dtype == np.int32


@pytest.mark.parametrize("matrix", [sp.csr_array, sp.csr_matrix])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("orientation", ["row", "column"])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_sparse_format(kind, orientation, index, matrix):
    *_, W = example()
    A = matrix(W if orientation == "row" else W.T).asformat(kind)
    if kind in ("csr", "csc", "bsr"):
        A.indices, A.indptr = A.indices.astype(index), A.indptr.astype(index)
    check(Graph(A, orientation=orientation), W)


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", ">f8", "int8", "uint64", "bool"]
)
@pytest.mark.parametrize("orientation", ["row", "column"])
def test_every_dense_dtype(orientation, dtype):
    *_, W = example()
    W = W.astype(dtype)
    check(Graph(W if orientation == "row" else W.T, orientation=orientation), W.astype(float))


@pytest.mark.parametrize("layout", ["F", "reversed", "read-only", "list", "strided"])
def test_every_layout(layout):
    *_, W = example()
    A = np.asfortranarray(W) if layout == "F" else W.copy()
    if layout == "reversed":
        A = A[::-1, ::-1].copy()[::-1, ::-1]
    elif layout == "read-only":
        A.flags.writeable = False
    elif layout == "strided":
        A = np.repeat(np.repeat(A, 2, axis=0), 2, axis=1)[::2, ::2]
    elif layout == "list":
        A = A.tolist()
    check(Graph(A), W)


def test_read_only_compressed_arrays():
    *_, W = example()
    A = sp.csr_array(W)
    for array in (A.data, A.indices, A.indptr):
        array.flags.writeable = False
    check(Graph(A), W)
    check(Graph(A, orientation="column"), W.T)


def test_the_matrix_may_change_afterwards():
    *_, W = example()
    for A in (sp.csr_array(W), sp.csc_array(W)):
        graph = Graph(A)
        A.data[:] = A.indices[:] = 0
        check(graph, W)


@given(n=st.integers(1, 40), m=st.integers(0, 200), seed=st.integers(0, 50), weighted=st.booleans())
def test_edges(n, m, seed, weighted):
    source, target, weight, W = example(n, m, seed, weighted=weighted)
    given_weight = weight if weighted else None
    # Weights that are all equal count as 1.
    unit = weight[0] if m and (weight == weight[0]).all() else 1.0
    graph = Graph.from_edges(source, target, given_weight, n_nodes=n)
    check(graph, W / unit)
    assert graph.n_edges == m
    both = Graph.from_edges(source, target, given_weight, n_nodes=n, directed=False)
    symmetric = W + W.T - np.diag(np.diag(W))
    check(both, symmetric / unit)
    assert both.is_symmetric
    # Without being told it is found to be so.
    assert Graph(symmetric).is_symmetric
    assert Graph(W).is_symmetric == (W.T == W).all()


def test_symmetry_of_repeated_edges_in_any_order():
    source, target, weight = [0, 1, 0, 1, 2], [1, 0, 1, 0, 2], [1.0, 4.0, 3.0, 0.5, 1.0]
    assert not Graph.from_edges(source, target, weight).is_symmetric
    weight[3] = 0.0
    assert Graph.from_edges(source, target, weight).is_symmetric
    assert Graph.from_edges([1, 0, 0, 1], [0, 1, 1, 0]).is_symmetric
    # A cycle has as many edges in as out, and yet a direction.
    assert not Graph.from_edges([0, 1, 2], [1, 2, 0]).is_symmetric


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_structure_for_any_number_of_threads(weighted, threads, monkeypatch):
    monkeypatch.setattr(module, "PARALLEL_EDGES", 1)
    source, target, weight, W = example(600, 5000, weighted=weighted)
    graph = Graph((source, target, weight), n_jobs=threads)
    check(graph, W[: graph.n_nodes, : graph.n_nodes])
    one = Graph((source, target, weight), n_jobs=1)
    for mine, other in zip(graph.in_edges, one.in_edges, strict=True):
        np.testing.assert_array_equal(mine, other)
    check(Graph(sp.csr_array(W), n_jobs=threads), W)


def test_weights_that_are_equal_are_not_kept():
    graph = Graph.from_edges([0, 1], [1, 0], [2.5, 2.5])
    assert not graph.is_weighted
    assert dense(graph).tolist() == [[0, 1], [1, 0]]


def test_weights_may_be_ignored():
    source, target, weight, W = example()
    pattern = (W > 0).astype(float)
    check(Graph(W, weight=None), pattern)
    check(Graph(sp.csc_array(-W), weight=None), pattern)
    assert not Graph((source, target, weight), weight=None).is_weighted


def test_weights_of_zero_are_no_edges():
    check(
        Graph.from_edges([0, 1, 2], [1, 2, 0], [1, 0, 1]), np.array([[0, 1, 0], [0] * 3, [1, 0, 0]])
    )
    A = sp.csc_array(np.array([[1.0, 2.0], [3.0, 4.0]]))
    A.data[1] = 0.0
    check(Graph(A), A.toarray())


def test_labels():
    graph = Graph((["b", "a", "b"], ["a", "c", ("a", 1)]))
    assert graph.labels == ["b", "a", "c", ("a", 1)]
    assert graph.index_of(("a", 1)) == 3
    with pytest.raises(ValueError, match="there is no node 'z'; the first label is 'b'"):
        graph.index_of("z")
    named = Graph(np.eye(3), labels=np.array([10, 20, 30]))
    assert named.index_of(20) == 1
    assert type(named.label_of(1)) is int
    plain = Graph(np.eye(3))
    assert plain.index_of(np.int8(2)) == 2
    for wrong in (3, -1, "1", 1.0, True, None, [1]):
        with pytest.raises(ValueError, match="nodes are numbered 0 … 2"):
            plain.index_of(wrong)


def test_labels_that_are_given_for_edges():
    graph = Graph.from_edges([0, 1], [1, 0], labels=["x", "y", "alone"])
    assert graph.n_nodes == 3
    with pytest.raises(ValueError, match="labels must be 2, one for each node; got 1"):
        Graph((np.array([0, 1]), np.array([1, 0])), labels=["x"])


def test_repr_and_pickle():
    graph = Graph((["a", "a"], ["b", "c"], [1.0, 2.0]))
    assert repr(graph) == "<Graph: 3 nodes, 2 edges, weighted, 2 dangling>"
    assert graph.index_of("a") == 0
    again = pickle.loads(pickle.dumps(graph))
    check(again, dense(graph))
    assert again.labels == graph.labels


def test_traps():
    #  0 → 1 ⇄ 2     0 → 3 → 4 ⟲     5 dangling
    graph = Graph.from_edges([0, 1, 2, 0, 3, 4], [1, 2, 1, 3, 4, 4], n_nodes=6)
    assert [trap.tolist() for trap in graph.traps()] == [[4], [1, 2]]
    assert Graph.from_edges([0, 1], [1, 0]).traps() == []
    assert Graph.from_edges([], [], n_nodes=3).traps() == []
    loops = np.arange(3000)
    assert len(Graph.from_edges(loops, loops).traps()) == 3000


def test_a_graph_without_nodes_or_edges():
    for nothing in (np.empty((0, 0)), sp.csr_array((0, 0)), ([], [])):
        assert Graph(nothing).n_nodes == 0
    graph = Graph(sp.csr_array((4, 4)))
    assert (graph.n_nodes, graph.n_edges, graph.n_dangling) == (4, 0, 4)
    assert graph.is_symmetric


def test_a_turned_matrix_is_noticed():
    L = np.array([[0, 0.5, 1, 0.25], [1, 0, 0, 0.25], [0, 0.5, 0, 0.25], [0, 0, 0, 0.25]])
    with pytest.warns(UserWarning, match=r'columns of A add up to 1.*pass orientation="column"'):
        Graph(L)
    with pytest.warns(UserWarning, match=r'rows of A add up to 1.*pass orientation="row"'):
        Graph(sp.csr_array(L.T), orientation="column")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Graph(L, orientation="column")
        Graph(L.T)
        Graph((L + L.T) / 2)
        Graph(np.eye(4)[[1, 1, 2, 3]])  # each node has one edge in: no matrix of shares
        Graph(np.eye(3) / 2)


E = ([0, 1, 2], [1, 2, 0])


@pytest.mark.parametrize(
    ("A", "options", "kind", "error"),
    [
        (np.ones((2, 3)), {}, ValueError, r"square matrix.*\(2, 3\)"),
        (np.ones(3), {}, ValueError, r"square matrix.*\(3,\)"),
        ({"a": 1}, {}, ValueError, "square matrix"),
        (np.eye(2) * 1j, {}, TypeError, "real numbers; got dtype complex128"),
        (np.array([["a", "b"]] * 2), {}, TypeError, "real numbers"),
        (np.array([[0, -1.0], [0, 0]]), {}, ValueError, r"edge 0 → 1 has -1.0"),
        (sp.csc_array(np.array([[0, 0], [np.nan, 0]])), {}, ValueError, r"edge 1 → 0 has nan"),
        (sp.csr_array(np.array([[0, 0], [np.inf, 1]])), {}, ValueError, r"edge 1 → 0 has inf"),
        (np.ma.masked_less(np.eye(2), 1), {}, ValueError, r"masked.*A.filled\(0\)"),
        ((*E, [1, -2, 3]), {}, ValueError, "edge 1 → 2 has -2"),
        ((["a", "b"], ["b", "a"], [1, np.nan]), {}, ValueError, "edge b → a has nan"),
        ((*E, ["x"] * 3), {}, TypeError, "weights must hold real numbers"),
        ((*E, [1, 2]), {}, ValueError, "source has 3 entries and weight has 2"),
        (([0, 1], [1]), {}, ValueError, "source has 2 entries and target has 1"),
        (([0, -1], [1, 0]), {}, ValueError, "node numbers must be 0 or more; got -1"),
        (([0.5, 1], [1, 0]), {}, TypeError, "integers or labels"),
        (([[0]], [[1]]), {}, TypeError, "must be hashable"),
        ((np.zeros((1, 1), int), [1]), {}, ValueError, "one axis"),
        ((["a"], [None]), {}, ValueError, "lacks a source or target"),
        ((1, 2, 3, 4), {}, ValueError, "source and target, and perhaps weight; got 4"),
        ((*E, [1e-300, 1, 1]), {}, ValueError, "edges from 0 add up to 1e-300. Scale"),
        (([0, 0], [1, 2], [1e308, 1.5e308]), {}, ValueError, "from 0 add up to inf"),
        (([0], [2**31]), {}, ValueError, "at most 2147483647 nodes"),
        (E, {"orientation": "column"}, ValueError, "orientation is for matrices"),
        (np.eye(2), {"orientation": "up"}, ValueError, 'must be "row" or "column"; got \'up\''),
        (np.eye(2), {"directed": False}, ValueError, r"A \+ A.T"),
        (np.eye(2), {"labels": ["a", "a"]}, ValueError, "labels must differ; only 1 of 2"),
        (np.eye(2), {"labels": [[], []]}, TypeError, "labels must be hashable"),
        ((["a"], ["b"]), {"labels": [1, 2]}, ValueError, "have labels of their own"),
        ("nowhere.csv", {}, FileNotFoundError, "nowhere.csv"),
        ("sample:unknown", {}, ValueError, "there is sample:imports"),
    ],
)
def test_what_is_refused(A, options, kind, error):
    with pytest.raises(kind, match=error):
        Graph(A, **options)


def test_n_nodes_must_fit():
    for wrong in (2, True, 2.5):
        with pytest.raises(ValueError, match="n_nodes must be an integer of at least 3, as node 2"):
            Graph.from_edges(*E, n_nodes=wrong)
    with pytest.raises(ValueError, match="n_nodes goes with node numbers"):
        Graph.from_edges(["a"], ["b"], n_nodes=5)


@pytest.mark.parametrize("array", ["indices", "indptr"])
def test_a_malformed_matrix_does_not_crash(array):
    A = sp.csr_array(np.eye(4))
    getattr(A, array)[2] = 99
    with pytest.raises(ValueError, match="make it again"):
        Graph(A)


def test_files(tmp_path):
    source, target, weight, W = example()
    A = sp.coo_array((weight, (source, target)), shape=W.shape)
    sp.save_npz(tmp_path / "a.npz", A.tocsr())
    scipy.io.mmwrite(tmp_path / "a.mtx", A)
    with gzip.open(tmp_path / "b.mtx.gz", "wb") as file:
        file.write((tmp_path / "a.mtx").read_bytes())
    for name in ("a.npz", "a.mtx", "b.mtx.gz"):
        check(Graph(tmp_path / name), W)
    rows = [f"{s},{t},{w:g}" for s, t, w in zip(source, target, weight, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["source,target,weight", *rows]))
    graph = Graph(str(tmp_path / "a.csv"))
    nodes = sorted({*source, *target})
    np.testing.assert_array_equal(dense(graph), W[np.ix_(nodes, nodes)])
    assert not Graph(tmp_path / "a.csv", weight=None).is_weighted
    assert Graph(tmp_path / "a.csv", directed=False).is_symmetric


def make_frames(columns):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    return {
        "pandas": pandas.DataFrame(columns),
        "polars": polars.DataFrame(columns),
        "lazy": polars.LazyFrame(columns),
        "pyarrow": pyarrow.table(columns),
    }


@pytest.mark.parametrize("kind", ["pandas", "polars", "lazy", "pyarrow"])
def test_frames(kind):
    columns = {"since": [1, 2], "target": ["b", "c"], "source": ["a", "b"], "weight": [1.0, 3.0]}
    graph = Graph(make_frames(columns)[kind])
    assert graph.labels == ["a", "b", "c"]
    assert dense(graph).tolist() == [[0, 1, 0], [0, 0, 3], [0, 0, 0]]


networkx = pytest.importorskip("networkx")


@pytest.mark.parametrize("kind", ["Graph", "DiGraph", "MultiGraph", "MultiDiGraph"])
@pytest.mark.parametrize("weight", ["weight", "cost", None])
def test_networkx_graphs(weight, kind):
    G = getattr(networkx, kind)()
    G.add_nodes_from("zyx")
    G.add_edge("a", "b", weight=2, cost=3.5)
    G.add_edge("b", "a", weight=2)
    G.add_edge("a", "b", weight=5)
    G.add_edge("c", "c", cost=0.5)
    G.add_edge("c", "a")
    graph = Graph(G, weight=weight)
    expected = networkx.to_numpy_array(G, weight=weight)
    assert graph.labels == list(G)
    np.testing.assert_array_equal(dense(graph), expected)
    assert graph.is_symmetric == (expected == expected.T).all()


def test_networkx_graphs_that_are_refused():
    G = networkx.Graph([(0, 1, {"weight": "heavy"})])
    with pytest.raises(TypeError, match="edge attribute 'weight' must be a number"):
        Graph(G)
    G = networkx.DiGraph([("a", "b", {"weight": -1})])
    with pytest.raises(ValueError, match=r"edge a → b has -1.0"):
        Graph(G)
    assert Graph(networkx.Graph()).n_nodes == 0


def test_the_imports_of_the_standard_library():
    graph = Graph("sample:imports")
    assert graph.n_nodes > 300
    assert graph.n_edges > graph.n_nodes
    assert {"sys", "codecs", "encodings.utf_8"} <= set(graph.labels)
