"""Fewer rows to learn from: the test part stays what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from epitaxy.core.errors import InputError
from epitaxy.recipes.running import as_list
from epitaxy.structures.sampling import sample
from epitaxy.structures.splits import Split
from epitaxy.structures.table import StructureTable
from epitaxy.studies.tables import labelled_table, seed_of, split_of


class Subset(BaseModel):
    """How many of the training rows are used, and which."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    size: int = Field(ge=1)
    """Training rows. The validation part shrinks in proportion."""
    sampling: Literal["random", "weighted", "uniform"] = "random"
    """How they are drawn, see `sample`; a larger subset of one seed contains the smaller ones."""
    seed: int | None = Field(default=None, ge=0)
    """Seed of the draw; that of the training when left out."""


def subset_split(subset: Subset, arguments: Mapping[str, Any]) -> Split:
    """Return the split of a run with fewer rows for training and validation.

    Args:
        subset: what to draw.
        arguments: those of the verb: ``data``, ``target``, ``split``, ``training`` and what is
            excluded.

    Raises:
        InputError: as the verb, or there are fewer rows than asked for.
    """
    seed = seed_of(arguments)
    names = as_list(arguments["target"])
    table = labelled_table(arguments)
    split = split_of(arguments, table)
    several = len(names) > 1 or names[0] not in table.properties
    if several and subset.sampling != "random":
        raise InputError(
            f"The sampling {subset.sampling!r} looks at the values of one property, but "
            f"{', '.join(names)} are to be learned; use 'random'."
        )

    def draw(part: tuple[str, ...], n: int) -> tuple[str, ...]:
        rows: StructureTable = table.select(table.rows_of(part))
        given = seed if subset.seed is None else subset.seed
        drawn = sample(rows, n, seed=given, method=subset.sampling, target=names[0])
        return tuple(str(i) for i in drawn.ids)

    share = subset.size / len(split.train)
    return Split(
        draw(split.train, subset.size),
        draw(split.val, max(1, round(len(split.val) * min(share, 1.0)))),
        split.test,
        allow_empty_test=not split.test,
    )
