"""Arrays as the kernels take them: a base address, strides in elements, an aligned scratch.

A kernel compiled for one array type must serve every layout, so that the cold start stays short:
`base_of` gives any strided array, read-only or reversed ones too, as a writable one-dimensional
array that begins at its element [0, 0], with the strides beside it.  Kernels that receive data in
this way never write to it.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Strides = tuple[int, ...]
CACHE_LINE = 64
_kept = threading.local()

# dtype → the dtype in which sums of its products are formed.  8- and 16-bit integers and halves
# are exact in float32; 32-bit integers need float64.
WORK_DTYPES = {
    "float64": np.float64, "float32": np.float32, "float16": np.float32, "uint8": np.float32,
    "int8": np.float32, "int16": np.float32, "int32": np.float64,
}  # fmt: skip


class _Alias:
    """The memory of an array, described so that numpy makes a writable view of it."""

    def __init__(self, array: NDArray[Any], dtype: np.dtype[Any]) -> None:
        self.kept = array
        self.__array_interface__ = {
            "data": (array.__array_interface__["data"][0], False),
            "shape": (1,),
            "typestr": dtype.str,
            "version": 3,
        }


def bytes_of(X: NDArray[Any]) -> NDArray[np.uint8]:
    """The base address of a C-contiguous array as bytes, for kernels that take any dtype.

    Its length says nothing; X must live as long as it.
    """
    base = _Alias(X, np.dtype(np.uint8))
    base.__array_interface__["shape"] = (8,)
    return np.asarray(base)


def base_of(X: NDArray[Any]) -> tuple[NDArray[Any], Strides]:
    """The base address of an array as a 1-D array, and its strides, one for each axis.

    The 1-D array begins at the first element; strides are in elements.  float16 comes as uint16,
    the bits that kernels expect.  X must have no zero-sized axis, native byte order and strides
    that are multiples of its itemsize (`readable` sees to that).
    """
    dtype = np.dtype(np.uint16) if X.dtype == np.float16 else X.dtype
    size = X.dtype.itemsize
    return np.asarray(_Alias(X, dtype)), tuple(stride // size for stride in X.strides)


def readable(X: NDArray[Any]) -> NDArray[Any]:
    """X itself if a kernel can read it where it lies, else a copy: for one block, never for all."""
    size = X.dtype.itemsize
    if X.dtype.isnative and X.flags.aligned and not any(s % size for s in X.strides):
        return X
    return X.astype(X.dtype.newbyteorder("="), order="C")


def work_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which products of `dtype` numbers are formed: float32 or float64."""
    try:
        return np.dtype(WORK_DTYPES[dtype.name])
    except KeyError:
        raise TypeError(
            f"dtype must be one of {', '.join(WORK_DTYPES)}; got {dtype}. Convert first, for "
            "example with X.astype('float64')."
        ) from None


def aligned(shape: int | tuple[int, ...], dtype: Any, *, zero: bool = False) -> NDArray[Any]:
    """A C-contiguous array that begins on a cache line: whole vectors never straddle two.

    Zeros are written, not left to the kernel's zero page: reading that first and writing it later
    costs two faults and a TLB shootdown for each page, 16 µs where one write costs 1.3.
    """
    dtype = np.dtype(dtype)
    count = math.prod(shape) if isinstance(shape, tuple) else shape
    buffer = np.empty(count * dtype.itemsize + CACHE_LINE, np.uint8)
    skip = -buffer.ctypes.data % CACHE_LINE
    array: NDArray[Any] = buffer[skip : skip + count * dtype.itemsize].view(dtype).reshape(shape)
    if zero:
        array.fill(0)
    return array


def scratch(count: int, dtype: Any) -> NDArray[Any]:
    """`aligned(count, dtype)` that this thread uses again at its next call: never return it.

    A fresh megabyte costs 60 µs of page faults, as much as packing into it.
    """
    size = count * np.dtype(dtype).itemsize
    kept = getattr(_kept, "buffer", None)
    if kept is None or kept.size < size:
        kept = _kept.buffer = aligned(size, np.uint8)
    view: NDArray[Any] = kept[:size].view(dtype)
    return view


def as_numbers(a: ArrayLike, name: str) -> NDArray[Any]:
    """`a` as an array of numbers, real or complex; TypeError or ValueError for anything else."""
    if np.ma.is_masked(a):
        raise ValueError(f"{name} has masked entries. Fill them first, with {name}.filled(value).")
    array = np.asarray(a)
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}.")
    return array


def as_matrix(a: ArrayLike, name: str) -> NDArray[Any]:
    """`a` as a 2-D float32 or float64 array; integers and halves become float64 and float32."""
    array = as_real(a, name)
    if array.ndim != 2:
        raise ValueError(f"{name} must be a matrix (2 axes); got shape {array.shape}.")
    return array


def as_real(a: ArrayLike, name: str) -> NDArray[Any]:
    """`a` as a float32 or float64 array; integers and halves become float64 and float32."""
    array = as_numbers(a, name)
    if array.dtype.kind == "c":
        raise TypeError(f"{name} must hold real numbers; got dtype {array.dtype}.")
    if array.dtype.newbyteorder("=") not in (np.float32, np.float64):
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    return readable(array)


def refuse_bad_numbers(X: NDArray[Any], first_row: int, name: str = "X") -> None:
    """ValueError naming row and column of the first NaN or Inf of X, whose row 0 is `first_row`."""
    if X.dtype.kind != "f":
        return
    for lo in range(0, len(X), 1024):
        bad = ~np.isfinite(X[lo : lo + 1024])
        if bad.any():
            row, column = np.unravel_index(int(np.argmax(bad)), bad.shape)
            what = "NaN" if np.isnan(X[lo + row, column]) else "infinity"
            raise ValueError(
                f"Input {name} contains {what}: the first stands in row {first_row + lo + row}, "
                f"column {column} (counted from 0). Remove or impute such values first, for "
                "example with sklearn.impute.SimpleImputer."
            )


def overflow(dtype: np.dtype[Any], name: str = "X") -> ValueError:
    """The error for finite numbers whose squares or sums are not."""
    return ValueError(
        f"Input {name} holds values too large to square and sum in {dtype}. Scale them down"
        + (f", or pass {name}.astype('float64')." if dtype == np.float32 else ".")
    )
