"""What the models know from which a training starts: whose crystals must not be scored."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitaxy.checkpoints.learned import Entry, Materials, all_learned, read_learned
from epitaxy.checkpoints.model_files import load_model
from epitaxy.checkpoints.relations import TELLING, UNDECIDED, Relation, agreement, relation
from epitaxy.evaluation.predicting import predict_table
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.data import Labelled
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")
LEARNED_BY_SOURCE = "not scored: a source has learned this value"


class Familiarity(NamedTuple):
    """What a source knows of some crystals, with respect to a property of them."""

    kinds: np.ndarray
    """(n,) of `Relation`."""
    properties: dict[Relation, tuple[str, ...]]
    """Names of the learned properties that are the same, or related."""
    is_complete: bool
    """Whether the source says all that it has learned."""

    def count(self, kind: Relation) -> int:
        """Return the number of crystals of a kind."""
        return int((self.kinds == kind).sum())

    def named(self, kind: Relation) -> str:
        """Return the learned properties of a kind in words."""
        return ", ".join(self.properties[kind])


def familiarity(source: str | Path, materials: Materials, labels: np.ndarray) -> Familiarity:
    """Tell of which crystals a source has learned the value, or that of a related property.

    A source that came without the values that it learned shows by its predictions whether it
    learned a property like the one asked for; where they do not speak against it, it did.

    Args:
        source: run folder or ``zoo:NAME``.
        materials: n crystals.
        labels: (n,) values of a property, NaN where not known.
    """
    learned, table = read_learned(source), materials.table
    kinds = np.full(len(table), Relation.UNKNOWN, dtype=np.int8)
    found: dict[Relation, list[str]] = {Relation.RELATED: [], Relation.SAME: []}
    model: PropertyModel | None = None
    for name, entry in learned.of.items():
        covered = entry.covers(materials, labels)
        if not covered.any():
            continue
        if entry.values is None:
            model = model or load_model(source)
            kind = _by_prediction(model, name, table.select(covered), labels[covered])
        else:
            kind = _by_values(entry, materials, np.where(covered, labels, np.nan))
        if kind:
            kinds[covered] = np.maximum(kinds[covered], kind)
            found[kind].append(name)
    return Familiarity(kinds, {k: tuple(v) for k, v in found.items()}, learned.is_complete)


def inherit(data: Labelled, models: Iterable[str | Path]) -> Labelled:
    """Note what the models have learned, and leave what they know out of the test part."""
    models = list(models)
    before = all_learned(models)
    data = replace(data, inherited=before)
    ids = data.ids("test")
    if not ids:
        return data
    if not before.is_complete:
        logger.warning(
            "A source does not say what it has learned. If these test crystals are among it, the "
            "test error is too low."
        )
    # All rows show how the property relates to what was learned; the test rows may be few.
    materials, rows = Materials(data.table), data.table.rows_of(ids)
    known = np.zeros(len(ids), dtype=bool)
    for model in models:
        for name in data.specs:
            found = familiarity(model, materials, data.table.values[name])
            known |= found.kinds[rows] == Relation.SAME
    if not known.any():
        return data
    logger.warning(
        "Skipped %d of the %d test crystals: a source was trained on their values, so their error "
        "would tell nothing of new crystals.",
        int(known.sum()),
        len(ids),
    )
    return _without_test(data, [i for i, same in zip(ids, known, strict=True) if same])


def _without_test(data: Labelled, gone: list[str]) -> Labelled:
    left = tuple(i for i in data.split.test if i not in set(gone))
    split = replace(data.split, test=left, allow_empty_test=not left)
    dropped = (Dropped(i, LEARNED_BY_SOURCE) for i in gone)
    return replace(data, split=split, dropped=(*data.dropped, *dropped))


def _by_values(entry: Entry, materials: Materials, labels: np.ndarray) -> Relation:
    assert entry.values is not None
    return relation(materials.keys(entry.salt), labels, entry.compositions, entry.values)


def _by_prediction(
    model: PropertyModel, name: str, table: StructureTable, labels: np.ndarray
) -> Relation:
    """Judge a property without values by what the model predicts of it for these crystals."""
    if name not in model.names or len(table) < TELLING:
        return Relation.SAME
    found = predict_table(model, table)
    rows = table.rows_of(found.ids)
    strength = agreement(found.values[:, model.names.index(name)], labels[rows])
    return Relation.SAME if strength >= UNDECIDED else Relation.UNKNOWN
