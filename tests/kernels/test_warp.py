"""Kernels that read between pixels: exact on dyadic numbers, never outside of the image."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast.kernels import spline, warp
from tests import reference_warp as reference

DTYPES = ["uint8", "uint16", "float32", "float64"]
CHANNELS = [1, 2, 3, 4]
# Entries with few bits: coordinates, weights and sums are exact in every dtype.
DYADIC = np.array([[0.75, -0.5, 1.25], [0.5, 0.75, -2.0]])


def whole_pixels(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def warped(image, M, shape, taps=2, rule=warp.FILL, edges=None, fill=0, span=None):
    """The kernel's output for one image (H, W, C), in a frame of sentinels that must survive."""
    height, width, channels = image.shape
    pad = max(0, -(-8 // (channels * image.itemsize)) - width)
    stored = np.pad(image, ((0, 0), (0, pad), (0, 0)), mode="edge")
    layout = (channels, height, width + pad, (width + pad) * channels, 0)
    edges = edges or tuple((0.0, side - 1.0, 1.0, 0.0) for side in (width, height))
    sentinel = np.nan if image.dtype.kind == "f" else 77
    frame = np.full((3, shape[0], shape[1] * channels), sentinel, image.dtype)
    pattern = np.full(warp.TILE_COLUMNS * channels, fill, image.dtype)
    matrices = np.array([M], np.float64)
    span = span or (0, shape[0])
    warp.warp(taps, stored.reshape(-1), layout, matrices, (rule, edges), pattern, frame[1:2], span)
    np.testing.assert_array_equal(frame[0], frame[2])
    assert (np.isnan(frame[0]) if image.dtype.kind == "f" else frame[0] == 77).all()
    return frame[1].reshape(*shape, channels)


def expected(image, M, shape, order, **options):
    planes = [
        reference.warp(image[..., c], M, shape, order, **options) for c in range(image.shape[2])
    ]
    return reference.rounded(np.stack(planes, axis=-1), image.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("taps", [1, 2])
def test_exact_on_whole_numbers(taps, channels, dtype):
    image = whole_pixels((20, 33, channels), dtype)
    got = warped(image, DYADIC, (25, 40), taps, fill=9)
    want = expected(image, DYADIC, (25, 40), taps - 1, cval=9)
    np.testing.assert_array_equal(got, want, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_exact_at_every_width_of_the_output(channels, dtype):
    """Whole groups, rests of groups, several tiles, several bands."""
    image = whole_pixels((9, 150, channels), dtype)
    M = np.array([[0.5, 0.25, 0.5], [0.0, 0.125, 0.25]])
    want = expected(image, M, (67, 2 * warp.TILE_COLUMNS + 17), 1)
    for width in [*range(1, 36), 127, 128, 129, want.shape[1]]:
        got = warped(image, M, (67, width))
        np.testing.assert_array_equal(got, want[:, :width], strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 2), (2, 9), (3, 2), (7, 5)])
def test_exact_on_small_images(shape, dtype):
    for channels, shift in itertools.product(CHANNELS, (-1.0, 0.0, 0.5, 1.0)):
        image = whole_pixels((*shape, channels), dtype)
        M = np.array([[1.0, 0.0, shift], [0.0, 1.0, -shift]])
        np.testing.assert_array_equal(
            warped(image, M, (9, 11), fill=3), expected(image, M, (9, 11), 1, cval=3)
        )


@pytest.mark.parametrize("value", [0, 254])
def test_bytes_are_rounded_half_up(value):
    image = np.array([[[value], [value + 1]]] * 2, "uint8")
    M = np.array([[0.125, 0.0, 0.0], [0.0, 1.0, 0.0]])
    got = warped(image, M, (1, 9))[0, :, 0]
    np.testing.assert_array_equal(got, [value] * 4 + [value + 1] * 5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_close_to_the_exact_value_anywhere(dtype):
    highest = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1000
    image = np.random.default_rng(0).integers(0, highest + 1, (40, 50, 3)).astype(dtype)
    M = np.array([[0.8, -0.61, 12.3], [0.59, 0.83, -9.7]])
    got = warped(image, M, (45, 55)).astype(np.float64)
    want = np.stack([reference.warp(image[..., c], M, (45, 55)) for c in range(3)], axis=-1)
    error = {"float32": 1000 * 2.0**-21, "float64": 1e-9}.get(dtype, 0.5 + 2.0**-13)
    assert np.abs(got - want).max() <= error


@pytest.mark.parametrize("dtype", DTYPES)
def test_spline_of_coefficients(dtype):
    """Output of any dtype from float64 coefficients, the overshoot cut off."""
    coefficients = np.random.default_rng(0).uniform(-100, 400, (24, 30))
    M = np.array([[0.9, -0.3, 5.0], [0.3, 0.9, 1.0]])
    out = np.zeros((1, 20, 21), dtype)
    edges = tuple((0.0, float(side), 1.0, 0.0) for side in (30 - 5, 24 - 5))
    warp.warp(
        4, coefficients.reshape(-1), (1, 24, 30, 30, 0), M[None], (warp.CLAMP, edges),
        np.zeros(warp.TILE_COLUMNS, dtype), out, (0, 20),
    )  # fmt: skip
    want = np.empty((20, 21))
    for r, c in np.ndindex(want.shape):
        x, y = np.clip(M @ (c, r, 1), 0, (25.0, 19.0))
        w = reference.weights(y % 1, 3), reference.weights(x % 1, 3)
        part = coefficients[int(y) + 1 : int(y) + 5, int(x) + 1 : int(x) + 5]
        want[r, c] = np.array(w[0]) @ part @ np.array(w[1])
    error = {"float32": 1e-4, "float64": 1e-11}.get(dtype, 0.5 + 1e-9)
    if np.dtype(dtype).kind == "u":
        want = want.clip(0, np.iinfo(dtype).max)
    assert np.abs(out[0] - want).max() <= error


def test_spline_filter_finds_the_coefficients():
    x = np.random.default_rng(0).standard_normal((3, 9, 13))
    margin = spline.MARGIN
    for pad, mode in (("reflect", "mirror"), ("symmetric", "reflect"), ("wrap", "grid-wrap")):
        A = np.pad(x, ((0, 0), (margin, margin), (margin, margin)), mode=pad)
        count, height, width = A.shape
        for cuts in ((0, 100), (100, 101), (101, count * width)):
            spline.filter_down(A, *cuts)
        rows = A.reshape(-1, width)
        for cuts in ((0, 3), (3, 70), (70, count * height)):
            spline.filter_along(rows, *cuts)
        for image, found in zip(x, A[:, margin:-margin, margin:-margin], strict=True):
            want = reference.spline_coefficients(image, mode)
            np.testing.assert_allclose(found, want, atol=1e-13)


def test_spline_filter_keeps_to_its_part():
    A = np.ones((2, 20, 30))
    spline.filter_down(A, 10, 20)
    assert (A[0, :, :10] == 1).all()
    assert (A[0, :, 20:] == 1).all()
    assert (A[1] == 1).all()
    spline.filter_along(A[1], 3, 14)
    assert (A[1, :3] == 1).all()
    assert (A[1, 14:] == 1).all()


RULES = {
    "nearest": (warp.CLAMP, lambda n: (1.0, 0.0)),
    "mirror": (warp.TRIANGLE, lambda n: (max(2.0 * n - 2, 1.0), 0.0)),
    "reflect": (warp.TRIANGLE, lambda n: (2.0 * n, -0.5)),
    "wrap": (warp.SAWTOOTH, lambda n: (max(n - 1.0, 1.0), 0.0)),
}


@pytest.mark.parametrize("mode", RULES)
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_folding_whole_coordinates(n, mode):
    rule, numbers = RULES[mode]
    xs = np.arange(-40.0, 40.0)
    folded = xs.copy()
    warp.fold(folded, 0, len(xs), rule, (0.0, n - 1.0, *numbers(n)))
    if mode == "wrap":
        want = [reference.wrapped(x, n) for x in xs]
    else:
        want = [reference.index(int(x), n, mode) for x in xs]
    np.testing.assert_array_equal(folded, want)


@given(x=st.floats(-1e9, 1e9), n=st.integers(1, 50), mode=st.sampled_from(list(RULES)))
def test_folded_coordinates_are_inside(x, n, mode):
    rule, numbers = RULES[mode]
    xs = np.array([x])
    warp.fold(xs, 0, 1, rule, (0.0, n - 1.0, *numbers(n)))
    assert 0 <= xs[0] <= n - 1


@given(
    base=st.floats(-1e6, 1e6),
    step=st.one_of(st.just(0.0), st.floats(-100, 100), st.floats(-1e-300, 1e-300)),
    last=st.integers(0, 1000),
    width=st.integers(1, 300),
)
def test_columns_inside_are_those_that_are(base, step, last, width):
    begin, end = warp.columns_inside(base, step, 0.0, float(last), width)
    assert 0 <= begin <= end <= width
    columns = np.arange(width)
    xs = base + step * columns
    near = 1e-9 * (1 + np.abs(base))
    inside = (columns >= begin) & (columns < end)
    assert (inside | (xs < near) | (xs > last - near)).all()
    assert (~inside | ((xs >= -near) & (xs <= last + near))).all()


@pytest.mark.parametrize("taps", [1, 2])
def test_parts_are_the_same_bits(taps):
    image = np.random.default_rng(0).random((30, 41, 3)).astype("float32")
    M = np.array([[0.8, -0.6, 9.0], [0.6, 0.8, -3.0]])
    whole = warped(image, M, (100, 90), taps)
    for cuts in ((0, 64, 100), (0, 1, 2, 70, 100)):
        for lo, hi in itertools.pairwise(cuts):
            part = warped(image, M, (100, 90), taps, span=(lo, hi))
            np.testing.assert_array_equal(part[lo:hi], whole[lo:hi])


def test_many_images_with_a_matrix_each():
    images = whole_pixels((5, 12, 14, 3), "uint8")
    rng = np.random.default_rng(1)
    matrices = np.array([[[1, 0, s], [0, 1, -s]] for s in rng.integers(-3, 4, 5) / 4])
    out = np.zeros((5, 10, 11 * 3), "uint8")
    edges = tuple((0.0, side - 1.0, 1.0, 0.0) for side in (14, 12))
    layout = (3, 12, 14, 14 * 3, 12 * 14 * 3)
    pattern = np.zeros(warp.TILE_COLUMNS * 3, "uint8")
    for span in ((0, 23), (23, 50)):
        warp.warp(2, images.reshape(-1), layout, matrices, (warp.FILL, edges), pattern, out, span)
    for image, M, found in zip(images, matrices, out, strict=True):
        want = expected(image, M, (10, 11), 1)
        np.testing.assert_array_equal(found.reshape(10, 11, 3), want)


GUARDED = """
import ctypes, itertools, mmap
import numpy as np
from mmlfast.kernels import warp
from tests import reference_warp as reference

page = mmap.PAGESIZE
area = mmap.mmap(-1, 3 * page)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
libc = ctypes.CDLL(None, use_errno=True)
for forbidden in (start, start + 2 * page):
    assert libc.mprotect(ctypes.c_void_p(forbidden), page, 0) == 0
middle = np.frombuffer(area, np.uint8)[page : 2 * page]
M = np.array([[[0.5, 0.0, -1.0], [0.0, 0.5, -1.0]]])
for dtype, channels, taps, end in itertools.product(
    ("uint8", "uint16", "float32", "float64"), (1, 2, 3, 4), (1, 2), (False, True)
):
    size = np.dtype(dtype).itemsize
    rows, columns = 5, max(3, -(-8 // (channels * size)))
    n = rows * columns * channels * size
    image = (middle[page - n :] if end else middle[:n]).view(dtype)
    image[:] = np.arange(len(image)) % 200
    out = np.zeros((1, 12, 20 * channels), dtype)
    edges = ((0.0, columns - 1.0, 1.0, 0.0), (0.0, rows - 1.0, 1.0, 0.0))
    fill = np.zeros(warp.TILE_COLUMNS * channels, dtype)
    # Downwards, and from the last row upwards.
    for first, stride in ((0, columns * channels), (rows - 1, -columns * channels)):
        flat = image[first * columns * channels :]
        layout = (channels, rows, columns, stride, 0)
        warp.warp(taps, flat, layout, M, (warp.CLAMP, edges), fill, out, (0, 12))
        pixels = image.reshape(rows, columns, channels)[:: 1 if first == 0 else -1]
        want = np.stack([
            reference.warp(pixels[..., c], M[0], (12, 20), taps - 1, "nearest")
            for c in range(channels)
        ], axis=-1)
        want = reference.rounded(want, dtype)
        assert (out.reshape(want.shape) == want).all(), (dtype, channels, taps, end, first)
print("whole")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forbids pages in Linux's way")
def test_nothing_outside_of_the_image_is_read(run_python):
    """Images that begin and end where memory does: a byte too far ends the process."""
    assert run_python(GUARDED).strip() == "whole"
