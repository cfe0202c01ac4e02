"""What a training must not see: properties, rows, and materials of another table."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError, suggestion
from epitaxy.recipes.data import data_name
from epitaxy.structures.matching import same_material
from epitaxy.structures.published import SUFFIX
from epitaxy.structures.reading import read_table
from epitaxy.structures.selecting import Rows, select_ids
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")
PATTERN = set("*?[")


def choose_targets(
    targets: Sequence[str], known: Sequence[str], excluded: Sequence[str] = ()
) -> list[str]:
    """Return the properties to learn, in the order of the table where a pattern names them.

    Args:
        targets: names, or patterns such as ``*``, which leave out columns NAME_published.
        known: properties of the table.
        excluded: names that are taken out again.

    Raises:
        InputError: a pattern fits nothing, an excluded name is not known, or nothing is left.

    >>> choose_targets(["*"], ["gap", "shear", "gap_published"], ["shear"])
    ['gap']
    """
    for name in excluded:
        if name not in known:
            raise InputError(
                f"The property {name!r} cannot be excluded, the table has only "
                f"{', '.join(known)}.{suggestion(name, list(known))}"
            )
    chosen: list[str] = []
    for target in targets:
        found = [target]
        if target not in known and set(target) & PATTERN:
            shown = [name for name in known if not name.endswith(SUFFIX)]
            found = fnmatch.filter(shown, target)
            if not found:
                raise InputError(f"No property fits {target!r}; the table has {', '.join(known)}.")
        chosen += [name for name in found if name not in excluded and name not in chosen]
    if not chosen:
        raise InputError("No property is left to learn; exclude fewer.")
    return chosen


def resolve_targets(
    data: str | Path | StructureTable, targets: Sequence[str], excluded: Sequence[str]
) -> tuple[str | Path | StructureTable, list[str]]:
    """Return the data, read if that was necessary, and the properties to learn.

    Raises:
        InputError: as `read_table` and `choose_targets`.
    """
    if not excluded and not any(set(target) & PATTERN for target in targets):
        return data, list(targets)
    table = read_table(data)
    quantities = [name for name, spec in table.properties.items() if not spec.classes]
    return table, choose_targets(targets, quantities, excluded)


def exclusion_settings(
    rows: Rows | None, like: Sequence[str | Path | StructureTable]
) -> dict[str, dict[str, Any]]:
    """Return what config.yaml says of left out crystals; nothing without."""
    if rows is None and not like:
        return {}
    named = str(rows) if isinstance(rows, str | Path) else f"{len(rows or ())} ids"
    return {"excluded": {"rows": named, "like": [data_name(other) for other in like]}}


def without_rows(
    table: StructureTable,
    rows: Rows | None = None,
    like: Sequence[str | Path | StructureTable] = (),
) -> StructureTable:
    """Return the table without some rows, which are listed as dropped.

    Args:
        table: crystals.
        rows: as in `select_ids`; None for none.
        like: tables whose materials must not occur, see `same_material`.

    Raises:
        InputError: something cannot be read, or nothing is left.
    """
    gone = {} if rows is None else dict.fromkeys(select_ids(rows, table), "excluded by its id")
    for other in like:
        name = data_name(other)
        same = same_material(table, read_table(other))
        reason = f"excluded as a material of {name}"
        gone |= {str(i): reason for i in table.ids[same] if str(i) not in gone}
        logger.info("%d crystals are materials of %s and are left out.", int(same.sum()), name)
    if not gone:
        return table
    kept = np.array([str(i) not in gone for i in table.ids])
    if not kept.any():
        raise InputError(f"All {len(table)} crystals are excluded; exclude fewer.")
    dropped = [Dropped(name, reason) for name, reason in gone.items()]
    return table.select(kept).with_dropped((*table.dropped, *dropped))
