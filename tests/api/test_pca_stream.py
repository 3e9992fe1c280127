"""Batches, merged parts and sums give what all rows at once give; models survive being saved."""

from __future__ import annotations

import copy
import itertools
import pickle
import signal
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from mmlfast import PCA, CovarianceState
from mmlfast.runtime import blocks
from tests.api.models import LEARNED, close, close_model, same_model, spread, whole_numbers

X = spread(5000, 8, "float32", offset=2.0)


def streamed(*parts, **settings) -> PCA:
    model = PCA(**settings)
    for part in parts:
        model.partial_fit(part)
    return model


def at_once(rows, **settings) -> PCA:
    return PCA(svd_solver="covariance_eigh", **settings).fit(rows)


@given(cuts=st.lists(st.integers(1, 4999), max_size=12), settings=st.sampled_from([{}, {"n": 3}]))
def test_any_batches_give_the_bits_of_all_rows(cuts, settings):
    k = settings.get("n")
    parts = np.split(X, sorted(set(cuts)))
    same_model(streamed(*parts, n_components=k), at_once(X, n_components=k))


def test_one_row_at_a_time():
    rows = X[:2100]
    same_model(streamed(*(rows[i : i + 1] for i in range(len(rows)))), at_once(rows))


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint8", "int16", "int32", "int64"])
def test_batches_of_every_dtype(dtype):
    rows = np.abs(whole_numbers(2500, 6, dtype))
    model = streamed(rows[:1], rows[1:40], rows[40:])
    same_model(model, at_once(rows))
    assert model.solver_ == "covariance_eigh"
    assert model.n_passes_ == 1
    assert model.why_solver_


def test_the_number_of_components_may_be_chosen_at_the_end():
    model = streamed(X[:3000], X[3000:])
    first = model.components_
    same_model(model, at_once(X))
    later = PCA(2).merge(model)
    same_model(later, at_once(X, n_components=2))
    np.testing.assert_array_equal(later.components_, first[:2])


def test_looking_in_between_changes_nothing():
    model = PCA(3)
    for i in range(0, 5000, 617):
        model.partial_fit(X[i : i + 617])
        assert model.n_samples_ == min(i + 617, 5000)
        same_model(model, at_once(X[: i + 617], n_components=3))
    np.testing.assert_array_equal(model.transform(X), at_once(X, n_components=3).transform(X))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_taken_midway_goes_on_to_the_same_bits(copied):
    model = streamed(X[:10], X[10:2345])
    other = copied(model)
    for estimator in (model, other):
        estimator.partial_fit(X[2345:2346]).partial_fit(X[2346:])
    same_model(other, model)
    same_model(model, at_once(X))


def test_fit_begins_anew_and_so_does_partial_fit_after_fit():
    model = streamed(X).fit(X[:100])
    same_model(model, PCA().fit(X[:100]))
    assert model.partial_fit(X[:50]).n_samples_ == 50


def test_too_few_rows_yet():
    model = PCA().partial_fit(X[:1])
    assert not hasattr(model, "components_")
    assert "PCA" in model._repr_html_()
    with pytest.raises(NotFittedError, match="needs at least 2 rows; this state has 1"):
        model.transform(X)
    assert model.partial_fit(X[1:2]).n_components_ == 2
    many = PCA(7).partial_fit(X[:3])
    with pytest.raises(NotFittedError, match=r"n_components must be between 1 and .* = 3"):
        many.transform(X)
    assert many.partial_fit(X[3:10]).n_components_ == 7


def test_batches_may_lie_in_memory_in_any_order():
    parts = [X[:40], np.asfortranarray(X[40:700]), X[700:][::-1].copy()[::-1]]
    same_model(streamed(*parts), at_once(X))
    same_model(streamed(np.asfortranarray(X[:40]), X[40:]), at_once(X))


def test_a_bad_batch_names_the_number_and_harms_nothing():
    model = streamed(X[:100])
    bad = X[100:200].copy()
    bad[0, 5] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        model.partial_fit(bad)
    with pytest.raises(ValueError, match="7 features"):
        model.partial_fit(X[:, :7])
    seen = model.n_samples_
    same_model(model, at_once(X[:seen]))
    same_model(model.partial_fit(X[seen:]), at_once(X))


def test_higher_precision_than_the_first_batch_is_refused():
    with pytest.raises(TypeError, match="float64"):
        streamed(X[:10], X[10:].astype(np.float64))


def test_columns_must_keep_their_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X[:, :3], columns=["a", "b", "c"])
    model = streamed(frame[:10], frame[10:])
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="feature names"):
        model.partial_fit(frame[["c", "b", "a"]])


# Merging


