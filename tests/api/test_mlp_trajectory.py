"""Training takes the steps of scikit-learn and of torch: the same start, batches and weights."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.datasets import make_classification, make_multilabel_classification

from mmlfast import MLPClassifier, MLPRegressor
from mmlfast.api.network import ACTIVATIONS

# 100 steps: 10 epochs of 10 batches, the last one short.
N, BATCH, EPOCHS = 96, 10, 10
WEIGHTED = "sample_weight" in inspect.signature(sklearn.neural_network.MLPClassifier.fit).parameters

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def problem(kind):
    if kind == "multilabel":
        X, y = make_multilabel_classification(N, 7, n_classes=4, random_state=0)
        # Scaled, for scikit-learn clips the probabilities that its loss is made of.
        return X / X.max(), y
    if kind in ("binary", "multiclass"):
        n_classes = 2 if kind == "binary" else 4
        return make_classification(N, 7, n_informative=5, n_classes=n_classes, random_state=0)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 7))
    y = np.sin(X @ rng.standard_normal((7, 3)))
    return X, {"regression": y[:, 0], "targets": y, "poisson": rng.poisson(np.exp(y[:, 0]))}[kind]


SOLVERS = {
    "sgd": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.01},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.01},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
}


def both(kind, **settings):
    X, y = problem(kind)
    classify = kind in ("binary", "multiclass", "multilabel")
    settings = {
        "hidden_layer_sizes": (9, 5), "max_iter": EPOCHS, "batch_size": BATCH, "random_state": 3,
        "alpha": 0.1, **settings,
    }  # fmt: skip
    name = "MLPClassifier" if classify else "MLPRegressor"
    ours = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[name](**settings)
    return X, y, ours, getattr(sklearn.neural_network, name)(**settings)


def same_weights(ours, theirs, rtol=1e-6):
    for mine, other in zip(
        [*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True
    ):
        assert mine.shape == other.shape
        np.testing.assert_allclose(mine, other, rtol=rtol, atol=rtol * np.abs(other).max())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "targets"])
def test_weights_after_100_steps_are_scikit_learns(kind, activation, solver):
    X, y, ours, theirs = both(kind, activation=activation, **SOLVERS[solver])
    weight = {}
    if WEIGHTED and activation in ("tanh", "relu"):
        weight["sample_weight"] = np.random.default_rng(1).uniform(0.1, 2, N)
    ours.fit(X, y, **weight)
    theirs.fit(X, y, **weight)
    same_weights(ours, theirs)
    assert (ours.n_iter_, ours.t_, ours.n_layers_) == (theirs.n_iter_, theirs.t_, theirs.n_layers_)
    assert (ours.n_outputs_, ours.out_activation_) == (theirs.n_outputs_, theirs.out_activation_)
    if kind != "targets":
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
        assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-9)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6, atol=1e-9)
    if hasattr(theirs, "predict_proba"):
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)
        np.testing.assert_allclose(
            ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-6, atol=1e-9
        )


def test_the_loss_of_several_targets_is_the_sum_whose_gradient_is_followed():
    X, y, ours, theirs = both("targets", alpha=0.0)
    ours.fit(X, y)
    theirs.fit(X, y)
    np.testing.assert_allclose(ours.loss_curve_, np.multiply(theirs.loss_curve_, 3), rtol=1e-9)


@pytest.mark.skipif(not WEIGHTED, reason="this scikit-learn has neither weights nor poisson")
def test_poisson_regression():
    X, y, ours, theirs = both("poisson", loss="poisson", learning_rate_init=0.01)
    ours.fit(X, y)
    theirs.fit(X, y)
    same_weights(ours, theirs)
    assert ours.out_activation_ == theirs.out_activation_ == "exp"
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_lbfgs(kind):
    X, y, ours, theirs = both(kind, solver="lbfgs", max_iter=15, activation="tanh")
    ours.fit(X, y)
    theirs.fit(X, y)
    same_weights(ours, theirs, 1e-5)
    assert ours.n_iter_ == theirs.n_iter_ == len(ours.loss_curve_)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        {"early_stopping": True, "max_iter": 300, "n_iter_no_change": 3},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2, "n_iter_no_change": 2,
         "max_iter": 300, "learning_rate_init": 0.05},
        {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.5},
        {"learning_rate": "invscaling"},
        {"shuffle": False},
        {"shuffle": False, "solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2,
         "n_iter_no_change": 2, "max_iter": 300, "learning_rate_init": 0.05},
        {"batch_size": N, "max_iter": 200, "tol": 1e-3},
        {"batch_size": "auto", "tol": 0.0, "n_iter_no_change": np.inf},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": 6},
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_stopping_and_schedules_are_scikit_learns(kind, settings):
    settings = {"learning_rate_init": 0.02, "activation": "tanh", **settings}
    X, y, ours, theirs = both(kind, **settings)
    ours.fit(X, y)
    theirs.fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_
    same_weights(ours, theirs, 1e-5)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
    if settings.get("early_stopping"):
        np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-6)
        assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)
        assert ours.best_loss_ is theirs.best_loss_ is None
    else:
        assert ours.validation_scores_ is ours.best_validation_score_ is None


@pytest.mark.parametrize("random_state", [0, np.random.RandomState(0)])
def test_partial_fit_and_warm_start_go_on_as_scikit_learns_do(random_state):
    X, y, ours, theirs = both("multiclass", warm_start=True, max_iter=3)
    for model in (ours, theirs):
        model.set_params(random_state=np.random.RandomState(0) if random_state else 0)
        for lo in (0, 30, 60):
            model.partial_fit(X[lo : lo + 30], y[lo : lo + 30], classes=np.arange(4))
        model.fit(X, y).fit(X, y)
    same_weights(ours, theirs)
    assert ours.t_ == theirs.t_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)


def test_sparse_and_small_dtypes_give_the_weights_of_the_dense():
    from scipy.sparse import csc_array, csr_matrix

    X, y, ours, theirs = both("multiclass")
    X = np.round(X * 3)
    theirs.fit(X, y)
    for other in (csr_matrix(X), csc_array(X), X.astype(np.int8), X.astype(np.float16),
                  X.astype(np.int64), np.asfortranarray(X), X.tolist()):  # fmt: skip
        ours.fit(other, y)
        assert ours.coefs_[0].dtype == np.float64
        same_weights(ours, theirs)
        np.testing.assert_allclose(ours.predict_proba(other), theirs.predict_proba(X), rtol=1e-6)


def test_float32_stays():
    X, y, ours, theirs = both("multiclass")
    X = X.astype(np.float32)
    ours.fit(X, y)
    theirs.fit(X, y)
    assert {a.dtype.name for a in [*ours.coefs_, *ours.intercepts_]} == {"float32"}
    assert ours.predict_proba(X).dtype == np.float32
    same_weights(ours, theirs, 1e-3)


TORCH = {
    "leaky_relu": lambda nn: nn.LeakyReLU(0.01),
    "gelu": lambda nn: nn.GELU(),
    "gelu_tanh": lambda nn: nn.GELU(approximate="tanh"),
    "softplus": lambda nn: nn.Softplus(),
    "tanh": lambda nn: nn.Tanh(),
}


@pytest.mark.parametrize("activation", [name for name in TORCH if name in ACTIVATIONS])
@pytest.mark.parametrize("solver", ["gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam"])
def test_weights_after_100_steps_are_torchs(solver, activation):
    torch = pytest.importorskip("torch")
    nn = torch.nn
    X, y, ours, _ = both("multiclass")
    rate, epsilon = 0.01, 1e-13 if solver == "adam" else 1e-8
    ours.set_params(
        activation=activation, solver=solver, learning_rate_init=rate, alpha=0.0, shuffle=False,
        epsilon=epsilon, beta_2=0.99, max_iter=1, warm_start=False,
    )  # fmt: skip
    optimizer = {
        "gd": lambda p: torch.optim.SGD(p, rate),
        "momentum": lambda p: torch.optim.SGD(p, rate, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, rate, momentum=0.9, nesterov=True),
        "adagrad": lambda p: torch.optim.Adagrad(p, rate, eps=epsilon),
        "rmsprop": lambda p: torch.optim.RMSprop(p, rate, alpha=0.99, eps=epsilon),
        # torch corrects the root of the variance before ε is added, scikit-learn after: where ε is
        # nothing beside it both are Adam.
        "adam": lambda p: torch.optim.Adam(p, rate, betas=(0.9, 0.99), eps=epsilon),
    }[solver]
    start = MLPClassifier(**{**ours.get_params(), "solver": "gd", "learning_rate_init": 1e-300})
    start.fit(X, y)
    layers = [nn.Linear(a, b, dtype=torch.float64) for a, b in [(7, 9), (9, 5), (5, 4)]]
    with torch.no_grad():
        for layer, W, b in zip(layers, start.coefs_, start.intercepts_, strict=True):
            layer.weight[:] = torch.tensor(np.array(W.T))
            layer.bias[:] = torch.tensor(np.array(b))
    f = TORCH[activation](nn)
    net = nn.Sequential(layers[0], f, layers[1], f, layers[2])
    step = optimizer(net.parameters())
    Xt, yt = torch.tensor(X), torch.tensor(y)
    for _ in range(EPOCHS):
        for lo in range(0, N, BATCH):
            step.zero_grad()
            nn.functional.cross_entropy(net(Xt[lo : lo + BATCH]), yt[lo : lo + BATCH]).backward()
            step.step()
    ours.set_params(max_iter=EPOCHS).fit(X, y)
    for W, b, layer in zip(ours.coefs_, ours.intercepts_, layers, strict=True):
        np.testing.assert_allclose(W, layer.weight.detach().numpy().T, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(b, layer.bias.detach().numpy(), rtol=1e-6, atol=1e-7)


def test_decoupled_weight_decay_is_torchs():
    torch = pytest.importorskip("torch")
    X, y, ours, _ = both("regression", hidden_layer_sizes=(), alpha=0.0, shuffle=False)
    ours.set_params(weight_decay=0.1, learning_rate_init=0.01, solver="adam")
    start = MLPRegressor(**{**ours.get_params(), "max_iter": 1, "learning_rate_init": 1e-300})
    start.fit(X, y)
    layer = torch.nn.Linear(7, 1, dtype=torch.float64)
    with torch.no_grad():
        layer.weight[:] = torch.tensor(np.array(start.coefs_[0].T))
        layer.bias[:] = torch.tensor(np.array(start.intercepts_[0]))
    groups = [
        {"params": [layer.weight], "weight_decay": 0.1},
        {"params": [layer.bias], "weight_decay": 0.0},
    ]
    step = torch.optim.AdamW(groups, 0.01)
    Xt, yt = torch.tensor(X), torch.tensor(y)
    for _ in range(EPOCHS):
        for lo in range(0, N, BATCH):
            step.zero_grad()
            ((layer(Xt[lo : lo + BATCH])[:, 0] - yt[lo : lo + BATCH]) ** 2 / 2).mean().backward()
            step.step()
    ours.fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], layer.weight.detach().numpy()[0], rtol=1e-6)
