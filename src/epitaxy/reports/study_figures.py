"""Figures that a table of conditions allows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from epitaxy.reports.figures.change_bars import change_bars
from epitaxy.reports.figures.error_by_size import error_by_size
from epitaxy.reports.figures.interval_dots import interval_dots
from epitaxy.reports.figures.strategy_circle import strategy_circle
from epitaxy.reports.figures.transfer_heat_map import transfer_heat_map
from epitaxy.reports.numbers import words
from epitaxy.reports.roles import Roles, find_roles
from epitaxy.results.rules import Rules
from epitaxy.results.summary import is_baseline

MOST_FIGURES = 4
"""Of one kind; what more there is stands in the table."""
MOST_CONDITIONS = 48
"""In a list with intervals, or in one figure with bars."""
MOST_PANELS = 12
"""Of errors against sizes, in one figure."""
MOST_CURVES = 7
"""In one panel; more could not be told apart."""


@dataclass(frozen=True)
class Drawn:
    """A figure of a study."""

    name: str
    figure: Figure
    caption: str
    data: pd.DataFrame


@dataclass(frozen=True)
class Conditions:
    """A table of conditions and what its columns mean."""

    table: pd.DataFrame
    axes: tuple[str, ...]
    """Without those that are averaged over."""
    rules: Rules
    roles: Roles

    @classmethod
    def of(cls, table: pd.DataFrame, axes: Sequence[str], rules: Rules) -> Conditions:
        """Find the roles of the axes; numbers that are not known become NaN."""
        kept = tuple(axis for axis in axes if axis not in rules.over)
        prepared = table.assign(
            is_baseline=[is_baseline(row, rules) for row in _records(table)],
            value=table[rules.metric].astype(float),
            **{
                name: (table[name].astype(float) if name in table else np.nan)
                for name in ("change_percent", "p_holm")
            },
        )
        return cls(prepared, kept, rules, find_roles(table, kept, rules))

    @property
    def metric(self) -> str:
        """Name of the metric in figures."""
        names = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}
        metric = self.rules.metric.removesuffix("_mean")
        return names.get(metric, metric.replace("_", " "))

    @property
    def baseline(self) -> str:
        """Name of the baseline in words."""
        return ", ".join(str(value) for value in self.rules.baseline.values())

    def label(self, row: Mapping[Any, Any], axes: Sequence[str]) -> str:
        """Return the values of some axes in words."""
        return ", ".join(
            str(row[a]) if isinstance(row[a], str) else f"{words(a)} {row[a]}" for a in axes
        )

    def facets(self, axes: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield a title and the rows for each combination of values of some axes."""
        if not axes:
            yield "", self.table
            return
        for values, rows in self.table.groupby(list(axes), sort=False, dropna=False):
            yield self.label(dict(zip(axes, values, strict=True)), axes), rows


def study_figures(table: pd.DataFrame, axes: Sequence[str], rules: Rules) -> list[Drawn]:
    """Draw what a table of conditions allows.

    A heat map where there are several sources and targets, curves where there are several sizes,
    changes where there is a baseline, a circle where there are several strategies, and means with
    intervals of at most `MOST_CONDITIONS` conditions.

    Args:
        table: what `summary` returned.
        axes: names of all axes.
        rules: what was averaged over and compared with.

    Returns:
        At most `MOST_FIGURES` figures of each kind.
    """
    found = Conditions.of(table, axes, rules)
    kinds = (_heat_maps, _changes, _sizes, _circles, _dots)
    return _told_apart([drawn for kind in kinds for drawn in kind(found)])


