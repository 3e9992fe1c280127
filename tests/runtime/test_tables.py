"""Data frames and Arrow streams become the matrix of their columns."""

from __future__ import annotations

import decimal
import sys

import numpy as np
import pytest

from mmlfast.runtime import sources
from mmlfast.runtime.sources import open_source


def whole(source):
    batches = list(source.batches())
    assert all(batch.dtype == source.dtype and len(batch) for batch in batches)
    return np.concatenate(batches)


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


@pytest.fixture
def pl():
    return pytest.importorskip("polars")


@pytest.fixture
def pa():
    return pytest.importorskip("pyarrow")


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 64 bytes, so that small data is cut."""
    monkeypatch.setattr(sources, "BATCH_BYTES", 64)


X = np.arange(60, dtype=np.float64).reshape(20, 3)
COLUMNS = {name: X[:, j] for j, name in enumerate("abc")}
MIXED = {
    "bytes": np.arange(20, dtype=np.uint8),
    "single": np.arange(20, dtype=np.float32) / 2,
    "flag": np.arange(20) % 3 == 0,
}
MIXED_X = np.column_stack([column.astype(np.float32) for column in MIXED.values()])


def check(source, expected, names=None, n_rows=20):
    assert source.feature_names == names
    assert (source.n_rows, source.n_features) == (n_rows, expected.shape[1])
    for _ in range(2 if source.rewindable else 1):
        np.testing.assert_array_equal(whole(source), expected, strict=True)


# pandas


def test_pandas_frame_of_one_block_is_a_view(pd):
    frame = pd.DataFrame(X, columns=list("abc"))
    source = open_source(frame)
    assert np.shares_memory(source.array, frame.to_numpy())
    check(source, X, ["a", "b", "c"])
    booleans = open_source(pd.DataFrame(X > 7))
    assert booleans.array.dtype == np.uint8
    check(booleans, (X > 7).astype(np.uint8))
    integers = open_source(pd.DataFrame(X.astype(np.int64)))
    assert integers.array is None
    check(integers, X)


@pytest.mark.usefixtures("small_batches")
def test_pandas_frame_of_many_blocks_is_read_slice_by_slice(pd):
    source = open_source(pd.DataFrame(MIXED, index=range(100, 120)))
    assert source.array is None
    assert len(list(source.batches())) == 4
    check(source, MIXED_X, list(MIXED))


@pytest.mark.parametrize("labels", [[0, 1, 2], ["a", 1, "c"], [("a", 1), ("a", 2), ("b", 1)]])
def test_pandas_labels_that_are_not_strings_are_no_names(pd, labels):
    check(open_source(pd.DataFrame(X, columns=labels)), X)


def test_pandas_labels_may_repeat(pd):
    frame = pd.concat([pd.DataFrame(X), pd.DataFrame(X.astype(np.float32))], axis=1)
    frame.columns = list("abcabc")
    check(open_source(frame), np.hstack([X, X]), list("abcabc"))


def test_pandas_nullable_columns(pd):
    frame = pd.DataFrame({"a": pd.array([1, 2], dtype="UInt8"), "b": pd.array([3, 4], "Int16")})
    check(open_source(frame), np.int16([[1, 3], [2, 4]]), ["a", "b"], n_rows=2)
    frame = pd.DataFrame(
        {"a": pd.array([1, None], dtype="UInt8"), "b": pd.array([None, True], "boolean")}
    )
    check(open_source(frame), np.float32([[1, np.nan], [np.nan, 1]]), ["a", "b"], n_rows=2)
    frame = pd.DataFrame({"a": pd.array([None, 2], dtype="Int64")})
    check(open_source(frame), np.float64([[np.nan], [2]]), ["a"], n_rows=2)


def test_pandas_arrow_columns(pd, pa):
    frame = pd.DataFrame({"a": [1.5, None], "b": [1, 2]}).astype(
        {"a": pd.ArrowDtype(pa.float32()), "b": pd.ArrowDtype(pa.int16())}
    )
    check(open_source(frame), np.float32([[1.5, 1], [np.nan, 2]]), ["a", "b"], n_rows=2)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda pd: ["x", "y"], "its type is (str|object)"),  # str from pandas 3 on
        (lambda pd: pd.Series(["x", 1], dtype=object), "its type is object"),
        (lambda pd: pd.Categorical([1, 2]), "its type is category"),
        (lambda pd: pd.to_datetime(["2020-01-01", "2021-01-01"]), "its type is datetime64"),
        (lambda pd: pd.to_timedelta([1, 2]), "its type is timedelta64"),
        (lambda pd: pd.period_range("2020", periods=2, freq="Y"), "its type is period"),
        (lambda pd: [1j, 2j], "Complex data not supported: X: column 'bad'|column 'bad'"),
        (lambda pd: pd.arrays.SparseArray([0.0, 1.0]), "its type is Sparse"),
    ],
)
def test_pandas_columns_without_numbers_are_named(pd, make, match):
    with pytest.raises(ValueError, match=match) as info:
        open_source(pd.DataFrame({"good": [1.0, 2.0], "bad": make(pd)}))
    assert "X: column 'bad'" in str(info.value)


def test_pandas_frame_that_is_all_complex_names_a_column(pd):
    with pytest.raises(ValueError, match="Complex data not supported: X: column 'a'"):
        open_source(pd.DataFrame({"a": [1j]}))


def test_pandas_series_has_one_axis_only(pd):
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        open_source(pd.Series([1.0, 2.0]))


def test_pandas_frames_without_rows_or_columns(pd):
    source = open_source(pd.DataFrame(MIXED).iloc[:0])
    assert (source.n_rows, source.n_features) == (0, 3)
    assert list(source.batches()) == []
    source = open_source(pd.DataFrame(index=range(3)))
    assert (source.n_rows, source.n_features) == (3, 0)
    assert list(source.batches()) == []


# polars


@pytest.mark.usefixtures("small_batches")
def test_polars_frame(pl):
    check(open_source(pl.DataFrame(COLUMNS)), X, ["a", "b", "c"])
    check(open_source(pl.DataFrame(MIXED)), MIXED_X, list(MIXED))


def test_polars_frame_with_missing_values(pl):
    frame = pl.DataFrame({"a": [1, None], "b": [None, True]}, schema={"a": pl.UInt8, "b": bool})
    check(open_source(frame), np.float32([[1, np.nan], [np.nan, 1]]), ["a", "b"], n_rows=2)
    check(open_source(frame[["b"]]), np.float32([[np.nan], [1]]), ["b"], n_rows=2)


def test_polars_types_without_a_numpy_name(pl):
    frame = pl.DataFrame({"a": [decimal.Decimal("1.5"), None], "b": [1, 2]})
    check(open_source(frame), np.float64([[1.5, 1], [np.nan, 2]]), ["a", "b"], n_rows=2)
    with pytest.raises(ValueError, match=r"column 'b' .*its type is Int128"):
        open_source(frame.cast({"b": pl.Int128}))


@pytest.mark.parametrize("lazy", [False, True])
def test_polars_columns_without_numbers_are_named(pl, lazy):
    for values, kind in ((["x"], "String"), ([[1]], "List"), ([{"f": 1}], "Struct")):
        frame = pl.DataFrame({"good": [1.0], "bad": values})
        with pytest.raises(ValueError, match=f"X: column 'bad' .*its type is {kind}"):
            open_source(frame.lazy() if lazy else frame)


@pytest.mark.usefixtures("small_batches")
def test_polars_lazy_frame_is_collected_in_batches(pl):
    frame = pl.DataFrame(COLUMNS).lazy().with_columns(pl.col("a") + 1)
    source = open_source(frame)
    assert source.rewindable
    check(source, X + np.eye(3)[0], ["a", "b", "c"], n_rows=None)
    integers = pl.DataFrame({"a": [1, 2]}, schema={"a": pl.Int16}).lazy()
    check(open_source(integers), np.float32([[1], [2]]), ["a"], n_rows=None)


def test_polars_series_has_one_axis_only(pl):
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        open_source(pl.Series([1.0, 2.0]))


def test_pandas_and_polars_need_no_pyarrow(pd, pl, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    check(open_source(pd.DataFrame(MIXED)), MIXED_X, list(MIXED))
    check(open_source(pl.DataFrame(MIXED)), MIXED_X, list(MIXED))


# Arrow


@pytest.mark.usefixtures("small_batches")
def test_arrow_table(pa):
    table = pa.concat_tables([pa.table(COLUMNS).slice(0, 7), pa.table(COLUMNS).slice(7)])
    check(open_source(table), X, ["a", "b", "c"])
    source = open_source(pa.table(MIXED))
    assert all(batch.flags.c_contiguous for batch in source.batches())
    check(source, MIXED_X, list(MIXED))


@pytest.mark.parametrize(
    ("kinds", "dtype"),
    [
        (["uint8"], "uint8"),
        (["bool"], "uint8"),
        (["uint8", "int8"], "int16"),
        (["uint16"], "int32"),
        (["uint16", "float"], "float32"),
        (["int32", "float"], "float64"),
        (["int64"], "float64"),
        (["uint32", "int32"], "float64"),
        (["halffloat"], "float16"),
        (["halffloat", "float"], "float32"),
    ],
)
def test_the_dtype_holds_all_columns(pa, kinds, dtype):
    arrays = [
        pa.array(np.array([1, 0], dtype=pa.type_for_alias(k).to_pandas_dtype())) for k in kinds
    ]
    source = open_source(pa.Table.from_arrays(arrays, [str(i) for i in range(len(kinds))]))
    assert source.dtype == dtype
    np.testing.assert_array_equal(whole(source), np.array([[1], [0]], dtype).repeat(len(kinds), 1))


def test_arrow_missing_values_become_nan(pa):
    for kind, dtype in (
        (pa.uint8(), "f4"),
        (pa.bool_(), "f4"),
        (pa.int32(), "f8"),
        (pa.float16(), "f2"),
        (pa.float32(), "f4"),
        (pa.decimal128(5, 1), "f8"),
    ):
        table = pa.table({"a": pa.array([1, None, 0]).cast(pa.float64()).cast(kind)})
        check(open_source(table), np.array([[1], [np.nan], [0]], dtype), ["a"], n_rows=3)
    nothing = pa.table({"a": pa.nulls(2), "b": pa.array([1.0, 2])})
    check(open_source(nothing), np.array([[np.nan, 1], [np.nan, 2]]), ["a", "b"], n_rows=2)


def test_arrow_integers_beyond_float64_are_rounded(pa):
    table = pa.table({"a": pa.array([2**53 + 1, -(2**63)], pa.int64())})
    check(open_source(table), np.float64([[2**53], [-(2**63)]]), ["a"], n_rows=2)


def test_arrow_fixed_size_lists_are_a_matrix(pa):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(48, dtype=np.uint8)), 16)
    source = open_source(pa.table({"pixels": lists}))
    assert source.image_shape == (4, 4)
    check(source, np.arange(48, dtype=np.uint8).reshape(3, 16), n_rows=3)
    check(open_source(pa.table({"p": lists.slice(1)})), source_rows(1, 3), n_rows=2)
    lists = pa.array([[1, 2], None, [3, None]], pa.list_(pa.float32(), 2))
    expected = np.float32([[1, 2], [np.nan, np.nan], [3, np.nan]])
    check(open_source(pa.table({"p": lists})), expected, n_rows=3)


def source_rows(first, last):
    return np.arange(48, dtype=np.uint8).reshape(3, 16)[first:last]


def test_arrow_lists_with_missing_integers_become_floats(pa):
    lists = pa.array([[1, 2], [3, None], None], pa.list_(pa.int16(), 2))
    expected = np.float32([[1, 2], [3, np.nan], [np.nan, np.nan]])
    check(open_source(pa.table({"p": lists})), expected, n_rows=3)


def test_arrow_columns_without_numbers_are_named(pa):
    for values, kind in (
        (pa.array(["x"]), "string"),
        (pa.array(["x"]).dictionary_encode(), "dictionary"),
        (pa.array([0], pa.timestamp("s")), "timestamp"),
        (pa.array([[1]]), "list"),
        (pa.array([[1]], pa.list_(pa.int8(), 1)), "fixed_size_list"),
    ):
        table = pa.table({"good": [1.0], "bad": values})
        for data in (table, table.to_reader()):
            with pytest.raises(ValueError, match=f"X: column 'bad' .*its type is {kind}"):
                open_source(data)


@pytest.mark.usefixtures("small_batches")
def test_arrow_reader_is_read_once(pa):
    source = open_source(pa.table(COLUMNS).to_reader(max_chunksize=7))
    assert not source.rewindable
    check(source, X, ["a", "b", "c"], n_rows=None)
    with pytest.raises(RuntimeError, match="X can be read only once"):
        source.batches()


def test_arrow_record_batch(pa):
    source = open_source(pa.RecordBatch.from_pydict(COLUMNS))
    assert source.rewindable
    check(source, X, ["a", "b", "c"])
    parts = pa.table(COLUMNS).to_batches(max_chunksize=6)
    check(open_source(iter(parts)), X, ["a", "b", "c"], n_rows=None)


def test_anything_with_arrow_c_stream_is_read(pa):
    class Once:
        def __init__(self, table):
            self.table = table

        def __arrow_c_stream__(self, requested_schema=None):
            return self.table.__arrow_c_stream__(requested_schema)

    class Again(Once):
        shape = (20, 3)

    for kind in (Once, Again):
        source = open_source(kind(pa.table(COLUMNS)))
        assert source.rewindable == (kind is Again)
        check(source, X, ["a", "b", "c"], n_rows=None)


def test_arrow_streams_may_hold_missing_integers_unless_the_schema_says_no(pa):
    table = pa.table({"a": pa.array([1, 2], pa.uint8())})
    check(open_source(table.to_reader()), np.float32([[1], [2]]), ["a"], n_rows=None)
    schema = pa.schema([pa.field("a", pa.uint8(), nullable=False)])
    check(open_source(table.cast(schema).to_reader()), np.uint8([[1], [2]]), ["a"], n_rows=None)
    lying = pa.RecordBatch.from_arrays([pa.array([1, None], pa.uint8())], schema=schema)
    source = open_source(pa.RecordBatchReader.from_batches(schema, [lying]))
    with pytest.raises(ValueError, match="X: column 'a' has missing values, though its schema"):
        list(source.batches())


def test_arrow_arrays_have_one_axis_only(pa):
    for data in (pa.array([1.0]), pa.chunked_array([[1.0]])):
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            open_source(data)


def test_things_with_columns_that_are_no_frames_are_refused():
    class Query:
        columns = ("a", "b")

    with pytest.raises(TypeError, match=r"X must be a data frame.*got Query"):
        open_source(Query())
