"""Networks on the kernels against plain numpy: values, gradients, steps of every optimiser."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest
import scipy.sparse

from mmlfast.api import network as networks
from mmlfast.api import trainer as trainers
from mmlfast.api.network import ACTIVATIONS, HEADS, Network
from mmlfast.api.trainer import OPTIMIZERS, Trainer
from mmlfast.kernels.samples import DTYPES
from tests import reference_network as reference
from tests.tolerance import tol

FLOATS = ("float32", "float64")
# One unit, less than a vector, whole vectors, a vector and a bit, strides made odd, two depths.
SHAPES = [(1, 1), (3, 5, 2), (16, 16, 16), (7, 17, 33, 4), (70, 100, 130, 3), (300, 9, 1)]


def targets(head, n, units, random):
    """Y as the head's loss wants it."""
    if head == "softmax":
        return np.eye(units)[random.integers(0, units, n)]
    if "logistic" in head:
        return random.integers(0, 2, (n, units)).astype(float)
    if head == "poisson":
        return random.integers(0, 4, (n, units)).astype(float)
    return random.standard_normal((n, units))


def pair(sizes, activations, head, dtype, random):
    """A network and its reference with the same weights."""
    network = Network(sizes, activations, head, dtype)
    model = reference.Network(sizes, activations, head, np.float64)
    for mine, theirs in zip(
        [*network.coefs, *network.intercepts], [*model.coefs, *model.intercepts], strict=True
    ):
        theirs[:] = random.standard_normal(theirs.shape) / np.sqrt(theirs.shape[0])
        mine[:] = theirs
        theirs[:] = mine
    return network, model


def parts(gradients):
    return [*gradients.coefs, *gradients.intercepts, gradients.inputs]


def assert_close(actual, expected, dtype, depth):
    """Up to the rounding of sums of `depth` terms as large as the largest there is."""
    expected = np.asarray(expected)
    bound = tol(dtype, depth) * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=bound)
    assert np.isfinite(actual).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_and_gradients_of_every_activation(activation, dtype):
    random = np.random.default_rng(1)
    for sizes in SHAPES:
        network, model = pair(sizes, [activation] * (len(sizes) - 2), "identity", dtype, random)
        X = random.standard_normal((13, sizes[0])).astype(dtype)
        Y = random.standard_normal((13, sizes[-1])).astype(dtype)
        for mine, theirs in zip(network.forward(X), model.forward(X), strict=True):
            assert mine.dtype == dtype
            assert_close(mine, theirs, dtype, 4 * max(sizes))
        np.testing.assert_array_equal(network.predict(X), network.forward(X)[-1])
        mine, theirs = network.gradients(X, Y, alpha=0.3), model.gradients(X, Y, alpha=0.3)
        np.testing.assert_allclose(mine.loss, theirs.loss, rtol=tol(dtype, 4 * max(sizes)))
        for a, b in zip(parts(mine), parts(theirs), strict=True):
            assert_close(a, b, dtype, 8 * max(sizes))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("units", [1, 3, 10, 37])
@pytest.mark.parametrize("head", HEADS)
def test_losses_of_every_head(head, units, dtype):
    random = np.random.default_rng(2)
    network, model = pair((5, 8, units), ["tanh"], head, dtype, random)
    for n in (1, 7, 40):
        X = random.standard_normal((n, 5)).astype(dtype)
        Y = targets(head, n, units, random).astype(dtype)
        weight = random.random(n) + 0.1
        assert_close(network.predict(X), model.predict(X), dtype, 40)
        for w in (None, weight):
            mine, theirs = (m.gradients(X, Y, w, alpha=1.0) for m in (network, model))
            np.testing.assert_allclose(mine.loss, theirs.loss, rtol=tol(dtype, 100))
            np.testing.assert_allclose(
                network.loss(X, Y, w, alpha=1.0), theirs.loss, rtol=tol(dtype, 100)
            )
            for a, b in zip(parts(mine), parts(theirs), strict=True):
                assert_close(a, b, dtype, 100)


