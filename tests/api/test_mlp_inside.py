"""Looking inside: layers, gradients by weight and by input, their check, files, scikit-learn."""

from __future__ import annotations

import inspect
import json
import pickle

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.exceptions import NotFittedError

from mmlfast import PCA, GDClassifier, GDRegressor, MLPClassifier, MLPRegressor
from mmlfast.api.network import ACTIVATIONS
from tests import reference_network

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

POISSON = "loss" in inspect.signature(sklearn.neural_network.MLPRegressor).parameters


def samples(n=30, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), np.arange(n) % 3


def fitted(kind="multiclass", activation="tanh", **settings):
    X, y = samples()
    settings = {"max_iter": 3, "random_state": 0, "alpha": 0.3, **settings}
    if kind in ("regression", "targets", "poisson"):
        y = {"regression": y * 1.5, "targets": np.column_stack([y, X[:, 0]]), "poisson": y}[kind]
        loss = "poisson" if kind == "poisson" else "squared_error"
        return X, y, MLPRegressor(loss, (4, 6), activation, **settings).fit(X, y)
    labels = {"multiclass": y, "binary": np.array(["no", "yes"])[y % 2]}
    y = labels.get(kind, np.eye(3, dtype=int)[y])
    return X, y, MLPClassifier((4, 6), activation, **settings).fit(X, y)


KINDS = ["multiclass", "binary", "multilabel", "regression", "targets", "poisson"]


def naive(model):
    """The same network, as the specification has it."""
    mine = model._network
    other = reference_network.Network(mine.sizes, mine.activations, mine.head, mine.dtype)
    for theirs, ours in ((other.coefs, mine.coefs), (other.intercepts, mine.intercepts)):
        for W, V in zip(theirs, ours, strict=True):
            W[...] = V
    return other


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_layers_and_gradients_are_the_specifications(kind, activation):
    X, y, model = fitted(kind, activation)
    other = naive(model)
    seen = model.forward(X, return_all=True)
    expected = other.forward(X)
    np.testing.assert_array_equal(seen.activations[0], X)
    for mine, theirs in zip(seen.pre_activations + seen.activations[1:],
                            expected[0::2] + expected[1::2], strict=True):  # fmt: skip
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(model.forward(X), expected[-1], rtol=1e-12)

    Y = model._encode(y, np.dtype(float))
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    for w in (None, weight):
        found, wanted = model.gradients(X, y, w), other.gradients(X, Y, w, alpha=0.3)
        assert found.loss == pytest.approx(wanted.loss, rel=1e-12)
        for mine, theirs in zip([*found.coefs, *found.intercepts, found.inputs],
                                [*wanted.coefs, *wanted.intercepts, wanted.inputs],
                                strict=True):  # fmt: skip
            np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_check_holds(kind, activation):
    X, y, model = fitted(kind, activation)
    report = model.gradient_check(X, y)
    assert report.ok, report
    assert report.n_checked == report.n_parameters == sum(
        a.size for a in [*model.coefs_, *model.intercepts_]
    )
    before = [np.array(W) for W in model.coefs_]
    assert model.gradient_check(X, y, max_weights=7).n_checked == 7
    np.testing.assert_array_equal(before[0], model.coefs_[0])


def test_the_gradient_check_finds_a_wrong_entry(monkeypatch):
    from mmlfast.api.network import Network

    X, y, model = fitted()
    original = Network.gradients

    def wrong(self, *args, **kwargs):
        found = original(self, *args, **kwargs)
        found.intercepts[1][2] += 1e-4
        return found

    monkeypatch.setattr(Network, "gradients", wrong)
    report = model.gradient_check(X, y)
    assert not report.ok
    assert report.worst == "intercepts_[1][2]"
    assert report.analytic - report.numeric == pytest.approx(1e-4, rel=1e-3)


def test_float32_is_checked_in_float64():
    X, y = samples()
    model = MLPClassifier((4,), random_state=0, max_iter=3).fit(X.astype(np.float32), y)
    assert model.gradient_check(X.astype(np.float32), y).ok


def difference(f, X, h=1e-6):
    """∂f_i/∂x_ij of a function with a value for each row."""
    columns = []
    for j in range(X.shape[1]):
        step = np.zeros(X.shape[1])
        step[j] = h
        columns.append((f(X + step) - f(X - step)) / (2 * h))
    return np.column_stack(columns)


