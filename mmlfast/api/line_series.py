"""Taylor coefficients along lines: F(x + t d) = Σ a_k tᵏ, for analytic functions and for others.

    a_k = 1/(N rᵏ) Σ_j F(x + r e^{iθ_j} d) e^{−ikθ_j}          θ_j = 2πj/N

Cauchy's integral on a circle, exact but for rounding once r is well inside the domain where F is
analytic: Lyness and Moler, Numerical differentiation of analytic functions, SIAM J. Numer. Anal.
4(2), 1967.  Each coefficient takes the radius that is best for it (Fornberg, ACM TOMS 7(4), 1981).
A function of real numbers is interpolated at Chebyshev points of an interval instead.

Either way, the coefficients that should have vanished show what the sum leaves out, aliasing and
rounding alike; on a circle they also show a function that is not analytic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

from mmlfast.api.evaluations import Array, Evaluations, NotAnalyticError
from mmlfast.api.slopes import refused

_EPS = float(np.finfo(np.float64).eps)
# Radii in units of d.  An interval has too few points to notice what is narrow in a wide one.
_CIRCLE, _INTERVAL, _NEAR, _SMALLEST = 32.0, 2.0, 0.5, 2.0**-50
_RESOLVED, _DOUBTFUL = 1e-10, 1e-4
_SPARE = 17  # Chebyshev points beyond the order
MAX_ORDER = 64


class Series(NamedTuple):
    """a_k and their errors (order + 1, K), whether to doubt them, and how they were found."""

    coefficients: Array
    error: Array
    doubtful: Array
    method: str


# t (K, p) → F there (K, p); coefficients times rᵏ and their errors (order + 1, K); the part of F
# that is not resolved, relative to F (K,).
_Scaled = tuple[Array, Array, Array]


def series_along(F: Evaluations, d: Array, order: int, method: str) -> Series:
    """Coefficients up to `order` along directions d (n, K); F has one output."""
    if method != "central":
        try:
            found = _best(F, d, order, _circle(F, d, order), _CIRCLE)
            if found[2].any():
                raise NotAnalyticError(f"{F.name} does not follow them on any circle around x")
            return Series(*found, "complex-step")
        except NotAnalyticError as reason:
            if method == "complex-step":
                raise refused(reason) from reason
    return Series(*_best(F, d, order, _interval(F, d, order), _INTERVAL), "central")


def _circle(F: Evaluations, d: Array, order: int) -> Callable[[Array], _Scaled]:
    n = 32
    while n < 5 * (order + 1):  # the more points, the closer to a pole the circle may pass
        n *= 2
    # F(z̄) is the conjugate of F(z): the upper half is enough.
    half = np.exp(2j * np.pi * np.arange(n // 2 + 1) / n)

    def coefficients(r: Array) -> _Scaled:
        values = F.in_the_plane(_line(F, d, r[:, None] * half))[0]
        c = np.fft.hfft(values, n, axis=1).T / n
        size = np.abs(values).max(axis=1)
        rest = np.abs(c[3 * n // 4 :]).max(axis=0)
        error = np.broadcast_to(4 * (rest + _EPS * size), (order + 1, len(r)))
        return c[: order + 1], error, _ratio(rest, size)

    return coefficients


def _interval(F: Evaluations, d: Array, order: int) -> Callable[[Array], _Scaled]:
    n = order + _SPARE
    nodes = chebyshev.chebpts1(n)
    transform = 2 / n * chebyshev.chebvander(nodes, n - 1).T
    transform[0] /= 2
    powers = np.zeros((n, n))
    for j in range(n):
        powers[: j + 1, j] = chebyshev.cheb2poly(np.eye(n)[j, : j + 1])
    powers = powers[: order + 1]
    weights = powers @ transform
    # Four, so that even and odd functions leave something.
    left_out = 4 * np.abs(powers[:, -4:]).sum(axis=1)
    rounded = 2 * _EPS * np.abs(weights).sum(axis=1)

    def coefficients(r: Array) -> _Scaled:
        values = F(_line(F, d, r[:, None] * nodes))[0]
        size = np.abs(values).max(axis=1)
        rest = np.abs(transform[-4:] @ values.T).max(axis=0)
        error = np.outer(left_out, rest) + np.outer(rounded, size)
        # Below the resolution of F nothing is left over, and nothing is told.
        flat = (np.ptp(values, axis=1) == 0) & (r < 1)
        return weights @ values.T, np.where(flat, np.inf, error), _ratio(rest, size)

    return coefficients


def _best(
    F: Evaluations,
    d: Array,
    order: int,
    coefficients: Callable[[Array], _Scaled],
    largest: float,
) -> tuple[Array, Array, Array]:
    """The coefficients of smallest error over all radii, their errors, and what to doubt."""
    shape = (order + 1, d.shape[1])
    best, error, unresolved = np.zeros(shape), np.full(shape, np.inf), np.ones(shape)
    powers = np.arange(order + 1)[:, None]
    start = np.broadcast_to(F.at_points[0], d.shape[1:])

    r, settled = np.full(d.shape[1], largest), np.zeros(d.shape[1], bool)
    clash = settled
    # aₖ loses a factor of (best radius / nearest one tried)ᵏ.
    factor = 4.0 ** (1 / min(6, 1 + order // 4))
    while (r > _SMALLEST).any() and not settled.all():
        with np.errstate(all="ignore"):
            c, bound, ratio = coefficients(r)
            # Another function than F, however analytic, has another value in the middle.
            ratio = np.where(np.abs(c[0] - start) <= 16 * bound[0], ratio, np.inf)
            c, bound = c / r**powers, np.where(np.isfinite(ratio), bound, np.inf) / r**powers
            # z|z| is r z on every circle around 0: each radius tells another story.
            resolved = ratio < _RESOLVED
            clash = resolved & (np.abs(c - best) > 4 * (bound + error)).any(axis=0)
            better = (bound < error) | clash
        best, error = np.where(better, c, best), np.where(better, bound, error)
        unresolved = np.where(better, ratio, unresolved)
        # A wide circle may pass by all that happens near x.
        settled |= resolved & ~better[-1] & (r <= _NEAR)
        r = np.where(settled, r, r / factor)
    unresolved = np.where(clash, np.inf, unresolved)
    best[0], error[0], unresolved[0] = start, _EPS * np.abs(start), 0
    if np.isinf(error).any():
        raise ValueError(
            f"{F.name} must be finite on both sides of x to have derivatives; it is not."
        )
    return best, error, unresolved > _DOUBTFUL


def _line(F: Evaluations, d: Array, t: Array) -> Array:
    return F.points[..., None] + d[..., None] * t


def _ratio(rest: Array, size: Array) -> Array:
    return np.divide(rest, size, out=np.zeros_like(rest), where=size != 0)
