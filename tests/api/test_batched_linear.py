"""BatchedLinearRegression: one answer for every way to hand problems in; what fails is flagged."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV

from mmlfast import BatchedLinearRegression
from mmlfast.api import regression_runs


def stack(count=13, n=30, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((count, n, d)) + 2
    return X, X @ rng.standard_normal(d) + 3 + rng.standard_normal((count, n))


def assert_same(model, other, rtol=1e-9):
    for name in ("coef", "intercept", "coef_standard_error", "intercept_standard_error", "r2"):
        np.testing.assert_allclose(
            getattr(model, name + "_"), getattr(other, name + "_"), rtol=rtol, err_msg=name
        )


@pytest.fixture(params=["lanes", "alone"])
def route(request, monkeypatch):
    """By the kernels, or one matrix after the other as large ones are."""
    if request.param == "alone":
        monkeypatch.setattr(regression_runs, "GROUP_COLUMNS", 0)


@pytest.mark.parametrize("solver", ["qr", "cholesky", "gd"])
@pytest.mark.parametrize("alpha", [0.0, 3.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.usefixtures("route")
def test_a_stack_is_scikit_learn_in_a_loop(solver, alpha, fit_intercept):
    X, y = stack()
    model = BatchedLinearRegression(
        alpha, solver=solver, fit_intercept=fit_intercept, tol=1e-11, max_iter=100_000
    ).fit(X, y)
    peer = Ridge(alpha, solver="svd") if alpha else LinearRegression()
    peer.set_params(fit_intercept=fit_intercept)
    for b in range(len(X)):
        peer.fit(X[b], y[b])
        np.testing.assert_allclose(model.coef_[b], peer.coef_, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(model.intercept_[b], peer.intercept_, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(model.predict(X)[b], peer.predict(X[b]), rtol=1e-7, atol=1e-7)
        if fit_intercept:
            np.testing.assert_allclose(model.r2_[b], peer.score(X[b], y[b]), rtol=1e-7)
    assert (model.status_ == "converged").all()


@pytest.mark.usefixtures("route")
def test_standard_errors_and_p_values_are_those_of_scipy():
    from scipy.stats import linregress

    X, y = stack(d=1)
    model = BatchedLinearRegression().fit(X, y)
    for b in range(len(X)):
        line = linregress(X[b, :, 0], y[b])
        np.testing.assert_allclose(model.coef_standard_error_[b, 0], line.stderr, rtol=1e-9)
        np.testing.assert_allclose(
            model.intercept_standard_error_[b], line.intercept_stderr, rtol=1e-9
        )
        np.testing.assert_allclose(model.coef_p_value_[b, 0], line.pvalue, rtol=1e-6)
        assert model.results_[b].r2 == pytest.approx(line.rvalue**2)
    np.testing.assert_array_equal(model.degrees_of_freedom_, 28)
    t = model.intercept_ / model.intercept_standard_error_
    np.testing.assert_array_equal(model.intercept_t_value_, t)
    assert (model.intercept_p_value_ < 1).all()


@pytest.mark.parametrize("layout", ["float32", "integers", "F", "strided", "lists", "read-only"])
def test_every_layout(layout):
    X, y = stack()
    X, y = np.rint(4 * X), np.rint(4 * y)
    whole = BatchedLinearRegression().fit(X, y)
    given = {
        "float32": (X.astype(np.float32), y.astype(np.float32)),
        "integers": (X.astype(np.int16), y.astype(int)),
        "F": (np.asfortranarray(X), np.asfortranarray(y)),
        "strided": (np.repeat(X, 2, axis=2)[..., ::2], y[::-1].copy()[::-1]),
        "lists": (X.tolist(), y.tolist()),
        "read-only": (X.copy(), y),
    }[layout]
    given[0].__class__ is np.ndarray and given[0].setflags(write=False)
    model = BatchedLinearRegression().fit(*given)
    assert model.coef_.dtype == (np.float32 if layout == "float32" else np.float64)
    assert_same(model, whole, 1e-5 if layout == "float32" else 1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("route")
def test_shared_tables_and_targets(weighted):
    """One X for many y by rows and by columns, one y for many X, repeated in full."""
    X, y = stack()
    w = np.random.default_rng(1).integers(0, 3, len(X[0])).astype(float) if weighted else None
    full = BatchedLinearRegression().fit(np.repeat(X[:1], len(y), 0), y, w)
    rows = BatchedLinearRegression().fit(X[0], y, w)
    columns = BatchedLinearRegression().fit(X[0], y.T, w)
    for model in (rows, columns, BatchedLinearRegression().fit(X[:1], y, w)):
        assert_same(model, full)
    np.testing.assert_allclose(rows.predict(X[0]), full.predict(X[:1]))
    np.testing.assert_allclose(columns.predict(X[0]), rows.predict(X[0]).T)
    np.testing.assert_allclose(rows.score(X[0], y).mean(), columns.score(X[0], y.T))
    one_target = BatchedLinearRegression().fit(X, y[0], w)
    assert_same(one_target, BatchedLinearRegression().fit(X, np.repeat(y[:1], len(X), 0), w))
    assert one_target.score(X, y[0]).shape == (len(X),)


def ragged(seed=0, count=40):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(6, 60, count)
    codes = np.repeat(np.arange(count), sizes)
    X = rng.standard_normal((len(codes), 3))
    return codes, X, X.sum(1) + rng.standard_normal(len(codes)), rng.random(len(codes)) + 0.1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("route")
def test_groups_lists_and_single_fits_agree(weighted):
    codes, X, y, w = ragged()
    order = np.random.default_rng(1).permutation(len(codes))
    model = BatchedLinearRegression().fit(
        X[order], y[order], w[order] if weighted else None, groups=codes[order]
    )
    parts = [codes == code for code in range(40)]
    listed = BatchedLinearRegression().fit(
        [X[p] for p in parts], [y[p] for p in parts], [w[p] for p in parts] if weighted else None
    )
    assert_same(model, listed)
    np.testing.assert_array_equal(model.groups_, np.arange(40))
    for code, rows in enumerate(parts):
        alone = BatchedLinearRegression().fit(X[rows], y[rows], w[rows] if weighted else None)
        result = model.results_[code]
        np.testing.assert_allclose(result.coef, alone.coef_, rtol=1e-9)
        np.testing.assert_allclose(result.coef_standard_error, alone.coef_standard_error_)
        assert result.degrees_of_freedom == alone.degrees_of_freedom_
    predicted = model.predict(X, groups=codes)
    np.testing.assert_allclose(predicted, np.concatenate(listed.predict([X[p] for p in parts])))
    assert model.score(X, y, groups=codes) == pytest.approx(
        1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2)
    )
    assert model.predict(X[:5]).shape == (40, 5)


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a"],
        [("x", 1), ("y", 2)],
        [None, 3],
        [2.5, -1.0],
        np.array(["2020-01-02", "2020-01-01"], "M8[D]"),
        [True, False],
    ],
    ids=str,
)
def test_labels_of_any_kind(labels):
    _, X, y, _ = ragged()
    groups = [labels[i % 2] for i in range(50)]
    model = BatchedLinearRegression().fit(X[:50], y[:50], groups=groups)
    assert len(model.results_) == 2
    assert len(model.groups_) == 2
    assert {groups[0], groups[1]} == set(model.results_)
    for i in range(2):
        alone = BatchedLinearRegression().fit(X[:50][i::2], y[:50][i::2])
        rows = model.predict(X[:3], groups=[groups[i]] * 3)
        np.testing.assert_allclose(rows, alone.predict(X[:3]), rtol=1e-9)


def test_a_failed_problem_is_flagged_and_the_others_fitted():
    X, y = stack(count=6, n=12)
    clean = BatchedLinearRegression().fit(X, y)
    w = np.ones(y.shape)
    X[1, 2, 3] = np.nan
    X[2, :, 1] = X[2, :, 0]
    w[3, 3:] = 0
    y[4] *= 1e300
    with pytest.warns(ConvergenceWarning, match="4 of 6 problems .* 2 not_finite, 1 rank_def"):
        model = BatchedLinearRegression().fit(X, y, w)
    np.testing.assert_array_equal(model.status_, [
        "converged", "not_finite", "rank_deficient", "too_few_samples", "not_finite", "converged",
    ])  # fmt: skip
    for b in (0, 5):
        np.testing.assert_allclose(model.coef_[b], clean.coef_[b], rtol=1e-12)
    assert np.isnan(model.coef_[1]).all()
    assert np.isnan(model.predict(X[0])[1]).all()
    assert model.coef_[2, 1] == 0
    assert np.isnan(model.coef_standard_error_[2, 1])
    assert np.isnan(model.coef_standard_error_[3]).all()
    assert model.results_[2].status == "rank_deficient"


def test_steps_that_do_not_suffice_are_flagged():
    X, y = stack()
    with pytest.warns(ConvergenceWarning, match="13 max_iter"):
        model = BatchedLinearRegression(solver="gd", max_iter=2).fit(X, y)
    np.testing.assert_array_equal(model.n_iter_, 2)
    assert (model.gradient_norm_ > 0).all()


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_the_bits_do_not_depend_on_threads_or_places(n_jobs):
    X, y = stack(count=700, n=90, d=5)
    one = BatchedLinearRegression(n_jobs=1).fit(X, y)
    many = BatchedLinearRegression(n_jobs=n_jobs).fit(X[::-1], y[::-1])
    np.testing.assert_array_equal(one.coef_, many.coef_[::-1])
    np.testing.assert_array_equal(one.coef_standard_error_, many.coef_standard_error_[::-1])


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(2, 25), st.integers(1, 9), st.booleans(), st.integers(0, 99))
def test_residuals_are_orthogonal_to_the_columns(count, extra, d, fit_intercept, seed):
    X, y = stack(count, d + extra, d, seed)
    model = BatchedLinearRegression(fit_intercept=fit_intercept).fit(X, y)
    r = y - model.predict(X)
    size = np.linalg.norm(X, axis=1) * np.linalg.norm(y, axis=1)[:, None]
    assert (np.abs(np.einsum("bn,bnd->bd", r, X)) <= 1e-12 * size).all()
    if fit_intercept:
        assert np.abs(r.sum(1)).max() <= 1e-11 * np.abs(y).sum(1).max()


def test_a_weight_of_two_is_the_row_twice_up_to_the_degrees_of_freedom():
    X, y = stack(count=3)
    w = np.ones(30)
    w[:7] = 2
    weighted = BatchedLinearRegression().fit(X, y, w)
    twice = BatchedLinearRegression().fit(
        np.concatenate([X, X[:, :7]], 1), np.concatenate([y, y[:, :7]], 1)
    )
    np.testing.assert_allclose(weighted.coef_, twice.coef_, rtol=1e-11)
    np.testing.assert_array_equal(weighted.degrees_of_freedom_ + 7, twice.degrees_of_freedom_)


def test_manners_of_an_estimator():
    X, y = stack()
    model = BatchedLinearRegression(0.5, solver="cholesky").fit(X, y)
    assert clone(model).get_params() == model.get_params()
    assert_same(pickle.loads(pickle.dumps(model)), model)
    search = GridSearchCV(BatchedLinearRegression(), {"alpha": [0.0, 1e4]}).fit(X[0], y[0])
    assert search.best_params_ == {"alpha": 0.0}
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X[0], columns=list("abcd"))
    assert list(BatchedLinearRegression().fit(frame, y[0]).feature_names_in_) == list("abcd")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((30, 4), (31,)), "inconsistent numbers of samples"),
        (((30, 4), (30, 30)), r"in each row or in each column .* X\[None\]"),
        (((30, 4), (7, 31)), r"y must have shape \(30,\), \(30, n_problems\)"),
        (((5, 30, 4), (6, 30)), r"y must have shape \(5, 30\)"),
        (((5, 30, 0), (5, 30)), "no axis of length 0"),
        (((2, 3, 4, 5), (2, 3)), "3 axes|expected <= 2|dim"),
    ],
)
def test_shapes_that_do_not_fit(arguments, message):
    X, y = (np.ones(shape) for shape in arguments)
    with pytest.raises(ValueError, match=message):
        BatchedLinearRegression().fit(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -1}, "alpha must be a finite number"),
        ({"tol": np.nan}, "tol must be a finite number"),
        ({"solver": "svd"}, "solver must be one of 'qr', 'cholesky', 'gd'"),
        ({"max_iter": 0}, "max_iter must be None or a positive"),
        ({"fit_intercept": "yes"}, "fit_intercept must be True or False"),
        ({"n_jobs": 0}, "n_jobs must be a positive"),
    ],
)
def test_parameters_that_cannot_be_meant(options, message):
    X, y = stack(count=900, n=90)
    with pytest.raises(ValueError, match=message):
        BatchedLinearRegression(**options).fit(X, y)


def test_errors_name_what_is_wrong():
    codes, X, y, _ = ragged()
    model = BatchedLinearRegression().fit(X, y, groups=codes)
    with pytest.raises(ValueError, match=r"did not see: \[77\]"):
        model.predict(X[:1], groups=[77])
    with pytest.raises(ValueError, match="label for each of the 2 rows"):
        model.predict(X[:2], groups=[1])
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        BatchedLinearRegression().fit(X[None], y[None], -np.ones(len(y)))
    with pytest.raises(ValueError, match="given groups"):
        BatchedLinearRegression().fit(X, y).predict(X, groups=codes)
    with pytest.raises(ValueError, match="groups has missing labels"):
        BatchedLinearRegression().fit(X, y, groups=np.where(codes == 3, np.nan, codes))
    for missing in (pd.NA, pd.NaT, np.nan):
        labels = codes.astype(object)
        labels[4] = missing
        with pytest.raises(ValueError, match="groups has missing labels"):
            BatchedLinearRegression().fit(X, y, groups=labels)
    with pytest.raises(ValueError, match="list of arrays as long as those of X"):
        BatchedLinearRegression().fit([X[:9], X[:8]], 3.0)
    with pytest.raises(ValueError, match=r"X must have shape \(40, n_samples, 3\)"):
        model.predict(X[None, :, :2])
    with pytest.raises(ValueError, match=r"X\[1\] must have 3 columns"):
        BatchedLinearRegression().fit([X[:9], X[:8, :2]], [y[:9], y[:8]])
    with pytest.raises(ValueError, match="list of arrays as long as those of X"):
        BatchedLinearRegression().fit([X[:9], X[:8]], [y[:9], y[:9]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BatchedLinearRegression().fit([X[:9], X[:8]], [y[:9], y[:8]])
