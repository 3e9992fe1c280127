"""Sums of products in twice the precision: hi + lo = Σ a·b.

    a·b = p + e,  e = fma(a, b, −p);      h + p = s + ((h − (s − t)) + (p − t)),  t = s − h

Ogita, Rump and Oishi, Accurate sum and dot product, SIAM J. Sci. Comput. 26, 2005.  The product
carries a flag of its own, so that the fast-math set of a caller cannot fuse it with a sum.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

from mmlfast.kernels._jit import inlined_kernel, literal_intrinsic
from mmlfast.kernels._simd import HAS_FMA, _multiply_add

# numba adds its set to instructions without flags alone.
_KEPT = ("nsz",)
# Dekker's factor 2^⌈digits/2⌉ + 1 splits a number into halves whose products are exact.
_SPLIT = {32: 4097.0, 64: 134217729.0}


def _halves(builder, a, split):
    scaled = builder.fmul(a, split, flags=_KEPT)
    rest = builder.fsub(scaled, a, flags=_KEPT)
    high = builder.fsub(scaled, rest, flags=_KEPT)
    return high, builder.fsub(a, high, flags=_KEPT)


def _error(builder, a, b, product, bits):
    """a·b − product, exactly."""
    if HAS_FMA:
        return _multiply_add(builder, a.type, a, b, builder.fneg(product))
    split = ir.Constant(a.type, [_SPLIT[bits]] * a.type.count)
    (a1, a2), (b1, b2) = _halves(builder, a, split), _halves(builder, b, split)
    error = builder.fneg(product)
    for x, y in ((a1, b1), (a1, b2), (a2, b1), (a2, b2)):
        error = builder.fadd(error, builder.fmul(x, y, flags=_KEPT), flags=_KEPT)
    return error


@literal_intrinsic
def exact_product(typing_context, a, b):
    """(p, e) with p + e = a·b, where nothing overflows or is subnormal."""

    def generate(context, builder, signature, arguments):
        a, b = arguments
        product = builder.fmul(a, b, flags=_KEPT)
        error = _error(builder, a, b, product, signature.args[0].dtype.bitwidth)
        return context.make_tuple(builder, signature.return_type, (product, error))

    return types.UniTuple(a, 2)(a, b), generate


@inlined_kernel
def add_doubled(total, x):
    """(hi, lo) + x."""
    hi, lo = total
    s = hi + x
    t = s - hi
    return s, lo + ((hi - (s - t)) + (x - t))


@inlined_kernel
def add_product(total, a, b):
    """(hi, lo) + a·b."""
    product, error = exact_product(a, b)
    hi, lo = add_doubled(total, product)
    return hi, lo + error
