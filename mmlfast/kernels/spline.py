"""Coefficients of the cubic spline through samples: two recursions along each axis, in place.

    c⁺[k] = 6·x[k] + z·c⁺[k − 1]        c[k] = z·(c[k + 1] − c⁺[k])        z = √3 − 2

    x[k] = (c[k − 1] + 4·c[k] + c[k + 1])/6

Beyond both ends the samples are taken to go on as constants.  What is assumed there fades by |z| =
0.27 a sample: MARGIN samples further in it is below float64's rounding, so that whoever pads the
samples by as many, in whatever way, has the exact coefficients of what was padded.

Unser, Aldroubi and Eden, B-spline signal processing, IEEE Trans. Signal Processing 41(2), 1993.
"""

from __future__ import annotations

import math

import numpy as np

from mmlfast.kernels._jit import ordered_kernel

MARGIN = 28
POLE = math.sqrt(3.0) - 2.0
_ROWS = 8  # chains of dependent operations that run side by side


@ordered_kernel
def filter_down(A, first, last):
    """Columns first … last − 1, counted through the images of A (images, rows, columns)."""
    z = POLE
    _, n, width = A.shape
    while first < last:
        image = first // width
        begin = first - image * width
        end = min(width, begin + last - first)
        plane = A[image]
        for c in range(begin, end):
            plane[0, c] *= 6.0 / (1.0 - z)
        for k in range(1, n):
            for c in range(begin, end):
                plane[k, c] = 6.0 * plane[k, c] + z * plane[k - 1, c]
        for c in range(begin, end):
            plane[n - 1, c] *= -z / (1.0 - z)
        for k in range(n - 2, -1, -1):
            for c in range(begin, end):
                plane[k, c] = z * (plane[k + 1, c] - plane[k, c])
        first += end - begin


@ordered_kernel
def filter_along(A, first, last):
    """Rows first … last − 1 of A (rows, columns)."""
    z = POLE
    n = A.shape[1]
    carry = np.empty(_ROWS)
    for top in range(first, last, _ROWS):
        height = min(_ROWS, last - top)
        for r in range(height):
            carry[r] = A[top + r, 0] * 6.0 / (1.0 - z)
            A[top + r, 0] = carry[r]
        for k in range(1, n):
            for r in range(height):
                carry[r] = 6.0 * A[top + r, k] + z * carry[r]
                A[top + r, k] = carry[r]
        for r in range(height):
            carry[r] *= -z / (1.0 - z)
            A[top + r, n - 1] = carry[r]
        for k in range(n - 2, -1, -1):
            for r in range(height):
                carry[r] = z * (carry[r] - A[top + r, k])
                A[top + r, k] = carry[r]
