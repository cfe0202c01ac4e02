"""What a run reads in a study: tables made by the study, some rows of a table, drawn splits."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from epitaxy.core.files import atomic_folder
from epitaxy.recipes.exclusions import resolve_targets, without_rows
from epitaxy.recipes.options import checked
from epitaxy.recipes.running import as_list
from epitaxy.structures.grouping import AUTO
from epitaxy.structures.merge_files import merge
from epitaxy.structures.reading import read_grouped, read_table
from epitaxy.structures.selecting import select, select_ids
from epitaxy.structures.splits import Split, random_split, resolve_split
from epitaxy.structures.table import Dropped, StructureTable
from epitaxy.studies.expanding import TABLE

logger = logging.getLogger("epitaxy")


class Selection(BaseModel):
    """Some rows of a table, where the materials of a table are excluded."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    data: str
    """Whatever `read_table` reads."""
    rows: str
    """File with the ids or row numbers, see `select_ids`."""

    def read(self) -> StructureTable:
        """Return these rows.

        Raises:
            InputError: the data or the rows cannot be read.
        """
        return select(read_table(self.data), self.rows)


class DrawnSplit(BaseModel):
    """A random split with parts of any size, or with test rows that are given."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    test: float | str = 0.1
    """Fraction of all rows, 0 for no test part; or a file with the test rows, see `select_ids`."""
    val: float = Field(default=0.1, gt=0, lt=1)
    """Fraction of all rows; where the test rows are given, of the others."""
    seed: int | None = Field(default=None, ge=0)
    """Seed of the draw; that of the training when left out."""

    def draw(self, table: StructureTable, *, seed: int, group_by: str = AUTO) -> Split:
        """Return the split of a table; ``group_by`` as in `choose_grouping`.

        Raises:
            InputError: the test rows cannot be read, a part would be empty, or there is no such
                grouping.
        """
        seed = seed if self.seed is None else self.seed
        if not isinstance(self.test, str):
            parts = (1 - self.val - self.test, self.val, self.test)
            return random_split(table, seed=seed, fractions=parts, group_by=group_by)
        test = select_ids(self.test, table)
        rest = table.select(~np.isin(table.ids, test))
        parts = (1 - self.val, self.val, 0.0)
        drawn = random_split(rest, seed=seed, fractions=parts, group_by=group_by)
        return Split(drawn.train, drawn.val, test, grouped_by=drawn.grouped_by)


def is_drawn(split: Any) -> bool:
    """Tell whether a split is described, and not listed.

    >>> is_drawn({"val": 0.2}), is_drawn({"train": ["a"], "val": ["b"]}), is_drawn("random")
    (True, False, False)
    """
    return isinstance(split, Mapping) and "train" not in split


def read_selections(excluded: Sequence[Any]) -> list[Any]:
    """Return what ``exclude_like`` means: descriptions of rows become tables.

    Raises:
        InputError: as `Selection.read`.
    """
    return [
        checked(Selection, entry, "exclude_like").read() if isinstance(entry, Mapping) else entry
        for entry in excluded
    ]


def labelled_table(arguments: Mapping[str, Any]) -> StructureTable:
    """Return the rows from which a run can learn: not excluded, and with a label.

    Args:
        arguments: those of the verb.

    Raises:
        InputError: as the verb.
    """
    excluded = arguments.get("exclude_property", ())
    read, names = resolve_targets(arguments["data"], as_list(arguments["target"]), excluded)
    table = read_grouped(read, names, arguments.get("group_by", AUTO))
    table = without_rows(table, arguments.get("exclude_rows"), arguments.get("exclude_like", ()))
    known = np.isfinite(np.stack([table.column(name) for name in names], axis=1)).any(axis=1)
    # A published split may name rows without a label: the table says that they were dropped.
    without = [Dropped(str(i), "no label") for i in table.ids[~known]]
    return table.select(known).with_dropped((*table.dropped, *without))


def split_of(arguments: Mapping[str, Any], table: StructureTable) -> Split:
    """Return the whole split of a run.

    Raises:
        InputError: as `resolve_split` and `DrawnSplit.draw`.
    """
    seed, group_by = seed_of(arguments), arguments.get("group_by", AUTO)
    split = arguments.get("split", "random")
    if is_drawn(split):
        return checked(DrawnSplit, split, "split").draw(table, seed=seed, group_by=group_by)
    return resolve_split(split, table, seed=seed, group_by=group_by)


def seed_of(arguments: Mapping[str, Any]) -> int:
    """Return the seed of a training."""
    return int((arguments.get("training") or {}).get("seed", 0))


def merge_tables(
    data: Sequence[str], out: str | Path, *, by: str = "structure", keep: str = "refuse"
) -> None:
    """Join data sets into a table that runs of a study can read.

    Args:
        data: as in `merge`: ``NAME=DATA`` or ``NAME=DATA:PROPERTY``.
        out: folder to write: ``table.parquet`` and the list of what was joined.
        by: ``structure`` or ``id``.
        keep: ``first``, ``mean`` or ``refuse``, where values of one property differ.

    Raises:
        InputError: as `merge`.
    """
    with atomic_folder(out) as folder:
        merged = merge(data, folder / TABLE, by=by, keep=keep)
    logger.info("%d data sets were joined to %d crystals.", len(data), len(merged.table))
