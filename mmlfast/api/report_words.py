"""The words and numbers of a report: figures, percentages, durations, sections."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_number(value: float, digits: int = 4, *, zeros: bool = False) -> str:
    """The number in `digits` significant figures, with a power of ten where it is far from 1.

    With `zeros`, trailing zeros are kept, as in a column of a table.

    Examples
    --------
    >>> from mmlfast.api.report_words import format_number
    >>> format_number(12.3456), format_number(123456.0), format_number(1.5e-7)
    ('12.35', '123456', '1.5 × 10⁻⁷')
    """
    size = abs(value)
    if not math.isfinite(value) or size == 0 or 1e-3 <= size < 1e6:
        kind = ".0f" if 10**digits <= size < 1e6 else f"{'#' if zeros else ''}.{digits}g"
        return f"{value:{kind}}".removesuffix(".").replace("-", "−")
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    if not zeros:
        mantissa = mantissa.rstrip("0").rstrip(".")
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return power if mantissa == "1" else f"{mantissa} × {power}".replace("-", "−")


def percent(fraction: float) -> str:
    """The fraction in percent: ``12.3%``, two figures below 1%, and 100% only when it is that.

    Examples
    --------
    >>> from mmlfast.api.report_words import percent
    >>> percent(0.5), percent(0.00123), percent(0.99998), percent(1.0)
    ('50.0%', '0.12%', '99.998%', '100.0%')
    """
    number = 100 * float(fraction)
    if abs(number) < 1:
        return f"{format_number(number, 2, zeros=True)}%" if number else "0.0%"
    if 99.95 <= number < 100 - 1e-9:
        return f"{100 - float(f'{100 - number:.1g}'):.10g}%"
    return f"{number:.1f}%"


def duration(seconds: float) -> str:
    """The time in seconds, or in milliseconds below one second, in three figures."""
    if seconds >= 100:
        return f"{seconds:.0f} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def count(number: int, noun: str) -> str:
    """``1 row``, ``1,200 rows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def times(number: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def variance_ratios(pca: Any) -> NDArray[np.float64]:
    """Share of the variance by component; zeros where there is no variance to share."""
    return np.nan_to_num(np.asarray(pca.explained_variance_ratio_, np.float64))


def variance_kept(pca: Any) -> float:
    """Share of the variance of all components together."""
    return float(variance_ratios(pca).sum())


def section(title: str, told: str, content: str, kind: str = "") -> str:
    """A part of the page; `told` and `content` are HTML, `title` is text."""
    told = f"<p>{told}</p>" if told else ""
    return f'<section class="{kind}"><h2>{escape(title)}</h2>{told}{content}</section>'
