"""Networks learn and predict the same from memory, files, frames, sparse matrices and iterators."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from mmlfast import GDClassifier, GDRegressor, MLPClassifier, MLPRegressor
from mmlfast.runtime import sources

N, D = 180, 6
NAMES = list("abcdef")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = {
    "MLPClassifier": MLPClassifier(hidden_layer_sizes=(7,)),
    "MLPRegressor": MLPRegressor(hidden_layer_sizes=(7,)),
    "GDClassifier": GDClassifier(),
    "GDRegressor": GDRegressor(),
}
SETTINGS = {"batch_size": 16, "max_iter": 4, "random_state": 0, "shuffle": False}
each = pytest.mark.parametrize("name", ESTIMATORS)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of 40 rows, so that a file of 180 is large."""
    monkeypatch.setattr(sources, "BATCH_BYTES", 40 * D * 8)


def made(name, **settings):
    return clone(ESTIMATORS[name]).set_params(**{**SETTINGS, **settings})


def samples(name, seed=0):
    rng = np.random.default_rng(seed)
    X = np.round(rng.standard_normal((N, D)), 3) * (rng.random((N, D)) < 0.6)
    z = X @ rng.standard_normal(D)
    y = np.array(["low", "mid", "top"])[np.digitize(z, [-1, 1])]
    return X, y if name.endswith("Classifier") else z


def frame(X, y):
    table = pytest.importorskip("pandas").DataFrame(X, columns=NAMES)
    table.insert(3, "target", y)
    return table


def as_npy(X, y, path):
    np.save(path / "X.npy", X)
    return path / "X.npy", y


def as_parquet(X, y, path):
    pytest.importorskip("pyarrow")
    frame(X, y).to_parquet(path / "t.parquet", row_group_size=70)
    return path / "t.parquet", "target"


def as_csv(X, y, path):
    pytest.importorskip("pyarrow")
    frame(X, y).to_csv(path / "t.csv", index=False)
    return str(path / "t.csv"), "target"


def as_callable(X, y, path):
    return (lambda: np.array_split(X, 7)), y


def as_frame(X, y, path):
    return frame(X, y), "target"


def as_csr(X, y, path):
    return sp.csr_array(X), y


def as_csc(X, y, path):
    return sp.csc_matrix(X), y


STREAMS = [as_npy, as_parquet, as_csv, as_callable]


def features(X):
    """What to predict from: a table without its target."""
    if not isinstance(X, np.ndarray) and hasattr(X, "drop"):
        return X.drop(columns="target")
    return X


def parameters(model):
    return model._network.parameters


@each
@pytest.mark.parametrize("make", [*STREAMS, as_frame, as_csr, as_csc])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_rows_give_the_same_bits(tmp_path, name, make, weighted):
    X, y = samples(name)
    w = np.linspace(0.5, 2, N) if weighted else None
    whole = made(name).fit(X, y, w)
    other = made(name).fit(*make(X, y, tmp_path), sample_weight=w)
    assert np.array_equal(parameters(other), parameters(whole))
    np.testing.assert_allclose(other.loss_curve_, whole.loss_curve_, rtol=1e-9)
    assert other.n_features_in_ == D
    assert other.n_iter_ == whole.n_iter_


@each
@pytest.mark.parametrize("make", [as_npy, as_callable, as_csr, as_csc])
def test_predictions_are_those_of_memory(tmp_path, name, make):
    X, y = samples(name)
    model = made(name, max_iter=20).fit(X, y)
    source, _ = make(X, y, tmp_path)
    for method in ("predict", "predict_proba", "decision_function", "forward"):
        if hasattr(model, method):
            expected = getattr(model, method)(X)
            found = getattr(model, method)(source)
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
            else:
                assert np.array_equal(found, expected)
    parts = list(model.iter_predict(source))
    assert len(parts) == (1 if sp.issparse(source) else 5)
    assert np.array_equal(np.concatenate(parts), model.predict(source))
    assert model.score(source, y) == pytest.approx(model.score(X, y))


@each
def test_a_file_with_names_is_held_to_them(tmp_path, name):
    X, y = samples(name)
    source, target = as_parquet(X, y, tmp_path)
    model = made(name).fit(source, target)
    assert list(model.feature_names_in_) == NAMES
    table = frame(X, y)
    assert np.array_equal(model.predict(table[NAMES]), made(name).fit(X, y).predict(X))
    table[NAMES[::-1]].to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(tmp_path / "other.parquet")


