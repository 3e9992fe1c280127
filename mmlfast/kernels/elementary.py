"""Elementary functions of arrays: out_i = f(x_i), a register at a time.

Each is f(x, out) for contiguous x and out (n,) of one dtype, float32 or float64; out is overwritten
and may be x itself.  The last, partial register is read and written under a mask, so nothing
outside the arrays is touched.
"""

from __future__ import annotations

from mmlfast.kernels import _elementary
from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import LANE_BYTES
from mmlfast.kernels._vectors import read, read_first, write, write_first


def _over_arrays(function):
    """The kernel out_i = function(x_i)."""

    def apply(x, out):
        lanes = LANE_BYTES // x.itemsize
        whole = x.size - x.size % lanes
        for i in range(0, whole, lanes):
            write(out, i, function(read(x, i)))
        if whole < x.size:
            count = x.size - whole
            write_first(out, whole, count, function(read_first(x, whole, count)))

    name = function.__name__
    # The cache goes by module and name.
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"out_i = {name}(x_i) for x and out (n,); out is overwritten and may be x."
    return ordered_kernel(apply)


exp = _over_arrays(_elementary.exp)
expm1 = _over_arrays(_elementary.expm1)
log = _over_arrays(_elementary.log)
log1p = _over_arrays(_elementary.log1p)
tanh = _over_arrays(_elementary.tanh)
sigmoid = _over_arrays(_elementary.sigmoid)
softplus = _over_arrays(_elementary.softplus)
erf = _over_arrays(_elementary.erf)
gelu = _over_arrays(_elementary.gelu)
gelu_slope = _over_arrays(_elementary.gelu_slope)
gelu_tanh = _over_arrays(_elementary.gelu_tanh)
gelu_tanh_slope = _over_arrays(_elementary.gelu_tanh_slope)
