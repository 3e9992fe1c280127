"""Sources that lie in memory as one array, or on disk as one: `.npy` and `.npz`.

A file is mapped, not loaded: pages come when a batch is read, and the system takes them back.
Only a compressed member of an `.npz` has to be unpacked into memory.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from mmlfast.runtime.sources import Source, readable_dtype

__all__ = ["open_array", "open_npy", "open_npz", "starts_with"]

_MAGIC = b"\x93NUMPY"


def open_array(data: Any, *, name: str, feature_names: list[str] | None = None) -> Source:
    """An array of shape (n_samples, n_features), or what numpy makes one of, as a source.

    Views are handed on as they are: read-only, reversed, Fortran-ordered.  What has to be
    converted (another byte order, int64) is converted batch by batch, and `Source.array` is None.
    """
    X = _as_array(data, name)
    if X.dtype.names is not None:
        raise ValueError(
            f"{name} must hold real numbers; got named fields, dtype {X.dtype}. Convert with "
            "numpy.lib.recfunctions.structured_to_unstructured."
        )
    if X.ndim < 2:
        kind = "scalar" if X.ndim == 0 else "1D"
        raise ValueError(
            f"Expected 2D array, got {kind} array instead: {name} has shape {X.shape}:\n"
            f"array={X}.\nReshape your data using array.reshape(-1, 1) if it has a single feature "
            "or array.reshape(1, -1) if it contains a single sample."
        )
    if X.ndim > 2:
        raise ValueError(
            f"Found array with dim {X.ndim}, expected 2: {name} has shape {X.shape}. Make every "
            "sample a row with X.reshape(len(X), -1); pass a list of batches as iter(batches)."
        )
    if X.dtype.hasobject:
        X = _numbers(X, name)
    return _array_source(X, name, feature_names)


def open_npy(path: Path) -> Source:
    """The array of a `.npy` file, mapped."""
    with path.open("rb") as file:
        return _file_source(_mapped(file, path, str(path), path.stat().st_size), str(path))


def open_npz(path: Path, member: str | None = None) -> Source:
    """One array of a `.npz` file: mapped if it lies there uncompressed, else loaded.

    `member` names it; without, it is the only one, ``X``, ``data`` or the only 2-D one.
    """
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            info = _member(archive, path, member)
            name = f"{path}::{info.filename.removesuffix('.npy')}"
            if info.compress_type == zipfile.ZIP_STORED:
                file.seek(info.header_offset + 26)
                file.seek(sum(struct.unpack("<HH", file.read(4))), 1)
                return _file_source(_mapped(file, path, name, file.tell() + info.file_size), name)
            with archive.open(info) as packed:
                _header(packed, name)
            with archive.open(info) as packed:
                return _file_source(np.lib.format.read_array(packed, allow_pickle=False), name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(
            f"{path} is not a whole .npz file: {error}; it starts with {starts_with(path)}. "
            "Write or copy it again."
        ) from error


def starts_with(path: Path) -> str:
    """The first bytes of a file, for a message about what it is not."""
    with path.open("rb") as file:
        return repr(file.read(12)) if path.stat().st_size else "nothing: it is empty"


def _as_array(data: Any, name: str) -> np.ndarray:
    if isinstance(data, np.matrix):
        raise TypeError(f"{name} is an np.matrix, which is not supported. Pass np.asarray(X).")
    if np.ma.isMaskedArray(data):
        if np.ma.is_masked(data):
            raise ValueError(
                f"{name} has masked entries, and missing values are not supported. Fill them "
                "first, for example with X.filled(0)."
            )
        return np.ma.getdata(data)
    if not isinstance(data, list | tuple):
        return data if isinstance(data, np.ndarray) else np.asarray(data)
    try:
        X = np.asarray(data)
    except ValueError as error:
        raise ValueError(
            f"{name} cannot be made a matrix: {error}. Give every row the same length."
        ) from error
    # This array is ours, so that converting all of it does not double the caller's data.
    return X.astype(readable_dtype(X.dtype, name), copy=False) if X.dtype.kind in "iuf" else X


def _numbers(X: np.ndarray, name: str) -> np.ndarray:
    try:
        return X.astype(np.float64)
    except (TypeError, ValueError) as error:
        for (row, column), value in np.ndenumerate(X):
            try:
                np.array([value], dtype=object).astype(np.float64)
            except (TypeError, ValueError) as reason:
                raise type(error)(
                    f"{name} must hold real numbers, but row {row}, column {column} does not: "
                    f"{reason}. Leave out or encode what is not a number."
                ) from error
        raise


def _array_source(X: np.ndarray, name: str, feature_names: list[str] | None = None) -> Source:
    dtype = readable_dtype(X.dtype, name)
    if X.dtype == np.bool_:
        X = X.view(np.uint8)
    n_rows, *axes = X.shape
    n_features = math.prod(axes)
    array: np.ndarray | None = X
    if X.ndim > 2:
        # Any other order of the axes could only be flattened by copying.
        array = X.reshape(n_rows, n_features) if X.flags.c_contiguous else None
    if X.dtype != dtype or not X.flags.aligned:
        array = None
    return Source(
        lambda: iter([X]),
        name=name,
        n_rows=n_rows,
        n_features=n_features,
        dtype=dtype,
        feature_names=feature_names,
        array=array,
        image_shape=tuple(axes) if len(axes) in (2, 3) else None,
    )


def _file_source(X: np.ndarray, name: str) -> Source:
    return _array_source(X, name) if X.ndim > 2 else open_array(X, name=name)


def _header(file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and dtype; leaves the file at the first byte of data."""
    magic = file.read(len(_MAGIC))
    if magic != _MAGIC:
        raise ValueError(
            f"{name} is not a .npy file: it starts with {magic + file.read(6)!r}, not with "
            f"{_MAGIC!r}. Write it with numpy.save."
        )
    version = tuple(file.read(2))
    try:
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            # Version 3.0 exists for the names of structured arrays alone.
            raise ValueError(f"format version {version}, expected (1, 0) or (2, 0)")
    except ValueError as error:
        raise ValueError(
            f"{name} has a header that cannot be read: {error}. Write it with numpy.save."
        ) from error
    if dtype.hasobject:
        raise ValueError(
            f"{name} holds Python objects (dtype {dtype}), which are never unpickled. Save "
            "X.astype('float64') instead."
        )
    return shape, fortran, dtype


