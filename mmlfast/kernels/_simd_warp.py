"""Vector instructions that read an image between its pixels, emitted as LLVM IR.

    f(x, y) = Σ_i Σ_j w_i(u) · w_j(t) · p[j₀ + i, k₀ + j]      t, u: fractions of x and y
    taps = 1:  w = 1                                                          nearest pixel
    taps = 2:  w = (1 − t, t)                                                      bilinear
    taps = 4:  w = (q³, 3t³ − 6t² + 4, 3q³ − 6q² + 4, t³)/6 with q = 1 − t         cubic B-spline

A vector holds as many neighbouring output pixels as it has lanes.  The pixels of a footprint's row
lie side by side in memory, all their channels too, so they are fetched as words of 32 or 64 bits,
one gather for each word, and taken apart in registers: RGB bytes need one word for two pixels.

The first tap is clamped to the stored pixels and words never reach past the last of them: no byte
outside the image is read, wherever rounding puts a coordinate.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mmlfast.kernels._jit import literal_intrinsic
from mmlfast.kernels._simd import (
    _address,
    _constant,
    _counted_loop,
    _lanes,
    _load_vector,
    _multiply_add,
    _prefetch,
    _splat,
    _store_vector,
)

_I32, _I64 = ir.IntType(32), ir.IntType(64)
GROUP = 16  # a multiple of all lane counts
# float32 holds the sum of four weighted bytes to 2⁻¹⁵; of uint16 only to 2⁻⁷.
_WORK = {"uint8": types.float32, "float32": types.float32}


@literal_intrinsic
def fetch(typing_context, array, offset):
    """Have the cache line of array.flat[offset] brought in; any offset is allowed."""

    def generate(context, builder, signature, arguments):
        _prefetch(builder, _address(context, builder, array, *arguments))
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@literal_intrinsic
def ramp(typing_context, base, step, first, count, xs):
    """xs[j] = base + step·(first + j) for j < count rounded up to GROUP.

    Stored in the vectors that `interpolate` loads: from the narrower ones that LLVM would choose
    the processor cannot forward, and each load would wait for the cache.
    """

    def generate(context, builder, signature, arguments):
        base, step, first, count, xs_at = arguments
        vector = ir.VectorType(ir.DoubleType(), GROUP)
        base, step = _splat(builder, vector, base), _splat(builder, vector, step)
        lane = ir.Constant(vector, [float(j) for j in range(GROUP)])
        first = _splat(builder, vector, builder.sitofp(first, ir.DoubleType()))
        begin = [builder.fadd(first, lane), _address(context, builder, xs, xs_at, _constant(0))]

        def one_vector(values):
            j, written = values
            _store_vector(builder, _multiply_add(builder, vector, step, j, base), written)
            return [
                builder.fadd(j, _same(vector, float(GROUP))),
                builder.gep(written, [_constant(GROUP)]),
            ]

        groups = builder.udiv(builder.add(count, _constant(GROUP - 1)), _constant(GROUP))
        _counted_loop(builder, groups, begin, one_vector)
        return context.get_dummy_value()

    number, index = types.float64, types.intp
    return types.void(number, number, index, index, xs), generate


@literal_intrinsic
def interpolate(typing_context, taps, channels, source, start, stored, xs, ys, count, out, at):
    """out.flat[at + j·channels + c] = f(xs[j], ys[j]) of channel c, for j < count.

    `taps` is 1, 2 or 4; `channels` 1 … 4, and 1 with four taps: both are chosen at run time among
    loops written out for each.  The image begins at source.flat[start]; stored = (rows, columns,
    elements between rows): at least taps × taps pixels, and 8 bytes in a row.  With four taps x = 0
    is the third column, else the first.  Integers are rounded half up and kept in their range.
    Coordinates are read up to the next multiple of GROUP.
    """

    def generate(context, builder, signature, arguments):
        taps, channels, image, start, stored, xs_at, ys_at, count, out_at, at = arguments
        first = _address(context, builder, source, image, start)
        shape = cgutils.unpack_tuple(builder, stored)
        places = [
            _address(context, builder, xs, xs_at, _constant(0)),
            _address(context, builder, ys, ys_at, _constant(0)),
            _address(context, builder, out, out_at, at),
        ]
        for kind in ((1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4), (4, 1)):
            chosen = builder.and_(
                builder.icmp_signed("==", taps, _constant(kind[0])),
                builder.icmp_signed("==", channels, _constant(kind[1])),
            )
            with builder.if_then(chosen):
                _Reader(*kind, source.dtype, out.dtype).run(builder, first, shape, count, *places)
        return context.get_dummy_value()

    index = types.intp
    return types.void(index, index, source, index, stored, xs, ys, index, out, index), generate


class _Reader:
    """Emits the code of one image type: what is fixed for all pixels in `begin`, then vectors."""

    def __init__(self, taps: int, channels: int, source: types.Type, out: types.Type) -> None:
        self.taps, self.channels, self.out = taps, channels, out
        work = _WORK.get(source.name, types.float64)
        self.lanes = _lanes(work)
        self.size = source.bitwidth // 8
        scalar = ir.FloatType() if work == types.float32 else ir.DoubleType()
        self.work = ir.VectorType(scalar, self.lanes)
        self.double = ir.VectorType(ir.DoubleType(), self.lanes)
        self.i32, self.i64 = (ir.VectorType(kind, self.lanes) for kind in (_I32, _I64))
        # A row of the footprint as words: (byte offset, type).  Only a row of a single word can be
        # shorter than that, by `excess` bytes: two pixels of RGB bytes are six.
        row = taps * channels * self.size
        self.words = [(at, _I64 if row - at > 4 else _I32) for at in range(0, row, 8)]
        self.excess = self.words[-1][0] + self.words[-1][1].width // 8 - row

    def run(self, builder, first, shape, count, xs, ys, out):
        """Whole vectors of pixels; what is left of the last one by way of the stack."""
        self.begin(builder, first, *shape)
        step, numbers = _constant(self.lanes), _constant(self.lanes * self.channels)

        def written(places):
            x, y, out = places
            _store_vector(builder, self.one_vector(x, y), out)
            return [builder.gep(x, [step]), builder.gep(y, [step]), builder.gep(out, [numbers])]

        whole = builder.sdiv(count, step)
        x, y, out = _counted_loop(builder, whole, [xs, ys, out], written)
        left = builder.sub(count, builder.mul(whole, step))
        with builder.if_then(builder.icmp_signed(">", left, _constant(0))):
            last = cgutils.alloca_once_value(builder, self.one_vector(x, y))

            def copied(places):
                builder.store(builder.load(places[0]), places[1])
                return [builder.gep(place, [_constant(1)]) for place in places]

            left = builder.mul(left, _constant(self.channels))
            _counted_loop(builder, left, [builder.bitcast(last, out.type), out], copied)

    def begin(self, builder, first, rows, columns, stride):
        """Addresses and limits that all vectors share."""
        self.builder = builder
        self.most_x = builder.sub(columns, _constant(self.taps))
        self.most_y = builder.sub(rows, _constant(self.taps))
        # Said to be 32 bits wide, so that the products below need one instruction, not three.
        stride = builder.trunc(builder.mul(stride, _constant(self.size)), _I32)
        self.stride = builder.sext(_splat(builder, self.i32, stride), self.i64)
        first = builder.ptrtoint(first, _I64)
        self.first = _splat(builder, self.i64, first)
        if self.excess:
            stride = builder.sext(stride, _I64)
            down = builder.icmp_signed(">", stride, _constant(0))
            lowest = builder.mul(builder.sub(rows, _constant(1)), stride)
            lowest = builder.select(down, lowest, _constant(0))
            end = builder.mul(columns, _constant(self.channels * self.size))
            end = builder.sub(builder.add(lowest, end), _constant(self.excess))
            row = self.taps * self.channels * self.size
            last = builder.add(first, builder.sub(end, _constant(row)))
            self.last = _splat(builder, self.i64, last)

    def one_vector(self, xs, ys):
        """The pixels of `lanes` coordinates, side by side in one vector."""
        builder, channels = self.builder, self.channels
        column, t = self._corner(_load_vector(builder, xs, self.double), self.most_x)
        row, u = self._corner(_load_vector(builder, ys, self.double), self.most_y)
        pixel = _same(self.i64, channels * self.size)
        at = builder.add(builder.mul(row, self.stride), builder.mul(column, pixel))
        at = builder.add(at, self.first)
        across, down = self._weights(t), self._weights(u)
        sums = []
        for i in range(self.taps):
            numbers = self._numbers(at)
            sums.append([self._blend(across, numbers[c::channels]) for c in range(channels)])
            if i + 1 < self.taps:
                at = builder.add(at, self.stride)
        results = [self._blend(down, [row[c] for row in sums]) for c in range(channels)]
        return self._interleaved([self._stored(r) for r in results])

    def _corner(self, x, most):
        """The first tap of each coordinate, clamped, and the fraction from there."""
        builder = self.builder
        lead = {1: 0.5, 2: 0.0, 4: 1.0}[self.taps]
        x = builder.fadd(x, _same(self.double, lead)) if lead else x
        whole = builder.fptosi(x, self.i32)
        most = _splat(builder, self.i32, builder.trunc(most, _I32))
        whole = builder.select(builder.icmp_signed("<", whole, most), whole, most)
        zero = _same(self.i32, 0)
        whole = builder.select(builder.icmp_signed(">", whole, zero), whole, zero)
        t = builder.fsub(x, builder.sitofp(whole, self.double))
        t = t if self.work == self.double else builder.fptrunc(t, self.work)
        return builder.sext(whole, self.i64), t

    def _weights(self, t):
        """None for one tap, the fraction for two, four weights for the spline."""
        if self.taps < 4:
            return [t][: self.taps - 1]
        q = self.builder.fsub(_same(t.type, 1.0), t)
        outer = [self._outer_weight(q), self._outer_weight(t)]
        inner = [self._inner_weight(t), self._inner_weight(q)]
        return [outer[0], *inner, outer[1]]

    def _outer_weight(self, t):
        square = self.builder.fmul(t, t)
        return self.builder.fmul(self.builder.fmul(square, t), _same(t.type, 1 / 6))

    def _inner_weight(self, t):
        builder = self.builder
        slope = _multiply_add(builder, t.type, t, _same(t.type, 0.5), _same(t.type, -1.0))
        return _multiply_add(builder, t.type, builder.fmul(t, t), slope, _same(t.type, 2 / 3))

    def _blend(self, weights, values):
        builder = self.builder
        if self.taps == 1:
            return values[0]
        if self.taps == 2:
            a, b = values
            return _multiply_add(builder, a.type, weights[0], builder.fsub(b, a), a)
        total = builder.fmul(weights[0], values[0])
        for weight, value in zip(weights[1:], values[1:], strict=True):
            total = _multiply_add(builder, total.type, weight, value, total)
        return total

    def _numbers(self, at):
        """All numbers of a row of the footprint that begins at `at`, in the order of memory."""
        builder = self.builder
        beyond = None
        if self.excess:
            near = builder.select(builder.icmp_signed("<", at, self.last), at, self.last)
            beyond = builder.shl(builder.sub(at, near), _same(self.i64, 3))
            at = near
        halves = []
        for offset, kind in self.words:
            address = builder.add(at, _same(self.i64, offset)) if offset else at
            word = self._gather(address, kind)
            if beyond is not None:
                word = builder.lshr(word, _truncated(builder, beyond, word.type))
            if kind == _I32 or self.size == 8:
                halves.append(word)
                continue
            word = builder.bitcast(word, ir.VectorType(_I32, 2 * self.lanes))
            halves += [
                _shuffled(builder, word, word, range(half, 2 * self.lanes, 2)) for half in (0, 1)
            ]
        if self.size >= 4:
            return [builder.bitcast(half, self.work) for half in halves]
        places = (divmod(k * self.size, 4) for k in range(self.taps * self.channels))
        return [self._small_integer(halves[half], 8 * byte) for half, byte in places]

    def _small_integer(self, half, shift):
        builder, bits = self.builder, 8 * self.size
        if shift:
            half = builder.lshr(half, _same(self.i32, shift))
        if shift + bits < 32:
            half = builder.and_(half, _same(self.i32, (1 << bits) - 1))
        return builder.sitofp(half, self.work)

    def _gather(self, address, kind):
        # LLVM makes single loads of it where the processor has no gather or a slow one.  Measured,
        # ns a pixel in L1, AVX-512: float32 0.46, by single loads and inserts 0.64, by a plain loop
        # 1.3; RGB bytes 2.1, by a vector for each pixel's channels 2.9, by a plain loop 6.
        word = ir.VectorType(kind, self.lanes)
        pointers = ir.VectorType(kind.as_pointer(), self.lanes)
        mask = ir.VectorType(ir.IntType(1), self.lanes)
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(word, [pointers, _I32, mask, word]),
            f"llvm.masked.gather.v{self.lanes}i{kind.width}.v{self.lanes}p0",
        )
        addresses = self.builder.inttoptr(address, pointers)
        alignment = ir.Constant(_I32, self.size)
        everywhere, nothing = _same(mask, 1), ir.Constant(word, ir.Undefined)
        return self.builder.call(function, [addresses, alignment, everywhere, nothing])

    def _stored(self, value):
        """A vector of results as numbers of the output."""
        builder = self.builder
        if isinstance(self.out, types.Integer):
            value = builder.fadd(value, _same(value.type, 0.5))
            if self.taps == 4:  # the spline overshoots
                value = self._within(value, float(self.out.maxval))
            integer = ir.VectorType(ir.IntType(self.out.bitwidth), self.lanes)
            return builder.trunc(builder.fptosi(value, self.i32), integer)
        scalar = ir.FloatType() if self.out == types.float32 else ir.DoubleType()
        target = ir.VectorType(scalar, self.lanes)
        if target == value.type:
            return value
        convert = builder.fptrunc if self.out == types.float32 else builder.fpext
        return convert(value, target)

    def _within(self, value, highest):
        builder, zero, highest = self.builder, _same(value.type, 0.0), _same(value.type, highest)
        value = builder.select(builder.fcmp_ordered(">", value, highest), highest, value)
        return builder.select(builder.fcmp_ordered("<", value, zero), zero, value)

    def _interleaved(self, vectors):
        """Channels side by side for each pixel."""
        if self.channels == 1:
            return vectors[0]
        lanes, builder = self.lanes, self.builder
        pairs = [
            _shuffled(builder, a, b, range(2 * lanes))
            for a, b in zip(vectors[::2], [*vectors, vectors[-1]][1::2], strict=False)
        ]
        order = [c * lanes + k for k in range(lanes) for c in range(self.channels)]
        return _shuffled(builder, pairs[0], pairs[-1], order)


def _same(vector, value):
    return ir.Constant(vector, [value] * vector.count)


def _truncated(builder, value, kind):
    return value if value.type == kind else builder.trunc(value, kind)


def _shuffled(builder, a, b, order):
    mask = ir.Constant(ir.VectorType(_I32, len(order)), list(order))
    return builder.shuffle_vector(a, b, mask)
