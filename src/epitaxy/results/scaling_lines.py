"""All lines and planes of a table of results, one per condition and fixed size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError, unknown
from epitaxy.results.scaling import Band, Interval, LogLine, fit_line
from epitaxy.results.scaling_floor import Floor, curvature, fit_floor, levels_off
from epitaxy.results.scaling_resampling import ResampledLine
from epitaxy.results.scaling_stated import rounding_ranges
from epitaxy.results.scaling_surface import Surface, fit_surface
from epitaxy.results.scaling_table import CONDITIONS, ScalingTable

INTERVALS = ("sizes", "bootstrap")
"""Where intervals come from: Student's t over sizes, or percentiles over resampled sizes."""
SIZE_COLUMNS = {"target": "target_size", "source": "source_size"}
SHORT = 10.0
"""Ratio of the largest to the smallest size below which a note is due."""
CURVED = 0.05
POINTS = 60
"""Points of a curve that is drawn."""


@dataclass(frozen=True)
class FittedLine:
    """The errors of one condition against target rows or source rows."""

    conditions: dict[str, str]
    property_name: str
    unit: str
    label: str
    """Property and conditions in words, as far as they tell lines apart."""
    axis: str
    """``target`` or ``source``."""
    fixed: float
    """Rows of the other kind; NaN without any."""
    baseline: bool
    line: LogLine
    floor: Floor | None
    """A law that levels off, where there are sizes enough to tell and AICc prefers it."""
    results: pd.DataFrame
    """``size``, ``error`` and ``seed`` of every run."""

    @property
    def name(self) -> str:
        """Label and fixed size."""
        if not np.isfinite(self.fixed):
            return self.label
        other = "source" if self.axis == "target" else "target"
        return f"{self.label} ({self.fixed:,.0f} {other} rows)"

    @cached_property
    def p_curvature(self) -> float | None:
        """See `scaling_floor.curvature`."""
        return curvature(self.line)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the line should know, one sentence each."""
        return tuple(_notes(self))


@dataclass(frozen=True)
class FittedSurface:
    """The errors of one condition against target rows and source rows."""

    conditions: dict[str, str]
    property_name: str
    unit: str
    label: str
    surface: Surface


def fit_lines(
    table: ScalingTable, *, interval: str = "sizes", seed: int = 0
) -> tuple[list[FittedLine], list[str]]:
    """Fit a line wherever at least two sizes are known at one number of rows of the other kind.

    Returns:
        The lines, and a sentence for every condition that has one size only.

    Raises:
        InputError: no condition has two sizes, or there is no such interval.
    """
    if interval not in INTERVALS:
        raise unknown("kind of interval", interval, INTERVALS)
    found: list[FittedLine] = []
    lonely: list[str] = []
    for about, group in _conditions(table):
        lines = [line for axis in SIZE_COLUMNS for line in _along(group, axis, about)]
        if not lines:
            lonely.append(_lonely(about.label, group))
        found += lines
    if interval == "bootstrap":
        found = [replace(one, line=ResampledLine.of(one.line, seed)) for one in found]
    if not found:
        raise InputError(
            "No line can be fitted: no condition has results of two sizes; add results of at least "
            "two sizes under the same conditions."
        )
    return found, lonely


def fit_surfaces(table: ScalingTable) -> list[FittedSurface]:
    """Fit a plane for every condition in which both sizes vary enough to tell them apart."""
    found = []
    for about, group in _conditions(table):
        known = group.dropna(subset=["source_size"])
        if min(known["target_size"].nunique(), known["source_size"].nunique()) < 2:
            continue
        try:
            plane = fit_surface(known["target_size"], known["source_size"], known["error"])
        except InputError:
            # Sizes that go together, or three results: the lines say what there is to say.
            continue
        found.append(FittedSurface(**about._asdict(), surface=plane))
    return found


class _About(NamedTuple):
    """What the rows of one condition have in common."""

    conditions: dict[str, str]
    property_name: str
    unit: str
    label: str


def _conditions(table: ScalingTable) -> list[tuple[_About, pd.DataFrame]]:
    """Return the rows of each combination of property and conditions that vary."""
    rows = table.rows
    varied = [name for name in table.conditions if _varies(rows[name])]
    transfers = rows[~rows["baseline"]]
    # What is the same in all transfers needs no place in their names.
    shown = [name for name in varied if _varies(transfers[name])] or varied[-1:]
    several = _varies(rows["property"])
    found = []
    for values, group in rows.groupby([*varied, "property"], sort=False):
        conditions = dict(zip(varied, map(str, values[:-1]), strict=True))
        name, unit = str(values[-1]), str(group["unit"].iloc[0])
        words = _words(conditions, shown)
        if group["baseline"].all():
            plain = [key for key, value in conditions.items() if key in CONDITIONS and value]
            others = [key for key in conditions if key not in CONDITIONS]
            words = _words(conditions, [*plain[-1:], *others]) or ["scratch"]
        label = ", ".join([*([name] if several and name else []), *words])
        found.append((_About(conditions, name, unit, label or name or "all results"), group))
    return found


def _words(conditions: dict[str, str], shown: Sequence[str]) -> list[str]:
    """Return the values of some conditions; those of further columns with their names."""
    return [
        value if key in CONDITIONS else f"{key} {value}"
        for key, value in conditions.items()
        if key in shown and value
    ]


def _varies(column: pd.Series[Any]) -> bool:
    return bool(len(column)) and bool((column != column.iloc[0]).any())


def _lonely(label: str, group: pd.DataFrame) -> str:
    """Return why a condition has no line."""
    sizes = group["target_size"].unique()
    if len(sizes) == 1:
        reason = f"{sizes[0]:,.0f} target rows only"
    else:
        reason = "no two sizes with the same number of rows of the other kind"
    return f"{label}: {reason}, so there is no line; add a second size."


def _along(group: pd.DataFrame, axis: str, about: _About) -> list[FittedLine]:
    column, other = (SIZE_COLUMNS[a] for a in (axis, "source" if axis == "target" else "target"))
    known = group.dropna(subset=[column])
    lines = []
    for fixed, rows in known.groupby(other, dropna=False):
        if rows[column].nunique() < 2:
            continue
        line = fit_line(rows[column], rows["error"])
        floor = fit_floor(line)
        results = rows[[column, "error", "seed"]].rename(columns={column: "size"})
        lines.append(
            FittedLine(
                **about._asdict(),
                axis=axis,
                fixed=float(str(fixed)),
                baseline=bool(rows["baseline"].all()),
                line=line,
                floor=floor if levels_off(line, floor) else None,
                results=results.reset_index(drop=True),
            )
        )
    return lines


def _notes(found: FittedLine) -> list[str]:
    line, notes = found.line, []
    counts = line.counts
    if line.m == 2:
        notes.append("two sizes only: any two points have a line, so there is no interval")
    if counts.max() == 1 and line.m > 2:
        notes.append("one seed per size")
    elif counts.min() != counts.max():
        notes.append(
            f"{counts.min()} to {counts.max()} seeds per size; each size counts once all the same"
        )
    if line.sizes[-1] < SHORT * line.sizes[0]:
        notes.append(f"sizes span a factor of {line.sizes[-1] / line.sizes[0]:.3g} only")
    slope = line.slope_interval()
    if line.slope >= 0:
        notes.append("the error does not fall with the number of rows")
    elif slope is not None and slope[1] >= 0:
        notes.append("the slope is not significant")
    if found.floor is not None:
        notes.append(
            f"the errors level off at {found.floor.floor:.4g} (AICc): the straight line is too "
            "optimistic beyond the sizes measured"
        )
    elif found.p_curvature is not None and found.p_curvature < CURVED:
        notes.append(f"curved (p = {found.p_curvature:.2g}): do not trust it far beyond the sizes")
    return notes


def lines_frame(
    lines: Sequence[FittedLine],
    level: float,
    rounding: Mapping[str, Interval] | None = None,
) -> pd.DataFrame:
    """Return one row per line.

    Args:
        lines: what `fit_lines` returned.
        level: coverage of the intervals.
        rounding: name of a line against target rows -> range of alpha that rounding leaves.

    Columns: ``line``, the conditions, ``property``, ``unit``, ``axis``, ``fixed`` (rows of the
    other kind), ``baseline``, ``sizes``, ``results``, ``smallest``, ``largest``, ``alpha`` with
    ``alpha_low`` and ``alpha_high``, ``intercept`` (ln of the error at one row) with its ends,
    ``r2``, ``scatter`` (standard deviation of ln E about the line), ``floor`` (NaN where
    straight), ``p_curvature`` and ``notes``; ``rounding_low`` and ``rounding_high`` where any
    number was rounded.
    """
    ranges = rounding or {}
    rows = []
    for found in lines:
        line = found.line
        falling, intercept = line.slope_interval(level), line.intercept_interval(level)
        rows.append(
            {
                "line": found.name,
                **found.conditions,
                "property": found.property_name,
                "unit": found.unit,
                "axis": found.axis,
                "fixed": found.fixed,
                "baseline": found.baseline,
                "sizes": line.m,
                "results": len(found.results),
                "smallest": line.sizes[0],
                "largest": line.sizes[-1],
                "alpha": line.alpha,
                **_ends("alpha", falling and (-falling[1], -falling[0])),
                "intercept": line.intercept,
                **_ends("intercept", intercept),
                "r2": line.r2,
                "scatter": float(np.sqrt(line.variance)),
                "floor": np.nan if found.floor is None else found.floor.floor,
                "p_curvature": np.nan if found.p_curvature is None else found.p_curvature,
                "notes": "; ".join(found.notes),
                **(_ends("rounding", ranges.get(found.name)) if ranges else {}),
            }
        )
    return pd.DataFrame(rows)


def line_rounding(
    table: ScalingTable, lines: Sequence[FittedLine], level: float, seed: int
) -> dict[str, Interval]:
    """Return the ranges of alpha that rounding leaves, by name of line against target rows."""
    keys = [*table.conditions, "property", "source_size"]
    rows = table.rows.assign(source_size=table.rows["source_size"].fillna(0.0))
    ranges = rounding_ranges(rows, table.conditions, keys, level, seed)
    names = {}
    for found in lines:
        if found.axis == "target":
            fixed = found.fixed if np.isfinite(found.fixed) else 0.0
            here = (rows["property"] == found.property_name) & (rows["source_size"] == fixed)
            for condition, value in found.conditions.items():
                here &= rows[condition] == value
            names[found.name] = tuple(rows.loc[here, keys].iloc[0].astype(str))
    return {name: ranges[key] for name, key in names.items() if key in ranges}


def surfaces_frame(surfaces: Sequence[FittedSurface], level: float) -> pd.DataFrame:
    """Return one row per plane: exponents in the middle of its sizes, with intervals.

    Columns: ``line``, the conditions, ``property``, ``unit``, ``alpha`` (target rows), ``beta``
    (source rows) and ``gamma`` (interaction, 0 where dropped) with their ends, and
    ``p_interaction``.
    """
    rows = []
    for found in surfaces:
        plane = found.surface
        ends = plane.intervals(level)
        numbers: dict[str, float] = {}
        for name, value in zip(("alpha", "beta", "gamma"), plane.coefficients[1:], strict=True):
            numbers |= {name: float(value), **_ends(name, ends[name])}
        p = np.nan if plane.p_interaction is None else plane.p_interaction
        about = {"property": found.property_name, "unit": found.unit}
        rows.append(
            {"line": found.label, **found.conditions, **about, **numbers, "p_interaction": p}
        )
    return pd.DataFrame(rows)


def _ends(name: str, interval: Interval | None) -> dict[str, float]:
    low, high = interval or (np.nan, np.nan)
    return {f"{name}_low": low, f"{name}_high": high}


def curves_frame(lines: Sequence[FittedLine], reach: float, level: float) -> pd.DataFrame:
    """Return every law with its bands, from the smallest size to ``reach`` times the largest.

    Columns: ``line``, ``axis``, ``size``, ``error``, ``low`` and ``high`` (of the law), and
    ``new_low`` and ``new_high`` (of a new result; NaN where the errors level off).
    """
    frames = []
    for found in lines:
        line = found.line
        sizes = np.geomspace(line.sizes[0], line.sizes[-1] * reach, POINTS)
        if found.floor is None:
            law, new = line.mean_band(sizes, level), line.prediction_band(sizes, level)
        else:
            law = found.floor.band(sizes, level)
            new = Band(law.middle, law.low * np.nan, law.high * np.nan)
        frames.append(
            pd.DataFrame(
                {
                    "line": found.name,
                    "axis": found.axis,
                    "size": sizes,
                    "error": law.middle,
                    "low": law.low,
                    "high": law.high,
                    "new_low": new.low,
                    "new_high": new.high,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def results_frame(lines: Sequence[FittedLine]) -> pd.DataFrame:
    """Return every result that a line was fitted to.

    Columns: ``line``, ``axis``, ``label``, ``property``, ``unit``, ``fixed``, ``baseline``,
    ``size``, ``error``, ``seed``.
    """
    frames = [
        found.results.assign(
            line=found.name,
            axis=found.axis,
            label=found.label,
            property=found.property_name,
            unit=found.unit,
            fixed=found.fixed,
            baseline=found.baseline,
        )
        for found in lines
    ]
    names = ["line", "axis", "label", "property", "unit", "fixed", "baseline"]
    return pd.concat(frames, ignore_index=True)[[*names, "size", "error", "seed"]]
