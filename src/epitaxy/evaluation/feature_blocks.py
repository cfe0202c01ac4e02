"""Features of crystals by name: descriptors, and embeddings of trained models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitaxy.descriptors.table import describe_table
from epitaxy.evaluation.predicting import embed_table
from epitaxy.models.property_model import PropertyModel
from epitaxy.structures.table import Dropped, StructureTable


class FeatureBlocks(NamedTuple):
    """Features of the n crystals of a table of which all could be had."""

    rows: np.ndarray
    """(n,) int64 rows of the table, ascending."""
    values: dict[str, np.ndarray]
    """Name of a descriptor or of a model -> (n, F) float64."""
    failures: tuple[Dropped, ...]
    """The other crystals, each with the first reason."""


def feature_blocks(
    table: StructureTable,
    descriptors: Sequence[str],
    models: Mapping[str, PropertyModel],
    *,
    cache: Path | None = None,
) -> FeatureBlocks:
    """Describe all crystals of a table, and embed them with trained models.

    The features of a crystal depend on this crystal alone.

    Args:
        table: the crystals.
        descriptors: entries of `DESCRIPTORS`.
        models: name of the block -> model whose crystal vectors it holds.
        cache: folder that keeps graphs and descriptors, see `build_graphs`.

    Raises:
        InputError: a descriptor is not known or lacks its package.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    reasons: dict[str, Dropped] = {}
    for name in descriptors:
        described = describe_table(table, name, cache=cache)
        found[name] = (described.ids, described.values)
        reasons = {d.id: d for d in described.failures} | reasons
    for name, model in models.items():
        embedded = embed_table(model, table.with_dropped(()), cache=cache)
        found[name] = (embedded.ids, embedded.values)
        reasons = {d.id: d for d in embedded.dropped} | reasons
    rows = np.flatnonzero([str(i) not in reasons for i in table.ids])
    kept = set(table.ids[rows].tolist())
    values = {
        name: block[[i in kept for i in ids.tolist()]] for name, (ids, block) in found.items()
    }
    return FeatureBlocks(rows, values, tuple(reasons.values()))
