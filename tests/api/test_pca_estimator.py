"""PCA is an estimator among scikit-learn's: cloned, copied, searched over, framed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import sklearn.decomposition
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmlfast import PCA
from tests.api.models import SOLVERS, close, pca, same_model, spread


def test_random_state_decides_the_bits():
    X = np.random.default_rng(0).standard_normal((400, 60))

    def fitted(seed):
        return PCA(5, svd_solver="randomized", random_state=seed, iterated_power=2).fit(X)

    same_model(fitted(3), fitted(3))
    same_model(fitted(3), fitted(np.random.RandomState(3)))
    assert not np.array_equal(fitted(3).components_, fitted(4).components_)


@pytest.mark.parametrize("solver", SOLVERS)
def test_thread_count_changes_no_bit(solver):
    X = spread(5000, 40, "float32")
    models = [pca(solver, 4, n_jobs=n).set_params(tol=1e-3) for n in (1, 2, 3)]
    data = X[:300] if solver == "dual" else X
    for model in models:
        same_model(model.fit(data), models[0])
        np.testing.assert_array_equal(model.transform(X), models[0].transform(X), strict=True)


def test_settings_are_not_touched_by_fit():
    model = PCA(0.9, svd_solver="auto", random_state=0)
    before = model.get_params()
    model.fit(spread(100, 10))
    assert model.get_params() == before


def test_clone_pickle_and_copies():
    X = spread(300, 10)
    model = PCA(3, whiten=True).fit(X)
    assert not hasattr(clone(model), "components_")
    assert clone(model).get_params() == model.get_params()
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        same_model(other, model)
        np.testing.assert_array_equal(other.transform(X), model.transform(X))


def test_in_a_pipeline_and_a_grid_search():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    steps = make_pipeline(StandardScaler(), PCA(5, whiten=True), GaussianNB())
    search = GridSearchCV(steps, {"pca__n_components": [2, 8]}, cv=2).fit(X, y)
    theirs = make_pipeline(
        StandardScaler(), sklearn.decomposition.PCA(8, whiten=True), GaussianNB()
    )
    assert search.best_params_ == {"pca__n_components": 8}
    assert search.best_estimator_.score(X, y) == pytest.approx(
        theirs.fit(X, y).score(X, y), abs=0.01
    )
    ours = GridSearchCV(PCA(), {"n_components": [1, 3, 5]}, cv=3).fit(X[:, 20:30])
    them = GridSearchCV(sklearn.decomposition.PCA(), {"n_components": [1, 3, 5]}, cv=3)
    them.fit(X[:, 20:30])
    assert ours.best_params_ == them.best_params_
    close(ours.cv_results_["mean_test_score"], them.cv_results_["mean_test_score"], 1e-9)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_in_and_frames_out(kind):
    library = pytest.importorskip(kind)
    X = spread(50, 3)
    frame = library.DataFrame(dict(zip(["a", "b", "c"], X.T, strict=True)))
    model = PCA(2).set_output(transform=kind)
    scores = model.fit_transform(frame)
    assert isinstance(scores, library.DataFrame)
    assert list(scores.columns) == ["pca0", "pca1"] == list(model.get_feature_names_out())
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    np.testing.assert_array_equal(scores.to_numpy(), PCA(2).fit(X).transform(X))
    with pytest.raises(ValueError, match="feature names"):
        model.transform(library.DataFrame(dict(zip(["a", "b", "z"], X.T, strict=True))))


def test_names_are_forgotten_by_the_next_fit():
    pandas = pytest.importorskip("pandas")
    X = spread(50, 3)
    model = PCA(2).fit(pandas.DataFrame(X, columns=["a", "b", "c"]))
    assert not hasattr(model.fit(X), "feature_names_in_")


def test_progress_is_told_in_order_and_silent_by_default(capsys):
    told = []
    PCA(2, progress=lambda *what: told.append(what)).fit(spread(5000, 30))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][:2] == (5000, 5000)
    PCA(2).fit(spread(5000, 30))
    assert capsys.readouterr() == ("", "")
