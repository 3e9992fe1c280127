"""Small seeded data sets of the course: heights to fit a curve to, and a curve to learn."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

Vector = NDArray[np.float64]


def make_heights(
    n_samples: int = 1000,
    *,
    mean: float = 178.0,
    std: float = 8.0,
    bin_width: float = 2.0,
    density: bool = True,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[Vector, Vector]:
    """A histogram of heights in cm, drawn from N(mean, std²): bin centers x and frequencies y.

    Parameters
    ----------
    n_samples : int, default=1000
        How many people are measured.
    mean, std : float, default=178 and 8
        Of the distribution, in cm; std positive.
    bin_width : float, default=2
        Of the bins, in cm, which begin at multiples of it and reach from the shortest to the
        tallest.
    density : bool, default=True
        Frequencies per cm, which with the bin width sum to 1: what the Gaussian curve
        exp(−(x − μ)²/2σ²)/(σ√2π) is to fit.  Else the numbers of people.
    random_state : int, RandomState instance or None, default=None
        Which people.

    Returns
    -------
    x, y : ndarray of shape (n_bins,)

    Raises
    ------
    ValueError
        If an argument is out of range, or there would be more than a million bins.

    Examples
    --------
    >>> from mmlfast import make_heights
    >>> x, y = make_heights(500, random_state=0)
    >>> x[:3], round(float(y.sum() * 2), 12), round(float((x * y).sum() * 2))
    (array([155., 157., 159.]), 1.0, 178)
    >>> int(make_heights(500, density=False, random_state=0)[1].sum())
    500
    """
    _check_count(n_samples)
    _check_number("mean", mean, -np.inf)
    _check_number("std", std, 0)
    _check_number("bin_width", bin_width, 0)
    heights = check_random_state(random_state).normal(mean, std, n_samples)
    first, last = np.floor(heights.min() / bin_width), np.floor(heights.max() / bin_width)
    if last - first >= 1e6:
        raise ValueError(
            f"bin_width must leave at most a million bins; got {bin_width!r} for heights from "
            f"{heights.min():.4g} to {heights.max():.4g}."
        )
    counts = np.bincount((np.floor(heights / bin_width) - first).astype(np.intp)).astype(float)
    centers = (first + np.arange(len(counts)) + 0.5) * bin_width
    return centers, counts / (n_samples * bin_width) if density else counts


def make_heart_curve(
    n_samples: int = 100,
    *,
    noise: float = 0.0,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[Vector, Vector]:
    """A closed curve in the shape of a heart: y(x) in (0, 1)² for x in [0, 1).

    y = (16 sin³ t, 13 cos t − 5 cos 2t − 2 cos 3t − cos 4t), t = 2πx, moved and scaled into the
    square, as the target of a small network whose outputs are logistic.

    Parameters
    ----------
    n_samples : int, default=100
        Points, equally spaced in x.
    noise : float, default=0
        Standard deviation of what is added to y; the sums are kept inside the square.
    random_state : int, RandomState instance or None, default=None
        For the noise.

    Returns
    -------
    x : ndarray of shape (n_samples, 1)
    y : ndarray of shape (n_samples, 2)

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from mmlfast import make_heart_curve
    >>> x, y = make_heart_curve(4)
    >>> x.ravel()
    array([0.  , 0.25, 0.5 , 0.75])
    >>> y.round(3)
    array([[0.5  , 0.625],
           [0.9  , 0.6  ],
           [0.5  , 0.075],
           [0.1  , 0.6  ]])
    """
    _check_count(n_samples)
    if not isinstance(noise, numbers.Real) or not 0 <= float(noise) < np.inf:
        raise ValueError(f"noise must be a number, 0 or larger; got {noise!r}.")
    x = np.arange(n_samples) / n_samples
    t = 2 * np.pi * x
    across = 16 * np.sin(t) ** 3
    up = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    y = np.stack([across, up], axis=1) / 40 + 0.5
    if noise > 0:
        y += noise * check_random_state(random_state).standard_normal(y.shape)
    return x[:, None], np.clip(y, 0.01, 0.99)


def _check_count(n_samples: Any) -> None:
    whole = isinstance(n_samples, numbers.Integral) and not isinstance(n_samples, bool)
    if not whole or n_samples < 1:
        raise ValueError(f"n_samples must be a positive integer; got {n_samples!r}.")


def _check_number(name: str, value: Any, above: float) -> None:
    if not isinstance(value, numbers.Real) or not above < float(value) < np.inf:
        what = "a positive number" if above == 0 else "a finite number"
        raise ValueError(f"{name} must be {what}; got {value!r}.")
