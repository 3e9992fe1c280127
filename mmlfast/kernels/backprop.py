"""Training of a dense network: forward, loss, backward and the optimiser's step, batch by batch.

    A_{l+1} = f_l(A_l W_l + b_l),      Δ_l = (Δ_{l+1} W_lᵀ) ⊙ f′,      ∂W_l = A_lᵀ Δ_{l+1}

(Rumelhart, Hinton and Williams, Nature 323, 1986.)  A whole epoch is one call, and so are many
epochs of one batch.  The work is cut into sections, the sections into parts that depend on shapes
alone: one thread does all of them in turn, or a crew (`crew`) shares each section out, with the
same bits.

A network is a tuple (layers, parameters, gradient, first, second, work, places):

    layers      table of int64, a row for each layer: `layers`
    parameters  W and b of all layers, padded, flat; gradient and the optimiser's state lie alike
    work        activations, Δ, slopes and panels of W, as the table says
    places      head, targets, weights and a block of outputs in work, seed of the dropout, and
                whether the layers lie as narrow ones do, samples in a part of a small network

A pass is a list of sections, made where the layers are laid out.  Data is a tuple (X, kind,
starts, indices, Y, weight, order): `samples`.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels import layers as of
from mmlfast.kernels import narrow
from mmlfast.kernels._jit import spliced_kernel, uncounted_kernel
from mmlfast.kernels._simd import TILE_ROWS, lanes
from mmlfast.kernels.activations import activate, drop_out, mix, through
from mmlfast.kernels.crew import ALONE, finish, open_section, opened, take, ticks, wait_for_all
from mmlfast.kernels.crew import WHAT as SECTION
from mmlfast.kernels.layers import (
    back,
    blocks,
    column_parts,
    forward,
    transpose_weights,
    weight_gradient,
)
from mmlfast.kernels.losses import loss, narrow_loss
from mmlfast.kernels.optimizers import ADAM, update
from mmlfast.kernels.samples import gather_inputs, gather_targets, sum_of_weights

HEAD, TARGETS, WEIGHTS, BLOCK, SEED, NARROW, SAMPLES, PLACES = range(8)

# Sections: a phase and, where it has one, a layer.
GATHER, FORWARD, BACK, GRADIENT, UPDATE = (phase * 4096 for phase in range(5))
NARROW_TURN, NARROW_FORWARD, NARROW_BACK = (phase * 4096 for phase in range(5, 8))
SMALL_TURN, SMALL_PASS, SMALL_GRADIENT = (phase * 4096 for phase in range(8, 11))

# Rows gathered, and parameters updated, in a part.
GATHERED, UPDATED = 64, 4096

# What the batch in work is: columns of `batch`.
FIRST, COUNT, STEP, TRAINING, KEEP_Z, BATCH = range(6)

NO_DROPOUT, MILLION = 0, 1_000_000
SCALE = 8  # where 1/Σw stands in `rates`


@uncounted_kernel
def _rows_of(batch):
    return blocks(batch[COUNT], TILE_ROWS) * TILE_ROWS


@uncounted_kernel
def _key(seed, step, layer):
    return mix(np.uint64(seed) + mix(np.uint64(step * 4096 + layer)))


@spliced_kernel
def _part(section, p, network, data, batch, rates, sums):
    """Do part p of a section."""
    layers, parameters, gradient, first, second, work, places = network
    X, kind, starts, indices, Y, weight, order = data
    phase, l = section // 4096 * 4096, section % 4096
    layer, rows = layers[l], _rows_of(batch)
    if phase == GATHER:
        lo = p * GATHERED
        chosen = order[batch[FIRST] + lo : batch[FIRST] + min(lo + GATHERED, batch[COUNT])]
        stride = layer[of.IN_STRIDE]
        rows_at = layer[of.PANELS] if places[NARROW] != 0 else layer[of.INPUT]
        gather_inputs(
            X, kind, starts, indices, chosen, work, rows_at + lo * stride, stride, layer[of.N_IN]
        )
    elif phase == FORWARD:
        _forward_part(layers, l, p, parameters, work, places, batch, 0, rows)
    elif phase == BACK:
        transpose_weights(layer, p, parameters, work)
        _back_part(layers, l, p, work, 0, rows)
    elif phase == GRADIENT:
        weight_gradient(layer, p, work, gradient, rows)
    elif phase == UPDATE:
        _update_part(p, layers, parameters, gradient, first, second, rates, sums)
    elif phase == SMALL_TURN:
        for k in range(1, len(layers)):
            for q in range(column_parts(layers[k][of.N_IN], work)):
                transpose_weights(layers[k], q, parameters, work)
    elif phase == SMALL_PASS:
        lo = p * places[SAMPLES]
        chosen = order[
            batch[FIRST] + lo : batch[FIRST] + min(lo + places[SAMPLES], batch[COUNT])
        ]
        stride = layer[of.IN_STRIDE]
        gather_inputs(
            X, kind, starts, indices, chosen, work, layer[of.INPUT] + lo * stride, stride,
            layer[of.N_IN],
        )  # fmt: skip
        sums[p, 0] = _small_pass(
            layers, parameters, work, places, chosen, Y, weight, batch, rates[SCALE], lo, p
        )
    elif phase == SMALL_GRADIENT:
        k = 0
        while p >= blocks(layers[k][of.N_IN], layers[k][of.PART_ROWS]):
            p -= blocks(layers[k][of.N_IN], layers[k][of.PART_ROWS])
            k += 1
        weight_gradient(layers[k], p, work, gradient, rows)
    else:
        _narrow(phase, layers, parameters, gradient, work, batch)


@uncounted_kernel
def _forward_part(layers, l, p, parameters, work, places, batch, first, rows):
    """A_{l+1} of the columns of part p of layer l; Z of the last layer, without its bias."""
    layer = layers[l]
    column, vectors = forward(layer, p, parameters, work, first, rows)
    if l + 1 < len(layers):
        activate(layer, column, vectors, parameters, work, first, rows, batch[KEEP_Z] != 0)
        if batch[TRAINING] != 0 and layer[of.DROPOUT] != NO_DROPOUT:
            share = layer[of.DROPOUT] / MILLION
            key = _key(places[SEED], batch[STEP], l)
            drop_out(layer, column, vectors, work, first, rows, share, key)


@uncounted_kernel
def _back_part(layers, l, p, work, first, rows):
    """Δ_l of the columns of part p of layer l, through the activation below it."""
    column, vectors = back(layers[l], p, work, first, rows)
    if l > 0:
        through(layers[l - 1], column, vectors, work, first, rows)


@uncounted_kernel
def _small_pass(
    layers, parameters, work, places, chosen, Y, weight, batch, scale, lo, p
):  # fmt: skip
    """Forward, loss and back for the samples from `lo` on, gathered already; Σ wᵢ ℓᵢ of them."""
    last = layers[-1]
    rows = blocks(len(chosen), TILE_ROWS) * TILE_ROWS
    stop = blocks(rows, lanes(work)) * lanes(work)
    targets, weights = places[TARGETS] + lo * last[of.N_OUT], places[WEIGHTS] + lo
    gather_targets(Y, weight, chosen, stop, scale, work, targets, weights)
    for l in range(len(layers)):
        for q in range(column_parts(layers[l][of.N_OUT], work)):
            _forward_part(layers, l, q, parameters, work, places, batch, lo, rows)
    squares = blocks(last[of.N_OUT], lanes(work)) * lanes(work) * lanes(work)
    value = loss(
        places[HEAD], last, parameters, work, places[TARGETS], places[WEIGHTS],
        places[BLOCK] + p * squares, lo, rows,
    )  # fmt: skip
    for l in range(len(layers) - 1, 0, -1):
        for q in range(column_parts(layers[l][of.N_IN], work)):
            _back_part(layers, l, q, work, lo, rows)
    return value


@uncounted_kernel
def _samples_of(batch, work):
    """The batch's samples in whole registers, as narrow layers have them."""
    return blocks(batch[COUNT], lanes(work)) * lanes(work)


