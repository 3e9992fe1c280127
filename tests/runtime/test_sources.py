"""A source hands on exactly the rows it was given, in whatever they lie and however it cuts."""

from __future__ import annotations

import gc
import io
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmlfast.runtime import sources
from mmlfast.runtime.sources import BATCH_BYTES, Source, batch_rows, open_source, readable_dtype

KEPT = ["float64", "float32", "float16", "uint8", "int8", "int16", "int32"]


def whole(source: Source) -> np.ndarray:
    """All batches, each checked to be what the interface promises."""
    blocks = []
    for batch in source.batches():
        assert type(batch) is np.ndarray
        assert batch.ndim == 2
        assert batch.shape[1] == source.n_features
        assert len(batch) > 0
        assert batch.dtype == source.dtype
        assert batch.dtype.isnative
        assert batch.flags.aligned
        assert batch.nbytes <= BATCH_BYTES or len(batch) == 1
        blocks.append(batch)
    X = np.concatenate(blocks) if blocks else np.empty((0, source.n_features), source.dtype)
    assert source.n_rows in (None, len(X))
    return X


def same(source: Source, X: np.ndarray) -> None:
    """The source reads X, twice if it can."""
    assert source.n_features == X.shape[1]
    for _ in range(2 if source.rewindable else 1):
        np.testing.assert_array_equal(whole(source), X, strict=True)


