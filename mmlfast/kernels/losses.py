"""Output units, their loss and its derivative, over padded rows.

    identity   a = z            ℓ = ½ Σⱼ (aⱼ − yⱼ)²
    logistic   a = 1/(1 + e⁻ᶻ)  ℓ = Σⱼ log(1 + e^zⱼ) − yⱼ zⱼ
    softmax    aⱼ = e^zⱼ/Σ e^z  ℓ = Σⱼ yⱼ (log Σ e^z − zⱼ)
    exponential a = eᶻ          ℓ = Σⱼ yⱼ log yⱼ − yⱼ zⱼ − yⱼ + aⱼ

Each is the canonical pair of output and loss, so that ∂ℓ/∂z = a − y.  Losses are formed from z, not
from a: no logarithm of a number that was rounded to 0 or 1.
"""

from __future__ import annotations

from mmlfast.kernels._elementary import exp, log, sigmoid, softplus
from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes, load
from mmlfast.kernels._vectors import max_lanes, read, select, splat, sum_lanes, write
from mmlfast.kernels.layers import N_OUT, OUT_DELTA, OUT_STRIDE, OUTPUT, B, blocks

SQUARED, LOGISTIC, SOFTMAX, POISSON = range(4)


@ordered_kernel
def _element(head, z, y):
    """(a, ℓ) of Vectors z and y."""
    if head == LOGISTIC:
        return sigmoid(z), softplus(z) - y * z
    if head == POISSON:
        a = exp(z)
        return a, select(y > 0.0, y * log(y), 0.0 * y) - y * z - y + a
    return z, 0.5 * ((z - y) * (z - y))


@ordered_kernel
def _softmax_row(parameters, bias, work, z0, vectors, valid):
    """Z ← eᶻ⁻ᵗ with t the largest z + b of the row; (t, Σ e^(z − t)).

    `valid` holds 0 for a unit and −Inf for padding.
    """
    width = lanes(work)
    largest = read(work, valid) + (read(work, z0) + read(parameters, bias))
    for j in range(width, vectors * width, width):
        z = read(work, valid + j) + (read(work, z0 + j) + read(parameters, bias + j))
        largest = select(z > largest, z, largest)
    top = max_lanes(largest)
    total = splat(work, 0)
    for j in range(0, vectors * width, width):
        z = read(work, valid + j) + (read(work, z0 + j) + read(parameters, bias + j))
        total = total + exp(z - top)
    return top, sum_lanes(total)


@ordered_kernel
def output(head, layer, parameters, work, valid, rows):
    """OUTPUT ← a, for prediction."""
    width, stride = lanes(work), layer[OUT_STRIDE]
    vectors = blocks(layer[N_OUT], width)
    one = work.dtype.type(1)
    for i in range(rows):
        z0 = layer[OUTPUT] + i * stride
        top, scale = work.dtype.type(0), one
        if head == SOFTMAX:
            top, total = _softmax_row(parameters, layer[B], work, z0, vectors, valid)
            scale = one / total
        for j in range(0, vectors * width, width):
            z = read(work, z0 + j) + read(parameters, layer[B] + j)
            if head == SOFTMAX:
                a = exp((z - top) + read(work, valid + j)) * scale
            else:
                a = _element(head, z, splat(work, 0))[0]
            write(work, z0 + j, a)


@ordered_kernel
def loss(head, layer, parameters, work, places, rows):
    """Σ wᵢ ℓᵢ, with OUTPUT ← a and OUT_DELTA ← wᵢ (aᵢ − yᵢ).

    places: where the targets (rows as those of OUTPUT), the weights wᵢ of rows and the padding's
    −Inf begin in `work`.  Padding gets 0 in OUT_DELTA.
    """
    targets, weights, valid = places
    width, stride = lanes(work), layer[OUT_STRIDE]
    vectors = blocks(layer[N_OUT], width)
    one = work.dtype.type(1)
    total = splat(work, 0)
    for i in range(rows):
        weight = load(work, weights + i)
        at = i * stride
        top, sum_of_exp = work.dtype.type(0), one
        if head == SOFTMAX:
            top, sum_of_exp = _softmax_row(
                parameters, layer[B], work, layer[OUTPUT] + at, vectors, valid
            )
        scale, log_sum = one / sum_of_exp, log(splat(work, sum_of_exp))
        for j in range(0, vectors * width, width):
            place = layer[OUTPUT] + at + j
            z = read(work, place) + read(parameters, layer[B] + j)
            y = read(work, targets + at + j)
            unit = read(work, valid + j)
            if head == SOFTMAX:
                a = exp((z - top) + unit) * scale
                loss_of_units = y * (log_sum + (top - z))
            else:
                a, loss_of_units = _element(head, z, y)
                a = select(unit < 0.0, 0.0, a)
            total = total + select(unit < 0.0, 0.0, weight * loss_of_units)
            write(work, place, a)
            write(work, layer[OUT_DELTA] + at + j, weight * (a - y))
    return sum_lanes(total)
