"""C = A·B for floats of one dtype: one product cut into parts, or a stack of products.

    C[s] = A[s] · B[s]        A (…, m, k), B (…, k, n), C (…, m, n), overwritten

What is chosen here is who does what: the register tiles for small matrices, the blocked product
for others, parts of one matrix or parts of the stack for the threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlfast.runtime.threads import parallel_for
from mmlfast.runtime.validate import CACHE_LINE, base_of, scratch

# Below this many flops a hand-over to another thread (25–100 µs) costs more than it saves.
PARALLEL_FLOPS = 1 << 25
# A stack is read and written at some 20 GB/s: below this it is done before a helper has begun.
PARALLEL_BYTES = 1 << 21
# What is written beyond this size has left the caches before anyone reads it.  Not in fresh memory:
# the kernel's zeros lie in the caches already, and 16 × 16 then took 13 ms instead of 8.
STREAMED_BYTES = 1 << 24
PARTS = 8  # few enough that two threads seldom meet in one fresh huge page: 34 ms, not 40 with 64
# Offsets of stacks up to this long are kept for the next call: making them takes 80 µs of the
# 900 that 20 000 products of 8 × 8 take.
KEPT = 1 << 16
# One product of this size is over before its way to a kernel is: numpy's own takes 1 … 7 µs.
SINGLE = 64


def multiply_into(
    A: NDArray[Any], B: NDArray[Any], C: NDArray[Any], threads: int, *, fresh: bool = True
) -> None:
    """C = A·B over all leading axes, which A, B and C share; no axis is empty.

    `fresh` tells that nobody has written to C yet.
    """
    from mmlfast.kernels.small import SMALL

    largest = max(*A.shape[-2:], C.shape[-1])
    if C.ndim == 2:
        if largest <= SINGLE:
            by_numpy(A, B, C)
        else:
            _one_in_parts(A, B, C, threads)
    elif largest <= SMALL:
        _small(A, B, C, threads, fresh)
    else:
        _large(A, B, C, threads)


def by_numpy(A: NDArray[Any], B: NDArray[Any], C: NDArray[Any]) -> None:
    """C = A·B by NumPy, as silent about NaN and overflow as the kernels are."""
    with np.errstate(all="ignore"):
        np.matmul(A, B, out=C)


def _one_in_parts(A: NDArray[Any], B: NDArray[Any], C: NDArray[Any], threads: int) -> None:
    """Divide C by rows or columns, whichever is longer; every part is a product of its own."""
    from mmlfast.kernels._simd import TILE_ROWS
    from mmlfast.kernels.matmul import WIDEST

    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    parts = min(threads, 2 * m * n * k // PARALLEL_FLOPS + 1)
    cuts = _cuts(max(m, n), parts, TILE_ROWS if m >= n else WIDEST)

    def part(index: int) -> None:
        span = slice(cuts[index], cuts[index + 1])
        if m >= n:
            _one(A[span], B, C[span])
        else:
            _one(A, B[:, span], C[:, span])

    parallel_for(part, len(cuts) - 1, threads)


def _one(A: NDArray[Any], B: NDArray[Any], C: NDArray[Any]) -> None:
    from mmlfast.kernels.matmul import multiply, workspace_size

    sizes = (*C.shape, A.shape[1])
    workspace = scratch(workspace_size(*sizes), C.dtype)
    multiply(*base_of(A), *base_of(B), *base_of(C), sizes, workspace)


def _cuts(length: int, parts: int, multiple: int) -> list[int]:
    """Cut 0…length into nearly equal parts at multiples of `multiple`, so that tiles stay whole."""
    step = -(-length // (multiple * parts)) * multiple
    return [*range(0, length, step), length]


def _large(A: NDArray[Any], B: NDArray[Any], C: NDArray[Any], threads: int) -> None:
    """Matrix after matrix: each on all threads if that pays, else one on each thread."""
    stack = list(np.ndindex(C.shape[:-2]))
    flops = 2 * math.prod(C.shape[-2:]) * A.shape[-1]
    if flops >= threads * PARALLEL_FLOPS:
        for at in stack:
            _one_in_parts(A[at], B[at], C[at], threads)
        return
    threads = threads if flops * len(stack) >= PARALLEL_FLOPS else 1
    parallel_for(lambda i: _one(A[stack[i]], B[stack[i]], C[stack[i]]), len(stack), threads)


def _small(A: NDArray[Any], B: NDArray[Any], C: NDArray[Any], threads: int, fresh: bool) -> None:
    """Ranges of the stack for the threads; the kernel wants rows of B and C without gaps."""
    from mmlfast.kernels._simd import LANE_BYTES
    from mmlfast.kernels._simd_small import SMALL_VECTORS, STREAM_ALIGNMENT
    from mmlfast.kernels.small import multiply_each

    out = C if _by_rows(C) else np.empty(C.shape, C.dtype)
    B = B if _by_rows(B) else _rows_copied(B)
    a, a_strides = base_of(A)
    b, b_strides = base_of(B)
    c, c_strides = base_of(out)
    stack = C.shape[:-2]
    count = math.prod(stack)
    places = [_offsets(stack, strides[:-2]) for strides in (a_strides, b_strides, c_strides)]
    shape = (*C.shape[-2:], A.shape[-1])
    # Rows written in two goes must begin on a cache line, or half-filled lines go to memory twice.
    row_at_once = C.shape[-1] * C.itemsize <= SMALL_VECTORS * LANE_BYTES
    alignment = STREAM_ALIGNMENT if row_at_once else CACHE_LINE
    streamed = (
        out is C
        and not fresh
        and C.nbytes >= STREAMED_BYTES
        and not any(number % alignment for number in (out.ctypes.data, *out.strides[:-1]))
    )
    parts = min(PARTS, 1 + (A.itemsize * count * sum(map(_area, (A, B, C)))) // PARALLEL_BYTES)

    def part(index: int) -> None:
        span = (count * index // parts, count * (index + 1) // parts)
        multiply_each(
            a, places[0], a_strides[-2:], b, places[1], b_strides[-2], c, places[2], c_strides[-2],
            shape, span, streamed,
        )  # fmt: skip

    parallel_for(part, parts, threads)
    if out is not C:
        C[...] = out


def _area(X: NDArray[Any]) -> int:
    return X.shape[-2] * X.shape[-1]


def _by_rows(X: NDArray[Any]) -> bool:
    return X.strides[-1] == X.itemsize or X.shape[-1] == 1


def _rows_copied(X: NDArray[Any]) -> NDArray[Any]:
    return np.broadcast_to(np.ascontiguousarray(once(X)), X.shape)


def once(X: NDArray[Any]) -> NDArray[Any]:
    """X without the repetitions along leading axes of stride 0."""
    return X[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in X.strides[:-2])]


def converted(X: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """X as `dtype`; what is repeated along leading axes stays repeated."""
    return X if X.dtype == dtype else np.broadcast_to(once(X).astype(dtype), X.shape)


def _offsets(stack: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[np.int64]:
    """The offset of each matrix of a stack, in elements, the last axis running fastest."""
    return _kept_offsets(stack, strides) if math.prod(stack) <= KEPT else _made(stack, strides)


def _made(stack: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[np.int64]:
    offsets = np.zeros(1, np.int64)
    for length, stride in zip(stack, strides, strict=True):
        offsets = np.add.outer(offsets, np.arange(length, dtype=np.int64) * stride).ravel()
    return offsets


_kept_offsets = lru_cache(maxsize=12)(_made)