@pytest.mark.parametrize("kind", KINDS)
def test_input_gradients_are_differences(kind):
    X, y, model = fitted(kind, alpha=5.0)
    Y = model._encode(y, np.dtype(float))

    def losses(X):
        return reference_network.HEADS[model._network.head][1](Y, model.forward(X))

    def score(k):
        return lambda X: model.forward(X, return_all=True).pre_activations[-1][:, k]

    def close(actual, expected):
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-8)

    close(model.input_gradient(X, y), difference(losses, X))
    if kind == "binary":
        close(model.input_gradient(X, output="yes"), difference(score(0), X))
        close(model.input_gradient(X, output="no"), -difference(score(0), X))
        sign = np.where(model.predict(X) == "yes", 1, -1)[:, None]
        close(model.input_gradient(X), sign * difference(score(0), X))
    elif kind in ("multiclass", "multilabel"):
        close(model.input_gradient(X, output=2), difference(score(2), X))
        each = np.stack([difference(score(k), X) for k in range(3)])
        chosen = model.forward(X).argmax(axis=1)
        close(model.input_gradient(X), each[chosen, np.arange(len(X))])
    elif kind == "targets":
        close(model.input_gradient(X, output=1), difference(score(1), X))
        with pytest.raises(ValueError, match="several targets"):
            model.input_gradient(X)
        with pytest.raises(ValueError, match=r"one of 0 … 1; got 2"):
            model.input_gradient(X, output=2)
    else:
        close(model.input_gradient(X), difference(score(0), X))
    with pytest.raises(ValueError, match="output must be"):
        model.input_gradient(X, output="maybe")


def test_writing_to_the_weights_changes_the_model():
    X, _, model = fitted("regression")
    model.coefs_[-1][:] = 0
    model.intercepts_[-1] = np.array([2.5])
    np.testing.assert_array_equal(model.predict(X), np.full(len(X), 2.5))
    model.coefs_ = [np.zeros_like(W) for W in model.coefs_]
    model.intercepts_ = [np.ones_like(b) for b in model.intercepts_]
    np.testing.assert_array_equal(model.predict(X), np.ones(len(X)))
    for wrong in ([np.zeros((2, 2))], [np.zeros((2, 2))] * 3):
        with pytest.raises(ValueError, match="must have shapes"):
            model.coefs_ = wrong
    with pytest.raises(ValueError, match="must have shapes"):
        model.coefs_[0] = np.zeros(3)


def test_before_fit():
    X, y = samples()
    for model in (MLPClassifier(), MLPRegressor(), GDClassifier(), GDRegressor()):
        for call in (model.forward, model.predict, model.input_gradient,
                     lambda X, model=model: model.gradients(X, y),
                     lambda X, model=model: model.gradient_check(X, y)):  # fmt: skip
            with pytest.raises(NotFittedError):
                call(X)
        for name in ("coefs_", "intercepts_", "history_", "coef_", "loss_"):
            assert not hasattr(model, name)
        with pytest.raises(AttributeError, match="no attribute 'coefs_'"):
            model.coefs_ = []


# scikit-learn's own estimator.


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", KINDS)
def test_to_sklearn_predicts_the_same(kind, activation):
    if kind == "poisson" and not POISSON:
        pytest.skip("this scikit-learn has no Poisson loss")
    X, y, model = fitted(kind, activation, solver="nesterov", learning_rate="cosine")
    theirs = model.to_sklearn()
    assert type(theirs).__module__.startswith("sklearn.")
    if kind in ("multiclass", "binary", "multilabel"):
        np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    else:
        np.testing.assert_allclose(theirs.predict(X), model.predict(X), rtol=1e-10)
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), rtol=1e-10)
    assert theirs.get_params()["solver"] == "sgd"
    assert (theirs.n_iter_, theirs.t_, theirs.loss_) == (model.n_iter_, model.t_, model.loss_)
    theirs.partial_fit(X, y)
    assert len(model.loss_curve_) == 3  # a copy was trained


def test_to_sklearn_with_words_for_labels_and_names_for_columns():
    pandas = pytest.importorskip("pandas")
    X, y = samples()
    frame = pandas.DataFrame(X, columns=list("abcde"))
    model = MLPClassifier((4,), random_state=0, max_iter=3).fit(frame, np.array(["x", "y", "z"])[y])
    theirs = model.to_sklearn()
    assert list(theirs.predict(frame)) == list(model.predict(frame))
    assert list(theirs.feature_names_in_) == list("abcde")


