"""Vector instructions for kernels, emitted as LLVM IR.

    tile_fma:   C[i, :] (+)= Σ_k A[k, i] · B[k, :]       a tile of TILE_ROWS × `vectors` registers
    centre:     P[r, :] = X[r, :] − s,   t += Σ_r P[r, :]     read as stored, computed as P's dtype

numba's auto-vectoriser does not keep a register tile, so the whole k-loop is written here: the
accumulators are phi nodes of type <lanes x T>.  Arrays arrive as base address plus offset and
strides in *elements*; there is no bounds check and no wrap-around of negative offsets.

Lanes and registers follow the compile target, not the machine that happens to run Python, so
`NUMBA_CPU_NAME=generic` gives SSE2 code from the same source.  `float16` comes as its bits in
uint16 (numba has no half type on CPUs); no other uint16 reaches a kernel.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target

from mmlfast.kernels._jit import literal_intrinsic

_TRIPLE, _CPU, _FEATURES = cpu_target.target_context.codegen().magic_tuple()


def cpu_name() -> str:
    """LLVM's name of the compile target, such as 'znver3' or 'generic'."""
    return str(_CPU)


def cpu_features() -> tuple[str, ...]:
    """The instruction sets the compile target has, as LLVM spells them."""
    return tuple(sorted(f[1:] for f in _FEATURES.split(",") if f.startswith("+")))


_ARM = _TRIPLE.startswith(("aarch64", "arm64"))
_FEATURE_SET = frozenset(cpu_features())
HAS_FMA = _ARM or "fma" in _FEATURE_SET or "avx512f" in _FEATURE_SET
LANE_BYTES = 64 if "avx512f" in _FEATURE_SET else 32 if "avx2" in _FEATURE_SET and HAS_FMA else 16

# Rows and vectors of the register tile.  32 registers: 8 × 3 accumulators, 3 of B, 1 broadcast.
# Measured in L1 on AVX-512, GFLOP/s f64: 8 × 3 93, 14 × 2 92 (but 41 with A by rows: it spills),
# 9 × 3 85, 6 × 4 85.  16 registers: 6 × 2, as BLIS does on Zen.
TILE_ROWS, TILE_VECTORS = (8, 3) if LANE_BYTES == 64 or _ARM else (6, 2)

ZERO, CONTINUE, ADD = 0, 1, 2  # how a tile starts: see tile_fma

_I32, _I64 = ir.IntType(32), ir.IntType(64)
# Unrolling by 4 is no faster, and with A by rows LLVM then hoists loads and spills: 126, not 190.
_UNROLL = 2


def _constant(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _lanes(dtype: types.Type) -> int:
    return LANE_BYTES * 8 // dtype.bitwidth


def _address(context, builder, array_type, array, offset):
    data = cgutils.create_struct_proxy(array_type)(context, builder, value=array).data
    return builder.gep(data, [offset])


def _load_vector(builder, address, vector, element_offset=0):
    shifted = builder.gep(address, [_constant(element_offset)])
    loaded = builder.load(builder.bitcast(shifted, vector.as_pointer()))
    loaded.align = _element_bytes(vector.element)
    return loaded


def _store_vector(builder, value, address, element_offset=0):
    shifted = builder.gep(address, [_constant(element_offset)])
    stored = builder.store(value, builder.bitcast(shifted, value.type.as_pointer()))
    stored.align = _element_bytes(value.type.element)


def _element_bytes(element) -> int:
    if isinstance(element, ir.IntType):
        return element.width // 8
    return 8 if isinstance(element, ir.DoubleType) else 4


def _splat(builder, vector, scalar):
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    mask = ir.Constant(ir.VectorType(_I32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, mask)


def _multiply_add(builder, vector, a, b, c):
    """a·b + c, rounded once where the target can; two instructions where `fma` would be a call."""
    if not HAS_FMA:
        return builder.fadd(builder.fmul(a, b), c)
    # llvmlite's declare_intrinsic refuses vector types, so the name is spelled out.
    name = f"llvm.fma.v{vector.count}f{8 * _element_bytes(vector.element)}"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * 3), name
    )
    return builder.call(function, [a, b, c])


