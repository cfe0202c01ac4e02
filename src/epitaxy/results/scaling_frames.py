"""Everything that scaling laws say about one table of results, as data frames."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.results.intervals import LEVEL
from epitaxy.results.scaling_answers import (
    REACH,
    crossings_frame,
    transfers,
    wanted_frame,
    worth_frame,
)
from epitaxy.results.scaling_lines import (
    curves_frame,
    fit_lines,
    fit_surfaces,
    line_rounding,
    lines_frame,
    results_frame,
    surfaces_frame,
)
from epitaxy.results.scaling_table import ScalingTable


@dataclass(frozen=True)
class ScalingFrames:
    """What a scaling analysis found; frames are empty where there is nothing to say."""

    lines: pd.DataFrame
    """One row per line, see `lines_frame`."""
    surfaces: pd.DataFrame
    """One row per condition in which both sizes vary, see `surfaces_frame`."""
    wanted: pd.DataFrame
    """Rows that reach a wanted error, see `wanted_frame`."""
    worth: pd.DataFrame
    """What transfers were worth, see `worth_frame`."""
    crossings: pd.DataFrame
    """Where the advantage of transfers ends, see `crossings_frame`."""
    results: pd.DataFrame
    """The results behind the lines, see `results_frame`."""
    curves: pd.DataFrame
    """Laws with their bands, see `curves_frame`."""
    notes: tuple[str, ...]
    """What was left out or is worth knowing, one sentence each."""
    error_name: str
    level: float
    """Coverage of all intervals."""
    reach: float


def scaling_frames(
    table: ScalingTable,
    *,
    wanted: float | None = None,
    have: float | None = None,
    reach: float = REACH,
    level: float = LEVEL,
    interval: str = "sizes",
    seed: int = 0,
) -> ScalingFrames:
    """Fit all lines and planes of a table and answer the questions about them.

    Args:
        table: what `scaling_table` returned.
        wanted: error that is aimed at, in the unit of the errors.
        have: rows that exist; the largest size of each line when None.
        reach: how many times the largest size a line may be followed.
        level: coverage of the intervals.
        interval: one of `INTERVALS`.
        seed: of the draws behind comparisons of lines, resampled sizes and rounding.

    Raises:
        InputError: no line can be fitted, or an argument is out of its range.
    """
    if not 0 < level < 1:
        raise InputError(f"A level of {level:g} is not allowed; give a share such as 0.95.")
    if have is not None and not have >= 0:
        raise InputError(f"{have:g} rows cannot exist; give a number from 0 on.")
    lines, lonely = fit_lines(table, interval=interval, seed=seed)
    curves = curves_frame(lines, reach, level)
    pairs = transfers(lines)
    notes = [*table.notes, *lonely]
    if not pairs and any(not line.baseline for line in lines):
        notes.append(
            "No line from scratch was found, so what a transfer was worth is not known; name it as "
            "the baseline."
        )
    empty = pd.DataFrame()
    return ScalingFrames(
        lines=lines_frame(lines, level, line_rounding(table, lines, level, seed)),
        surfaces=surfaces_frame(fit_surfaces(table), level),
        wanted=empty
        if wanted is None
        else wanted_frame(lines, wanted, have=have, reach=reach, level=level),
        worth=worth_frame(pairs, reach=reach, level=level, seed=seed),
        crossings=crossings_frame(pairs, reach=reach, level=level, seed=seed),
        results=results_frame(lines),
        curves=curves,
        notes=tuple(notes),
        error_name=table.error_name,
        level=level,
        reach=reach,
    )
