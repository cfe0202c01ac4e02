"""How the values of a property are distributed over the splits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.reports.numbers import words
from epitaxy.reports.style import SPLIT_SERIES, new_figure, styled, tip
from epitaxy.results.predictions import SPLITS, known_rows, select_property


@styled
def split_distribution(predictions: pd.DataFrame, property_name: str | None = None) -> Figure:
    """Draw the true values of training, validation and test crystals.

    Args:
        predictions: frame with the columns of ``predictions.parquet``.
        property_name: which property; None for the only one.

    Returns:
        Two panels: the share of each split per interval of values, and quartiles with the range of
        the inner 90 %.

    Raises:
        InputError: there is no such property, or none of its values is known.
    """
    chosen = select_property(predictions, property_name)
    present = [s for s in SPLITS if s in set(chosen["split"])]
    parts = {split: known_rows(chosen, split)["y_true"].to_numpy() for split in present}
    parts = {split: values for split, values in parts.items() if len(values)}
    if not parts:
        raise InputError(
            f"No true value of {chosen['property'].iloc[0]!r} is known, so there is no "
            "distribution to draw; predict crystals whose property is known."
        )
    figure = new_figure(8.2, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    everything = np.concatenate(list(parts.values()))
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high > low else low + 1.0, 26)
    for place, (split, values) in enumerate(parts.items()):
        look = SPLIT_SERIES[split]
        share = 100 * np.histogram(values, edges)[0] / len(values)
        label = f"{look.label} (n = {len(values):,})"
        steps = left.stairs(
            share, edges, color=look.colour, linestyle=look.line, linewidth=1.8, label=label
        )
        tip(steps, f"{look.label}: {len(values):,} crystals")
        five = np.percentile(values, [5, 25, 50, 75, 95])
        right.hlines(place, five[0], five[4], color=look.colour, linewidth=1.6)
        right.hlines(place, five[1], five[3], color=look.colour, linewidth=7, alpha=0.45)
        dot = right.scatter(
            [five[2]], [place], s=44, marker=look.marker, color=look.colour, zorder=3
        )
        tip(dot, f"{look.label}: median {five[2]:.4g}, inner half {five[1]:.4g} to {five[3]:.4g}")
    name, unit = words(chosen["property"].iloc[0]), str(chosen["unit"].iloc[0])
    left.set(title="Values per split", ylabel="crystals of the split (%)", ylim=(0, None))
    left.legend(loc="upper right")
    right.set(title="Median, inner 50 % and 90 %", ylim=(len(parts) - 0.5, -0.5))
    right.set_yticks(range(len(parts)), [SPLIT_SERIES[split].label for split in parts])
    for axes in (left, right):
        axes.set_xlabel(PropertySpec(name=name, unit=unit).axis)
    return figure