def _prefetch(builder, address):
    byte_pointer = ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [byte_pointer, _I32, _I32, _I32]),
        "llvm.prefetch.p0",
    )
    read, keep_near, data = (ir.Constant(_I32, flag) for flag in (0, 3, 1))
    builder.call(function, [builder.bitcast(address, byte_pointer), read, keep_near, data])


def _to_float(builder, value, source: types.Type, target):
    """A scalar or vector of `source` numbers as `target`, exactly where that is possible."""
    element = target.element if isinstance(target, ir.VectorType) else target
    if isinstance(source, types.Float):
        have = _element_bytes(getattr(value.type, "element", value.type))
        if have == _element_bytes(element):
            return value
        return builder.fpext(value, target) if have == 4 else builder.fptrunc(value, target)
    if source == types.uint16:
        return _half_to_float(builder, value, target)
    return builder.sitofp(value, target) if source.signed else builder.uitofp(value, target)


def _half_to_float(builder, bits, target):
    """float16 bits → float32: move exponent and mantissa over, rescale by 2¹¹², mend Inf and NaN.

    Plain integer arithmetic: `fpext half` becomes a library call on targets without F16C.
    """
    count = getattr(target, "count", None)
    integer, single = (
        kind if count is None else ir.VectorType(kind, count) for kind in (_I32, ir.FloatType())
    )

    def fixed(kind, value):
        return ir.Constant(kind, value if count is None else [value] * count)

    wide = builder.zext(bits, integer)
    sign = builder.shl(builder.and_(wide, fixed(integer, 0x8000)), fixed(integer, 16))
    magnitude = builder.shl(builder.and_(wide, fixed(integer, 0x7FFF)), fixed(integer, 13))
    scaled = builder.fmul(builder.bitcast(magnitude, single), fixed(single, 2.0**112))
    special = builder.icmp_unsigned(">=", magnitude, fixed(integer, 0x7C00 << 13))
    exponent = builder.or_(magnitude, fixed(integer, 0x7F800000))
    number = builder.select(special, exponent, builder.bitcast(scaled, integer))
    value = builder.bitcast(builder.or_(number, sign), single)
    return value if single == target else builder.fpext(value, target)


def _counted_loop(builder, count, start_values, body):
    """for _ in range(count): values = body(values); the values are phi nodes, kept in registers."""
    entry = builder.block
    head = builder.append_basic_block("loop.head")
    inside = builder.append_basic_block("loop.body")
    done = builder.append_basic_block("loop.done")
    builder.branch(head)
    builder.position_at_end(head)
    left = builder.phi(_I64)
    left.add_incoming(count, entry)
    phis = [builder.phi(value.type) for value in start_values]
    for phi, value in zip(phis, start_values, strict=True):
        phi.add_incoming(value, entry)
    builder.cbranch(builder.icmp_signed(">", left, _constant(0)), inside, done)
    builder.position_at_end(inside)
    next_values = body(list(phis))
    left.add_incoming(builder.sub(left, _constant(1)), builder.block)
    for phi, value in zip(phis, next_values, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(done)
    return phis


@literal_intrinsic
def lanes(typing_context, array):
    """Numbers of the array's dtype in one vector register: a constant of the compiled code."""
    count = _lanes(array.dtype)

    def generate(context, builder, signature, arguments):
        return _constant(count)

    return types.intp(array), generate


@literal_intrinsic
def load(typing_context, array, offset):
    """array.flat[offset] from the base address; no wrap-around of negative offsets."""

    def generate(context, builder, signature, arguments):
        return builder.load(_address(context, builder, array, arguments[0], arguments[1]))

    return array.dtype(array, types.intp), generate


@literal_intrinsic
def load_as(typing_context, array, offset, like):
    """array.flat[offset] converted to the dtype of `like`; uint16 is read as float16."""

    def generate(context, builder, signature, arguments):
        value = builder.load(_address(context, builder, array, arguments[0], arguments[1]))
        return _to_float(builder, value, array.dtype, context.get_data_type(like.dtype))

    return like.dtype(array, types.intp, like), generate


@literal_intrinsic
def store(typing_context, array, offset, value):
    """array.flat[offset] = value, from the base address."""

    def generate(context, builder, signature, arguments):
        builder.store(
            arguments[2], _address(context, builder, array, arguments[0], arguments[1])
        )
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), generate


