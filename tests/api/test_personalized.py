"""Many personalised PageRanks: each within its bound, whoever its companions are."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from mmlfast.api.graph import Graph
from mmlfast.api.pagerank import largest, pagerank
from mmlfast.api.personalized import personalized_pagerank
from tests import reference_pagerank as reference
from tests.reference_pagerank import random_matrix

A = np.array([[0.0, 1], [1, 0]])
# What the dense solution itself may be wrong by.
SOLVED = 1e-15


def test_no_nodes():
    assert personalized_pagerank(np.empty((0, 0)), []).scores.shape == (0, 0)
    assert personalized_pagerank(A, []).scores.shape == (0, 2)


@pytest.mark.parametrize("d", [None, [0, 1, 2]])
@pytest.mark.parametrize("damping", [0.0, 0.85, 0.99])
@pytest.mark.parametrize("n_seeds", [1, 7, 8, 9, 30])
def test_each_seed_within_its_bound(n_seeds, damping, d, cut):
    W = random_matrix(25, 80, 2)
    V = np.random.default_rng(0).random((n_seeds, 25))
    found = personalized_pagerank(W, V, damping=damping, dangling=d, max_iter=5000)
    leak = None if d is None else np.bincount(d, minlength=25)
    for i in range(n_seeds):
        exact = reference.pagerank(W, damping, V[i], V[i] if leak is None else leak)
        error = np.abs(found.scores[i] - exact).sum()
        assert error <= found.error_bound[i] + SOLVED / (1 - damping)
    assert found.converged.all()
    assert (found.error_bound <= 1e-10).all()
    assert found.scores.shape == (n_seeds, 25)


def test_seeds_do_not_depend_on_companions_nor_on_threads(cut):
    W = random_matrix(200, 900, 2)
    seeds = list(range(0, 200, 9))
    together = personalized_pagerank(W, seeds, n_jobs=1)
    for n_jobs in (2, 4):
        other = personalized_pagerank(W, seeds, n_jobs=n_jobs)
        np.testing.assert_array_equal(other.scores, together.scores)
        np.testing.assert_array_equal(other.n_iter, together.n_iter)
    for i in (0, 11, len(seeds) - 1):
        alone = personalized_pagerank(W, [seeds[i]])
        np.testing.assert_array_equal(alone.scores[0], together.scores[i])
        single = pagerank(W, personalization=[seeds[i]])
        error = np.abs(alone.scores[0] - single.scores).sum()
        assert error <= alone.error_bound[0] + single.error_bound


def test_ways_to_say_seeds():
    graph = Graph(random_matrix(5, 14, 3), labels=["a", "b", ("c", 1), 4, "e"])
    V = np.array([[0, 1.0, 0, 0, 0], [0, 0, 2, 2, 0], [0, 0, 0, 1, 3]])
    wanted = personalized_pagerank(graph, V).scores
    listed = ["b", [("c", 1), 4], {4: 1, "e": 3}]
    for seeds in (V, sp.csr_array(V), sp.coo_matrix(V), listed, tuple(listed), iter(listed)):
        np.testing.assert_allclose(personalized_pagerank(graph, seeds).scores, wanted, rtol=1e-14)
    numbers = personalized_pagerank(random_matrix(5, 14, 3), np.array([1, 2]))
    np.testing.assert_array_equal(numbers.scores[0], wanted[0])


def test_the_top_of_each_seed():
    W = random_matrix(40, 160, 6)
    whole = personalized_pagerank(W, range(12))
    best = personalized_pagerank(W, range(12), top=3)
    assert best.scores.shape == best.indices.shape == (12, 3)
    for i in range(12):
        np.testing.assert_array_equal(best.indices[i], largest(whole.scores[i], 3))
        np.testing.assert_array_equal(best.scores[i], whole.scores[i, best.indices[i]])
    assert best.top(2) == whole.top(2)
    assert personalized_pagerank(W, [0], top=99).scores.shape == (1, 40)
    assert repr(best).startswith("<PersonalizedPageRank of 12 seeds, damping 0.85: 12 converged")


def test_seeds_that_do_not_converge():
    W = random_matrix(40, 160, 6)
    with pytest.warns(ConvergenceWarning, match="3 of 3 seeds did not reach tol=1e-10"):
        found = personalized_pagerank(W, [0, 1, 2], max_iter=4)
    assert found.n_iter.tolist() == [4, 4, 4]
    for i in range(3):
        error = np.abs(found.scores[i] - reference.pagerank(W, 0.85, np.eye(40)[i])).sum()
        assert error <= found.error_bound[i]
    with pytest.warns(ConvergenceWarning):
        found = personalized_pagerank(W, [0], tol=0)
    assert found.error_bound[0] < 1e-13


@pytest.mark.parametrize(
    ("seeds", "options", "kind", "error"),
    [
        ([0, 5], {}, ValueError, r"seeds\[1\]: nodes are numbered 0 … 1; got 5"),
        ([{0: -1}], {}, ValueError, r"seeds\[0\] must be finite and not negative"),
        ([{}], {}, ValueError, r"seeds\[0\] must have a weight above 0"),
        ("ab", {}, TypeError, r"seeds must be a sequence.*Pass \[seed\]"),
        (0, {}, TypeError, "seeds must be a sequence"),
        ({0: 1}, {}, TypeError, "seeds must be a sequence"),
        (np.ones((2, 3)), {}, ValueError, r"2 columns, one for each node; got shape \(2, 3\)"),
        (np.zeros((1, 2)), {}, ValueError, r"seeds\[0\] must have a weight above 0"),
        ([0], {"top": 0}, ValueError, "top must be a positive integer"),
        ([0], {"damping": 1}, ValueError, "damping"),
    ],
)
def test_seeds_that_are_refused(seeds, options, kind, error):
    with pytest.raises(kind, match=error):
        personalized_pagerank(A, seeds, **options)


@pytest.mark.parametrize("seeds", [[0, 4], [{1: 2.0, 3: 1.0}], np.eye(5)[[2, 4]] + 0.5])
def test_a_graph_without_dangling_nodes(seeds, cut):
    W = np.roll(np.eye(5), 1, axis=1) + np.eye(5)[::-1]
    found = personalized_pagerank(W, seeds, tol=1e-12)
    for row, seed in zip(found.scores, seeds, strict=True):
        v = np.zeros(5)
        if isinstance(seed, dict):
            v[list(seed)] = list(seed.values())
        else:
            v = np.asarray(seed) if np.ndim(seed) else np.eye(5)[seed]
        np.testing.assert_allclose(row, reference.pagerank(W, 0.85, v / v.sum()), atol=1e-12)
