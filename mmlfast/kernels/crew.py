"""Tickets by which threads share out the parts of a section of work without leaving compiled code.

    part = tickets ← tickets − 1        one atomic step hands each part to one thread

`control` is an array of CONTROL int64, zero to begin with.  Whoever leads opens a section, takes
parts like everybody else and waits until all are done; helpers wait for a section to open.  A
helper that never comes costs speed and nothing else: the leader takes every part there is, and
waits only for parts that were taken.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils

from mmlfast.kernels._jit import kernel, literal_intrinsic
from mmlfast.kernels._simd import _ARM, _TRIPLE, _address

# Places in `control`, each on a cache line of its own.
TICKETS, DONE, WHAT, STOP, ALONE, CONTROL = 0, 8, 16, 24, 32, 40

# Ticks without progress that tell of a helper without a processor, and for how many others are
# then left alone: under 1 ms, and some 40.
STALL, PAUSE = 2_000_000, 100_000_000

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@literal_intrinsic
def add(typing_context, array, index, value):
    """array[index] += value as one step among all threads; returns what was there before."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, array, arguments[0], arguments[1])
        return builder.atomic_rmw("add", address, arguments[2], "acq_rel")

    return types.int64(array, types.intp, types.int64), generate


@literal_intrinsic
def get(typing_context, array, index):
    """array[index] as another thread wrote it, with all that it wrote before."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, array, arguments[0], arguments[1])
        return builder.load_atomic(address, "acquire", 8)

    return types.int64(array, types.intp), generate


@literal_intrinsic
def put(typing_context, array, index, value):
    """array[index] = value, seen by other threads after all that was written before."""

    def generate(context, builder, signature, arguments):
        address = _address(context, builder, array, arguments[0], arguments[1])
        builder.store_atomic(arguments[2], address, "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@literal_intrinsic
def relax(typing_context):
    """A moment's rest for a thread that looks again and again."""

    def generate(context, builder, signature, arguments):
        if _ARM:
            kind = ir.FunctionType(ir.VoidType(), [_I32])
            hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.hint")
            builder.call(hint, [ir.Constant(_I32, 1)])
        elif _TRIPLE.startswith(("x86_64", "i686")):
            kind = ir.FunctionType(ir.VoidType(), [])
            pause = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause")
            builder.call(pause, [])
        return context.get_dummy_value()

    return types.void(), generate


@literal_intrinsic
def ticks(typing_context):
    """The processor's clock, 2 to 4 a nanosecond; 0 where a program may not read one."""

    def generate(context, builder, signature, arguments):
        if not _TRIPLE.startswith(("x86_64", "i686")):
            return ir.Constant(_I64, 0)
        kind = ir.FunctionType(_I64, [])
        name = "llvm.readcyclecounter"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])

    return types.int64(), generate


@kernel
def open_section(control, what, n_parts):
    """Offer parts 0 … n_parts − 1 of a section; `what` tells helpers what to do with them."""
    control[DONE] = 0
    control[WHAT] = what
    put(control, TICKETS, n_parts)


@kernel
def take(control):
    """A part that nobody else has; negative if there is none."""
    if get(control, TICKETS) <= 0:
        return -1
    return add(control, TICKETS, -1) - 1


@kernel
def finish(control):
    """Tell that a part taken is done."""
    add(control, DONE, 1)


@kernel
def all_done(control, n_parts, patience):
    """Whether all parts are done, after at most `patience` looks."""
    for _ in range(patience):
        if get(control, DONE) == n_parts:
            return True
        relax()
    return False


@kernel
def wait_for_all(control, n_parts, mine, spent):
    """Return when all parts are done, of which this thread did `mine` in `spent` ticks.

    A helper whose processor was given to somebody else holds its part for milliseconds.  Where that
    is far longer than a part takes, ALONE is set: the tick until which the leader had better do
    sections alone.  Steps of 81 µs on one thread took 250 µs on two beside another busy process.
    """
    began = ticks()
    longest = STALL + (3 * spent // mine if mine > 0 else 3 * STALL)
    while not all_done(control, n_parts, 100):
        if ticks() - began > longest:
            control[ALONE] = ticks() + PAUSE


@kernel
def opened(control, patience):
    """Whether there is a part to take, after at most `patience` looks, fewer once stopped.

    And fewer while the leader works alone: whoever looks takes a processor from somebody.
    """
    for _ in range(patience):
        if get(control, TICKETS) > 0:
            return True
        if get(control, STOP) != 0 or ticks() < control[ALONE]:
            return False
        relax()
    return False