@pytest.mark.parametrize("dtype", FLOATS)
def test_logistic_units_are_within_three_ulp(dtype):
    network = Network((1, 1), [], "logistic", dtype)
    network.coefs[0][:] = 1
    end = 87 if dtype == "float32" else 700
    x = np.r_[np.linspace(-end, end, 100_001), np.random.default_rng(0).standard_normal(10_000)]
    x = x.astype(dtype)
    exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    error = np.abs(network.predict(x[:, None])[:, 0] - exact) / np.spacing(exact.astype(dtype))
    assert error.max() <= 3
    ends = network.predict(np.array([[-np.inf], [-1e30], [1e30], [np.inf], [np.nan]], dtype))
    assert (ends[:2] < 1e-37).all()
    np.testing.assert_array_equal(ends[2:, 0], [1, 1, np.nan])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("head", ["identity", "softmax"])
def test_slopes_of_outputs_by_the_inputs(head, dtype):
    """Of outputs a million times larger than what is asked for: nothing is lost beside them."""
    random = np.random.default_rng(13)
    network, model = pair((5, 8, 3), ["tanh"], head, dtype, random)
    for biases in (network.intercepts[-1], model.intercepts[-1]):
        biases[:] = 1e6
    X = random.standard_normal((70, 5)).astype(dtype)
    E = random.integers(-1, 2, (70, 3)).astype(dtype)
    hidden = model.forward(X)[1]
    expected = ((E @ model.coefs[1].T) * (1 - hidden**2)) @ model.coefs[0].T
    assert_close(network.input_gradients(X, E), expected, dtype, 40)


