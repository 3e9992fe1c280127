"""Line and point charts as inline SVG that takes its colours from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from mmlfast.api.report_words import format_number

__all__ = ["Chart"]

_WIDTH, _HEIGHT = 560, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 16, 34, 52
# One path cannot overlap itself visibly: several let dense regions of a cloud show darker.
_CLOUD_PATHS = 25


class Chart:
    """Axes to draw on; ``svg()`` gives the picture.

    Parameters
    ----------
    name : str
        What the picture shows, in a sentence: its alternative text.
    x_label, y_label : str
        What the axes measure.
    x_range, y_range : pair of float
        The values at the ends of the axes.
    log_y : bool, default=False
        Logarithmic vertical axis; `y_range` must be positive.
    whole_x : bool, default=False
        Ticks at whole numbers only.
    percent_y : bool, default=False
        Write the vertical ticks, fractions of 1, in percent.
    """

    def __init__(
        self,
        name: str,
        *,
        x_label: str,
        y_label: str,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        log_y: bool = False,
        whole_x: bool = False,
        percent_y: bool = False,
    ) -> None:
        self.name = name
        self.labels = (x_label, y_label)
        self.x_range = _opened(*x_range)
        self.y_range = y_range if log_y and y_range[0] < y_range[1] else _opened(*y_range)
        self.log_y = log_y and self.y_range[0] > 0
        self.whole_x = whole_x
        self.percent_y = percent_y
        self.marks: list[str] = []

    def x(self, values: np.ndarray | float) -> np.ndarray:
        """Horizontal place of the values in the picture."""
        low, high = self.x_range
        share = (np.asarray(values, float) - low) / (high - low)
        return np.asarray(_LEFT + share * (_WIDTH - _LEFT - _RIGHT))

    def y(self, values: np.ndarray | float) -> np.ndarray:
        """Vertical place of the values in the picture; what lies below the axis is put on it."""
        low, high = self.y_range
        values = np.clip(np.asarray(values, float), low, high)
        if self.log_y:
            low, high, values = math.log(low), math.log(high), np.log(values)
        share = (values - low) / (high - low)
        return np.asarray(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM))

    def line(self, xs: np.ndarray, ys: np.ndarray) -> None:
        """A line through the points."""
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(self.x(xs), self.y(ys), strict=True))
        self.marks.append(f'<polyline class="line" points="{points}"/>')

    def dots(self, xs: np.ndarray, ys: np.ndarray, told: Sequence[str]) -> None:
        """A dot for each point, which tells its text under the pointer."""
        for x, y, text in zip(self.x(xs), self.y(ys), told, strict=True):
            self.marks.append(
                f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5">'
                f"<title>{escape(text)}</title></circle>"
            )

    def cloud(self, xs: np.ndarray, ys: np.ndarray) -> None:
        """Many small translucent points."""
        places = [f"M{x:.1f} {y:.1f}h0" for x, y in zip(self.x(xs), self.y(ys), strict=True)]
        for first in range(min(_CLOUD_PATHS, len(places))):
            self.marks.append(f'<path class="cloud" d="{"".join(places[first::_CLOUD_PATHS])}"/>')

    def mark_x(self, value: float, text: str, *, at_top: bool = True) -> None:
        """An upright line at a value, with its text at the top or at the bottom."""
        x = float(self.x(value))
        right = x < (_LEFT + _WIDTH) / 2
        self.marks.append(_upright(x, _TOP, _HEIGHT - _BOTTOM, "mark"))
        anchor = "start" if right else "end"
        y = _TOP + 12 if at_top else _HEIGHT - _BOTTOM - 10
        self.marks.append(_text(x + (7 if right else -7), y, text, "mark", anchor))

    def mark_y(self, value: float, text: str) -> None:
        """A level line at a value, with its text at the right end."""
        y = float(self.y(value))
        self.marks.append(_level(y, "mark"))
        self.marks.append(_text(_WIDTH - _RIGHT - 4, y - 6, text, "mark", "end"))

    def zero_lines(self) -> None:
        """Lines through the origin, where it lies inside the axes."""
        if self.x_range[0] < 0 < self.x_range[1]:
            self.marks.append(_upright(float(self.x(0.0)), _TOP, _HEIGHT - _BOTTOM, "axis"))
        if self.y_range[0] < 0 < self.y_range[1]:
            self.marks.append(_level(float(self.y(0.0)), "axis"))

    def svg(self) -> str:
        """The picture, fit to stand in a page whose style sheet names its colours."""
        return (
            f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-label="{escape(self.name)}">{"".join(self._axes())}{"".join(self.marks)}</svg>'
        )

    def _axes(self) -> Iterable[str]:
        bottom = _HEIGHT - _BOTTOM
        y_ticks = _log_ticks(*self.y_range) if self.log_y else _ticks(*self.y_range)
        for tick in y_ticks:
            y = float(self.y(tick))
            told = f"{100 * tick:.4g}%" if self.percent_y else format_number(tick)
            yield _level(y, "grid")
            yield _text(_LEFT - 8, y + 4, told, "tick", "end")
        for tick in _ticks(*self.x_range, whole=self.whole_x):
            x = float(self.x(tick))
            yield _upright(x, bottom, bottom + 5, "axis")
            yield _text(x, bottom + 20, format_number(tick), "tick", "middle")
        yield _level(bottom, "axis")
        yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, self.labels[0], "label", "middle")
        yield _text(_LEFT, _TOP - 16, self.labels[1], "label", "start")


def _upright(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'


def _level(y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _opened(low: float, high: float) -> tuple[float, float]:
    """The range, widened where it is empty, so that it can be divided by."""
    if high > low:
        return low, high
    margin = abs(low) / 2 or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float, *, whole: bool = False, about: int = 6) -> list[float]:
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = last - first
    every = max(1, -(-decades // 7))
    leads = (1, 2, 5) if decades <= 2 else (1,)
    ticks = [lead * 10.0**e for e in range(first, last + 1, every) for lead in leads]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
