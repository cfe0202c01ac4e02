"""`predict`: values for new crystals."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from epitaxy.checkpoints.model_files import ZOO, load_model, model_folder
from epitaxy.core.errors import InputError
from epitaxy.core.outputs import check_output, remove_output
from epitaxy.core.tables import ENDINGS, write_table
from epitaxy.evaluation.bundle import Bundle, is_bundle
from epitaxy.evaluation.predicting import Predicted, predict_table, prediction_frame
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.data import write_dropped
from epitaxy.results.predictions import user_frame
from epitaxy.structures.prototype import Elements, substituted
from epitaxy.structures.reading import read_structures
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")
STDIN = "-"


def predict(
    run: str | Path | PropertyModel | Bundle,
    structures: str | Path | Sequence[str | Path] | StructureTable,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Predict the properties of new crystals.

    Args:
        run: run folder (a bundle of `fit`, too), ``zoo:NAME`` or a loaded model.
        structures: files, folders or tables of crystals, or a `StructureTable`; ``-`` reads a CIF
            file from standard input.
        out: file to write, .csv, .json or .parquet; crystals that could not be used go to
            ``<out>.dropped.csv``.
        overwrite: replace a file that epitaxy did not write.

    Returns:
        One row per crystal and property: id, property, split (``new``), y_true (NaN), y_pred,
        y_lower, y_upper, unit; of a bundle also how like the training a crystal is, see
        `DomainFlags.frame`.

    Raises:
        InputError: there is no model, not one usable crystal, or ``out`` is one of the inputs.
    """
    if out is not None:
        given = structures if isinstance(structures, list | tuple) else [structures]
        _check(out, [run, *given], overwrite=overwrite)
    model = open_model(run)
    if isinstance(structures, StructureTable):
        table = structures
    else:
        paths = [structures] if isinstance(structures, str | Path) else list(structures)
        table = _read(paths)
    frame, lost = _predicted(model, table)
    if frame.empty:
        reason = lost[0] if lost else Dropped("-", "there is none")
        raise InputError(f"No crystal could be predicted; the first, {reason.id}: {reason.reason}")
    for dropped in lost[:5]:
        logger.warning("Left out %s: %s", dropped.id, dropped.reason)
    if out is not None:
        write_table(user_frame(frame), out)
        _write_dropped(Path(out), lost)
    return frame


def open_model(run: str | Path | PropertyModel | Bundle) -> PropertyModel | Bundle:
    """Return a loaded model as it is, and open a run folder, a bundle of `fit` or ``zoo:NAME``.

    Raises:
        InputError: there is no model.
    """
    if isinstance(run, PropertyModel | Bundle):
        return run
    place = place_of(run)
    return Bundle.read(place) if is_bundle(place) else load_model(place)


def place_of(run: str | Path) -> Path:
    """Return the folder of a run, a bundle of `fit` or ``zoo:NAME``."""
    return model_folder(run) if str(run).startswith(ZOO) else Path(run)


def _read(paths: Sequence[str | Path]) -> StructureTable:
    """Read structures; ``-`` stands for one structure file on standard input."""
    if STDIN not in map(str, paths):
        return read_structures(paths)
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "stdin.cif"
        given.write_bytes(sys.stdin.buffer.read())
        return read_structures([given if str(path) == STDIN else path for path in paths])


def predicted_by(model: PropertyModel | Bundle, table: StructureTable) -> Predicted:
    """Predict every crystal of a table with whatever `open_model` returned."""
    if isinstance(model, Bundle):
        found = model.answer(table)
        return Predicted(found.ids, found.values[:, None], found.dropped)
    return predict_table(model, table)


def _predicted(
    model: PropertyModel | Bundle, table: StructureTable
) -> tuple[pd.DataFrame, Sequence[Dropped]]:
    if isinstance(model, Bundle):
        return model.frame(table)
    found = predict_table(model, table)
    return prediction_frame(model.specs, found.ids, "new", found.values), found.dropped


def predict_prototype(
    run: str | Path | PropertyModel | Bundle,
    prototype: str | Path,
    elements: Elements,
    out: str | Path | None = None,
    *,
    volume: str = "prototype",
    overwrite: bool = False,
) -> pd.DataFrame:
    """Predict crystals that are a prototype with other elements on its sites, not relaxed.

    A model that reads bond lengths sees those of the prototype, which are wrong for other elements;
    it predicts with a warning. CGAT reads the order of neighbours alone.

    Args:
        run: run folder, ``zoo:NAME`` or a loaded model.
        prototype: structure file.
        elements: what takes the place of each element of the prototype: ``{"Sr": ["Ca", "Ba"]}``
            for all combinations, or a CSV file with one row per crystal, see `substituted`.
        out: file to write, .csv, .json or .parquet; crystals that could not be used go to
            ``<out>.dropped.csv``.
        volume: ``prototype``, or ``predicted`` to scale each cell to usual bond lengths.
        overwrite: replace a file that epitaxy did not write.

    Returns:
        As `predict`; ids are the name of the file and the elements, ``SrTiO3:Ca-Zr-O``.

    Raises:
        InputError: as `predict` and `substituted`.
    """
    if out is not None:
        _check(out, [run, prototype, elements], overwrite=overwrite)
    model = open_model(run)
    table = substituted(prototype, elements, volume=volume)
    if isinstance(model, Bundle) or model.encoder.reads_lengths:
        logger.warning(
            "%s bond lengths, and the crystals would relax to others than %s; its errors will be "
            "larger than on relaxed crystals (cgat reads no lengths).",
            "The bundle may read"
            if isinstance(model, Bundle)
            else f"The model {model.architecture} reads",
            "those of the prototype" if volume == "prototype" else "those of the scaled prototype",
        )
    return predict(model, table, out, overwrite=overwrite)


def _check(out: str | Path, given: Sequence[object], *, overwrite: bool) -> None:
    """Refuse to write over what is read, or over what somebody else wrote.

    Raises:
        InputError: as said, or ``out`` has an ending that is not known.
    """
    check_output(out, endings=ENDINGS, inputs=given, overwrite=overwrite)
    check_output(_beside(Path(out)), inputs=given, overwrite=overwrite)


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.name}.dropped.csv")


def _write_dropped(out: Path, dropped: Sequence[Dropped]) -> None:
    beside = _beside(out)
    if not dropped:
        remove_output(beside)
        return
    logger.warning("%d crystals were left out; see %s.", len(dropped), beside)
    write_dropped(beside, dropped)
