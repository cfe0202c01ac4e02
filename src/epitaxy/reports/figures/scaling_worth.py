"""How many rows a transfer was worth, against target rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.figures.scaling_lines import LOOKS
from epitaxy.reports.scaling_ticks import log_axis
from epitaxy.reports.style import INK, new_figure, styled


@styled
def scaling_worth(worth: pd.DataFrame, level: float = 0.95) -> Figure:
    """Draw the rows from scratch for equal error over those of the transfer, n' / n.

    Args:
        worth: what `worth_frame` returned; refused rows are left out.
        level: coverage of the intervals.

    Returns:
        One panel. Above 1 the transfer saved rows, below it cost some; an arrow stands for an end
        of an interval that is not known.

    Raises:
        InputError: every row was refused.
    """
    known = worth[worth["status"] != "refused"]
    if known.empty:
        raise InputError(
            f"None of {len(worth)} comparisons at equal error is within reach, so there is nothing "
            "to draw."
        )
    figure = new_figure(6.8, 3.9)
    axes = figure.subplots()
    factors = known["factor"].to_numpy()
    ends = known[["scratch_low", "scratch_high"]].to_numpy() / known[["size"]].to_numpy()
    inside = ends[np.isfinite(ends) & (ends > 0)]
    low, high = (f(np.concatenate([factors, inside, [1.0]])) for f in (np.min, np.max))
    lines = list(known["line"].unique())
    for n, line in enumerate(lines):
        rows = known[known["line"] == line]
        colour, marker = LOOKS[n % len(LOOKS)]
        # Side by side where sizes are the same.
        x = rows["size"].to_numpy() * 1.03 ** (n - (len(lines) - 1) / 2)
        y = rows["factor"].to_numpy()
        own = rows[["scratch_low", "scratch_high"]].to_numpy() / rows[["size"]].to_numpy()
        bottom = np.where(own[:, 0] > 0, own[:, 0], low / 1.2)
        top = np.where(np.isfinite(own[:, 1]), own[:, 1], high * 1.2)
        axes.plot(x, y, color=colour, marker=marker, markersize=5, label=line)
        if np.isfinite(own).any() or not np.isnan(own).all():
            axes.vlines(x, bottom, top, color=colour, linewidth=1.0, alpha=0.7)
        axes.plot(x[own[:, 0] == 0], bottom[own[:, 0] == 0], "v", color=colour, markersize=4)
        axes.plot(x[np.isposinf(own[:, 1])], top[np.isposinf(own[:, 1])], "^", color=colour, ms=4)
    axes.axhline(1.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.set(xscale="log", yscale="log", xlabel="target rows of the transfer, n")
    axes.set_ylabel("rows from scratch for the same error / n")
    axes.set_title(f"What the transfer was worth, with {100 * level:g} % intervals")
    axes.legend(loc="best")
    log_axis(axes.xaxis)
    log_axis(axes.yaxis)
    return figure
