"""A vector register as a value: arithmetic on all its lanes with the operators of Python.

    x, y = c·a − s·b, s·a + c·b        <lanes x T> each, for a = read(S, i), b = read(S, j)

A `Vector` lives in a register and holds one number of each of `lanes` matrices; a comparison gives
a `Mask`, and `select` stands where scalar code has an `if`.  The same loops written over lanes stay
scalar: numba's auto-vectoriser gives up where rows of one array are read and written (a Jacobi
sweep of 8 × 8 matrices: no packed instruction, 14 times slower).

Arrays are taken as base address and offset in elements, as in `_simd`.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import models, register_model

from mmlfast.kernels._jit import literal_intrinsic
from mmlfast.kernels._simd import (
    _address,
    _element_bytes,
    _lanes,
    _load_vector,
    _splat,
    _store_vector,
    _to_float,
)


class Vector(types.Type):
    """As many numbers of `dtype` as a register holds."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(f"Vector({dtype})")


class Mask(types.Type):
    """True or false for each lane of a Vector of `dtype`."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(f"Mask({dtype})")


def _floats(dtype):
    element = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
    return ir.VectorType(element, _lanes(dtype))


def _integers(dtype):
    return ir.VectorType(ir.IntType(dtype.bitwidth), _lanes(dtype))


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _floats(kind.dtype))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), _lanes(kind.dtype)))


def _lane(number):
    return ir.Constant(ir.IntType(32), number)


def _as_vector(context, builder, value, kind, dtype):
    """A Vector as it is, a number in every lane."""
    if isinstance(kind, Vector):
        return value
    return _splat(builder, _floats(dtype), context.cast(builder, value, kind, dtype))


def _operator(function, result, emit):
    """Define function(a, b) for vectors, one of which may be a number."""

    @infer_global(function)
    class Typing(AbstractTemplate):
        def generic(self, args, kws):
            vectors = {kind for kind in args if isinstance(kind, Vector)}
            numbers = [kind for kind in args if isinstance(kind, types.Number)]
            if len(args) != 2 or len(vectors) != 1 or len(numbers) > 1:
                return None
            if not numbers and not all(isinstance(kind, Vector) for kind in args):
                return None
            return signature(result(next(iter(vectors)).dtype), *args)

    def lower(context, builder, sig, args):
        dtype = next(kind.dtype for kind in sig.args if isinstance(kind, Vector))
        pairs = zip(args, sig.args, strict=True)
        return emit(builder, *(_as_vector(context, builder, *pair, dtype) for pair in pairs))

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(function, *kinds)(lower)


_operator(operator.add, Vector, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, Vector, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, Vector, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, Vector, lambda builder, a, b: builder.fdiv(a, b))
# Ordered comparisons: NaN is neither smaller nor larger nor equal.
_operator(operator.lt, Mask, lambda builder, a, b: builder.fcmp_ordered("<", a, b))
_operator(operator.gt, Mask, lambda builder, a, b: builder.fcmp_ordered(">", a, b))
_operator(operator.eq, Mask, lambda builder, a, b: builder.fcmp_ordered("==", a, b))


@literal_intrinsic
def read(typing_context, array, offset):
    """The vector array.flat[offset : offset + lanes]."""

    def generate(context, builder, signature, arguments):
        at = _address(context, builder, array, *arguments)
        return _load_vector(builder, at, _floats(array.dtype))

    return Vector(array.dtype)(array, types.intp), generate


@literal_intrinsic
def read_as(typing_context, array, offset, like):
    """As many numbers from array.flat[offset] on as a Vector of `like`'s dtype has, as such a one.

    uint16 is read as float16.
    """

    def generate(context, builder, signature, arguments):
        at = _address(context, builder, array, *arguments[:2])
        kind = _floats(like.dtype)
        stored = ir.VectorType(context.get_data_type(array.dtype), kind.count)
        return _to_float(builder, _load_vector(builder, at, stored), array.dtype, kind)

    return Vector(like.dtype)(array, types.intp, like), generate


@literal_intrinsic
def write(typing_context, array, offset, vector):
    """array.flat[offset : offset + lanes] = vector."""

    def generate(context, builder, signature, arguments):
        _store_vector(builder, arguments[2], _address(context, builder, array, *arguments[:2]))
        return context.get_dummy_value()

    return types.void(array, types.intp, Vector(array.dtype)), generate


def _first_lanes(builder, kind, count):
    """True in the lanes below `count`."""
    numbers = ir.Constant(ir.VectorType(ir.IntType(64), kind.count), list(range(kind.count)))
    return builder.icmp_signed("<", numbers, _splat(builder, numbers.type, count))


def _masked(builder, verb, result, kind, *arguments):
    """llvm.masked.load or store: memory of lanes that are masked out is not touched."""
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(result, [value.type for value in arguments]),
        f"llvm.masked.{verb}.v{kind.count}f{8 * _element_bytes(kind.element)}.p0",
    )
    return builder.call(function, arguments)


def _masked_address(context, builder, array_type, array, offset):
    """Address and alignment as the masked intrinsics take them."""
    kind = _floats(array_type.dtype)
    at = _address(context, builder, array_type, array, offset)
    align = ir.Constant(ir.IntType(32), _element_bytes(kind.element))
    return builder.bitcast(at, kind.as_pointer()), align


@literal_intrinsic
def read_first(typing_context, array, offset, count):
    """The vector array.flat[offset : offset + count], 0 in the lanes from `count` on."""

    def generate(context, builder, signature, arguments):
        a, offset, count = arguments
        kind = _floats(array.dtype)
        at = _masked_address(context, builder, array, a, offset)
        mask, zeros = _first_lanes(builder, kind, count), ir.Constant(kind, [0.0] * kind.count)
        return _masked(builder, "load", kind, kind, *at, mask, zeros)

    return Vector(array.dtype)(array, types.intp, types.intp), generate


@literal_intrinsic
def write_first(typing_context, array, offset, count, vector):
    """array.flat[offset : offset + count] = the first `count` lanes of vector."""

    def generate(context, builder, signature, arguments):
        a, offset, count, values = arguments
        at = _masked_address(context, builder, array, a, offset)
        mask = _first_lanes(builder, values.type, count)
        _masked(builder, "store", ir.VoidType(), values.type, values, *at, mask)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, Vector(array.dtype)), generate


@literal_intrinsic
def read_apart(typing_context, array, offset, stride):
    """The vector of array.flat[offset + l·stride] for l < lanes."""

    def generate(context, builder, signature, arguments):
        a, offset, stride = arguments
        kind = _floats(array.dtype)
        at, vector = _address(context, builder, array, a, offset), ir.Constant(kind, ir.Undefined)
        for lane in range(kind.count):
            vector = builder.insert_element(vector, builder.load(at), _lane(lane))
            at = builder.gep(at, [stride])
        return vector

    return Vector(array.dtype)(array, types.intp, types.intp), generate


@literal_intrinsic
def write_apart(typing_context, array, offset, stride, vector):
    """array.flat[offset + l·stride] = vector[l] for l < lanes."""

    def generate(context, builder, signature, arguments):
        a, offset, stride, values = arguments
        at = _address(context, builder, array, a, offset)
        for lane in range(values.type.count):
            builder.store(builder.extract_element(values, _lane(lane)), at)
            at = builder.gep(at, [stride])
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, Vector(array.dtype)), generate


@literal_intrinsic
def splat(typing_context, array, number):
    """The number in every lane, in the array's dtype."""

    def generate(context, builder, signature, arguments):
        return _as_vector(context, builder, arguments[1], number, array.dtype)

    return Vector(array.dtype)(array, number), generate


