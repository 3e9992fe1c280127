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
    places      head, targets, weights and a block of outputs in work, seed of the dropout

A pass is a list of sections, made where the layers are laid out.  Data is a tuple (X, kind, starts,
indices, Y, weight, order): `samples`.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels import layers as of
from mmlfast.kernels._jit import ordered_kernel
from mmlfast.kernels._simd import TILE_ROWS, lanes
from mmlfast.kernels.activations import activate, drop_out, mix, through
from mmlfast.kernels.crew import WHAT as SECTION
from mmlfast.kernels.crew import all_done, finish, open_section, opened, take
from mmlfast.kernels.layers import back, blocks, forward, weight_gradient
from mmlfast.kernels.losses import loss
from mmlfast.kernels.optimizers import ADAM, update
from mmlfast.kernels.samples import gather_inputs, gather_targets

HEAD, TARGETS, WEIGHTS, BLOCK, SEED, PLACES = range(6)

# Sections: a phase and, where it has one, a layer.
GATHER, FORWARD, BACK, GRADIENT, UPDATE = (phase * 4096 for phase in range(5))

# Rows gathered, and parameters updated, in a part.
GATHERED, UPDATED = 64, 16384

# What the batch in work is: columns of `batch`.
FIRST, COUNT, STEP, TRAINING, KEEP_Z, BATCH = range(6)

NO_DROPOUT, MILLION = 0, 1_000_000


@ordered_kernel
def _rows_of(batch):
    return blocks(batch[COUNT], TILE_ROWS) * TILE_ROWS


@ordered_kernel
def _key(seed, step, layer):
    return mix(np.uint64(seed) + mix(np.uint64(step * 4096 + layer)))


@ordered_kernel
def _part(section, p, network, data, batch, rates, sums):
    """Do part p of a section."""
    layers, parameters, gradient, _, _, work, places = network
    X, kind, starts, indices, _, _, order = data
    phase, l = section // 4096 * 4096, section % 4096
    layer, rows = layers[l], _rows_of(batch)
    if phase == GATHER:
        lo = p * GATHERED
        chosen = order[batch[FIRST] + lo : batch[FIRST] + min(lo + GATHERED, batch[COUNT])]
        stride = layer[of.IN_STRIDE]
        gather_inputs(
            X, kind, starts, indices, chosen, work, layer[of.INPUT] + lo * stride, stride,
            layer[of.N_IN],
        )  # fmt: skip
    elif phase == FORWARD:
        column, vectors = forward(layer, p, parameters, work, rows)
        if l + 1 < len(layers):
            activate(layer, column, vectors, parameters, work, rows, batch[KEEP_Z] != 0)
            if batch[TRAINING] != 0 and layer[of.DROPOUT] != NO_DROPOUT:
                share = layer[of.DROPOUT] / MILLION
                key = _key(places[SEED], batch[STEP], l)
                drop_out(layer, column, vectors, work, rows, share, key)
    elif phase == BACK:
        column, vectors = back(layer, p, parameters, work, rows)
        if l > 0:
            through(layers[l - 1], column, vectors, work, rows)
    elif phase == GRADIENT:
        weight_gradient(layer, p, work, gradient, rows)
    else:
        _update_part(p, network, rates, sums)


@ordered_kernel
def _update_part(p, network, rates, sums):
    """The optimiser's step on parameters p·UPDATED …; sums[p] ← Σ g², Σ W²."""
    layers, parameters, gradient, first, second, _, _ = network
    rule, rate, beta_1, beta_2, epsilon, penalty, decay, biases = rates
    kind = parameters.dtype.type
    lo, hi = p * UPDATED, min((p + 1) * UPDATED, len(parameters))
    if penalty == 0.0 and decay == 0.0:
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


