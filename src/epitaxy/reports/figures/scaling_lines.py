"""Errors against rows on logarithmic axes, with fitted laws and their bands."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.reports.numbers import words
from epitaxy.reports.scaling_ticks import log_axis
from epitaxy.reports.style import AMBER, BLUE, GREEN, INK, MUTED, VERMILLION, new_figure, styled

LOOKS = ((BLUE, "o"), (VERMILLION, "s"), (GREEN, "D"), (AMBER, "^"), ("#7B4FA3", "v"), (INK, "P"))
"""Colour and marker of the lines of a panel, in their order; those from scratch are grey."""
WIDEST = 3
"""Panels side by side."""


@styled
def scaling_lines(
    results: pd.DataFrame, curves: pd.DataFrame, error_name: str = "MAE", level: float = 0.95
) -> Figure:
    """Draw one panel per number of rows of the other kind.

    Args:
        results: what `results_frame` returned, of one property and one axis.
        curves: what `curves_frame` returned for the same lines.
        error_name: what the errors are.
        level: coverage of the bands, for the caption of the axis.

    Returns:
        Points are runs. Dark bands hold the law, pale ones a new result; laws are dashed beyond
        the sizes measured. Lines from scratch stand in every panel.

    Raises:
        InputError: there is no result, or there are several properties or axes.
    """
    if results.empty or results[["axis", "property", "unit"]].drop_duplicates().shape[0] != 1:
        raise InputError(
            f"{len(results)} results of one property and one kind of rows make a figure; choose "
            "them first."
        )
    own = results[~results["baseline"]] if not results["baseline"].all() else results
    panels = sorted(own["fixed"].unique(), key=lambda size: (np.isfinite(size), size))
    columns = min(WIDEST, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(0.8 + 3.6 * columns, 0.5 + 3.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    axis = str(results["axis"].iloc[0])
    colours = {label: LOOKS[n % len(LOOKS)] for n, label in enumerate(own["label"].unique())}
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    for n, fixed in enumerate(panels):
        axes = grid.flat[n]
        here = results[_same(results["fixed"], fixed) | results["baseline"]]
        _panel(axes, here, curves, colours)
        if np.isfinite(fixed):
            other = "source" if axis == "target" else "target"
            axes.set_title(f"{fixed:,.0f} {other} rows")
        # Also where the panel below is missing.
        axes.tick_params(labelbottom=n + columns >= len(panels))
        axes.legend(loc="best", handletextpad=0.4)
    unit = str(results["unit"].iloc[0])
    name = words(str(results["property"].iloc[0]))
    kind = error_name.upper() if len(error_name) < 5 else words(error_name)
    label = f"{kind} of {name}" if name else kind
    figure.supylabel(PropertySpec(name=label, unit=unit).axis, fontsize=9.5)
    bands = f"bands: {100 * level:g} % of the law, and of a new result"
    figure.supxlabel(f"{axis} rows   ({bands})", fontsize=9.5)
    log_axis(grid[0, 0].xaxis)
    log_axis(grid[0, 0].yaxis)
    return figure


def _panel(
    axes: Axes,
    results: pd.DataFrame,
    curves: pd.DataFrame,
    colours: dict[str, tuple[str, str]],
) -> None:
    axes.set(xscale="log", yscale="log")
    for line, runs in results.groupby("line", sort=False):
        label = str(runs["label"].iloc[0])
        colour, marker = colours.get(label, (MUTED, "o"))
        curve = curves[(curves["line"] == line) & (curves["axis"] == runs["axis"].iloc[0])]
        x = curve["size"].to_numpy()
        for kind, alpha in (("new_", 0.08), ("", 0.2)):
            low, high = curve[f"{kind}low"], curve[f"{kind}high"]
            axes.fill_between(x, low, high, color=colour, alpha=alpha, linewidth=0)
        measured = x <= runs["size"].max() * (1 + 1e-9)
        error = curve["error"].to_numpy()
        dashes = (0, (4, 3))
        axes.plot(x[measured], error[measured], color=colour, linewidth=1.7)
        axes.plot(x[~measured], error[~measured], color=colour, linewidth=1.3, linestyle=dashes)
        axes.scatter(
            runs["size"],
            runs["error"],
            s=22,
            marker=marker,
            facecolors="white",
            edgecolors=colour,
            linewidths=1.1,
            zorder=3,
            label=label,
        )


def _same(column: pd.Series[float], value: float) -> pd.Series[bool]:
    return column.isna() if np.isnan(value) else column == value
