"""Every case at its tiny size: mmlfast within the tolerance, each rival near the truth."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import cases, data
from benchmarks.case import OURS
from benchmarks.process import Absent, Worker

CASES = list(cases.CASES.values())
RIVALS = [(case, name) for case in CASES for name in case.rivals]
# Their threads would stay behind in the process that also tests forked children.
APART = {"sklearnex", "torch", "jax", "networkit", "igraph", "scikit-network", "opencv"}


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMLFAST_BENCH_DIR", str(tmp_path_factory.mktemp("benchmarks")))
        yield


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ours_is_within_the_tolerance(case):
    inputs = case.inputs("tiny")
    assert case.check(case.contestant(OURS)(inputs), inputs) <= case.tolerance


@pytest.mark.parametrize("case", [c for c in CASES if c.counts], ids=lambda case: case.name)
def test_counts_are_the_same_each_time(case):
    inputs, call = case.inputs("tiny"), case.contestant(OURS)
    first, second = case.counts(call(inputs)), case.counts(call(inputs))
    assert first == second
    assert first
    for value in first.values():
        assert isinstance(value, float)
        assert 0 <= value < np.inf


def test_counts_are_what_the_results_say():
    def counts(name):
        case = cases.get(name)
        return case.counts(case.contestant(OURS)(case.inputs("tiny")))

    assert counts("partial_fit_60000x784_f32") == {"passes": 1.0}
    assert counts("power_iteration_100_sym2000") == {"iterations": 100.0, "products": 100.0}
    assert counts("lab_net_1-6-7-2") == {"epochs": 20.0}
    restarts = counts("personalized_64_rmat20")
    assert 1 <= restarts["most_sweeps"] <= restarts["sweeps"] <= 64 * restarts["most_sweeps"]


@pytest.mark.parametrize(("case", "rival"), RIVALS, ids=[f"{c.name}-{r}" for c, r in RIVALS])
def test_rival_solves_the_same_problem(case, rival):
    try:
        if rival in APART:
            with Worker("benchmarks.cases", case, rival, "tiny") as worker:
                worker.call()
                error = worker.error()
        else:
            inputs = case.inputs("tiny")
            error = case.check(case.contestant(rival)(inputs), inputs)
    except (ImportError, Absent) as reason:
        pytest.skip(str(reason))
    if not case.name.startswith("offset"):
        assert error < 0.05


def test_names_are_unique():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert all(name == case.name for name, case in cases.CASES.items())


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(KeyError, match="matmul_512_f64_1t"):
        cases.get("matmull")
    with pytest.raises(KeyError, match="matmul_512_f64_1t"):
        cases.select(["matmull"])


def test_a_wrong_result_is_far_outside_every_tolerance():
    case = cases.get("pca_500000x64_f32")
    inputs = case.inputs("tiny")
    right = case.contestant("sklearn")(inputs)
    assert case.check(right, inputs) <= case.tolerance
    wrong_values = right._replace(eigenvalues=right.eigenvalues * np.float32(1.001))
    wrong_vectors = right._replace(components=right.components[::-1, ::-1])
    missed_rows = right._replace(n_samples=right.n_samples - 1)
    for wrong in (wrong_values, wrong_vectors, missed_rows):
        assert case.check(wrong, inputs) > 10 * case.tolerance


@pytest.mark.parametrize("shape", [(300, 20), (20, 300)])
def test_reference_agrees_with_the_singular_values(shape):
    X = np.random.default_rng(0).standard_normal(shape) + 100
    expected = np.linalg.svd(X - X.mean(axis=0), compute_uv=False) ** 2 / (len(X) - 1)
    n = min(shape) - 1
    assert data.covariance_eigenvalues(X)[:n] == pytest.approx(expected[:n], rel=1e-9)


def test_planted_file_is_the_planted_matrix():
    path = data.planted_file(9000, 8)
    assert np.array_equal(np.load(path), data.planted(9000, 8))
    assert [p.name for p in path.parent.iterdir() if p.suffix == ".part"] == []


def test_offset_moves_the_mean_and_no_digit():
    X, base = data.offset(500, 8, 1e4)
    assert np.array_equal(X.astype(np.float64) - 1e4, base)


def test_planted_eigenvalues_are_one_over_i():
    values = data.covariance_eigenvalues(data.planted(60_000, 16))
    assert values[:5] == pytest.approx(1 / np.arange(1, 6) + data.NOISE**2, rel=0.03)
