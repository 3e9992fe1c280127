"""Sweeps of PageRank over the in-edges of a range of nodes, and the vector work between them.

    x_i ← α Σ_{j→i} w_ji y_j + b_i        y_i = x_i / (out-weight of i), 0 where it has no out-edge

A graph is (indptr, indices, values, inverse, share): in-edges as `kernels.graph` sorts them, the
inverse out-weights (n,), 0 where there are none, and the part of each out-weight that leads to
nodes with out-edges; values of size 0 stand for weights of 1.  Each y_j is divided once per node,
not once per edge, so an edge costs four bytes and a gather.

`rows` is (lo, hi); all is float64 but indptr (int64) and indices (int32).  `sums` is overwritten
with the sums over these rows; whoever calls adds those of all ranges up in their order, so that
threads change no bit.  Sums keep their order: of a loop that also stores, LLVM makes a vector and a
scalar version, and which one runs depends on where the arrays lie.

The loop over edges is written out in each kernel: as a function of its own it takes twice the time
(RMAT of scale 20, one thread: 88 ms against 45).  Unsigned indices save the test for negative ones.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._jit import kernel, ordered_kernel
from mmlfast.kernels._simd_gather import LANES, gather_lanes, relax_lanes


@ordered_kernel
def sweep(graph, alpha, b, x, y, new, rows, sums):
    """new_x_i = α Σ_{j→i} w_ji y_j + b_i, and new_y_i from it, for i in rows.

    b: (array, step, scale) with b_i = scale·array[i·step]; step 0 spares a uniform distribution its
    array.  new: (new_x, new_y).  sums (3,): Σ new_x, Σ share·new_x, Σ |new_x − x|.
    """
    indptr, indices, values, inverse, share = graph
    array, step, scale = b
    new_x, new_y = new
    mass, kept, change = 0.0, 0.0, 0.0
    for i in range(rows[0], rows[1]):
        total = 0.0
        if values.size:
            for k in range(indptr[i], indptr[i + 1]):
                total += values[k] * y[np.uint32(indices[k])]
        else:
            for k in range(indptr[i], indptr[i + 1]):
                total += y[np.uint32(indices[k])]
        value = alpha * total + scale * array[i * step]
        change += abs(value - x[i])
        mass += value
        kept += share[i] * value
        new_x[i] = value
        new_y[i] = value * inverse[i]
    sums[0], sums[1], sums[2] = mass, kept, change


@ordered_kernel
def seidel(graph, alpha, b, x, y, new_x, rows, sums):
    """The same with new values of y as soon as they are there, for nodes within rows.

    y (2n,) is two copies: the first is read for sources outside rows and left alone, the second for
    those within and overwritten, so that ranges swept at once do not see each other.  y (n,) is one
    copy for both: then only one range may be swept at a time.
    """
    indptr, indices, values, inverse, share = graph
    array, step, scale = b
    lo, hi = rows
    second = y.size - x.size
    mass, kept, change = 0.0, 0.0, 0.0
    for i in range(lo, hi):
        total = 0.0
        # Where to read is computed, not branched on: which copy it is cannot be predicted.
        if values.size:
            for k in range(indptr[i], indptr[i + 1]):
                j = indices[k]
                total += values[k] * y[j + second * ((j >= lo) & (j < hi))]
        else:
            for k in range(indptr[i], indptr[i + 1]):
                j = indices[k]
                total += y[j + second * ((j >= lo) & (j < hi))]
        value = alpha * total + scale * array[i * step]
        change += abs(value - x[i])
        mass += value
        kept += share[i] * value
        new_x[i] = value
        y[second + i] = value * inverse[i]
    sums[0], sums[1], sums[2] = mass, kept, change


@ordered_kernel
def divide(inverse, share, x, y, rows, sums):
    """y_i = x_i / (out-weight of i).  sums (2,): Σ x, Σ share·x."""
    mass, kept = 0.0, 0.0
    for i in range(rows[0], rows[1]):
        mass += x[i]
        kept += share[i] * x[i]
        y[i] = x[i] * inverse[i]
    sums[0], sums[1] = mass, kept


@ordered_kernel
def apply_symmetric(graph, alpha, p, y, q, rows, sums):
    """q = (Id − α W D⁻¹) p with y = D⁻¹ p.  sums (1,): ⟨p, q⟩ = Σ p_i q_i / (out-weight of i).

    W is symmetric, and so this operator is self-adjoint and positive definite in that product.
    """
    indptr, indices, values, _, _ = graph
    product = 0.0
    for i in range(rows[0], rows[1]):
        total = 0.0
        if values.size:
            for k in range(indptr[i], indptr[i + 1]):
                total += values[k] * y[np.uint32(indices[k])]
        else:
            for k in range(indptr[i], indptr[i + 1]):
                total += y[np.uint32(indices[k])]
        value = p[i] - alpha * total
        q[i] = value
        product += y[i] * value
    sums[0] = product


@ordered_kernel
def descend(inverse, step, p, q, x, r, rows, sums):
    """x += step·p;  r −= step·q.  sums (2,): ⟨r, r⟩ and Σ |r|."""
    product, size = 0.0, 0.0
    for i in range(rows[0], rows[1]):
        x[i] += step * p[i]
        value = r[i] - step * q[i]
        r[i] = value
        product += value * value * inverse[i]
        size += abs(value)
    sums[0], sums[1] = product, size


@kernel
def turn(inverse, beta, r, p, y, rows, sums):
    """p = r + β·p and y = D⁻¹ p: the next direction of conjugate gradients.  sums (0,)."""
    for i in range(rows[0], rows[1]):
        value = r[i] + beta * p[i]
        p[i] = value
        y[i] = value * inverse[i]


@ordered_kernel
def inner_products(image, x, scales, F, slot, rows, sums):
    """F[slot] = a·image − c·x with scales = (a, c);  sums[k] = Σ_i F[k, i] F[slot, i]."""
    f = F[slot]
    for i in range(rows[0], rows[1]):
        f[i] = scales[0] * image[i] - scales[1] * x[i]
    for k in range(F.shape[0]):
        product = 0.0
        for i in range(rows[0], rows[1]):
            product += F[k, i] * f[i]
        sums[k] = product


@ordered_kernel
def mix(G, theta, inverse, share, x, y, rows, sums):
    """x_i = max(Σ_k θ_k G[k, i], 0) and y from it, in both copies if it has two.

    sums (2,): as of `divide`.
    """
    second = y.size - x.size
    mass, kept = 0.0, 0.0
    for i in range(rows[0], rows[1]):
        value = 0.0
        for k in range(theta.size):
            value += theta[k] * G[k, i]
        value = max(value, 0.0)
        mass += value
        kept += share[i] * value
        x[i] = value
        y[i] = y[second + i] = value * inverse[i]
    sums[0], sums[1] = mass, kept


@kernel
def sweep_lanes(graph, alpha, restart, dangling, X, Y, new_Y, rows, sums):
    """X[i, l] ← α Σ_{j→i} w_ji Y[j, l] + b[i, l] for LANES columns l, and new_Y from it.

    b[i, l] = r_l V[i, l] + e_l d[i·step] with restart = (V, r) and dangling = (d, step, e).  X, V,
    Y and new_Y are (n, LANES); new_Y may be Y, which makes it Gauss–Seidel.  sums (3·LANES,): as
    of `sweep`, LANES of each.
    """
    indptr, indices, values, inverse, share = graph
    V, r = restart
    d, step, e = dangling
    totals = np.empty(LANES)
    sums[:] = 0.0
    for i in range(rows[0], rows[1]):
        first, count = indptr[i], indptr[i + 1] - indptr[i]
        if values.size:
            gather_lanes(True, Y, indices, values, first, count, totals)
        else:
            gather_lanes(False, Y, indices, values, first, count, totals)
        relax_lanes(alpha, totals, r, V, e, d[i * step], X, i, new_Y, i, inverse[i], share[i], sums)


@ordered_kernel
def take_lane(X, lane, order, unit, depths, out, rows, sums):
    """out[order[p]] = unit·X[p, lane] for p in rows.  sums (1,): Σ depths·out, 0 as it comes."""
    total = 0.0
    for p in range(rows[0], rows[1]):
        value = unit * X[p, lane]
        out[order[p]] = value
        total += depths[p] * value
    sums[0] = total


@kernel
def clear_lane(X, Y, lane, rows, sums):
    """X[:, lane] = Y[:, lane] = 0 for rows.  sums (0,)."""
    for p in range(rows[0], rows[1]):
        X[p, lane] = 0.0
        Y[p, lane] = 0.0


@kernel
def keep_largest(scores, largest, places):
    """largest (k,) = the k largest of scores (n ≥ k,), falling; places (k,): where they stand.

    Of equal scores the first comes first.  Time n for a random order, n·k for a rising one.
    """
    k = largest.size
    kept = 0
    for i in range(scores.size):
        value = scores[i]
        if kept == k and value <= largest[k - 1]:
            continue
        at = min(kept, k - 1)
        while at > 0 and largest[at - 1] < value:
            largest[at] = largest[at - 1]
            places[at] = places[at - 1]
            at -= 1
        largest[at] = value
        places[at] = i
        kept = min(kept + 1, k)
