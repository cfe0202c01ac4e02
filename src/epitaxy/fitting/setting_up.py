"""From what the user gave to a `Problem`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitaxy.batches.inputs import build_inputs
from epitaxy.checkpoints.model_files import load_model, model_folder, named_models
from epitaxy.checkpoints.relations import Relation
from epitaxy.core.errors import InputError, unknown
from epitaxy.core.files import cache_folder
from epitaxy.core.hashing import content_hash
from epitaxy.evaluation.feature_blocks import feature_blocks
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.folds import FOLDS, group_folds
from epitaxy.fitting.leaks import usable_sources
from epitaxy.fitting.problem import ANY, EXPECTED, SCRATCH, UNKNOWN, Problem
from epitaxy.models import ENCODERS
from epitaxy.models.encoder import Encoder
from epitaxy.recipes.data import read_targets
from epitaxy.structures.grouping import AUTO, Grouping, choose_grouping
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")
DESCRIPTORS = ("composition", "geometry", "springs")
"""Descriptors that need no optional package."""
PER_BOND = {"cgcnn": 1.5e-5, "cgat": 1e-4, "alignn": 1.5e-3}
"""Seconds of training per merged bond and epoch, on one core."""
WITHOUT = "constant"
"""The family that is always there."""


class Ready(NamedTuple):
    """A problem with what could not be used of the data."""

    problem: Problem
    dropped: tuple[Dropped, ...]
    weights: dict[str, str]
    """Name of a source -> hash of its weights."""
    told: tuple[str, ...]
    """Sentences about sources that know answers."""
    grouping: Grouping
    """What stays together in a fold."""


def chosen_families(candidates: str | Sequence[str]) -> list[str]:
    """Return the names of families, in the order of the registry.

    Raises:
        InputError: a name is not known.

    >>> chosen_families("descriptors")
    ['constant', 'descriptors']
    """
    given = candidates.split(",") if isinstance(candidates, str) else list(candidates)
    names = {name.strip() for name in given if name.strip()} or {"all"}
    for name in sorted(names - {"all"} - set(FAMILIES)):
        raise unknown("candidate", name, [*FAMILIES, "all"])
    return [n for n in FAMILIES if n in names or "all" in names or n == WITHOUT]


def read_labelled(
    data: str | Path | StructureTable, target: str, unit: str | None, group_by: str
) -> StructureTable:
    """Read the crystals, the target and a column of groups; rows without a value are kept."""
    table, _ = read_targets(data, [target], "physical", group_by, unit=unit)
    return table


def set_up(
    table: StructureTable,
    target: str,
    sources: str | Sequence[str | Path],
    seed: int,
    *,
    expect: str = UNKNOWN,
    trust_sources: bool = False,
    group_by: str = AUTO,
) -> Ready:
    """Describe and embed all labelled crystals and divide them into folds.

    Args:
        table: crystals.
        target: property to learn.
        sources: trained models from which may be transferred.
        seed: seed of everything random.
        expect: kind of crystals that will be predicted, of `EXPECTED` or `ANY`.
        trust_sources: see `usable_sources`.
        group_by: what stays together in a fold, see `choose_grouping`.

    Raises:
        InputError: there are too few usable crystals, a source is no model, or there is no such
            grouping.
    """
    has_label = np.isfinite(table.column(target))
    without = [Dropped(str(i), "no label") for i in table.ids[~has_label]]
    labelled = table.select(has_label)
    if expect not in (*EXPECTED, ANY):
        raise unknown("kind of crystals", expect, [*EXPECTED, ANY])
    found_sources = usable_sources(named_models(sources), labelled, target, trust=trust_sources)
    models = found_sources.models | found_sources.apart
    for name in set(models) & set(DESCRIPTORS):
        raise InputError(f"The source {models[name]!r} has the name of a descriptor; rename it.")
    loaded = {name: load_model(where) for name, where in models.items()}
    logger.info(
        "Describing %d crystals, and embedding them with %d models.", len(labelled), len(models)
    )
    found = feature_blocks(labelled, DESCRIPTORS, loaded, cache=cache_folder() / "graphs")
    usable = labelled.select(found.rows)
    kinds = found_sources.kinds[found.rows]
    grouping = choose_grouping(usable, group_by, fewest=2 * FOLDS)
    usable = read_table(usable, target=target)
    groups = np.asarray(grouping.labels)
    # Beside a row that is known, those of its group are not new either.
    known = np.isin(groups, groups[kinds == Relation.SAME])
    folds = group_folds(grouping.labels, seed, known, grouping.kind)
    speeds = {
        name: _speed(model.architecture, model.encoder, usable) for name, model in loaded.items()
    }
    scratch = ENCODERS[SCRATCH]()
    speeds[SCRATCH] = _speed(SCRATCH, scratch, usable)
    problem = Problem(
        usable,
        folds,
        found.values,
        found_sources.models,
        seed,
        speeds,
        apart=found_sources.apart,
        groups=grouping.labels,
        kinds=kinds,
        expected=expect,
    )
    weights = {
        name: content_hash((model_folder(where) / "model.safetensors").read_bytes())
        for name, where in models.items()
    }
    dropped = (*table.dropped, *without, *found.failures)
    return Ready(problem, dropped, weights, found_sources.told, grouping)


def _speed(architecture: str, encoder: Encoder, table: StructureTable) -> float:
    """Return the expected seconds per crystal and epoch of training a whole network."""
    store = build_inputs(table, encoder.recipe, encoder.needs, cache=cache_folder() / "graphs")
    bonds = float(store.n_bonds.mean()) if len(store) else 0.0
    return PER_BOND.get(architecture, max(PER_BOND.values())) * (bonds + 1)
