"""Errors of all pairs of source and target."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epitaxy.core.errors import InputError
from epitaxy.reports.cells import bare, colour_bar, draw_cell, shade
from epitaxy.reports.numbers import MISSING, significant, with_unit
from epitaxy.reports.style import PALE, new_figure, styled

CELL = (0.72, 0.42)
"""Width and height of a cell in inches."""
GAP = 0.5
"""Room between the sources and the columns of the baseline, in cells."""
LEVEL_LABEL = 8
"""Names of sources with more characters stand upright."""
COLUMNS = ("source", "target", "value", "unit", "is_baseline", "change_percent")


@styled
def transfer_heat_map(
    frame: pd.DataFrame,
    *,
    metric: str = "MAE",
    baseline: str = "",
    higher_is_better: bool = False,
    names: tuple[str, str] = ("source", "target"),
    part: str = "",
) -> Figure:
    """Draw one row per target and one column per source, the baseline beside them.

    Targets have different units, so a colour says how much better a number is than the baseline
    of its row or, without a baseline, than the worst of its row.

    Args:
        frame: columns `COLUMNS`, one row per cell; ``change_percent`` is against the baseline
            (positive is better, NaN when not known).
        metric: what the values are.
        baseline: what the baseline is called.
        higher_is_better: whether the values are scores.
        names: what sources and targets are called.
        part: which of several figures this is.

    Returns:
        One panel. Thick frames mark the best source of each target, strokes a cell that is worse
        than the baseline.

    Raises:
        InputError: there is no cell.
    """
    if frame.empty:
        raise InputError("There is no pair of source and target to draw; finish some runs first.")
    sources = list(dict.fromkeys(frame.loc[~frame["is_baseline"], "source"]))
    beside = list(dict.fromkeys(frame.loc[frame["is_baseline"], "source"]))
    targets = list(dict.fromkeys(frame["target"]))
    if set(targets) <= set(sources):
        targets = [name for name in sources if name in set(targets)]
    places = {name: float(i) for i, name in enumerate(sources)}
    gap = GAP if sources else 0.0
    places |= {name: len(sources) + gap + i for i, name in enumerate(beside)}
    width = len(places) + (gap if beside else 0)
    labels = [_target_label(frame, target) for target in targets]
    room = 0.085 * max(map(len, labels)), 0.085 * max(len(str(name)) for name in places)
    figure = new_figure(
        max(4.2, 1.7 + room[0] + CELL[0] * width), 1.0 + room[1] + CELL[1] * len(targets)
    )
    axes = figure.subplots()
    gains = _gains(frame, higher_is_better)
    top = _top(gains.to_numpy())
    best = _best(frame, higher_is_better)
    for (index, row), gain in zip(frame.iterrows(), gains, strict=True):
        place = places[row["source"]], float(targets.index(row["target"]))
        _cell(axes, place, row.to_dict(), share=gain / top, marked=index in best, metric=metric)
    for name, target in itertools.product(sources, targets):
        if not ((frame["source"] == name) & (frame["target"] == target)).any():
            axes.text(places[name], targets.index(target), MISSING, ha="center", color=PALE)
    bare(axes, width, len(targets))
    upright = max(len(str(name)) for name in places) > LEVEL_LABEL
    axes.set_xticks(list(places.values()), list(map(str, places)), rotation=90 if upright else 0)
    axes.set_yticks(range(len(targets)), labels)
    axes.set(xlabel=names[0], ylabel=names[1])
    of = f", {part}" if part else ""
    axes.set_title(f"{metric}{of}; the best {names[0]} of each {names[1]} is framed")
    reference = baseline or "the baseline" if beside else f"the worst of each {names[1]}"
    colour_bar(figure, axes, (0, top), f"better than {reference} (%)")
    return figure


def _cell(
    axes: Axes,
    place: tuple[float, float],
    row: Mapping[Any, Any],
    *,
    share: float,
    marked: bool,
    metric: str,
) -> None:
    change = row["change_percent"]
    known = not pd.isna(change)
    hint = f"{row['source']} → {row['target']}: {metric} {with_unit(row['value'], row['unit'])}"
    if known:
        hint += f", change {change:+.1f} %"
    is_worse = known and change < 0 and not row["is_baseline"]
    colour = "#ffffff" if row["is_baseline"] or is_worse else shade(share)
    draw_cell(
        axes,
        place,
        (significant(row["value"], 3),),
        # White as a page sees it would be dark on a dark page, under dark numbers.
        "#fefefe" if colour == "#ffffff" else colour,
        hint=hint,
        marked=marked,
        hatched=bool(is_worse),
    )


def _gains(frame: pd.DataFrame, higher_is_better: bool) -> pd.Series:
    """Return how much better each cell is than its reference, in percent, at least 0."""
    if frame["is_baseline"].any():
        return frame["change_percent"].astype(float).fillna(0.0).clip(lower=0.0)
    values = frame["value"].astype(float)
    worst = values.groupby(frame["target"]).transform("min" if higher_is_better else "max")
    return (100 * (worst - values).abs() / worst.abs().replace(0, np.nan)).fillna(0.0)


def _top(gains: np.ndarray) -> float:
    """Return the end of the colour scale: one target that gains most must not pale the others."""
    positive = gains[gains > 0]
    return float(min(positive.max(), 2.5 * np.median(positive))) if len(positive) else 1.0


def _best(frame: pd.DataFrame, higher_is_better: bool) -> set[Any]:
    """Return the rows with the best source of each target, where there are several."""
    candidates = frame[~frame["is_baseline"]]
    found = set()
    for _, rows in candidates.groupby("target", sort=False):
        if len(rows) > 1:
            found.add(rows["value"].idxmax() if higher_is_better else rows["value"].idxmin())
    return found


def _target_label(frame: pd.DataFrame, target: Any) -> str:
    unit = str(frame.loc[frame["target"] == target, "unit"].iloc[0])
    return f"{target} ({unit})" if unit not in {"", "1"} else str(target)
