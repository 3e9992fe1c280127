"""What elementary functions take apart and put together: integers, powers of two, polynomials.

    nearest(x) = (x + M) − M,    scaled(x, k) = x·2ᵏ,    split(x) = (k, f) with x = f·2ᵏ

With M = 1.5·2^(digits − 1), x + M has no room for a fraction, and the low bits of its pattern are
the rounded integer: exact for |x| < 2^(digits − 2) on every target, where `round` and conversions
of 64-bit integers are calls or long detours without SSE4.1 and AVX-512.  The two sums carry flags
of their own, so that the fast-math set of a caller cannot cancel them.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

from mmlfast.kernels._jit import literal_intrinsic
from mmlfast.kernels._simd import HAS_FMA, _multiply_add
from mmlfast.kernels._vectors import Vector, _as_vector, _floats, _integers

# numba adds its set to instructions without flags alone; this flag permits nothing here.
_KEPT = ("contract",)


class _Layout:
    """The fields of one dtype as vector constants."""

    def __init__(self, builder, dtype):
        self.builder, self.floats, self.integers = builder, _floats(dtype), _integers(dtype)
        self.width = dtype.bitwidth
        self.mantissa, self.bias = (23, 127) if self.width == 32 else (52, 1023)
        self.one = self.bias << self.mantissa
        # The pattern of M = 1.5·2^mantissa.
        self.magic = (self.bias + self.mantissa << self.mantissa) + (1 << self.mantissa - 1)

    def constant(self, pattern):
        return ir.Constant(self.integers, [pattern] * self.integers.count)

    def number(self, pattern):
        return self.as_float(self.constant(pattern))

    def as_float(self, bits):
        return self.builder.bitcast(bits, self.floats)

    def bits(self, vector):
        return self.builder.bitcast(vector, self.integers)

    def integer_bits(self, k):
        """The pattern of k + M, which is that of M plus k."""
        return self.bits(self.builder.fadd(k, self.number(self.magic), flags=_KEPT))


def _elementwise(emit):
    """generate(…) of an intrinsic of vectors, some perhaps numbers: emit(layout, *vectors)."""

    def generate(context, builder, signature, arguments):
        dtype = next(kind.dtype for kind in signature.args if isinstance(kind, Vector))
        pairs = zip(arguments, signature.args, strict=True)
        vectors = [_as_vector(context, builder, *pair, dtype) for pair in pairs]
        return emit(_Layout(builder, dtype), *vectors)

    return generate


@literal_intrinsic
def nearest(typing_context, x):
    """The nearest integer, of two the even one."""

    def emit(layout, x):
        magic, builder = layout.number(layout.magic), layout.builder
        return builder.fsub(builder.fadd(x, magic, flags=_KEPT), magic, flags=_KEPT)

    return x(x), _elementwise(emit)


@literal_intrinsic
def scaled(typing_context, x, k):
    """x·2ᵏ, rounded once, for an integer |k| ≤ 2·bias − 2: twice the range of exponents.

    Two factors, each half of the exponent, so that neither overflows before the product does.
    """

    def emit(layout, x, k):
        builder, shift = layout.builder, layout.constant(layout.mantissa)
        both = builder.sub(layout.integer_bits(k), layout.constant(layout.magic - 2 * layout.bias))
        half = builder.lshr(both, layout.constant(1))
        for exponent in (half, builder.sub(both, half)):
            power = layout.as_float(builder.shl(exponent, shift))
            x = builder.fmul(x, power, flags=_KEPT)
        return x

    return x(x, k), _elementwise(emit)


@literal_intrinsic
def two_to(typing_context, k):
    """2ᵏ of an integer −bias ≤ k ≤ bias, 0 for k = −bias."""

    def emit(layout, k):
        builder = layout.builder
        raised = builder.shl(layout.integer_bits(k), layout.constant(layout.mantissa))
        return layout.as_float(builder.add(raised, layout.constant(layout.one)))

    return k(k), _elementwise(emit)


@literal_intrinsic
def shifted(typing_context, x, k):
    """x·2ᵏ for an integer k, where x and the product are normal: an addition of integers."""

    def emit(layout, x, k):
        builder = layout.builder
        steps = builder.shl(layout.integer_bits(k), layout.constant(layout.mantissa))
        return layout.as_float(builder.add(layout.bits(x), steps))

    return x(x, k), _elementwise(emit)


@literal_intrinsic
def split(typing_context, x):
    """(k, f) with x = f·2ᵏ and √½ ≤ f < √2, for a normal x > 0."""

    def emit(layout, x):
        builder, shift = layout.builder, layout.constant(layout.mantissa)
        root = 0x3F3504F3 if layout.width == 32 else 0x3FE6A09E667F3BCD
        # k + bias, which is positive: AVX2 has no shift that keeps the sign of 64 bits.
        above = builder.sub(layout.bits(x), layout.constant(root - layout.one))
        biased = builder.lshr(above, shift)
        power = builder.sub(builder.shl(biased, shift), layout.constant(layout.one))
        f = layout.as_float(builder.sub(layout.bits(x), power))
        k = layout.as_float(builder.add(biased, layout.constant(layout.magic - layout.bias)))
        return builder.fsub(k, layout.number(layout.magic), flags=_KEPT), f

    def generate(context, builder, signature, arguments):
        pair = _elementwise(emit)(context, builder, signature, arguments)
        return context.make_tuple(builder, signature.return_type, pair)

    return types.UniTuple(x, 2)(x), generate


@literal_intrinsic
def power_of_two(typing_context, x):
    """2^e for a normal number ±f·2^e with 1 ≤ f < 2; 0 for smaller ones, Inf for Inf and NaN."""

    def emit(layout, x):
        field = layout.constant((1 << layout.width - 1) - (1 << layout.mantissa))
        return layout.as_float(layout.builder.and_(layout.bits(x), field))

    return x(x), _elementwise(emit)


@literal_intrinsic
def significand(typing_context, x):
    """±f for a normal number ±f·2^e with 1 ≤ f < 2."""

    def emit(layout, x):
        kept = layout.constant((1 << layout.width - 1) + (1 << layout.mantissa) - 1)
        fraction = layout.builder.and_(layout.bits(x), kept)
        return layout.as_float(layout.builder.or_(fraction, layout.constant(layout.one)))

    return x(x), _elementwise(emit)


@literal_intrinsic
def exponent(typing_context, x):
    """e for a normal number ±f·2^e with 1 ≤ f < 2."""

    def emit(layout, x):
        builder, shift = layout.builder, layout.constant(layout.mantissa)
        field = layout.constant((1 << layout.width - 1 - layout.mantissa) - 1)
        biased = builder.and_(builder.lshr(layout.bits(x), shift), field)
        return builder.sitofp(builder.sub(biased, layout.constant(layout.bias)), layout.floats)

    return x(x), _elementwise(emit)


@literal_intrinsic
def multiply_add(typing_context, a, b, c):
    """a·b + c of vectors, one of which may be a number; rounded once where the target can."""
    dtype = next(kind.dtype for kind in (a, b, c) if isinstance(kind, Vector))

    def emit(layout, a, b, c):
        return _multiply_add(layout.builder, layout.floats, a, b, c)

    return Vector(dtype)(a, b, c), _elementwise(emit)


@literal_intrinsic
def product_error(typing_context, a, b, product):
    """a·b − fl(a·b), given the rounded product: exact, but for the last bits where there is no FMA.

    There a and b are cut in halves whose products need no rounding (Dekker, Numerische Mathematik
    18, 1971, with halves of the bit pattern); numbers whose square overflows are not for it.
    """

    def emit(layout, a, b, product):
        builder = layout.builder
        if HAS_FMA:
            return _multiply_add(builder, layout.floats, a, b, builder.fneg(product))
        half = layout.constant(-(1 << layout.mantissa // 2 + 1))
        (a, a_low), (b, b_low) = (
            (high, builder.fsub(x, high, flags=_KEPT))
            for x in (a, b)
            for high in [layout.as_float(builder.and_(layout.bits(x), half))]
        )
        error = builder.fsub(builder.fmul(a, b, flags=_KEPT), product, flags=_KEPT)
        for factors in ((a, b_low), (a_low, b), (a_low, b_low)):
            error = builder.fadd(error, builder.fmul(*factors, flags=_KEPT), flags=_KEPT)
        return error

    return product(a, b, product), _elementwise(emit)


def _chosen(x, pair):
    """The constants of the dtype of x, of a pair (for float32, for float64)."""
    return 0 if x.dtype.bitwidth == 32 else 1, pair[0 if x.dtype.bitwidth == 32 else 1]


@literal_intrinsic
def constant(typing_context, x, pair):
    """pair[0] in every lane where x is of float32, pair[1] where it is of float64."""
    place, kind = _chosen(x, pair)

    def generate(context, builder, signature, arguments):
        number = builder.extract_value(arguments[1], place)
        return _as_vector(context, builder, number, kind, x.dtype)

    return x(x, pair), generate


@literal_intrinsic
def polynomial(typing_context, x, pair):
    """Σ c_i xⁱ by Horner's rule, with constants c = pair[0] for float32, pair[1] for float64."""
    place, kind = _chosen(x, pair)

    def generate(context, builder, signature, arguments):
        numbers = builder.extract_value(arguments[1], place)
        c = [
            _as_vector(context, builder, builder.extract_value(numbers, i), kind[i], x.dtype)
            for i in range(len(kind))
        ]
        total = c.pop()
        while c:
            total = _multiply_add(builder, total.type, total, arguments[0], c.pop())
        return total

    return x(x, pair), generate
