"""Changes in percent against a baseline."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.style import INK, Series, method_series, new_figure, styled, tip

COLUMNS = ("group", "series", "change_percent", "low", "high")
SURE = 0.05
"""Below this corrected p value a change gets a star."""


@styled
def change_bars(
    frame: pd.DataFrame, *, metric: str = "MAE", baseline: str = "", part: str = ""
) -> Figure:
    """Draw the change of each condition against the baseline; upwards is better.

    Args:
        frame: columns `COLUMNS` (percent; ``low`` and ``high`` may be NaN), and ``p_holm`` where
            there are tests.
        metric: what changed.
        baseline: what the baseline is called.
        part: which of several figures this is.

    Returns:
        One panel: a group of bars for each ``group``, one bar for each ``series``, with 95 %
        intervals; a star marks a change with a corrected p value below 0.05.

    Raises:
        InputError: no change is known.
    """
    known = frame[frame["change_percent"].notna()]
    if known.empty:
        raise InputError("No change against a baseline is known; finish runs of the baseline.")
    groups, names = (list(dict.fromkeys(known[name])) for name in ("group", "series"))
    width = 0.84 / len(names)
    long = max(map(len, map(str, groups))) if sum(map(len, map(str, groups))) > 80 else 0
    room = max(5.6, 1.6 + 0.3 * len(known) + 0.3 * len(groups))
    figure = new_figure(min(10.4, room), 3.9 + 0.075 * long)
    axes = figure.subplots()
    for number, look in enumerate(method_series(list(map(str, names)))):
        rows = known[known["series"] == names[number]]
        places = np.array([groups.index(g) for g in rows["group"]], dtype=float)
        places += (number - (len(names) - 1) / 2) * width
        _bars(axes, places, rows, look, width)
    axes.axhline(0, color=INK, linewidth=1.0)
    axes.set_xticks(range(len(groups)), list(map(str, groups)))
    axes.tick_params(axis="x", rotation=90 if long else 0)
    _limit(axes, known)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel(f"change of {metric} (%)\npositive is better")
    axes.set_title(f"Change against {baseline or 'the baseline'}{f', {part}' if part else ''}")
    if len(names) > 1:
        figure.legend(loc="outside lower center", ncols=min(4, len(names)))
    return figure


def _limit(axes: Axes, known: pd.DataFrame) -> None:
    """Cut off what would press all other bars flat, and write its number there."""
    values = known["change_percent"].to_numpy(dtype=float)
    most = 3 * max(float(np.percentile(np.abs(values), 85)), 1.0)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -most), min(high, most))
    for bar in (bar for bars in axes.containers if isinstance(bars, BarContainer) for bar in bars):
        value = bar.get_height()
        if abs(value) > most:
            middle = bar.get_x() + bar.get_width() / 2
            axes.text(
                middle, 0.97 * math.copysign(most, value), f" {value:+.0f} % ", rotation=90,
                ha="center", va="bottom" if value < 0 else "top", fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0}, zorder=5,
            )  # fmt: skip


def _bars(axes: Axes, places: np.ndarray, rows: pd.DataFrame, look: Series, width: float) -> None:
    values, low, high = (
        rows[name].to_numpy(dtype=float) for name in ("change_percent", "low", "high")
    )
    tests = rows["p_holm"] if "p_holm" in rows else pd.Series(np.nan, rows.index)
    bars = axes.bar(
        places, values, 0.92 * width, color=look.colour if look.filled else "white",
        edgecolor="white" if look.filled else look.colour, hatch=look.hatch, linewidth=0.8,
        label=look.label,
    )  # fmt: skip
    reach = np.vstack([values - low, high - values])
    drawn = np.isfinite(reach).all(axis=0)
    if drawn.any():
        axes.errorbar(
            places[drawn], values[drawn], yerr=np.maximum(reach[:, drawn], 0), linestyle="none",
            color=INK, capsize=2.5, linewidth=1.0,
        )  # fmt: skip
    parts = zip(bars, places, rows["group"], values, low, high, tests, strict=True)
    for bar, place, group, value, start, end, p in parts:
        interval = f", 95 % interval {start:+.1f} to {end:+.1f} %" if np.isfinite(start) else ""
        tip(bar, f"{look.label}, {group}: {value:+.1f} %{interval}")
        if p < SURE:
            edge = end if value >= 0 and np.isfinite(end) else value
            axes.annotate(
                "*", (place, max(edge, 0)), xytext=(0, 1), textcoords="offset points", ha="center"
            )
