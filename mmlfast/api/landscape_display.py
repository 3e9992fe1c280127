"""Pictures of landscapes and of paths through them; matplotlib is imported when one is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

_SIDE = np.linspace(-3, 3, 121)


class LandscapeDisplay:
    """Contours of a function on [-3, 3]², its minima, and a path.

    Parameters
    ----------
    landscape : Landscape
    play : Play, default=None
        Whose path to draw.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        What :meth:`plot` drew on.
    """

    def __init__(self, landscape: Any, play: Any = None) -> None:
        self.landscape, self.play = landscape, play

    def plot(self, *, ax: Any = None) -> LandscapeDisplay:
        """Draw on `ax`, or on axes of its own; returns the display."""
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise ImportError(
                    'plot() needs matplotlib: pip install "mmlfast[plot]"'
                ) from error
            ax = pyplot.figure().add_subplot()
        depth = self.landscape(np.stack(np.meshgrid(_SIDE, _SIDE), axis=-1))
        ax.contourf(_SIDE, _SIDE, depth, levels=20, cmap="YlOrBr_r")
        ax.plot(*self.landscape.minima.T, "+", color="black", label="minima")
        if self.play is not None:
            path = self.play.path
            ax.plot(*path.T, ".-", color="tab:blue", label=f"{len(path)} probes")
            ax.plot(*path[0], "o", color="tab:blue", label="start")
        ax.set(
            xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xlabel="x₀", ylabel="x₁",
            title=f"{self.landscape.family}{f': {self.play.status}' if self.play else ''}",
        )  # fmt: skip
        ax.legend(loc="upper right")
        self.ax_, self.figure_ = ax, ax.figure
        return self
