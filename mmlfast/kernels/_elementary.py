"""Elementary functions of vector registers, branch-free: y = f(x) in every lane.

    exp(x) = 2ᵏ·eʳ,  x = k·ln 2 + r          log(x) = k·ln 2 + 2 artanh(z),  z = (f − 1)/(f + 1)

They follow Cody & Waite, Software Manual for the Elementary Functions (1980): ln 2 in two parts, of
which k times the first is exact, so that no fused multiply-add is needed.  The polynomials are
weighted least squares at Chebyshev nodes in 200 bits, their coefficients rounded one after
another, each time with the rest fitted anew.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._jit import inlined_kernel
from mmlfast.kernels._vector_bits import constant, nearest, polynomial, scaled, split, two_to
from mmlfast.kernels._vectors import absolute, maximum, minimum, select, with_sign

# Every pair is for float32 and float64.
LOG2_E = 1.4426950408889634
LN2_HIGH = (0.693145751953125, 0.6931471805601177)
LN2_LOW = (1.428606765330187e-06, -1.7239444525614835e-13)

# exp(x) is 0 below and Inf above.
LOWEST, HIGHEST = (-104.0, -746.0), (89.0, 710.0)

# (eʳ − 1 − r)/r² on |r| ≤ ln(2)/2.
EXP = (
    (0.5, 0.16666540503501892, 0.04166647791862488, 0.008366821333765984, 0.0013933692825958133),
    (0.5, 0.16666666666666677, 0.04166666666666668, 0.008333333333321452, 0.0013888888888877453,
     0.00019841269886523188, 2.4801587340580914e-05, 2.755724385001198e-06, 2.755725925318303e-07,
     2.5109151336062306e-08, 2.0919481448961705e-09),
)  # fmt: skip

# (2 artanh(z) − 2z)/z³ in z² for |z| ≤ (√2 − 1)/(√2 + 1).
LOG = (
    (0.6666677594184875, 0.3997758626937866, 0.2987070679664612),
    (0.6666666666666736, 0.3999999999940528, 0.2857142874413959, 0.22222198415578567,
     0.18183571721190672, 0.15313876171678634, 0.14797582483749622),
)  # fmt: skip

# (tanh(x) − x)/x³ in x² for |x| ≤ 0.625; beyond LARGEST tanh is 1.
TANH = (
    (-0.3333328068256378, 0.13331419229507446, -0.053738292306661606, 0.02063542976975441,
     -0.005701635032892227),
    (-0.3333333333333285, 0.13333333333261696, -0.05396825393120126, 0.02186948757606972,
     -0.008863221014018957, 0.0035919893245427805, -0.0014549598448376487, 0.0005863201152168961,
     -0.00022857197242785423, 7.715357709509668e-05, -1.6077188444448463e-05),
)  # fmt: skip
LARGEST = (9.1, 19.1)

TINY, GROW, GROWN = (1.1754943508222875e-38, 2.2250738585072014e-308), (2.0**24, 2.0**54), (24, 54)


@inlined_kernel
def _reduced(x):
    """(k, r) with x = k·ln 2 + r, |r| ≤ ln(2)/2."""
    k = nearest(x * LOG2_E)
    return k, (x - k * constant(x, LN2_HIGH)) - k * constant(x, LN2_LOW)


@inlined_kernel
def exp(x):
    """eˣ; 0, Inf and subnormal numbers where they belong."""
    x = minimum(maximum(x, constant(x, LOWEST)), constant(x, HIGHEST))
    k, r = _reduced(x)
    return scaled(1.0 + (r + r * r * polynomial(r, EXP)), k)


@inlined_kernel
def expm1(x):
    """eˣ − 1 = 2ᵏ·((1 − 2⁻ᵏ) + (eʳ − 1)), the sum in two parts."""
    t = minimum(maximum(x, constant(x, (-18.0, -38.0))), constant(x, HIGHEST))
    k = nearest(t * LOG2_E)
    high, low = t - k * constant(x, LN2_HIGH), k * constant(x, LN2_LOW)
    r = high - low
    rest = r * r * polynomial(r, EXP) + ((high - r) - low)
    # 2¹⁻ᵏ, for 2⁻ᵏ may be too small.
    a = 1.0 - 0.5 * two_to(1.0 - k)
    s = a + r
    return with_sign(scaled(s + (((a - s) + r) + rest), k), x)


@inlined_kernel
def _log_of_parts(k, s, c):
    """k·ln 2 + log(1 + s) + c for √½ ≤ 1 + s ≤ √2 and c of the size of rounding."""
    z = s / (2.0 + s)
    w = z * z
    half = 0.5 * s * s
    tail = z * (half + w * polynomial(w, LOG)) + (k * constant(s, LN2_LOW) + c)
    return k * constant(s, LN2_HIGH) + (s - (half - tail))


@inlined_kernel
def _at_the_ends(x, value, y):
    """y = f(value) where 0 < value < Inf; −Inf at 0, NaN below; Inf and NaN as they come in x."""
    y = select(value < np.inf, y, x)
    return select(value > 0.0, y, select(value == 0.0, -np.inf, np.nan))


@inlined_kernel
def log(x):
    """log x; −Inf for 0, NaN for negative numbers."""
    small = x < constant(x, TINY)
    k, f = split(select(small, x * constant(x, GROW), x))
    k = k - select(small, constant(x, GROWN), 0.0)
    return _at_the_ends(x, x, _log_of_parts(k, f - 1.0, constant(x, (0.0, 0.0))))


@inlined_kernel
def _log1p(x):
    """log(1 + x) for −1 < x < Inf: 1 + x = u + c without an error, then log u with c/u added."""
    u = 1.0 + x
    v = u - 1.0
    c = (1.0 - (u - v)) + (x - v)
    k, f = split(u)
    c = c * two_to(1.0 - k) * 0.5
    s = (f - 1.0) + c
    return _log_of_parts(k, s, ((f - 1.0) - s) + c)


@inlined_kernel
def log1p(x):
    """log(1 + x); −Inf for −1, NaN for less."""
    return with_sign(_at_the_ends(x, 1.0 + x, _log1p(x)), x)


@inlined_kernel
def tanh(x):
    """x + x³·P(x²) for |x| < 0.625, 1 − 2/(1 + e^(2|x|)) beyond, with the sign of x."""
    a = minimum(absolute(x), constant(x, LARGEST))
    k, r = _reduced(2.0 * a)
    e = (1.0 + (r + r * r * polynomial(r, EXP))) * two_to(k)
    w = a * a
    small = a + a * (w * polynomial(w, TANH))
    return with_sign(select(a > 0.625, 1.0 - 2.0 / (e + 1.0), small), x)


@inlined_kernel
def sigmoid(x):
    """1/(1 + e⁻ˣ); e^x/(1 + e^x) for x < 0, which falls to subnormal numbers and 0 as e^x does.

    What rounding took from 1 + e^x is taken from the numerator before that is rounded: 1.4 instead
    of 2.3 ulp for x < 0.
    """
    k, r = _reduced(maximum(-1.0 * absolute(x), constant(x, LOWEST)))
    rest = r * r * polynomial(r, EXP)
    p = 1.0 + (r + rest)
    e = p * two_to(maximum(k, constant(x, (-127.0, -1023.0))))
    below = 1.0 + e
    lost = (1.0 - below) + e
    return select(x < 0.0, scaled(1.0 + (r + (rest - p * lost)), k), 1.0) / below


@inlined_kernel
def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)."""
    return maximum(x, 0.0) + _log1p(exp(-1.0 * absolute(x)))
