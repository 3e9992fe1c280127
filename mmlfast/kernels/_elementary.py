"""Elementary functions of vector registers, branch-free: y = f(x) in every lane.

    exp(x) = 2ᵏ·eʳ,  x = k·ln 2 + r          log(x) = k·ln 2 + 2 artanh(z),  z = (f − 1)/(f + 1)

They follow Cody & Waite, Software Manual for the Elementary Functions (1980): ln 2 in two parts, of
which k times the first is exact, so that no fused multiply-add is needed.  The polynomials are
weighted least squares at Chebyshev nodes in 200 bits, their coefficients rounded one after
another, each time with the rest fitted anew.

The largest errors seen, in units in the last place of the exact value, with fused multiply-add:

              float32  float64                     float32  float64
    exp          1.0      1.0           softplus      1.9      1.9
    expm1        1.1      1.2           erf           1.6      1.4
    log          0.8      0.9           gelu          2.0      1.8
    log1p        0.9      0.9           gelu_tanh     1.9      1.7
    tanh         1.6      1.5           gelu_slope       2.2      2.2
    sigmoid      1.7      1.7           gelu_tanh_slope  2.8      3.0

Without it gelu reaches 2.5.  The slopes cross zero near −0.75, where no relative error can be
small: theirs are in ulp of the sum of the sizes of their two terms.  Results below the smallest
normal number keep what digits such numbers have; nothing is flushed to zero.

Each function is compiled into its caller, fast-math set and all: the same bits in any kernel.
"""

from __future__ import annotations

import numpy as np

from mmlfast.kernels._jit import inlined_kernel
from mmlfast.kernels._vector_bits import (
    constant,
    multiply_add,
    nearest,
    polynomial,
    product_error,
    scaled,
    shifted,
    split,
    two_to,
)
from mmlfast.kernels._vectors import absolute, maximum, minimum, select, with_sign

# Every pair is for float32 and float64.
ZERO, ONE = (0.0, 0.0), (1.0, 1.0)
LOG2_E, TWO_LOG2_E = 1.4426950408889634, 2.8853900817779268
HALF_LN2 = 0.34657359027997264
LN2_HIGH = (0.693145751953125, 0.6931471805601177)
LN2_LOW = (1.428606765330187e-06, -1.7239444525614835e-13)

# exp(x) is 0 below and Inf above.
LOWEST, HIGHEST = (-104.0, -746.0), (89.0, 710.0)
NORMAL_FROM, NORMAL_TO = (-87.0, -708.0), (88.0, 709.0)

# (eʳ − 1 − r)/r² for |r| ≤ ln(2)/2.
EXP = (
    (0.5, 0.16666515171527863, 0.04166645556688309, 0.008369235321879387, 0.0013935767346993089),
    (0.5000000000000013, 0.16666666666666685, 0.041666666666511434, 0.008333333333315941,
     0.0013888888947927755, 0.00019841269898714363, 2.4801489088133002e-05, 2.755723280203634e-06,
     2.7631562329826844e-07, 2.5112684229734585e-08),
)  # fmt: skip

# (2 artanh(z) − 2z)/z³ in z² for |z| ≤ (√2 − 1)/(√2 + 1).
LOG = (
    (0.6666677594184875, 0.3997758626937866, 0.2987070679664612),
    (0.6666666666666736, 0.3999999999940528, 0.2857142874413959, 0.22222198415578567,
     0.18183571721190672, 0.15313876171678634, 0.14797582483749622),
)  # fmt: skip

# The same for 0 ≤ z ≤ 1/3.
LOG_TO_TWO = (
    (0.6666641235351562, 0.40021708607673645, 0.27999258041381836, 0.28023186326026917),
    (0.666666666666663, 0.4000000000015868, 0.2857142854775322, 0.22222223972924288,
     0.18181743882801335, 0.1538655980096059, 0.13300984527835763, 0.1210594740029486,
     0.08340870929405342, 0.1701693513275496),
)  # fmt: skip

# e^2r for |r| ≤ ln(2)/4.
EXP_TWICE = (
    (1.0, 2.0, 2.0, 1.333321213722229, 0.6666632890701294, 0.2678155303001404,
     0.08918891102075577),
    (1.0, 2.0, 2.0000000000000053, 1.3333333333333348, 0.666666666664183, 0.2666666666661101,
     0.08888888926673763, 0.025396825470354385, 0.0063491812065620485, 0.0014109303194642605,
     0.0002829471982574269, 5.143077730249643e-05),
)  # fmt: skip

