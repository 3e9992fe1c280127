"""A compiled scalar function over an array.

    out_i = f(x_i, *args)

For Newton's method from many starts: its steps are a few operations on whole arrays, of which only
this one is the user's.  f is a dispatcher, so that this code is kept by no cache.
"""

from __future__ import annotations

from mmlfast.kernels._jit import ordered_kernel


@ordered_kernel
def evaluate(f, args, x, out):
    """out ← f(x) element by element; both (n,), real or complex."""
    for i in range(x.size):
        out[i] = f(x[i], *args)
