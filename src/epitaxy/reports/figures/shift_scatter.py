"""Distance of labels against distance of crystal features, one point per source."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.style import BLUE, INK, MUTED, new_figure, styled

SIZES = (90.0, 420.0)
"""Areas of the points of the smallest and the largest source, in square points."""
LINE = 0.22
"""Height of a line of the list of sources, in inches."""


@styled
def shift_scatter(shifts: pd.DataFrame) -> Figure:
    """Draw every source that has both distances, numbered from the nearest features outwards.

    Args:
        shifts: what `shift_table` returned.

    Returns:
        One panel with the list of sources beside it. Points of larger sources are larger; thin
        lines are the 95 % intervals, where there are any.

    Raises:
        InputError: no source has both distances.
    """
    known = shifts.dropna(subset=["feature_cmd", "label_cmd"]).reset_index(drop=True)
    if known.empty:
        raise InputError(
            "No source has both distances, so there is nothing to draw; give sources as "
            "MODEL=DATA:PROPERTY."
        )
    figure = new_figure(7.6, max(3.9, 0.8 + LINE * len(known)))
    axes, beside = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _points(axes, known)
    axes.set_xlabel("distance of crystal features (CMD)")
    axes.set_ylabel("distance of labels (CMD)")
    beside.axis("off")
    named = zip(known["source"], known["source_rows"], strict=True)
    lines = [f"{n}  {source} ({rows:,})" for n, (source, rows) in enumerate(named, 1)]
    text = "\n".join(["Source (crystals):", *lines])
    beside.text(0, 1, text, va="top", linespacing=1.6, transform=beside.transAxes)
    return figure


def _points(axes: Axes, known: pd.DataFrame) -> None:
    x, y = (known[f"{kind}_cmd"].to_numpy() for kind in ("feature", "label"))
    left, right, low, high = (
        known[f"{kind}_{end}"].to_numpy()
        for kind in ("feature", "label")
        for end in ("low", "high")
    )
    axes.hlines(y, left, right, color=MUTED, linewidth=0.9)
    axes.vlines(x, low, high, color=MUTED, linewidth=0.9)
    sizes = np.log(known["source_rows"].to_numpy(dtype=np.float64))
    share = (sizes - sizes.min()) / (np.ptp(sizes) or 1.0)
    axes.scatter(
        x,
        y,
        s=SIZES[0] + (SIZES[1] - SIZES[0]) * share,
        facecolors="white",
        edgecolors=BLUE,
        linewidths=1.5,
        zorder=3,
    )
    for number, place in enumerate(zip(x, y, strict=True), 1):
        axes.annotate(str(number), place, ha="center", va="center", color=INK, fontsize=8, zorder=4)
    axes.margins(0.1)
    # Zero is the distance of equal distributions and belongs to the picture.
    axes.set_xlim(0, max(axes.get_xlim()[1], 0.01))
    axes.set_ylim(0, max(axes.get_ylim()[1], 0.01))
