"""`evaluate`: the error of a model on data with known values."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.outputs import check_output
from epitaxy.core.tables import ENDINGS, write_table
from epitaxy.evaluation.bundle import Bundle, is_bundle
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.data import composition_groups, read_targets
from epitaxy.recipes.predict import open_model, place_of, predicted_by
from epitaxy.results.metrics import metrics, rescaled
from epitaxy.results.predictions import known_rows, make_predictions, read_predictions
from epitaxy.structures.grouping import NONE
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")


def evaluate(
    run: str | Path | PropertyModel | Bundle,
    data: str | Path | StructureTable,
    target: str,
    out: str | Path | None = None,
    *,
    units: str = "physical",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score a model on all labelled rows of ``data``.

    Args:
        run: run folder (a bundle of `fit`, too), ``zoo:NAME`` or a loaded model.
        data: whatever `read_table` reads.
        target: column with the known values, in the unit of the model. A model of one property is
            scored on it whatever its name; of several, the one called ``target`` is meant.
        out: file for the predictions, .csv, .json or .parquet.
        units: ``physical``, or ``published`` to be told the errors also on the scale of a paper,
            which a column TARGET_published of the data shows.
        overwrite: replace a file that epitaxy did not write.

    Returns:
        The numbers of `metrics`: ``mae`` with ``mae_interval``, ``rmse``, ``r2``, ``n``, ``unit``,
        ``baseline_mae`` and so on; ``baseline``, which says of which values the median is taken:
        ``training`` where the run has its training rows, else ``data``; ``dropped`` (number of rows
        left out: without a value, or without a graph); with published units also ``published``: the
        same on that scale.

    Raises:
        InputError: the column is missing or has no usable row, the model has no such property,
            or ``out`` is the data itself.
    """
    if out is not None:
        check_output(out, endings=ENDINGS, inputs=[run, data], overwrite=overwrite)
    model = open_model(run)
    if len(model.names) > 1 and target not in model.names:
        raise InputError(
            f"The model predicts {', '.join(model.names)}, but not {target!r}; name one of these."
        )
    name = target if target in model.names else model.names[0]
    table, per_unit = read_targets(data, [target], units, NONE)
    known = table.column(target)
    given, unit = table.properties[target].unit, model.specs[name].unit
    if given and unit and given != unit:
        raise InputError(
            f"The column {target!r} is in {given}, but the model predicts {name!r} in {unit}; "
            "convert the column first."
        )
    labelled = np.isfinite(known)
    predicted = predicted_by(model, table.select(labelled).with_dropped(table.dropped))
    if len(predicted.ids) == 0:
        raise InputError(
            f"No crystal with a value of {target!r} could be predicted; the first, "
            f"{predicted.dropped[0].id}: {predicted.dropped[0].reason}"
        )
    labels = known[table.rows_of(predicted.ids)]
    frame = make_predictions(
        ids=predicted.ids,
        property_name=name,
        split="test",
        y_pred=predicted.values[:, model.names.index(name)],
        y_true=labels,
        unit=unit,
    )
    if out is not None:
        write_table(frame, out)
    median = training_median(run, name)
    constant = float(np.median(labels)) if median is None else median
    numbers: dict[str, Any] = metrics(
        frame,
        groups=composition_groups(table),
        baseline=dict.fromkeys(frame["id"].tolist(), constant),
    )["test"][name]
    if per_unit:
        numbers["published"] = rescaled(numbers, per_unit[target])
    numbers["baseline"] = "data" if median is None else "training"
    numbers["dropped"] = len(predicted.dropped) + int((~labelled).sum())
    return numbers


def training_median(run: str | Path | PropertyModel | Bundle, name: str) -> float | None:
    """Return the median of the values from which a run has learned; None where it has none.

    A bundle of `fit` has learned from all rows that its folder holds.
    """
    if isinstance(run, PropertyModel | Bundle):
        return None
    path = place_of(run) / "predictions.parquet"
    if not path.is_file():
        return None
    frame = read_predictions(path)
    parts = ["train", "test", "other"] if is_bundle(path.parent) else ["train"]
    values = np.concatenate([known_rows(frame, part, name)["y_true"] for part in parts])
    return float(np.median(values)) if len(values) else None
