"""Distributions of several properties, or of one in several groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.reports.style import INK, method_series, new_figure, styled, tip

COLUMNS = ("property", "unit", "group", "value")
SLOT = 1.15
"""Room for a violin, in inches."""
MOST_VALUES = 5000
"""The outline of a violin is estimated from so many values, evenly over the sorted ones."""


@styled
def property_violins(frame: pd.DataFrame) -> Figure:
    """Draw a panel for each property, with its own unit, and in it a violin for each group.

    Args:
        frame: columns `COLUMNS`, one row per crystal and property; NaN is left out.

    Returns:
        Panels side by side; a white line is the median, a thick bar the inner half.

    Raises:
        InputError: no value is known.
    """
    known = frame[np.isfinite(frame["value"].to_numpy(dtype=float))]
    if known.empty:
        raise InputError("No value is known, so there is no distribution to draw.")
    panels = dict(list(known.groupby("property", sort=False)))
    counts = [rows["group"].nunique() for rows in panels.values()]
    columns = min(len(panels), 4)
    rows_of_panels = -(-len(panels) // columns)
    figure = new_figure(max(3.4, (0.8 + SLOT * max(counts)) * columns), 3.6 * rows_of_panels)
    grid = figure.subplots(rows_of_panels, columns, squeeze=False).ravel()
    names = [str(name) for name in dict.fromkeys(known["group"])]
    looks = {look.label: look.colour for look in method_series(names)}
    for axes, (name, rows) in zip(grid[: len(panels)], panels.items(), strict=True):
        groups = {
            str(g): r["value"].to_numpy(dtype=float) for g, r in rows.groupby("group", sort=False)
        }
        for place, (group, values) in enumerate(groups.items()):
            _violin(axes, place, group, values, looks[group])
        axes.set_xticks(range(len(groups)), [f"{g}\nn = {len(v):,}" for g, v in groups.items()])
        axes.set_xlim(-0.6, len(groups) - 0.4)
        axes.set_ylabel(PropertySpec(name=str(name), unit=str(rows["unit"].iloc[0])).axis)
        axes.grid(visible=False, axis="x")
    for axes in grid[len(panels) :]:
        axes.axis("off")
    return figure


def _violin(axes: Axes, place: int, group: str, values: np.ndarray, colour: str) -> None:
    ordered = np.sort(values)
    low, quarter, middle, three, high = np.percentile(ordered, [0, 25, 50, 75, 100])
    if high > low:
        few = ordered[np.linspace(0, len(ordered) - 1, min(len(ordered), MOST_VALUES)).astype(int)]
        drawn: Any = axes.violinplot([few], [place], widths=0.8, showextrema=False)
        body = drawn["bodies"][0]
        body.set(facecolor=colour, edgecolor=colour, alpha=0.5, linewidth=1.2)
        tip(body, f"{group}: {low:.4g} to {high:.4g}, median {middle:.4g}, n = {len(values):,}")
    axes.vlines(place, quarter, three, color=INK, linewidth=6)
    axes.hlines(middle, place - 0.09, place + 0.09, color="white", linewidth=2, zorder=4)
