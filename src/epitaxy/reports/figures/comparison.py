"""Two models on the same crystals."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epitaxy.core.properties import PropertySpec
from epitaxy.reports.numbers import p_text, with_unit, words
from epitaxy.reports.style import (
    INK,
    MUTED,
    Series,
    model_series,
    new_figure,
    note,
    square_limits,
    styled,
)
from epitaxy.results.comparison import Comparison, paired_rows

MOST_CONNECTIONS = 300
"""With more crystals than this the lines between the two models would hide the points."""

LABEL_WIDTH = 18
"""Characters of a model's name that fit under its bar."""


@styled
def comparison(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    names: tuple[str, str] = ("first", "second"),
    split: str = "test",
    property_name: str | None = None,
    found: Comparison | None = None,
) -> Figure:
    """Draw the MAEs of two models with their intervals, and both predictions of every crystal.

    Args:
        first: predictions of the reference.
        second: predictions of the candidate, for the same ids.
        names: what the two are called.
        split: which rows count.
        property_name: which property; None for the only one.
        found: their comparison, where it is already made.

    Returns:
        Two panels: bars of MAE with 95 % intervals, and a parity plot in which a line
        joins the two predictions of a crystal.

    Raises:
        InputError: the two frames are not about the same crystals, values and unit.
    """
    pairs = paired_rows(first, second, split=split, property_name=property_name)
    series = model_series(names)
    figure = new_figure(8.2, 4.1)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    _bars(left, series, found or Comparison.of(pairs))
    _paired_parity(right, pairs, series)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2, handletextpad=0.3)
    return figure


def _bars(axes: Axes, series: tuple[Series, Series], found: Comparison) -> None:
    top = 0.0
    maes = (found.mae_first, found.mae_second)
    for place, (one, mae, interval) in enumerate(zip(series, maes, found.intervals, strict=True)):
        low, high = interval or (mae, mae)
        axes.bar(
            [place],
            [mae],
            width=0.6,
            facecolor=one.colour if one.filled else "white",
            edgecolor=one.colour,
            hatch=one.hatch,
            linewidth=1.2,
        )
        axes.errorbar(
            [place],
            [mae],
            yerr=[[max(mae - low, 0)], [max(high - mae, 0)]],
            color=INK,
            capsize=5,
            linewidth=1.4,
        )
        axes.annotate(
            with_unit(mae, found.unit, 3),
            (place, high),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontweight="bold",
        )
        top = max(top, high)
    percent = found.change_percent
    change = "" if percent is None else f"Change {percent:+.1f} %, "
    axes.set(xlim=(-0.6, 1.6), ylim=(0, 1.18 * top or 1.0), xticks=[0, 1])
    axes.set_xticklabels([textwrap.fill(one.label, LABEL_WIDTH) for one in series])
    axes.set_title(f"{change}{p_text(found.p_value)}")
    axes.set_ylabel(PropertySpec(name=f"MAE of {words(found.property)}", unit=found.unit).axis)
    axes.grid(visible=False, axis="x")


def _paired_parity(axes: Axes, pairs: pd.DataFrame, series: tuple[Series, Series]) -> None:
    x = pairs["y_true"].to_numpy()
    both = pairs[["y_first", "y_second"]].to_numpy()
    limits = square_limits(np.column_stack([x, both]))
    axes.plot(limits, limits, color=INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1.5)
    if len(x) <= MOST_CONNECTIONS:
        axes.vlines(x, both.min(axis=1), both.max(axis=1), color=MUTED, linewidth=0.6, alpha=0.4)
    for place, one in enumerate(series):
        axes.scatter(x, both[:, place], zorder=3 + place, **one.points(len(x)))
    name, unit = words(pairs["property"].iloc[0]), str(pairs["unit"].iloc[0])
    axes.set(xlim=limits, ylim=limits, box_aspect=1, title="Same crystals, both models")
    axes.set_xlabel(PropertySpec(name=f"true {name}", unit=unit).axis)
    axes.set_ylabel(PropertySpec(name=f"predicted {name}", unit=unit).axis)
    axes.locator_params(nbins=6)
    note(axes, f"{pairs['split'].iloc[0]}, n  {len(x)}")
