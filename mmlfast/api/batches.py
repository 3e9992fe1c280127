"""Stacks of matrices: what (…, m, n) means, and how the groups of a stack are shared out."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmlfast.runtime.threads import n_threads, parallel_for
from mmlfast.runtime.validate import as_real, base_of

# Some 250 µs of one core's work: less than two of them are not worth a hand-over.
PART_FLOPS = 1 << 21
MOST_PARTS = 64


def as_matrices(a: ArrayLike, name: str) -> NDArray[Any]:
    """A matrix (m, n) or a stack of them (…, m, n), as float32 or float64."""
    array = as_real(a, name)
    if array.ndim < 2:
        raise ValueError(
            f"{name} must be a matrix (m, n) or a stack of them (..., m, n); "
            f"got shape {array.shape}."
        )
    return array


def as_square_matrices(a: ArrayLike, name: str) -> NDArray[Any]:
    """A square matrix (n, n) or a stack of them (…, n, n), as float32 or float64."""
    array = as_matrices(a, name)
    if array.shape[-1] != array.shape[-2]:
        raise ValueError(
            f"{name} must be square, (n, n) or a stack (..., n, n); got shape {array.shape}."
        )
    return array


def stacked(A: NDArray[Any]) -> NDArray[Any]:
    """(…, m, n) as (count, m, n), C-contiguous: a copy only of what lies otherwise."""
    count = int(np.prod(A.shape[:-2]))
    return np.ascontiguousarray(A).reshape(count, *A.shape[-2:])


def base(A: NDArray[Any]) -> NDArray[Any]:
    """The base address of a C-contiguous stack, as kernels take it, read-only ones too."""
    return base_of(A.reshape(1, -1))[0]


def refuse_bad_entries(A: NDArray[Any], name: str) -> None:
    """ValueError naming the place of the first NaN or infinity of A, if there is one."""
    bad = ~np.isfinite(A)
    if bad.any():
        at = np.unravel_index(int(np.argmax(bad)), A.shape)
        what = "NaN" if np.isnan(A[at]) else "infinity"
        raise ValueError(
            f"Input {name} contains {what}: the first stands at {place(name, at)} (counted from "
            "0). Remove or replace such values first."
        )


def place(name: str, index: tuple[Any, ...]) -> str:
    """`A[3, 0]`, or `A` for an empty index."""
    return f"{name}[{', '.join(str(int(i)) for i in index)}]" if index else name


def lanes_of(dtype: np.dtype[Any]) -> int:
    """How many matrices lie side by side in a group: a number of each fills a vector register."""
    from mmlfast.kernels._simd import LANE_BYTES

    return int(LANE_BYTES // dtype.itemsize)


def share_groups(
    run: Callable[[int, int], None], n_groups: int, flops: float, n_jobs: int | None
) -> None:
    """run(first, end) for ranges of groups that make up 0 … n_groups, on the threads allowed.

    Where it is cut depends on the work alone; a group is calculated alike in every range.
    """
    threads = n_threads(n_jobs)
    # A power of two, so that two or four threads get the same.
    parts = min(n_groups, MOST_PARTS, 1 << int(flops // PART_FLOPS).bit_length())
    if parts <= 1:
        run(0, n_groups)
        return
    cuts = list(pairwise(n_groups * i // parts for i in range(parts + 1)))
    parallel_for(lambda part: run(*cuts[part]), parts, threads)
