"""Small matrices side by side: a group of `lanes` of them, the number of the matrix innermost.

    S[e·lanes + l] = A[l·stride + e]        e < size, l < lanes

A group is then worked on as if it were one matrix of vectors (`_vectors`): every lane of a register
belongs to another matrix, so no operation ever crosses lanes, whatever the size of the matrices.
"""

from __future__ import annotations

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes, load, store
from mmlfast.kernels._vectors import read, read_apart, splat, transpose, write, write_apart


@ordered_kernel
def interleave(A, a0, stride, size, present, S, s0):
    """Matrices l < present at a0 + l·stride of A → S at s0; lanes beyond repeat the last matrix."""
    width = lanes(S)
    if present == width:
        whole = size - size % width
        for e in range(0, whole, width):
            transpose(A, a0 + e, stride, S, s0 + e * width, width)
        for e in range(whole, size):
            write(S, s0 + e * width, read_apart(A, a0 + e, stride))
        return
    for lane in range(width):
        at = a0 + min(lane, present - 1) * stride
        for e in range(size):
            store(S, s0 + e * width + lane, load(A, at + e))


@ordered_kernel
def deinterleave(S, s0, size, present, A, a0, stride):
    """S at s0 → matrices l < present at a0 + l·stride of A; stride ≥ size."""
    width = lanes(S)
    if present == width:
        whole = size - size % width
        for e in range(0, whole, width):
            transpose(S, s0 + e * width, width, A, a0 + e, stride)
        for e in range(whole, size):
            write_apart(A, a0 + e, stride, read(S, s0 + e * width))
        return
    for lane in range(present):
        at = a0 + lane * stride
        for e in range(size):
            store(A, at + e, load(S, s0 + e * width + lane))


@ordered_kernel
def spread(S, s0, rows, columns, t0, stride):
    """Copy rows × columns vectors from s0 to t0, where rows are `stride` numbers apart.

    Returns 0 in the lanes all of whose numbers are finite, NaN in the others.
    """
    width = lanes(S)
    total = splat(S, 0)
    at = s0
    for i in range(rows):
        # A chain for each row: one over all numbers would wait for its own result.
        row = splat(S, 0)
        for j in range(columns):
            value = read(S, at)
            write(S, t0 + i * stride + j * width, value)
            row = row + 0.0 * value
            at += width
        total = total + row
    return total
