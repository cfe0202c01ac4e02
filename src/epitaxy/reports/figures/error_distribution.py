"""How large the errors are, crystal by crystal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.reports.numbers import with_unit, words
from epitaxy.reports.style import INK, SPLIT_SERIES, VERMILLION, new_figure, styled
from epitaxy.results.predictions import SPLITS, known_rows, select_property

IMPORTANCE = ("test", "other", "val", "new", "train")
"""The histogram shows the first of these that has known values."""


def absolute_errors(predictions: pd.DataFrame, property_name: str | None = None) -> pd.DataFrame:
    """Return the known rows of one property with a column ``absolute_error``.

    Raises:
        InputError: there is no such property, or none of its values is known.
    """
    chosen = select_property(predictions, property_name)
    known = chosen[chosen["y_true"].notna()].reset_index(drop=True)
    if known.empty:
        raise InputError(
            f"No true value of {chosen['property'].iloc[0]!r} is known, so there are no errors; "
            "predict crystals whose property is known."
        )
    known["absolute_error"] = (known["y_pred"] - known["y_true"]).abs()
    return known


@styled
def error_distribution(predictions: pd.DataFrame, property_name: str | None = None) -> Figure:
    """Draw the absolute errors: a histogram, and the share of crystals below each error.

    Args:
        predictions: frame with the columns of ``predictions.parquet``.
        property_name: which property; None for the only one.

    Returns:
        Two panels: the histogram of the test split (or of the next best one) with median and MAE,
        and the cumulative share of every split.

    Raises:
        InputError: there is no such property, or none of its values is known.
    """
    known = absolute_errors(predictions, property_name)
    present = set(known["split"])
    shown = next(split for split in IMPORTANCE if split in present)
    figure = new_figure(8.2, 3.5)
    left, right = figure.subplots(1, 2)
    errors = known.loc[known["split"] == shown, "absolute_error"].to_numpy()
    _histogram(left, errors, shown, str(known["unit"].iloc[0]))
    for split in SPLITS:
        rows = known_rows(known, split) if split in present else known.iloc[:0]
        if len(rows):
            _cumulative(right, np.sort((rows["y_pred"] - rows["y_true"]).abs()), split)
    right.set(title="Share of crystals below an error", ylim=(0, 103), xlim=(0, None))
    right.set_ylabel("crystals with a smaller error (%)")
    right.legend(loc="lower right")
    name, unit = words(known["property"].iloc[0]), str(known["unit"].iloc[0])
    for axes in (left, right):
        axes.set_xlabel(PropertySpec(name=f"absolute error of {name}", unit=unit).axis)
    return figure


def _histogram(axes: Axes, errors: np.ndarray, split: str, unit: str) -> None:
    series = SPLIT_SERIES[split]
    bins = int(np.clip(np.sqrt(len(errors)) * 1.5, 5, 60))
    top = float(errors.max()) or 1.0
    axes.hist(
        errors,
        bins=np.linspace(0, top, bins + 1).tolist(),
        color=series.colour,
        alpha=0.85,
        edgecolor="white",
        linewidth=0.6,
    )
    for value, word, line, colour in (
        (float(np.median(errors)), "median", "--", INK),
        (float(errors.mean()), "mean (MAE)", "-", VERMILLION),
    ):
        axes.axvline(
            value,
            color=colour,
            linestyle=line,
            linewidth=1.6,
            label=f"{word}  {with_unit(value, unit, 3)}",
        )
    axes.set(xlim=(0, top), title=f"Errors, {series.label} (n = {len(errors)})")
    axes.set_ylabel("number of crystals")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")
    axes.legend(loc="upper right")


def _cumulative(axes: Axes, errors: np.ndarray, split: str) -> None:
    series = SPLIT_SERIES[split]
    share = 100 * np.arange(len(errors) + 1) / len(errors)
    axes.step(
        np.concatenate([[0.0], errors]),
        share,
        where="post",
        color=series.colour,
        linestyle=series.line,
        linewidth=2.2 if split == "test" else 1.6,
        label=f"{series.label} (n = {len(errors)})",
    )
