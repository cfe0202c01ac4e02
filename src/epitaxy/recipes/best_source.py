"""`finetune_best`: try several source models and say which one serves a property best."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from epitaxy.checkpoints.model_files import model_folder, named_models
from epitaxy.core.errors import InputError
from epitaxy.core.files import MARKER, atomic_file, check_output_folder
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
TABLE = "sources.csv"


class BestSource(NamedTuple):
    """The outcome of `finetune_best`."""

    run: Run
    """The run with the lowest validation error."""
    source: str
    """The model from which it started."""
    table: pd.DataFrame
    """One row per source, best first: source, run, val_mae, test_mae with its 95 % interval
    test_low to test_high, n (test crystals), baseline_mae (of the median), unit; NaN untested."""


def finetune_best(
    data: str | Path | StructureTable,
    target: str,
    sources: str | Sequence[str | Path],
    out: str | Path,
    **options: Any,
) -> BestSource:
    """Fine-tune from each source in turn; the validation error decides.

    The test rows take no part in the choice. Finished runs are not repeated, so the same call with
    one source more costs one run.

    Args:
        data: whatever `read_table` reads.
        target: property to learn.
        sources: run folders, ``zoo:NAME`` or ``zoo:*``; a list, or one text with commas.
        out: folder to write: one run folder per source, and ``sources.csv``.
        options: as in `finetune`.

    Raises:
        InputError: as `finetune`, or two sources have one name.
    """
    out = check_output_folder(out)
    models = named_models(sources)
    if not models:
        raise InputError("No source was named: give run folders, zoo:NAME or zoo:*.")
    for source in models.values():
        model_folder(source)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    runs = {}
    for name, source in models.items():
        logger.info("Fine-tuning from %s.", source)
        runs[name] = finetune(data, target, source, out / name, **options)
    rows = [
        {"source": models[name], "run": name, **_row(run, target)} for name, run in runs.items()
    ]
    table = pd.DataFrame(rows).sort_values("val_mae", ignore_index=True)
    with atomic_file(out / TABLE) as temporary:
        table.to_csv(temporary, index=False)
    best = str(table["run"][0])
    return BestSource(runs[best], models[best], table)


def _row(run: Run, target: str) -> dict[str, Any]:
    validation = run.metrics["val"][target]
    tested = run.metrics.get("test", {}).get(target, {})
    low, high = tested.get("mae_interval") or (None, None)
    return {
        "val_mae": validation["mae"],
        "test_mae": tested.get("mae", float("nan")),
        "test_low": low,
        "test_high": high,
        "n": tested.get("n", 0),
        "baseline_mae": tested.get("baseline_mae"),
        "unit": validation["unit"],
    }