@each
def test_partial_fit_takes_what_can_be_read_once(name):
    X, y = samples(name)
    classes = {"classes": np.unique(y)} if name.endswith("Classifier") else {}
    whole, streamed = made(name), made(name)
    for _ in range(3):
        whole.partial_fit(X, y, **classes)
        streamed.partial_fit(iter(np.array_split(X, 5)), y, **classes)
    assert np.array_equal(parameters(streamed), parameters(whole))
    with pytest.raises(ValueError, match=r"can be read only once, .* or call partial_fit"):
        streamed.fit(iter([X]), y)


@each
def test_shuffling_a_stream_depends_on_the_seed_alone(tmp_path, name):
    X, y = samples(name)
    source, _ = as_npy(X, y, tmp_path)
    one, again, other = (
        made(name, shuffle=True, random_state=seed).fit(stream, y)
        for seed, stream in ((0, source), (0, lambda: np.array_split(X, 3)), (1, source))
    )
    assert np.array_equal(parameters(one), parameters(again))
    assert not np.array_equal(parameters(one), parameters(other))
    assert not np.array_equal(parameters(one), parameters(made(name).fit(X, y)))


@each
def test_a_batch_larger_than_the_data_is_all_of_it(tmp_path, name):
    X, y = samples(name)
    source, _ = as_npy(X, y, tmp_path)
    models = []
    for data in (X, source):
        with pytest.warns(UserWarning, match="larger than sample size"):
            models.append(made(name, batch_size=1000).fit(data, y))
    assert np.array_equal(parameters(models[0]), parameters(models[1]))


@each
def test_early_stopping_of_a_stream_needs_a_validation_set(tmp_path, name):
    X, y = samples(name)
    source, _ = as_npy(X, y, tmp_path)
    with pytest.raises(ValueError, match=r"early_stopping sets samples aside.* eval_set="):
        made(name, early_stopping=True).fit(source, y)
    stopping = made(name, early_stopping=True, max_iter=10)
    whole = clone(stopping).fit(X, y, eval_set=(X[:50], y[:50]))
    streamed = clone(stopping).fit(source, y, eval_set=(sp.csr_array(X[:50]), y[:50]))
    assert np.array_equal(parameters(streamed), parameters(whole))
    assert streamed.validation_scores_ == whole.validation_scores_


def test_lbfgs_needs_all_samples_at_once(tmp_path):
    X, y = samples("MLPClassifier")
    with pytest.raises(ValueError, match=r"solver=.lbfgs. needs all samples .* such as .adam."):
        MLPClassifier(solver="lbfgs").fit(*as_npy(X, y, tmp_path))


@each
def test_a_stream_that_breaks_off_leaves_the_last_finished_epoch(name):
    X, y = samples(name)
    passes = []

    def batches():
        passes.append(1)
        for part in np.array_split(X, 6):
            yield part
            if len(passes) == 3:
                raise OSError("the disk is gone")

    good, broken = made(name, max_iter=2).fit(X, y), made(name)
    with pytest.raises(OSError, match="the disk is gone"):
        broken.fit(batches, y)
    assert np.array_equal(parameters(broken), parameters(good))


@each
@pytest.mark.parametrize("make", [as_npy, as_callable, as_csr])
def test_bad_numbers_are_named(tmp_path, name, make):
    X, y = samples(name)
    X[77, 2] = np.nan
    with pytest.raises(ValueError, match=r"contains NaN: the first stands in row 77, column 2"):
        made(name).fit(*make(X, y, tmp_path))


@each
def test_another_number_of_targets_is_refused(name):
    X, y = samples(name)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        made(name).fit(lambda: [X], y[:-1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        made(name).fit(lambda: [X[:-1]], y)
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        made(name).fit(lambda: [X], None)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32"])
def test_numbers_are_read_as_they_are_stored(tmp_path, dtype):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 9, (N, D)).astype(dtype), rng.integers(0, 3, N)
    source, _ = as_npy(X, y, tmp_path)
    wide = X if dtype == "float32" else X.astype(np.float64)
    whole, streamed = made("MLPClassifier").fit(wide, y), made("MLPClassifier").fit(source, y)
    assert np.array_equal(parameters(streamed), parameters(whole))