def _mapped(file: IO[bytes], path: Path, name: str, end: int) -> np.ndarray:
    """The array whose header `file` is at and whose data reach to byte `end`."""
    shape, fortran, dtype = _header(file, name)
    offset = file.tell()
    expected = math.prod(shape) * dtype.itemsize
    if end - offset < expected:
        raise ValueError(
            f"{name} is cut short: its header promises shape {shape} of {dtype}, {expected} bytes; "
            f"{max(0, end - offset)} bytes are there. Write or copy it again."
        )
    if expected == 0:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _member(archive: zipfile.ZipFile, path: Path, member: str | None) -> zipfile.ZipInfo:
    arrays = {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }
    if not arrays:
        raise ValueError(f"{path} holds no arrays. Write it with numpy.savez(path, X=X).")
    if member is not None:
        if member not in arrays:
            raise ValueError(f"{path} has no array {member!r}; it has {', '.join(arrays)}.")
        return arrays[member]
    for name in (*(arrays if len(arrays) == 1 else ()), "X", "data"):
        if name in arrays:
            return arrays[name]
    shapes = {}
    for name, info in arrays.items():
        with archive.open(info) as file:
            shapes[name] = _header(file, f"{path}::{name}")[0]
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    if len(matrices) != 1:
        listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"{path} holds several arrays: {listing}. Say which, as {path}::{next(iter(arrays))}."
        )
    return arrays[matrices[0]]