@spliced_kernel
def _narrow(phase, layers, parameters, gradient, work, batch):
    """A section of a narrow network, all layers of it."""
    samples = _samples_of(batch, work)
    if phase == NARROW_TURN:
        narrow.turn(layers[0], batch[COUNT], samples, work)
    elif phase == NARROW_FORWARD:
        for l in range(len(layers)):
            narrow.forward(layers[l], parameters, work, samples)
            if l + 1 < len(layers):
                narrow.activate(layers[l], work, layers[l][of.N_OUT] * samples)
    else:
        for l in range(len(layers) - 1, -1, -1):
            if l > 0:
                narrow.back(layers[l], layers[l - 1], parameters, work, samples)
            narrow.gradient_of(layers[l], work, gradient, samples)


@uncounted_kernel
def _update_part(p, layers, parameters, gradient, first, second, rates, sums):
    """The optimiser's step on parameters p·UPDATED …; sums[p] ← Σ g², Σ W²."""
    rule, rate, beta_1, beta_2, epsilon, penalty, decay, biases, _ = rates
    kind = parameters.dtype.type
    lo, hi = p * UPDATED, min((p + 1) * UPDATED, len(parameters))
    if penalty == 0.0 and decay == 0.0 and biases > 0.0:
        settings = (kind(rate), kind(beta_1), kind(beta_2), kind(epsilon), kind(0), kind(0))
        square, _ = update(int(rule), parameters, gradient, first, second, (lo, hi), settings)
        sums[p, 0], sums[p, 1] = square, 0.0
        return
    squares = sizes = 0.0
    for l in range(len(layers)):
        layer = layers[l]
        end = layers[l + 1][of.W] if l + 1 < len(layers) else len(parameters)
        for start, stop, shrink in (
            (layer[of.W], layer[of.B], 1.0),
            (layer[of.B], end, 0.0),
        ):
            begin, finish = max(lo, start), min(hi, stop)
            if begin < finish and (shrink > 0.0 or biases > 0.0):
                settings = (
                    kind(rate), kind(beta_1), kind(beta_2), kind(epsilon),
                    kind(shrink * penalty), kind(shrink * decay),
                )  # fmt: skip
                square, size = update(
                    int(rule), parameters, gradient, first, second, (begin, finish), settings
                )
                squares += square
                sizes += shrink * size
    sums[p, 0], sums[p, 1] = squares, sizes


