"""`predict`: values for new crystals."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from epitaxy.checkpoints.model_files import load_model
from epitaxy.core.errors import InputError
from epitaxy.evaluation.predicting import predict_table, prediction_frame
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.data import write_dropped
from epitaxy.results.predictions import write_prediction_csv
from epitaxy.structures.reading import read_structures
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")


def predict(
    run: str | Path | PropertyModel,
    structures: str | Path | Sequence[str | Path] | StructureTable,
    out: str | Path | None = None,
) -> pd.DataFrame:
    """Predict the properties of new crystals.

    Args:
        run: run folder, ``zoo:NAME`` or a loaded model.
        structures: files, folders or tables of crystals, or a `StructureTable`.
        out: CSV to write; crystals that could not be used go to ``<out>.dropped.csv``.

    Returns:
        One row per crystal and property: id, property, split (``new``), y_true (NaN), y_pred,
        y_lower, y_upper, unit.

    Raises:
        InputError: there is no model, not one usable crystal, or ``out`` is one of the inputs.
    """
    if out is not None:
        given = [structures] if isinstance(structures, str | Path | StructureTable) else structures
        keep_input(out, given)
    model = run if isinstance(run, PropertyModel) else load_model(run)
    if isinstance(structures, StructureTable):
        table = structures
    else:
        paths = [structures] if isinstance(structures, str | Path) else list(structures)
        table = read_structures(paths)
    predicted = predict_table(model, table)
    if len(predicted.ids) == 0:
        reason = predicted.dropped[0] if predicted.dropped else Dropped("-", "there is none")
        raise InputError(f"No crystal could be predicted; the first, {reason.id}: {reason.reason}")
    frame = prediction_frame(model.specs, predicted.ids, "new", predicted.values)
    for dropped in predicted.dropped[:5]:
        logger.warning("Left out %s: %s", dropped.id, dropped.reason)
    if out is not None:
        write_prediction_csv(frame, out)
        _write_dropped(Path(out), predicted.dropped)
    return frame


def keep_input(out: str | Path, given: Sequence[str | Path | StructureTable]) -> None:
    """Refuse to write over what is read.

    Raises:
        InputError: ``out`` is one of the given files.
    """
    files = [Path(g).resolve() for g in given if not isinstance(g, StructureTable)]
    if Path(out).resolve() in files:
        raise InputError(f"The output {str(out)!r} is one of the inputs; give another file.")


def _write_dropped(out: Path, dropped: Sequence[Dropped]) -> None:
    beside = out.with_name(f"{out.name}.dropped.csv")
    if not dropped:
        beside.unlink(missing_ok=True)
        return
    logger.warning("%d crystals were left out; see %s.", len(dropped), beside)
    write_dropped(beside, dropped)
