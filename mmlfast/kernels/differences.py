"""Derivatives of a compiled function by central differences.

    g_i = (f(x + h e_i) − f(x − h e_i)) / 2h                                   error O(h²) + O(ε/h)
    H_ij = (f(++) − f(+−) − f(−+) + f(−−)) / 4 h_i h_j,   f(±±) = f(x ± h_i e_i ± h_j e_j)

h = ε^(1/3)·max(1, |x_i|) for first and ε^(1/4)·max(1, |x_i|) for second derivatives, where the two
errors meet, ε of x's dtype.  f(x, *args) takes an array (n,) and gives a number, or a pair whose
first part is that number.  It is called with a copy of x in y, scratch (n,), and may write to that.
"""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from mmlfast.kernels._jit import ordered_kernel


def parts(result):
    """(value, gradient) of what a function gave, the gradient None if that is a number."""


@overload(parts)
def _parts_of(result):
    if isinstance(result, types.BaseTuple):
        return lambda result: (result[0], result[1])
    return lambda result: (result, None)


@ordered_kernel
def copy_to(given, g):
    """g ← given, which may be an array, a tuple or a list."""
    for j in range(g.size):
        g[j] = given[j]


@ordered_kernel
def take(given, g):
    """g ← given by a function of the user's; ValueError for another length."""
    # What passed at the start may be shorter elsewhere: beyond lies any number.
    if len(given) != g.size:
        raise ValueError("A gradient or a step must always be as long as x.")
    copy_to(given, g)


@ordered_kernel
def value_of(f, x, y, args):
    """f(x, *args) alone."""
    copy_to(x, y)
    return parts(f(y, *args))[0]


@ordered_kernel
def move(x, i, root):
    """x_i ← x_i + root·max(1, |x_i|); returns by how much after rounding."""
    kept = x[i]
    x[i] = kept + root * max(1.0, abs(kept))
    return x[i] - kept


@ordered_kernel
def central_gradient(f, x, y, args, g):
    """g ← ∇f(x), shape (n,), by 2n calls of f."""
    root = np.finfo(x.dtype).eps ** (1 / 3)
    for i in range(x.size):
        kept = x[i]
        h = move(x, i, root)
        above = value_of(f, x, y, args)
        x[i] = kept - h
        g[i] = (above - value_of(f, x, y, args)) / (h + (kept - x[i]))
        x[i] = kept


@ordered_kernel
def central_hessian(f, x, y, args, H):
    """H ← ∇²f(x), shape (n, n), by 2n² + 1 calls of f."""
    root = np.finfo(x.dtype).eps ** (1 / 4)
    here = value_of(f, x, y, args)
    for i in range(x.size):
        x_i = x[i]
        h = move(x, i, root)
        above = value_of(f, x, y, args)
        x[i] = x_i - h
        H[i, i] = ((above - here) + (value_of(f, x, y, args) - here)) / (h * h)
        for j in range(i):
            x_j = x[j]
            k = move(x, j, root)
            corners = 0.0
            for a in (1, -1):
                for b in (1, -1):
                    x[i] = x_i + a * h
                    x[j] = x_j + b * k
                    corners += a * b * value_of(f, x, y, args)
            H[i, j] = H[j, i] = corners / (4 * h * k)
            x[j] = x_j
        x[i] = x_i
