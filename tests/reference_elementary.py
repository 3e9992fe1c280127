"""The elementary functions in more digits than they are computed in, and errors in ulp.

float32 is compared with float64 by numpy and scipy, float64 with 200 bits by mpmath.  The slopes of
the two GELUs cross zero near −0.75, where no relative error can be small: theirs are in ulp of the
sum of the sizes of the terms, Φ(x) + |x·φ(x)| and s + |x·s′|.
"""

from __future__ import annotations

import mpmath
import numpy as np
from scipy import special

BITS = 200
LARGE = 1500  # beyond, e^±x is 0 or Inf in every dtype; mpmath would compute it all the same
LINEAR = 2 * np.sqrt(2 / np.pi)


def sigmoid(x):
    """1/(1 + e⁻ˣ) without a difference of what nearly cancels."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def gelu_terms(x):
    """Φ(x) from erfc, which keeps the digits of its tail, and x·φ(x)."""
    return special.erfc(-x / np.sqrt(2)) / 2, x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def gelu_tanh_terms(x):
    """s(y) for the sigmoid s of y = 2√(2/π)·(x + 0.044715·x³), and x·y′·s(y)·s(−y)."""
    y, slope = LINEAR * (x + 0.044715 * x**3), LINEAR * (1 + 0.134145 * x**2)
    return sigmoid(y), x * slope * sigmoid(y) * sigmoid(-y)


def growing(share):
    """x·share(x), which is max(x, 0) far out."""
    return lambda x: np.where(np.abs(x) < LARGE, x * share(x), np.maximum(x, 0))


def summed(terms):
    """The sum of terms(x), at its limits far out."""
    return lambda x: sum(terms(np.clip(x, -LARGE, LARGE)))


# In float64, of float64.
DOUBLE = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softplus": lambda x: np.logaddexp(0, x),
    "erf": special.erf,
    "gelu": growing(lambda x: gelu_terms(x)[0]),
    "gelu_slope": summed(gelu_terms),
    "gelu_tanh": growing(lambda x: gelu_tanh_terms(x)[0]),
    "gelu_tanh_slope": summed(gelu_tanh_terms),
}


def exact_gelu_terms(x):
    """The terms of gelu_slope in BITS bits."""
    density = mpmath.exp(-(x**2) / 2) / mpmath.sqrt(2 * mpmath.pi)
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2, x * density


def exact_gelu_tanh_terms(x):
    """The terms of gelu_tanh_slope in BITS bits."""
    linear, cubic = 2 * mpmath.sqrt(2 / mpmath.pi), mpmath.mpf("0.044715")
    e = mpmath.exp(-linear * (x + cubic * x**3))
    return 1 / (1 + e), x * linear * (1 + 3 * cubic * x**2) * e / (1 + e) ** 2


# In BITS bits, of a number of mpmath between −LARGE and LARGE.
EXACT = {
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": lambda x: _from(0, mpmath.log, x),
    "log1p": lambda x: _from(-1, mpmath.log1p, x),
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "erf": mpmath.erf,
    "gelu": lambda x: x * exact_gelu_terms(x)[0],
    "gelu_slope": lambda x: sum(exact_gelu_terms(x)),
    "gelu_tanh": lambda x: x * exact_gelu_tanh_terms(x)[0],
    "gelu_tanh_slope": lambda x: sum(exact_gelu_tanh_terms(x)),
}
LIKE_X = {"softplus", "gelu", "gelu_tanh"}  # above LARGE
UNBOUNDED = {"log", "log1p"}
TERMS = {
    "gelu_slope": (gelu_terms, exact_gelu_terms),
    "gelu_tanh_slope": (gelu_tanh_terms, exact_gelu_tanh_terms),
}


def _from(lowest, logarithm, x):
    """A logarithm that begins at `lowest`, with −Inf there and NaN below."""
    if x > lowest:
        return logarithm(x)
    return mpmath.mpf("-inf" if x == lowest else "nan")


def exactly(name, x):
    """f(x) in BITS bits, and what its last place is counted in: |f(x)| or the size of its terms."""
    x = mpmath.mpf(float(x))
    if mpmath.isnan(x) or (x > LARGE and name in LIKE_X):
        return x, abs(x)
    bounded = x if name in UNBOUNDED else max(-LARGE, min(LARGE, x))
    value = EXACT[name](bounded)
    if name in TERMS:
        return value, sum(abs(term) for term in TERMS[name][1](bounded))
    return value, abs(value)


def ulp_errors(name, x, y):
    """|y − f(x)| in units in the last place of f(x) as y's dtype; Inf where NaN or Inf differ."""
    if y.dtype == np.float32:
        with np.errstate(all="ignore"):
            wide = x.astype(np.float64)
            exact = DOUBLE[name](wide)
            rounded = size = exact.astype(np.float32)
            if name in TERMS:
                terms = TERMS[name][0](np.clip(wide, -LARGE, LARGE))
                size = sum(map(np.abs, terms)).astype(np.float32)
            errors = np.abs(y - exact) / ulp(size)
    else:
        with mpmath.workprec(BITS):
            exact, sizes = zip(*(exactly(name, number) for number in x), strict=True)
            rounded, size = (np.array([_rounded(n) for n in v]) for v in (exact, sizes))
            errors = np.array([
                float(abs(mpmath.mpf(float(a)) - b) / mpmath.mpf(float(unit)))
                for a, b, unit in zip(y, exact, ulp(size), strict=True)
            ])  # fmt: skip
    errors = np.where(np.isnan(errors), np.inf, errors)
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


def _same(a, b):
    return (a == b) | (np.isnan(a) & np.isnan(b))


def special_numbers(dtype):
    """Zeros, the limits of the dtype, and where exp leaves its range, with all neighbours."""
    limits = np.finfo(dtype)
    centres = np.array(
        [1, np.log(limits.max), np.log(limits.tiny), np.log(limits.smallest_subnormal),
         np.log(limits.eps), np.log(2) / 2, np.sqrt(2), np.sqrt(0.5), 2, 0.625, 0.75, 4, 6,
         9.1, 11, 14.8, 19.1, 22, 38.7, 800],
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
        rng.uniform(-1.5, 1.5, count).astype(dtype),
        rng.uniform(-20, 20, count).astype(dtype),
        rng.uniform(-1.05 * edge, 1.05 * edge, count).astype(dtype),
        (halves * (1 + 1e-3 * rng.standard_normal(count))).astype(dtype),
        (1 + 0.01 * rng.standard_normal(count)).astype(dtype),
        (-(10.0 ** rng.uniform(-30, 0, count))).astype(dtype),
    ])  # fmt: skip
