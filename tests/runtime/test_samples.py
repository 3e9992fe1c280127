"""The samples are scikit-learn's data, bit for bit, without scikit-learn."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_sample_image
from sklearn.feature_extraction.image import extract_patches_2d

from mmlfast.runtime.sources import BATCH_BYTES, open_source


def test_digits():
    source = open_source("sample:digits")
    assert (source.n_rows, source.n_features, source.dtype) == (1797, 64, np.uint8)
    assert source.image_shape == (8, 8)
    assert source.array.flags.c_contiguous
    np.testing.assert_array_equal(source.array, load_digits().data)
    (batch,) = source.batches()
    np.testing.assert_array_equal(batch, source.array)


def test_patches():
    pytest.importorskip("PIL")
    source = open_source("sample:patches")
    assert (source.n_rows, source.n_features, source.dtype) == (265_860, 192, np.uint8)
    assert source.image_shape == (8, 8, 3)
    assert source.array is None
    assert source.rewindable
    expected = extract_patches_2d(load_sample_image("china.jpg"), (8, 8)).reshape(-1, 192)
    for _ in range(2):
        first = 0
        for batch in source.batches():
            assert batch.flags.c_contiguous
            assert batch.nbytes <= BATCH_BYTES
            np.testing.assert_array_equal(batch, expected[first : first + len(batch)], strict=True)
            first += len(batch)
        assert first == 265_860


@pytest.mark.parametrize("name", ["sample:", "sample:faces"])
def test_other_samples_are_refused(name):
    with pytest.raises(ValueError, match="is not a sample; there are sample:digits, sample:patch"):
        open_source(name)


def test_patches_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'sample:patches needs Pillow.*"mmlfast\[plot\]"'):
        open_source("sample:patches")


def test_neither_sources_nor_samples_import_heavy_packages():
    code = (
        "import sys; from mmlfast.runtime.sources import open_source\n"
        "for batch in open_source('sample:digits').batches(): pass\n"
        "heavy = {'sklearn', 'scipy', 'pandas', 'polars', 'pyarrow', 'narwhals', 'numba'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
