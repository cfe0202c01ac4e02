"""`scaling`: how errors fall with rows, how many rows are missing, what a transfer was worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.recipes.analysing import analysis_folder
from epitaxy.reports.scaling_report import scaling_text, write_scaling_report
from epitaxy.results.intervals import LEVEL
from epitaxy.results.scaling_answers import REACH
from epitaxy.results.scaling_frames import ScalingFrames, scaling_frames
from epitaxy.results.scaling_table import ScalingTable, scaling_table
from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.results import study_results

Results = str | Path | pd.DataFrame


@dataclass(frozen=True)
class ScalingAnalysis(ScalingFrames):
    """What `scaling` found."""

    folder: Path | None = None
    """Where it was written."""

    @property
    def text(self) -> str:
        """All answers as text for a terminal."""
        return scaling_text(self)


def scaling(
    results: Results,
    out: str | Path | None = None,
    *,
    wanted: float | None = None,
    have: float | None = None,
    reach: float = REACH,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    where: Mapping[str, Sequence[str]] | None = None,
    baseline: tuple[str, str] | None = None,
    interval: str = "sizes",
    level: float = LEVEL,
    seed: int = 0,
) -> ScalingAnalysis:
    """Fit laws of error against target rows and source rows, and answer questions with them.

    Every condition (model, source, strategy, property, further columns) is fitted apart, at every
    number of rows of the other kind. Formulas: Hoffmann, Schmidt, Botti and Marques, Digital
    Discovery 2, 1368 (2023) and the modules ``epitaxy.results.scaling*``.

    Args:
        results: a table with one row per run (CSV file or data frame), or the folder of a study.
        out: folder to write: ``report.md``, CSV files, ``figures/``.
        wanted: error that is aimed at, in the unit of the errors.
        have: rows that exist already; the largest size of each line when None.
        reach: how many times the largest size measured a line may be followed.
        columns: meaning -> name of a column, where names differ from the usual ones (`ALIASES`).
        by: further columns whose values tell lines apart.
        where: column -> values that are kept.
        baseline: column and value of the runs from scratch; ``scratch``, ``none`` and the like are
            recognised.
        interval: ``sizes`` for t-intervals, ``bootstrap`` for percentiles over resampled sizes.
        level: coverage of the intervals.
        seed: of everything that is drawn.

    Raises:
        InputError: the results cannot be read or have no line, or an argument is out of its range.
    """
    table = read_results(results, columns=columns, by=by, where=where, baseline=baseline)
    target = None if out is None else analysis_folder(out, [results])
    found = scaling_frames(
        table, wanted=wanted, have=have, reach=reach, level=level, interval=interval, seed=seed
    )
    if target is not None:
        write_scaling_report(target, found)
    parts = {field.name: getattr(found, field.name) for field in fields(ScalingFrames)}
    return ScalingAnalysis(**parts, folder=target)


def read_results(
    results: Results,
    *,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    where: Mapping[str, Sequence[str]] | None = None,
    baseline: tuple[str, str] | None = None,
) -> ScalingTable:
    """Read a table of results from a CSV file, a data frame or the folder of a study.

    Raises:
        InputError: there is nothing to read, or the table is not as `scaling_table` needs it.
    """
    frame = results if isinstance(results, pd.DataFrame) else _read(Path(results))
    return scaling_table(frame, columns=columns, by=by, where=where, baseline=baseline)


def _read(path: Path) -> pd.DataFrame:
    if path.is_dir():
        StudyFolder(path).read()
        return study_results(path)
    if not path.is_file():
        raise InputError(
            f"There is no table of results {str(path)!r}; give a CSV file with one row per run, or "
            "the folder of a study."
        )
    try:
        # As texts, because pandas takes "none" for a number that is missing.
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The file {str(path)!r} is not a readable CSV table ({error}); give one with a header "
            "and one row per run."
        ) from error
