"""Parquet and CSV files are streamed, and what is wrong with one is said with its name."""

from __future__ import annotations

import gzip
import sys

import numpy as np
import pytest

from mmlfast.runtime import delimited, sources
from mmlfast.runtime.sources import open_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

X = np.arange(60, dtype=np.float64).reshape(20, 3)


def whole(source):
    batches = list(source.batches())
    assert all(batch.dtype == source.dtype and len(batch) for batch in batches)
    assert all(batch.flags.c_contiguous for batch in batches)
    return np.concatenate(batches)


def check(source, expected, names=None):
    assert source.rewindable
    assert source.feature_names == names
    assert source.n_features == expected.shape[1]
    assert source.n_rows in (None, len(expected))
    for _ in range(2):
        np.testing.assert_array_equal(whole(source), expected, strict=True)


def table(X, names="abc"):
    return pa.table({name: X[:, j] for j, name in enumerate(names)})


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 64 bytes, so that small data is cut."""
    monkeypatch.setattr(sources, "BATCH_BYTES", 64)


# Parquet


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("ending", ["parquet", "pq", "PARQUET"])
def test_parquet_file(tmp_path, ending):
    path = tmp_path / f"X.{ending}"
    pq.write_table(table(X), path, row_group_size=6)
    source = open_source(path)
    assert (source.name, source.n_rows) == (str(path), 20)
    check(source, X, ["a", "b", "c"])


@pytest.mark.parametrize("dtype", ["f4", "f2", "u1", "i1", "i2", "i4"])
def test_parquet_numbers_are_read_as_they_are(tmp_path, dtype):
    pq.write_table(table(X.astype(dtype)), tmp_path / "X.parquet", row_group_size=6)
    check(open_source(tmp_path / "X.parquet"), X.astype(dtype), ["a", "b", "c"])


def test_parquet_missing_integers_become_nan(tmp_path):
    data = pa.table({"a": pa.array([1, 2, None], pa.uint8()), "b": [True, False, True]})
    pq.write_table(data, tmp_path / "X.parquet", row_group_size=1)
    expected = np.float32([[1, 1], [2, 0], [np.nan, 1]])
    check(open_source(tmp_path / "X.parquet"), expected, ["a", "b"])


def test_parquet_without_statistics_reads_integers_as_floats(tmp_path):
    data = pa.table({"a": pa.array([1, 2], pa.uint8())})
    pq.write_table(data, tmp_path / "X.parquet", write_statistics=False)
    check(open_source(tmp_path / "X.parquet"), np.float32([[1], [2]]), ["a"])


def test_parquet_fixed_size_lists_are_a_matrix(tmp_path):
    numbers = np.arange(48, dtype=np.uint8)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(numbers), 16)
    pq.write_table(pa.table({"pixels": lists}), tmp_path / "X.parquet")
    source = open_source(tmp_path / "X.parquet")
    assert source.image_shape == (4, 4)
    check(source, numbers.reshape(3, 16))


def test_parquet_leaves_out_the_index_of_pandas(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abc"), index=[f"row {i}" for i in range(20)])
    frame.to_parquet(tmp_path / "X.parquet")
    check(open_source(tmp_path / "X.parquet"), X, ["a", "b", "c"])


def test_parquet_folder_in_the_order_of_names(tmp_path):
    folder = tmp_path / "X"
    (folder / "part=2").mkdir(parents=True)
    pq.write_table(table(X[:5].astype(np.uint8)), folder / "part-0.parquet")
    pq.write_table(table(X[5:9].astype(np.float32)), folder / "part-1.parquet")
    pq.write_table(table(X[9:]), folder / "part=2" / "0.parquet")
    (folder / "_SUCCESS").touch()
    (folder / "_left.parquet").write_bytes(b"half-written")
    (folder / ".part.parquet.crc").touch()
    (folder / "readme.txt").touch()
    for given in (folder, str(folder)):
        source = open_source(given)
        assert source.n_rows == 20
        check(source, X, ["a", "b", "c"])


def test_parquet_folder_without_files(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder without \.parquet files"):
        open_source(tmp_path)


def test_parquet_folder_of_other_columns(tmp_path):
    pq.write_table(table(X), tmp_path / "0.parquet")
    pq.write_table(table(X, "acb"), tmp_path / "1.parquet")
    with pytest.raises(ValueError, match=r"1\.parquet has other columns than .*0\.parquet"):
        open_source(tmp_path)


def test_parquet_columns_without_numbers_are_named(tmp_path):
    path = tmp_path / "X.parquet"
    for values, kind in ((["x"], "string"), ([[1, 2]], "list"), ([{"f": 1}], "struct")):
        pq.write_table(pa.table({"good": [1.0], "bad": values}), path)
        with pytest.raises(ValueError, match=rf"X\.parquet: column 'bad' .*its type is {kind}"):
            open_source(path)


def test_parquet_without_rows(tmp_path):
    pq.write_table(table(X[:0]), tmp_path / "X.parquet")
    source = open_source(tmp_path / "X.parquet")
    assert (source.n_rows, source.n_features) == (0, 3)
    assert list(source.batches()) == []


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n" * 10, b"PAR1" + bytes(50)])
def test_parquet_that_is_something_else(tmp_path, content):
    path = tmp_path / "X.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"X\.parquet cannot be read as Parquet.*it starts with"):
        open_source(path)


def test_parquet_cut_short(tmp_path):
    path = tmp_path / "X.parquet"
    pq.write_table(table(X), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"X\.parquet cannot be read as Parquet"):
        open_source(path)


def test_parquet_that_breaks_while_it_is_read(tmp_path):
    path = tmp_path / "X.parquet"
    pq.write_table(table(X), path, compression="gzip", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    source = open_source(path)
    with pytest.raises(ValueError, match=r"X\.parquet cannot be read as Parquet"):
        list(source.batches())


# CSV


def test_csv_with_and_without_a_header(tmp_path):
    path = tmp_path / "X.csv"
    path.write_text("a,b\n1,2.5\n-3,4e2\n")
    source = open_source(path)
    assert (source.name, source.n_rows, source.dtype) == (str(path), None, np.float64)
    check(source, np.array([[1, 2.5], [-3, 400]]), ["a", "b"])
    path.write_text("1,2.5\n-3,4e2\n")
    check(open_source(path), np.array([[1, 2.5], [-3, 400]]))
    path.write_text("1,2.5")
    check(open_source(path), np.array([[1, 2.5]]))
    path.write_text("a,b")
    assert list(open_source(path).batches()) == []


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("a,b\r\n1,2\r\n\r\n3,4\r\n", ["a", "b"], [[1, 2], [3, 4]]),
        ("\ufeffa,b\n1,2\n", ["a", "b"], [[1, 2]]),
        ("\ufeff1,2\n3,4\n", None, [[1, 2], [3, 4]]),
        ("\n\n1,2\n", None, [[1, 2]]),
        ('"a,1",b\n1,"2"\n', ["a,1", "b"], [[1, 2]]),
        ('"1","2"\n3,4\n', None, [[1, 2], [3, 4]]),
        ("a,a\n1,2\n", ["a", "a"], [[1, 2]]),
        (",x\n0,5\n1,6\n", ["", "x"], [[0, 5], [1, 6]]),
        ("a,b\n1,\nNA,nan\nnull, 2 \n", ["a", "b"], [[1, np.nan], [np.nan, np.nan], [np.nan, 2]]),
        ("1,,nan\n4,5,6\n", None, [[1, np.nan, np.nan], [4, 5, 6]]),
        ("a,b\n,1\n,2\n", ["a", "b"], [[np.nan, 1], [np.nan, 2]]),
        ("a\ninf\n-inf\n1e-320\n", ["a"], [[np.inf], [-np.inf], [1e-320]]),
        ("größe\n1\n", ["größe"], [[1]]),
    ],
)
def test_csv_dialects(tmp_path, text, names, expected):
    (tmp_path / "X.csv").write_bytes(text.encode())
    check(open_source(tmp_path / "X.csv"), np.array(expected, dtype=float), names)


def test_tsv_and_gz(tmp_path):
    (tmp_path / "X.tsv").write_text("a\tb\n1\t2\n")
    check(open_source(tmp_path / "X.tsv"), np.array([[1.0, 2]]), ["a", "b"])
    (tmp_path / "X.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    check(open_source(tmp_path / "X.csv.gz"), np.array([[1.0, 2]]), ["a", "b"])
    (tmp_path / "X.tsv.gz").write_bytes(gzip.compress(b"1\t2\n"))
    check(open_source(tmp_path / "X.tsv.gz"), np.array([[1.0, 2]]))


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of text so small that a file has many."""
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 64)


