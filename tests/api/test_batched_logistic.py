"""BatchedLogisticRegression: scikit-learn's answers, all at once; what fails is flagged."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from mmlfast import BatchedLogisticRegression
from mmlfast.api import regression_runs
from tests import reference_regression as reference


def stack(count=9, n=60, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, n, d)) + 1
    return X, (X - 1) @ rng.standard_normal(d) + rng.logistic(size=(count, n)) > 0


@pytest.fixture(params=["lanes", "alone"])
def route(request, monkeypatch):
    """By the kernels, or one matrix after the other as large ones are."""
    if request.param == "alone":
        monkeypatch.setattr(regression_runs, "GROUP_COLUMNS", 0)


@pytest.mark.parametrize("solver", ["newton", "gd"])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.usefixtures("route")
def test_a_stack_is_scikit_learn_in_a_loop(solver, alpha, fit_intercept):
    X, y = stack()
    model = BatchedLogisticRegression(
        alpha, solver=solver, fit_intercept=fit_intercept, tol=1e-9, max_iter=100_000
    ).fit(X, y)
    peer = LogisticRegression(
        C=1 / alpha if alpha else np.inf, fit_intercept=fit_intercept, solver="newton-cholesky",
        tol=1e-10, max_iter=1000,
    )  # fmt: skip
    for b in range(len(X)):
        peer.fit(X[b], y[b])
        np.testing.assert_allclose(model.coef_[b], peer.coef_[0], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(model.intercept_[b], peer.intercept_[0], rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(model.predict_proba(X)[b], peer.predict_proba(X[b]), atol=1e-6)
        np.testing.assert_array_equal(model.predict(X)[b], peer.predict(X[b]))
        assert model.score(X, y)[b] == peer.score(X[b], y[b])
    assert (model.status_ == "converged").all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("route")
def test_errors_deviance_and_p_values(weighted):
    from scipy.stats import norm

    X, y = stack()
    w = np.random.default_rng(3).random(y.shape) if weighted else None
    model = BatchedLogisticRegression().fit(X, y, w)
    for b in range(3):
        exact, errors, loss = reference.logistic(X[b], y[b], None if w is None else w[b])
        np.testing.assert_allclose(model.intercept_[b], exact[0], rtol=1e-8)
        np.testing.assert_allclose(model.coef_[b], exact[1:], rtol=1e-8)
        np.testing.assert_allclose(model.intercept_standard_error_[b], errors[0], rtol=1e-6)
        np.testing.assert_allclose(model.coef_standard_error_[b], errors[1:], rtol=1e-6)
        np.testing.assert_allclose(model.deviance_[b], 2 * loss, rtol=1e-9)
    z = model.coef_ / model.coef_standard_error_
    np.testing.assert_allclose(model.coef_p_value_, 2 * norm.sf(np.abs(z)), rtol=1e-9)
    z = model.intercept_z_value_
    np.testing.assert_allclose(model.intercept_p_value_, 2 * norm.sf(np.abs(z)), rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 7), st.booleans(), st.floats(1e-3, 10), st.integers(0, 9))
def test_the_gradient_vanishes(count, d, fit_intercept, alpha, seed):
    X, y = stack(count, 25, d, seed)
    model = BatchedLogisticRegression(alpha, fit_intercept=fit_intercept).fit(X, y)
    ok = model.status_ == "converged"
    assert (ok | (model.status_ == "one_class")).all()
    r = model.predict_proba(X)[..., 1] - y
    gradient = np.einsum("bn,bnd->bd", r, X) + alpha * model.coef_
    assert np.abs(gradient[ok]).max(initial=0) < 1e-6
    if fit_intercept:
        assert np.abs(r[ok].sum(1)).max(initial=0) < 1e-6


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_flags(solver):
    X, y = stack(count=8)
    w = np.ones(y.shape)
    clean = BatchedLogisticRegression(solver=solver).fit(X, y)
    y = y.astype(float)
    y[1] = X[1, :, 0] > 1  # separated by a plane
    X[2, :, 2] = X[2, :, 0]  # a column twice
    y[3] = 1.0  # one class
    w[4, 3:] = 0  # three rows, four coefficients
    y[4, :3] = 0, 1, 0
    X[5, 0, 0] = np.inf
    y[6, 0] = np.nan
    with pytest.warns(ConvergenceWarning, match="6 of 8 .* 2 not_finite, 1 one_class, 1 rank"):
        model = BatchedLogisticRegression(solver=solver).fit(X, y, w)
    np.testing.assert_array_equal(model.status_, [
        "converged", "separated", "rank_deficient", "one_class", "too_few_samples", "not_finite",
        "not_finite", "converged",
    ])  # fmt: skip
    np.testing.assert_allclose(model.coef_[[0, 7]], clean.coef_[[0, 7]], rtol=1e-9)
    assert np.isfinite(model.coef_[:5]).all()
    np.testing.assert_array_equal(model.classes_[(model._scores(X[1], None)[1] > 0).astype(int)],
                                  y[1])  # fmt: skip
    # Descent shares out what Newton's method gives to the first of equal columns.
    assert model.coef_[2, 2] == (0 if solver == "newton" else pytest.approx(model.coef_[2, 0]))
    assert np.isnan(model.coef_standard_error_[2, 2])
    assert model.intercept_[3] == pytest.approx(np.log(121))
    assert (model.coef_[3] == 0).all()
    assert np.isnan(model.coef_standard_error_[[1, 3, 5, 6]]).all()
    assert np.isnan(model.predict_proba(X[0])[5]).all()
    with pytest.raises(ValueError, match="no answer to predict from"):
        model.predict(X[0])


@pytest.mark.usefixtures("route")
def test_separation_by_a_corner_of_the_data():
    """All rows with x = 1 are of one class: quasi-complete, no strict plane."""
    X, y = stack(count=1, n=80)
    X[0, :, 1] = X[0, :, 1] > 1.5
    y[0] |= X[0, :, 1] > 0
    with pytest.warns(ConvergenceWarning, match="1 separated"):
        model = BatchedLogisticRegression().fit(X[0], y[0])
    assert model.status_ == "separated"
    assert np.isfinite(model.coef_).all()
    assert BatchedLogisticRegression(0.01).fit(X[0], y[0]).status_ == "converged"


def test_steps_that_do_not_suffice():
    X, y = stack()
    with pytest.warns(ConvergenceWarning, match="9 max_iter"):
        model = BatchedLogisticRegression(solver="gd", max_iter=3).fit(X, y)
    np.testing.assert_array_equal(model.n_iter_, 3)


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [-1, 1], [False, True], [3.5, 0.25], [b"a", b"b"], np.array([0, 1], "u1")],
    ids=str,
)
def test_labels_of_any_kind(labels):
    X, y = stack()
    named = np.array(labels)[y.astype(int)]
    model = BatchedLogisticRegression(1.0).fit(X, named)
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    assert (model.predict(X) == named).mean() > 0.7
    plain = BatchedLogisticRegression(1.0).fit(X, y)
    flip = -1 if labels[0] > labels[1] else 1
    np.testing.assert_allclose(model.coef_, flip * plain.coef_, rtol=1e-6)


def test_one_label_in_all():
    X, _ = stack()
    with pytest.warns(ConvergenceWarning, match="9 one_class"):
        model = BatchedLogisticRegression().fit(X, np.full(X.shape[:2], "only"))
    assert (model.predict(X) == "only").all()
    assert model.predict_proba(X).shape == (9, 60, 1)


def test_more_than_two_labels_are_refused():
    X, y = stack()
    for third in (2, 1.5, "c"):
        labels = y.astype(type(third))
        labels[0, 0] = third
        with pytest.raises(ValueError, match=r"Only binary .* 3 labels.*GDClassifier"):
            BatchedLogisticRegression().fit(X, labels)


def test_groups_columns_rows_and_lists_agree():
    X, y = stack()
    long, labels = X.reshape(-1, 3), y.ravel()
    codes = np.repeat(np.array(list("abcdefghi")), 60)
    order = np.random.default_rng(0).permutation(len(codes))
    whole = BatchedLogisticRegression(0.1).fit(X, y)
    groups = BatchedLogisticRegression(0.1).fit(long[order], labels[order], groups=codes[order])
    np.testing.assert_allclose(groups.coef_, whole.coef_, rtol=1e-8)
    np.testing.assert_array_equal(groups.predict(long, groups=codes), whole.predict(X).ravel())
    assert groups.score(long, labels, groups=codes) == pytest.approx(whole.score(X, y).mean())
    assert groups.results_["c"].deviance == groups.deviance_[2]
    uneven = [X[b, : 60 - b] for b in range(9)]
    listed = BatchedLogisticRegression(0.1).fit(uneven, [y[b, : 60 - b] for b in range(9)])
    for b in range(9):
        alone = BatchedLogisticRegression(0.1).fit(uneven[b], y[b, : 60 - b])
        np.testing.assert_allclose(listed.coef_[b], alone.coef_[0], rtol=1e-7)
    assert [len(p) for p in listed.predict_proba(uneven)] == [60 - b for b in range(9)]
    rows = BatchedLogisticRegression(0.1).fit(X[0], y)
    columns = BatchedLogisticRegression(0.1).fit(X[0], y.T)
    np.testing.assert_allclose(rows.coef_, columns.coef_, rtol=1e-9)
    np.testing.assert_array_equal(rows.predict(X[0]), columns.predict(X[0]).T)
    np.testing.assert_allclose(rows.score(X[0], y).mean(), columns.score(X[0], y.T))


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_the_bits_do_not_depend_on_threads_or_places(n_jobs):
    X, y = stack(count=300, n=90, d=6)
    one = BatchedLogisticRegression(0.1, n_jobs=1).fit(X, y)
    many = BatchedLogisticRegression(0.1, n_jobs=n_jobs).fit(X[::-1], y[::-1])
    np.testing.assert_array_equal(one.coef_, many.coef_[::-1])
    np.testing.assert_array_equal(one.deviance_, many.deviance_[::-1])


def test_one_ordinary_problem_looks_like_scikit_learn():
    X, y = stack()
    model = BatchedLogisticRegression(1.0).fit(X[0].astype(np.float32), y[0])
    peer = LogisticRegression().fit(X[0].astype(np.float32), y[0])
    assert model.coef_.shape == peer.coef_.shape == model.coef_standard_error_.shape
    assert model.intercept_.shape == peer.intercept_.shape
    assert model.coef_.dtype == np.float32
    np.testing.assert_allclose(model.coef_, peer.coef_, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(
        np.exp(model.predict_log_proba(X[0])), model.predict_proba(X[0]), rtol=1e-12
    )
    assert clone(model).get_params() == model.get_params()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).coef_, model.coef_)
    with pytest.raises(ValueError, match="solver must be one of 'newton', 'gd'"):
        BatchedLogisticRegression(solver="lbfgs").fit(X[0], y[0])


def test_a_fit_that_is_refused_leaves_the_model_as_it_was():
    X = np.random.default_rng(0).standard_normal((40, 3))
    model = BatchedLogisticRegression(1.0).fit(X, X[:, 0] > 0)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="Only binary"):
        model.fit(X[:, :2], np.arange(40) % 3)
    np.testing.assert_array_equal(model.predict_proba(X), before)
