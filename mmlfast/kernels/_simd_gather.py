"""Sums of gathered rows, a row being LANES numbers of float64 that lie side by side.

    gather_lanes:   out[at + l] = Σ_k w_k · Y[LANES·indices[first + k] + l]      for k < count

numba sums rows number by number; here a row is one vector (or as many as the target needs for it).
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

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


@literal_intrinsic
def gather_lanes(typing_context, weighted, Y, indices, weights, first, count, out, at):
    """out[at : at + LANES] = Σ_k w_k·Y[row k], with w_k = 1 unless `weighted`, a literal.

    Y and out are contiguous arrays taken from their base address, indices int32.
    """
    with_weights = bool(weighted.literal_value)

    def generate(context, builder, signature, arguments):
        _, y, index, w, first, count, out_array, at = arguments
        vector = ir.VectorType(ir.DoubleType(), LANES)
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
        _store_vector(builder, total, _address(context, builder, out, out_array, at))
        return context.get_dummy_value()

    index_type = types.intp
    return (
        types.void(weighted, Y, indices, weights, index_type, index_type, out, index_type),
        generate,
    )