# (tanh(x) − x)/x³ in x² for |x| ≤ TANH_SWITCH; beyond LARGEST tanh is 1.
TANH_SWITCH = (0.55, 0.625)
TANH = (
    (-0.3333294093608856, 0.13320639729499817, -0.05266784876585007, 0.01643173210322857),
    (-0.3333333333333285, 0.13333333333261696, -0.05396825393120126, 0.02186948757606972,
     -0.008863221014018957, 0.0035919893245427805, -0.0014549598448376487, 0.0005863201152168961,
     -0.00022857197242785423, 7.715357709509668e-05, -1.6077188444448463e-05),
)  # fmt: skip
LARGEST = (9.1, 19.1)

# (erf(x) − x)/x in x² for |x| ≤ 0.75; e^x²·erfc(x) = ERFC_ABOVE/ERFC_BELOW from there on.
ERF = (
    (0.12837916612625122, -0.3761261999607086, 0.11283376067876816, -0.026834042742848396,
     0.00511228758841753, -0.0006729554734192789),
    (0.1283791670955126, -0.37612638903183876, 0.11283791670958243, -0.026866170645347198,
     0.005223977623612767, -0.0008548326626135979, 0.00012055304131831126, -1.4924500730344163e-05,
     1.6434557897841554e-06, -1.596741905060214e-07, 1.1554408319235943e-08),
)  # fmt: skip
ERFC_ABOVE = (
    (1.0003783702850342, 0.7237529158592224, 0.22092165052890778),
    (0.9999999818359699, 1.3518365404599522, 0.9021038829296641, 0.3456471271088014,
     0.07558194180839413, 0.007646213820348387),
)  # fmt: skip
ERFC_BELOW = (
    (1.0, 1.8549866676330566, 1.3042184114456177, 0.389737069606781),
    (1.0, 2.4802154823004448, 2.7007286806274045, 1.6651255482935008, 0.6195079265536705,
     0.13395927096787766, 0.013552773217081296),
)  # fmt: skip

# With Φ the distribution function of the normal law, φ its density: φ(0) = 1/√(2π) and what is lost
# of it; (Φ(x) − 1/2)/x = CENTRE + x²·NORMAL in x² for |x| ≤ 0.9; from there on
# φ(0) − x·Φ(−x)·e^x²/2 =
# (TAIL_FIRST + x·TAIL_ABOVE)/(1 + x·TAIL_BELOW), whose coefficients of one sign lose no digits.
DENSITY = (0.3989422917366028, 0.3989422804014327)
DENSITY_LOST = (-1.1335170135851058e-08, -2.49232720227773e-17)
CENTRE = (0.3989422917366028, 0.39894228040143265)
NORMAL = (
    (-0.0664905458688736, 0.009974337182939053, -0.0011887968285009265, 0.0001162384360213764,
     -8.800610885373317e-06),
    (-0.06649038006690336, 0.009973557009989649, -0.0011873282149878284, 0.00011543468463433297,
     -9.444645170259081e-06, 6.659430672992517e-07, -4.118676244556569e-08,
     2.2357931725437186e-09, -9.255297929765621e-11),
)  # fmt: skip
TAIL_FIRST = (0.3990175426006317, 0.39894228005730975)
TAIL_ABOVE = (
    (0.2363038808107376, 0.06806989014148712, 0.009666693396866322),
    (0.4864702627771299, 0.30066526080281564, 0.11945033345569918, 0.03297789402323131,
     0.006456820782339476, 0.0008787194132079146, 7.691923128168434e-05, 3.429979083427773e-06),
)  # fmt: skip
TAIL_BELOW = (
    (1.84684419631958, 1.4817407131195068, 0.6677010655403137, 0.17049160599708557,
     0.02423366717994213),
    (2.4727142439293894, 2.852743806331642, 2.028744418003545, 0.9887843949303572,
     0.3468156527540666, 0.08921958958291829, 0.016763273722180415, 0.002228415965938138,
     0.00019280792009181182, 8.597682551390969e-06),
)  # fmt: skip
# x·Φ(−x) and its slope are 0 beyond.
TAIL_ENDS = (14.8, 38.7)