@pytest.mark.parametrize("activation", [["relu", "tanh"], "softplus"])
def test_to_sklearn_says_what_it_cannot(activation):
    _, _, model = fitted(activation=activation)
    with pytest.raises(ValueError, match="one activation for all hidden layers"):
        model.to_sklearn()
    with pytest.raises(NotFittedError):
        MLPClassifier().to_sklearn()


# Files.


def same(a, b):
    for mine, other in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        np.testing.assert_array_equal(mine, other, strict=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["file", "pickle"])
def test_save_and_load(tmp_path, kind, way):
    X, y, model = fitted(kind, ["relu", "tanh"], dropout=(0.1, 0.2), solver="rmsprop",
                         learning_rate="cosine", max_iter=20)  # fmt: skip
    if way == "file":
        model.save(tmp_path / "net.npz")
        loaded = type(model).load(tmp_path / "net.npz")
        expected = model.get_params() | {"random_state": None, "activation": ("relu", "tanh")}
        assert loaded.get_params() == expected
    else:
        loaded = pickle.loads(pickle.dumps(model))
    same(loaded, model)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X), strict=True)
    for name in ("n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "n_features_in_",
                 "out_activation_", "n_layers_", "n_outputs_"):  # fmt: skip
        assert getattr(loaded, name) == getattr(model, name)
    for name, column in model.history_.items():
        np.testing.assert_array_equal(loaded.history_[name], column)
    # The optimiser goes on where it stood.
    for one in (model, loaded):
        one.set_params(random_state=1).partial_fit(X, y)
    same(loaded, model)


def test_labels_weights_and_names_survive_a_file(tmp_path):
    pandas = pytest.importorskip("pandas")
    X, y = samples()
    frame = pandas.DataFrame(X, columns=list("abcde"))
    for labels in (np.array(["x", "y", "z"], dtype=object)[y], np.array(["x", "y", "z"])[y], y - 1):
        classes = np.unique(labels)
        weight = {label: 1.0 + k for k, label in enumerate(classes.tolist())}
        model = MLPClassifier((4,), max_iter=3, class_weight=weight).fit(frame, labels)
        model.save(tmp_path / "net.npz")
        loaded = MLPClassifier.load(tmp_path / "net.npz")
        np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame), strict=True)
        assert loaded.class_weight == weight
        assert list(loaded.feature_names_in_) == list("abcde")


def test_early_stopping_and_lbfgs_survive_a_file(tmp_path):
    for settings in ({"early_stopping": True}, {"solver": "lbfgs"}):
        X, _, model = fitted(**settings)
        model.save(tmp_path / "net.npz")
        loaded = MLPClassifier.load(tmp_path / "net.npz")
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
        assert loaded.best_validation_score_ == model.best_validation_score_


def test_what_is_no_file_of_this_kind(tmp_path):
    X, _, model = fitted()
    model.save(tmp_path / "net.npz")
    with pytest.raises(ValueError, match=r"is not a mmlfast\.MLPRegressor file"):
        MLPRegressor.load(tmp_path / "net.npz")
    PCA(2).fit(X).save(tmp_path / "pca.npz")
    with pytest.raises(ValueError, match=r"is not a mmlfast\.MLPClassifier file"):
        MLPClassifier.load(tmp_path / "pca.npz")
    whole = (tmp_path / "net.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is not a"):
        MLPClassifier.load(tmp_path / "cut.npz")
    with np.load(tmp_path / "net.npz") as file:
        stored = {name: file[name] for name in file.files}
    facts = json.loads(str(stored["facts"]))
    facts["sizes"][1] = 5
    np.savez(tmp_path / "bad.npz", **{**stored, "facts": json.dumps(facts)})
    with pytest.raises(ValueError, match=r"is a damaged mmlfast\.MLPClassifier file"):
        MLPClassifier.load(tmp_path / "bad.npz")
    model.set_params(learning_rate=lambda epoch: 0.1)
    with pytest.raises(ValueError, match="learning_rate is a function"):
        model.save(tmp_path / "new.npz")
    assert not (tmp_path / "new.npz").exists()
    with pytest.raises(NotFittedError):
        MLPClassifier().save(tmp_path / "new.npz")