@literal_intrinsic
def copy_vectors(typing_context, vectors, source, source_offset, target, target_offset):
    """target.flat[o : o + vectors·lanes] = source.flat[...], whole vectors, no overlap."""
    count = vectors.literal_value

    def generate(context, builder, signature, arguments):
        _, a, a0, b, b0 = arguments
        vector = ir.VectorType(context.get_data_type(source.dtype), _lanes(source.dtype))
        read = _address(context, builder, source, a, a0)
        written = _address(context, builder, target, b, b0)
        values = [_load_vector(builder, read, vector, j * vector.count) for j in range(count)]
        for j, value in enumerate(values):
            _store_vector(builder, value, written, j * vector.count)
        return context.get_dummy_value()

    return types.void(vectors, source, types.intp, target, types.intp), generate


@literal_intrinsic
def centre_vectors(
    typing_context, vectors, X, x0, x_stride, rows, shift, sums, column, panel, p0, p_stride
):
    """P[r, c] = X[r, c] − shift[c];  sums[c] += Σ_r P[r, c]  for `vectors` vectors of columns.

    X is read at x0 + r·x_stride + c in its own dtype; the panel is written at p0 + r·p_stride + c.
    The sums run through the rows in order, in registers.
    """
    count = vectors.literal_value

    def generate(context, builder, signature, arguments):
        _, x, x0, x_stride, rows, s, t, column, p, p0, p_stride = arguments
        vector = ir.VectorType(context.get_data_type(panel.dtype), _lanes(panel.dtype))
        stored = ir.VectorType(context.get_data_type(X.dtype), vector.count)
        shift_at = _address(context, builder, shift, s, column)
        sums_at = _address(context, builder, sums, t, column)
        offsets = [j * vector.count for j in range(count)]
        shifts = [_load_vector(builder, shift_at, vector, j) for j in offsets]
        start = [_load_vector(builder, sums_at, vector, j) for j in offsets]
        start += [
            _address(context, builder, X, x, x0),
            _address(context, builder, panel, p, p0),
        ]

        def one_row(values):
            *totals, read, written = values
            for i, j in enumerate(offsets):
                raw = _load_vector(builder, read, stored, j)
                centred = builder.fsub(_to_float(builder, raw, X.dtype, vector), shifts[i])
                _store_vector(builder, centred, written, j)
                totals[i] = builder.fadd(totals[i], centred)
            return [*totals, builder.gep(read, [x_stride]), builder.gep(written, [p_stride])]

        totals = _counted_loop(builder, rows, start, one_row)
        for j, total in zip(offsets, totals, strict=False):
            _store_vector(builder, total, sums_at, j)
        return context.get_dummy_value()

    index = types.intp
    return (
        types.void(
            vectors, X, index, index, index, shift, sums, index, panel, index, index
        ),
        generate,
    )


