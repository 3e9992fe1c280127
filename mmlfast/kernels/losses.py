"""Output units, their loss and its derivative.

    squared    a = z            ℓ = ½ Σⱼ (aⱼ − yⱼ)²
    logistic   a = 1/(1 + e⁻ᶻ)  ℓ = Σⱼ log(1 + e^zⱼ) − yⱼ zⱼ
    softmax    aⱼ = e^zⱼ/Σ e^z  ℓ = Σⱼ yⱼ (log Σ e^z − zⱼ)
    poisson    a = eᶻ           ℓ = Σⱼ yⱼ log yⱼ − yⱼ zⱼ − yⱼ + aⱼ
    squared logistic            the a of logistic, the ℓ of squared

Each but the last is the canonical pair of output and loss, so that ∂ℓ/∂z = a − y.  Losses are
formed from z, not from a: no logarithm of a number that was rounded to 0 or 1.

As many samples as a register has lanes are transposed and worked on together, unit by unit: row by
row the sums across lanes and the chain of maximum, exponential, sum and logarithm took 100 ns a
sample of ten classes, this takes 20.  Blocks of samples may reach beyond the batch, where weights
are 0.
"""

from __future__ import annotations

from mmlfast.kernels._elementary import exp, log, softplus
from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import lanes, load
from mmlfast.kernels._vectors import read, select, splat, sum_lanes, transpose, write
from mmlfast.kernels.activations import logistic
from mmlfast.kernels.layers import N_OUT, OUT_DELTA, OUT_STRIDE, OUTPUT, B

SQUARED, LOGISTIC, SOFTMAX, POISSON, SQUARED_LOGISTIC = range(5)


@ordered_kernel
def _turn(layer, parameters, work, i, block):
    """block[j·lanes + r] ← z_j + b_j of sample i + r."""
    width, stride, n = lanes(work), layer[OUT_STRIDE], layer[N_OUT]
    for j in range(0, n, width):
        source = layer[OUTPUT] + i * stride + j
        transpose(work, source, stride, work, block + j * width, width)
    for j in range(n):
        at = block + j * width
        write(work, at, read(work, at) + load(parameters, layer[B] + j))


@ordered_kernel
def _turn_back(layer, work, block, place, i):
    """Rows i … of the matrix at `place` ← the block, transposed; its padding is cleared first."""
    width, stride, n = lanes(work), layer[OUT_STRIDE], layer[N_OUT]
    for j in range(n, (n + width - 1) // width * width):
        write(work, block + j * width, splat(work, 0))
    for j in range(0, n, width):
        transpose(work, block + j * width, width, work, place + i * stride + j, stride)


@ordered_kernel
def _softmax(work, block, step, n):
    """z_j → e^(z_j − max z) in the block; (max z, Σ e^(z − max z))."""
    top, total = read(work, block), splat(work, 0)
    for j in range(step, n * step, step):
        z = read(work, block + j)
        top = select(z > top, z, top)
    for j in range(0, n * step, step):
        e = exp(read(work, block + j) - top)
        write(work, block + j, e)
        total = total + e
    return top, total


@ordered_kernel
def _unit(head, z):
    """a of a Vector z, for heads whose units do not know of each other."""
    if head in (LOGISTIC, SQUARED_LOGISTIC):
        return logistic(z)
    if head == POISSON:
        return exp(z)
    return z


@ordered_kernel
def _loss_of_unit(head, z, a, y):
    if head == LOGISTIC:
        return softplus(z) - y * z
    if head == POISSON:
        return select(y > 0.0, y * log(y), 0.0 * y) - y * z - y + a
    return 0.5 * ((a - y) * (a - y))


@ordered_kernel
def output(head, layer, parameters, work, block, rows):
    """OUTPUT ← a.  `block` is room for N_OUT vectors, in whole squares of them."""
    width, n = lanes(work), layer[N_OUT]
    for i in range(0, rows, width):
        _turn(layer, parameters, work, i, block)
        scale = splat(work, 1)
        if head == SOFTMAX:
            scale = 1.0 / _softmax(work, block, width, n)[1]
        for j in range(0, n * width, width):
            z = read(work, block + j)
            write(work, block + j, z * scale if head == SOFTMAX else _unit(head, z))
        _turn_back(layer, work, block, layer[OUTPUT], i)


@ordered_kernel
def loss_of_block(head, work, block, step, n, y0, weight):
    """Σⱼ of the losses of as many samples as there are lanes; z ← weight·∂ℓ/∂z in the block.

    Unit j of the block lies at block + j·step, its targets at y0 + j·lanes.
    """
    width = lanes(work)
    of_samples, size = splat(work, 0), splat(work, 0)
    if head == SOFTMAX:
        for j in range(n):
            y = read(work, y0 + j * width)
            of_samples = of_samples - y * read(work, block + j * step)
            size = size + y
        top, sum_of_exp = _softmax(work, block, step, n)
        scale = 1.0 / sum_of_exp
        for j in range(n):
            a = read(work, block + j * step) * scale
            write(work, block + j * step, weight * (a - read(work, y0 + j * width)))
        return of_samples + size * (log(sum_of_exp) + top)
    for j in range(n):
        z, y = read(work, block + j * step), read(work, y0 + j * width)
        a = _unit(head, z)
        of_samples = of_samples + _loss_of_unit(head, z, a, y)
        slope = weight * (a - y)
        if head == SQUARED_LOGISTIC:
            slope = slope * (a * (1.0 - a))
        write(work, block + j * step, slope)
    return of_samples


@ordered_kernel
def loss(head, layer, parameters, work, targets, weights, block, first, rows):
    """Σ wᵢ ℓᵢ of `rows` samples from `first` on, with OUT_DELTA ← wᵢ ∂ℓᵢ/∂z.

    targets: where in `work` the y lie, transposed as a block is, block after block; weights: where
    the wᵢ lie; `block` as for `output`.
    """
    width, n = lanes(work), layer[N_OUT]
    total = splat(work, 0)
    for i in range(first, first + rows, width):
        weight = read(work, weights + i)
        _turn(layer, parameters, work, i, block)
        total = total + weight * loss_of_block(
            head, work, block, width, n, targets + i * n, weight
        )
        _turn_back(layer, work, block, layer[OUT_DELTA], i)
    return sum_lanes(total)


@ordered_kernel
def narrow_loss(head, layer, work, targets, weights, samples):
    """The same for a narrow network, whose OUTPUT and OUT_DELTA are one and hold Z with its b."""
    width, n = lanes(work), layer[N_OUT]
    total = splat(work, 0)
    for i in range(0, samples, width):
        weight = read(work, weights + i)
        total = total + weight * loss_of_block(
            head, work, layer[OUTPUT] + i, samples, n, targets + i * n, weight
        )
    return sum_lanes(total)