def test_merging_is_exact_and_associative_on_whole_numbers():
    # A power of two of rows: dividing by it does not round either.
    rows = whole_numbers(512, 5)
    a, b, c = (streamed(part) for part in np.split(rows, [150, 333]))
    one = copy.deepcopy(a).merge(copy.deepcopy(b)).merge(c)
    two = copy.deepcopy(a).merge(copy.deepcopy(b).merge(c))
    other = copy.deepcopy(c).merge(a).merge(b)
    for model in (one, two, other):
        close_model(model, at_once(rows), 1e-12)
        np.testing.assert_array_equal(model._state.covariance(0), one._state.covariance(0))
    assert (a.n_samples_, b.n_samples_, c.n_samples_) == (150, 183, 179)


def test_merging_reconciles_far_apart_parts():
    rows = spread(4000, 6)
    rows[2000:] += 1e6
    model = streamed(rows[:2000]).merge(streamed(rows[2000:]))
    close(model._state.covariance(), np.cov(rows.T), 1e-10)


def test_an_estimator_without_rows_adds_nothing():
    model = streamed(X[:300])
    expected = at_once(X[:300])
    same_model(model.merge(PCA()), expected)
    same_model(PCA().merge(model), expected)
    same_model(PCA().merge(PCA()).merge(model).merge(PCA()), expected)
    assert not hasattr(PCA().merge(PCA()), "components_")


def test_reading_goes_on_after_a_merge():
    model = streamed(X[:100]).merge(streamed(X[100:300])).partial_fit(X[300:])
    close_model(model, at_once(X), 1e-5)
    assert model.n_samples_ == 5000


def test_what_cannot_be_merged():
    fitted = PCA().fit(X)
    with pytest.raises(ValueError, match="other holds no sums"):
        streamed(X).merge(fitted)
    with pytest.raises(ValueError, match="self holds no sums"):
        fitted.merge(streamed(X))
    with pytest.raises(TypeError, match="other must be a PCA; got int"):
        streamed(X).merge(3)
    with pytest.raises(ValueError, match="n_features"):
        streamed(X).merge(streamed(X[:, :5]))


# From sums


def test_a_covariance_matrix_is_enough():
    rows = X.astype(np.float64)
    model = PCA.from_covariance(np.cov(rows.T), rows.mean(axis=0), len(rows), n_components=3)
    close_model(model, at_once(rows, n_components=3), 1e-9)
    close(model.transform(rows), at_once(rows, n_components=3).transform(rows), 1e-9)
    close(model.get_covariance(), at_once(rows, n_components=3).get_covariance(), 1e-9)


def test_a_covariance_alone_gives_all_components():
    model = PCA.from_covariance(np.diag([4.0, 1.0, 9.0]))
    np.testing.assert_array_equal(model.explained_variance_, [9, 4, 1])
    np.testing.assert_array_equal(model.components_, np.eye(3)[[2, 0, 1]])
    np.testing.assert_array_equal(model.mean_, 0)


@pytest.mark.parametrize("standardize", [False, True])
def test_a_state_is_enough(standardize):
    rows = X.astype(np.float64)
    state = CovarianceState(8).update(rows[:77]).update(rows[77:])
    model = PCA.from_covariance(state, n_components=2, standardize=standardize)
    same_model(model, at_once(rows, n_components=2, standardize=standardize))


def test_an_affine_map_of_the_state_is_an_affine_map_of_the_rows():
    rows, A = X.astype(np.float64), spread(4, 8, seed=5)
    mapped = CovarianceState(8).update(rows).affine(A, np.arange(4.0))
    model, expected = PCA.from_covariance(mapped), at_once(rows @ A.T + np.arange(4.0))
    close(model.explained_variance_, expected.explained_variance_, 1e-9)
    close(model.mean_, expected.mean_, 1e-9)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((np.eye(3)[:2],), "square matrix; got shape"),
        ((np.array([[1.0, 2.0], [0.0, 1.0]]),), "must be symmetric"),
        ((np.full((2, 2), np.nan),), "NaN or infinity"),
        ((np.eye(3) * 1j,), "real numbers"),
        ((np.eye(3), np.zeros(2)), r"shape \(3,\); got shape \(2,\)"),
        ((np.eye(3), np.zeros(3), 1), "at least 2; got 1"),
        ((np.eye(3), np.zeros(3), "many"), "got 'many'"),
        ((CovarianceState(3),), "at least 2 rows; this state has 0"),
        ((CovarianceState(3), np.zeros(3)), "belong to C already"),
    ],
)
def test_what_is_no_covariance(arguments, error):
    with pytest.raises((ValueError, TypeError), match=error):
        PCA.from_covariance(*arguments)


# Saving