@ordered_kernel
def run(control, sections, network, data, batch, rates, sums):
    """All parts of each of `sections`, rows (section, parts) of an array, one after another.

    By this thread alone or, where `control` is not empty, by the crew.
    """
    for s in range(len(sections)):
        section, n_parts = sections[s, 0], sections[s, 1]
        if section == GATHER:
            n_parts = blocks(batch[COUNT], GATHERED)
        shared = len(control) > 0 and n_parts > 1
        if shared:
            open_section(control, section, n_parts)
        p = take(control) if shared else 0
        while 0 <= p < n_parts:
            _part(section, p, network, data, batch, rates, sums)
            if shared:
                finish(control)
            p = take(control) if shared else p + 1
        while shared and not all_done(control, n_parts, 1000):
            pass


@ordered_kernel
def help_crew(control, patience, network, data, batch, rates, sums):
    """Parts of sections that the leader opens, until none has opened within `patience` looks."""
    while opened(control, patience):
        p = take(control)
        while p >= 0:
            _part(control[SECTION], p, network, data, batch, rates, sums)
            finish(control)
            p = take(control)


@ordered_kernel
def take_targets(network, data, batch):
    """The batch's targets and weights into work; Σ wᵢ."""
    _, _, _, _, _, work, places = network
    _, _, _, _, Y, weight, order = data
    chosen = order[batch[FIRST] : batch[FIRST] + batch[COUNT]]
    stop = blocks(_rows_of(batch), lanes(work)) * lanes(work)
    return gather_targets(Y, weight, chosen, stop, work, places[TARGETS], places[WEIGHTS])


@ordered_kernel
def find_loss(network, batch):
    """Σ wᵢ ℓᵢ / Σ wᵢ of the batch once it has been taken forward, leaving Δ_L."""
    layers, parameters, _, _, _, work, places = network
    return loss(
        places[HEAD], layers[-1], parameters, work, places[TARGETS], places[WEIGHTS],
        places[BLOCK], _rows_of(batch),
    )  # fmt: skip


@ordered_kernel
def weight_squares(network):
    """Σ W² over all layers."""
    layers, parameters = network[0], network[1]
    total = 0.0
    for l in range(len(layers)):
        part = parameters[layers[l][of.W] : layers[l][of.B]]
        for k in range(len(part)):
            total += np.float64(part[k]) * np.float64(part[k])
    return total


@ordered_kernel
def train(control, program, network, data, batch, rates, sums, schedule, history):
    """Up to n_epochs passes over the rows order[0], order[1], … in mini-batches.

    program = sections (from GATHER to the last layer forward, from there back to UPDATE).
    schedule = (n_epochs, batch_size, λ, whether λ/2 Σ W² is a term of the mean loss instead of the
    summed, δ, learning rate, best loss, epochs without improvement, tol, patience);
    rates = [rule, η, β₁, β₂, ε, λ, ηδ, 1 to step on biases too], of which η, λ and ηδ are
    overwritten at each step, as are all arrays of the network, and batch, whose STEP goes on.
    history[e] ← (loss, root mean square of ‖gradient‖ over the batches).

    Returns (epochs done, failed batch or −1, best loss, epochs without improvement).  Training ends
    before a batch whose loss is not finite and after a step whose gradient was not.
    """
    n_epochs, batch_size, penalty, of_mean, decay, rate, best, idle, tol, patience = schedule
    parameters, order = network[1], data[6]
    n = len(order)
    n_updates = blocks(len(parameters), UPDATED)
    size, weight = weight_squares(network), 0.0
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
                weight = take_targets(network, data, batch)
            run(control, program[0][int(in_place) :], network, data, batch, rates, sums)
            value = find_loss(network, batch)
            if weight == 0.0:  # nothing in it counts
                continue
            share = penalty if of_mean else penalty / weight
            value += 0.5 * share * size
            if not np.isfinite(value):
                return epoch, b, best, idle
            rates[1], rates[5], rates[6] = rate, share, rate * decay
            if rates[0] == ADAM:
                t = batch[STEP]
                rates[1] *= np.sqrt(1 - rates[3] ** t) / (1 - rates[2] ** t)
            run(control, program[1], network, data, batch, rates, sums)
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