def counting(n: int, d: int, dtype: str = "float64") -> np.ndarray:
    return (np.arange(n * d) % 120).reshape(n, d).astype(dtype)


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 64 bytes, so that small data is cut."""
    monkeypatch.setattr(sources, "BATCH_BYTES", 64)


# Arrays


@pytest.mark.parametrize("dtype", KEPT)
def test_an_array_is_handed_on_as_it_is(dtype):
    X = counting(7, 3, dtype)
    source = open_source(X)
    assert source.array is X
    assert (source.name, source.n_rows, source.n_features) == ("X", 7, 3)
    assert source.rewindable
    assert source.feature_names is None
    assert source.dtype == X.dtype
    same(source, X)
    assert all(np.shares_memory(batch, X) for batch in source.batches())


@pytest.mark.usefixtures("small_batches")
@given(
    X=hnp.arrays(st.sampled_from(KEPT), st.tuples(st.integers(0, 20), st.integers(1, 20))),
    layout=st.sampled_from(["C", "F", "reversed", "strided", "read-only"]),
)
def test_any_layout_and_shape_passes_through_without_a_copy(X, layout):
    if layout == "F":
        X = np.asfortranarray(X)
    elif layout == "reversed":
        X = X[::-1, ::-1]
    elif layout == "strided":
        X = X[1::2, ::3]
    X.flags.writeable = layout != "read-only"
    source = open_source(X)
    assert source.array is X
    rows = max(1, 64 // max(1, X.shape[1] * X.itemsize))
    sizes = [len(batch) for batch in source.batches()]
    assert all(size == rows for size in sizes[:-1])
    same(source, X)


def test_large_arrays_are_cut_into_views_of_16_mib():
    X = np.broadcast_to(np.float32(3), (70_000, 128))
    sizes = [len(batch) for batch in open_source(X).batches()]
    assert sizes == [32_768, 32_768, 70_000 - 65_536]


def test_a_row_larger_than_a_batch_comes_alone():
    X = np.broadcast_to(np.float64(1), (2, BATCH_BYTES))
    assert [batch.shape for batch in open_source(X).batches()] == [(1, BATCH_BYTES)] * 2
    assert batch_rows(0, np.dtype(float)) == BATCH_BYTES


@pytest.mark.parametrize(
    ("given_as", "read_as"),
    [
        (">f8", "f8"),
        (">f4", "f4"),
        (">i2", "i2"),
        ("u2", "i4"),
        (">u2", "i4"),
        ("u4", "f8"),
        ("i8", "f8"),
        ("u8", "f8"),
        ("longdouble", "f8"),
        ("longlong", "f8"),
    ],
)
@pytest.mark.usefixtures("small_batches")
def test_other_dtypes_are_converted_batch_by_batch(given_as, read_as):
    X = counting(9, 5, given_as)
    source = open_source(X)
    assert source.array is None or np.dtype(given_as) == np.float64
    assert source.dtype == np.dtype(read_as)
    same(source, X.astype(read_as))


def test_booleans_are_viewed_as_bytes():
    X = counting(6, 4) % 2 == 0
    source = open_source(X)
    assert np.shares_memory(source.array, X)
    same(source, X.astype(np.uint8))


def test_misaligned_arrays_are_copied_batch_by_batch():
    packed = np.zeros(5, dtype=[("tag", "u1"), ("row", "f8", (3,))])
    packed["row"] = counting(5, 3)
    assert not packed["row"].flags.aligned
    source = open_source(packed["row"])
    assert source.array is None
    same(source, counting(5, 3))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_no_rows_or_no_columns_give_no_batches(shape):
    source = open_source(np.empty(shape))
    assert (source.n_rows, source.n_features) == shape
    assert list(source.batches()) == []


@pytest.mark.parametrize("d", [1, 4, 9, 15, 16, 17, 64, 783, 784])
def test_square_rows_of_16_and_more_are_pictures(d):
    expected = {16: (4, 4), 64: (8, 8), 784: (28, 28)}.get(d)
    assert open_source(np.zeros((2, d))).image_shape == expected


def test_lists_and_tuples_become_arrays():
    source = open_source([[1, 2], [3, 4]])
    assert source.array.dtype == np.float64
    same(source, np.array([[1.0, 2], [3, 4]]))
    same(open_source(((1.5, 2), (3, 4))), np.array([[1.5, 2], [3, 4]]))
    same(open_source([np.float32([1, 2])]), np.float32([[1, 2]]))
    same(open_source([[True, False]]), np.uint8([[1, 0]]))


def test_anything_with_array_is_read():
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return counting(4, 2)

    same(open_source(Wrapped()), counting(4, 2))


def test_memmaps_stay_memmaps(tmp_path):
    X = np.memmap(tmp_path / "raw", dtype="f4", mode="w+", shape=(6, 2))
    X[:] = counting(6, 2)
    source = open_source(X)
    assert source.array is X
    same(source, counting(6, 2, "float32"))


def test_unmasked_arrays_are_read_and_masked_ones_refused():
    X = np.ma.masked_array(counting(3, 2), mask=False)
    same(open_source(X), counting(3, 2))
    X[1, 1] = np.ma.masked
    with pytest.raises(ValueError, match=r"X has masked entries.*X\.filled\(0\)"):
        open_source(X)


def test_object_arrays_of_numbers_become_float64():
    X = np.array([[1, 2.5], [None, np.float32(4)]], dtype=object)
    source = open_source(X)
    np.testing.assert_array_equal(whole(source), [[1, 2.5], [np.nan, 4]])
    assert source.array.dtype == np.float64


def test_object_arrays_name_the_first_entry_that_is_no_number():
    X = counting(4, 3).astype(object)
    X[3, 0] = "late"
    X[2, 1] = "text"
    with pytest.raises(ValueError, match=r"row 2, column 1 .*could not convert string.*'text'"):
        open_source(X, name="A")
    X[2, 1] = {"foo": "bar"}
    with pytest.raises(TypeError, match=r"row 2, column 1 .*argument must be .* string.* number"):
        open_source(X)


@pytest.mark.parametrize(
    ("X", "match"),
    [
        (np.zeros((2, 2), complex), "Complex data not supported: X has dtype complex128"),
        (np.zeros((2, 2), "c8"), "Complex data not supported"),
        (np.array([["a", "b"]]), "X must hold real numbers; got dtype <U1.*astype"),
        (np.array([[b"a"]]), "got dtype |S1"),
        (np.zeros((2, 2), "M8[s]"), r"got dtype datetime64\[s\]"),
        (np.zeros((2, 2), "m8[s]"), r"got dtype timedelta64\[s\]"),
        (np.zeros(2, [("a", float)]), "named fields.*structured_to_unstructured"),
        (np.zeros((2, 2), [("a", object)]), "named fields"),
        ([[1, "a"]], "got dtype <U"),
        ([[1, 2], [3]], "X cannot be made a matrix: .*same length"),
        (np.zeros(3), r"Expected 2D array, got 1D array instead.*\(3,\)"),
        (np.float64(3), "Expected 2D array, got scalar array instead"),
        ([1.0, 2], r"(?s)Expected 2D array.*reshape\(-1, 1\).*reshape\(1, -1\)"),
        ([], "Expected 2D array"),
        (np.zeros((2, 2, 2)), r"Found array with dim 3, expected 2.*\(2, 2, 2\).*iter\(batches\)"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(X, match):
    with pytest.raises(ValueError, match=match):
        open_source(X)


def test_np_matrix_is_refused():
    # Deprecated by numpy, so not spelled here as a constructor call that warns.
    with pytest.raises(TypeError, match=r"np\.matrix.*np\.asarray\(X\)"):
        open_source(np.zeros((2, 2)).view(np.matrix))


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array", "dok_array"])
def test_sparse_matrices_are_refused(kind):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"A is a sparse matrix.*X\.toarray\(\)"):
        open_source(getattr(scipy_sparse, kind)(np.eye(3)), name="A")


@pytest.mark.parametrize("data", [None, 3, {"a": [1]}, {1, 2}, b"file.npy", object()])
def test_anything_else_is_refused(data):
    with pytest.raises(TypeError, match=f"X must be an array, a path.*got {type(data).__name__}"):
        open_source(data)


def test_an_open_file_is_refused():
    with pytest.raises(TypeError, match=r"X is an open file. Pass its path"):
        open_source(io.StringIO("1,2\n"))


@pytest.mark.parametrize("name", ["float64", ">f4", "bool", "u2", "i8", "u4", "longdouble"])
def test_readable_dtypes_are_kept_ones_in_native_order(name):
    dtype = readable_dtype(np.dtype(name), "X")
    assert dtype.name in KEPT
    assert dtype.isnative
    assert readable_dtype(dtype, "X") == dtype


# Iterators and callables


def test_an_iterator_is_read_once():
    source = open_source(iter([counting(3, 2), counting(2, 2)]))
    assert (source.n_rows, source.n_features, source.rewindable) == (None, 2, False)
    assert source.array is None
    same(source, np.concatenate([counting(3, 2), counting(2, 2)]))
    with pytest.raises(RuntimeError, match=r"X can be read only once.*callable"):
        source.batches()


def test_the_second_pass_is_refused_even_before_the_first_is_read():
    source = open_source(batch for batch in [counting(3, 2)])
    first = source.batches()
    with pytest.raises(RuntimeError, match="only once"):
        source.batches()
    np.testing.assert_array_equal(next(first), counting(3, 2))


def test_only_the_first_batch_is_fetched_when_opened():
    fetched = []

    def batches():
        for index in range(3):
            fetched.append(index)
            yield counting(2, 2)

    source = open_source(batches())
    assert fetched == [0]
    assert len(list(source.batches())) == 3


def test_a_callable_is_called_at_each_pass():
    calls = []

    def batches():
        calls.append(None)
        return iter([counting(3, 2), counting(2, 2)])

    source = open_source(batches)
    assert source.rewindable
    same(source, np.concatenate([counting(3, 2), counting(2, 2)]))
    assert len(calls) == 2


def test_an_iterable_is_read_at_each_pass():
    class Loader:
        def __iter__(self):
            yield counting(3, 2)

    same(open_source(Loader()), counting(3, 2))


def test_a_callable_that_returns_a_used_iterator_is_found_out():
    iterator = iter([counting(3, 2)])
    source = open_source(lambda: iterator)
    list(source.batches())
    with pytest.raises(RuntimeError, match="same iterator twice"):
        list(source.batches())


def test_a_callable_must_return_an_iterator():
    with pytest.raises(TypeError, match="X must return an iterator of batches; it returned int"):
        open_source(lambda: 3)


@pytest.mark.usefixtures("small_batches")
@given(sizes=st.lists(st.integers(0, 30), min_size=1), shape=st.sampled_from(["list", "call"]))
def test_batches_of_any_size_are_cut_anew(sizes, shape):
    X = counting(sum(sizes), 3)
    blocks = np.split(X, np.cumsum(sizes)[:-1])
    same(open_source(iter(blocks) if shape == "list" else lambda: iter(blocks)), X)


def test_batches_may_be_lists_frames_files_and_streams(tmp_path):
    pd = pytest.importorskip("pandas")
    np.save(tmp_path / "a.npy", counting(2, 2))
    frame = pd.DataFrame(counting(3, 2))
    parts = [[[1.0, 2.0]], frame, tmp_path / "a.npy", iter([counting(1, 2)])]
    expected = [np.array([[1.0, 2.0]]), counting(3, 2), counting(2, 2), counting(1, 2)]
    same(open_source(iter(parts)), np.concatenate(expected))


def test_later_batches_are_converted_where_that_is_safe():
    blocks = [counting(2, 2, "float64"), counting(2, 2, "float32"), counting(2, 2, "int64")]
    same(open_source(iter(blocks)), counting(2, 2)[[0, 1, 0, 1, 0, 1]])


@pytest.mark.parametrize(
    ("first", "later"),
    [("float32", "float64"), ("float32", "int32"), ("uint8", "int8"), ("float16", "float32")],
)
def test_later_batches_of_a_dtype_that_does_not_fit_are_refused(first, later):
    source = open_source(iter([counting(2, 2, first), counting(2, 2, later)]))
    match = f"batch 1 of X has dtype {later}, which {first}.*cannot hold safely.*astype"
    with pytest.raises(ValueError, match=match):
        list(source.batches())


def test_batches_of_another_width_are_refused_by_index():
    source = open_source(iter([counting(2, 3), counting(2, 3), counting(2, 4)]), name="stream")
    batches = source.batches()
    next(batches)
    next(batches)
    with pytest.raises(ValueError, match="batch 2 of stream has 4 features, the first one has 3"):
        next(batches)


def test_frames_of_other_columns_are_refused():
    pd = pytest.importorskip("pandas")
    frames = [pd.DataFrame(counting(2, 2), columns=list(names)) for names in ("ab", "ba")]
    source = open_source(iter(frames))
    assert source.feature_names == ["a", "b"]
    with pytest.raises(ValueError, match=r"batch 1 of X has the columns \['b', 'a'\]"):
        list(source.batches())


def test_no_batches_and_rows_instead_of_batches_are_refused():
    with pytest.raises(ValueError, match="X gave no batches"):
        open_source(iter([]))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead: batch 0 of X"):
        open_source(iter(counting(3, 2)))
    with pytest.raises(TypeError, match="batch 0 of X must be an array"):
        open_source(iter([3]))


def test_what_an_iterator_raises_comes_through():
    def failing():
        yield counting(2, 2)
        raise KeyError("from the caller")

    source = open_source(failing())
    with pytest.raises(KeyError, match="from the caller"):
        list(source.batches())


# The interface


def test_a_source_is_returned_as_it_is():
    source = open_source(counting(2, 2))
    assert open_source(source) is source


def test_closing_lets_go_of_the_data():
    X = counting(2, 2)
    references = sys.getrefcount(X)
    with open_source(X) as source:
        list(source.batches())
    assert source.array is None
    gc.collect()
    assert sys.getrefcount(X) == references
    with pytest.raises(ValueError, match=r"X is closed\. Open it again"):
        source.batches()
    source.close()


def test_representation():
    assert repr(open_source(counting(2, 3), name="A")) == "<Source A: 2 × 3 float64>"
    assert repr(open_source(iter([counting(2, 3)]))) == "<Source X: ? × 3 float64>"


def test_batches_are_lazy():
    assert isinstance(open_source(counting(2, 2)).batches(), types.GeneratorType)
