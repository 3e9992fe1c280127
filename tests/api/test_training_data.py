"""The same samples come out, in the same order, wherever they lie and however they are cut."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from mmlfast.api.training_data import as_csr, open_training_data
from mmlfast.runtime import sources

N, D = 57, 5
X = np.arange(N * D, dtype=np.float64).reshape(N, D) - 100
NAMES = list("abcde")


def opened(data, y=None, w=None, *, estimator=None, reset=True, once=False):
    return open_training_data(estimator or BaseEstimator(), data, y, w, reset=reset, once=once)


def dense(chunk):
    return chunk.toarray() if sp.issparse(chunk) else chunk


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 10 rows of X, so that a file of 57 is large."""
    monkeypatch.setattr(sources, "BATCH_BYTES", 10 * D * 8)


def as_frame():
    return pytest.importorskip("pandas").DataFrame(X, columns=NAMES)


def as_npy(path):
    np.save(path / "x.npy", X)
    return path / "x.npy"


def as_fortran_npy(path):
    np.save(path / "x.npy", np.asfortranarray(X))
    return str(path / "x.npy")


def as_npz(path):
    np.savez_compressed(path / "x.npz", X=X)
    return path / "x.npz"


def as_csv(path):
    pytest.importorskip("pyarrow")
    as_frame().to_csv(path / "x.csv", index=False)
    return path / "x.csv"


def as_parquet(path):
    pytest.importorskip("pyarrow")
    as_frame().to_parquet(path / "x.parquet", row_group_size=13)
    return path / "x.parquet"


def as_folder(path):
    pytest.importorskip("pyarrow")
    (path / "parts").mkdir()
    as_frame()[:21].to_parquet(path / "parts" / "a.parquet")
    as_frame()[21:].to_parquet(path / "parts" / "b.parquet")
    return path / "parts"


def as_callable(path):
    return lambda: iter(np.array_split(X, 8))


def as_lazy_frame(path):
    return pytest.importorskip("polars").DataFrame(X, schema=NAMES).lazy()


STREAMS = [
    as_npy, as_fortran_npy, as_npz, as_csv, as_parquet, as_folder, as_callable, as_lazy_frame,
]  # fmt: skip
IN_MEMORY = {
    "array": lambda: X,
    "list": lambda: X.tolist(),
    "fortran": lambda: np.asfortranarray(X),
    "strided": lambda: np.repeat(X, 2, axis=1)[::-1, ::2][::-1],
    "read-only": lambda: np.broadcast_to(X, X.shape),
    "big-endian": lambda: X.astype(">f8"),
    "int64": lambda: X.astype(np.int64),
    "pandas": as_frame,
    "polars": lambda: pytest.importorskip("polars").DataFrame(X, schema=NAMES),
    "pyarrow": lambda: pytest.importorskip("pyarrow").table(dict(zip(NAMES, X.T, strict=True))),
    "csr_array": lambda: sp.csr_array(X),
    "csc_matrix": lambda: sp.csc_matrix(X),
    "coo_array": lambda: sp.coo_array(X),
    "lil_matrix": lambda: sp.lil_matrix(X),
}


@pytest.mark.parametrize("make", STREAMS)
@pytest.mark.parametrize("multiple", [1, 3, 10, 11, 57, 100])
def test_streams_are_cut_where_batches_end(tmp_path, small_chunks, make, multiple):
    with opened(make(tmp_path), np.zeros(N)) as data:
        assert not data.in_memory
        assert (data.n_samples, data.n_features, data.dtype) == (N, D, np.float64)
        for _ in range(2):
            chunks = list(data.chunks(multiple))
            lengths = [len(chunk) for chunk, _ in chunks]
            assert all(length % multiple == 0 for length in lengths[:-1])
            assert all(length <= max(10, multiple) for length in lengths)
            assert all(chunk.flags.c_contiguous for chunk, _ in chunks)
            assert [first for _, first in chunks] == [0, *np.cumsum(lengths)[:-1]]
            np.testing.assert_array_equal(np.concatenate([chunk for chunk, _ in chunks]), X)


