"""Sizes in words, and what the system says about memory."""

from __future__ import annotations

import pytest

from mmlfast.runtime.memory import available_bytes, format_bytes, parse_bytes, peak_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GB", 2 * 10**9),
        ("512MiB", 512 * 2**20),
        ("1.5e9", 1_500_000_000),
        ("1e+6", 10**6),
        ("64", 64),
        ("64B", 64),
        ("3 kb", 3000),
        ("0.5GiB", 2**29),
        (".5G", 5 * 10**8),
        ("1TiB", 2**40),
    ],
)
def test_sizes(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GB", "-1GB", "0", "0.2", "2XB", "2iB", "1e99", "nan", "inf", "2GB3", "1e-3GB"]
)
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="such as 2GB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("n_bytes", "expected"),
    [
        (0, "0 B"),
        (96, "96 B"),
        (1536, "1.50 KiB"),
        (512 * 2**20, "512 MiB"),
        (14.2 * 2**30, "14.2 GiB"),
        (3000 * 2**40, "3000 TiB"),
    ],
)
def test_sizes_in_words(n_bytes, expected):
    assert format_bytes(n_bytes) == expected


def test_readings_are_positive_or_absent():
    for reading in (peak_bytes(), available_bytes()):
        assert reading is None or reading > 0
