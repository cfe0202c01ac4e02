"""Predicted against true values, one panel per split."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.reports.numbers import with_unit, words
from epitaxy.reports.style import (
    INK,
    MUTED,
    SPLIT_SERIES,
    new_figure,
    note,
    square_limits,
    styled,
    tip,
)
from epitaxy.results.metrics import plain_numbers
from epitaxy.results.predictions import known_rows, select_property

ORDER = ("test", "val", "train", "new")
"""The split that counts comes first."""

MOST_BARS = 400
"""With more crystals than this the error bars would hide the points."""


@styled
def parity(predictions: pd.DataFrame, property_name: str | None = None) -> Figure:
    """Draw predicted against true values with the line of perfect prediction.

    Args:
        predictions: frame with the columns of ``predictions.parquet``.
        property_name: which property; None for the only one.

    Returns:
        One square panel per split that has known values, test first, all on the same axes; MAE
        and R² are written into each.

    Raises:
        InputError: there is no such property, or none of its values is known.
    """
    chosen = select_property(predictions, property_name)
    panels = {split: known_rows(chosen, split) for split in ORDER}
    panels = {split: rows for split, rows in panels.items() if len(rows)}
    if not panels:
        raise InputError(
            f"No true value of {chosen['property'].iloc[0]!r} is known, so there is nothing to "
            "draw; predict crystals whose property is known."
        )
    everything = pd.concat(panels.values())
    limits = square_limits(everything[["y_true", "y_pred"]].to_numpy())
    figure = new_figure(0.5 + 3.3 * len(panels), 3.9)
    grid = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (split, rows) in zip(grid, panels.items(), strict=True):
        _panel(axes, rows, split, limits)
        found = plain_numbers(rows)
        r2 = "undefined" if found["r2"] is None else f"{found['r2']:.3f}"
        mae = with_unit(found["mae"], found["unit"], 3)
        note(axes, f"MAE  {mae}\nR²  {r2}\nn  {found['n']}")
    name, unit = words(chosen["property"].iloc[0]), str(chosen["unit"].iloc[0])
    grid[0].set_ylabel(PropertySpec(name=f"predicted {name}", unit=unit).axis)
    for axes in grid:
        axes.set_xlabel(PropertySpec(name=f"true {name}", unit=unit).axis)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, split: str, limits: tuple[float, float]) -> None:
    series = SPLIT_SERIES[split]
    x, y = rows["y_true"].to_numpy(), rows["y_pred"].to_numpy()
    axes.plot(limits, limits, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1.5)
    bounds = rows[["y_lower", "y_upper"]].to_numpy()
    drawn = ~np.isnan(bounds).any(axis=1)
    if 0 < drawn.sum() <= MOST_BARS:
        axes.vlines(
            x[drawn], bounds[drawn, 0], bounds[drawn, 1], color=MUTED, linewidth=0.8, alpha=0.45
        )
    points = axes.scatter(x, y, zorder=3, **series.points(len(x)))
    told = zip(rows["id"], x, y, strict=True)
    tip(points, *(f"{name}: true {true:.4g}, predicted {found:.4g}" for name, true, found in told))
    axes.set(xlim=limits, ylim=limits, box_aspect=1, title=series.label.capitalize())
    axes.locator_params(nbins=6)
