"""Transform: what each map does to points and to pictures, and what is refused."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from mmlfast import Transform
from mmlfast.api.borders import EXTENSIONS
from tests import reference_warp as reference

DTYPES = ["uint8", "uint16", "float32", "float64"]
SMALL = st.integers(-9, 9)


def turned(degrees, **options):
    return Transform.rotation(degrees, degrees=True, **options)


TILTED = turned(23, center=[12.5, 8]) @ Transform.shear(xy=0.3) @ Transform.scaling(0.8, 1.2)


@pytest.mark.parametrize(
    ("transform", "matrix"),
    [
        (Transform.identity(), np.eye(3)),
        (Transform.identity(3), np.eye(4)),
        (Transform.translation(3, -4), [[1, 0, 3], [0, 1, -4], [0, 0, 1]]),
        (Transform.scaling(2), np.diag([2, 2, 1])),
        (Transform.scaling(2, 3, center=[1, 1]), [[2, 0, -1], [0, 3, -2], [0, 0, 1]]),
        (Transform.scaling(1, 2, 3), np.diag([1, 2, 3, 1])),
        (Transform.shear(xy=0.5, yx=-2), [[1, 0.5, 0], [-2, 1, 0], [0, 0, 1]]),
        (Transform.shear(zx=2), [[1, 0, 0, 0], [0, 1, 0, 0], [2, 0, 1, 0], [0, 0, 0, 1]]),
        (Transform.reflection([1, 1]), [[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        (Transform.reflection([0, 5], center=[2, 9]), [[-1, 0, 4], [0, 1, 0], [0, 0, 1]]),
        (Transform.from_matrix([[1, 2], [3, 4]]), [[1, 2, 0], [3, 4, 0], [0, 0, 1]]),
        (Transform.from_matrix([[1, 2, 5], [3, 4, 6]]), [[1, 2, 5], [3, 4, 6], [0, 0, 1]]),
        (Transform.from_matrix(np.eye(2), [1, 2]), [[1, 0, 1], [0, 1, 2], [0, 0, 1]]),
        (Transform.from_matrix(np.eye(3), [1, 2, 3]).inverse(),
         [[1, 0, 0, -1], [0, 1, 0, -2], [0, 0, 1, -3], [0, 0, 0, 1]]),
    ],
)  # fmt: skip
def test_the_matrix_of_a_map(transform, matrix):
    np.testing.assert_array_equal(transform.matrix, matrix)
    assert transform.matrix.dtype == np.float64


@pytest.mark.parametrize("k", range(-9, 10))
def test_quarter_turns_are_exact(k):
    c, s = [(1, 0), (0, 1), (-1, 0), (0, -1)][k % 4]
    for transform in (turned(90 * k), turned(90 * k + 360 * 10**9)):
        np.testing.assert_array_equal(transform.linear, [[c, -s], [s, c]])
    if abs(k) < 5:
        np.testing.assert_array_equal(Transform.rotation(k * (np.pi / 2)).linear, [[c, -s], [s, c]])


@given(angle=st.floats(-1e4, 1e4))
def test_radians_and_degrees_are_the_same_turn(angle):
    T = turned(angle)
    np.testing.assert_allclose(T.linear @ T.linear.T, np.eye(2), atol=1e-15)
    np.testing.assert_allclose(T.linear, Transform.rotation(np.radians(angle)).linear, atol=1e-11)


def test_turns_of_space():
    x, y, z = np.eye(3)
    assert np.array_equal(Transform.rotation(np.pi / 2, axis="z").apply(x), y)
    assert np.array_equal(Transform.rotation(np.pi / 2, axis="x").apply(y), z)
    assert np.array_equal(turned(90, axis=[0, 5, 0]).apply(z), x)
    about = turned(120, axis=[1, 1, 1])
    np.testing.assert_allclose(about.apply(x), y, atol=1e-15)
    np.testing.assert_allclose(turned(50, axis=[1, -2, 3]).determinant, 1)
    np.testing.assert_allclose(turned(7, axis="z", center=[1, 2, 3]).apply([1, 2, 9]), [1, 2, 9])


@given(a=SMALL, b=SMALL, across=st.tuples(SMALL, SMALL))
def test_a_mirror_of_the_plane(a, b, across):
    """T = E·T_E·Eᵀ with E from Gram–Schmidt, as the course has it."""
    c, d = across
    if a * d - b * c == 0:
        return
    E = np.linalg.qr(np.array([[a, c], [b, d]], float))[0]
    T = Transform.reflection([[a, c], [b, d]])
    np.testing.assert_allclose(T.linear, E @ np.diag([1, -1]) @ E.T, atol=1e-14)
    np.testing.assert_allclose(T.apply([a, b]), [a, b], atol=1e-13)
    np.testing.assert_allclose((T @ T).matrix, np.eye(3), atol=1e-14)
    assert T.determinant == pytest.approx(-1)


def test_a_mirror_of_space():
    basis = np.random.default_rng(0).standard_normal((3, 3))
    E = np.linalg.qr(basis)[0]
    for given_basis in (basis, basis[:, :2]):
        T = Transform.reflection(given_basis)
        np.testing.assert_allclose(T.linear, E @ np.diag([1, 1, -1]) @ E.T, atol=1e-14)
    np.testing.assert_array_equal(Transform.reflection(np.eye(3)).linear, np.diag([1, 1, -1]))


def affine_maps(dim=2):
    # np.linalg.det warns of a pivot whose reciprocal overflows, however small the determinant.
    number = st.floats(-3, 3, allow_subnormal=False)
    entries = st.lists(number, min_size=dim * (dim + 1), max_size=dim * (dim + 1))
    maps = entries.map(lambda x: Transform.from_matrix(np.reshape(x, (dim, dim + 1))))
    return maps.filter(lambda T: abs(T.determinant) > 0.1)


@given(a=affine_maps(), b=affine_maps())
def test_joining_and_undoing(a, b):
    points = np.random.default_rng(0).standard_normal((5, 2))
    np.testing.assert_allclose((b @ a).apply(points), b.apply(a.apply(points)), atol=1e-12)
    np.testing.assert_allclose((a @ a.inverse()).matrix, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(a.inverse().apply(a.apply(points)), points, atol=1e-9)
    np.testing.assert_allclose(
        (b @ a).determinant, b.determinant * a.determinant, rtol=1e-9, atol=1e-9
    )


def test_a_stack_is_many_maps():
    maps = [turned(angle) @ Transform.translation(angle, 1) for angle in (0, 30, 90)]
    stack = Transform.stack(maps)
    assert len(stack) == 3
    assert stack[1] == maps[1]
    assert stack[1:] == Transform.stack(maps[1:])
    points = np.random.default_rng(0).standard_normal((4, 2))
    np.testing.assert_array_equal(stack.apply(points), [T.apply(points) for T in maps])
    np.testing.assert_array_equal(stack.apply(points.T), [T.apply(points.T) for T in maps])
    np.testing.assert_array_equal(stack.apply([1.0, 2.0]), [T.apply([1.0, 2.0]) for T in maps])
    np.testing.assert_allclose((stack @ stack.inverse()).matrix, [np.eye(3)] * 3, atol=1e-14)
    np.testing.assert_allclose(stack.determinant, [1, 1, 1])
    assert turned([0, 30, 90]) == Transform.stack([turned(angle) for angle in (0, 30, 90)])
    assert (maps[1] @ stack)[2] == maps[1] @ maps[2]


def test_it_never_changes():
    T = turned(30)
    with pytest.raises(AttributeError, match="never changes"):
        T.matrix = np.eye(3)
    with pytest.raises(ValueError, match="read-only"):
        T.matrix[0, 0] = 5
    given_matrix = np.eye(3)
    copied = Transform(given_matrix)
    given_matrix[0, 0] = 7
    assert copied == Transform.identity()
    assert pickle.loads(pickle.dumps(T)) == T
    assert len({T, turned(30), turned(31)}) == 2
    assert T != "a turn"
    assert repr(Transform.identity()).startswith("Transform([[1., 0., 0.],\n           [0.")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_points_in_every_layout(dtype):
    T = Transform.from_matrix([[1, 2, 3], [4, 5, 6]])
    points = np.arange(10).reshape(5, 2).astype(dtype)
    want = np.stack([points @ [1, 2] + 3, points @ [4, 5] + 6], axis=1).astype(dtype)
    np.testing.assert_array_equal(T.apply(points), want, strict=True)
    np.testing.assert_array_equal(T.apply(points.T), want.T, strict=True)
    np.testing.assert_array_equal(T.apply(points[::-2]), want[::-2], strict=True)
    np.testing.assert_array_equal(T.apply(points[:2], layout="rows"), want[:2])
    np.testing.assert_array_equal(T.apply(points[:2].T, layout="columns"), want[:2].T)
    np.testing.assert_array_equal(T.apply(points[3]), want[3], strict=True)
    np.testing.assert_array_equal(T.apply(points.astype(int)), want.astype(float), strict=True)
    assert T.apply(points[:0]).shape == (0, 2)
    assert T.apply(points[:0].T).shape == (2, 0)


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "kind", "error"),
    [
        (lambda: Transform(np.eye(2)), ValueError, r"homogeneous, of shape \(3, 3\)"),
        (lambda: Transform([[1, 0, 0], [0, 1, 0], [0, 1, 1]]), ValueError, "last row of matrix"),
        (lambda: Transform(np.eye(3) * 1j), TypeError, "matrix must hold real numbers"),
        (lambda: Transform([[1], [2, 3]]), ValueError, "regular array"),
        (lambda: Transform(np.diag([NAN, 1, 1])), ValueError, "matrix must be finite"),
        (lambda: Transform.identity(4), ValueError, "dim must be 2 or 3; got 4"),
        (lambda: Transform.from_matrix(np.eye(4), [1, 2]), ValueError, "with offset"),
        (lambda: Transform.from_matrix(np.eye(2), [1]), ValueError, "offset must be 2 numbers"),
        (lambda: Transform.stack([]), ValueError, "one or more"),
        (lambda: Transform.stack([turned(1), turned(1, axis="x")]), ValueError, "all 2-D or"),
        (lambda: Transform.rotation(NAN), ValueError, "angle must be finite"),
        (lambda: Transform.rotation([[1]]), ValueError, "angle must be one number"),
        (lambda: Transform.rotation("90"), TypeError, "angle must hold real numbers"),
        (lambda: Transform.rotation(1, axis="w"), ValueError, "axis must be 'x', 'y', 'z'"),
        (lambda: Transform.rotation(1, axis=[0, 0, 0]), ValueError, "axis must not be the zero"),
        (lambda: Transform.rotation(1, center=[1, 2, 3]), ValueError, "center must be 2 numbers"),
        (lambda: Transform.scaling(), ValueError, "factors must be 2 or 3"),
        (lambda: Transform.scaling(1, 2, 3, 4), ValueError, "factors must be 2 or 3"),
        (lambda: Transform.translation(1), ValueError, "offset must be 2 or 3"),
        (lambda: Transform.reflection([0, 0]), ValueError, "basis must not be the zero vector"),
        (lambda: Transform.reflection([1, 2, 3]), ValueError, "as columns"),
        (lambda: Transform.reflection([[1, 2], [2, 4]]), ValueError, "columns are dependent"),
        (lambda: Transform.reflection([[1, 2], [1, 2], [0, 0]]), ValueError, "parallel"),
        (lambda: Transform.scaling(1, 0).inverse(), ValueError, "singular: it flattens"),
        (lambda: Transform.stack([turned(1), Transform.scaling(0)]).inverse(), ValueError,
         "Transform 1 of 2 is singular"),
        (lambda: turned(1) @ turned(1, axis="x"), ValueError, "cannot be joined"),
        (lambda: turned(1) @ np.eye(3), TypeError, r"apply\(points\)"),
        (lambda: len(turned(1)), TypeError, "no len"),
        (lambda: turned(1)[0], TypeError, "no parts"),
        (lambda: turned(1).apply(np.eye(2)), ValueError, "could be rows or columns"),
        (lambda: turned(1).apply(np.eye(3)), ValueError, r"must have shape \(n, 2\) or \(2, n\)"),
        (lambda: turned(1).apply(np.ones((2, 3)), layout="rows"), ValueError, r"shape \(n, 2\)"),
        (lambda: turned(1).apply(np.ones((2, 3)), layout="up"), ValueError, "layout must be"),
        (lambda: turned(1).apply([1.0, NAN]), ValueError, "points contains NaN"),
        (lambda: turned(1).apply([1j, 1]), TypeError, "points must hold real numbers"),
        (lambda: turned(1).apply(5.0), ValueError, "points must be a matrix"),
    ],
)  # fmt: skip
def test_what_is_refused(call, kind, error):
    with pytest.raises(kind, match=error):
        call()


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e200])
def test_a_scale_is_not_a_singularity(scale):
    T = Transform.scaling(scale, 1)
    np.testing.assert_allclose((T.inverse() @ T).matrix, np.eye(3))


@pytest.mark.parametrize("mode", EXTENSIONS)
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("shape", [(17, 25), (1, 30), (30, 1), (2, 3), (1, 1), (40, 3)])
def test_pictures_as_the_reference_has_them(shape, order, mode):
    image = np.random.default_rng(0).uniform(0, 255, shape)
    want = reference.warp(image, TILTED.inverse().matrix[:2], shape, order, mode, cval=7)
    for dtype in DTYPES:
        pixels = reference.rounded(image, dtype)
        got = TILTED.warp(pixels, order=order, mode=mode, cval=7)
        assert got.dtype == dtype
        if dtype[0] == "u":
            exact = reference.warp(pixels, TILTED.inverse().matrix[:2], shape, order, mode, cval=7)
            highest = np.iinfo(dtype).max
            assert np.abs(got - exact.clip(0, highest)).max() <= 0.5 + 2.0**-7
        else:
            np.testing.assert_allclose(got, want, rtol=0, atol={"float32": 2e-4}.get(dtype, 1e-8))


@pytest.mark.parametrize("mode", EXTENSIONS)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_pictures_as_scipy_has_them(order, mode):
    image = np.random.default_rng(0).random((60, 83))
    back = TILTED.inverse()
    want = scipy.ndimage.affine_transform(
        image, back.linear[::-1, ::-1], back.offset[::-1], order=order, mode=mode, cval=0.25
    )
    got = TILTED.warp(image, order=order, mode=mode, cval=0.25)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 if order == 3 else 1e-11)


def test_pictures_move_as_points_do():
    for T in (TILTED, turned(-70, center=[20, 11]), Transform.scaling(1.5, center=[9, 9])):
        image = np.zeros((30, 40))
        image[12, 17] = 1
        x, y = np.rint(T.apply([17.0, 12.0])).astype(int)
        got = T.warp(image)
        row, column = np.unravel_index(np.argmax(got), got.shape)
        assert abs(row - y) <= 1
        assert abs(column - x) <= 1


def test_mathematics_axes():
    """y up from the lower left pixel: the same turn goes the other way on the screen."""
    image = np.arange(12.0).reshape(3, 4)
    up = Transform.translation(0, 1)
    np.testing.assert_array_equal(up.warp(image, y_up=True)[:-1], image[1:])
    square = np.arange(16.0).reshape(4, 4)
    quarter = turned(90, center=[1.5, 1.5])
    np.testing.assert_array_equal(quarter.warp(square, y_up=True), np.rot90(square))
    np.testing.assert_array_equal(quarter.warp(square), np.rot90(square, -1))


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("mode", EXTENSIONS)
def test_whole_moves_move_pixels(mode, order):
    """Even NaN and huge numbers come through, and no order mixes them."""
    image = np.random.default_rng(0).random((6, 9))
    image[2, 3], image[4, 4] = np.nan, 1e300
    for T in (
        Transform.translation(4, -2), Transform.translation(-30, 11), Transform.reflection([1, 0]),
        Transform.reflection([1, 1]), turned(90, center=[3, 3]), turned(1e9 * 360 + 270),
        turned(33) @ turned(-33), TILTED.inverse() @ TILTED,
    ):  # fmt: skip
        want = reference.warp(image, np.rint(T.inverse().matrix[:2]), (6, 9), 0, mode, cval=5)
        np.testing.assert_array_equal(T.warp(image, order=order, mode=mode, cval=5), want)


def test_expand_holds_the_whole_image():
    image = np.full((30, 50), 9.0)
    for T in (turned(30), TILTED, Transform.shear(xy=1), Transform.scaling(-2, 0.5)):
        whole = T.warp(image, expand=True)
        corners = T.apply([[0, 0], [49, 0], [0, 29], [49, 29]])
        extent = np.ptp(corners, axis=0)
        assert whole.shape == tuple(np.ceil(extent[::-1] - 1e-9).astype(int) + 1)
        # As much is seen, by area, as the map makes of the image.
        assert whole.sum() == pytest.approx(9 * 29 * 49 * abs(T.determinant), rel=0.08)
        np.testing.assert_array_equal(
            whole, (Transform.translation(5000.5, -3) @ T).warp(image, expand=True)
        )
    np.testing.assert_array_equal(turned(90).warp(image, expand=True), np.rot90(image, -1))


def test_expand_of_a_stack_has_one_size():
    images = np.random.default_rng(0).random((3, 20, 30, 1))
    T = turned([0, 45, 90])
    got = T.warp(images, expand=True)
    assert got.shape == (3, 35, 35, 1)
    np.testing.assert_array_equal(got[0, 7:27, 2:32], images[0])
    np.testing.assert_array_equal(got[1], T[1].warp(images[1], expand=True))
    np.testing.assert_array_equal(got[2, 2:32, 7:27], np.rot90(images[2], -1))


def test_singular_maps_and_maps_of_space_warp_nothing():
    image = np.ones((5, 5))
    for call, error in (
        (lambda: Transform.scaling(1, 0).warp(image), "singular"),
        (lambda: Transform.identity(3).warp(image), "map of the plane"),
        (lambda: turned([1, 2]).warp(image), "2 transforms need as many images; got 1"),
        (lambda: Transform.scaling(1e7).warp(image, expand=True), r"of memory are available"),
        (lambda: Transform.scaling(1e12).warp(image, expand=True), r"pixels; the most is"),
        (lambda: Transform.translation(1e13, 0).warp(image), "coordinates are exact up to"),
        (lambda: Transform.scaling(1e-300).warp(image), "coordinates are exact up to"),
    ):
        with pytest.raises(ValueError, match=error):
            call()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_thread_count_changes_no_bit(order, dtype):
    image = np.random.default_rng(0).integers(0, 256, (500, 700)).astype(dtype)
    for mode in ("constant", "reflect"):
        one = TILTED.warp(image, order=order, mode=mode, n_jobs=1)
        for threads in (2, 4):
            again = TILTED.warp(image, order=order, mode=mode, n_jobs=threads)
            np.testing.assert_array_equal(again, one)


def test_modes_are_those_of_the_reference():
    for mode, n in itertools.product(("nearest", "reflect", "mirror", "grid-wrap"), (1, 2, 7)):
        padded = np.pad(np.arange(n), 25, mode=EXTENSIONS[mode])
        assert padded.tolist() == [reference.index(i, n, mode) for i in range(-25, n + 25)]
