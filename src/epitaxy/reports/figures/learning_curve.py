"""Mean absolute error against epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.reports.numbers import with_unit
from epitaxy.reports.style import INK, SPLIT_SERIES, new_figure, styled
from epitaxy.results.history import best_epoch

LOG_FROM = 4.0
"""Ratio of the largest to the smallest error from which the axis is logarithmic."""

WIDE = 50.0
"""Ratio from which only the powers of ten are labelled."""

FEW_EPOCHS = 30
"""Up to so many epochs each one gets a marker."""


@styled
def learning_curve(history: pd.DataFrame, unit: str = "") -> Figure:
    """Draw the training and validation MAE of every epoch; the best epoch is marked.

    Args:
        history: frame with the columns of ``history.csv``.
        unit: physical unit of the errors.

    Returns:
        One panel; its error axis is logarithmic when the errors span more than a factor of four.

    Raises:
        InputError: the history has no epoch.
    """
    if history.empty:
        raise InputError("The history has no epoch yet; wait until the training wrote one.")
    figure = new_figure(6.6, 3.6)
    axes = figure.subplots()
    for split, column in (("train", "train_mae"), ("val", "val_mae")):
        known = history.dropna(subset=[column])
        if known.empty:
            continue
        series = SPLIT_SERIES[split]
        axes.plot(
            known["epoch"],
            known[column],
            color=series.colour,
            linestyle="-" if split == "val" else series.line,
            linewidth=1.8,
            marker=series.marker if len(known) <= FEW_EPOCHS else "",
            markersize=4,
            markerfacecolor="white",
            label=series.label,
        )
    _scale(axes, history[["train_mae", "val_mae"]].to_numpy())
    _mark_best(axes, history, unit)
    axes.set_xlabel("epoch")
    axes.set_ylabel(PropertySpec(name="mean absolute error", unit=unit).axis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper right")
    return figure


def _scale(axes: Axes, errors: np.ndarray) -> None:
    known = errors[np.isfinite(errors)]
    if len(known) and known.min() > 0 and known.max() / known.min() > LOG_FROM:
        axes.set_yscale("log")
        wide = known.max() / known.min() > WIDE
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _mark_best(axes: Axes, history: pd.DataFrame, unit: str) -> None:
    epoch = best_epoch(history)
    if epoch is None:
        return
    error = float(history.loc[history["epoch"] == epoch, "val_mae"].iloc[0])
    axes.axvline(epoch, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    axes.plot(
        [epoch],
        [error],
        marker="*",
        markersize=13,
        color=INK,
        markeredgecolor="white",
        linestyle="none",
        label=f"best: epoch {epoch}, {with_unit(error, unit, 3)}",
        zorder=5,
    )