def _heat_maps(found: Conditions) -> Iterator[Drawn]:
    roles = found.roles
    if roles.source is None or roles.target is None:
        return
    # The largest size comes first: it is what such tables are printed for.
    facets = list(found.facets(roles.without(roles.source, roles.target)))[::-1]
    drawn = 0
    for title, rows in facets:
        frame = rows.rename(columns={roles.source: "source", roles.target: "target"})
        if drawn == MOST_FIGURES or not _fills_a_map(frame):
            continue
        drawn += 1
        frame = _with_baseline(frame, found).reset_index(drop=True)
        names = words(roles.source), words(roles.target)
        figure = transfer_heat_map(
            frame, metric=found.metric, baseline=found.baseline,
            higher_is_better=found.rules.higher_is_better, names=names, part=title,
        )  # fmt: skip
        caption = (
            f"{found.metric} of every {names[0]} for every {names[1]}"
            f"{_of(title)}. The darker a cell, the better it is than "
            f"{found.baseline or 'the worst of its row'}; cells with strokes are worse."
        )
        yield Drawn(_name("transfer_heat_map", title), figure, caption, _plain(frame, found))


def _fills_a_map(frame: pd.DataFrame) -> bool:
    """Tell whether there are several sources, and at least half of all pairs."""
    pairs = frame.loc[~frame["is_baseline"], ["source", "target"]].drop_duplicates()
    sources, targets = (len({*map(str, pairs[name])}) for name in ("source", "target"))
    return sources > 1 and 2 * len(pairs) >= sources * targets


def _with_baseline(frame: pd.DataFrame, found: Conditions) -> pd.DataFrame:
    """Put the baseline beside the sources, if it is no source among others."""
    if frame["is_baseline"].any() or not found.rules.baseline:
        return frame
    of_baseline = found.table[found.table["is_baseline"]]
    axis = str(found.roles.target)
    first = of_baseline.drop_duplicates([axis, "property"]).rename(columns={axis: "target"})
    first = first[first["target"].isin(set(frame["target"]))]
    return pd.concat([frame, first.assign(source=found.baseline)])


def _changes(found: Conditions) -> Iterator[Drawn]:
    rows = found.table[found.table["change_percent"].notna() & ~found.table["is_baseline"]]
    if rows.empty:
        return
    roles = found.roles
    across = roles.target or roles.size or roles.source or roles.strategy
    among = [a for a in roles.without(across) if _several(rows, a)]
    facet = next((a for a in (roles.size, roles.strategy, *roles.others) if a in among), None)
    if len(rows) <= MOST_CONDITIONS:
        facet = None
    series, groups = [a for a in among if a != facet], [across] if across else []
    while len(series) > 1 and _combinations(rows, series) > MOST_CURVES:
        groups.append(series.pop(0))
    parts = list(rows.groupby(facet, sort=False)) if facet else [("", rows)]
    for value, part in parts[::-1][:MOST_FIGURES]:
        factor = part["change_percent"] / part["difference"].astype(float).replace(0, np.nan)
        ends = [part[n].astype(float) * factor for n in ("difference_low", "difference_high")]
        frame = part.assign(
            group=[found.label(r, groups) for r in part.to_dict("records")],
            series=[found.label(r, series) or "all" for r in part.to_dict("records")],
            low=pd.concat(ends, axis=1).min(axis=1),
            high=pd.concat(ends, axis=1).max(axis=1),
        )
        title = found.label({facet: value}, [facet]) if facet else ""
        yield Drawn(
            _name("change_bars", title),
            change_bars(frame, metric=found.metric, baseline=found.baseline, part=title),
            f"Change of the mean {found.metric} against {found.baseline}{_of(title)}, "
            "in percent; bars upwards are better. Lines are 95 % intervals of the paired "
            "difference, stars changes that remain significant at 5 % after Holm's correction.",
            frame[["group", "series", "change_percent", "low", "high", "p_holm"]],
        )


