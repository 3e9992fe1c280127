"""scikit-learn's callbacks hear of every epoch of a network, and can stop it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from mmlfast import PCA, GDClassifier, GDRegressor, MLPClassifier, MLPRegressor
from tests.api.recorders import Propagated, Recorder, assert_nested

sklearn_callback = pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.standard_normal((90, 6))
Z = X @ rng.standard_normal(6)
Y = np.where(Z > 0, "yes", "no")

MODELS = [
    MLPClassifier(hidden_layer_sizes=(5,), max_iter=6, random_state=0),
    MLPClassifier(hidden_layer_sizes=(5,), max_iter=6, batch_size=20, random_state=0),
    MLPClassifier(hidden_layer_sizes=(5,), max_iter=6, early_stopping=True, random_state=0),
    MLPClassifier(hidden_layer_sizes=(5,), max_iter=6, solver="lbfgs", random_state=0),
    MLPClassifier(hidden_layer_sizes=(5,), max_iter=300, solver="lbfgs", random_state=0),
    MLPRegressor(hidden_layer_sizes=(5,), max_iter=6, random_state=0),
    GDClassifier(max_iter=6, random_state=0),
    GDRegressor(max_iter=6, solver="adam", random_state=0),
]


def target(model):
    return Y if model.__sklearn_tags__().estimator_type == "classifier" else Z


def parameters(model):
    return model._network.parameters


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_every_epoch_is_a_task(model):
    recorder = Recorder()
    model = clone(model).set_callbacks(recorder).fit(X, target(model))
    assert_nested(recorder.events)
    lbfgs = model.solver == "lbfgs"
    name = "iteration" if lbfgs else "epoch"
    # scipy does not say which iteration is the last: the task after it is empty.
    assert recorder.count("begin", name) == model.n_iter_ + lbfgs
    assert all(seen[0] is X for seen in recorder.seen)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_listening_changes_no_bit(model):
    heard = clone(model).set_callbacks(Recorder()).fit(X, target(model))
    silent = clone(model).fit(X, target(model))
    assert np.array_equal(parameters(heard), parameters(silent))
    assert heard.loss_curve_ == silent.loss_curve_


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_a_request_to_stop_ends_training_there(model):
    lbfgs = model.solver == "lbfgs"
    recorder = Recorder(stop_at=("iteration" if lbfgs else "epoch", 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        stopped = clone(model).set_callbacks(recorder).fit(X, target(model))
    assert_nested(recorder.events)
    assert stopped.n_iter_ == len(stopped.loss_curve_) == 3
    if not model.early_stopping:
        short = clone(model).set_params(max_iter=3).fit(X, target(model))
        assert np.array_equal(parameters(stopped), parameters(short))


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_callbacks_get_the_model_as_if_training_ended_there(model):
    recorder = Recorder()
    model = clone(model).set_callbacks(recorder).fit(X, target(model))
    predictions = [fitted.predict(X) for fitted in recorder.fitted]
    assert len(predictions) >= model.n_iter_ + 1
    assert np.array_equal(predictions[-1], model.predict(X))
    if not model.early_stopping:
        first = clone(model).set_callbacks().set_params(max_iter=1).fit(X, target(model))
        assert np.array_equal(parameters(recorder.fitted[0]), parameters(first))
        assert not np.array_equal(parameters(first), parameters(model))


def test_partial_fit_calls_nobody():
    recorder = Recorder()
    GDRegressor().set_callbacks(recorder).partial_fit(X, Z)
    assert recorder.events == []


def test_a_failing_callback_leaves_the_last_finished_epoch():
    recorder = Recorder(fail_at=("begin", "epoch", 2))
    model = GDRegressor(max_iter=6, random_state=0).set_callbacks(recorder)
    with pytest.raises(RuntimeError, match="failing at begin"):
        model.fit(X, Z)
    two = GDRegressor(max_iter=2, random_state=0).fit(X, Z)
    assert np.array_equal(parameters(model), parameters(two))
    assert recorder.events[-1] == ("teardown", "fit", 0)


def test_a_monitor_scores_every_epoch():
    monitor = sklearn_callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(hidden_layer_sizes=(5,), max_iter=6, random_state=0)
    model.set_callbacks(monitor).fit(X, Y)
    rows = monitor.get_logs().data
    scores = [row["accuracy"] for row in rows if row["task_name"] == "epoch"]
    assert len(scores) == 6
    assert scores[-1] == model.score(X, Y)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_bars_and_monitors_in_a_search_over_a_pipeline(capsys, n_jobs):
    pytest.importorskip("rich")
    monitor = sklearn_callback.ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(hidden_layer_sizes=(5,), max_iter=3, random_state=0)
    pipeline = make_pipeline(PCA(4), model.set_callbacks(monitor))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e-2]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(sklearn_callback.ProgressBar(max_propagation_depth=None)).fit(X, Y)
    shown = capsys.readouterr().out
    assert shown.count("MLPClassifier - fit") == shown.count("PCA - fit") == 2 * 2 + 1
    assert " 0%" not in shown
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == (2 * 2 + 1) * 3


def test_a_search_hands_its_callbacks_on():
    recorder = Propagated()
    pipeline = make_pipeline(PCA(4), GDClassifier(max_iter=3, random_state=0))
    search = GridSearchCV(pipeline, {"gdclassifier__alpha": [1e-4, 1e-2]}, cv=2)
    search.set_callbacks(recorder).fit(X, Y)
    assert recorder.count("end", "epoch") == (2 * 2 + 1) * 3