@pytest.mark.parametrize(
    "settings",
    [{}, {"whiten": True, "n_components": 3}, {"standardize": True, "n_components": 0.9}],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saved_model_is_the_same_model(settings, dtype, tmp_path):
    model = PCA(**settings).fit(X.astype(dtype))
    model.save(tmp_path / "model.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["model.npz"]
    back = PCA.load(tmp_path / "model.npz")
    same_model(back, model)
    assert back.get_params() == model.get_params()
    for name in ("solver_", "why_solver_", "n_passes_", "residual_"):
        assert getattr(back, name) == getattr(model, name)
    np.testing.assert_array_equal(back.transform(X), model.transform(X), strict=True)
    scores = model.transform(X[:5])
    np.testing.assert_array_equal(back.inverse_transform(scores), model.inverse_transform(scores))
    assert back.score(X) == model.score(X)


def test_a_streamed_model_with_names_is_saved_too(tmp_path):
    pandas = pytest.importorskip("pandas")
    model = streamed(pandas.DataFrame(X[:, :3], columns=["a", "b", "c"]), n_components=np.int64(2))
    model.save(tmp_path / "model.npz")
    back = PCA.load(str(tmp_path / "model.npz"))
    same_model(back, model)
    assert list(back.feature_names_in_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="holds no sums"):
        back.merge(model)


def test_nothing_is_pickled(tmp_path):
    PCA(2).fit(X).save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        assert all(not file[name].dtype.hasobject for name in file.files)


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    model = PCA(2).fit(X)
    model.save(tmp_path / "model.npz")
    before = (tmp_path / "model.npz").read_bytes()

    def full_disk(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        PCA(3).fit(X).save(tmp_path / "model.npz")
    assert (tmp_path / "model.npz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(FileNotFoundError, match="folder"):
        model.save(tmp_path / "nowhere" / "model.npz")
    with pytest.raises(NotFittedError):
        PCA().save(tmp_path / "other.npz")


@pytest.mark.parametrize("kind", [PCA, CovarianceState])
def test_files_that_are_something_else(kind, tmp_path):
    path = tmp_path / "model.npz"
    (PCA(2).fit(X) if kind is PCA else CovarianceState(8).update(X)).save(path)
    whole = path.read_bytes()
    with np.load(path) as file:
        stored = dict(file)
    for damaged in (b"", b"hello", whole[:100], whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model.npz is not a"):
            kind.load(path)
    broken = bytearray(whole)
    broken[200:260] = bytes(60)
    path.write_bytes(bytes(broken))
    with pytest.raises(ValueError, match=r"model.npz"):
        kind.load(path)
    np.savez(path, X=X)
    with pytest.raises(ValueError, match="is not a mmlfast"):
        kind.load(path)
    np.savez(path, **{**stored, "version": 99})
    with pytest.raises(ValueError, match=r"version 99.*Upgrade"):
        kind.load(path)
    for name in stored:
        if name not in ("format", "version"):
            np.savez(path, **{key: value for key, value in stored.items() if key != name})
            with pytest.raises(ValueError, match="damaged"):
                kind.load(path)
    np.savez(path, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is not a mmlfast"):
        kind.load(path)
    with pytest.raises(FileNotFoundError):
        kind.load(tmp_path / "missing.npz")
    other = CovarianceState(8).update(X) if kind is PCA else PCA(2).fit(X)
    other.save(path)
    with pytest.raises(ValueError, match="is not a mmlfast"):
        kind.load(path)


# Ctrl-C

INTERRUPTED = """
import os, signal, threading, time
import numpy as np
from mmlfast import PCA
from tests.api.models import same_model, spread

signal.signal(signal.SIGINT, signal.default_int_handler)
X = spread(400_000, 8)
at = threading.Event()

def slowly():
    for i in range(0, len(X), 1000):
        if i == 20_000:
            at.set()
        if i >= 20_000:
            time.sleep(0.01)
        yield X[i : i + 1000]

def press():
    at.wait()
    os.kill(os.getpid(), signal.SIGINT)

PCA().partial_fit(X[:10]).components_
threading.Thread(target=press, daemon=True).start()
model = PCA(3)
try:
    model.partial_fit(slowly())
except KeyboardInterrupt:
    n = model.n_samples_
    assert 16 <= n < len(X), n
    same_model(model, PCA(3, svd_solver="covariance_eigh").fit(X[:n]))
    same_model(model.partial_fit(X[n:]), PCA(3, svd_solver="covariance_eigh").fit(X))
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
def test_ctrl_c_leaves_the_rows_before_it(run_python):
    assert run_python(INTERRUPTED).strip() == "interrupted"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX")
@pytest.mark.parametrize("after", [1, 2, 5])
def test_ctrl_c_between_two_steps(after, monkeypatch, default_interrupt):
    monkeypatch.setattr(blocks, "STEP_SECONDS", 2e-5)
    rows = spread(30_000, 20, "float32")
    model, steps = PCA(2, n_jobs=1), itertools.count(1)

    def press(*_):
        if next(steps) == after:
            signal.raise_signal(signal.SIGINT)

    model.set_params(progress=press)
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(rows)
    n = model.n_samples_
    assert 0 < n < len(rows)
    same_model(model.set_params(progress=None), at_once(rows[:n], n_components=2))
    assert set(LEARNED) <= set(vars(model))
