"""The rows kept depend on the number of rows alone, not on how they are cut into blocks."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.runtime.sampling import RowSample


@pytest.mark.parametrize("n_rows", [1, 4, 5, 6, 99, 100, 101])
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_any_cut_keeps_the_same_rows(n_rows, size):
    X = np.arange(3 * n_rows).reshape(n_rows, 3)
    sample = RowSample(n_rows, limit=5, n_columns=2)
    for first in range(0, n_rows, size):
        sample.take(X[first : first + size])
    kept = sample.rows()
    assert 1 <= len(kept) <= 5
    np.testing.assert_array_equal(kept, X[:: -(-n_rows // 5), :2])


def test_blocks_used_again_are_kept_as_they_were():
    sample = RowSample(2, limit=2, n_columns=1)
    block = np.zeros((1, 1))
    for value in (1, 2):
        block[:] = value
        sample.take(block)
    assert sample.rows().ravel().tolist() == [1, 2]


def test_nothing_taken_is_an_empty_array():
    assert RowSample(0, limit=5, n_columns=2).rows().shape == (0, 2)
