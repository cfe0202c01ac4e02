"""One table of several, joined by id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.table import StructureTable

KEEP = ("first", "mean", "refuse")
TOLERANCE = 1e-6
"""Values that differ by less, relatively, are the same value."""


class Conflict(NamedTuple):
    """Two tables know different values of one property of one crystal."""

    id: str
    property: str
    values: tuple[float, ...]


def merge_tables(
    tables: Sequence[StructureTable], *, keep: str = "refuse"
) -> tuple[StructureTable, tuple[Conflict, ...]]:
    """Join tables by id: the first structure of an id is kept, its labels are united.

    Args:
        tables: at least two tables.
        keep: what happens to differing values of one property: ``first``, ``mean`` or ``refuse``.

    Returns:
        ``(table, conflicts)``; conflicts were resolved as ``keep`` says.

    Raises:
        InputError: an id has different compositions, a property has different units, or values
            differ and ``keep`` is ``refuse``.
    """
    if keep not in KEEP:
        raise unknown("rule for conflicts (keep)", keep, KEEP)
    if len(tables) < 2:
        raise InputError(f"Merging needs at least two tables, not {len(tables)}.")
    properties = _united_properties(tables)
    row_of: dict[str, int] = {}
    origin: dict[str, tuple[int, int]] = {}
    for number, table in enumerate(tables):
        for row, name in enumerate(table.ids):
            if name not in row_of:
                row_of[name] = len(row_of)
                origin[name] = (number, row)
            else:
                _same_composition(name, tables, origin[name], (number, row))
    values, conflicts = {}, []
    for name in properties:
        values[name], found = _united_values(name, tables, row_of, keep)
        conflicts += found
    if conflicts and keep == "refuse":
        first = conflicts[0]
        raise InputError(
            f"{len(conflicts)} values differ between the tables, first {first.property!r} of "
            f"{first.id!r}: {', '.join(f'{v:g}' for v in first.values)}; keep 'first' or 'mean'."
        )
    taken = {d.id: d for table in tables for d in table.dropped if d.id not in row_of}
    merged = StructureTable.from_arrays(
        ids=list(row_of),
        **_structures(tables, origin),
        values=values,
        properties=properties,
        dropped=taken.values(),
    )
    return merged, tuple(conflicts)


def _united_properties(tables: Sequence[StructureTable]) -> dict[str, PropertySpec]:
    united: dict[str, PropertySpec] = {}
    for table in tables:
        for name, spec in table.properties.items():
            known = united.setdefault(name, spec)
            if known.unit and spec.unit and known.unit != spec.unit:
                raise InputError(
                    f"Property {name!r} is in {known.unit!r} in one table and in {spec.unit!r} in "
                    "another; convert one of them first, or rename it."
                )
            if spec.unit and not known.unit:
                united[name] = spec
    return united


def _same_composition(
    name: str, tables: Sequence[StructureTable], one: tuple[int, int], two: tuple[int, int]
) -> None:
    formulas = [tables[number].formulas[row] for number, row in (one, two)]
    if formulas[0] != formulas[1]:
        raise InputError(
            f"The id {name!r} is {formulas[0]} in one table and {formulas[1]} in another; ids must "
            "mean the same crystal everywhere: rename one."
        )


def _united_values(
    name: str, tables: Sequence[StructureTable], row_of: dict[str, int], keep: str
) -> tuple[np.ndarray, list[Conflict]]:
    """Return ``((B,) values, conflicts)`` of one property."""
    found: dict[str, list[float]] = {}
    for table in tables:
        if name not in table.values:
            continue
        for crystal, value in zip(table.ids, table.values[name].tolist(), strict=True):
            if np.isfinite(value):
                found.setdefault(crystal, []).append(value)
    values = np.full(len(row_of), np.nan)
    conflicts = []
    for crystal, several in found.items():
        differ = not np.allclose(several, several[0], rtol=TOLERANCE, atol=0)
        values[row_of[crystal]] = np.mean(several) if differ and keep == "mean" else several[0]
        if differ:
            conflicts.append(Conflict(crystal, name, tuple(several)))
    return values, conflicts


def _structures(
    tables: Sequence[StructureTable], origin: dict[str, tuple[int, int]]
) -> dict[str, list[np.ndarray]]:
    lattices, numbers, coords = [], [], []
    for table_number, row in origin.values():
        table = tables[table_number]
        atoms = slice(table.offsets[row], table.offsets[row + 1])
        lattices.append(table.lattices[row])
        numbers.append(table.atomic_numbers[atoms])
        coords.append(table.frac_coords[atoms])
    return {"lattices": lattices, "atomic_numbers": numbers, "frac_coords": coords}
