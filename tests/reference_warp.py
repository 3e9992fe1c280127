"""An image warped by an affine map, written for reading: the specification of the fast kernels."""

from __future__ import annotations

import math

import numpy as np

FAR = 60  # pixels of padding where an image goes on for ever: nothing fades more slowly


def index(i, n, mode):
    """The pixel of 0 … n − 1 that stands at i, however far out; None where there is none."""
    if 0 <= i < n:
        return i
    if mode in ("constant", "grid-constant"):
        return None
    if mode == "nearest":
        return min(max(i, 0), n - 1)
    if mode == "mirror":
        i %= max(2 * n - 2, 1)
        return min(i, 2 * n - 2 - i) if n > 1 else 0
    if mode == "reflect":
        i %= 2 * n
        return min(i, 2 * n - 1 - i)
    return i % n


def wrapped(x, n):
    """scipy's "wrap": the last pixel and the first are one, the period is n − 1."""
    period = n - 1
    if period == 0:
        return 0.0
    if x < 0:
        return x + period * (math.floor(-x / period) + 1)
    return x - period * math.floor(x / period) if x > n - 1 else x


def weights(t, order):
    """Of the pixels from floor(x) on, or from floor(x) − 1 on for the cubic spline."""
    if order == 1:
        return [1 - t, t]
    q = 1 - t
    return [
        q**3 / 6,
        2 / 3 - t**2 + t**3 / 2,
        2 / 3 - q**2 + q**3 / 2,
        t**3 / 6,
    ]


def taps(x, n, order, mode):
    """Pairs (index or None, weight) of an axis; None alone where all of it is outside."""
    if mode == "constant" and not -1e-9 <= x <= n - 1 + 1e-9:
        return None
    if mode == "constant":
        x = min(max(x, 0.0), n - 1.0)
    if mode == "wrap":
        x = wrapped(x, n)
    beyond = "mirror" if mode in ("constant", "wrap") else mode
    if order == 0:
        return [(index(math.floor(x + 0.5), n, beyond), 1.0)]
    first = math.floor(x)
    start = first - 1 if order == 3 else first
    return [
        (index(start + k, n, beyond), w) for k, w in enumerate(weights(x - first, order)) if w != 0
    ]


def spline_coefficients(image, mode):
    """c with (c[i − 1] + 4 c[i] + c[i + 1])/6 = image[i] along both axes."""
    beyond = "mirror" if mode in ("constant", "wrap") else mode
    for _ in range(2):
        n = len(image)
        B = np.zeros((n, n))
        for i in range(n):
            for j, w in ((i - 1, 1 / 6), (i, 4 / 6), (i + 1, 1 / 6)):
                B[i, index(j, n, beyond)] += w
        image = np.linalg.solve(B, image).T
    return image


def warp(image, M, shape, order=1, mode="constant", cval=0.0):
    """out[r, c] = f(M·(c, r, 1)) of one image (H, W), in float64 and not rounded."""
    image, M = np.asarray(image, np.float64), np.array(M, np.float64)
    endless = order == 3 and mode in ("nearest", "grid-constant")
    if endless:
        how = {"mode": "edge"} if mode == "nearest" else {"constant_values": cval}
        image = np.pad(image, FAR, **how)
        M[:, 2] += FAR
    if order == 3:
        image = spline_coefficients(image, "mirror" if endless else mode)
    height, width = image.shape
    out = np.empty(shape)
    for r in range(shape[0]):
        for c in range(shape[1]):
            x, y = M @ (c, r, 1.0)
            if endless:
                x, y = min(max(x, 2.0), width - 4.0), min(max(y, 2.0), height - 4.0)
            columns, rows = taps(x, width, order, mode), taps(y, height, order, mode)
            if columns is None or rows is None:
                out[r, c] = cval
                continue
            out[r, c] = sum(
                u * t * (cval if i is None or j is None else image[i, j])
                for i, u in rows
                for j, t in columns
            )
    return out


def rounded(values, dtype):
    """As an image of this dtype: integers half up, within their range."""
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    return np.clip(np.floor(values + 0.5), 0, np.iinfo(dtype).max).astype(dtype)
