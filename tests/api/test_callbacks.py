"""What scikit-learn's callbacks are told of a fit, alone and inside pipelines and searches."""

from __future__ import annotations

import os

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmlfast import PCA, BatchedLinearRegression, BatchedLogisticRegression
from mmlfast.api import callbacks
from mmlfast.api.callbacks import FitTask
from tests.api.recorders import Propagated, Recorder, assert_nested

sklearn_callback = pytest.importorskip("sklearn.callback", reason="scikit-learn < 1.9")


def data(n=120, d=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * np.linspace(1, 8, d)


READ = [("begin", "read", 0), ("end", "read", 0)]


@pytest.mark.parametrize("solver", ["covariance_eigh", "full"])
def test_hooks_are_called_in_order(solver):
    recorder = Recorder()
    PCA(3, svd_solver=solver).set_callbacks(recorder).fit(data())
    assert recorder.events == [
        ("setup", "fit", 0), ("begin", "fit", 0), *READ, ("end", "fit", 0), ("teardown", "fit", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("solver", ["krylov", "dual", "arpack", "randomized"])
@pytest.mark.parametrize("standardize", [False, True])
def test_every_read_is_a_task(solver, standardize):
    recorder = Recorder()
    pca = PCA(3, svd_solver=solver, standardize=standardize, random_state=0)
    pca.set_callbacks(recorder).fit(data())
    assert_nested(recorder.events)
    begun = [number for hook, name, number in recorder.events if (hook, name) == ("begin", "read")]
    assert begun == list(range(pca.n_passes_))
    assert pca.n_passes_ > 1


@pytest.mark.parametrize("solver", ["covariance_eigh", "krylov", "full"])
@pytest.mark.parametrize(("n", "blocks"), [(250, 3), (200, 2), (101, 2), (100, 1)])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_read_is_cut_into_blocks_of_rows(monkeypatch, solver, n, blocks, streamed):
    monkeypatch.setattr(callbacks, "batch_rows", lambda n_features, dtype: 100)
    X, recorder = data(n), Recorder()
    pca = PCA(3, svd_solver=solver, random_state=0).set_callbacks(recorder)
    pca.fit((lambda: np.array_split(X, 7)) if streamed else X)
    assert_nested(recorder.events)
    leaf = blocks == 1 and not streamed
    assert recorder.count("end", "rows") == (0 if leaf else blocks * pca.n_passes_)


def test_without_callbacks_nobody_is_told_and_with_them_the_bits_are_the_same():
    X = data()
    silent = PCA(3, svd_solver="krylov", random_state=0).fit(X)
    heard = PCA(3, svd_solver="krylov", random_state=0).set_callbacks(Recorder()).fit(X)
    assert np.array_equal(silent.components_, heard.components_)
    with FitTask(silent, 0) as task:
        task.begin("more subtasks than were promised")
        assert task.end(lambda: pytest.fail("asked for attributes nobody wants")) is False
    assert not task.listening
    with FitTask(None, 0) as task:
        assert task.end() is task.listening is False
    assert {name for name in silent.__dict__ if name.startswith("_")} == {"_floor"}
    assert {name for name in heard.__dict__ if name.startswith("_")} == {"_floor", "_skl_callbacks"}


def test_callbacks_get_arrays_as_they_were_given_and_a_fitted_estimator(tmp_path):
    X, y, recorder = data(), list(range(120)), Recorder()
    pca = PCA(3).set_callbacks(recorder).fit(X, y)
    assert all(seen[0] is X and seen[1] is y and seen[2] is None for seen in recorder.seen)
    (fitted,) = recorder.fitted
    assert fitted is not pca
    assert np.array_equal(fitted.transform(X), pca.transform(X))
    np.save(tmp_path / "X.npy", X)
    for source in (tmp_path / "X.npy", iter([X]), lambda: iter([X])):
        recorder = Recorder()
        PCA(3).set_callbacks(recorder).fit(source)
        assert all(seen == (None, None, None) for seen in recorder.seen)


def test_sample_weights_are_metadata():
    recorder, w = Recorder(), np.ones(3)
    with FitTask(PCA().set_callbacks(recorder), 0, X=data(3), sample_weight=w) as task:
        assert task.listening
    assert recorder.seen[0][2] == {"sample_weight": w}


def test_a_request_to_stop_ends_the_reads():
    X = data(300, 200)
    asked = Recorder(stop_at=("read", 1))
    pca = PCA(3, svd_solver="arpack", random_state=0).set_callbacks(asked).fit(X)
    assert pca.n_passes_ == 2 < PCA(3, svd_solver="arpack", random_state=0).fit(X).n_passes_
    exact = PCA(3, svd_solver="full").fit(X)
    assert np.all(pca.explained_variance_ <= exact.explained_variance_ * (1 + 1e-12))
    assert pca.explained_variance_[0] > 0.8 * exact.explained_variance_[0]
    assert 0 < pca.residual_ < 1
    assert_nested(asked.events)


def test_a_stop_waits_for_as_many_vectors_as_were_asked_for():
    X = data(100, 60)
    pca = PCA(30, svd_solver="krylov", random_state=0)
    pca.set_callbacks(Recorder(stop_at=("read", 0))).fit(X)
    assert pca.components_.shape == (30, 60)
    assert np.allclose(pca.components_ @ pca.components_.T, np.eye(30), atol=1e-10)


def test_a_stop_where_one_read_is_the_whole_changes_nothing():
    X = data()
    asked = PCA(3).set_callbacks(Recorder(stop_at=("read", 0))).fit(X)
    assert np.array_equal(asked.components_, PCA(3).fit(X).components_)


def test_a_failing_fit_is_torn_down_but_not_ended():
    X, recorder = data(), Recorder()
    X[50, 7] = np.nan
    pca = PCA(3).set_callbacks(recorder)
    with pytest.raises(ValueError, match="row 50, column 7"):
        pca.fit(X)
    assert recorder.events[-1] == ("teardown", "fit", 0)
    assert recorder.count("end", "fit") == 0
    assert "_callback_fit_ctx" not in pca.__dict__
    pca.fit(data())
    assert recorder.count("end", "fit") == 1


@pytest.mark.parametrize("hook", ["setup", "begin", "end", "teardown"])
def test_a_failing_callback_is_torn_down(hook):
    other, failing = Recorder(), Recorder(fail_at=(hook, "fit", 0))
    pca = PCA(3).set_callbacks(other, failing)
    with pytest.raises(RuntimeError, match=f"failing at {hook}"):
        pca.fit(data())
    assert other.count("teardown", "fit") == failing.count("teardown", "fit") == 1
    assert "_callback_fit_ctx" not in pca.__dict__


@pytest.mark.parametrize("make", [BatchedLinearRegression, BatchedLogisticRegression])
def test_a_batch_of_regressions_is_one_task(make):
    X, recorder = data(60, 3), Recorder()
    w = np.ones(60)
    y = (X[:, 0] > 0).astype(float)
    model = make(alpha=1.0).set_callbacks(recorder).fit(X, y, w)
    assert [event[:2] for event in recorder.events] == [
        ("setup", "fit"), ("begin", "fit"), ("end", "fit"), ("teardown", "fit"),
    ]  # fmt: skip
    X_seen, y_seen, metadata = recorder.seen[0]
    assert X_seen is X
    assert y_seen is y
    assert metadata["sample_weight"] is w
    assert np.array_equal(recorder.fitted[0].predict(X), model.predict(X))


def test_clones_share_callbacks_and_setting_none_removes_them():
    recorder = Recorder()
    pca = PCA(3).set_callbacks(recorder)
    clone(pca).fit(data())
    assert recorder.count("end", "fit") == 1
    assert pca.set_callbacks() is pca
    pca.fit(data())
    assert recorder.count("end", "fit") == 1


def test_callbacks_are_not_written_to_a_file(tmp_path):
    pca = PCA(3).set_callbacks(Recorder()).fit(data())
    pca.save(tmp_path / "pca.npz")
    loaded = PCA.load(tmp_path / "pca.npz")
    assert "_skl_callbacks" not in loaded.__dict__
    assert np.array_equal(loaded.components_, pca.components_)


def test_a_pipeline_hands_its_callbacks_on():
    recorder = Propagated()
    pipeline = make_pipeline(StandardScaler(), PCA(3, svd_solver="krylov", random_state=0))
    pipeline.set_callbacks(recorder).fit(data())
    assert recorder.count("setup", "fit") == recorder.count("teardown", "fit") == 1
    assert recorder.count("begin", "fit") == 3
    assert recorder.count("end", "read") == pipeline[-1].n_passes_
    assert "_skl_callbacks" not in pipeline[-1].__dict__


class FileRecorder:
    """Appends a line for each task that ends, from whatever process."""

    max_propagation_depth = None

    def __init__(self, path):
        self.path = path

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        line = f"{context.estimator_name} {context.task_name}\n".encode()
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, line)
        os.close(file)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_search_on_two_workers_hands_its_callbacks_on(tmp_path, backend):
    from joblib import parallel_config

    path = tmp_path / "events"
    pipeline = make_pipeline(StandardScaler(), PCA(svd_solver="covariance_eigh"))
    search = GridSearchCV(pipeline, {"pca__n_components": [1, 2, 3]}, cv=2, n_jobs=2)
    with parallel_config(backend=backend):
        search.set_callbacks(FileRecorder(path)).fit(data())
    lines = path.read_text().splitlines()
    assert lines.count("PCA fit") == lines.count("PCA read") == 3 * 2 + 1
    assert lines.count("Pipeline fit") == 3 * 2 + 1
    assert lines.count("GridSearchCV fit") == 1


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_progress_bars_in_a_pipeline_in_a_search(capsys, monkeypatch, n_jobs):
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", "160")
    bar = sklearn_callback.ProgressBar(max_propagation_depth=None)
    pipeline = make_pipeline(StandardScaler(), PCA(svd_solver="krylov", random_state=0))
    search = GridSearchCV(pipeline, {"pca__n_components": [1, 2]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(bar).fit(data())
    shown = capsys.readouterr().out
    assert "GridSearchCV - fit" in shown
    assert shown.count("PCA - fit") == 2 * 2 + 1
    assert "100%" in shown
    assert " 0%" not in shown


def test_progress_bars_of_reads_and_rows(capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(callbacks, "batch_rows", lambda n_features, dtype: 50)
    pca = PCA(3, svd_solver="krylov", random_state=0)
    pca.set_callbacks(sklearn_callback.ProgressBar()).fit(data())
    shown = capsys.readouterr().out
    assert shown.count("PCA - read") == pca.n_passes_


def test_a_monitor_scores_the_fitted_components():
    scoring = {"likelihood": lambda estimator, X, y: estimator.score(X)}
    monitor = sklearn_callback.ScoringMonitor(scoring=scoring)
    X = data()
    pca = PCA(3).set_callbacks(monitor).fit(X, np.zeros(len(X)))
    (row,) = monitor.get_logs().data
    assert row["task_name"] == "fit"
    assert row["likelihood"] == pca.score(X)


def test_an_older_scikit_learn_has_no_callbacks_and_everything_else(run_python):
    out = run_python(
        """
import sys
import numpy as np
import sklearn.decomposition, sklearn.pipeline, sklearn.preprocessing, sklearn.model_selection
sys.modules["sklearn.callback"] = None
from mmlfast import PCA
from mmlfast.api.callbacks import FitTask
from tests.api.recorders import Propagated, Recorder, assert_nested
from sklearn.base import clone
X = np.arange(40.0).reshape(10, 4) ** 2
pca = clone(PCA(2)).fit(X)
print(hasattr(pca, "set_callbacks"), pca.transform(X).shape)
with FitTask(pca, 1, X=X) as task:
    task.begin("epoch")
    print(task.end({}), task.listening, task.stopped)
pipeline = sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), PCA(2))
search = sklearn.model_selection.GridSearchCV(pipeline, {"pca__n_components": [1]}, cv=2)
print(search.fit(X).n_splits_)
"""
    )
    assert out.split() == ["False", "(10,", "2)", "False", "False", "False", "2"]
