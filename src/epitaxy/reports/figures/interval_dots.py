"""Means of conditions with their intervals."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.reports.numbers import with_unit
from epitaxy.reports.style import AMBER, BLUE, FAINT, INK, new_figure, styled, tip

COLUMNS = ("panel", "condition", "value", "low", "high", "unit", "is_baseline")
LINE = 0.27
"""Height of a condition in inches."""


@styled
def interval_dots(
    frame: pd.DataFrame, *, metric: str = "MAE", higher_is_better: bool = False
) -> Figure:
    """Draw a panel for each property and in it a line for each condition, the best on top.

    Args:
        frame: columns `COLUMNS`; ``low`` and ``high`` may be NaN.
        metric: what the values are.
        higher_is_better: whether the values are scores.

    Returns:
        Panels below each other; open squares are conditions of the baseline.

    Raises:
        InputError: there is no condition.
    """
    if frame.empty:
        raise InputError("There is no condition to draw; finish some runs first.")
    panels = {
        name: rows.sort_values("value", ascending=not higher_is_better)
        for name, rows in frame.groupby("panel", sort=False)
    }
    heights = [0.75 + LINE * len(rows) for rows in panels.values()]
    figure = new_figure(8.2, 0.3 + sum(heights))
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights).ravel()
    for axes, (name, rows) in zip(grid, panels.items(), strict=True):
        _panel(axes, rows, metric)
        axes.set_title(str(name))
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, metric: str) -> None:
    unit = str(rows["unit"].iloc[0])
    for place, row in enumerate(rows.to_dict("records")):
        value, low, high = (float(row[name]) for name in ("value", "low", "high"))
        colour, marker = (AMBER, "s") if row["is_baseline"] else (BLUE, "o")
        if not math.isnan(low):
            axes.hlines(place, low, high, color=colour, linewidth=1.6)
        dot = axes.scatter(
            [value], [place], s=34, marker=marker, zorder=3, edgecolors=colour, linewidths=1.4,
            facecolors="white" if row["is_baseline"] else colour,
        )  # fmt: skip
        interval = "" if math.isnan(low) else f", 95 % interval {low:.3g} to {high:.3g}"
        tip(dot, f"{row['condition']}: {with_unit(value, unit)}{interval}")
    if rows["is_baseline"].any():
        best = rows.loc[rows["is_baseline"], "value"].iloc[0]
        axes.axvline(float(best), color=INK, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
    # Intervals of two trials can be so wide that the means could not be told apart.
    axes.set_xlim(*_limits(rows))
    axes.set_yticks(range(len(rows)), list(map(str, rows["condition"])))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=True, axis="y", color=FAINT, linewidth=0.5)
    axes.set_xlabel(PropertySpec(name=metric, unit=unit).axis)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    values = rows["value"].to_numpy(dtype=float)
    span = float(np.ptp(values)) or 0.2 * abs(float(values[0])) or 1.0
    low = max(float(np.nanmin([*rows["low"], values.min()])), values.min() - 0.8 * span)
    high = min(float(np.nanmax([*rows["high"], values.max()])), values.max() + 0.8 * span)
    return low - 0.06 * span, high + 0.06 * span