@pytest.mark.parametrize("make", [as_npy, as_npz, as_parquet, as_folder])
def test_small_files_are_read_into_memory(tmp_path, make):
    with opened(make(tmp_path)) as data:
        assert data.in_memory
        np.testing.assert_array_equal(data.X, X)


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_what_is_in_memory_is_one_chunk(small_chunks, kind):
    with opened(IN_MEMORY[kind](), list(range(N))) as data:
        assert data.in_memory
        assert data.y == list(range(N))
        (chunk, first), = data.chunks(7)
        assert first == 0
        assert chunk.dtype == data.dtype == np.float64
        assert (data.n_samples, data.n_features) == chunk.shape
        np.testing.assert_array_equal(dense(chunk), X)
        assert sp.issparse(chunk) or chunk.flags.c_contiguous
        assert data.X is chunk


def test_a_file_of_a_sparse_matrix_is_one(tmp_path):
    for matrix in (sp.csr_array(X), sp.coo_matrix(X)):
        sp.save_npz(tmp_path / "x.npz", matrix)
        with opened(str(tmp_path / "x.npz")) as data:
            assert data.in_memory
            assert data.X.format == "csr"
            np.testing.assert_array_equal(data.X.toarray(), X)


def test_arrays_are_read_where_they_lie():
    with opened(X) as data:
        assert np.may_share_memory(data.X, X)
    rows = sp.csr_array(X)
    with opened(rows) as data:
        assert np.may_share_memory(data.X.data, rows.data)


@pytest.mark.parametrize(
    ("dtype", "kept", "work"),
    [
        ("float64", "float64", "float64"), ("float32", "float32", "float32"),
        ("float16", "float16", "float32"), ("uint8", "uint8", "float32"),
        ("int8", "int8", "float32"), ("int16", "int16", "float32"), ("int32", "int32", "float64"),
        ("int64", "float64", "float64"), ("bool", "uint8", "float32"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("make", [np.array, sp.csr_array])
def test_dtypes_are_kept(dtype, kept, work, make):
    if make is sp.csr_array and dtype == "float16":
        pytest.skip("scipy has no sparse matrices of halves")
    whole = (X[:4] > -95).astype(dtype)
    with opened(make(whole)) as data:
        assert data.dtype == data.X.dtype == kept
        assert data.work_dtype == work
        np.testing.assert_array_equal(dense(data.X), whole)


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 99), st.booleans())
def test_csr_is_sorted_and_has_no_column_twice(n, d, seed, wide):
    rng = np.random.default_rng(seed)
    nnz = int(rng.integers(0, n * d))
    i, j, v = rng.integers(0, n, nnz), rng.integers(0, d, nnz), rng.integers(-9, 10, nnz) * 1.0
    expected = np.zeros((n, d))
    np.add.at(expected, (i, j), v)
    order = np.argsort(i, kind="stable")
    index = np.int64 if wide else np.int32
    indptr = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=n))]).astype(index)
    given_ = sp.csr_matrix((v[order], j[order].astype(index), indptr), shape=(n, d))
    before = given_.indices.copy(), given_.data.copy()
    made = as_csr(given_)
    np.testing.assert_array_equal(made.toarray(), expected)
    for lo, hi in itertools.pairwise(made.indptr):
        assert np.all(np.diff(made.indices[lo:hi]) > 0)
    np.testing.assert_array_equal(given_.indices, before[0])
    np.testing.assert_array_equal(given_.data, before[1])


@pytest.mark.parametrize(
    ("indices", "indptr"),
    [([0, 7], [0, 1, 2]), ([-1, 0], [0, 1, 2]), ([0, 1], [0, 2, 1]), ([0, 1], [0, 1, 9])],
)
def test_a_damaged_sparse_matrix_is_refused(indices, indptr):
    damaged = sp.csr_array(np.eye(2))
    damaged.indices = np.array(indices, np.int32)
    damaged.indptr = np.array(indptr, np.int32)
    with pytest.raises(ValueError, match="X is a damaged sparse matrix"):
        as_csr(damaged)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("make", [np.array, sp.csr_array, sp.csc_array])
