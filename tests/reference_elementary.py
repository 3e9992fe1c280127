"""The elementary functions in more digits than they are computed in, and errors in ulp.

float32 is compared with float64 by numpy, float64 with 200 bits by mpmath.
"""

from __future__ import annotations

import mpmath
import numpy as np

BITS = 200
LARGE = 1500  # e^±x is 0 or Inf in every dtype; mpmath would compute it all the same


def sigmoid(x):
    """1/(1 + e⁻ˣ) without a difference of what nearly cancels."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


# In float64, of float64.
DOUBLE = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softplus": lambda x: np.logaddexp(0, x),
}


def _whole(function):
    """`function` of mpmath for finite and moderate numbers, its limits for others."""

    def value(x):
        return function(max(-LARGE, min(LARGE, mpmath.mpf(float(x)))))

    return value


def _from(lowest, logarithm):
    """A logarithm that begins at `lowest`, with −Inf there and NaN below."""

    def value(x):
        if x > lowest:
            return logarithm(mpmath.mpf(float(x)))
        return mpmath.mpf("-inf" if x == lowest else "nan")

    return value


# In BITS bits, of one number that is not NaN.
EXACT = {
    "exp": _whole(mpmath.exp),
    "expm1": _whole(mpmath.expm1),
    "log": _from(0, mpmath.log),
    "log1p": _from(-1, mpmath.log1p),
    "tanh": _whole(mpmath.tanh),
    "sigmoid": _whole(lambda x: 1 / (1 + mpmath.exp(-x))),
    "softplus": lambda x: (
        mpmath.mpf(float(x)) if x > LARGE else _whole(lambda t: mpmath.log1p(mpmath.exp(t)))(x)
    ),
}


def ulp_errors(name, x, y):
    """|y − f(x)| in units in the last place of f(x) as y's dtype; Inf where NaN or Inf differ."""
    if y.dtype == np.float32:
        with np.errstate(all="ignore"):
            exact = DOUBLE[name](x.astype(np.float64))
            return _errors(y, exact, exact.astype(np.float32))
    with mpmath.workprec(BITS):
        exact = [mpmath.nan if np.isnan(number) else EXACT[name](number) for number in x]
        rounded = np.array([_rounded(number) for number in exact])
        differences = [
            abs(mpmath.mpf(float(a)) - b) if np.isfinite(a) and mpmath.isfinite(b) else np.inf
            for a, b in zip(y, exact, strict=True)
        ]
        errors = [
            float(d / mpmath.mpf(s)) for d, s in zip(differences, ulp(rounded), strict=True)
        ]
    return np.where(_same(y, rounded), np.minimum(errors, 0.5), errors)


def _rounded(number):
    """float64 nearest to a number of mpmath, subnormal ones included."""
    if mpmath.isfinite(number) and abs(number) < mpmath.mpf(2) ** -1022:
        # float() rounds to 53 bits first, and once more to those a subnormal number has.
        return float(mpmath.nint(number * mpmath.mpf(2) ** 1074)) * 2.0**-1074
    return float(number)


def ulp(number):
    """The unit in the last place of a rounded number; that of the largest for Inf and NaN."""
    limits = np.finfo(number.dtype)
    _, e = np.frexp(np.where(np.isfinite(number), number, limits.max))
    return np.ldexp(1.0, np.maximum(e, limits.minexp + 1) - limits.nmant - 1)


def _errors(y, exact, rounded):
    errors = np.abs(y - exact) / ulp(rounded)
    errors = np.where(np.isnan(errors), np.inf, errors)
    return np.where(_same(y, rounded), np.minimum(errors, 0.5), errors)


def _same(a, b):
    return (a == b) | (np.isnan(a) & np.isnan(b))


def special_numbers(dtype):
    """Zeros, the limits of the dtype, and where exp leaves its range, with all neighbours."""
    limits = np.finfo(dtype)
    centres = np.array(
        [1, np.log(limits.max), np.log(limits.tiny), np.log(limits.smallest_subnormal),
         np.log(limits.eps), np.log(2) / 2, np.sqrt(2), np.sqrt(0.5), 2, 0.625,
         9, 19, 800],
        dtype,
    )  # fmt: skip
    around = [centres]
    for direction in (-np.inf, np.inf):
        moved = centres
        for _ in range(3):
            moved = np.nextafter(moved, dtype(direction))
            around.append(moved)
    ends = np.array(
        [0, limits.smallest_subnormal, limits.tiny, limits.eps, limits.max, np.inf, np.nan], dtype
    )
    numbers = np.concatenate([*around, ends, np.nextafter(limits.tiny, dtype(0))[None]])
    return np.concatenate([numbers, -numbers])


def hard_numbers(dtype, count, seed=0):
    """Bit patterns over the whole range, and where reduction and cancellation are worst."""
    rng = np.random.default_rng(seed)
    unsigned = np.dtype(f"u{np.dtype(dtype).itemsize}")
    patterns = np.linspace(0, 2.0 ** (8 * unsigned.itemsize), count, endpoint=False)
    patterns = patterns.astype(unsigned) + rng.integers(0, 1 << 16, count).astype(unsigned)
    edge = -np.log(np.finfo(dtype).smallest_subnormal)
    halves = (rng.integers(-99, 100, count) + 0.5) * np.log(2)
    return np.concatenate([
        special_numbers(dtype),
        patterns.view(dtype),
        rng.uniform(-1, 1, count).astype(dtype),
        rng.uniform(-20, 20, count).astype(dtype),
        rng.uniform(-1.05 * edge, 1.05 * edge, count).astype(dtype),
        (halves * (1 + 1e-3 * rng.standard_normal(count))).astype(dtype),
        (1 + 0.01 * rng.standard_normal(count)).astype(dtype),
        (-(10.0 ** rng.uniform(-30, 0, count))).astype(dtype),
    ])  # fmt: skip