@literal_intrinsic
def select(typing_context, mask, a, b):
    """a where the mask is true, b elsewhere; each a vector or a number."""

    def generate(context, builder, signature, arguments):
        condition, *values = arguments
        pairs = zip(values, (a, b), strict=True)
        chosen = [_as_vector(context, builder, *pair, mask.dtype) for pair in pairs]
        return builder.select(condition, *chosen)

    return Vector(mask.dtype)(mask, a, b), generate


def _extreme(sign, doc):
    """a, unless b is on its `sign` side; one instruction on x86."""

    @literal_intrinsic
    def function(typing_context, a, b):
        dtype = next(kind.dtype for kind in (a, b) if isinstance(kind, Vector))

        def generate(context, builder, signature, arguments):
            pairs = zip(arguments, (a, b), strict=True)
            a_, b_ = (_as_vector(context, builder, *pair, dtype) for pair in pairs)
            return builder.select(builder.fcmp_ordered(sign, a_, b_), b_, a_)

        return Vector(dtype)(a, b), generate

    function.__doc__ = doc
    return function


maximum = _extreme("<", "The larger of a and b, a where either is NaN: a bound b lets NaN pass.")
minimum = _extreme(">", "The smaller of a and b, a where either is NaN: a bound b lets NaN pass.")


