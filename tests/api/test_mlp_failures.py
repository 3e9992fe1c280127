"""What a fit does with what cannot go well: it says so, and leaves a model that can be used."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from mmlfast import MLPRegressor
from mmlfast.api.trainer import Trainer
from tests.api.networks import QUIET, blobs, net, same, weights


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("batch_size", [20, 1000])
@pytest.mark.filterwarnings("ignore:Got `batch_size`")
def test_diverging_keeps_the_weights_of_the_last_finished_epoch(batch_size, early):
    X, y = blobs()
    model = MLPRegressor(
        hidden_layer_sizes=(8,), activation="identity", solver="gd", learning_rate_init=3.0,
        batch_size=batch_size, random_state=0, max_iter=1000, early_stopping=early,
    )  # fmt: skip
    message = r"step \d+, in epoch \d+: .* rate of 3\. .* epoch \d+ are kept"
    with pytest.warns(ConvergenceWarning, match=message) as told:
        model.fit(X * 100, y)
    assert [one.category for one in told].count(ConvergenceWarning) == 1
    assert all(np.isfinite(a).all() for a in weights(model))
    assert np.isfinite(model.predict(X)).all()
    assert len(model.loss_curve_) == model.n_iter_ < 1000
    assert np.isfinite(model.loss_curve_).all()
    if not early:
        again = clone(model).set_params(max_iter=max(model.n_iter_, 1))
        if model.n_iter_:
            with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
                same(again.fit(X * 100, y), model)


@pytest.mark.parametrize("batch_size", [30, 120])
@pytest.mark.parametrize("rate", [1e300, 1e150])
def test_one_wild_step_keeps_the_start(batch_size, rate):
    X, y = blobs()
    model = MLPRegressor(hidden_layer_sizes=(8,), solver="gd", random_state=0, max_iter=50,
                         batch_size=batch_size)  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="weights of epoch 0 are kept"):
        model.set_params(learning_rate_init=rate).fit(X, y)
    assert model.n_iter_ == model.t_ == len(model.loss_curve_) == 0
    assert np.isnan(model.loss_)
    start = clone(model).set_params(learning_rate_init=1e-300, max_iter=1)
    with pytest.warns(ConvergenceWarning, match="Maximum"):
        start.fit(X, y)
    same(model, start)


@pytest.mark.parametrize("batch_size", [30, 120])
def test_the_weights_that_are_kept_have_a_sane_loss(batch_size):
    X, y = blobs()
    wild = MLPRegressor(hidden_layer_sizes=(8,), solver="gd", random_state=0, max_iter=50,
                        batch_size=batch_size,
                        learning_rate=lambda epoch: 1e-3 if epoch < 5 else 1e200)  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="weights of epoch 5 are kept"):
        wild.fit(X, y)
    with pytest.warns(ConvergenceWarning, match="Maximum"):
        same(wild, clone(wild).set_params(max_iter=5).fit(X, y))


@pytest.mark.parametrize("model", [net(), net(batch_size=30), net(solver="lbfgs", max_iter=50)])
def test_an_interrupt_leaves_the_last_finished_epoch(model, monkeypatch):
    X, y = blobs()
    calls = []
    method = "epoch" if model.batch_size == 30 else "epochs"
    original = getattr(Trainer, method)

    def interrupted(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        calls.append(None)
        if len(calls) == 3:
            self.network.parameters[:] = 77
            raise KeyboardInterrupt
        return result

    if model.solver == "lbfgs":
        from mmlfast.api.network import Network

        gradients = Network.gradients

        def stopped(self, *args, **kwargs):
            calls.append(None)
            if len(calls) == 9:
                raise KeyboardInterrupt
            return gradients(self, *args, **kwargs)

        monkeypatch.setattr(Network, "gradients", stopped)
    else:
        monkeypatch.setattr(Trainer, method, interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, y)
    monkeypatch.undo()
    assert model.n_iter_ == len(model.loss_curve_) >= 2
    with pytest.warns(ConvergenceWarning):
        same(clone(model).set_params(max_iter=model.n_iter_).fit(X, y), model)
    assert model.predict(X).shape == y.shape
    assert "_trainer" not in vars(model) or model._trainer._data is None


def test_one_class_is_an_error_that_says_so():
    X, _ = blobs()
    with pytest.raises(ValueError, match="at least two classes; y has only 1 class: 'a'"):
        net().fit(X, ["a"] * 120)


@QUIET
def test_labels_are_kept():
    X, y = blobs()
    names = np.array(["left", "middle", "right"])
    for labels in (names[y], names.astype(object)[y], list(names[y]), y * 10 - 5, y.astype(float)):
        model = net().fit(X, labels)
        same(model, net().fit(X, y))
        np.testing.assert_array_equal(model.predict(X), np.asarray(labels)[  # the same classes
            [list(y).index(k) for k in net().fit(X, y).predict(X)]])  # fmt: skip
    booleans = net().fit(X, y > 0)
    assert booleans.predict(X).dtype == bool


def test_a_batch_larger_than_the_data_is_clipped_with_a_warning():
    X, y = blobs()
    model = net(batch_size=500, tol=1.0, n_iter_no_change=2)
    with pytest.warns(UserWarning, match="Got `batch_size` 500 larger than sample size 120"):
        model.fit(X, y)
    np.testing.assert_array_equal(
        model.coefs_[0], net(batch_size=120, tol=1.0, n_iter_no_change=2).fit(X, y).coefs_[0]
    )


BAD = [
    ({"hidden_layer_sizes": (0,)}, r"hidden_layer_sizes must be > 0"),
    ({"hidden_layer_sizes": (5, -1)}, r"hidden_layer_sizes must be > 0"),
    ({"hidden_layer_sizes": 3.0}, r"hidden_layer_sizes must be > 0.*got 3.0"),
    ({"hidden_layer_sizes": None}, r"hidden_layer_sizes must be > 0"),
    ({"hidden_layer_sizes": (2.5,)}, r"hidden_layer_sizes must be > 0"),
    ({"learning_rate_init": 0.0}, r"learning_rate_init must be a finite number above 0; got 0.0"),
    ({"learning_rate_init": -1}, r"learning_rate_init must be"),
    ({"learning_rate_init": np.nan}, r"learning_rate_init must be"),
    ({"activation": "swish"}, r"activation must be among .*; got 'swish'"),
    ({"activation": None}, r"activation must be among .*; got None"),
    ({"activation": ["relu", "tanh"]}, r"activation must be one for all or one for each of the 1"),
    ({"solver": "newton"}, r"solver must be one of .*; got 'newton'"),
    ({"alpha": -1.0}, r"alpha must be"),
    ({"batch_size": 0}, r"batch_size must be"),
    ({"batch_size": "all"}, r"batch_size must be"),
    ({"learning_rate": "linear"}, r"learning_rate must be"),
    ({"learning_rate": lambda epoch: "fast"}, r"must return a positive number; got 'fast'"),
    ({"learning_rate": lambda epoch: -0.1}, r"must return a positive number; got -0.1"),
    ({"max_iter": 0}, r"max_iter must be"),
    ({"tol": -1e-3}, r"tol must be"),
    ({"momentum": 1.5}, r"momentum must be"),
    ({"beta_1": 1.0}, r"beta_1 must be"),
    ({"epsilon": 0.0}, r"epsilon must be"),
    ({"validation_fraction": 1.0}, r"validation_fraction must be"),
    (
        {"validation_fraction": 0.0, "early_stopping": True},
        r"cannot set validation_fraction=0.0 of 120 samples aside",
    ),
    (
        {"validation_fraction": 0.999, "early_stopping": True},
        r"cannot set validation_fraction=0.999 of 120 samples aside",
    ),
    ({"n_iter_no_change": 0}, r"n_iter_no_change must be"),
    ({"dropout": 1.0}, r"dropout must be"),
    ({"dropout": None}, r"dropout must be .*; got None"),
    ({"dropout": [0.1, 0.1]}, r"dropout must be one for all"),
    ({"weight_decay": -1.0}, r"weight_decay must be"),
    ({"class_weight": {0: -1.0, 1: 1.0, 2: 1.0}}, r"class_weight must give .* at least 0; got"),
    ({"class_weight": {0: np.nan, 1: 1.0, 2: 1.0}}, r"class_weight must give finite weights"),
    ({"class_weight": {0: 0, 1: 0, 2: 0}}, r"leaves no sample of y a weight above 0"),
    ({"shuffle": "yes"}, r"shuffle must be True or False"),
]


@pytest.mark.parametrize(("settings", "message"), BAD)
def test_settings_that_no_data_could_satisfy(settings, message):
    with pytest.raises(ValueError, match=message):
        net().set_params(**settings).fit(*blobs())


def test_bad_data():
    X, y = blobs()
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        net().fit(bad, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        net().fit(X, y[:-1])
    with pytest.raises(ValueError, match="Unknown label type"):
        net().fit(X, y + 0.5)
    with pytest.raises(ValueError, match="NaN"):
        MLPRegressor().fit(X, np.where(y == 0, np.nan, y))
    with pytest.raises(ValueError, match="sample_weight must be finite and not negative"):
        net().fit(X, y, sample_weight=-np.ones(120))
    with pytest.raises(ValueError, match="needs y of at least 0"):
        MLPRegressor(loss="poisson").fit(X, y - 1)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        net(max_iter=1, tol=1e9, n_iter_no_change=1).partial_fit(X, y[:, None], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="validation set is too small"):
        net(early_stopping=True).fit(X[:9], y[:9])


@pytest.mark.parametrize("weight", [1e300, 1e-300])
def test_what_float32_has_no_room_for(weight):
    X, y = blobs()
    small = X.astype(np.float32)
    with pytest.raises(ValueError, match="sample_weight must fit in float32"):
        net().fit(small, y, sample_weight=np.full(120, weight))
    if weight > 1:
        with pytest.raises(ValueError, match=r"y must fit in float32.*number is 2e\+300"):
            MLPRegressor().fit(small, y * weight)


@QUIET
def test_a_class_of_weight_0_may_come_alone_to_partial_fit():
    X, y = blobs()
    model = net(class_weight={0: 0, 1: 1, 2: 1}).partial_fit(X, y, classes=[0, 1, 2])
    model.partial_fit(X[y == 0], y[y == 0])
    assert np.isfinite(model.loss_)
    assert all(np.isfinite(a).all() for a in weights(model))


@QUIET
@pytest.mark.parametrize(
    ("classes", "settings", "eval_set", "message"),
    [
        (1, {}, None, "only 1 class"),
        (2, {"class_weight": {0: -1, 1: 1}}, None, "class_weight must"),
        (2, {}, ([[0.0]], [7]), "has classes not in"),
        (2, {"early_stopping": True, "validation_fraction": 0.0}, None, "cannot set"),
    ],
)
def test_a_fit_that_is_refused_leaves_the_model_as_it_was(classes, settings, eval_set, message):
    X, y = blobs()
    model = net(max_iter=2).fit(X, y)
    before, known = model.predict_proba(X), dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.set_params(**settings).fit(X[:, :1], y % classes, eval_set=eval_set)
    assert vars(model).keys() == known.keys()
    assert model.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(model.predict_proba(X), before)


@QUIET
def test_questions_about_a_network_that_cannot_be_meant():
    X, y = blobs()
    model = net(max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="max_weights must be an integer, at least 1; got 0"):
        model.gradient_check(X, y, max_weights=0)
    with pytest.raises(ValueError, match="tol must be"):
        model.gradient_check(X, y, tol=-1.0)
    # As long as classes_, and equal to it in one place.
    with pytest.raises(ValueError, match="output must be one of the classes"):
        model.input_gradient(X, output=np.array([0, 7, 7]))


@QUIET
def test_y_must_keep_its_shape():
    X, y = blobs()
    model = MLPRegressor(max_iter=2, warm_start=True).fit(X, np.column_stack([y, y]))
    with pytest.raises(ValueError, match="y must have 2 columns"):
        model.fit(X, y)
    labels = net(warm_start=True).fit(X, np.eye(3, dtype=int)[y])
    with pytest.raises(ValueError, match="y must be multilabel-indicator"):
        labels.fit(X, y)
    with pytest.raises(ValueError, match="0 and 1 for each of 3 labels"):
        labels.fit(X, np.eye(4, dtype=int)[y])
    with pytest.raises(ValueError, match=r"must hold 0 and 1; got 0 … 2"):
        labels.gradients(X, 2 * np.eye(3, dtype=int)[y])
    with pytest.raises(ValueError, match="y must be multiclass"):
        net(max_iter=1).fit(X, y).gradients(X, np.eye(3, dtype=int)[y])