@uncounted_kernel
def run(control, sections, network, data, batch, rates, sums):
    """All parts of each of `sections`, rows (section, parts) of an array, one after another.

    By this thread alone or, where `control` is not empty, by the crew.
    """
    for s in range(len(sections)):
        section, n_parts = sections[s, 0], sections[s, 1]
        if section == GATHER:
            n_parts = blocks(batch[COUNT], GATHERED)
        elif section == SMALL_PASS:
            n_parts = blocks(batch[COUNT], network[6][SAMPLES])
        shared = len(control) > 0 and n_parts > 1 and ticks() >= control[ALONE]
        if shared:
            open_section(control, section, n_parts)
        began, mine = ticks(), 0
        p = take(control) if shared else 0
        while 0 <= p < n_parts:
            _part(section, p, network, data, batch, rates, sums)
            mine += 1
            if shared:
                finish(control)
            p = take(control) if shared else p + 1
        if shared:
            wait_for_all(control, n_parts, mine, ticks() - began)


@uncounted_kernel
def help_crew(control, patience, network, data, batch, rates, sums):
    """Parts of sections that the leader opens, until none has opened within `patience` looks."""
    while opened(control, patience):
        p = take(control)
        while p >= 0:
            _part(control[SECTION], p, network, data, batch, rates, sums)
            finish(control)
            p = take(control)


@uncounted_kernel
def take_targets(places, work, Y, weight, order, batch, scale):
    """The batch's targets and scale·weights into work."""
    chosen = order[batch[FIRST] : batch[FIRST] + batch[COUNT]]
    stop = blocks(_rows_of(batch), lanes(work)) * lanes(work)
    gather_targets(Y, weight, chosen, stop, scale, work, places[TARGETS], places[WEIGHTS])