@literal_intrinsic
def both(typing_context, a, b):
    """The mask that is true where a and b are."""

    def generate(context, builder, signature, arguments):
        return builder.and_(*arguments)

    return a(a, b), generate


@literal_intrinsic
def any_lane(typing_context, mask):
    """Whether the mask is true in some lane."""

    def generate(context, builder, signature, arguments):
        bits = builder.bitcast(arguments[0], ir.IntType(_lanes(mask.dtype)))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(mask), generate


def _llvm_call(builder, name, *values):
    """llvm.`name` of vectors or numbers; llvmlite's declare_intrinsic refuses vector types."""
    kind = values[0].type
    bits = 32 if getattr(kind, "element", kind) == ir.FloatType() else 64
    count = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind] * len(values)),
        f"llvm.{name}.{count}f{bits}",
    )
    return builder.call(function, values)


@literal_intrinsic
def sqrt(typing_context, vector):
    """√ of every lane, or of a number."""

    def generate(context, builder, signature, arguments):
        return _llvm_call(builder, "sqrt", *arguments)

    return vector(vector), generate


@literal_intrinsic
def sum_lanes(typing_context, vector):
    """The sum of the lanes, added in halves: always in the same order."""

    def generate(context, builder, signature, arguments):
        (rest,) = arguments
        count = rest.type.count
        while count > 1:
            count //= 2
            halves = [
                builder.shuffle_vector(
                    rest, rest, ir.Constant(ir.VectorType(ir.IntType(32), count), picked)
                )
                for picked in (list(range(count)), list(range(count, 2 * count)))
            ]
            rest = builder.fadd(*halves)
        return builder.extract_element(rest, _lane(0))

    return vector.dtype(vector), generate


@literal_intrinsic
def absolute(typing_context, vector):
    """The size of every lane."""

    def generate(context, builder, signature, arguments):
        return _llvm_call(builder, "fabs", *arguments)

    return vector(vector), generate


@literal_intrinsic
def with_sign(typing_context, vector, sign):
    """The size of `vector` with the sign bit of `sign`."""

    def generate(context, builder, signature, arguments):
        return _llvm_call(builder, "copysign", *arguments)

    return vector(vector, vector), generate


@literal_intrinsic
def transpose(typing_context, source, s0, s_stride, target, t0, t_stride):
    """target[t0 + e·t_stride + l] = source[s0 + l·s_stride + e] for all l, e < lanes."""

    def generate(context, builder, signature, arguments):
        s, s0, s_stride, t, t0, t_stride = arguments
        kind = _floats(source.dtype)
        at = _address(context, builder, source, s, s0)
        rows = []
        for _ in range(kind.count):
            rows.append(_load_vector(builder, at, kind))
            at = builder.gep(at, [s_stride])
        at = _address(context, builder, target, t, t0)
        for row in _transposed(builder, rows):
            _store_vector(builder, row, at)
            at = builder.gep(at, [t_stride])
        return context.get_dummy_value()

    index = types.intp
    return types.void(source, index, index, target, index, index), generate


def _transposed(builder, rows):
    """The columns of a square of registers: log₂(lanes) rounds, each of which swaps one bit of the
    row's number with the same bit of the lane's.
    """  # fmt: skip
    count = len(rows)
    for bit in (1 << b for b in range(count.bit_length() - 1)):
        upper = [e if not e & bit else count + (e ^ bit) for e in range(count)]
        lower = [e ^ bit if not e & bit else count + e for e in range(count)]
        swapped = list(rows)
        for i in (i for i in range(count) if not i & bit):
            for k, lanes_picked in ((i, upper), (i | bit, lower)):
                picked = ir.Constant(ir.VectorType(ir.IntType(32), count), lanes_picked)
                swapped[k] = builder.shuffle_vector(rows[i], rows[i | bit], picked)
        rows = swapped
    return rows
