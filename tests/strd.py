"""Nonlinear regression sets of NIST's Statistical Reference Datasets, with certified results.

Source: National Institute of Standards and Technology, Statistical Reference Datasets, nonlinear
regression (public domain).  Each file in `data/strd` holds, as NIST printed them, a line for each
parameter (start 1, start 2, certified value, its standard deviation), the residual sum of squares,
and the data, y first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy import exp

from tests.conftest import ROOT

FOLDER = ROOT / "tests" / "data" / "strd"


class Set(NamedTuple):
    x: np.ndarray
    y: np.ndarray
    starts: np.ndarray
    certified: np.ndarray
    std_errors: np.ndarray
    rss: float


def load(name: str) -> Set:
    lines = (FOLDER / f"{name}.dat").read_text(encoding="utf-8").splitlines()[2:]
    parameters = [line.split() for line in lines if len(line.split()) == 4]
    table = np.array(parameters, np.float64)
    rss = float(lines[len(table)])
    data = np.array([line.split() for line in lines[len(table) + 1 :]], np.float64).T
    y, x = data[0], data[1] if len(data) == 2 else data[1:]
    if name == "Nelson":
        y = np.log(y)  # as its model has it
    return Set(x, y, table[:, :2].T, table[:, 2], table[:, 3], rss)


def _exponentials(x, b1, b2, b3, b4, b5, b6):
    return b1 * exp(-b2 * x) + b3 * exp(-b4 * x) + b5 * exp(-b6 * x)


def _peaks(x, b1, b2, b3, b4, b5, b6, b7, b8):
    return b1 * exp(-b2 * x) + b3 * exp(-((x - b4) ** 2) / b5**2) + b6 * exp(-((x - b7) / b8) ** 2)


def _cubics(x, b1, b2, b3, b4, b5, b6, b7):
    return (b1 + x * (b2 + x * (b3 + x * b4))) / (1 + x * (b5 + x * (b6 + x * b7)))


def _chwirut(x, b1, b2, b3):
    return exp(-b1 * x) / (b2 + b3 * x)


def _enso(x, b1, b2, b3, b4, b5, b6, b7, b8, b9):
    def wave(period, a, b):
        return a * np.cos(2 * np.pi * x / period) + b * np.sin(2 * np.pi * x / period)

    return b1 + wave(12, b2, b3) + wave(b4, b5, b6) + wave(b7, b8, b9)


MODELS = {
    "Misra1a": lambda x, b1, b2: b1 * (1 - exp(-b2 * x)),
    "Chwirut2": _chwirut,
    "Chwirut1": _chwirut,
    "Lanczos3": _exponentials,
    "Gauss1": _peaks,
    "Gauss2": _peaks,
    "DanWood": lambda x, b1, b2: b1 * x**b2,
    "Misra1b": lambda x, b1, b2: b1 * (1 - (1 + b2 * x / 2) ** -2),
    "Kirby2": lambda x, b1, b2, b3, b4, b5: (b1 + x * (b2 + x * b3)) / (1 + x * (b4 + x * b5)),
    "Hahn1": _cubics,
    "Nelson": lambda x, b1, b2, b3: b1 - b2 * x[0] * exp(-b3 * x[1]),
    "MGH17": lambda x, b1, b2, b3, b4, b5: b1 + b2 * exp(-x * b4) + b3 * exp(-x * b5),
    "Lanczos1": _exponentials,
    "Lanczos2": _exponentials,
    "Gauss3": _peaks,
    "Misra1c": lambda x, b1, b2: b1 * (1 - (1 + 2 * b2 * x) ** -0.5),
    "Misra1d": lambda x, b1, b2: b1 * b2 * x / (1 + b2 * x),
    "Roszman1": lambda x, b1, b2, b3, b4: b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi,
    "ENSO": _enso,
    "MGH09": lambda x, b1, b2, b3, b4: b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4),
    "Thurber": _cubics,
    "BoxBOD": lambda x, b1, b2: b1 * (1 - exp(-b2 * x)),
    "Rat42": lambda x, b1, b2, b3: b1 / (1 + exp(b2 - b3 * x)),
    "MGH10": lambda x, b1, b2, b3: b1 * exp(b2 / (x + b3)),
    "Eckerle4": lambda x, b1, b2, b3: b1 / b2 * exp(-(((x - b3) / b2) ** 2) / 2),
    "Rat43": lambda x, b1, b2, b3, b4: b1 / (1 + exp(b2 - b3 * x)) ** (1 / b4),
    "Bennett5": lambda x, b1, b2, b3: b1 * (b2 + x) ** (-1 / b3),
}
