"""float16 is read exactly: all 65 536 bit patterns."""

from __future__ import annotations

import numpy as np
import pytest

from mmlfast.kernels.covariance import centre_rows, panel_shape
from mmlfast.runtime.validate import base_of
from tests import reference

ALL_BITS = np.arange(1 << 16, dtype=np.uint16)


def read(halves, n_features):
    """Read through the kernel that centres rows, with a shift of zero."""
    rows = halves.reshape(-1, n_features)
    panel = np.zeros(panel_shape(n_features, np.dtype(np.float32)), np.float32)
    shift, sums = np.zeros(n_features, np.float32), np.zeros(n_features, np.float32)
    blocks = []
    base, strides = base_of(rows)
    for lo in range(0, len(rows), 64):
        centre_rows(base, strides, lo, 64, shift, panel, 0, sums)
        blocks.append(reference.from_panel(panel, 64, n_features))
    return np.concatenate(blocks).ravel()


# Whole vectors, and columns too few for one, which go number by number.
@pytest.mark.parametrize("n_features", [256, 2])
def test_every_bit_pattern(n_features):
    halves = ALL_BITS.view(np.float16)
    expected = halves.astype(np.float32)
    actual = read(halves, n_features)
    bad = ~np.isfinite(expected)
    # x − 0 keeps every bit of a finite x but the sign of −0.
    np.testing.assert_array_equal(actual[~bad], expected[~bad])
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_array_equal(actual[np.isinf(expected)], expected[np.isinf(expected)])


def test_the_oracle_is_the_definition():
    some = [0, 1, 0x3FF, 0x400, 0x3C00, 0x7BFF, 0x7C00, 0x7C01, 0x8000, 0x8001, 0xC000, 0xFC00]
    expected = [reference.half_to_float(bits) for bits in some]
    np.testing.assert_array_equal(np.array(some, np.uint16).view(np.float16), expected)