def test_bad_numbers_in_memory_are_named_at_once(bad, make):
    spoiled = X.copy()
    spoiled[31, 3] = spoiled[40, 1] = bad
    what = "NaN" if np.isnan(bad) else "infinity"
    with pytest.raises(ValueError, match=f"X contains {what}: .* row 31, column 3"):
        with opened(make(spoiled)):
            pass


def test_bad_numbers_in_a_stream_are_named_when_they_are_read(tmp_path, small_chunks):
    spoiled = X.copy()
    spoiled[31, 3] = np.nan
    np.save(tmp_path / "x.npy", spoiled)
    for stream in (tmp_path / "x.npy", lambda: np.array_split(spoiled, 8)):
        with opened(stream) as data:
            with pytest.raises(ValueError, match="row 31, column 3"):
                list(data.chunks(4))


def test_an_iterator_is_read_once_or_refused():
    with opened(iter(np.array_split(X, 5)), np.zeros(N), once=True) as data:
        np.testing.assert_array_equal(np.concatenate([c for c, _ in data.chunks(2)]), X)
        with pytest.raises(RuntimeError, match="read only once"):
            list(data.chunks())
    with pytest.raises(ValueError, match="can be read only once, but training reads it every"):
        with opened(iter([X])):
            pass


@pytest.mark.parametrize(("rows", "said"), [(50, "57 or more rows"), (64, "57 rows")])
def test_streams_of_another_length_than_y_are_refused(rows, said):
    with opened(lambda: [X], np.zeros(rows)) as data:
        with pytest.raises(ValueError, match=f"X has {said}, y has {rows}"):
            list(data.chunks())


def test_a_stream_takes_the_memory_of_a_few_chunks():
    rows = 1 << 16  # of 8 MiB, while a chunk has 16

    def batches():
        return (np.full((rows, 16), i, np.float64) for i in range(16))

    with opened(batches) as data:
        tracemalloc.start()
        try:
            total = sum(float(chunk[:, 0].sum()) for chunk, _ in data.chunks(100))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert total == rows * 120
    assert peak < 4 * sources.BATCH_BYTES < 16 * rows * 16 * 8


def test_lengths_in_memory_must_agree():
    for data, y, w, said in (
        (X, np.zeros(50), None, "X has 57 rows, y has 50"),
        (X, None, np.ones(50), "X has 57 rows, sample_weight has 50"),
        (sp.csr_array(X), [1, 2], None, "X has 57 rows, y has 2"),
        (lambda: [X], np.zeros(57), np.ones(3), "y has 57 rows, sample_weight has 3"),
    ):
        with pytest.raises(ValueError, match=said), opened(data, y, w):
            pass


def test_weights():
    with opened(X, None, np.arange(N)) as data:
        assert data.sample_weight.dtype == np.float64
        np.testing.assert_array_equal(data.sample_weight, np.arange(N))
    with opened(X, None, 2) as data:
        np.testing.assert_array_equal(data.sample_weight, np.full(N, 2.0))
    with opened(X, None, None) as data:
        assert data.sample_weight is None


@pytest.mark.parametrize(
    ("w", "said"),
    [
        (np.full(N, -1.0), "finite and not negative; sample_weight.0. is -1"),
        ([1.0] * (N - 1) + [np.nan], "sample_weight.56. is nan"),
        (np.zeros(N), "all are zero"),
        (np.ones((N, 2)), r"got shape \(57, 2\)"),
    ],
)
def test_weights_that_make_no_sense_are_refused(w, said):
    with pytest.raises(ValueError, match=said), opened(X, None, w):
        pass


def test_an_empty_x_is_refused():
    for empty in (np.empty((0, 3)), sp.csr_array((0, 3)), np.empty((3, 0)), lambda: [X[:0]]):
        with pytest.raises(ValueError, match="Found array with 0 "), opened(empty) as data:
            list(data.chunks())
    with pytest.raises(ValueError, match="Expected 2D array, got 1D"), opened(sp.coo_array(X[0])):
        pass


def test_what_is_in_chunks_has_no_whole(tmp_path, small_chunks):
    with opened(as_npy(tmp_path)) as data, pytest.raises(ValueError, match=r"Read it with chunks"):
        _ = data.X


