"""Eigenvalues and eigenvectors of many small symmetric matrices, by Jacobi rotations.

    A = V Λ Vᵀ:    M ← Jᵀ M J,  V ← V J,    J = [c s; −s c] in the plane (p, q) so that m_pq = 0

A group of `lanes` matrices lies side by side (`interleave`).  A round rotates n/2 disjoint planes,
whose angles are calculated one behind the other without waiting; n − 1 rounds, a tournament, meet
every pair and make a sweep.  A lane whose matrix is done rotates by 0: its bits do not depend on
its neighbours.  The workspace S of a group holds, in vectors,

    A divided by a power of two, n × n          M, n × n: diagonal and upper triangle; later output
    V, n × n: row j is an eigenvector           c and s, n + 1; later the eigenvalues

Golub and Van Loan, Matrix Computations, 4th edition, section 8.5; Demmel and Veselić, Jacobi's
method is more accurate than QR, SIAM J. Matrix Anal. Appl. 13, 1992 (when a pair is done).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes
from mmlfast.kernels._vector_bits import power_of_two
from mmlfast.kernels._vectors import (
    absolute,
    any_lane,
    both,
    read,
    select,
    splat,
    sqrt,
    with_sign,
    write,
)
from mmlfast.kernels.interleave import deinterleave, interleave

# Rows of the report that `eigh_groups` gives on each matrix.
BAD_INPUT, ASYMMETRY, RESIDUAL, UNFINISHED = range(4)

# Random matrices of 8 × 8 take 6 sweeps, of 32 × 32 8.
MOST_SWEEPS = 40


def workspace_size(n):
    """Vectors that a group of n × n matrices needs."""
    return n * (3 * n + 1) + 1


@ordered_kernel
def reciprocal_root(z):
    """1/√z for 1 ≤ z ≤ 2: a polynomial within 1.2e-5, squared twice by Newton's step.

    Both a root and a division occupy the divider, which is what rotations wait for: 1.3 times.
    """
    u = z - 1.5
    y = ((((0.05092837 - 0.03140393 * u) * u - 0.07496745) * u + 0.13541775) * u - 0.2721852) * u
    y = y + 0.81650599
    half = 0.5 * z
    y = y + y * (0.5 - (half * y) * y)
    return y + y * (0.5 - (half * y) * y)


def tournament(n):
    """The rounds in which n players meet in pairs, each pair once, and who rests (None if even).

    All but the last player stand on a circle, which turns; the last one meets whoever is on top.
    """
    players = n + n % 2
    rounds = []
    for turn in range(players - 1):
        pairs = [((turn + i) % (players - 1), (turn - i) % (players - 1))
                 for i in range(1, players // 2)]  # fmt: skip
        if n % 2 == 0:
            pairs.append((turn, n - 1))
        rounds.append(([(min(pair), max(pair)) for pair in pairs], turn if n % 2 else None))
    return rounds


@lru_cache(maxsize=64)
def schedule(n):
    """Where a sweep of n × n matrices finds its numbers, in vectors from the start of a matrix.

    planes (rounds, n // 2, 5): m_pp, m_qq, m_pq and the rows v_p, v_q;  blocks (rounds, pairs of
    planes, 6): m_pr, m_ps, m_qr, m_qs and the places of both rotations;  rests (rounds, n // 2 if n
    is odd else 0, 3): m_pr, m_qr for the row r that rests, and the place of the rotation.
    """

    def element(i, j):
        return min(i, j) * n + max(i, j)

    planes, blocks, rests = [], [], []
    for pairs, rest in tournament(n):
        planes.append([(p * n + p, q * n + q, p * n + q, p * n, q * n) for p, q in pairs])
        blocks.append([
            (element(p, r), element(p, s), element(q, r), element(q, s), 2 * i, 2 * j)
            for j, (r, s) in enumerate(pairs) for i, (p, q) in enumerate(pairs[:j])
        ])  # fmt: skip
        rests.append([
            (element(p, rest), element(q, rest), 2 * i)
            for i, (p, q) in enumerate(pairs) if rest is not None
        ])  # fmt: skip
    return tuple(
        np.array(table, np.int64).reshape(len(planes), -1, columns)
        if len(table[0])
        else np.empty((len(planes), 0, columns), np.int64)
        for table, columns in ((planes, 5), (blocks, 6), (rests, 3))
    )


@ordered_kernel
def find_rotation(S, diagonal_p, diagonal_q, corner, active, at):
    """Write c and s to `at` and rotate the 2 × 2 block of its own plane: m_pq becomes 0."""
    width = lanes(S)
    m_pp, m_qq, m_pq = read(S, diagonal_p), read(S, diagonal_q), read(S, corner)
    difference = m_qq - m_pp
    # t = 1/(θ ± √(1 + θ²)), the smaller root, for θ = (m_qq − m_pp)/2m_pq: without that division.
    double = 2.0 * m_pq
    root = sqrt(difference * difference + double * double)
    rotating = both(active, is_large(S, m_pp, m_qq, m_pq))
    tangent = select(rotating, double / (difference + with_sign(root, difference)), 0.0)
    cosine = reciprocal_root(1.0 + tangent * tangent)
    write(S, at, cosine)
    write(S, at + width, cosine * tangent)
    shift = tangent * m_pq
    write(S, diagonal_p, m_pp - shift)
    write(S, diagonal_q, m_qq + shift)
    write(S, corner, select(rotating, 0.0, m_pq))


@ordered_kernel
def is_large(S, m_pp, m_qq, m_pq):
    """Whether |m_pq| > ε √|m_pp m_qq|: it matters to every eigenvalue, however small.

    Beside the largest number, 1, what has a square that underflows counts as 0.  Going on to rotate
    what is not large would make denormal numbers, which take 100 times as long.
    """
    epsilon, floor = (1.2e-7, 1e-17) if S.itemsize == 4 else (2.2e-16, 1e-140)
    limit = floor * floor + epsilon * epsilon * absolute(m_pp * m_qq)
    return m_pq * m_pq > limit


@ordered_kernel
def rotate_block(S, pr, ps, qr, qs, first, second):
    """The four numbers with one index in either plane: Jᵀ from the left, J from the right."""
    width = lanes(S)
    m_pr, m_ps, m_qr, m_qs = read(S, pr), read(S, ps), read(S, qr), read(S, qs)
    c, s = read(S, first), read(S, first + width)
    m_pr, m_qr = c * m_pr - s * m_qr, s * m_pr + c * m_qr
    m_ps, m_qs = c * m_ps - s * m_qs, s * m_ps + c * m_qs
    c, s = read(S, second), read(S, second + width)
    write(S, pr, c * m_pr - s * m_ps)
    write(S, ps, s * m_pr + c * m_ps)
    write(S, qr, c * m_qr - s * m_qs)
    write(S, qs, s * m_qr + c * m_qs)


@ordered_kernel
def rotate_rows(S, p, q, count, at):
    """Rows of `count` vectors at p and q: v_p, v_q ← c v_p − s v_q, s v_p + c v_q."""
    width = lanes(S)
    c, s = read(S, at), read(S, at + width)
    for k in range(0, count * width, width):
        v_p, v_q = read(S, p + k), read(S, q + k)
        write(S, p + k, c * v_p - s * v_q)
        write(S, q + k, s * v_p + c * v_q)


@ordered_kernel
def sweep(S, n, n_vectors, tables, active):
    """Rotate every pair of rows once, in the lanes that are active; tables = schedule(n)."""
    width = lanes(S)
    size = n * n * width
    M, V, rotations = size, 2 * size, 3 * size
    planes, blocks, rests = tables
    for turn in range(planes.shape[0]):
        for i in range(planes.shape[1]):
            pp, qq, pq = planes[turn, i, 0], planes[turn, i, 1], planes[turn, i, 2]
            at = rotations + 2 * i * width
            find_rotation(S, M + pp * width, M + qq * width, M + pq * width, active, at)
        for i in range(blocks.shape[1]):
            pr, ps = M + blocks[turn, i, 0] * width, M + blocks[turn, i, 1] * width
            qr, qs = M + blocks[turn, i, 2] * width, M + blocks[turn, i, 3] * width
            first = rotations + blocks[turn, i, 4] * width
            rotate_block(S, pr, ps, qr, qs, first, rotations + blocks[turn, i, 5] * width)
        for i in range(rests.shape[1]):
            pr, qr = M + rests[turn, i, 0] * width, M + rests[turn, i, 1] * width
            rotate_rows(S, pr, qr, 1, rotations + rests[turn, i, 2] * width)
        for i in range(planes.shape[1]):
            v_p, v_q = V + planes[turn, i, 3] * width, V + planes[turn, i, 4] * width
            rotate_rows(S, v_p, v_q, n_vectors, rotations + 2 * i * width)


@ordered_kernel
def unfinished(S, n):
    """The lanes in which some m_pq is large."""
    width = lanes(S)
    M = n * n * width
    found = splat(S, 0)
    for p in range(n):
        m_pp = read(S, M + p * (n + 1) * width)
        for q in range(p + 1, n):
            m_qq, m_pq = read(S, M + q * (n + 1) * width), read(S, M + (p * n + q) * width)
            found = select(is_large(S, m_pp, m_qq, m_pq), 1.0, found)
    return found > 0.0


@ordered_kernel
def begin(S, n, n_vectors, lower):
    """Divide A by a power of two near its largest |a_ij|, copy one triangle to M, set V to Id.

    Returns that power, max |a_ij − a_ji| in units of it, and NaN where A is not finite, else 0.
    """
    width = lanes(S)
    size = n * n * width
    M, V = size, 2 * size
    largest, bad, asymmetry = splat(S, 0), splat(S, 0), splat(S, 0)
    for i in range(n):
        # A chain for each row: one over all numbers would wait for its own result.
        row, row_bad = splat(S, 0), splat(S, 0)
        for at in range(i * n * width, (i + 1) * n * width, width):
            value = read(S, at)
            row_bad = row_bad + 0.0 * value
            row = select(absolute(value) > row, absolute(value), row)
        bad = bad + row_bad
        largest = select(row > largest, row, largest)
    tiny = 1.1754943508222875e-38 if S.itemsize == 4 else 2.2250738585072014e-308
    scale = power_of_two(largest)
    scale = select(scale > tiny, scale, tiny)
    inverse = 1.0 / scale
    for at in range(0, size, width):
        write(S, at, read(S, at) * inverse)
    for i in range(n):
        for j in range(i, n):
            upper, under = read(S, (i * n + j) * width), read(S, (j * n + i) * width)
            write(S, M + (i * n + j) * width, under if lower else upper)
            difference = absolute(upper - under)
            asymmetry = select(difference > asymmetry, difference, asymmetry)
    for i in range(n_vectors):
        for j in range(n):
            write(S, V + (i * n + j) * width, splat(S, 1 if i == j else 0))
    return scale, asymmetry, bad


@ordered_kernel
def residual(S, n):
    """max_j ‖A v_j − λ_j v_j‖, with A as it was given, both its triangles."""
    width = lanes(S)
    size = n * n * width
    worst = splat(S, 0)
    for j in range(n):
        v = 2 * size + j * n * width
        value = read(S, size + j * (n + 1) * width)
        square = splat(S, 0)
        for i in range(n):
            even = 0.0 - value * read(S, v + i * width)
            odd = splat(S, 0)
            row = i * n * width
            for k in range(0, (n - 1) * width, 2 * width):
                even = even + read(S, row + k) * read(S, v + k)
                odd = odd + read(S, row + k + width) * read(S, v + k + width)
            if n % 2:
                last = (n - 1) * width
                even = even + read(S, row + last) * read(S, v + last)
            square = square + (even + odd) * (even + odd)
        worst = select(square > worst, square, worst)
    return sqrt(worst)


@ordered_kernel
def sort(S, n, n_vectors):
    """Put the diagonal of M into ascending order, after the matrices, and V's rows with it."""
    width = lanes(S)
    size = n * n * width
    V, values = 2 * size, 3 * size
    for i in range(n):
        write(S, values + i * width, read(S, size + i * (n + 1) * width))
    for i in range(n - 1):
        for j in range(i + 1, n):
            low, high = read(S, values + i * width), read(S, values + j * width)
            wrong = low > high
            if any_lane(wrong):
                write(S, values + i * width, select(wrong, high, low))
                write(S, values + j * width, select(wrong, low, high))
                for k in range(0, n_vectors * width, width):
                    a, b = V + i * n * width + k, V + j * n * width + k
                    v_i, v_j = read(S, a), read(S, b)
                    write(S, a, select(wrong, v_j, v_i))
                    write(S, b, select(wrong, v_i, v_j))