@uncounted_kernel
def find_loss(layers, parameters, work, places, batch, sums):
    """Σ wᵢ ℓᵢ / Σ wᵢ of the batch once it has been taken forward, leaving Δ_L."""
    if places[NARROW] != 0:
        return narrow_loss(
            places[HEAD], layers[-1], work, places[TARGETS], places[WEIGHTS],
            _samples_of(batch, work),
        )  # fmt: skip
    if places[SAMPLES] != 0:
        value = 0.0
        for p in range(blocks(batch[COUNT], places[SAMPLES])):
            value += sums[p, 0]
        return value
    return loss(
        places[HEAD], layers[-1], parameters, work, places[TARGETS], places[WEIGHTS],
        places[BLOCK], 0, _rows_of(batch),
    )  # fmt: skip


@uncounted_kernel
def weight_squares(layers, parameters):
    """Σ W² over all layers."""
    total = 0.0
    for l in range(len(layers)):
        part = parameters[layers[l][of.W] : layers[l][of.B]]
        for k in range(len(part)):
            total += np.float64(part[k]) * np.float64(part[k])
    return total


@uncounted_kernel
def train(control, program, network, data, batch, rates, sums, schedule, history):
    """Up to n_epochs passes over the rows order[0] … order[n − 1] in mini-batches.

    program = sections (from GATHER to the last layer forward, the same for a batch that is in place
    already, from the last layer back to UPDATE).
    schedule = (n, n_epochs, batch_size, λ, whether λ/2 Σ W² is a term of the mean loss instead of
    the summed, δ, learning rate, best loss, epochs without improvement, tol, patience);
    rates = [rule, η, β₁, β₂, ε, λ, ηδ, 1 to step on biases too, 1/Σw], of which η, λ, ηδ and 1/Σw
    are overwritten at each step, as are all arrays of the network, and batch, whose STEP goes on.
    history[e] ← (loss, root mean square of ‖gradient‖ over the batches).

    Returns (epochs done, failed batch or −1, best loss, epochs without improvement).  Training ends
    before a batch whose loss is not finite and after a step whose gradient was not.
    """
    n, n_epochs, batch_size, penalty, of_mean, decay, rate, best, idle, tol, patience = schedule
    layers, parameters, _, _, _, work, places = network
    _, _, _, _, Y, weight, order = data
    onward, again, backward = program
    log_1, log_2 = np.log(rates[2]), np.log(rates[3])
    n_updates = blocks(len(parameters), UPDATED)
    size, counted = weight_squares(layers, parameters), 0.0
    batch[TRAINING] = 1
    for epoch in range(n_epochs):
        total = squares = 0.0
        n_batches = blocks(n, batch_size)
        for b in range(n_batches):
            batch[FIRST] = b * batch_size
            batch[COUNT] = min(batch_size, n - b * batch_size)
            batch[STEP] += 1
            # The one batch of a full pass is in place from the first on.
            in_place = n_batches == 1 and epoch > 0
            if not in_place:
                chosen = order[batch[FIRST] : batch[FIRST] + batch[COUNT]]
                counted = sum_of_weights(weight, chosen)
                if counted == 0.0:  # nothing in it counts
                    continue
                rates[SCALE] = 1.0 / counted
                if places[SAMPLES] == 0:
                    take_targets(places, work, Y, weight, order, batch, rates[SCALE])
            sections = again if in_place else onward
            run(control, sections, network, data, batch, rates, sums)
            value = find_loss(layers, parameters, work, places, batch, sums)
            share = penalty if of_mean else penalty / counted
            value += 0.5 * share * size
            if not np.isfinite(value):
                return epoch, b, best, idle
            rates[1], rates[5], rates[6] = rate, share, rate * decay
            if rates[0] == ADAM:
                t = batch[STEP]
                rates[1] *= np.sqrt(-np.expm1(t * log_2)) / -np.expm1(t * log_1)
            run(control, backward, network, data, batch, rates, sums)
            square = size = 0.0
            for p in range(n_updates):
                square += sums[p, 0]
                size += sums[p, 1]
            if not np.isfinite(square):
                return epoch, b, best, idle
            squares += square
            total += value * batch[COUNT]
        history[epoch, 0], history[epoch, 1] = total / n, np.sqrt(squares / n_batches)
        idle = idle + 1 if history[epoch, 0] > best - tol else 0
        best = min(best, history[epoch, 0])
        if idle > patience:
            return epoch + 1, -1, best, idle
    return n_epochs, -1, best, idle