def _sizes(found: Conditions) -> Iterator[Drawn]:
    size, roles = found.roles.size, found.roles
    if size is None:
        return
    among = roles.without(size, roles.target)
    panel = [roles.target] if roles.target else []
    for axis in (*roles.others, roles.strategy, roles.source):
        if len(among) > 1 and axis in among and _combinations(found.table, among) > MOST_CURVES:
            panel.append(axis)
            among.remove(axis)
    rows = found.table.to_dict("records")
    frame = found.table.assign(
        panel=[found.label(row, panel) or found.metric for row in rows],
        series=[found.label(row, among) or "all" for row in rows],
        size=found.table[size].astype(float),
    )
    panels = list(dict.fromkeys(frame["panel"]))
    frame = frame[frame["panel"].isin(panels[:MOST_PANELS])]
    left = len(panels) - MOST_PANELS
    more = f" {left} further panels are left out; the table has them." if left > 0 else ""
    yield Drawn(
        "error_by_size",
        error_by_size(frame, metric=found.metric, size_name=words(size)),
        f"Mean {found.metric} against {words(size)}; bands are 95 % intervals of the "
        f"mean over repetitions.{more}",
        frame[["panel", "series", "size", "value", "low", "high", "unit"]],
    )


def _combinations(table: pd.DataFrame, axes: Sequence[str]) -> int:
    return len(table[list(axes)].astype(str).drop_duplicates())


def _circles(found: Conditions) -> Iterator[Drawn]:
    roles = found.roles
    axis = roles.strategy
    if axis is None or found.table[axis].nunique() < 3:
        return
    rows = found.table
    if roles.size is not None:
        rows = rows[rows[roles.size] == rows[roles.size].max()]
    groups = roles.without(axis, roles.size)
    records = rows.to_dict("records")
    frame = rows.assign(
        group=[found.label(row, groups) or found.metric for row in records],
        series=[str(row[axis]) for row in records],
    ).reset_index(drop=True)
    complete = frame.groupby("group", sort=False)["series"].transform("size") > 2
    frame = frame[complete].drop_duplicates(["group", "series"])
    if frame.empty or frame["group"].nunique() > 12:
        return
    at = "" if roles.size is None else f" at {roles.size} {rows[roles.size].iloc[0]}"
    yield Drawn(
        "strategy_circle",
        strategy_circle(frame, metric=found.metric, higher_is_better=found.rules.higher_is_better),
        f"Each value of {axis} for each task{at}, relative to the best of its sector: the longest "
        "bar is the best.",
        frame[["group", "series", "value", "unit"]],
    )


def _dots(found: Conditions) -> Iterator[Drawn]:
    table = found.table
    rows = _records(table)
    names = [found.roles.target, "property"]
    shown = [a for a in found.axes if _several(table, a)]
    frame = table.assign(
        condition=[found.label(row, [a for a in shown if a not in names]) or "all" for row in rows],
        panel=[" ".join(dict.fromkeys(str(row[a]) for a in names if a and row[a])) for row in rows],
    )
    if len(frame) > MOST_CONDITIONS:
        return
    yield Drawn(
        "interval_dots",
        interval_dots(
            frame, metric=found.metric, higher_is_better=found.rules.higher_is_better
        ),
        f"Mean {found.metric} of every condition with its 95 % interval over repetitions, the best "
        "on top. Open squares and the dashed line are the baseline. Intervals that are much wider "
        "than the whole picture are cut off; the table has them.",
        frame[["panel", "condition", "value", "low", "high", "unit", "is_baseline"]],
    )  # fmt: skip


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _plain(frame: pd.DataFrame, found: Conditions) -> pd.DataFrame:
    rest = [axis for axis in found.axes if axis in frame]
    names = ["source", "target", *rest, "value", "low", "high", "unit", "is_baseline"]
    return frame[[*dict.fromkeys(names), "change_percent"]]


def _several(table: pd.DataFrame, axis: str | None) -> bool:
    return axis in table and len({str(value) for value in table[axis]}) > 1


def _of(title: str) -> str:
    return f" ({title})" if title else ""


def _name(kind: str, title: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")
    return f"{kind}-{slug}" if slug else kind


def _told_apart(figures: Sequence[Drawn]) -> list[Drawn]:
    """Number names that stand twice: different titles may make the same name of a file."""
    seen: Counter[str] = Counter()
    found = []
    for drawn in figures:
        seen[drawn.name] += 1
        ending = f"-{seen[drawn.name]}" if seen[drawn.name] > 1 else ""
        found.append(replace(drawn, name=drawn.name + ending))
    return found
