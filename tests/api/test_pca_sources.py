"""The same rows give the same bits, wherever they lie and however they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import PCA, CovarianceState, covariance, gram
from mmlfast.runtime.sources import open_source
from tests.api.models import close, same_model, spread, whole_numbers

X = spread(5000, 12, offset=3.0)


def fitted(data, solver="covariance_eigh", **settings) -> PCA:
    return PCA(4, svd_solver=solver, random_state=0, **settings).fit(data)


def batches(rows=X, size=777):
    return (rows[i : i + size] for i in range(0, len(rows), size))


def as_npy(path):
    np.save(path / "x.npy", X)
    return path / "x.npy"


def as_npz(path):
    np.savez(path / "x.npz", X=X)
    return str(path / "x.npz")


def as_packed_npz(path):
    np.savez_compressed(path / "x.npz", X=X)
    return path / "x.npz"


def as_csv(path):
    pytest.importorskip("pyarrow")
    np.savetxt(path / "x.csv", X, delimiter=",", fmt="%.17g", comments="",
               header=",".join(f"c{i}" for i in range(X.shape[1])))  # fmt: skip
    return path / "x.csv"


def as_parquet(path):
    pytest.importorskip("pyarrow")
    as_pandas(path).to_parquet(path / "x.parquet", row_group_size=901)
    return path / "x.parquet"


def as_parquet_folder(path):
    pytest.importorskip("pyarrow")
    frame = as_pandas(path)
    (path / "parts").mkdir()
    frame[:2100].to_parquet(path / "parts" / "a.parquet")
    frame[2100:].to_parquet(path / "parts" / "b.parquet")
    return path / "parts"


def as_memmap(path):
    return np.load(as_npy(path), mmap_mode="r")


def as_pandas(path):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X, columns=[f"c{i}" for i in range(X.shape[1])])


def as_polars(path):
    return pytest.importorskip("polars").DataFrame(X)


def as_arrow(path):
    pyarrow = pytest.importorskip("pyarrow")
    return pyarrow.table({f"c{i}": column for i, column in enumerate(X.T)})


WAYS = [
    as_npy, as_npz, as_packed_npz, as_csv, as_parquet, as_parquet_folder, as_memmap, as_pandas,
    as_polars, as_arrow,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_file_or_frame_is_as_good_as_the_array(way, tmp_path):
    data = way(tmp_path)
    model, expected = fitted(data), fitted(X)
    same_model(model, expected)
    if way is not as_polars:
        same_model(fitted(data, "krylov"), fitted(X, "krylov"))
    np.testing.assert_array_equal(model.transform(data), expected.transform(X), strict=True)
    blocks = list(expected.iter_transform(open_source(data)))
    np.testing.assert_array_equal(np.concatenate(blocks), expected.transform(X))
    assert model.score(data) == expected.score(X)
    np.testing.assert_array_equal(covariance(data), covariance(X))
    np.testing.assert_array_equal(gram(data), gram(X))


@pytest.mark.parametrize("size", [1, 7, 2048, 3000])
def test_batches_are_as_good_as_the_array(size):
    rows = X[:300] if size == 1 else X
    expected = fitted(rows)
    same_model(fitted(batches(rows, size)), expected)
    same_model(fitted(lambda: batches(rows, size)), expected)
    same_model(fitted(lambda: batches(rows, size), "krylov"), fitted(rows, "krylov"))
    scores = expected.transform(rows)
    np.testing.assert_array_equal(expected.transform(batches(rows, size)), scores, strict=True)
    blocks = list(expected.iter_transform(batches(rows, size)))
    np.testing.assert_array_equal(np.concatenate(blocks), scores)


def test_auto_reads_an_iterator_once_and_a_callable_as_often_as_it_likes():
    model = PCA(4).fit(batches())
    assert (model.solver_, model.n_passes_, model.n_samples_) == ("covariance_eigh", 1, 5000)
    same_model(model, PCA(4).fit(X))
    same_model(PCA(4).fit(lambda: batches()), model)


@pytest.mark.parametrize("solver", ["krylov", "dual", "arpack"])
def test_a_route_of_many_reads_refuses_an_iterator(solver):
    with pytest.raises(ValueError, match=r"can be read only once. Pass a callable"):
        PCA(3, svd_solver=solver).fit(batches())


def test_what_only_the_end_of_an_iterator_tells():
    with pytest.raises(ValueError, match=r"min\(n_samples, n_features\) = 6 .* n_components=9"):
        PCA(9).fit(batches(X[:6], 2))
    with pytest.raises(ValueError, match="n_samples >= n_features; got 6 x 12"):
        PCA("mle").fit(batches(X[:6], 2))
    with pytest.raises(ValueError, match="1 sample"):
        PCA(1).fit(batches(X[:1], 1))
    with pytest.raises(ValueError, match="gave no batches"):
        PCA(1).fit(iter([]))


def test_the_digits():
    from sklearn.datasets import load_digits

    model = fitted("sample:digits")
    same_model(model, fitted(load_digits().data.astype(np.uint8)))
    assert model.transform("sample:digits").shape == (1797, 4)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float16", "float32"])
@pytest.mark.parametrize("solver", ["covariance_eigh", "krylov", "full"])
def test_narrow_numbers_are_read_as_they_are(dtype, solver, tmp_path):
    rows = np.abs(whole_numbers(3000, 9)).astype(dtype)
    np.save(tmp_path / "x.npy", rows)
    model = fitted(rows, solver)
    same_model(fitted(tmp_path / "x.npy", solver), model)
    # Sums of these are exact in any precision.
    exact = fitted(rows.astype(np.float64), "covariance_eigh")
    close(
        model.explained_variance_, exact.explained_variance_, 1e-2 if solver == "krylov" else 1e-6
    )
    np.testing.assert_array_equal(covariance(rows), covariance(rows.astype(np.float64)))
    expected = np.float32 if dtype in ("float16", "float32") else np.float64
    assert model.transform(rows).dtype == expected


@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "krylov"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_layout_changes_no_bit_and_nothing_is_written(solver, dtype):
    rows = np.abs(whole_numbers(700, 11)).astype(dtype)
    expected = fitted(rows, solver)
    scores = expected.transform(rows)
    padded = np.zeros((1400, 33), dtype)
    padded[::2, ::3] = rows
    layouts = {
        "Fortran": np.asfortranarray(rows) if dtype != "int64" else rows,
        "reversed": rows[::-1, ::-1].copy()[::-1, ::-1],
        "strided": padded[::2, ::3],
        "big-endian": rows.astype(np.dtype(dtype).newbyteorder(">")),
        "list": rows.tolist() if dtype in ("float64", "int64") else rows,
    }
    read_only = rows.copy()
    read_only.flags.writeable = False
    layouts["read-only"] = read_only
    for name, layout in layouts.items():
        before = np.array(layout)
        model = fitted(layout, solver)
        same_model(model, expected)
        np.testing.assert_array_equal(model.transform(layout), scores, err_msg=name)
        np.testing.assert_array_equal(np.array(layout), before, err_msg=name, strict=True)


def test_a_source_stays_its_owners():
    with open_source(X) as source:
        model = fitted(source)
        same_model(fitted(source), model)
        covariance(source), gram(source), model.score(source), model.transform(source)
        PCA(2).partial_fit(source).partial_fit(source)
        CovarianceState(12).update(source).update(source)
        assert source.array is X


# Where scores go


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 5, 2048, 5000])
def test_out_is_filled_and_its_frame_is_not_touched(n, dtype):
    model = fitted(X.astype(dtype))
    rows = X[:n].astype(dtype)
    frame = np.full((n + 4, 4 + 5), np.nan, dtype)
    out = frame[2:-2, 2:-3]
    assert model.transform(rows, out=out) is out
    np.testing.assert_array_equal(out, model.transform(rows))
    frame[2:-2, 2:-3] = np.nan
    assert np.isnan(frame).all()


def test_out_may_be_a_memmap_and_of_the_other_precision(tmp_path):
    model = fitted(X)
    out = np.lib.format.open_memmap(tmp_path / "s.npy", "w+", np.float32, (len(X), 4))
    assert model.transform(X, out=out) is out
    out.flush()
    np.testing.assert_array_equal(
        np.load(tmp_path / "s.npy"), model.transform(X).astype(np.float32)
    )
    model.transform(batches(), out=out)
    np.testing.assert_array_equal(out, model.transform(X).astype(np.float32))


@pytest.mark.parametrize(
    ("out", "error"),
    [
        (np.empty((5, 3)), r"shape \(5000, 4\); got \(5, 3\)"),
        (np.empty((5000, 4), int), "dtype float32 or float64; got int64"),
        (np.empty((5000, 4), ">f8"), "dtype"),
        (np.empty(20000), "shape"),
        ([[0.0] * 4] * 5000, "must be an array"),
        (np.broadcast_to(np.zeros(4), (5000, 4)), "read-only"),
    ],
)
def test_an_out_that_does_not_fit(out, error):
    with pytest.raises(ValueError, match=error):
        fitted(X).transform(X, out=out)


@pytest.mark.parametrize("rows", [4999, 5001, 100])
def test_an_out_of_another_length_than_the_iterator(rows):
    frame = np.full((rows + 2000, 4), np.nan)
    with pytest.raises(ValueError, match="one row for each row of X"):
        fitted(X).transform(batches(), out=frame[:rows])
    assert np.isnan(frame[rows:]).all()


def test_an_out_that_is_x_itself():
    rows = X[:, :4].copy()
    with pytest.raises(ValueError, match="share memory"):
        PCA().fit(rows).transform(rows, out=rows)


@given(cuts=st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_scores_do_not_depend_on_the_cut(cuts):
    model = fitted(X)
    parts = np.split(X[:200], np.unique(np.minimum(np.cumsum(cuts), 200)))
    scores = np.concatenate([model.transform(part) for part in parts if len(part)])
    np.testing.assert_array_equal(scores, model.transform(X[:200]))
