"""Linear models by gradient descent meet the least of their objective, and keep their promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from mmlfast import GDClassifier, GDRegressor
from mmlfast.api.network import Network
from mmlfast.api.trainer import OPTIMIZERS, Trainer
from tests import reference_network

QUIET = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
N, D = 200, 5
PRECISE = {"tol": 0.0, "n_iter_no_change": 1000, "max_iter": 3000, "batch_size": N}
RATES = {"gd": 0.5, "momentum": 0.1, "nesterov": 0.1, "adagrad": 1.0, "rmsprop": 1e-3, "adam": 0.01}


def data(kind, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D))
    z = X @ rng.standard_normal((D, 3)) + [0.5, -1, 2]
    noise = rng.gumbel(size=z.shape)
    return X, {
        "regression": z[:, 0] + noise[:, 0], "targets": z + noise,
        "poisson": rng.poisson(np.exp(z[:, 0] / 2)), "binary": (z + noise)[:, 0] > 0,
        "multiclass": (z + noise).argmax(axis=1),
    }[kind]  # fmt: skip


@QUIET
@pytest.mark.parametrize("solver", OPTIMIZERS)
@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_every_solver_meets_the_least(kind, solver):
    X, y = data(kind)
    alpha, w = 0.1, np.random.default_rng(1).uniform(0.2, 2, N)
    n = w.sum()
    make = GDRegressor if kind == "regression" else GDClassifier
    model = make(solver=solver, alpha=alpha, learning_rate_init=RATES[solver], **PRECISE)
    model.fit(X, y, sample_weight=w)
    if kind == "regression":
        best = Ridge(alpha=alpha * n, tol=1e-12).fit(X, y, w)
    else:
        best = LogisticRegression(C=1 / (alpha * n), tol=1e-12).fit(X, y, w)
    close = {"rtol": 0, "atol": 1e-3 if solver == "rmsprop" else 1e-6}
    np.testing.assert_allclose(model.coef_, best.coef_, **close)
    np.testing.assert_allclose(model.intercept_, np.atleast_1d(best.intercept_), **close)
    np.testing.assert_allclose(model.predict(X), best.predict(X), rtol=0, atol=5e-3)


@QUIET
@pytest.mark.parametrize("kind", ["targets", "poisson", "multiclass"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_targets_counts_and_classes(kind, fit_intercept):
    X, y = data(kind)
    alpha = 0.05
    settings = {"alpha": alpha, "learning_rate_init": 0.02, "fit_intercept": fit_intercept}
    if kind == "multiclass":
        model = GDClassifier(**PRECISE, **settings).fit(X, y)
        best = LogisticRegression(C=1 / (alpha * N), fit_intercept=fit_intercept, tol=1e-12)
        np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-12)
    elif kind == "poisson":
        model = GDRegressor(loss="poisson", **PRECISE, **settings).fit(X, y)
        best = PoissonRegressor(alpha=alpha, fit_intercept=fit_intercept, tol=1e-12, max_iter=1000)
    else:
        model = GDRegressor(**PRECISE, **settings).fit(X, y)
        best = Ridge(alpha=alpha * N, fit_intercept=fit_intercept)
    best.fit(X, y)
    assert model.coef_.shape == best.coef_.shape
    np.testing.assert_allclose(model.coef_, best.coef_, rtol=0, atol=1e-5)
    intercept = np.broadcast_to(best.intercept_, model.intercept_.shape)
    if kind == "multiclass":  # a constant added to all scores changes nothing
        intercept = intercept - intercept.mean()
    np.testing.assert_allclose(model.intercept_, intercept, rtol=0, atol=1e-5)
    if kind == "multiclass":
        np.testing.assert_allclose(model.predict_proba(X), best.predict_proba(X), atol=1e-5)
        scores = best.decision_function(X)
        scores -= scores.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(model.decision_function(X), scores, atol=1e-4)
    if not fit_intercept:
        assert not model.intercept_.any()


@QUIET
def test_mini_batches_share_the_penalty_alike():
    X, y = data("regression")
    # Mini-batches stay about the least of the same objective; without its penalty the largest
    # weight would be 0.3 off.
    model = GDRegressor(solver="gd", alpha=0.3, batch_size=64, learning_rate="cosine",
                        learning_rate_init=0.05, max_iter=2000, tol=0, n_iter_no_change=10_000,
                        random_state=0).fit(X, y)  # fmt: skip
    best = Ridge(alpha=0.3 * N).fit(X, y)
    np.testing.assert_allclose(model.coef_, best.coef_, atol=0.03)
    assert model.gradients(X, y).loss == pytest.approx(
        ((y - best.predict(X)) ** 2).mean() / 2 + 0.15 * (best.coef_**2).sum(), rel=1e-3
    )
    assert model.gradient_check(X, y).ok


@QUIET
def test_the_decision_is_the_sign_of_the_score():
    X, y = data("binary")
    words = np.where(y, "yes", "no")
    for given in (X, csr_array(X), X.astype(np.float32)):
        model = GDClassifier(max_iter=50).fit(given, words)
        scores = model.decision_function(given)
        assert scores.shape == (N,)
        np.testing.assert_array_equal(model.predict(given) == "yes", scores > 0)
        np.testing.assert_allclose(model.predict_proba(given)[:, 1], 1 / (1 + np.exp(-scores)),
                                   rtol=1e-5)  # fmt: skip
    assert model.coef_.dtype == np.float32
    assert model.coef_.shape == (1, D)


@QUIET
def test_partial_fit_steps_through_batches():
    X, y = data("multiclass")
    whole = GDClassifier(batch_size=50, shuffle=False, max_iter=4, tol=0).fit(X, y)
    parts = GDClassifier(batch_size=50)
    for _ in range(4):
        for lo in range(0, N, 50):
            parts.partial_fit(X[lo : lo + 50], y[lo : lo + 50], classes=[0, 1, 2])
    np.testing.assert_array_equal(parts.coef_, whole.coef_)
    regressor = GDRegressor(warm_start=True, max_iter=5).fit(X, y)
    first = regressor.loss_
    assert regressor.partial_fit(X, y).loss_ < first
    assert regressor.fit(X, y).t_ == 11 * N


@QUIET
def test_early_stopping_and_eval_set():
    X, y = data("multiclass")
    model = GDClassifier(early_stopping=True, random_state=0, n_iter_no_change=3).fit(X, y)
    assert model.n_iter_ == len(model.validation_scores_) < 1000
    assert model.best_validation_score_ == max(model.validation_scores_)
    other = data("multiclass", 1)
    model = GDClassifier(early_stopping=True, n_iter_no_change=3).fit(X, y, eval_set=other)
    assert model.score(*other) == model.best_validation_score_


def test_separable_classes_end():
    X = np.array([[-1.0], [1.0]])
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model = GDClassifier(alpha=0, tol=0, learning_rate_init=1.0).fit(X, [0, 1])
    assert np.isfinite(model.coef_).all()
    assert list(model.predict(X)) == [0, 1]


@QUIET
def test_collinear_columns_share_their_weight():
    X, y = data("regression")
    twice = np.column_stack([X, X])
    model = GDRegressor(alpha=0, learning_rate_init=0.02, **PRECISE).fit(twice, y)
    np.testing.assert_allclose(model.coef_[:D], model.coef_[D:], atol=1e-12)
    np.testing.assert_allclose(2 * model.coef_[:D], Ridge(alpha=0).fit(X, y).coef_, atol=1e-6)


def test_what_only_networks_have():
    X, y = data("regression")
    for solver in ("lbfgs", "sgd", "newton"):
        with pytest.raises(ValueError, match="solver must be one of gd, momentum"):
            GDRegressor(solver=solver).fit(X, y)
    with pytest.raises(ValueError, match="loss must be one of log_loss; got 'hinge'"):
        GDClassifier(loss="hinge").fit(X, y > 0)
    with pytest.raises(ValueError, match="1d array"):
        GDClassifier().fit(X, np.eye(D, dtype=int)[np.arange(N) % D])


@QUIET
def test_save_and_load(tmp_path):
    for kind, make in (("multiclass", GDClassifier), ("regression", GDRegressor)):
        X, y = data(kind)
        model = make(max_iter=5).fit(X, y)
        model.save(tmp_path / "model.npz")
        loaded = make.load(tmp_path / "model.npz")
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X), strict=True)
        assert loaded.get_params() == model.get_params()


@QUIET
def test_a_file_larger_than_a_chunk_is_read_in_chunks(tmp_path, monkeypatch):
    from mmlfast.runtime import sources

    X, y = data("regression")
    X = X.astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    monkeypatch.setattr(sources, "BATCH_BYTES", 60 * D * 4)
    settings = {"batch_size": 20, "max_iter": 5, "shuffle": False}
    whole = GDRegressor(**settings).fit(X, y)
    for stream in (tmp_path / "X.npy", lambda: np.array_split(X, 7)):
        streamed = GDRegressor(**settings).fit(stream, y)
        np.testing.assert_array_equal(streamed.coef_, whole.coef_)
        np.testing.assert_array_equal(streamed.predict(stream), whole.predict(X))
        assert streamed.score(stream, y) == whole.score(X, y)
        assert GDRegressor(batch_size=20, max_iter=5).fit(stream, y).n_iter_ == 5
    assert streamed.coef_.dtype == np.float32
    with pytest.raises(ValueError, match="can be read only once"):
        GDRegressor().fit(iter(np.array_split(X, 7)), y)
    with pytest.raises(ValueError, match="eval_set"):
        GDRegressor(early_stopping=True).fit(tmp_path / "X.npy", y)
    with pytest.raises(ValueError, match="y is None"):
        GDRegressor().fit(tmp_path / "X.npy", None)
    fitted = GDRegressor(early_stopping=True, max_iter=3)
    fitted.fit(tmp_path / "X.npy", y, eval_set=(X, y))
    assert len(fitted.validation_scores_) == 3


@QUIET
def test_a_column_of_a_file_as_target(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = data("binary")
    frame = pandas.DataFrame(X, columns=list("abcde")).assign(bought=y.astype(int))
    frame.to_parquet(tmp_path / "table.parquet")
    settings = {"max_iter": 20, "random_state": 0}
    model = GDClassifier(**settings).fit(tmp_path / "table.parquet", "bought")
    other = GDClassifier(**settings).fit(frame, "bought")
    np.testing.assert_array_equal(model.coef_, other.coef_)
    np.testing.assert_array_equal(model.coef_, GDClassifier(**settings).fit(X, y).coef_)
    assert list(model.feature_names_in_) == list("abcde")


@pytest.mark.parametrize("rule", OPTIMIZERS)
@pytest.mark.parametrize("mean_penalty", [False, True])
@pytest.mark.parametrize("intercepts", [False, True])
def test_steps_are_the_specifications(rule, mean_penalty, intercepts):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((50, 4)), rng.standard_normal((50, 2))
    weight = rng.integers(0, 3, 50).astype(float)
    weight[40:] = 0  # the last batch counts for nothing
    settings = {"batch_size": 10, "alpha": 0.5, "weight_decay": 0.1, "beta_2": 0.99,
                "mean_penalty": mean_penalty, "intercepts": intercepts}  # fmt: skip
    both = []
    for network, trainer in ((Network, Trainer),
                             (reference_network.Network, reference_network.Trainer)):  # fmt: skip
        net = network((4, 3, 2), ["tanh"], "identity", np.float64)
        start = np.random.default_rng(1)
        for array in [*net.coefs, *net.intercepts]:
            array[...] = start.standard_normal(array.shape)
        one = trainer(net, rule, **settings)
        one.prepare(X, Y, weight)
        reports = [one.epoch(np.random.default_rng(k).permutation(50), 0.05) for k in range(3)]
        reports.append(one.epoch(np.arange(50), 0.05))
        both.append((net, one.t, reports))
    (mine, t, reports), (theirs, t_there, reports_there) = both
    assert t == t_there == 20
    for a, b in zip([*mine.coefs, *mine.intercepts], [*theirs.coefs, *theirs.intercepts],
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    for a, b in zip(reports, reports_there, strict=True):
        assert a.failed == b.failed == -1
        np.testing.assert_allclose(a[:2], b[:2], rtol=1e-9)
