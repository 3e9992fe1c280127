"""Arrays reach the kernels as they lie, or are refused with the row, the column and a way out."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlfast.runtime.validate import (
    CACHE_LINE,
    WORK_DTYPES,
    aligned,
    as_matrix,
    base_of,
    overflow,
    readable,
    refuse_bad_numbers,
    scratch,
    work_dtype,
)


def element(X, i, j):
    """X[i, j] read by address, as a kernel reads it."""
    base, (rows, columns) = base_of(X)
    offset = (i * rows + j * columns) * X.dtype.itemsize
    address = base.__array_interface__["data"][0] + offset
    memory = (np.ctypeslib.ctypes.c_char * X.dtype.itemsize).from_address(address)
    return np.frombuffer(memory, X.dtype)[0]


VIEWS = {
    "C": lambda X: X,
    "F": np.asfortranarray,
    "transposed": lambda X: X.T,
    "every second": lambda X: X[::2, 1::2],
    "reversed": lambda X: X[::-1, ::-1],
    "broadcast": lambda X: np.broadcast_to(X[0], (4, X.shape[1])),
}


@pytest.mark.parametrize("dtype", WORK_DTYPES)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("writeable", [True, False])
def test_base_and_strides_lead_to_every_element(view, dtype, writeable):
    whole = np.arange(42).reshape(6, 7).astype(dtype)
    whole.flags.writeable = writeable
    X = VIEWS[view](whole)
    base, _ = base_of(X)
    assert base.ndim == 1
    assert base.flags.writeable  # one type of array, and so one compiled kernel, for all layouts
    assert base.dtype == (np.uint16 if dtype == "float16" else dtype)
    assert all(element(X, i, j) == X[i, j] for i in range(len(X)) for j in range(X.shape[1]))


def test_the_base_keeps_the_memory():
    base, _ = base_of(np.full((300, 300), 7.0))
    assert base[0] == 7.0


def test_readable_copies_only_what_must_be():
    X = np.arange(12.0).reshape(3, 4)
    for fine in (X, X.T, X[::-1, ::2], np.broadcast_to(X[0], (5, 4))):
        assert readable(fine) is fine
    swapped = X.astype(X.dtype.newbyteorder())
    shifted = np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float64).reshape(3, 4)
    records = np.zeros(3, [("flag", "u1"), ("values", "f8", 4)])
    records["values"] = X
    for odd in (swapped, shifted, records["values"]):
        read = readable(odd)
        assert read.dtype == np.float64
        assert read.dtype.isnative
        assert read.flags.aligned
        assert not any(stride % 8 for stride in read.strides)
        np.testing.assert_array_equal(read, X)


@pytest.mark.parametrize(("dtype", "work"), WORK_DTYPES.items())
def test_work_dtypes(dtype, work):
    assert work_dtype(np.dtype(dtype)) == work


@pytest.mark.parametrize("dtype", ["complex128", "uint64", "bool", "U3", "object"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match=f"dtype must be one of float64, .*got .*{dtype[0]}"):
        work_dtype(np.dtype(dtype))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=3), st.sampled_from(["f4", "f8", "u1"]))
def test_aligned(shape, dtype):
    X = aligned(tuple(shape), dtype, zero=True)
    assert X.shape == tuple(shape)
    assert X.dtype == dtype
    assert X.flags.c_contiguous
    assert X.flags.writeable
    assert not X.any()
    if X.size:
        assert X.ctypes.data % CACHE_LINE == 0


def test_scratch_is_of_its_thread_and_used_again():
    first = scratch(100, np.float64)
    assert first.shape == (100,)
    assert first.ctypes.data % CACHE_LINE == 0
    assert np.shares_memory(first, scratch(150, np.float32))
    assert scratch(10_000, np.float32).shape == (10_000,)
    others = []
    thread = threading.Thread(target=lambda: others.append(scratch(10_000, np.float32)))
    thread.start()
    thread.join()
    assert not np.shares_memory(others[0], scratch(10_000, np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("at", [(0, 0), (3, 2), (1023, 1), (1024, 0), (2499, 2)])
@pytest.mark.parametrize(("bad", "called"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_the_first_bad_number_is_named(bad, called, at, dtype):
    X = np.zeros((2500, 3), dtype)
    X[at] = bad
    X[2499, 2] = np.nan if at != (2499, 2) else bad
    message = f"data contains {called}: the first stands in row {at[0] + 70}, column {at[1]} "
    with pytest.raises(ValueError, match=message):
        refuse_bad_numbers(X, 70, "data")


@pytest.mark.parametrize("dtype", ["float64", "uint8", "int32"])
def test_good_numbers_are_not_refused(dtype):
    assert refuse_bad_numbers(np.full((5, 2), 100, dtype), 0) is None


@pytest.mark.parametrize(
    ("given_dtype", "dtype"),
    [("f4", "f4"), ("f8", "f8"), ("f2", "f4"), ("u1", "f8"), ("i8", "f8"), ("?", "f8")],
)
def test_as_matrix_keeps_floats_and_converts_the_rest(given_dtype, dtype):
    A = np.eye(3).astype(given_dtype)
    matrix = as_matrix(A, "a")
    assert matrix.dtype == dtype
    np.testing.assert_array_equal(matrix, np.eye(3))
    assert (matrix is A) == (given_dtype == dtype)


def test_as_matrix_reads_the_other_byte_order():
    swapped = np.eye(2).astype(">f8" if np.dtype("f8").newbyteorder("=").str[0] == "<" else "<f8")
    assert as_matrix(swapped, "a").dtype.isnative
    np.testing.assert_array_equal(as_matrix(swapped, "a"), np.eye(2))


def test_as_matrix_refuses_the_rest():
    with pytest.raises(ValueError, match=r"b must be a matrix \(2 axes\); got shape \(3,\)"):
        as_matrix([1.0, 2.0, 3.0], "b")
    for bad in ([["x"]], [[1j]], [[None]]):
        with pytest.raises(TypeError, match="b must hold real numbers; got dtype"):
            as_matrix(bad, "b")


def test_overflow_tells_the_way_out():
    assert "pass X.astype('float64')" in str(overflow(np.dtype(np.float32)))
    assert "float64" not in str(overflow(np.dtype(np.float64))).partition("sum in")[2][9:]
