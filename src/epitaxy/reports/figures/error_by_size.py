"""Error against number of training rows, with bands."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedLocator,
    LogLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.reports.numbers import with_unit
from epitaxy.reports.style import Series, method_series, new_figure, styled, tip

COLUMNS = ("panel", "series", "size", "value", "low", "high", "unit")
LOG_FROM = 5.0
"""Ratio of the largest to the smallest number from which an axis is logarithmic by itself."""
PER_ROW = 3
"""Panels in a row."""


@styled
def error_by_size(
    frame: pd.DataFrame,
    *,
    metric: str = "MAE",
    size_name: str = "training rows",
    log: bool | None = None,
) -> Figure:
    """Draw a panel for each task and in it a curve for each method.

    Args:
        frame: columns `COLUMNS`; ``low`` and ``high`` are the band (NaN when not known).
        metric: what the values are.
        size_name: what the sizes are.
        log: whether both axes are logarithmic; None decides for each by its range.

    Returns:
        Panels with the same curves; bands are 95 % intervals of the mean.

    Raises:
        InputError: there is no point, or an axis cannot be logarithmic.
    """
    if frame.empty:
        raise InputError("There is no run at any size to draw; finish some runs first.")
    if log and (frame[["size", "value"]].to_numpy(dtype=float) <= 0).any():
        raise InputError("Logarithmic axes need sizes and values above 0; leave log out.")
    panels, names = (list(dict.fromkeys(frame[name])) for name in ("panel", "series"))
    columns = min(PER_ROW, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(max(5.6, 0.6 + 3.5 * columns), 0.7 + 2.9 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    looks = method_series(list(map(str, names)))
    for axes, panel in zip(grid[: len(panels)], panels, strict=True):
        here = frame[frame["panel"] == panel]
        for name, look in zip(names, looks, strict=True):
            _curve(axes, here[here["series"] == name].sort_values("size"), look)
        _scales(axes, here, log)
        axes.set_xlabel(size_name)
        axes.set_ylabel(PropertySpec(name=metric, unit=str(here["unit"].iloc[0])).axis)
        axes.set_title(textwrap.shorten(str(panel), 44, placeholder=" …"))
    for axes in grid[len(panels) :]:
        axes.axis("off")
    handles = {
        label: handle
        for axes in grid
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if len(names) > 1:
        ncols = max(1, min(4, len(names), int(figure.get_figwidth() / 1.9)))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=ncols)
    return figure


def _curve(axes: Axes, rows: pd.DataFrame, look: Series) -> None:
    if rows.empty:
        return
    size, value, low, high = (
        rows[name].to_numpy(dtype=float) for name in ("size", "value", "low", "high")
    )
    if np.isfinite(low).any():
        axes.fill_between(size, low, high, color=look.colour, alpha=0.16, linewidth=0)
    axes.plot(size, value, color=look.colour, linestyle=look.line, linewidth=1.7, label=look.label)
    points = axes.scatter(
        size, value, s=28, marker=look.marker, zorder=3, linewidths=1.2, edgecolors=look.colour,
        facecolors=look.colour if look.filled else "white",
    )  # fmt: skip
    unit = str(rows["unit"].iloc[0])
    hints = [
        f"{look.label}, {n:,.0f}: {with_unit(v, unit)}"
        + (f" ({with_unit(a, '', 3)} to {with_unit(b, '', 3)})" if np.isfinite(a) else "")
        for n, v, a, b in zip(size, value, low, high, strict=True)
    ]
    tip(points, *hints)


def _scales(axes: Axes, rows: pd.DataFrame, log: bool | None) -> None:
    sizes, values = (rows[name].to_numpy(dtype=float) for name in ("size", "value"))
    if _logarithmic(sizes, log):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(_apart(np.unique(sizes))))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if _logarithmic(values, log):
        # A band may reach below 0, which this axis has not.
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(values.min() / 1.6, values.max() * 1.6)
        wide = values.max() / values.min() > 30
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _logarithmic(values: np.ndarray, log: bool | None) -> bool:
    wide = values.min() > 0 and values.max() / values.min() >= LOG_FROM
    return bool(wide) if log is None else log


def _apart(values: np.ndarray) -> list[float]:
    """Return the values whose labels do not run into each other, the last one in any case.

    >>> _apart(np.array([10.0, 100.0, 200.0, 500.0, 550.0]))
    [10.0, 100.0, 200.0, 550.0]
    """
    kept = [float(values[-1])]
    for value in values[-2::-1]:
        if kept[-1] / value > 1.35:
            kept.append(float(value))
    return kept[::-1]
