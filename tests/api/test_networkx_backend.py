"""The backend of networkx: its functions alone, and called by networkx through entry points."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

networkx = pytest.importorskip("networkx")

from mmlfast import networkx_backend  # noqa: E402
from mmlfast.networkx_backend import backend, get_info  # noqa: E402

ROOT = Path(__file__).parents[2]
GRAPHS = {
    "directed": networkx.gnp_random_graph(60, 0.05, seed=1, directed=True),
    "undirected": networkx.karate_club_graph(),
    "multigraph": networkx.MultiDiGraph([("a", "b"), ("a", "b"), ("b", "c"), ("c", "a")]),
    "named": networkx.DiGraph([("home", (1, 2)), ((1, 2), "x"), ("x", "home")]),
}


@pytest.mark.parametrize("weight", ["weight", None])
@pytest.mark.parametrize("name", GRAPHS)
def test_as_networkx(name, weight):
    G = GRAPHS[name]
    nodes = list(G)
    options = {
        "personalization": {nodes[0]: 2, nodes[-1]: 1, "not a node": 5},
        "nstart": dict.fromkeys(nodes, 1),
        "dangling": {nodes[1]: 1},
    }
    for chosen in ({}, {"alpha": 0.5}, options):
        expected = networkx.pagerank(G, tol=1e-14, max_iter=2000, weight=weight, **chosen)
        found = backend.pagerank(G, tol=1e-10, weight=weight, max_iter=2000, **chosen)
        assert list(found) == list(expected)
        assert all(type(score) is float for score in found.values())
        assert sum(abs(found[node] - expected[node]) for node in nodes) <= 1.1e-10


def test_at_least_as_accurate_as_networkx():
    G = networkx.gnp_random_graph(400, 0.01, seed=2, directed=True)
    exact = networkx.pagerank(G, tol=1e-15, max_iter=5000)

    def error(scores):
        return sum(abs(scores[node] - exact[node]) for node in G)

    assert error(backend.pagerank(G)) <= 1e-6 < error(networkx.pagerank(G))


def test_failures_are_those_of_networkx():
    G = GRAPHS["directed"]
    assert backend.pagerank(networkx.Graph()) == {}
    for max_iter in (0, 1):
        with pytest.raises(networkx.PowerIterationFailedConvergence):
            backend.pagerank(G, max_iter=max_iter, tol=1e-12)
    for name in ("personalization", "dangling", "nstart"):
        for weights in ({0: 0}, {}, {"unknown": 1}):
            with pytest.raises(ZeroDivisionError):
                backend.pagerank(G, **{name: weights})
    # Not to tol, but what networkx calls converged.
    assert backend.pagerank(G, max_iter=12, tol=1e-6).keys() == set(G)


def test_what_can_run():
    assert backend.can_run("pagerank", (None,), {}) is True
    assert "alpha must be" in backend.can_run("pagerank", (None, 1.0), {})
    assert "alpha must be" in backend.can_run("pagerank", (None,), {"alpha": -1})
    assert "not implemented" in backend.can_run("bfs", (None,), {})


def test_conversion():
    G = networkx.Graph([(0, 1, {"cost": 3}), (1, 2, {"cost": 1})])
    converted = backend.convert_from_nx(G, edge_attrs={"cost": 1}, preserve_node_attrs=False)
    assert converted.__networkx_backend__ == "mmlfast"
    assert (len(converted), converted.is_directed(), converted.is_multigraph()) == (3, False, False)
    assert converted.graph.is_weighted
    assert backend.convert_to_nx(converted) is G
    assert backend.convert_to_nx({0: 1.0}) == {0: 1.0}
    by_cost, plain = (backend.pagerank(converted, weight=weight) for weight in ("cost", None))
    assert by_cost[0] > plain[0]


def test_info_tells_what_is_there():
    info = get_info()
    assert info["backend_name"] == "mmlfast"
    for name in info["functions"]:
        assert callable(getattr(backend, name))


CALLS = """
import networkx as nx
G = nx.DiGraph([(0, 1), (1, 2), (2, 0), (2, 1), (3, 0)])
plain, ours = nx.pagerank(G, tol=1e-12), nx.pagerank(G, tol=1e-12, backend="mmlfast")
assert all(abs(plain[node] - ours[node]) < 1e-10 for node in G)
assert "mmlfast" in G.__networkx_cache__["backends"]
assert ours != plain
try:
    nx.pagerank(G, alpha=1, backend="mmlfast")
except NotImplementedError as error:
    assert "for the given arguments" in str(error), error
nx.config.warnings_to_ignore.add("cache")
nx.config.backend_priority = ["mmlfast"]
assert nx.pagerank(G, tol=1e-12) == ours
assert "error of the scores" in nx.pagerank.__doc__
print("called")
"""


def test_networkx_finds_and_calls_it(tmp_path, run_python):
    path = [str(ROOT)]
    if "mmlfast" not in entry_points(group="networkx.backends").names:
        # What an installation writes.
        folder = tmp_path / "installed-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
        module = networkx_backend.__name__
        (folder / "entry_points.txt").write_text(
            f"[networkx.backends]\nmmlfast = {module}:backend\n"
            f"[networkx.backend_info]\nmmlfast = {module}:get_info\n"
        )
        path.append(str(tmp_path))
    assert run_python(CALLS, PYTHONPATH=os.pathsep.join(path)).strip() == "called"


def test_importing_the_backend_loads_nothing_heavy(run_python):
    code = "import sys, mmlfast.networkx_backend; print([m for m in {} if m in sys.modules])"
    heavy = ["numba", "scipy", "sklearn", "pandas", "networkx", "numpy"]
    assert run_python(code.format(heavy)).strip() in ("[]", "['numpy']")


def test_scores_do_not_depend_on_the_conversion():
    G = GRAPHS["directed"]
    a = backend.pagerank(G)
    b = backend.pagerank(backend.convert_from_nx(G, edge_attrs={"weight": 1}))
    np.testing.assert_array_equal(list(a.values()), list(b.values()))
