"""From what the user names to rows, graphs and scaled labels."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from epitaxy.batches.inputs import Needs, build_inputs
from epitaxy.batches.loader import CrystalLoader
from epitaxy.batches.scalers import SOURCE, Scaling, TargetScaler, Transform
from epitaxy.checkpoints.learned import Learned
from epitaxy.core.errors import InputError, unknown
from epitaxy.core.files import cache_folder
from epitaxy.core.outputs import output_file
from epitaxy.core.properties import PropertySpec
from epitaxy.core.tables import cell_text
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import GraphStore
from epitaxy.structures.published import published_unit
from epitaxy.structures.reading import read_grouped, read_table
from epitaxy.structures.splits import Split, resolve_split
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")
PARTS = ("train", "val", "test")
Units = Literal["physical", "published"]
"""Scales on which errors are told; those of the papers are in addition to the physical ones."""


@dataclass(frozen=True)
class Labelled:
    """A table cut down to rows with at least one label, split, with graphs."""

    table: StructureTable
    specs: dict[str, PropertySpec]
    split: Split
    store: GraphStore
    dropped: tuple[Dropped, ...]
    source_scalers: Mapping[str, TargetScaler] = field(default_factory=dict)
    """Property -> scaler of the model that is carried over, where there is one."""
    inherited: Learned = field(default_factory=Learned)
    """What the models have learned from which a training starts."""
    split_name: str = "given"
    """How the split was asked for, where it has a name."""

    def ids(self, part: str) -> list[str]:
        """Return the ids of a part that have a graph, in the order of the split."""
        failed = {d.id for d in self.store.failures}
        return [i for i in getattr(self.split, part) if i not in failed]

    def labels(self, part: str) -> np.ndarray:
        """Return (n, P) labels of a part in physical units, NaN where not known."""
        rows = self.table.rows_of(self.ids(part))
        return np.stack([self.table.values[name][rows] for name in self.specs], axis=1)

    def learned(self) -> Learned:
        """Return the labels of training and validation, and what is inherited."""
        ids = [*self.ids("train"), *self.ids("val")]
        labels = np.concatenate([self.labels("train"), self.labels("val")])
        seen = self.table.select(self.table.rows_of(ids))
        return Learned.of_table(seen, labels, list(self.specs)) | self.inherited

    def fit_scalers(self, scaling: str) -> dict[str, TargetScaler]:
        """Fit one scaler per property on the training part, or take those of the source model.

        Raises:
            InputError: transform or scaling is not known, or does not suit labels or model.
        """
        scalers = self._kept_scalers() if scaling == SOURCE else self._fitted_scalers(scaling)
        if not np.isfinite(self.scaled_labels("val", scalers)).any():
            raise InputError(
                "The val part of the split has no value for which the transform is defined; use "
                "another split, or the transform 'identity'."
            )
        return scalers

    def _fitted_scalers(self, scaling: str) -> dict[str, TargetScaler]:
        how: Scaling = _one_of("scaling", scaling, Scaling)
        labels = self._zero_filled() if how == "zero-filled" else self.labels("train")
        return {
            name: TargetScaler.fit(
                labels[:, p],
                name=name,
                transform=_one_of("transform", spec.transform, Transform),
                scaling=how,
            )
            for p, (name, spec) in enumerate(self.specs.items())
        }

    def _kept_scalers(self) -> dict[str, TargetScaler]:
        for name, spec in self.specs.items():
            if name not in self.source_scalers:
                raise InputError(
                    f"The scaling {SOURCE!r} of {name!r} keeps the constants of a model, but "
                    "none is fine-tuned here; use standardise, min-max or none."
                )
            kept = self.source_scalers[name].transform
            if kept != spec.transform:
                raise InputError(
                    f"The scaling {SOURCE!r} keeps the scale {kept!r} of the source model, but "
                    f"{name!r} is learned on {spec.transform!r}; give the same transform, or "
                    "another scaling."
                )
        return dict(self.source_scalers)

    def _zero_filled(self) -> np.ndarray:
        """Return (rows of the table, P) labels, zero outside training and validation."""
        labels = np.zeros((len(self.table), len(self.specs)))
        rows = self.table.rows_of([*self.ids("train"), *self.ids("val")])
        labels[rows] = np.concatenate([self.labels("train"), self.labels("val")])
        return labels

    def scaled_labels(self, part: str, scalers: dict[str, TargetScaler]) -> np.ndarray:
        """Return (n, P) labels of a part on the learning scale, NaN where not known."""
        labels = self.labels(part)
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = [scalers[n].forward(labels[:, p]) for p, n in enumerate(self.specs)]
        targets = np.stack(scaled, axis=1)
        # A label outside the domain of the transform is no label.
        targets[~np.isfinite(targets)] = np.nan
        return targets

    def loader(
        self,
        part: str,
        scalers: dict[str, TargetScaler],
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        temperature: float | None = None,
        bins: int | None = None,
    ) -> CrystalLoader:
        """Return a loader over a part with labels on the learning scale."""
        return CrystalLoader(
            self.store,
            self.store.subset(self.ids(part)).rows,
            self.scaled_labels(part, scalers),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            temperature=temperature,
            bins=bins,
        )


def write_dropped(path: Path, dropped: Iterable[Dropped]) -> None:
    """Write what could not be used as CSV (``id``, ``reason``), all or nothing."""
    rows = [("id", "reason"), *([cell_text(part) for part in entry] for entry in dropped)]
    with output_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def composition_groups(table: StructureTable) -> dict[str, str]:
    """Return id -> composition, of crystals whose errors are alike; id -> id where there is one.

    Crystals of a single composition would be a single group, of which nothing can be told.
    """
    ids = table.ids.astype(str).tolist()
    several = len(set(table.formulas)) > 1
    return dict(zip(ids, table.formulas if several else ids, strict=True))


def data_name(data: str | Path | StructureTable) -> str:
    """Return what a run remembers of where its data came from."""
    if isinstance(data, StructureTable):
        return f"a table of {len(data)} crystals, hash {data.hash}"
    return str(data)


def read_targets(
    data: str | Path | StructureTable,
    targets: Sequence[str],
    units: str,
    group_by: str,
    *,
    unit: str | None = None,
    transform: str | None = None,
) -> tuple[StructureTable, dict[str, float]]:
    """Read the crystals and the target properties; unit and transform are set where given.

    The column by which rows are grouped, if any, is kept behind the targets.

    Returns:
        The table; and property -> physical units per 1.0 on the published scale, empty unless
        ``units`` is ``published``.

    Raises:
        InputError: as `read_table`; or the published scale is asked for and cannot be found.
    """
    per_unit: dict[str, float] = {}
    if _one_of("units", units, Units) == "published":
        data = read_table(data)
        per_unit = {name: published_unit(data, name) for name in targets}
    table = read_grouped(data, targets, group_by)
    changes = {"unit": unit, "transform": transform}
    given = {key: value for key, value in changes.items() if value is not None}
    for name in targets if given else ():
        spec = table.properties[name].model_dump() | given
        table = table.with_property(PropertySpec(**spec), table.column(name))
    return table, per_unit


def prepare(
    table: StructureTable,
    targets: Sequence[str],
    split: str | Path | Split | Mapping[str, Any],
    group_by: str,
    recipe: GraphRecipe,
    *,
    seed: int,
    needs: Needs | None = None,
) -> Labelled:
    """Select the labelled rows, split them and build (or reopen) their graphs.

    ``needs`` is what a model reads beside the graphs of ``recipe``; ``group_by`` is as in
    `choose_grouping`.

    Raises:
        InputError: a target is missing, or a part of the split is empty.
    """
    columns = np.stack([table.column(name) for name in targets], axis=1)
    known = np.isfinite(columns).any(axis=1)
    without = tuple(Dropped(str(i), "no label") for i in table.ids[~known])
    if without:
        logger.info("%d of %d crystals have no label and are left out.", len(without), len(table))
    # A published split may name rows without a label: the table says that they were dropped.
    labelled = table.select(known).with_dropped((*table.dropped, *without))
    resolved = resolve_split(split, labelled, seed=seed, group_by=group_by)
    store = build_inputs(labelled, recipe, needs or {}, cache=cache_folder() / "graphs")
    if store.failures:
        first = store.failures[0]
        logger.warning(
            "%d crystals have no graph and are left out, first %s: %s",
            len(store.failures),
            first.id,
            first.reason,
        )
    data = Labelled(
        labelled,
        {name: table.properties[name] for name in targets},
        resolved,
        store,
        (*labelled.dropped, *store.failures),
        split_name=str(split) if isinstance(split, str | Path) else "given",
    )
    for part in PARTS:
        # A split may have been made without a test part on purpose.
        if not data.ids(part) and (part != "test" or resolved.test):
            raise InputError(f"The {part} part of the split has no usable crystal; split again.")
    return data


def _one_of(kind: str, name: str, names: Any) -> Any:
    """Return ``name`` if it is one of a `Literal`."""
    if name not in get_args(names):
        raise unknown(kind, name, get_args(names))
    return name
