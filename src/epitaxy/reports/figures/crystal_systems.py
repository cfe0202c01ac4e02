"""Crystal systems of a data set, or of the parts of one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.style import method_series, new_figure, styled, tip

SYSTEMS = (
    "triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic",
)  # fmt: skip
"""From little to much symmetry."""
COLUMNS = ("group", "system", "crystals")


@styled
def crystal_systems(counts: pd.DataFrame) -> Figure:
    """Draw the share of each crystal system; one bar per group.

    Args:
        counts: columns `COLUMNS`.

    Returns:
        One panel with the systems from little to much symmetry.

    Raises:
        InputError: there is no crystal.
    """
    if counts.empty:
        raise InputError("There is no crystal, so there are no crystal systems to draw.")
    groups = list(dict.fromkeys(counts["group"]))
    width = 0.8 / len(groups)
    figure = new_figure(7.4, 3.5)
    axes = figure.subplots()
    for number, look in enumerate(method_series(list(map(str, groups)))):
        rows = counts[counts["group"] == groups[number]].set_index("system")["crystals"]
        n = np.array([int(rows.get(system, 0)) for system in SYSTEMS])
        share = 100 * n / max(n.sum(), 1)
        places = np.arange(len(SYSTEMS)) + (number - (len(groups) - 1) / 2) * width
        label = f"{look.label} (n = {n.sum():,})"
        bars = axes.bar(
            places, share, 0.94 * width, color=look.colour if look.filled else "white",
            edgecolor="white" if look.filled else look.colour, hatch=look.hatch, label=label,
        )  # fmt: skip
        for bar, system, count, percent in zip(bars, SYSTEMS, n, share, strict=True):
            tip(bar, f"{look.label}, {system}: {count:,} crystals ({percent:.1f} %)")
            if len(groups) == 1 and count:
                axes.annotate(
                    f"{count:,}", (bar.get_x() + bar.get_width() / 2, percent), xytext=(0, 2),
                    textcoords="offset points", ha="center", fontsize=8.5,
                )  # fmt: skip
    axes.set_xticks(range(len(SYSTEMS)), SYSTEMS)
    axes.set(ylabel="crystals (%)", title="Crystal systems")
    axes.grid(visible=False, axis="x")
    if len(groups) > 1:
        axes.legend(loc="upper left")
    return figure
