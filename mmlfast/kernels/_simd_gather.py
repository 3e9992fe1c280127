"""Sums of gathered rows, a row being LANES numbers of float64 that lie side by side.

    gather_lanes:   out[l] = Σ_k w_k · Y[LANES·indices[first + k] + l]      for k < count
    relax_lanes:    X[i, l] ← α·totals[l] + r_l·V[i, l] + e_l·d,   Y[i′, l] ← X[i, l] · inverse

numba takes rows number by number; here a row is one vector (or as many as the target needs for it).
A sweep over 1 M nodes and 16 M edges on one thread: 162 ms so, 68 with these.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mmlfast.kernels._jit import literal_intrinsic
from mmlfast.kernels._simd import (
    _I64,
    _address,
    _constant,
    _counted_loop,
    _load_vector,
    _multiply_add,
    _splat,
    _store_vector,
)

LANES = 8  # one cache line of float64

_CHAINS = 2  # of additions side by side; more win nothing, for loads from L2 are the limit


_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


@literal_intrinsic
def gather_lanes(typing_context, weighted, Y, indices, weights, first, count, out):
    """out[:LANES] = Σ_k w_k·Y[row k], with w_k = 1 unless `weighted`, a literal.

    Y and out are contiguous arrays taken from their base address, indices int32.
    """
    with_weights = bool(weighted.literal_value)

    def generate(context, builder, signature, arguments):
        _, y, index, w, first, count, out_array = arguments
        vector = _VECTOR
        rows = _address(context, builder, Y, y, _constant(0))

        def added(total, pointers, k):
            index_at, *weight_at = (builder.gep(p, [_constant(k)]) for p in pointers)
            number = builder.sext(builder.load(index_at), _I64)
            row = builder.gep(rows, [builder.mul(number, _constant(LANES))])
            values = _load_vector(builder, row, vector)
            if not with_weights:
                return builder.fadd(total, values)
            factor = _splat(builder, vector, builder.load(weight_at[0]))
            return _multiply_add(builder, vector, factor, values, total)

        def steps_of(n):
            def body(values):
                totals, pointers = values[:_CHAINS], values[_CHAINS:]
                for k in range(n):
                    totals[k % _CHAINS] = added(totals[k % _CHAINS], pointers, k)
                return [*totals, *(builder.gep(p, [_constant(n)]) for p in pointers)]

            return body

        values = [ir.Constant(vector, [0.0] * LANES)] * _CHAINS
        values.append(_address(context, builder, indices, index, first))
        if with_weights:
            values.append(_address(context, builder, weights, w, first))
        unrolled = 2 * _CHAINS
        whole = builder.sdiv(count, _constant(unrolled))
        values = _counted_loop(builder, whole, values, steps_of(unrolled))
        values = _counted_loop(
            builder, builder.srem(count, _constant(unrolled)), values, steps_of(1)
        )
        total = builder.fadd(*values[:_CHAINS])
        _store_vector(builder, total, _address(context, builder, out, out_array, _constant(0)))
        return context.get_dummy_value()

    index_type = types.intp
    signature = types.void(weighted, Y, indices, weights, index_type, index_type, out)
    return signature, generate


@literal_intrinsic
def relax_lanes(
    typing_context, alpha, totals, r, V, e, constant, X, row, Y, y_row, inverse, share, sums
):
    """One row of X and Y from what was gathered for it, as the module says.

    X and V are read at `row`, X overwritten; Y is overwritten at `y_row`.  sums (3·LANES,) += the
    new X, share·X and |new X − old X|.
    """

    def generate(context, builder, signature, arguments):
        alpha, totals_, r_, v, e_, constant, x, row, y, y_row, inverse, share, sums_ = arguments
        zero = _constant(0)

        def at(kind, array, number):
            return _address(context, builder, kind, array, builder.mul(number, _constant(LANES)))

        def read(kind, array):
            return _load_vector(builder, _address(context, builder, kind, array, zero), _VECTOR)

        def times(scalar, vector, added):
            return _multiply_add(builder, _VECTOR, _splat(builder, _VECTOR, scalar), vector, added)

        nothing = ir.Constant(_VECTOR, [0.0] * LANES)
        x_at, sums_at = at(X, x, row), _address(context, builder, sums, sums_, zero)
        old = _load_vector(builder, x_at, _VECTOR)
        new = times(constant, read(e, e_), nothing)
        new = _multiply_add(
            builder, _VECTOR, read(r, r_), _load_vector(builder, at(V, v, row), _VECTOR), new
        )
        new = times(alpha, read(totals, totals_), new)
        size = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.fabs.v{LANES}f64"
        )
        terms = (new, times(share, new, nothing), builder.call(size, [builder.fsub(new, old)]))
        for k, term in enumerate(terms):
            total = _load_vector(builder, sums_at, _VECTOR, k * LANES)
            _store_vector(builder, builder.fadd(total, term), sums_at, k * LANES)
        _store_vector(builder, new, x_at)
        _store_vector(builder, times(inverse, new, nothing), at(Y, y, y_row))
        return context.get_dummy_value()

    number = types.float64
    signature = types.void(
        number, totals, r, V, e, number, X, types.intp, Y, types.intp, number, number, sums
    )
    return signature, generate