# y(x) = 2√(2/π)·(x + 0.044715·x³), each coefficient in two parts; e^−y·y′·x is 0 beyond the end.
LINEAR = (1.5957691669464111, 1.5957691216057308)
LINEAR_LOST = (-4.534068054340423e-08, -9.96930880911092e-17)
CUBIC = (0.07135481387376785, 0.07135481627260025)
CUBIC_LOST = (2.3988324659995897e-09, -6.175149918155315e-19)
CUBIC_ENDS = (11.0, 22.0)

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
def exp_of_normal(x):
    """eˣ where that is a normal number, else the least or about the largest of them."""
    k, r = _reduced(minimum(maximum(x, constant(x, NORMAL_FROM)), constant(x, NORMAL_TO)))
    return (1.0 + (r + r * r * polynomial(r, EXP))) * two_to(k)


@inlined_kernel
def _exp_parts(x, low):
    """(k, r, rest) with e^(x + low) = 2ᵏ·(1 + (r + rest)), where |rest| is below r²."""
    k = nearest(x * LOG2_E)
    high, low = x - k * constant(x, LN2_HIGH), k * constant(x, LN2_LOW) - low
    r = high - low
    return k, r, r * r * polynomial(r, EXP) + ((high - r) - low)


@inlined_kernel
def expm1(x):
    """eˣ − 1 = 2ᵏ·((1 − 2⁻ᵏ) + (eʳ − 1)), the sum in two parts."""
    bounded = minimum(maximum(x, constant(x, (-18.0, -38.0))), constant(x, HIGHEST))
    k, r, rest = _exp_parts(bounded, constant(x, ZERO))
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
    return _at_the_ends(x, x, _log_of_parts(k, f - 1.0, constant(x, ZERO)))


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
    """x + x³·P(x²) for small |x|, 1 − 2/(1 + e^(2|x|)) where that is above 1/2; the sign of x.

    ln 2 in one part: what that loses of e^(2|x|) is small where it matters, at small k.
    """
    a = minimum(absolute(x), constant(x, LARGEST))
    k = nearest(a * TWO_LOG2_E)
    e = polynomial(a - k * HALF_LN2, EXP_TWICE)
    w = a * a
    small = a + (a * w) * polynomial(w, TANH)
    large = 1.0 - 2.0 / (shifted(e, k) + 1.0)
    return with_sign(select(a > constant(a, TANH_SWITCH), large, small), x)


@inlined_kernel
def _ratio(k, r, rest):
    """(m, d) with e/(1 + e) = 2ᵏ·(1 + m)/d and d = 1 + e rounded, for e = 2ᵏ·(1 + (r + rest)) ≤ 1.

    What rounding took from d is taken from the numerator before that is rounded: 1.6 ulp, not 2.3.
    """
    p = 1.0 + (r + rest)
    e = p * two_to(maximum(k, constant(k, (-127.0, -1023.0))))
    d = 1.0 + e
    return r + (rest - p * ((1.0 - d) + e)), d


@inlined_kernel
def sigmoid(x):
    """1/(1 + e⁻ˣ); e^x/(1 + e^x) for x < 0, which falls to subnormal numbers and 0 as e^x does."""
    k, r = _reduced(maximum(-1.0 * absolute(x), constant(x, LOWEST)))
    m, d = _ratio(k, r, r * r * polynomial(r, EXP))
    return select(x < 0.0, scaled(1.0 + m, k), 1.0) / d