@pytest.mark.usefixtures("small_blocks", "small_batches")
def test_csv_types_may_change_between_blocks(tmp_path):
    numbers = np.arange(200.0).reshape(100, 2)
    numbers[60:] += 0.5
    numbers[80] = np.nan
    lines = [f"{a:g},{b:g}" for a, b in numbers]
    lines[80] = ","
    (tmp_path / "X.csv").write_text("\n".join(lines))
    check(open_source(tmp_path / "X.csv"), numbers)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("row", [0, 3, 57, 99])
def test_csv_text_is_named_by_column_row_and_value(tmp_path, row):
    lines = [f"{i},{i}" for i in range(100)]
    lines[row] = f"{row},blue"
    lines.append("red,1")
    (tmp_path / "X.csv").write_text("\n".join(["size,colour", *lines]))
    match = rf"X\.csv: column 'colour' must hold numbers, but row {row} .*'blue'.*Leave the col"
    with pytest.raises(ValueError, match=match):
        list(open_source(tmp_path / "X.csv").batches())


def test_csv_text_in_the_first_block_is_told_when_opened(tmp_path):
    for text, value in (
        ("a,b\n1,2\n1,x\n", "x"),
        ("a,b\n1,2020-01-01\n", "2020-01-01"),
        ("a,b\n1,true\n", "true"),
        ("a,b\n1,1_000\n", "1_000"),
        ("a,b\n1,NA\n2,?\n", r"\?"),
    ):
        (tmp_path / "X.csv").write_text(text)
        with pytest.raises(ValueError, match=f"column 'b' must hold numbers.*'{value}'"):
            open_source(tmp_path / "X.csv")
    (tmp_path / "X.csv").write_bytes(b"a,b\n1,\xff\xfe\n")
    with pytest.raises(ValueError, match="column 'b' must hold numbers"):
        open_source(tmp_path / "X.csv")


