"""Weights that the gates of mixtures give to their experts, tasks against experts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.style import FAINT, INK, MUTED, new_figure, styled

COLOURS = "Blues"
"""One hue from light to dark: in grey and to colour-blind readers, darker is more all the same."""
CELL = (0.5, 0.36)
"""Width and height of a cell in inches."""
LIGHT = 0.6
"""Share of the colour scale that is used, so that dark numbers can be read on all of it."""


@styled
def gate_heat_map(means: pd.DataFrame, sizes: Mapping[str, float] | None = None) -> Figure:
    """Draw one row per task and one column per expert; each cell has its mean weight in it.

    Args:
        means: what `mean_gates` returned.
        sizes: expert -> number of crystals that it was trained on, written under its name.

    Returns:
        One panel. A cell without a number is an expert that was not in the mixtures of the task.

    Raises:
        InputError: there is no run or no expert.
    """
    if means.empty:
        raise InputError("There are no gate weights to draw; give the folders of mixture runs.")
    tasks, experts = means.shape
    labels = [_label(str(name), sizes or {}) for name in means.columns]
    room = 0.075 * max(map(len, labels)), 0.075 * max(len(str(task)) for task in means.index)
    width = max(3.2, 0.4 + room[1] + CELL[0] * experts)
    figure = new_figure(width, 0.7 + room[0] + CELL[1] * tasks)
    axes = figure.subplots()
    weights = means.to_numpy(dtype=np.float64)
    darkest = (float(np.nanmax(weights)) or 1.0) / LIGHT
    shown = np.ma.masked_invalid(weights)
    axes.imshow(shown, cmap=COLOURS, vmin=0, vmax=darkest, aspect="auto")
    _numbers(axes, weights)
    axes.set_xticks(range(experts), labels, rotation=90)
    axes.set_yticks(range(tasks), [str(task) for task in means.index])
    axes.grid(visible=False)
    # White lines between the cells.
    axes.set_xticks(np.arange(experts - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(tasks - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_facecolor(FAINT)
    axes.set_title("Mean gate weight")
    return figure


def _numbers(axes: Axes, weights: np.ndarray) -> None:
    for (row, column), weight in np.ndenumerate(weights):
        if np.isnan(weight):
            continue
        colour = INK if weight else MUTED
        text = _short(float(weight))
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)


def _short(weight: float) -> str:
    """Write a weight with two decimals and without the zero in front."""
    if weight == 0:
        return "0"
    return "<.01" if weight < 0.005 else f"{weight:.2f}".removeprefix("0")


def _label(expert: str, sizes: Mapping[str, float]) -> str:
    return f"{expert} ({sizes[expert]:,.0f})" if expert in sizes else expert
