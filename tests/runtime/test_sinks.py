"""Rows written block by block come back as one array, or nothing is left."""

from __future__ import annotations

import os

import numpy as np
import pytest

from mmlfast.runtime import sinks
from mmlfast.runtime.sinks import open_sink, require_sink

COLUMNS = ["pca0", "pca1", "pca2"]


def read(path):
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    table = pytest.importorskip("pyarrow.parquet").read_table(path)
    assert table.column_names == COLUMNS
    return np.column_stack([column.to_numpy() for column in table.columns])


@pytest.fixture(params=["scores.npy", "scores.parquet"])
def path(request, tmp_path):
    if request.param.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    return tmp_path / request.param


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [[1], [3, 1, 7], [1] * 40, [9, 0, 2]])
def test_blocks_come_back_as_one_array(path, dtype, sizes):
    rows = np.arange(sum(sizes) * 3, dtype=dtype).reshape(-1, 3)
    with open_sink(path, COLUMNS) as sink:
        for block in np.split(rows, np.cumsum(sizes)[:-1]):
            sink.write(block)
        assert sink.n_rows == len(rows)
        assert not path.exists()
    found = read(path)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, rows)
    assert os.listdir(path.parent) == [path.name]


def test_any_layout_of_the_block_serves(path):
    rows = np.arange(60.0).reshape(3, 20).T[::-2]
    with open_sink(path, COLUMNS) as sink:
        sink.write(rows)
    np.testing.assert_array_equal(read(path), rows)


def test_a_block_used_again_by_its_writer_is_kept_as_it_was(path):
    block = np.empty((2, 3))
    with open_sink(path, COLUMNS) as sink:
        for value in range(4):
            block[:] = value
            sink.write(block)
    np.testing.assert_array_equal(read(path)[:, 0], np.repeat(np.arange(4.0), 2))


def test_row_groups_are_joined_and_cut(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(sinks, "_ROW_GROUP_BYTES", 10 * 3 * 8)
    with open_sink(tmp_path / "a.parquet", COLUMNS) as sink:
        for _ in range(25):
            sink.write(np.ones((1, 3)))
    groups = parquet.ParquetFile(tmp_path / "a.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [10, 10, 5]


def test_no_blocks_make_an_empty_array(path):
    with open_sink(path, COLUMNS):
        pass
    assert read(path).shape == (0, 3)


def write_then(path, *blocks, failure=None):
    with open_sink(path, COLUMNS) as sink:
        for block in blocks:
            sink.write(block)
        if failure is not None:
            raise failure


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_a_failure(path, failure):
    with pytest.raises(failure):
        write_then(path, np.ones((5, 3)), failure=failure)
    assert os.listdir(path.parent) == []


def test_blocks_of_another_width_or_dtype_are_refused(path):
    with pytest.raises(ValueError, match=r"shape \(n, 3\); got shape \(5, 2\)"):
        write_then(path, np.ones((5, 2)))
    with pytest.raises(ValueError, match="first block, float64; got float32"):
        write_then(path, np.ones((5, 3)), np.ones((5, 3), dtype=np.float32))
    assert os.listdir(path.parent) == []


def test_unknown_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"end in .npy or .parquet; got .*scores.txt"):
        require_sink(tmp_path / "scores.txt")


def test_require_sink_leaves_nothing(path):
    require_sink(path)
    assert os.listdir(path.parent) == []
    with pytest.raises(FileNotFoundError, match="does not exist"):
        require_sink(path.parent / "nowhere" / path.name)