@literal_intrinsic
def tile_fma(
    typing_context,
    start, by_rows, vectors, A, a0, a_stride, B, b0, b_stride, C, c0, c_stride, depth,
):  # fmt: skip
    """C[i, :] = start + Σ_k A[k, i]·B[k, :]   for i < TILE_ROWS, over `vectors` vectors of columns.

    B is read at b0 + k·b_stride + j, C at c0 + i·c_stride + j.  With `by_rows` false A is read at
    a0 + k·a_stride + i (its i lie side by side), with `by_rows` true at a0 + i·a_stride + k.
    `start` and `by_rows` are literals; `vectors`, from 1 to TILE_VECTORS, is chosen at run time
    among tiles written out for each.

    start: ZERO      C is overwritten;
           CONTINUE  the sum goes on from C: one chain of fma over all k of all calls, so that
                     cutting the k differently gives the same bits;
           ADD       the finished sum is added to C, which is fetched meanwhile: for long chains.
    """
    start_mode, strided = start.literal_value, bool(by_rows.literal_value)

    def generate(context, builder, signature, arguments):
        _, _, chosen, a, a0, a_stride, b, b0, b_stride, c, c0, c_stride, depth = arguments
        operands = (
            (_address(context, builder, A, a, a0), a_stride),
            (_address(context, builder, B, b, b0), b_stride),
            (_address(context, builder, C, c, c0), c_stride),
        )
        vector = ir.VectorType(context.get_data_type(C.dtype), _lanes(C.dtype))
        for n_vectors in range(TILE_VECTORS, 0, -1):
            with builder.if_then(builder.icmp_signed("==", chosen, _constant(n_vectors))):
                _emit_tile(builder, vector, n_vectors, start_mode, strided, operands, depth)
        return context.get_dummy_value()

    index = types.intp
    return (
        types.void(
            start, by_rows, index, A, index, index, B, index, index, C, index, index, index
        ),
        generate,
    )


def _emit_tile(builder, vector, n_vectors, start_mode, strided, operands, depth):
    """The code of a tile of TILE_ROWS × n_vectors accumulators."""
    (a_at, a_stride), (b_at, b_stride), (c_at, c_stride) = operands
    offsets = [j * vector.count for j in range(n_vectors)]
    c_rows = [c_at]
    for _ in range(2 * TILE_ROWS - 1):
        c_rows.append(builder.gep(c_rows[-1], [c_stride]))
    c_rows, next_rows = c_rows[:TILE_ROWS], c_rows[TILE_ROWS:]
    if start_mode == CONTINUE:
        totals = [_load_vector(builder, row, vector, j) for row in c_rows for j in offsets]
    else:
        totals = [ir.Constant(vector, [0.0] * vector.count)] * (TILE_ROWS * n_vectors)
    # ADD wants its own C at the end; after CONTINUE comes, as a rule, the tile below: 7 % at 2000².
    for row in {ZERO: [], CONTINUE: next_rows, ADD: c_rows}[start_mode]:
        for j in offsets:
            _prefetch(builder, builder.gep(row, [_constant(j)]))

    # By rows, one base address serves three rows (x86 scales an index by 1 and 2): eight addresses
    # and a counter would not fit the integer registers.
    a_bases = [a_at]
    if strided:
        row = a_at
        for i in range(1, TILE_ROWS):
            row = builder.gep(row, [a_stride])
            if i % 3 == 0:
                a_bases.append(row)

    def a_element(bases, i, k):
        address, steps = (bases[i // 3], i % 3) if strided else (bases[0], k)
        for _ in range(steps):
            address = builder.gep(address, [a_stride])
        return builder.load(builder.gep(address, [_constant(k if strided else i)]))

    def steps_of(count):
        def body(values):
            sums, (b_at, *bases) = values[: len(totals)], values[len(totals) :]
            for k in range(count):
                b_row = [_load_vector(builder, b_at, vector, j) for j in offsets]
                for i in range(TILE_ROWS):
                    factor = _splat(builder, vector, a_element(bases, i, k))
                    for j in range(n_vectors):
                        at = i * n_vectors + j
                        sums[at] = _multiply_add(builder, vector, factor, b_row[j], sums[at])
                b_at = builder.gep(b_at, [b_stride])
            advance = _constant(count) if strided else builder.mul(a_stride, _constant(count))
            return [*sums, b_at, *(builder.gep(base, [advance]) for base in bases)]

        return body

    values = [*totals, b_at, *a_bases]
    whole = builder.sdiv(depth, _constant(_UNROLL))
    rest = builder.srem(depth, _constant(_UNROLL))
    values = _counted_loop(builder, whole, values, steps_of(_UNROLL))
    values = _counted_loop(builder, rest, values, steps_of(1))
    for i, row in enumerate(c_rows):
        for j, offset in enumerate(offsets):
            total = values[i * n_vectors + j]
            if start_mode == ADD:
                total = builder.fadd(total, _load_vector(builder, row, vector, offset))
            _store_vector(builder, total, row, offset)
