"""`study_results`: the numbers of all finished runs as one tidy table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError, unknown
from epitaxy.core.outputs import check_output
from epitaxy.core.parsing import read_json
from epitaxy.core.tables import ENDINGS, write_table
from epitaxy.results.predictions import SPLITS
from epitaxy.studies.expanding import TABLE_VERBS
from epitaxy.studies.folder import StudyFolder

NUMBERS = ("mae", "rmse", "r2", "n", "unit")
SURE = ("mae_low", "mae_high", "baseline_mae")
COLUMNS = ("run", "role", "property", *NUMBERS, *SURE, "seconds", "epochs")
"""Columns of a table of results beside the axes."""
DTYPES = {
    **dict.fromkeys(("mae", "rmse", "r2", *SURE, "seconds"), "float64"),
    **dict.fromkeys(("n", "epochs"), "int64"),
}


def study_results(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    part: str = "test",
    overwrite: bool = False,
) -> pd.DataFrame:
    """Collect the errors of what is finished, at any moment.

    Args:
        folder: what was ``out`` of `run_study`.
        out: file to write, .csv, .json or .parquet.
        part: ``train``, ``val`` or ``test``.
        overwrite: replace a file that epitaxy did not write.

    Returns:
        One row per combination of axis values and property, and per source and property: ``run``
        (its id), ``role`` (``run``, or ``source:NAME``), one column per axis (empty for sources),
        ``property``, ``mae`` and ``rmse`` in ``unit``, ``r2``, ``n`` (crystals), ``mae_low`` to
        ``mae_high`` (95 % interval of ``mae``), ``baseline_mae`` (of the median), ``seconds`` (of
        training and validation, without what a stop lost) and ``epochs``.

    Raises:
        InputError: it is not the folder of a study, there is no such part, or a finished run cannot
            be read.
    """
    if part not in SPLITS:
        raise unknown("part", part, SPLITS)
    if out is not None:
        check_output(out, endings=ENDINGS, inputs=[folder], overwrite=overwrite)
    study = StudyFolder(folder)
    written, finished = study.read(), study.finished()
    in_cells = {identity for identity, _ in written.plan.cells}
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        (run.id, f"source:{run.source}", {})
        for run in written.plan.runs.values()
        if run.id not in in_cells and run.verb not in TABLE_VERBS
    ]
    wanted += [(identity, "run", labels) for identity, labels in written.plan.cells]
    identities = {identity for identity, _, _ in wanted} & finished
    numbers = {i: _numbers(study.run(i), part) for i in identities}
    rows = [
        {"run": identity, "role": role, **labels, **of_property}
        for identity, role, labels in wanted
        for of_property in numbers.get(identity, ())
    ]
    head, tail = COLUMNS[:2], COLUMNS[2:]
    # As objects, the values of an axis stay what they are beside the gaps of sources.
    frame = pd.DataFrame(rows, columns=[*head, *written.axes, *tail], dtype=object)
    frame = frame.astype(DTYPES)
    if out is not None:
        write_table(frame, out)
    return frame


def _numbers(run: Path, part: str) -> list[dict[str, Any]]:
    """Return one dictionary per property of a finished run."""
    scores, history = verified(run / "metrics.json"), verified(run / "history.csv")
    try:
        metrics = read_json(scores)
        with history.open(encoding="utf-8", newline="") as file:
            seconds = [float(row["seconds"] or 0) for row in csv.DictReader(file)]
        return [
            {
                "property": name,
                **{key: found[key] for key in NUMBERS},
                **dict(zip(SURE, _sure(found), strict=True)),
                "seconds": round(sum(seconds), 3),
                "epochs": len(seconds),
            }
            for name, found in metrics.get(part, {}).items()
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The run {str(run)!r} cannot be read ({error}); remove its folder and run the study "
            "again."
        ) from error


def _sure(numbers: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Return the ends of the interval and the baseline; older runs have neither."""
    low, high = numbers.get("mae_interval") or (None, None)
    return low, high, numbers.get("baseline_mae")
