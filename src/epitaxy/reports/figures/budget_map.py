"""Which rows are the better purchase, for any numbers of rows that exist."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.scaling_ticks import log_axis
from epitaxy.reports.style import BLUE, GREEN, INK, VERMILLION, new_figure, styled


@styled
def budget_map(
    path: pd.DataFrame, break_even: float, interval: tuple[float, float] | None = None
) -> Figure:
    """Draw the plane of target and source rows with the break-even line.

    Args:
        path: ``target`` and ``source`` rows, first those that exist, then those after ever larger
            budgets that are spent as well as possible.
        break_even: source rows per target row at which both purchases are equal.
        interval: of the break-even ratio.

    Returns:
        One panel. Below the line source rows are the better purchase, above it target rows.

    Raises:
        InputError: the path is empty, or the ratio is not a positive number.
    """
    if path.empty or not (np.isfinite(break_even) and break_even > 0):
        raise InputError(
            f"A break-even ratio of {break_even:g} has no line; one kind of rows is always better."
        )
    figure = new_figure(5.4, 4.4)
    axes = figure.subplots()
    target, source = path["target"].to_numpy(), path["source"].to_numpy()
    x = np.geomspace(target.min() / 5, target.max() * 5, 100)
    y = break_even * x
    low, high = min(source.min(), y[10]) / 3, max(source.max(), y[-10]) * 3
    axes.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), ylim=(low, high))
    axes.fill_between(x, low, np.clip(y, low, high), color=VERMILLION, alpha=0.10, linewidth=0)
    axes.fill_between(x, np.clip(y, low, high), high, color=BLUE, alpha=0.10, linewidth=0)
    if interval is not None:
        bottom, top = (np.clip(end * x, low, high) for end in interval)
        axes.fill_between(x, bottom, top, color=INK, alpha=0.14, linewidth=0)
    axes.plot(
        x, y, color=INK, linewidth=1.4, zorder=3.5, label=f"break-even ratio {break_even:.3g}"
    )
    axes.plot(target, source, color=GREEN, linewidth=3.2, zorder=3, label="best purchases")
    axes.plot(
        target[:1], source[:1], "o", color=INK, markersize=7, zorder=4, label="rows that exist"
    )
    axes.text(0.04, 0.95, "target rows are better", transform=axes.transAxes, va="top", color=BLUE)
    axes.text(
        0.97,
        0.05,
        "source rows are better",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        color=VERMILLION,
    )
    axes.set(xlabel="target rows", ylabel="source rows")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.9))
    log_axis(axes.xaxis)
    log_axis(axes.yaxis)
    return figure