def test_csv_with_uneven_rows(tmp_path):
    (tmp_path / "X.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(ValueError, match=r"X\.csv cannot be read as CSV: .*Expected 2 columns"):
        list(open_source(tmp_path / "X.csv").batches())


def test_csv_of_a_header_alone_has_no_rows(tmp_path):
    (tmp_path / "X.csv").write_text("a,b\n")
    source = open_source(tmp_path / "X.csv")
    assert source.feature_names == ["a", "b"]
    assert list(source.batches()) == []


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x93NUMPY\x01\x00v\x00", b"PAR1\x00\x01"])
def test_csv_that_is_something_else(tmp_path, content):
    (tmp_path / "X.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"X\.csv is not a CSV file: it starts with"):
        open_source(tmp_path / "X.csv")


def test_csv_gz_that_is_something_else(tmp_path):
    for content in (b"a,b\n1,2\n", gzip.compress(b"a,b\n1,2\n" * 1000)[:-20]):
        (tmp_path / "X.csv.gz").write_bytes(content)
        with pytest.raises(ValueError, match=r"X\.csv\.gz cannot be read as CSV"):
            list(open_source(tmp_path / "X.csv.gz").batches())


def test_csv_with_wide_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 1 << 16)
    numbers = np.arange(10_000.0).reshape(2, 5000)
    np.savetxt(tmp_path / "X.csv", numbers, delimiter=",", fmt="%d")
    check(open_source(tmp_path / "X.csv"), numbers)


@pytest.mark.parametrize("name", ["X.csv", "X.parquet", "folder"])
def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch, name):
    if name == "folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=rf'{name} needs pyarrow.*"mmlfast\[parquet\]"'):
        open_source(tmp_path / name)
