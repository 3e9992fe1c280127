"""Register tiles for products of matrices so small that packing would cost more than it saves.

    small_tile:   C[i, :] = Σ_k A[i, k] · B[k, :]      `rows` × `vectors` registers, the last masked

As in `_simd.py`, arrays arrive as base address plus offset and strides in elements.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mmlfast.kernels._jit import literal_intrinsic
from mmlfast.kernels._simd import (
    _I32,
    _I64,
    _UNROLL,
    _address,
    _constant,
    _counted_loop,
    _element_bytes,
    _lanes,
    _load_vector,
    _multiply_add,
    _splat,
    _store_vector,
)

STREAM_ALIGNMENT = 16  # bytes: what numpy's large arrays have; LLVM cuts the stores to match
SMALL_VECTORS = 2  # columns of a tile, in registers: with 8 rows 16 chains of fma, enough for two


def _mask_of(builder, vector, valid):
    """<lanes x i1>: lane < valid."""
    numbers = ir.Constant(ir.VectorType(_I64, vector.count), list(range(vector.count)))
    return builder.icmp_signed("<", numbers, _splat(builder, numbers.type, valid))


def _masked(builder, kind, vector, arguments):
    """Call llvm.masked.load or llvm.masked.store."""
    element = f"f{8 * _element_bytes(vector.element)}"
    name = f"llvm.masked.{kind}.v{vector.count}{element}.p0"
    result = vector if kind == "load" else ir.VoidType()
    signature = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), arguments)


def _stream(builder, value, address, offset):
    """Store a vector past the caches."""
    at = builder.bitcast(builder.gep(address, [_constant(offset)]), value.type.as_pointer())
    stored = builder.store(value, at)
    stored.align = STREAM_ALIGNMENT
    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_I32, 1)]))


@literal_intrinsic
def small_tile(
    typing_context,
    rows, vectors, valid, streamed, A, a0, a_row, a_column, B, b0, b_row, C, c0, c_row, depth,
):  # fmt: skip
    """C[i, :] = Σ_k A[i, k]·B[k, :] for i < rows, over `vectors` vectors, the last `valid` wide.

    A is read at a0 + i·a_row + k·a_column, B at b0 + k·b_row + j, C written at c0 + i·c_row + j.
    `rows` is a literal; `vectors`, 1 or 2, and `valid`, 1 … lanes, are chosen at run time.
    `streamed` sends whole vectors past the caches, which saves reading what is overwritten; the
    rows of C must then begin on a multiple of STREAM_ALIGNMENT.
    """
    n_rows = rows.literal_value

    def generate(context, builder, signature, arguments):
        _, chosen, valid, streamed, a, a0, a_row, a_column, b, b0, b_row, c, c0, c_row, depth = (
            arguments
        )
        vector = ir.VectorType(context.get_data_type(C.dtype), _lanes(C.dtype))
        operands = (
            (_address(context, builder, A, a, a0), a_row, a_column),
            (_address(context, builder, B, b, b0), b_row),
            (_address(context, builder, C, c, c0), c_row),
        )
        whole = builder.icmp_signed("==", valid, _constant(vector.count))
        for n_vectors in range(SMALL_VECTORS, 0, -1):
            right = builder.icmp_signed("==", chosen, _constant(n_vectors))
            for unmasked in (True, False):
                fits = builder.and_(right, whole if unmasked else builder.not_(whole))
                with builder.if_then(fits):
                    mask = None if unmasked else _mask_of(builder, vector, valid)
                    _emit(builder, vector, n_rows, n_vectors, mask, streamed, operands, depth)
        return context.get_dummy_value()

    index = types.intp
    signature = types.void(
        rows, index, index, types.boolean,
        A, index, index, index, B, index, index, C, index, index, index,
    )  # fmt: skip
    return signature, generate


def _emit(builder, vector, n_rows, n_vectors, mask, streamed, operands, depth):
    """The code of one tile; with a mask its last vector reads and writes only what is valid."""
    (a_at, a_row, a_column), (b_at, b_row), (c_at, c_row) = operands
    zero = ir.Constant(vector, [0.0] * vector.count)
    pointer = vector.as_pointer()
    alignment = ir.Constant(_I32, _element_bytes(vector.element))

    def read(address, j):
        if mask is None or j < n_vectors - 1:
            return _load_vector(builder, address, vector, j * vector.count)
        at = builder.bitcast(builder.gep(address, [_constant(j * vector.count)]), pointer)
        return _masked(builder, "load", vector, [at, alignment, mask, zero])

    def write(value, address, j):
        if mask is None or j < n_vectors - 1:
            _store_vector(builder, value, address, j * vector.count)
            return
        at = builder.bitcast(builder.gep(address, [_constant(j * vector.count)]), pointer)
        _masked(builder, "store", vector, [value, at, alignment, mask])

    # One base address serves three rows: x86 scales an index by 1 and 2.
    bases = [a_at]
    row = a_at
    for i in range(1, n_rows):
        row = builder.gep(row, [a_row])
        if i % 3 == 0:
            bases.append(row)

    def a_element(bases, i):
        address = bases[i // 3]
        for _ in range(i % 3):
            address = builder.gep(address, [a_row])
        return builder.load(address)

    def steps_of(count):
        def body(values):
            sums, (b_at, *bases) = values[: n_rows * n_vectors], values[n_rows * n_vectors :]
            for _ in range(count):
                b_values = [read(b_at, j) for j in range(n_vectors)]
                for i in range(n_rows):
                    factor = _splat(builder, vector, a_element(bases, i))
                    for j in range(n_vectors):
                        at = i * n_vectors + j
                        sums[at] = _multiply_add(builder, vector, factor, b_values[j], sums[at])
                b_at = builder.gep(b_at, [b_row])
                bases = [builder.gep(base, [a_column]) for base in bases]
            return [*sums, b_at, *bases]

        return body

    values = [zero] * (n_rows * n_vectors) + [b_at, *bases]
    whole = builder.sdiv(depth, _constant(_UNROLL))
    rest = builder.srem(depth, _constant(_UNROLL))
    values = _counted_loop(builder, whole, values, steps_of(_UNROLL))
    values = _counted_loop(builder, rest, values, steps_of(1))
    rows = [c_at]
    for _ in range(n_rows - 1):
        rows.append(builder.gep(rows[-1], [c_row]))
    places = [(i, j) for i in range(n_rows) for j in range(n_vectors)]
    if mask is not None:
        for i, j in places:
            write(values[i * n_vectors + j], rows[i], j)
        return
    with builder.if_else(streamed) as (past_caches, through_caches):
        with past_caches:
            for i, j in places:
                _stream(builder, values[i * n_vectors + j], rows[i], j * vector.count)
        with through_caches:
            for i, j in places:
                write(values[i * n_vectors + j], rows[i], j)