@inlined_kernel
def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|), with no power of two to take out of the second."""
    e = exp(-1.0 * absolute(x))
    z = e / (2.0 + e)
    w = z * z
    half = 0.5 * e * e
    # The larger of the parts that cancel is added last: 1.8 ulp, not 2.
    return e - ((half - z * (half + w * polynomial(w, LOG_TO_TWO))) - maximum(x, 0.0))


@inlined_kernel
def erf(x):
    """2/√π ∫₀ˣ e^−t² dt: x + x·P(x²) for |x| < 0.75, 1 − erfc(|x|) beyond."""
    a = minimum(absolute(x), constant(x, (4.0, 6.0)))
    w = a * a
    tail = exp(-1.0 * w) * polynomial(a, ERFC_ABOVE) / polynomial(a, ERFC_BELOW)
    return with_sign(select(a < 0.75, a + a * polynomial(w, ERF), 1.0 - tail), x)


@inlined_kernel
def _density_parts(a):
    """(w, k, r, rest) with w = a² rounded and e^(−a²/2) = 2ᵏ·(1 + (r + rest)).

    The square in two parts: a relative error of an exponent near 88 is 88 times that in the power.
    """
    w = a * a
    k, r, rest = _exp_parts(-0.5 * w, -0.5 * product_error(a, a, w))
    return w, k, r, rest


@inlined_kernel
def _last_step(a, rest, first):
    """first + a·rest in two parts."""
    total = multiply_add(a, rest, first)
    return total, multiply_add(a, rest, first - total)


@inlined_kernel
def _mills(a):
    """a·Φ(−a)·e^(a²/2) for a ≥ 0.9, φ(0) less what goes to 0 with 1/a²: its two parts.

    What the last steps of the polynomials and the division lose would be 0.4 ulp of the whole.
    """
    above, above_lost = _last_step(a, polynomial(a, TAIL_ABOVE), constant(a, TAIL_FIRST))
    below, below_lost = _last_step(a, polynomial(a, TAIL_BELOW), constant(a, ONE))
    inverse = 1.0 / below
    short = above * inverse
    left = (multiply_add(-1.0 * short, below, above) + (above_lost - short * below_lost)) * inverse
    size = constant(a, DENSITY) - short
    return size, ((constant(a, DENSITY) - size) - short) + (constant(a, DENSITY_LOST) - left)


@inlined_kernel
def gelu(x):
    """x·Φ(x): x/2 + x²·P(x²) for |x| < 0.9; max(x, 0) − |x|·Φ(−|x|) beyond.

    Hendrycks & Gimpel, Gaussian error linear units (2016).
    """
    a = minimum(absolute(x), constant(x, TAIL_ENDS))
    w, k, r, rest = _density_parts(a)
    size, lost = _mills(a)
    tail = scaled(size + (size * r + (size * rest + lost)), k)
    small = x * (0.5 + x * (constant(x, CENTRE) + w * polynomial(w, NORMAL)))
    return with_sign(select(a < 0.9, small, maximum(x, 0.0) - tail), x)


@inlined_kernel
def gelu_slope(x):
    """The derivative of gelu, Φ(x) + x·φ(x); at −x it is 1 less that at x."""
    a = minimum(absolute(x), constant(x, TAIL_ENDS))
    w, k, r, rest = _density_parts(a)
    m = r + rest
    size = _mills(a)[0] / a - a * constant(a, DENSITY)
    tail = scaled(size + size * m, k)
    density = constant(a, DENSITY) * ((1.0 + m) * two_to(maximum(k, -2.0)))
    small = 0.5 + x * ((constant(x, CENTRE) + density) + w * polynomial(w, NORMAL))
    return select(a < 0.9, small, select(x < 0.0, tail, 1.0 - tail))


@inlined_kernel
def _cubic_parts(a):
    """(w, k, r, rest) with w = a² and e^−y(a) = 2ᵏ·(1 + (r + rest)), all of y in two parts."""
    w = a * a
    cube, linear = constant(a, CUBIC), constant(a, LINEAR)
    p = cube * w
    lost = product_error(cube, w, p) + (
        cube * product_error(a, a, w) + constant(a, CUBIC_LOST) * w
    )
    v = p + linear
    u = v - p
    lost = ((p - (v - u)) + (linear - u)) + (lost + constant(a, LINEAR_LOST))
    y = a * v
    k, r, rest = _exp_parts(-1.0 * y, -1.0 * (product_error(a, v, y) + a * lost))
    return w, k, r, rest


@inlined_kernel
def gelu_tanh(x):
    """x·(1 + tanh(y/2))/2 = x/(1 + e^−y) with y = 2√(2/π)·(x + 0.044715·x³)."""
    a = minimum(absolute(x), constant(x, CUBIC_ENDS))
    _, k, r, rest = _cubic_parts(a)
    m, d = _ratio(k, r, rest)
    return with_sign(select(x < 0.0, scaled((a + a * m) / d, k), x / d), x)


@inlined_kernel
def gelu_tanh_slope(x):
    """The derivative of gelu_tanh, s + x·y′·s·(1 − s), s = 1/(1 + e^−y); at −x 1 less that at x."""
    a = minimum(absolute(x), constant(x, CUBIC_ENDS))
    w, k, r, rest = _cubic_parts(a)
    m, d = _ratio(k, r, rest)
    size = 1.0 - a * (constant(a, LINEAR) + 3.0 * (constant(a, CUBIC) * w)) / d
    tail = scaled((size + size * m) / d, k)
    return select(x < 0.0, tail, 1.0 - tail)
