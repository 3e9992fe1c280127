"""rotate_image: every layout and dtype, exact quarter turns, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import Transform, rotate_image
from mmlfast.api.images import rotate_transparent

DTYPES = ["uint8", "uint16", "float32", "float64"]


def picture(shape, dtype="uint8", seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)])
@pytest.mark.parametrize("order", [0, 1, 3])
def test_quarter_turns_are_those_of_rot90(order, channels, dtype):
    image = picture((70, 150, *channels), dtype)
    for k in (-5, -1, 0, 1, 2, 3, 4, 400):
        got = rotate_image(image, 90 * k, order=order, expand=True)
        np.testing.assert_array_equal(got, np.rot90(image, k), strict=True)
        square = image[:, :70]
        got = rotate_image(square, 90.0 * k, order=order)
        np.testing.assert_array_equal(got, np.rot90(square, k), strict=True)
    for angle in (-0.0, 360.0, -720):
        np.testing.assert_array_equal(rotate_image(image, angle, order=order), image, strict=True)


def test_quarter_turns_within_the_same_frame():
    image = picture((4, 8))
    want = np.zeros_like(image)
    want[:, 2:6] = np.rot90(image)[2:6]
    np.testing.assert_array_equal(rotate_image(image, 90), want)
    # Here the centre lies between pixels: half a pixel off, so it is interpolated.
    odd = rotate_image(np.full((4, 7), 100, "uint8"), 90)
    np.testing.assert_array_equal(odd[:, 2:5], 100)


def test_counter_clockwise_on_the_screen():
    image = np.zeros((101, 101))
    image[50, 90] = 1
    got = rotate_image(image, 30)
    row, column = np.unravel_index(np.argmax(got), got.shape)
    assert (row, column) == (50 - 20, round(50 + 40 * np.cos(np.pi / 6)))


@pytest.mark.parametrize("order", [1, 3])
def test_as_scipy_turns(order):
    image = np.random.default_rng(0).random((41, 60))
    want = scipy.ndimage.rotate(image, 33.3, reshape=False, order=order, mode="reflect")
    got = rotate_image(image, 33.3, order=order, mode="reflect")
    np.testing.assert_allclose(got, want, atol=1e-6 if order == 3 else 1e-11)


@given(angle=st.floats(-1e6, 1e6), order=st.sampled_from([0, 1]), dtype=st.sampled_from(DTYPES))
def test_any_angle_keeps_the_range(angle, order, dtype):
    image = picture((9, 14, 3), dtype)
    got = rotate_image(image, angle, order=order, mode="nearest")
    assert got.shape == image.shape
    assert got.dtype == dtype
    assert got.min() >= image.min() - 1e-4
    assert got.max() <= image.max() + 1e-4


def test_the_centre_stays():
    image = picture((30, 40), "float64")
    got = rotate_image(image, 77, center=(11, 7), order=3)
    assert got[7, 11] == pytest.approx(image[7, 11])


def laid_out(image, layout):
    if layout == "F":
        return np.asfortranarray(image)
    if layout == "reversed":
        return image[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    if layout == "upside down":
        return image[::-1].copy()[::-1]
    if layout == "strided":
        wide = np.full((2 * len(image), 3 * image.shape[1], 5), 99).astype(image.dtype)
        wide[::2, ::3, :3] = image
        return wide[::2, ::3, :3]
    if layout == "cut out":
        wide = np.full((len(image) + 4, image.shape[1] + 6, 3), 99).astype(image.dtype)
        wide[2:-2, 3:-3] = image
        return wide[2:-2, 3:-3]
    if layout == "planes":
        return np.ascontiguousarray(np.moveaxis(image, 2, 0)).transpose(1, 2, 0)
    if layout == "read-only":
        image = image.copy()
        image.flags.writeable = False
    if layout == "swapped":
        return image.astype(image.dtype.newbyteorder())
    if layout == "misaligned":
        raw = np.empty(image.nbytes + 1, np.uint8)[1:].view(image.dtype).reshape(image.shape)
        raw[...] = image
        return raw
    if layout == "broadcast":
        return np.broadcast_to(image, image.shape)
    return image


LAYOUTS = ["F", "reversed", "upside down", "strided", "cut out", "planes", "read-only", "swapped",
           "misaligned", "broadcast"]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_same_picture(layout, dtype):
    image = picture((23, 31, 3), dtype)
    for order in (0, 1, 3):
        want = rotate_image(image, 20, order=order)
        given_image = laid_out(image, layout)
        np.testing.assert_array_equal(rotate_image(given_image, 20, order=order), want, strict=True)
        np.testing.assert_array_equal(given_image, image)
    grey = laid_out(image, layout)[..., 1]
    np.testing.assert_array_equal(rotate_image(grey, 20), rotate_image(image, 20)[..., 1])


@pytest.mark.parametrize("stretched", [0, 1])
def test_pixels_that_all_lie_in_one_place(stretched):
    image = np.broadcast_to(picture((1, 20) if stretched == 0 else (20, 1)), (20, 20))
    np.testing.assert_array_equal(rotate_image(image, 40), rotate_image(image.copy(), 40))


@pytest.mark.parametrize("channels", [5, 6, 9])
@pytest.mark.parametrize("order", [1, 3])
def test_any_number_of_channels(order, channels):
    images = picture((2, 15, 17, channels))
    got = rotate_image(images, 50, order=order, cval=range(channels))
    for c in range(channels):
        want = rotate_image(images[..., c : c + 1], 50, order=order, cval=c)
        np.testing.assert_array_equal(got[..., c : c + 1], want)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_an_angle_for_each_image(order):
    images = picture((70, 13, 17, 3), "float32")
    angles = np.random.default_rng(1).uniform(-400, 400, 70)
    got = rotate_image(images, angles, order=order, mode="mirror")
    for image, angle, found in zip(images, angles, got, strict=True):
        want = rotate_image(image, angle, order=order, mode="mirror")
        np.testing.assert_array_equal(found, want)
    one = rotate_image(images, 15, order=order)
    np.testing.assert_array_equal(one[3], rotate_image(images[3], 15, order=order))
    np.testing.assert_array_equal(rotate_image(images[:1, ..., 0, None], 15)[0, ..., 0],
                                  rotate_image(images[0, ..., 0], 15))  # fmt: skip
    assert rotate_image(images[:0], 15, order=order).shape == (0, 13, 17, 3)


def test_a_pixel():
    image = np.array([[7]], "uint8")
    for angle in (0, 30, 45, 90, 1234.5):
        for order in (0, 1, 3):
            for mode in ("constant", "nearest", "reflect", "mirror", "wrap", "grid-wrap"):
                got = rotate_image(image, angle, order=order, mode=mode, expand=True)
                np.testing.assert_array_equal(got, image, strict=True)


def test_nan_stays_where_it_is():
    image = np.ones((40, 40))
    image[20, 25] = np.nan
    got = rotate_image(image, 30, mode="nearest")
    assert 1 <= np.isnan(got).sum() <= 6
    row, column = np.argwhere(np.isnan(got)).mean(axis=0)
    T = Transform.rotation(-30, degrees=True, center=(19.5, 19.5))
    np.testing.assert_allclose(T.apply([25.0, 20.0]), [column, row], atol=1)
    assert (got[~np.isnan(got)] == 1).all()
    assert np.isnan(rotate_image(image, 30, cval=np.nan)[0, 0])
    with pytest.raises(ValueError, match=r"order=3.*contains NaN.*row 20, column 25"):
        rotate_image(image, 30, order=3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cval_fills_each_channel(dtype):
    image = np.zeros((20, 30, 3), dtype)
    got = rotate_image(image, 30, cval=(1, 2, 200))
    np.testing.assert_array_equal(got[0, 0], np.array([1, 2, 200], dtype))
    smooth = rotate_image(image, 30, cval=(1, 2, 200), mode="grid-constant")
    np.testing.assert_array_equal(smooth[0, 0], np.array([1, 2, 200], dtype))
    assert len(np.unique(smooth[..., 2])) > 5
    assert set(np.unique(got[..., 2])) == {0, 200}


@pytest.mark.parametrize("dtype", DTYPES)
def test_out_is_overwritten_and_its_frame_is_not(dtype):
    image = picture((33, 44, 3), dtype)
    want = rotate_image(image, 25)
    frame = np.full((39, 54, 3), 77, dtype)
    for out in (frame[3:-3, 5:-5], np.full((33, 44, 3), 77, dtype), frame[3:-3, 5:-5][::-1]):
        frame[...] = 77
        assert rotate_image(image, 25, out=out) is out
        np.testing.assert_array_equal(out, want)
        if out.base is not None:
            out[...] = 77
            assert (frame == 77).all()
    grey = np.empty((44, 33), dtype)
    rotate_image(image[..., 0], 90, expand=True, out=grey)
    np.testing.assert_array_equal(grey, np.rot90(image[..., 0]))


IMAGE = picture((10, 12, 3))


@pytest.mark.parametrize(
    ("image", "degrees", "options", "kind", "error"),
    [
        (IMAGE.astype(int), 1, {}, TypeError, "uint8, uint16, float32 or float64; got int64"),
        (IMAGE.astype("float16"), 1, {}, TypeError, r"got float16.*astype\('float32'\)"),
        (IMAGE > 9, 1, {}, TypeError, "got bool"),
        (IMAGE * 1j, 1, {}, TypeError, "got complex128"),
        (IMAGE[0, 0], 1, {}, ValueError, r"shape \(H, W\), \(H, W, C\).*got \(3,\)"),
        (np.zeros((5, 6, 7)), 1, {}, ValueError, r"image\[\.\.\., None\]"),
        (IMAGE[:0], 1, {}, ValueError, "at least one pixel"),
        (IMAGE[..., :0], 1, {}, ValueError, "at least one pixel"),
        (np.ma.masked_less(IMAGE, 9), 1, {}, ValueError, "masked pixels"),
        (IMAGE, float("nan"), {}, ValueError, "degrees must be finite; got nan"),
        (IMAGE, float("inf"), {}, ValueError, "degrees must be finite"),
        (IMAGE, "30", {}, TypeError, "degrees must hold real numbers"),
        (IMAGE, [1, 2], {}, ValueError, "2 transforms need as many images; got 1"),
        (IMAGE, 1, {"order": 2}, ValueError, "order must be 0 .* got 2"),
        (IMAGE, 1, {"order": True}, ValueError, "order must be 0"),
        (IMAGE, 1, {"mode": "edge"}, ValueError, "mode must be one of constant, .*got 'edge'"),
        (IMAGE, 1, {"cval": 256}, ValueError, "cval must be a whole number from 0 to 255"),
        (IMAGE, 1, {"cval": 0.5}, ValueError, "cval must be a whole number"),
        (IMAGE, 1, {"cval": float("nan")}, ValueError, "cval must be a whole number"),
        (IMAGE, 1, {"cval": (1, 2)}, ValueError, "3 numbers, one for each channel"),
        (IMAGE, 1, {"cval": "red"}, ValueError, "cval must be a number"),
        (IMAGE, 1, {"center": (1, 2, 3)}, ValueError, "center must be 2 numbers"),
        (IMAGE, 1, {"n_jobs": 0}, ValueError, "n_jobs must be"),
        (IMAGE, 1, {"out": IMAGE}, ValueError, "must not share memory"),
        (IMAGE, 1, {"out": IMAGE[1:].copy()}, ValueError, r"out must be an array of shape \(10,"),
        (IMAGE, 1, {"out": IMAGE.astype("f4")}, TypeError, "out must have dtype uint8"),
        (IMAGE, 1, {"out": np.broadcast_to(IMAGE, IMAGE.shape)}, ValueError, "read-only"),
        (IMAGE, 1, {"out": [1]}, ValueError, "out must be an array"),
    ],
)  # fmt: skip
def test_what_is_refused(image, degrees, options, kind, error):
    with pytest.raises(kind, match=error):
        rotate_image(image, degrees, **options)


def test_lists_of_numbers_are_images_too():
    np.testing.assert_array_equal(rotate_image([[1.0, 2.0]], 180), [[2.0, 1.0]])


def test_transparent_pixels_lend_no_colour():
    image = np.zeros((40, 60, 4), "uint8")
    image[..., :3] = (0, 255, 0)
    image[10:30, 15:45] = (200, 100, 50, 255)
    got = rotate_transparent(image, 30, cval=(0, 0, 0, 0))
    seen = got[..., 3] > 0
    assert (np.abs(got[seen][:, :3].astype(int) - (200, 100, 50)) <= 1).all()
    np.testing.assert_array_equal(got[..., 3], rotate_image(image[..., 3], 30))
    assert ((got[..., 3] > 0) & (got[..., 3] < 255)).any()
    for degrees in (180, 90, 270):
        np.testing.assert_array_equal(
            rotate_transparent(image, degrees, expand=True), np.rot90(image, degrees // 90)
        )
    np.testing.assert_array_equal(
        rotate_transparent(image, 30, order=0), rotate_image(image, 30, order=0)
    )
