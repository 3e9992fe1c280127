"""Activations of hidden layers and their slopes, over a block of columns.

    A = f(Z + b),      Δ ← Δ ⊙ f′(Z + b)

    identity z · relu max(z, 0) · leaky relu max(z, z/100) · logistic 1/(1 + e⁻ᶻ) · tanh z
    softplus log(1 + eᶻ) · gelu zΦ(z), exactly by erf or by tanh (Hendrycks and Gimpel, 2016)

Where f′ can be told from f(z) alone it is: a(1 − a), 1 − a², 1 − e⁻ᵃ.  GELU is not monotonic, and
units that drop out lose their value, so those layers keep their slopes.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._elementary import (
    exp_of_normal,
    expm1,
    gelu,
    gelu_slope,
    gelu_tanh,
    gelu_tanh_slope,
    softplus,
    tanh,
)
from mmlfast.kernels._jit import inlined_kernel, ordered_kernel
from mmlfast.kernels._simd import lanes, load, store
from mmlfast.kernels._vectors import read, select, write
from mmlfast.kernels.layers import (
    ACTIVATION,
    N_OUT,
    OUT_DELTA,
    OUT_STRIDE,
    OUTPUT,
    SLOPE,
    B,
)

IDENTITY, RELU, LEAKY_RELU, LOGISTIC, TANH, SOFTPLUS, GELU, GELU_TANH = range(8)
LEAK = 0.01
NOT_KEPT = -1


@inlined_kernel
def logistic(z):
    """1/(1 + e⁻ᶻ) within 3 ulp, and never 0: what is left of it below e^−708 or e^−87 is not told.

    104 vectors of float64 take 0.6 µs, with `sigmoid`, which is within 2 ulp everywhere, 0.9.
    """
    return 1.0 / (1.0 + exp_of_normal(0.0 - z))


@inlined_kernel
def value(code, z):
    """f(z) of a Vector."""
    if code == RELU:
        return select(z < 0.0, 0.0, z)
    if code == TANH:
        return tanh(z)
    if code == LOGISTIC:
        return logistic(z)
    if code == LEAKY_RELU:
        return select(z < 0.0, LEAK * z, z)
    if code == SOFTPLUS:
        return softplus(z)
    if code == GELU:
        return gelu(z)
    if code == GELU_TANH:
        return gelu_tanh(z)
    return z


@ordered_kernel
def slope_from_value(code, a):
    """f′(z) of a Vector a = f(z)."""
    if code == RELU:
        return select(a > 0.0, 1.0, 0.0 * a)
    if code == TANH:
        return 1.0 - a * a
    if code == LOGISTIC:
        return a * (1.0 - a)
    if code == LEAKY_RELU:
        return select(a > 0.0, 1.0, LEAK + 0.0 * a)
    if code == SOFTPLUS:
        return 0.0 - expm1(0.0 - a)
    return 1.0 + 0.0 * a


@ordered_kernel
def slope(code, z, a):
    """f′(z) of a Vector z with a = f(z)."""
    if code == GELU:
        return gelu_slope(z)
    if code == GELU_TANH:
        return gelu_tanh_slope(z)
    return slope_from_value(code, a)


@inlined_kernel
def _values(code, parameters, bias, work, place, stride, first, rows):
    """z ← f(z + b) of a column of vectors.

    Inlined where the code is a constant: the constants of f then stay in registers.  A layer of 104
    vectors of logistic float64 took 1.37 µs so, and 1.62 in one loop for all codes.
    """
    b = read(parameters, bias)
    for i in range(first, first + rows):
        at = place + i * stride
        write(work, at, value(code, read(work, at) + b))


@ordered_kernel
def _keep(layer, j, parameters, work, first, rows, keep_z):
    """SLOPE ← f′(z + b) where it is kept, OUT_DELTA ← z + b with `keep_z`: a column of vectors."""
    code, stride = layer[ACTIVATION], layer[OUT_STRIDE]
    b = read(parameters, layer[B] + j)
    for i in range(first, first + rows):
        at = i * stride + j
        z = read(work, layer[OUTPUT] + at) + b
        if layer[SLOPE] != NOT_KEPT:
            write(work, layer[SLOPE] + at, slope(code, z, value(code, z)))
        if keep_z:
            write(work, layer[OUT_DELTA] + at, z)


@ordered_kernel
def activate(layer, column, vectors, parameters, work, first, rows, keep_z):
    """OUTPUT ← f(OUTPUT + b) for the columns of a part and rows, zero beyond the layer's units.

    SLOPE is overwritten by f′ where it is kept, and OUT_DELTA by z where `keep_z`.
    """
    width, stride, code = lanes(work), layer[OUT_STRIDE], layer[ACTIVATION]
    for v in range(vectors):
        j = column + v * width
        bias, place = layer[B] + j, layer[OUTPUT] + j
        if keep_z or layer[SLOPE] != NOT_KEPT:
            _keep(layer, j, parameters, work, first, rows, keep_z)
        if code == RELU:
            _values(RELU, parameters, bias, work, place, stride, first, rows)
        elif code == TANH:
            _values(TANH, parameters, bias, work, place, stride, first, rows)
        elif code == LOGISTIC:
            _values(LOGISTIC, parameters, bias, work, place, stride, first, rows)
        elif code == LEAKY_RELU:
            _values(LEAKY_RELU, parameters, bias, work, place, stride, first, rows)
        elif code == SOFTPLUS:
            _values(SOFTPLUS, parameters, bias, work, place, stride, first, rows)
        elif code == GELU:
            _values(GELU, parameters, bias, work, place, stride, first, rows)
        elif code == GELU_TANH:
            _values(GELU_TANH, parameters, bias, work, place, stride, first, rows)
        else:
            _values(IDENTITY, parameters, bias, work, place, stride, first, rows)
        if j + width > layer[N_OUT] and code in (LOGISTIC, SOFTPLUS):
            for i in range(first, first + rows):
                for k in range(layer[N_OUT], j + width):
                    store(work, layer[OUTPUT] + i * stride + k, work.dtype.type(0))


@ordered_kernel
def mix(h):
    """A 64-bit number in which every bit depends on every bit of h (Stafford's variant 13)."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@ordered_kernel
def drop_out(layer, column, vectors, work, first, rows, share, key):
    """Units and their slopes ← 0 with probability `share`, the others ← 1/(1 − share) times.

    Whether a unit drops out is a function of `key`, row and column: no state, so any thread can
    tell.  Srivastava et al., JMLR 15, 2014, in the inverted form.
    """
    scale = work.dtype.type(1 / (1 - share))
    least = np.uint64(share * 2.0**53)
    stop = min(column + vectors * lanes(work), layer[N_OUT])
    for i in range(first, first + rows):
        row = mix(key + np.uint64(i))
        for j in range(column, stop):
            keep = (mix(row + np.uint64(j)) >> np.uint64(11)) >= least
            factor = scale if keep else work.dtype.type(0)
            at = i * layer[OUT_STRIDE] + j
            store(work, layer[OUTPUT] + at, load(work, layer[OUTPUT] + at) * factor)
            store(work, layer[SLOPE] + at, load(work, layer[SLOPE] + at) * factor)


@ordered_kernel
def through(previous, column, vectors, work, first, rows):
    """Δ ← Δ ⊙ f′ for the columns of a part of the outputs of layer `previous`."""
    width, stride, code = lanes(work), previous[OUT_STRIDE], previous[ACTIVATION]
    kept = previous[SLOPE] != NOT_KEPT
    for i in range(first, first + rows):
        for v in range(vectors):
            at = i * stride + column + v * width
            if kept:
                factor = read(work, previous[SLOPE] + at)
            else:
                factor = slope_from_value(code, read(work, previous[OUTPUT] + at))
            write(
                work, previous[OUT_DELTA] + at, read(work, previous[OUT_DELTA] + at) * factor
            )
