"""PageRank as it is written: loops over edges, and a dense system of equations."""

from __future__ import annotations

import numpy as np


def random_edges(n: int, m: int, seed: int, *, weighted: bool = False):
    """(source, target, weight) with loops, repeated edges, and nodes that no edge leaves."""
    rng = np.random.default_rng(seed)
    leaving = rng.permutation(n)[: max(1, 3 * n // 4)]
    source, target = rng.choice(leaving, m), rng.integers(0, n, m)
    weight = rng.integers(1, 9, m).astype(float) if weighted else np.ones(m)
    return source, target, weight


def adjacency(source, target, weight, n: int) -> np.ndarray:
    """W[i, j] = sum of the weights of all edges i → j."""
    W = np.zeros((n, n))
    for s, t, w in zip(source, target, weight, strict=True):
        W[s, t] += w
    return W


def random_matrix(n: int, m: int, seed: int, *, weighted: bool = True, directed: bool = True):
    """The adjacency matrix of random edges, or of those and their reverses."""
    W = adjacency(*random_edges(n, m, seed, weighted=weighted), n)
    return W if directed else W + W.T


def pagerank(W, damping=0.85, v=None, d=None) -> np.ndarray:
    """(Id − αM) x = (1 − α) v with the columns of M adding up to 1; refined once."""
    n = len(W)
    v = np.full(n, 1 / n) if v is None else np.asarray(v) / np.sum(v)
    d = v if d is None else np.asarray(d) / np.sum(d)
    W = np.asarray(W, np.longdouble)
    M = np.array([row / row.sum() if row.sum() else d for row in W]).T
    A, b = np.eye(n) - damping * M, (1 - np.longdouble(damping)) * v
    solve = np.linalg.solve
    x = solve(A.astype(float), b.astype(float)).astype(np.longdouble)
    x += solve(A.astype(float), (b - A @ x).astype(float))
    return x.astype(float)


def in_edges(source, target, n: int):
    """Pointers, sources and order of the edges sorted by target."""
    order = sorted(range(len(target)), key=lambda k: target[k])
    counts = [sum(t == node for t in target) for node in range(n)]
    return np.cumsum([0, *counts]), [source[k] for k in order], order


def gathered(indptr, indices, values, i, y) -> float:
    """Σ_{j→i} w_ji y_j."""
    edges = range(indptr[i], indptr[i + 1])
    return sum((values[k] if len(values) else 1.0) * y[indices[k]] for k in edges)


def sweep(graph, alpha, b, x, y, new, rows, sums):
    """One node after the other, from old values."""
    indptr, indices, values, inverse, share = graph
    array, step, scale = b
    sums[:] = 0
    for i in range(*rows):
        value = alpha * gathered(indptr, indices, values, i, y) + scale * array[i * step]
        sums += (value, value * share[i], abs(value - x[i]))
        new[0][i], new[1][i] = value, value * inverse[i]


def seidel(graph, alpha, b, x, y, new_x, rows, sums):
    """The same with the new values of the nodes in rows."""
    n, part = len(x), slice(*rows)
    new_y, sums[:] = y[:n].copy(), 0
    new_y[part] = y[-n:][part]
    for i in range(*rows):
        of_node = np.empty(3)
        sweep(graph, alpha, b, x, new_y, (new_x, new_y), (i, i + 1), of_node)
        sums += of_node
    y[-n:][part] = new_y[part]


def divide(inverse, share, x, y, rows, sums):
    """Y = x·inverse."""
    part = slice(*rows)
    y[part] = x[part] * inverse[part]
    sums[:] = x[part].sum(), x[part] @ share[part]


def apply_symmetric(graph, alpha, p, y, q, rows, sums):
    """Q = p − α W y."""
    for i in range(*rows):
        q[i] = p[i] - alpha * gathered(*graph[:3], i, y)
    sums[0] = y[slice(*rows)] @ q[slice(*rows)]


def descend(inverse, step, p, q, x, r, rows, sums):
    """X += step·p, r −= step·q."""
    part = slice(*rows)
    x[part] += step * p[part]
    r[part] -= step * q[part]
    sums[:] = (r[part] ** 2 * inverse[part]).sum(), np.abs(r[part]).sum()


def turn(inverse, beta, r, p, y, rows, sums):
    """P = r + β·p, y = p·inverse."""
    part = slice(*rows)
    p[part] = r[part] + beta * p[part]
    y[part] = p[part] * inverse[part]


def inner_products(image, x, scales, F, slot, rows, sums):
    """Of each row of F with row `slot`, which is made first."""
    part = slice(*rows)
    F[slot, part] = scales[0] * image[part] - scales[1] * x[part]
    sums[:] = F[:, part] @ F[slot, part]


def mix(G, theta, inverse, share, x, y, rows, sums):
    """X = θᵀG where that is positive."""
    n, part = len(x), slice(*rows)
    x[part] = np.maximum(theta @ G[:, part], 0)
    divide(inverse, share, x, y, rows, sums)
    y[-n:][part] = y[:n][part]


def sweep_lanes(graph, alpha, restart, dangling, X, Y, new_Y, rows, sums):
    """Every column a sweep of its own."""
    (V, r), (d, step, e) = restart, dangling
    n, lanes = V.shape
    sums[:] = 0
    for i in range(*rows):
        for l in range(lanes):  # noqa: E741
            b = (r[l] * V[:, l] + e[l] * (d if step else np.full(n, d[0])), 1, 1.0)
            x, of_node = X[:, l], np.empty(3)
            sweep(graph, alpha, b, x.copy(), Y[:, l], (x, new_Y[:, l]), (i, i + 1), of_node)
            sums[l::lanes] += of_node
