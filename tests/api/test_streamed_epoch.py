"""Training from chunks is training from memory, where the order of the rows is the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from mmlfast.api.network import Network
from mmlfast.api.streamed_epoch import streamed_epoch
from mmlfast.api.trainer import Trainer
from mmlfast.api.training_data import open_training_data
from mmlfast.runtime import sources

N, D = 150, 6


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(sources, "BATCH_BYTES", 40 * D * 4)


def samples(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, D)).astype(np.float32)
    Y = (X @ rng.standard_normal((D, 2)) > 0).astype(np.float32)
    return X, Y, rng.uniform(0.5, 2, N).astype(np.float32)


def trainer(batch_size, seed=0, **settings):
    rng = np.random.default_rng(seed)
    network = Network((D, 5, 2), ["tanh"], "logistic", np.float32)
    for W in network.coefs:
        W[:] = rng.standard_normal(W.shape)
    return Trainer(network, "adam", batch_size=batch_size, alpha=1e-3, **settings)


def opened(X):
    return open_training_data(BaseEstimator(), X, reset=True, once=False)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 40, 64, 150, 1000])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_without_shuffling_the_bits_are_those_of_memory(tmp_path, batch_size, weighted, dropout):
    X, Y, w = samples()
    w = w if weighted else None
    np.save(tmp_path / "X.npy", X)
    whole = trainer(batch_size, dropout=dropout)
    whole.prepare(X, Y, w)
    streams = [tmp_path / "X.npy", lambda: np.array_split(X, 11)]
    streamed = [trainer(batch_size, dropout=dropout) for _ in streams]
    for _ in range(3):
        expected = whole.epoch(np.arange(N), 0.01)
        for stream, one in zip(streams, streamed, strict=True):
            with opened(stream) as data:
                assert not data.in_memory
                report = streamed_epoch(one, data, Y, w, 0.01, None)
            assert np.array_equal(one.network.parameters, whole.network.parameters)
            assert (one.t, report.failed) == (whole.t, -1)
            # The penalty of the batch that begins a chunk is summed anew, in another order.
            assert report.loss == pytest.approx(expected.loss, rel=1e-9)
            assert report.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-12)


def test_rows_are_shuffled_within_a_chunk_only(monkeypatch):
    X, Y, _ = samples()
    X[:, 0] = np.arange(N)
    seen = []
    one = trainer(10)
    real = one.epoch

    def epoch(order, rate):
        seen.append(np.sort(order).tolist() == list(range(len(order))))
        seen.append(not np.array_equal(order, np.arange(len(order))))
        return real(order, rate)

    monkeypatch.setattr(one, "epoch", epoch)
    with opened(lambda: [X]) as data:
        streamed_epoch(one, data, Y, None, 0.01, np.random.RandomState(0))
    assert seen == [True, True] * 4
    again = trainer(10)
    with opened(lambda: np.array_split(X, 5)) as data:
        streamed_epoch(again, data, Y, None, 0.01, np.random.RandomState(0))
    assert np.array_equal(again.network.parameters, one.network.parameters)


def test_a_batch_that_fails_is_counted_from_the_first_chunk():
    X, Y, _ = samples()
    Y[93] = np.nan
    one, whole = trainer(10), trainer(10)
    whole.prepare(X, Y)
    assert whole.epoch(np.arange(N), 0.01).failed == 9
    with opened(lambda: [X]) as data:
        assert streamed_epoch(one, data, Y, None, 0.01, None).failed == 9
    assert np.array_equal(one.network.parameters, whole.network.parameters)


def test_bad_data_are_named():
    X, Y, _ = samples()
    X[93, 2] = np.inf
    with opened(lambda: [X]) as data, pytest.raises(ValueError, match="row 93, column 2"):
        streamed_epoch(trainer(10), data, Y, None, 0.01, None)
