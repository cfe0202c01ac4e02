"""`analyse_shift`: how far a target task is from the tasks that models were trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.errors import InputError
from epitaxy.core.files import cache_folder
from epitaxy.evaluation.features import last_frozen_group, table_features
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.analysing import analysis_folder
from epitaxy.recipes.source_tasks import (
    LabelledTask,
    SourceTask,
    parse_source_task,
    source_names,
    source_table,
    target_task,
    task_name,
)
from epitaxy.recipes.workspace import read_config
from epitaxy.reports.shift_report import write_shift_report
from epitaxy.results.shift import Distance, feature_shift, label_shift, shift_interval
from epitaxy.results.shift_table import CLOSEST, ShiftRow, nearest_sources, shift_table
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")
WITHOUT_TABLE = "no source table, hence no distance"
WITHOUT_LABELS = "no labels in the source table, hence no distance of labels"


class ShiftAnalysis(NamedTuple):
    """What `analyse_shift` found."""

    shifts: pd.DataFrame
    """One row per source, nearest features first; columns as in `ShiftRow`."""
    nearest: pd.DataFrame
    """Averages over the nearest sources, see `nearest_sources`."""
    folder: Path


def analyse_shift(
    data: str | Path | StructureTable,
    target: str,
    sources: Sequence[str | Path | SourceTask],
    out: str | Path,
    *,
    transform: str | None = None,
    group: str | None = None,
    closest: int = CLOSEST,
    resamples: int = 0,
    seed: int = 0,
) -> ShiftAnalysis:
    """Measure how far a task is from every source, in crystal features and in labels.

    The distance is the central moment discrepancy, as in Chang, Wang and Ertekin, npj Comput.
    Mater. 8, 242 (2022). Features are those of the source's own model, see `table_features`.

    Args:
        data: crystals of the target task, whatever `read_table` reads.
        target: its property; rows without a value are left out.
        sources: ``MODEL[=DATA[:PROPERTY]]`` or `SourceTask` objects.
        out: folder to write: ``shift.csv``, ``nearest.csv``, ``figures/``, ``report.html``, and
            ``dropped.csv`` where crystals could not be used.
        transform: identity, log or log1p: scale on which the target is learned, where the data
            does not say it. That of a source is known from its model.
        group: depth group after which features are taken; by default `last_frozen_group`.
        closest: how many of the nearest sources are averaged.
        resamples: of the bootstrap for the intervals of all distances; 0 for no intervals.
        seed: of the bootstrap.

    Raises:
        InputError: there is no source, or one of the things given cannot be used.
    """
    tasks = [s if isinstance(s, SourceTask) else parse_source_task(str(s)) for s in sources]
    if not tasks:
        raise InputError("No source was named; give models as MODEL or MODEL=DATA[:PROPERTY].")
    if closest < 1 or resamples < 0 or resamples == 1:
        raise InputError(
            f"closest={closest} and resamples={resamples} came; closest must be at least 1, "
            "resamples 0 or at least 2."
        )
    out = analysis_folder(out, [data, *(place for task in tasks for place in task[:2])])
    goal = target_task(data, target, transform)
    rows: list[ShiftRow] = []
    dropped = _named(goal.data, goal.table.dropped)
    for name, task in zip(source_names(tasks), tasks, strict=True):
        row, lost = _compare(task, name, goal, group=group, resamples=resamples, seed=seed)
        rows.append(row)
        dropped += lost
    shifts = shift_table(rows)
    nearest = nearest_sources(shifts, closest)
    left_out = pd.DataFrame(dropped, columns=["data", "id", "reason"]).drop_duplicates()
    write_shift_report(out, shifts, nearest, left_out, target=target)
    return ShiftAnalysis(shifts, nearest, out)


def _compare(
    task: SourceTask,
    name: str,
    goal: LabelledTask,
    *,
    group: str | None,
    resamples: int,
    seed: int,
) -> tuple[ShiftRow, list[tuple[str, str, str]]]:
    """Return the row of one source, and data, id and reason of crystals that were left out."""
    model = task.model if isinstance(task.model, PropertyModel) else load_model(task.model)
    written = str(task.model) if isinstance(task.model, str | Path) else task_name(model)
    row = ShiftRow(source=name, model=written, target_rows=len(goal.table))
    if task.data is None:
        return row._replace(source_rows=_trained_on(task.model), note=WITHOUT_TABLE), []
    source = source_table(task, model)
    layer = group or last_frozen_group(model)
    logger.info("%s: features of %d and %d crystals.", name, len(source.table), len(goal.table))
    samples, lost = [], []
    for side in (source, goal):
        found = table_features(model, side.table, group=layer, cache=cache_folder() / "graphs")
        if len(found.ids) == 0:
            raise InputError(
                f"No crystal of {side.data!r} has a graph; the first, {found.dropped[0].id}: "
                f"{found.dropped[0].reason}"
            )
        samples.append(found.values)
        lost += _named(side.data, found.dropped)
    numbers = _distances("feature", feature_shift, samples, resamples, seed)
    if source.labels is not None and goal.labels is not None:
        labels = [source.labels, goal.labels]
        numbers |= _distances("label", label_shift, labels, resamples, seed)
    row = row._replace(
        data=source.data,
        property=source.property,
        group=layer,
        source_rows=len(source.table),
        note="" if source.labels is not None else WITHOUT_LABELS,
        **numbers,
    )
    return row, lost


def _distances(
    kind: str, distance: Distance, samples: Sequence[np.ndarray], resamples: int, seed: int
) -> dict[str, Any]:
    """Return the columns of one distance by name."""
    source, target = samples
    found = {f"{kind}_cmd": distance(source, target)}
    if resamples:
        interval = shift_interval(distance, source, target, resamples=resamples, seed=seed)
        found |= dict(zip((f"{kind}_low", f"{kind}_high"), interval, strict=True))
    return found


def _named(data: str, dropped: Sequence[Dropped]) -> list[tuple[str, str, str]]:
    return [(data, *entry) for entry in dropped]


def _trained_on(model: str | Path | PropertyModel) -> float:
    """Return the number of crystals of the run that made a model, NaN where it is not known."""
    if isinstance(model, PropertyModel):
        return np.nan
    rows = read_config(Path(model)).get("rows")
    return float(sum(rows.values())) if isinstance(rows, dict) else np.nan
