"""A picture of how training went; matplotlib is imported when it is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlfast.api.training_record import History


class TrainingDisplay:
    """The loss of each epoch, of training and validation, and the validation score.

    Parameters
    ----------
    history : dict of ndarray
        The `history_` of an estimator.

    Attributes
    ----------
    figure_, ax_ : matplotlib Figure and Axes
        What :meth:`plot` drew on.
    score_ax_ : Axes or None
        The axis of the validation score, at the right.
    """

    def __init__(self, history: History) -> None:
        self.history = history

    def plot(self, *, ax: Any = None) -> TrainingDisplay:
        """Draw on `ax`, or on axes of its own; returns the display."""
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as error:
                raise ImportError(
                    'plot_training() needs matplotlib: pip install "mmlfast[plot]"'
                ) from error
            ax = pyplot.figure().add_subplot()
        history, self.score_ax_ = self.history, None
        epochs = np.arange(1, len(history["loss"]) + 1)
        lines = ax.plot(epochs, history["loss"], color="tab:blue", label="training loss")
        if np.isfinite(history["validation_loss"]).any():
            lines += ax.plot(
                epochs, history["validation_loss"], color="tab:orange", label="validation loss"
            )
            self.score_ax_ = ax.twinx()
            lines += self.score_ax_.plot(
                epochs, history["validation_score"], color="tab:green", linestyle="--",
                label="validation score",
            )  # fmt: skip
            self.score_ax_.set_ylabel("score")
        ax.set(xlabel="epoch", ylabel="loss")
        if (history["loss"] > 0).all():
            ax.set_yscale("log")
        ax.legend(handles=lines, loc="best")
        self.ax_, self.figure_ = ax, ax.figure
        return self