@ordered_kernel
def sign_columns(S, n):
    """V's rows become columns, in M; the largest |v_i|, the first one if several are, positive."""
    width = lanes(S)
    size = n * n * width
    # Rounding must not choose among equals.
    clearly = 1.001 if S.itemsize == 4 else 1.000001
    for j in range(n):
        v = 2 * size + j * n * width
        leader = read(S, v)
        largest = absolute(leader)
        for i in range(1, n):
            value = read(S, v + i * width)
            larger = absolute(value) > clearly * largest
            largest = select(larger, absolute(value), largest)
            leader = select(larger, value, leader)
        sign = select(leader < 0.0, -1.0, splat(S, 1))
        for i in range(n):
            write(S, size + (i * n + j) * width, sign * read(S, v + i * width))


@ordered_kernel
def eigh_groups(A, sizes, lower, tables, groups, S, values, vectors, report):
    """A[l] = V diag(values[l]) Vᵀ with V = vectors[l], for the groups (first, end).

    A and the outputs are base addresses of C-contiguous stacks, sizes = (n, count, n_vectors) with
    n_vectors n or, if vectors are not wanted, 0.  The lower triangles are decomposed, or the upper.
    report (4, whole groups of matrices): NaN where A is not finite; max |a_ij − a_ji| relative to
    max |a_ij|, within a factor of 2; max ‖A v − λ v‖, with vectors; 1 where MOST_SWEEPS were not
    enough.  S is scratch of `workspace_size` vectors.
    """
    n, count, n_vectors = sizes
    width = lanes(S)
    size = n * n * width
    for group in range(groups[0], groups[1]):
        first = group * width
        present = min(width, count - first)
        interleave(A, first * n * n, n * n, n * n, present, S, 0)
        scale, asymmetry, bad = begin(S, n, n_vectors, lower)
        active = unfinished(S, n)
        sweeps = 0
        while sweeps < MOST_SWEEPS and any_lane(active):
            sweep(S, n, n_vectors, tables, active)
            active = both(active, unfinished(S, n))
            sweeps += 1
        write(report[BAD_INPUT], first, bad)
        write(report[ASYMMETRY], first, asymmetry)
        write(report[UNFINISHED], first, select(active, 1.0, splat(S, 0)))
        if n_vectors:
            write(report[RESIDUAL], first, scale * residual(S, n))
        sort(S, n, n_vectors)
        for i in range(n):
            at = 3 * size + i * width
            write(S, at, scale * read(S, at))
        deinterleave(S, 3 * size, n, present, values, first * n, n)
        if n_vectors:
            sign_columns(S, n)
            deinterleave(S, size, n * n, present, vectors, first * n * n, n * n)
