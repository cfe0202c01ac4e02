"""The error that is left after spending on target rows, on source rows, or on both."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.scaling_ticks import log_axis
from epitaxy.reports.style import BLUE, INK, VERMILLION, new_figure, styled

WAYS = (
    ("all_source", "all for source rows", VERMILLION, "--"),
    ("all_target", "all for target rows", BLUE, "-."),
    ("best", "best mixture", INK, "-"),
)
"""Column, words, colour and line of each way of spending."""


@styled
def budget_curves(curves: pd.DataFrame, unit: str = "", budget: float | None = None) -> Figure:
    """Draw error afterwards / error now against the budget.

    Args:
        curves: ``budget`` and one column per way of `WAYS`, see `budget_curves_frame`.
        unit: of costs and budget.
        budget: where to draw a vertical line.

    Returns:
        One panel with a logarithmic axis of budgets.

    Raises:
        InputError: there is no row.
    """
    if curves.empty:
        raise InputError("There is no budget to draw; give at least one above 0.")
    figure = new_figure(6.2, 3.8)
    axes = figure.subplots()
    for column, label, colour, line in WAYS:
        axes.plot(
            curves["budget"],
            curves[column],
            color=colour,
            linestyle=line,
            linewidth=1.8,
            label=label,
        )
    if budget:
        axes.axvline(budget, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.set(xscale="log", xlabel=f"budget ({unit})" if unit else "budget")
    axes.set(ylabel="error afterwards / error now", ylim=(None, 1.0))
    axes.set_xlim(curves["budget"].min(), curves["budget"].max())
    axes.legend(loc="lower left")
    log_axis(axes.xaxis)
    return figure
