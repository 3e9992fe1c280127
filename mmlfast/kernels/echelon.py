"""Echelon form of matrices of any shape, in place.

    A ← E A,    E a product of row operations,    row r = (0, …, 0, 1, *, …) with 1 at pivots[r]

Other than for square systems the place of a pivot depends on the numbers, so that matrices do not
march in step: they are taken one after the other, a row at a time.
"""

from __future__ import annotations

from mmlfast.kernels._jit import ordered_kernel


@ordered_kernel
def pivot_row(A, r, column, swap, tolerance):
    """The row from r on to take the pivot from, −1 for none: the largest, or without `swap` the
    first that is not zero.
    """  # fmt: skip
    found, largest = -1, tolerance
    for i in range(r, A.shape[0]):
        size = abs(A[i, column])
        if size > largest:
            found, largest = i, size
            if not swap:
                break
    return found


@ordered_kernel
def subtract_row(A, source, target, column):
    """Row `target` −= multiple of row `source`, which has a 1 in `column`, so that a 0 appears."""
    factor = A[target, column]
    if factor != 0:
        from_row, row = A[source], A[target]
        for j in range(column + 1, A.shape[1]):
            row[j] -= factor * from_row[j]
        row[column] = 0


@ordered_kernel
def echelon(A, swap, reduced, tolerance, pivots):
    """Bring A (m, n) into echelon form with leading ones; returns its rank.

    Numbers up to `tolerance` count as zero where a pivot is looked for.  With `swap` the row of the
    largest comes up, without it the row is added.  With `reduced` columns of pivots are zero above
    them, too.  pivots (≥ min(m, n)) gets their columns, then −1.
    """
    m, n = A.shape
    r = 0
    pivots[:] = -1
    for column in range(n):
        if r == m:
            break
        found = pivot_row(A, r, column, swap, tolerance)
        if found < 0:
            for i in range(r, m):
                A[i, column] = 0
            continue
        if found > r:
            for j in range(column, n):
                top, other = A[r, j], A[found, j]
                A[r, j] = other if swap else top + other
                A[found, j] = top if swap else other
        pivot = A[r, column]
        for j in range(column + 1, n):
            A[r, j] /= pivot
        A[r, column] = 1
        for i in range(r + 1, m):
            subtract_row(A, r, i, column)
        pivots[r] = column
        r += 1
    if reduced:
        for k in range(r - 1, -1, -1):
            for i in range(k):
                subtract_row(A, k, i, pivots[k])
    return r


@ordered_kernel
def echelon_stack(A, swap, reduced, tolerances, pivots, ranks):
    """`echelon` of each matrix of A (count, m, n); pivots (count, min(m, n)), ranks (count,)."""
    for k in range(A.shape[0]):
        ranks[k] = echelon(A[k], swap, reduced, tolerances[k], pivots[k])
