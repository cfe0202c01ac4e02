"""Tasks as an analysis sees them: crystals with labels, and the models trained on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from epitaxy.batches.scalers import TargetScaler, Transform
from epitaxy.checkpoints.model_files import ZOO, model_folder, model_name
from epitaxy.core.errors import InputError, unknown
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.analysing import first_distinct, short_name
from epitaxy.recipes.data import data_name
from epitaxy.structures.merge_files import parse_source
from epitaxy.structures.published import SUFFIX
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import Dropped, StructureTable

FORM = "MODEL, MODEL=DATA or MODEL=DATA:PROPERTY"


class SourceTask(NamedTuple):
    """A trained model and, where it is at hand, what it was trained on."""

    model: str | Path | PropertyModel
    """Run folder, ``zoo:NAME`` or a loaded model."""
    data: str | Path | StructureTable | None = None
    """Whatever `read_table` reads."""
    property: str = ""
    """Column of ``data``; not needed where there is only one, or one named as in the model."""
    name: str = ""


class LabelledTask(NamedTuple):
    """Crystals of a task with labels on the scale on which they are learned."""

    data: str
    """What the crystals came from."""
    table: StructureTable
    """B crystals, those with a label only; ``dropped`` has the others."""
    property: str
    labels: np.ndarray | None
    """(B,) float64; None where there are none."""


def parse_source_task(text: str) -> SourceTask:
    """Split ``MODEL[=DATA[:PROPERTY]]``; a folder of exactly this name is only a model.

    >>> parse_source_task("zoo:cgcnn-band-gap=demo:semiconductors:gap")
    SourceTask(model='zoo:cgcnn-band-gap', data='demo:semiconductors', property='gap', name='')

    Raises:
        InputError: there is no such model or data, or a part is empty.
    """
    if "=" not in text or Path(text).exists():
        return SourceTask(text)
    parts = text.split("=")
    # Names of run folders may hold an equals sign, as in rate=0.01.
    splits = [("=".join(parts[:i]), "=".join(parts[i:])) for i in range(1, len(parts))]
    real = [split for split in splits if split[0].startswith(ZOO) or Path(split[0]).is_dir()]
    model, data = [*real, *splits][0]
    if not model or not data:
        raise InputError(f"The source {text!r} lacks a part; write {FORM}.")
    model_folder(model)
    found = parse_source(data)
    if found.name:
        raise InputError(f"The source {text!r} has a part too many; write {FORM}.")
    return SourceTask(model, found.data, found.property)


def source_names(tasks: Sequence[SourceTask]) -> list[str]:
    """Return different names: those given, else of the models, with the data where needed.

    >>> source_names([SourceTask("zoo:a"), SourceTask("runs/b", "x.csv"), SourceTask("runs/b")])
    ['a', 'b=x', 'b']
    """
    names = [task.name or task_name(task.model) for task in tasks]
    data = [None if task.data is None else data_name(task.data) for task in tasks]

    def joined(change: Callable[[str], str]) -> list[str]:
        pairs = zip(names, data, strict=True)
        return [n if d is None or names.count(n) == 1 else f"{n}={change(d)}" for n, d in pairs]

    return first_distinct(names, joined(short_name), joined(str))


def task_name(model: str | Path | PropertyModel) -> str:
    """Return the name of a model, or what it predicts if it is no file."""
    return ", ".join(model.names) if isinstance(model, PropertyModel) else model_name(model)


def target_task(
    data: str | Path | StructureTable, target: str, transform: str | None = None
) -> LabelledTask:
    """Read the task for which sources are sought.

    Raises:
        InputError: the property is absent or has no value, or the transform is not known.
    """
    table = read_table(data, target=target)
    chosen = transform or table.properties[target].transform
    if chosen not in get_args(Transform):
        raise unknown("transform", chosen, get_args(Transform))
    return _labelled(data_name(data), table, target, chosen)


def source_table(task: SourceTask, model: PropertyModel) -> LabelledTask:
    """Read what a model was trained on; labels are on the learning scale of the model.

    Raises:
        InputError: there is no such data, or it is not clear which property is meant.
    """
    assert task.data is not None
    data = data_name(task.data)
    table = read_table(task.data, target=task.property or None)
    name = task.property or _property(table, model, data)
    if not name:
        return LabelledTask(data, table, "", None)
    transform: str = table.properties[name].transform
    if name in model.names or len(model.names) == 1:
        transform = model.scaler(name if name in model.names else model.names[0]).transform
    return _labelled(data, table, name, transform)


def _property(table: StructureTable, model: PropertyModel, data: str) -> str:
    """Return the property of the table that the model learned; nothing if there is none."""
    published = {name + SUFFIX for name in table.values}
    own = [name for name in table.values if name not in published]
    found = [name for name in own if name in model.names]
    if len(found) == 1 or len(own) < 2:
        return (found or own or [""])[0]
    raise InputError(
        f"{data!r} has {len(own)} properties ({', '.join(own)}), of which the model may have "
        "learned any; say which one: MODEL=DATA:PROPERTY."
    )


def _labelled(data: str, table: StructureTable, name: str, transform: str) -> LabelledTask:
    """Keep the rows whose label exists and is one on the learning scale."""
    # A choice that was checked, but mypy knows it as a text.
    scale = TargetScaler.model_validate({"transform": transform})
    with np.errstate(invalid="ignore", divide="ignore"):
        labels = scale.forward(table.column(name))
    known = np.isfinite(labels)
    if not known.any():
        raise InputError(
            f"No value of {name!r} has a number on the scale {transform!r}; use the transform "
            "'identity'."
        )
    without = (Dropped(str(i), "no label") for i in table.ids[~known])
    kept = table.select(known).with_dropped((*table.dropped, *without))
    return LabelledTask(data, kept, name, labels[known])
