"""What a fit does besides its steps: stopping, resuming, recording, failing well."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from mmlfast import GDClassifier, GDRegressor, MLPClassifier
from mmlfast.api import training
from mmlfast.api.network import ACTIVATIONS
from tests.api.networks import QUIET, blobs, net, same, weights


@QUIET
def test_many_epochs_in_a_call_are_the_epochs_one_by_one(monkeypatch):
    X, y = blobs()
    for settings in ({}, {"shuffle": False, "batch_size": 50}, {"tol": 1e-2}, {"dropout": 0.3}):
        many = net(max_iter=300, **settings).fit(X, y)
        with monkeypatch.context() as patch:
            patch.setattr(training, "MOST_EPOCHS_PER_CALL", 1)
            one = net(max_iter=300, **settings).fit(X, y)
        same(many, one)
        assert many.n_iter_ == one.n_iter_
        assert many.loss_curve_ == one.loss_curve_
        np.testing.assert_array_equal(
            many.history_["gradient_norm"], one.history_["gradient_norm"]
        )


@QUIET
def test_the_seed_decides_the_bits_and_the_threads_do_not():
    X, y = blobs(600, 60)
    settings = {"dropout": 0.2, "batch_size": 128, "early_stopping": True}
    first = net(**settings).fit(X, y)
    same(first, net(**settings, n_jobs=1).fit(X, y))
    same(first, net(**settings, n_jobs=2).fit(X, y))
    assert not np.array_equal(first.coefs_[0], net(**settings).set_params(random_state=1)
                              .fit(X, y).coefs_[0])  # fmt: skip


@QUIET
def test_history_has_a_number_for_each_epoch():
    X, y = blobs()
    model = net(batch_size=30).fit(X[:90], y[:90], eval_set=(X[90:], y[90:]))
    history = model.history_
    assert set(history) == {
        "loss", "validation_loss", "validation_score", "learning_rate", "gradient_norm", "seconds",
    }  # fmt: skip
    for column in history.values():
        assert column.shape == (10,)
        assert np.isfinite(column).all()
    assert list(history["loss"]) == model.loss_curve_
    assert history["validation_score"][-1] == model.score(X[90:], y[90:])
    p = model.predict_proba(X[90:])[np.arange(30), y[90:]]
    assert history["validation_loss"][-1] == pytest.approx(-np.log(p).mean(), rel=1e-9)
    assert (history["seconds"] > 0).all()
    # Without validation samples there is none, and the weights are the same.
    without = net(batch_size=30).fit(X[:90], y[:90])
    same(model, without)
    assert np.isnan(without.history_["validation_loss"]).all()
    without.fit(X[:90], y[:90], eval_set=(X[90:], y[90:]))
    assert len(without.history_["loss"]) == 10


@QUIET
def test_gradient_norm_is_that_of_the_gradients():
    X, y = blobs()
    model = net(max_iter=1, learning_rate_init=1e-300).fit(X, y)
    found = model.gradients(X, y)
    square = sum((g**2).sum() for g in [*found.coefs, *found.intercepts])
    assert model.history_["gradient_norm"][0] == pytest.approx(np.sqrt(square), rel=1e-12)
    assert model.loss_ == pytest.approx(found.loss, rel=1e-12)


@QUIET
def test_early_stopping_by_ones_own_samples_keeps_the_best():
    X, y = blobs(150, seed=1)
    X_new, y_new = blobs(60, seed=2)
    X_new += np.random.default_rng(0).standard_normal(X_new.shape) * 2
    model = net(early_stopping=True, max_iter=100, n_iter_no_change=5, learning_rate_init=0.05)
    model.fit(X, y, eval_set=(X_new, y_new))
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.score(X_new, y_new) == model.best_validation_score_
    assert model.n_iter_ < 100
    assert model.t_ == model.n_iter_ * 150  # nothing was set aside


@pytest.mark.parametrize("wrong", ["X", (1,), [1, 2, 3]])
def test_eval_set_is_a_pair(wrong):
    with pytest.raises(ValueError, match=r"eval_set must be a pair"):
        net().fit(*blobs(), eval_set=wrong)


def test_eval_set_is_checked():
    X, y = blobs()
    with pytest.raises(ValueError, match="features"):
        net().fit(X, y, eval_set=(X[:, :2], y))
    with pytest.raises(ValueError, match="classes not in"):
        net().fit(X, y, eval_set=(X, y + 7))
    with pytest.raises(ValueError, match="lbfgs"):
        net(solver="lbfgs").fit(X, y, eval_set=(X, y))


@QUIET
@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.1] * 5),
        ("cosine", [0.1 * (1 + np.cos(np.pi * e / 5)) / 2 for e in range(5)]),
        ("exponential", [0.1 * 0.01 ** (e / 5) for e in range(5)]),
        (lambda epoch: 0.1 / (1 + epoch), [0.1 / (1 + e) for e in range(5)]),
        ("invscaling", [0.1] + [0.1 / (120 * e + 1) ** 0.5 for e in range(1, 5)]),
    ],
)
def test_schedules(schedule, rates):
    X, y = blobs()
    model = net(solver="gd", learning_rate=schedule, learning_rate_init=0.1, max_iter=5)
    np.testing.assert_allclose(model.fit(X, y).history_["learning_rate"], rates, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_schedule_must_stay_positive(value):
    with pytest.raises(ValueError, match="learning_rate must return a positive number"):
        net(learning_rate=lambda epoch: value).fit(*blobs())


@QUIET
def test_partial_fit_goes_on_after_pickling_and_copies():
    X, y = blobs()
    settings = {"dropout": 0.2, "solver": "rmsprop", "learning_rate": "exponential"}
    whole = net(**settings)
    broken = net(**settings)
    for lo in range(0, 120, 24):
        part = slice(lo, lo + 24)
        whole.partial_fit(X[part], y[part], classes=[0, 1, 2])
        broken.partial_fit(X[part], y[part], classes=[0, 1, 2])
        broken = pickle.loads(pickle.dumps(broken))
    same(whole, broken)
    np.testing.assert_array_equal(whole.history_["loss"], broken.history_["loss"])
    assert whole.history_["learning_rate"][-1] < whole.history_["learning_rate"][0]
    assert len(pickle.dumps(whole)) < 40_000  # no data in it


def test_partial_fit_needs_classes_and_keeps_them():
    X, y = blobs()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        net().partial_fit(X, y)
    model = net().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="is not the same as on last call"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="does not support early_stopping"):
        net(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="balanced"):
        net(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    assert not hasattr(net(solver="lbfgs"), "partial_fit")


@QUIET
def test_warm_start_refuses_other_layers_and_other_classes():
    X, y = blobs()
    model = net(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start can only be used"):
        model.fit(X, y + 1)
    with pytest.raises(ValueError, match="hidden layers of"):
        model.set_params(hidden_layer_sizes=(9,)).fit(X, y)
    with pytest.raises(ValueError, match="hidden layers of"):
        model.set_params(hidden_layer_sizes=(8,), activation="relu").fit(X, y)
    model.set_params(warm_start=False).fit(X, y)


@QUIET
def test_class_weight_is_a_sample_weight():
    X, y = blobs()
    y = np.where(y == 2, 1, y)
    dicted = net(class_weight={0: 3.0, 1: 0.5}).fit(X, y)
    by_hand = net().fit(X, y, sample_weight=np.where(y == 0, 3.0, 0.5))
    same(dicted, by_hand)
    balanced = net(class_weight="balanced").fit(X, y)
    same(balanced, net().fit(X, y, sample_weight=np.where(y == 0, 120 / 80, 120 / 160)))
    # It balances the weights that are given too.
    w = np.where(y == 0, 2.0, 1.0)
    same(net(class_weight="balanced").fit(X, y, w), net().fit(X, y, w))


@QUIET
def test_a_sample_of_weight_2_is_the_sample_twice():
    X, y = blobs()
    w = np.arange(120) // 3 % 3
    twice = net(solver="gd").fit(np.repeat(X, w, axis=0), np.repeat(y, w))
    weighted = net(solver="gd").fit(X, y, sample_weight=w)
    for mine, other in zip(weights(weighted), weights(twice), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


@QUIET
def test_dropout_leaves_units_out_in_training_only():
    X, y = blobs()
    model = net(dropout=[0.5], max_iter=50).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    assert model.loss_curve_[0] != net().fit(X, y).loss_curve_[0]
    same(net(dropout=0.0).fit(X, y), net(dropout=(0.0,)).fit(X, y))


@QUIET
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_learns(activation, dtype):
    X, y = blobs()
    model = MLPClassifier((10, 6), [activation, "tanh"], random_state=0, max_iter=300,
                          learning_rate_init=0.01).fit(X.astype(dtype), y)  # fmt: skip
    assert model.score(X.astype(dtype), y) > 0.9
    assert model.coefs_[0].dtype == dtype


@QUIET
def test_verbose_prints_as_scikit_learn_does(capsys):
    X, y = blobs()
    net(verbose=True, max_iter=2, early_stopping=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("=")[0].split(":")[0] for line in lines] == [
        "Iteration 1, loss ", "Validation score", "Iteration 2, loss ", "Validation score",
    ]  # fmt: skip
    net(max_iter=2).fit(X, y)
    assert capsys.readouterr() == ("", "")


@QUIET
def test_in_a_grid_search():
    X, y = blobs()
    for model, grid in [
        (net(), {"hidden_layer_sizes": [(3,), (20,)], "solver": ["adam", "lbfgs"]}),
        (GDClassifier(max_iter=50), {"alpha": [1e-4, 10.0]}),
        (GDRegressor(max_iter=50), {"solver": ["adam", "gd"]}),
    ]:
        search = GridSearchCV(model, grid, cv=3, error_score="raise").fit(X, y)
        assert search.best_score_ > 0.5


@QUIET
def test_settings_are_not_touched_by_fit():
    model = net(dropout=[0.1], class_weight={0: 1, 1: 2, 2: 3}).set_params(activation=["relu"])
    before = clone(model).get_params()
    model.fit(*blobs())
    assert model.get_params() == before


@QUIET
def test_callbacks_are_told_of_epochs():
    pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9")
    seen = []

    class Watcher:
        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
            if context.task_name == "epoch":
                seen.append(fitted_estimator.predict(X))
                assert fitted_estimator._network is not estimator._network
            return len(seen) == 4

        def teardown(self, estimator, context):
            pass

    X, y = blobs()
    model = net(max_iter=8).set_callbacks(Watcher()).fit(X, y)
    assert len(seen) == model.n_iter_ == 4
    np.testing.assert_array_equal(seen[-1], model.predict(X))
    same(net(max_iter=4).fit(X, y), model)


@QUIET
@pytest.mark.parametrize("validated", [False, True])
def test_training_can_be_seen(validated):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    X, y = blobs()
    model = net().fit(X, y, eval_set=(X, y) if validated else None)
    display = model.plot_training()
    lines = {line.get_label(): line.get_ydata() for line in display.ax_.get_lines()}
    np.testing.assert_array_equal(lines["training loss"], model.loss_curve_)
    assert ("validation loss" in lines) == validated == (display.score_ax_ is not None)
    figure, ax = pyplot.subplots()
    assert model.plot_training(ax=ax).figure_ is figure
    pyplot.close("all")