def test_the_estimator_notes_columns_and_holds_later_data_to_them(tmp_path):
    pytest.importorskip("pyarrow")
    estimator = BaseEstimator()
    with opened(as_parquet(tmp_path), estimator=estimator):
        assert estimator.n_features_in_ == D
        assert list(estimator.feature_names_in_) == NAMES
    with opened(as_csv(tmp_path), estimator=estimator, reset=False) as data:
        assert data.n_samples is None
    as_frame()[list("abedc")].to_csv(tmp_path / "y.csv", index=False)
    with pytest.raises(ValueError, match=r"feature names should match .* column 2 is 'e', not 'c'"):
        with opened(tmp_path / "y.csv", estimator=estimator, reset=False):
            pass
    estimator = BaseEstimator()
    with opened(sp.csr_array(X), estimator=estimator):
        assert estimator.n_features_in_ == D
    for wrong in (X[:, :4], sp.csr_array(X[:, :4])):
        with pytest.raises(ValueError, match="X has 4 features, but BaseEstimator is expecting 5"):
            with opened(wrong, estimator=estimator, reset=False):
                pass


LABELS = np.array(["no", "yes"] * 40)[:N]


def labelled(kind, path):
    frame = as_frame()
    frame.insert(2, "label", LABELS)
    if kind == "pandas":
        return frame
    if kind in ("polars", "lazy"):
        polars = pytest.importorskip("polars").DataFrame(frame.to_dict("list"))
        return polars if kind == "polars" else polars.lazy()
    pa = pytest.importorskip("pyarrow")
    if kind == "pyarrow":
        return pa.Table.from_pandas(frame)
    if kind == "csv":
        frame.to_csv(path / "t.csv", index=False)
        return str(path / "t.csv")
    if kind == "categories":
        frame["label"] = frame["label"].astype("category")
    if kind == "folder":
        (path / "t").mkdir()
        frame[:30].to_parquet(path / "t" / "a.parquet")
        frame[30:].to_parquet(path / "t" / "b.parquet")
        return path / "t"
    frame.to_parquet(path / "t.parquet")
    return path / "t.parquet"


KINDS = ["pandas", "polars", "lazy", "pyarrow", "csv", "parquet", "categories", "folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_named_column_is_the_target(tmp_path, kind):
    estimator = BaseEstimator()
    with opened(labelled(kind, tmp_path), "label", estimator=estimator) as data:
        assert list(estimator.feature_names_in_) == NAMES
        assert data.n_samples == N
        np.testing.assert_array_equal(data.y.astype(str), LABELS)
        whole = np.concatenate([chunk for chunk, _ in data.chunks()])
        np.testing.assert_array_equal(whole, X)


@pytest.mark.parametrize("kind", ["pandas", "lazy", "csv", "parquet"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path, kind):
    with pytest.raises(ValueError, match=r"y='lable' names no column .* 'a', 'b', 'label'"):
        with opened(labelled(kind, tmp_path), "lable"):
            pass


def test_a_name_for_what_has_no_columns(tmp_path):
    for data in (X, as_npy(tmp_path), lambda: [X]):
        with pytest.raises(TypeError, match="y='label' names a column, which only"):
            with opened(data, "label"):
                pass


@pytest.mark.parametrize(
    ("cells", "kind"), [(["1", "2"], "i"), (["1", "2.5"], "f"), (["1", "b"], "O")]
)
def test_a_csv_target_is_numbers_if_all_its_cells_are(tmp_path, cells, kind):
    pytest.importorskip("pyarrow")
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(f"3,{cell}\n" for cell in cells))
    with opened(tmp_path / "t.csv", "y") as data:
        assert data.y.dtype.kind == kind
        expected = {"i": [1, 2], "f": [1.0, 2.5], "O": ["1", "b"]}[kind]
        assert data.y.tolist() == expected


def test_images_in_a_column_of_lists_with_a_label_beside_it(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    images = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), D)
    write_table(pa.table({"label": LABELS, "image": images}), tmp_path / "t.parquet")
    with opened(tmp_path / "t.parquet", "label") as data:
        np.testing.assert_array_equal(data.X, X)
        np.testing.assert_array_equal(data.y, LABELS)
