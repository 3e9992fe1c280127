"""`.npy` and `.npz` files are mapped, and what is wrong with one is said with its name."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from mmlfast.runtime.sources import open_source


def whole(source):
    return np.concatenate(list(source.batches()))


@pytest.fixture
def X():
    return np.arange(60, dtype=np.float32).reshape(12, 5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_mapped(tmp_path, X, order):
    path = tmp_path / "X.npy"
    np.save(path, np.asarray(X, order=order))
    for given in (path, str(path)):
        with open_source(given) as source:
            assert isinstance(source.array, np.memmap)
            assert source.array.flags[f"{order}_CONTIGUOUS"]
            assert (source.name, source.n_rows, source.n_features) == (str(path), 12, 5)
            assert all(np.shares_memory(batch, source.array) for batch in source.batches())
            np.testing.assert_array_equal(whole(source), X, strict=True)
            np.testing.assert_array_equal(whole(source), X, strict=True)


def test_npy_endings_may_be_in_capitals(tmp_path, X):
    with (tmp_path / "X.v2.NPY").open("wb") as file:
        np.save(file, X)
    np.testing.assert_array_equal(whole(open_source(tmp_path / "X.v2.NPY")), X, strict=True)


@pytest.mark.parametrize(("stored", "read"), [(">f8", "f8"), ("i8", "f8"), ("u2", "i4")])
def test_npy_of_other_dtypes_is_converted_batch_by_batch(tmp_path, X, stored, read):
    np.save(tmp_path / "X.npy", X.astype(stored))
    source = open_source(tmp_path / "X.npy")
    assert source.array is None
    np.testing.assert_array_equal(whole(source), X.astype(read), strict=True)


def test_npy_of_booleans_is_a_view(tmp_path, X):
    np.save(tmp_path / "X.npy", X > 7)
    source = open_source(tmp_path / "X.npy")
    assert isinstance(source.array, np.memmap)
    np.testing.assert_array_equal(source.array, (X > 7).astype(np.uint8), strict=True)


def test_npy_format_2(tmp_path, X):
    with (tmp_path / "X.npy").open("wb") as file:
        np.lib.format.write_array(file, X, version=(2, 0))
    np.testing.assert_array_equal(whole(open_source(tmp_path / "X.npy")), X, strict=True)


@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 4, 5, 3), (6, 2, 2, 2, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_images_become_rows(tmp_path, shape, order, ending):
    images = np.asarray(np.arange(np.prod(shape)).reshape(shape).astype(np.uint8), order=order)
    path = tmp_path / f"images{ending}"
    if ending == ".npy":
        np.save(path, images)
    else:
        np.savez(path, images)
    source = open_source(path)
    assert source.n_features == np.prod(shape[1:])
    assert source.image_shape == (shape[1:] if len(shape) < 5 else (4, 4))
    # Fortran order could only be flattened by a copy of the whole.
    assert (source.array is None) == (order == "F")
    np.testing.assert_array_equal(whole(source), images.reshape(6, -1), strict=True)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 2, 2)])
def test_files_without_entries_open(tmp_path, shape):
    np.save(tmp_path / "X.npy", np.empty(shape))
    np.savez(tmp_path / "X.npz", np.empty(shape))
    for ending in ("npy", "npz"):
        source = open_source(tmp_path / f"X.{ending}")
        assert source.n_rows == shape[0]
        assert list(source.batches()) == []


@pytest.mark.parametrize("shape", [(), (4,)])
def test_npy_with_fewer_axes_is_refused(tmp_path, shape):
    np.save(tmp_path / "X.npy", np.ones(shape))
    with pytest.raises(ValueError, match=r"(?s)Expected 2D array.*X\.npy has shape"):
        open_source(tmp_path / "X.npy")


@pytest.mark.parametrize("missing", [1, 100, 240])
def test_npy_shorter_than_its_header_says(tmp_path, X, missing):
    path = tmp_path / "X.npy"
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:-missing])
    match = rf"X\.npy is cut short.*\(12, 5\) of float32, 240 bytes; {240 - missing} bytes are"
    with pytest.raises(ValueError, match=match):
        open_source(path)


def test_npy_cut_within_its_header(tmp_path, X):
    path = tmp_path / "X.npy"
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"X\.npy has a header that cannot be read"):
        open_source(path)


def test_npy_of_an_unknown_version(tmp_path):
    (tmp_path / "X.npy").write_bytes(b"\x93NUMPY\x07\x00" + bytes(100))
    with pytest.raises(ValueError, match=r"format version \(7, 0\)"):
        open_source(tmp_path / "X.npy")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something else", b"1,2\n3,4\n"])
def test_npy_that_is_something_else(tmp_path, content):
    path = tmp_path / "X.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"X\.npy is not a \.npy file: it starts with b'") as info:
        open_source(path)
    assert repr(content[:12])[2:-1] in str(info.value)


def test_objects_are_never_unpickled(tmp_path):
    objects = np.array([[{}, 1]], dtype=object)
    np.save(tmp_path / "X.npy", objects)
    np.savez(tmp_path / "X.npz", objects)
    np.savez_compressed(tmp_path / "Y.npz", objects)
    for file in ("X.npy", "X.npz", "Y.npz"):
        with pytest.raises(ValueError, match=r"Python objects.*never unpickled"):
            open_source(tmp_path / file)


@pytest.mark.parametrize("dtype", ["c16", "U3", "M8[s]", [("a", "f8")]])
def test_npy_without_real_numbers_is_refused(tmp_path, dtype):
    np.save(tmp_path / "X.npy", np.zeros((2, 2), dtype))
    with pytest.raises(ValueError, match=r"X\.npy"):
        open_source(tmp_path / "X.npy")


def test_missing_files_and_unknown_endings(tmp_path):
    for name in ("X.npy", "X.npz::a", "X.csv", "nothing"):
        with pytest.raises(FileNotFoundError, match=r"(X\.|nothing).*there is no such file"):
            open_source(tmp_path / name)
    for name, ending in (("X.txt", ".txt"), ("X", "none"), ("X.npy.bak", ".bak")):
        (tmp_path / name).write_text("1")
        with pytest.raises(ValueError, match=f"the ending must be .npy.*got '{ending}'"):
            open_source(tmp_path / name)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_one_array(tmp_path, X, save):
    save(tmp_path / "X.npz", any_name=X)
    source = open_source(tmp_path / "X.npz")
    assert source.name == f"{tmp_path / 'X.npz'}::any_name"
    np.testing.assert_array_equal(whole(source), X, strict=True)


def test_uncompressed_members_are_mapped(tmp_path, X):
    for name in ("a", "ab", "abc", "abcd"):
        np.savez(tmp_path / f"{name}.npz", **{name: X})
        source = open_source(tmp_path / f"{name}.npz")
        # Where the archive misaligns the numbers, they are copied batch by batch.
        assert source.array is None or isinstance(source.array, np.memmap)
        np.testing.assert_array_equal(whole(source), X, strict=True)
    np.savez(tmp_path / "X.npz", X=X.astype(np.uint8))
    assert isinstance(open_source(tmp_path / "X.npz").array, np.memmap)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_several_arrays(tmp_path, X, save):
    path = tmp_path / "X.npz"
    save(path, y=X[:, 0], X=X, data=-X)
    np.testing.assert_array_equal(whole(open_source(path)), X)
    save(path, Z=X, data=-X)
    np.testing.assert_array_equal(whole(open_source(path)), -X)
    save(path, y=X[:, 0], Z=X)
    np.testing.assert_array_equal(whole(open_source(path)), X)
    np.testing.assert_array_equal(whole(open_source(f"{path}::Z")), X)
    save(path, train=X, test=X)
    with pytest.raises(ValueError, match=r"train \(12, 5\), test \(12, 5\).*X\.npz::train"):
        open_source(path)
    np.testing.assert_array_equal(whole(open_source(f"{path}::test")), X)
    with pytest.raises(ValueError, match="has no array 'valid'; it has train, test"):
        open_source(f"{path}::valid")


def test_npz_that_is_something_else(tmp_path, X):
    path = tmp_path / "X.npz"
    for content in (b"", b"not a zip file"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"X\.npz is not a whole \.npz file.*starts with"):
            open_source(path)
    np.savez_compressed(path, X)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"X\.npz is not a whole \.npz file"):
        open_source(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no arrays")
    with pytest.raises(ValueError, match="holds no arrays"):
        open_source(path)


def test_npz_with_a_broken_member(tmp_path, X):
    buffer = io.BytesIO()
    np.save(buffer, X)
    with zipfile.ZipFile(tmp_path / "X.npz", "w") as archive:
        archive.writestr("X.npy", buffer.getvalue()[:-8])
    with pytest.raises(ValueError, match=r"X\.npz::X is cut short.*240 bytes; 232 bytes"):
        open_source(tmp_path / "X.npz")
    with zipfile.ZipFile(tmp_path / "X.npz", "w") as archive:
        archive.writestr("X.npy", b"no array at all")
    with pytest.raises(ValueError, match=r"X\.npz::X is not a \.npy file"):
        open_source(tmp_path / "X.npz")