@pytest.mark.parametrize("dtype", FLOATS)
def test_whole_numbers_are_exact(dtype):
    random = np.random.default_rng(3)
    sizes = (19, 67, 5, 2)
    network = Network(sizes, ["relu", "identity"], "identity", dtype)
    model = reference.Network(sizes, ["relu", "identity"], "identity", np.float64)
    for mine, theirs in zip(
        [*network.coefs, *network.intercepts], [*model.coefs, *model.intercepts], strict=True
    ):
        theirs[:] = random.integers(-2, 3, theirs.shape)
        mine[:] = theirs
    X = random.integers(-2, 3, (16, 19)).astype(dtype)
    Y = random.integers(-2, 3, (16, 2)).astype(dtype)
    for mine, theirs in zip(network.forward(X), model.forward(X), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    mine, theirs = network.gradients(X, Y), model.gradients(X, Y)
    for a, b in zip(parts(mine), parts(theirs), strict=True):
        np.testing.assert_array_equal(a, b.astype(dtype))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_hundred_steps_of_every_optimizer(optimizer):
    random = np.random.default_rng(4)
    network, model = pair((6, 9, 3), ["tanh"], "softmax", "float64", random)
    X, Y = random.standard_normal((50, 6)), targets("softmax", 50, 3, random)
    weight = random.random(50) + 0.5
    settings = {"batch_size": 16, "alpha": 0.01, "weight_decay": 0.02, "beta_2": 0.9}
    mine = Trainer(network, optimizer, **settings)
    theirs = reference.Trainer(model, optimizer, **settings)
    mine.prepare(X, Y, weight)
    theirs.prepare(X, Y, weight)
    for _ in range(25):
        order = random.permutation(50)
        a, b = mine.epoch(order, 0.01), theirs.epoch(order, 0.01)
        np.testing.assert_allclose(a, b, rtol=1e-9)
    assert mine.t == theirs.t == 100
    for W, V in zip([*network.coefs, *network.intercepts], [*model.coefs, *model.intercepts],
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(W, V, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("head", HEADS)
def test_narrow_networks_learn_as_wide_ones_do(head, dtype, monkeypatch):
    """Samples along the registers instead of units: the same sums in another order."""
    activations = list(ACTIVATIONS)
    sizes = (3, *(1 + k % 4 for k in range(len(activations))), 2)
    results = []
    for narrow in (True, False):
        if not narrow:
            monkeypatch.setattr(trainers, "is_narrow", lambda *_: False)
        random = np.random.default_rng(14)
        network, _ = pair(sizes, activations, head, dtype, random)
        X, Y = random.standard_normal((37, 3)).astype(dtype), targets(head, 37, 2, random)
        trainer = Trainer(network, "momentum", batch_size=16, alpha=0.1)
        trainer.prepare(X, Y, random.random(37) + 0.5)
        reports = [trainer.epoch(random.permutation(37), 0.01) for _ in range(5)]
        full = Trainer(network, "gd", batch_size=37)
        full.prepare(X, Y)
        many = full.epochs(5, 0.01, best_loss=np.inf, no_improvement=0, tol=0, n_iter_no_change=9)
        results.append((network.copy_parameters(), reports, many.losses))
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=tol(dtype, 200), atol=tol(dtype, 200))
        assert np.isfinite(a).all()


def trained(dtype="float32", sizes=(20, 40, 3), n=70, epochs=3, X=None, **settings):
    random = np.random.default_rng(5)
    network, _ = pair(sizes, ["relu"] * (len(sizes) - 2), "softmax", dtype, random)
    if X is None:
        X = random.standard_normal((n, sizes[0])).astype(dtype)
    Y = targets("softmax", n, sizes[-1], random)
    trainer = Trainer(network, **{"batch_size": 32, **settings})
    trainer.prepare(X, Y)
    reports = [trainer.epoch(random.permutation(n), 0.01) for _ in range(epochs)]
    return network, trainer, reports


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_number_of_threads_gives_the_same_bits(dtype, monkeypatch):
    monkeypatch.setattr(trainers, "PARALLEL_WORK", 0)
    monkeypatch.setattr(networks, "SERIAL_WORK", 0)
    monkeypatch.setattr(networks, "BLOCK_BYTES", 1)
    sizes = (90, 200, 150, 4)
    results = []
    for n_jobs in (1, 2, 3):
        network, _, reports = trained(
            dtype, sizes, n=300, batch_size=128, n_jobs=n_jobs, dropout=0.2
        )
        X = np.random.default_rng(0).standard_normal((200, 90)).astype(dtype)
        Y = targets("softmax", 200, 4, np.random.default_rng(0))
        gradients = network.gradients(X, Y, n_jobs=n_jobs)
        results.append((
            network.copy_parameters(), reports, network.predict(X, n_jobs=n_jobs), gradients.loss,
            *gradients.coefs,
        ))  # fmt: skip
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("sizes", [(20, 40, 3), (90, 400, 150, 4)])
def test_helpers_that_stay_awake_see_each_new_order(sizes, monkeypatch):
    """Rows set aside leave an order shorter than the data; the helpers wake before the first."""
    monkeypatch.setattr(trainers, "PARALLEL_WORK", 0)
    results = []
    for n_jobs in (1, 2, 3):
        random = np.random.default_rng(15)
        network, _ = pair(sizes, ["relu"] * (len(sizes) - 2), "softmax", "float32", random)
        X = random.standard_normal((400, sizes[0])).astype("float32")
        trainer = Trainer(network, batch_size=200, n_jobs=n_jobs)
        trainer.prepare(X, targets("softmax", 400, sizes[-1], random))
        rows = random.permutation(400)[:350]
        with trainer.awake():
            time.sleep(0.02)  # time to wake, and to read what lies there
            reports = [trainer.epoch(random.permutation(rows), 0.01) for _ in range(20)]
        results.append((network.copy_parameters(), reports))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("sizes", [(3, 2, 1), (20, 40, 1), (300, 300, 1)])
def test_biases_that_are_not_trained_stay(sizes, alpha):
    random = np.random.default_rng(16)
    network, _ = pair(sizes, ["tanh"], "identity", "float64", random)
    weights, biases = (np.concatenate([part.ravel() for part in parts])
                       for parts in (network.coefs, network.intercepts))  # fmt: skip
    trainer = Trainer(network, "gd", batch_size=10, alpha=alpha, intercepts=False)
    trainer.prepare(random.standard_normal((30, sizes[0])), random.standard_normal((30, 1)))
    trainer.epoch(np.arange(30), 0.1)
    np.testing.assert_array_equal(np.concatenate(network.intercepts), biases)
    assert (np.concatenate([W.ravel() for W in network.coefs]) != weights).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read_as_its_numbers(dtype):
    X = np.random.default_rng(6).integers(0, 100, (70, 21)).astype(dtype)
    sizes = (21, 5, 2)
    read, _, _ = trained(sizes=sizes, X=X)
    expected, _, _ = trained(sizes=sizes, X=X.astype("float32"))
    np.testing.assert_array_equal(read.copy_parameters(), expected.copy_parameters())
    np.testing.assert_array_equal(read.predict(X), expected.predict(X.astype("float32")))


def test_sparse_rows_are_read_as_dense_ones():
    random = np.random.default_rng(7)
    X = (random.integers(0, 9, (70, 21)) * (random.random((70, 21)) < 0.2)).astype("float32")
    X[3] = 0
    read, _, _ = trained(sizes=(21, 5, 2), X=scipy.sparse.csr_array(X))
    expected, _, _ = trained(sizes=(21, 5, 2), X=X)
    np.testing.assert_array_equal(read.copy_parameters(), expected.copy_parameters())


def test_many_epochs_in_one_call_are_the_same():
    random = np.random.default_rng(8)
    X, Y = random.standard_normal((30, 4)), random.standard_normal((30, 2))
    rule = {"tol": 1e-3, "n_iter_no_change": 3}
    results = []
    for at_once in (True, False):
        network, _ = pair((4, 6, 2), ["tanh"], "identity", "float64", np.random.default_rng(9))
        trainer = Trainer(network, "nesterov", batch_size=30)
        trainer.prepare(X, Y)
        if at_once:
            report = trainer.epochs(400, 0.05, best_loss=np.inf, no_improvement=0, **rule)
        else:
            losses, norms, best, idle = [], [], np.inf, 0
            while idle <= rule["n_iter_no_change"] and len(losses) < 400:
                one = trainer.epoch(np.arange(30), 0.05)
                idle = idle + 1 if one.loss > best - rule["tol"] else 0
                best = min(best, one.loss)
                losses.append(one.loss)
                norms.append(one.gradient_norm)
            report = trainers.EpochsReport(np.array(losses), np.array(norms), -1, best, idle)
        results.append((*report, network.copy_parameters()))
    assert 4 < len(results[0][0]) < 400
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_a_batch_whose_loss_is_not_finite_is_told_and_not_learnt(bad):
    random = np.random.default_rng(10)
    X, Y = random.standard_normal((40, 3)).astype("float32"), random.standard_normal((40, 1))
    X[25] = bad
    network, _ = pair((3, 4, 1), ["identity"], "identity", "float32", random)
    trainer = Trainer(network, "gd", batch_size=10)
    trainer.prepare(X, Y)
    assert trainer.epoch(np.arange(20), 0.01).failed == -1
    before = network.copy_parameters()
    assert trainer.epoch(np.arange(20, 40), 0.01).failed == 0
    np.testing.assert_array_equal(network.copy_parameters(), before)


def test_rows_of_no_weight_do_not_count():
    random = np.random.default_rng(11)
    X, Y = random.standard_normal((24, 3)), random.standard_normal((24, 1))
    weight = np.r_[np.ones(10), np.zeros(14)]
    networks_ = []
    for rows, w in ((slice(None), weight), (slice(0, 10), None)):
        network, _ = pair((3, 4, 1), ["tanh"], "identity", "float64", np.random.default_rng(0))
        trainer = Trainer(network, "gd", batch_size=10)
        trainer.prepare(X[rows], Y[rows], w)
        assert trainer.epoch(np.arange(len(X[rows])), 0.1).failed == -1
        networks_.append(network)
    np.testing.assert_allclose(*(n.copy_parameters() for n in networks_), rtol=1e-14)


def test_dropped_units_learn_nothing_and_the_others_more():
    network = Network((4, 64, 1), ["identity"], "identity", "float64")
    network.coefs[0][:] = 1
    network.coefs[1][:] = 1
    before = network.coefs[1].copy()
    trainer = Trainer(network, "gd", batch_size=1, dropout=0.75, seed=3)
    trainer.prepare(np.ones((1, 4)), np.zeros((1, 1)))
    trainer.epoch(np.arange(1), 1e-6)
    change = (before - network.coefs[1]).ravel()
    learnt = change != 0
    assert 4 <= learnt.sum() <= 28
    # A unit that is kept gives 4/(1 − ¾) = 16, and the loss's slope is the sum of those.
    np.testing.assert_allclose(change[learnt], 1e-6 * 16 * 16 * learnt.sum(), rtol=1e-9)
    assert (network.coefs[0] != 1).any(axis=0).sum() == learnt.sum()
    trainer.epoch(np.arange(1), 1e-6)
    assert ((before - network.coefs[1]).ravel() != change).sum() > learnt.sum()


def test_dropout_keeps_its_share():
    network = Network((1, 1000, 1), ["identity"], "identity", "float32")
    network.coefs[0][:] = 1
    trainer = Trainer(network, "gd", batch_size=64, dropout=0.3, seed=1)
    trainer.prepare(np.ones((64, 1)), np.ones((64, 1)))
    trainer.epoch(np.arange(64), 1.0)
    # ∂W = Σ over the rows of mask/(1 − 0.3) × (0 − 1)/64
    kept = network.coefs[1].ravel() * 64 * 0.7
    np.testing.assert_allclose(kept, kept.round(), atol=1e-3)
    assert abs(kept.mean() / 64 - 0.7) < 0.01
    assert 2 < kept.std() < 5  # binomial: √(64·0.3·0.7) = 3.7


def test_training_goes_on_after_pickling():
    random = np.random.default_rng(12)
    X, Y = random.standard_normal((40, 20)).astype("float32"), targets("softmax", 40, 3, random)
    network, trainer, _ = trained(dropout=0.1)
    network_, trainer_ = pickle.loads(pickle.dumps((network, trainer)))
    assert trainer_.network is network_
    for t in (trainer, trainer_):
        t.prepare(X, Y)
        t.epoch(np.arange(40), 0.01)
    np.testing.assert_array_equal(network.copy_parameters(), network_.copy_parameters())
    assert trainer.t == trainer_.t


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3,), [], "identity", "float64"), "sizes must be at least two positive"),
        (((3, 0, 1), ["relu"], "identity", "float64"), "sizes must be at least two positive"),
        (((3, 2, 1), [], "identity", "float64"), "one for each of the 1 hidden layers"),
        (((3, 2, 1), ["sine"], "identity", "float64"), "activation must be one of .*'sine'"),
        (((3, 2, 1), ["relu"], "hinge", "float64"), "head must be one of .*'hinge'"),
    ],
)
def test_networks_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        Network(*arguments)
    with pytest.raises(TypeError, match="float32 or float64"):
        Network((1, 1), [], "identity", "int32")


def test_trainers_and_data_that_cannot_be():
    network = Network((3, 2, 1), ["relu"], "identity", "float64")
    with pytest.raises(ValueError, match="optimizer must be one of"):
        Trainer(network, "lion", batch_size=1)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        Trainer(network, batch_size=0)
    for dropout in (1.0, -0.1, [0.1, 0.1]):
        with pytest.raises(ValueError, match="dropout must be a share"):
            Trainer(network, batch_size=1, dropout=dropout)
    with pytest.raises(ValueError, match="X must have 3 columns; got 2"):
        network.predict(np.ones((4, 2)))
    with pytest.raises(TypeError, match="X must be of float64"):
        network.predict(np.ones((4, 3), complex))
