"""Methods side by side for several tasks, as bars around a circle."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.numbers import with_unit
from epitaxy.reports.style import FAINT, INK, MUTED, method_series, new_figure, styled, tip

COLUMNS = ("group", "series", "value", "unit")
HOLE = 0.35
"""Radius of the empty middle, in units of the longest bar."""


def relative_scores(frame: pd.DataFrame, higher_is_better: bool = False) -> pd.Series:
    """Return how close each value is to the best of its group: 1 is the best, 0 is nothing.

    Of errors it is best / value, of scores value / best (0 for a score below 0).

    >>> errors = pd.DataFrame({"group": ["a", "a"], "value": [0.2, 0.4]})
    >>> relative_scores(errors).tolist()
    [1.0, 0.5]
    """
    values = frame["value"].astype(float)
    groups = values.groupby(frame["group"])
    if higher_is_better:
        best = groups.transform("max")
        return (values / best.where(best > 0)).clip(lower=0.0).fillna(0.0)
    return (groups.transform("min") / values.where(values > 0)).fillna(1.0)


@styled
def strategy_circle(
    frame: pd.DataFrame, *, metric: str = "MAE", higher_is_better: bool = False
) -> Figure:
    """Draw a sector for each group and in it a bar for each method; longer is better.

    Args:
        frame: columns `COLUMNS`, one row per bar.
        metric: what the values are.
        higher_is_better: whether the values are scores.

    Returns:
        One panel; the length of a bar is `relative_scores`, so that units do not matter.

    Raises:
        InputError: there is no bar.
    """
    if frame.empty:
        raise InputError("There is no method to draw; finish some runs first.")
    scores = relative_scores(frame, higher_is_better)
    groups, names = (list(dict.fromkeys(frame[name])) for name in ("group", "series"))
    slots = len(groups) * (len(names) + 1)
    figure = new_figure(6.4, 6.2)
    axes = figure.add_subplot(projection="polar")
    axes.set_theta_zero_location("N")  # type: ignore[attr-defined]
    axes.set_theta_direction(-1)  # type: ignore[attr-defined]
    for number, look in enumerate(method_series(list(map(str, names)))):
        rows = frame[frame["series"] == names[number]]
        order = np.array([groups.index(g) * (len(names) + 1) + number for g in rows["group"]])
        bars = axes.bar(
            2 * np.pi * (order + 1) / slots, scores[rows.index], 2 * np.pi / slots * 0.92,
            bottom=HOLE, color=look.colour if look.filled else "white", hatch=look.hatch,
            edgecolor="white" if look.filled else look.colour, linewidth=0.7, label=look.label,
        )  # fmt: skip
        for bar, row in zip(bars, rows.to_dict("records"), strict=True):
            tip(
                bar,
                f"{look.label}, {row['group']}: {metric} {with_unit(row['value'], row['unit'])}",
            )
    circle = np.linspace(0, 2 * np.pi, 200)
    for level in (0.5, 1.0):
        axes.plot(circle, np.full(200, HOLE + level), color=FAINT, linewidth=0.8, zorder=0)
        axes.text(0, HOLE + level, f"{level:g}", color=MUTED, fontsize=8, ha="center", va="center")
    for number, group in enumerate(groups):
        angle = 2 * np.pi * (number * (len(names) + 1) + (len(names) + 1) / 2) / slots
        axes.text(angle, HOLE + 1.16, str(group), ha="center", va="center", color=INK)
    axes.set(ylim=(0, HOLE + 1.25), yticks=[], xticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    ratio = f"{metric} / best" if higher_is_better else f"best / {metric}"
    axes.set_title(f"{ratio} of each sector; longer is better", loc="center")
    figure.legend(loc="outside lower center", ncols=min(4, len(names)))
    return figure
