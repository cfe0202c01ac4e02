"""One table of several, joined by structure or by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.comparing import DEFAULT_RULE, MatchRule
from epitaxy.structures.matching import identical, materials, row_hash, stack
from epitaxy.structures.table import Dropped, StructureTable

BY = ("structure", "id")
KEEP = ("first", "mean", "refuse")
TOLERANCE = 1e-6
"""Values that differ by less, relatively, are the same value."""


class Conflict(NamedTuple):
    """Several rows of one material have different values of one property."""

    id: str
    property: str
    values: tuple[float, ...]


class MergedRow(NamedTuple):
    """A row that went into another one."""

    id: str
    """Id of the crystal in the merged table."""
    kept_table: str
    kept_id: str
    """Table of the structure that is kept, and its id there."""
    table: str
    row_id: str
    """Table of the row that went into it, and its id there."""
    how: str
    """``identical`` or ``similar`` structure, or equal ``id``."""


class Merged(NamedTuple):
    """What `merge_tables` returns."""

    table: StructureTable
    conflicts: tuple[Conflict, ...]
    rows: tuple[MergedRow, ...]


class _Rows(NamedTuple):
    """All rows of all tables, R in number, one table after the other."""

    names: list[str]
    """Names of the tables."""
    tables: list[StructureTable]
    crystals: StructureTable
    table_of: np.ndarray
    """(R,) number of the table."""
    ids: list[str]
    """(R,) ids in their own tables."""


def merge_tables(
    tables: Sequence[StructureTable] | Mapping[str, StructureTable],
    *,
    by: str = "structure",
    keep: str = "refuse",
    rule: MatchRule = DEFAULT_RULE,
    workers: int | None = None,
) -> Merged:
    """Join rows that are the same material: one structure is kept, all labels are united.

    The kept structure is that of the first table; within a table that of the smallest cell, then
    of the smallest hash of its content, so that the order of rows does not matter. Properties of
    equal name are the same property. An id that stands in several tables and is not the same
    material in all of them gets the name of its table in front (``a:7``).

    Args:
        tables: tables, or name -> table; without names they are called ``1``, ``2`` and so on.
        by: ``structure`` (also within one table) or ``id``.
        keep: what happens to differing values of one property: ``first``, ``mean`` or ``refuse``.
        rule: by structure, how much two structures may differ.
        workers: processes; by default one per core when the work is worth it.

    Raises:
        InputError: a property has different units or functionals, values differ and ``keep`` is
            ``refuse``, or (by id) an id has different compositions.
    """
    if keep not in KEEP:
        raise unknown("rule for conflicts (keep)", keep, KEEP)
    merged = join(tables, by=by, keep=keep, rule=rule, workers=workers)
    if merged.conflicts and keep == "refuse":
        raise refusal(merged.conflicts)
    return merged


def refusal(conflicts: Sequence[Conflict], place: str = "") -> InputError:
    """Build the error for values that differ; ``place`` says where all of them are listed."""
    first = conflicts[0]
    values = ", ".join(f"{v:g}" for v in first.values)
    return InputError(
        f"{len(conflicts)} values differ between rows that are joined, first {first.property!r} of "
        f"{first.id!r}: {values}{place}; keep 'first' or 'mean', or give different properties "
        "different names (NAME=FILE)."
    )


def join(
    tables: Sequence[StructureTable] | Mapping[str, StructureTable],
    *,
    by: str,
    keep: str,
    rule: MatchRule = DEFAULT_RULE,
    workers: int | None = None,
) -> Merged:
    """As `merge_tables`, but conflicts never raise: ``refuse`` does what ``first`` does."""
    if by not in BY:
        raise unknown("way to join rows (by)", by, BY)
    if len(tables) < (2 if by == "id" else 1):
        raise InputError(f"Merging by {by} needs at least two tables, not {len(tables)}.")
    named = tables if isinstance(tables, Mapping) else _numbered(tables)
    rows = _rows(named)
    properties = _united_properties(rows.tables)
    repeated = _repeated_ids(rows)
    labels = (
        _ids_as_labels(rows) if by == "id" else materials(rows.crystals, rule=rule, workers=workers)
    )
    groups = _groups(rows, labels)
    names = _names(rows, groups, repeated)
    values: dict[str, np.ndarray] = {}
    conflicts: list[Conflict] = []
    for name in properties:
        values[name], found = _united_values(_column(rows, name), groups, names, keep)
        conflicts += [Conflict(crystal, name, several) for crystal, several in found]
    kept = rows.crystals.select([group[0] for group in groups])
    table = StructureTable(
        ids=np.array(names, dtype=object),
        offsets=kept.offsets,
        lattices=kept.lattices,
        atomic_numbers=kept.atomic_numbers,
        frac_coords=kept.frac_coords,
        values=values,
        properties=properties,
        dropped=_dropped(rows, by, repeated),
    )
    return Merged(table, tuple(conflicts), _merged_rows(rows, groups, names, by))


def _numbered(tables: Sequence[StructureTable]) -> dict[str, StructureTable]:
    return {str(number): table for number, table in enumerate(tables, 1)}


def _rows(tables: Mapping[str, StructureTable]) -> _Rows:
    several = list(tables.values())
    return _Rows(
        names=list(tables),
        tables=several,
        crystals=stack(several),
        table_of=np.repeat(np.arange(len(several)), [len(table) for table in several]),
        ids=[str(i) for table in several for i in table.ids],
    )


def _united_properties(tables: Sequence[StructureTable]) -> dict[str, PropertySpec]:
    united: dict[str, PropertySpec] = {}
    for table in tables:
        for name, spec in table.properties.items():
            known = united.setdefault(name, spec)
            if known.unit and spec.unit and known.unit != spec.unit:
                raise InputError(
                    f"Property {name!r} is in {known.unit!r} in one table and in {spec.unit!r} in "
                    "another; convert one of them first, or rename it (NAME=FILE)."
                )
            if known.functional != spec.functional and known.functional and spec.functional:
                raise InputError(
                    f"Property {name!r} is of {known.functional} in one table and of "
                    f"{spec.functional} in another, which are two fidelities: name each "
                    "(NAME=FILE:PROPERTY)."
                )
            if known.classes != spec.classes:
                raise InputError(
                    f"Property {name!r} is of the classes {known.classes} in one table and "
                    f"{spec.classes} in another; rename it in one of them (NAME=FILE)."
                )
            if spec.unit and not known.unit:
                united[name] = spec
    return united


def _repeated_ids(rows: _Rows) -> dict[str, set[int]]:
    """Return the ids that stand in several tables, rows that were dropped included.

    Raises:
        InputError: such an id with the name of its table is an id itself.
    """
    homes: dict[str, set[int]] = {}
    for name, number in zip(rows.ids, rows.table_of.tolist(), strict=True):
        homes.setdefault(name, set()).add(number)
    for number, table in enumerate(rows.tables):
        for entry in table.dropped:
            homes.setdefault(entry.id, set()).add(number)
    several = {name: where for name, where in homes.items() if len(where) > 1}
    for name, where in several.items():
        for number in where:
            full = f"{rows.names[number]}:{name}"
            if full in homes:
                raise InputError(
                    f"The id {name!r} stands in several tables and would become {full!r}, which "
                    "is an id too; rename one of them."
                )
    return several


def _ids_as_labels(rows: _Rows) -> np.ndarray:
    """Return (R,) equal numbers for equal ids.

    Raises:
        InputError: an id has different compositions.
    """
    first: dict[str, int] = {}
    labels = np.array([first.setdefault(name, row) for row, name in enumerate(rows.ids)])
    formulas = rows.crystals.formulas
    for row, label in enumerate(labels.tolist()):
        if formulas[row] != formulas[label]:
            raise InputError(
                f"The id {rows.ids[row]!r} is {formulas[label]} in one table and {formulas[row]} "
                "in another; by id, ids must mean the same crystal everywhere: rename one, or join "
                "by structure."
            )
    return labels


def _groups(rows: _Rows, labels: np.ndarray) -> list[list[int]]:
    """Return the rows of each material, the kept one first; materials by their kept rows."""
    groups: dict[int, list[int]] = {}
    for row, label in enumerate(labels.tolist()):
        groups.setdefault(label, []).append(row)
    n_atoms = rows.crystals.n_atoms

    def rank(row: int) -> tuple[int, int, str, str]:
        content = row_hash(rows.crystals, row)
        return int(rows.table_of[row]), int(n_atoms[row]), content, rows.ids[row]

    ranked = [sorted(g, key=rank) if len(g) > 1 else g for g in groups.values()]
    return sorted(ranked, key=lambda group: group[0])


def _names(rows: _Rows, groups: list[list[int]], repeated: Mapping[str, set[int]]) -> list[str]:
    """Return an id per group: that of the kept row, with its table where it has two meanings."""
    times = Counter(rows.ids)
    names = []
    for group in groups:
        name = rows.ids[group[0]]
        here = sum(rows.ids[row] == name for row in group)
        table = rows.names[rows.table_of[group[0]]]
        names.append(f"{table}:{name}" if name in repeated and here < times[name] else name)
    return names


def _column(rows: _Rows, name: str) -> np.ndarray:
    """Return the (R,) values of a property, NaN where a table does not know it."""
    parts = [t.values.get(name, np.full(len(t), np.nan)) for t in rows.tables]
    column: np.ndarray = np.concatenate(parts)
    return column


def _united_values(
    column: np.ndarray, groups: list[list[int]], names: list[str], keep: str
) -> tuple[np.ndarray, list[tuple[str, tuple[float, ...]]]]:
    """Return ``((B,) values, (id, values) of each conflict)`` of one property."""
    values = column[[group[0] for group in groups]]
    conflicts = []
    for number, group in enumerate(groups):
        if len(group) == 1:
            continue
        several = [v for v in column[group].tolist() if np.isfinite(v)]
        if not several:
            continue
        differ = not np.allclose(several, several[0], rtol=TOLERANCE, atol=0)
        values[number] = np.mean(several) if differ and keep == "mean" else several[0]
        if differ:
            conflicts.append((names[number], tuple(several)))
    return values, conflicts


def _dropped(rows: _Rows, by: str, repeated: Mapping[str, set[int]]) -> tuple[Dropped, ...]:
    """Return what the tables could not use; by id, only ids that no table could use."""
    entries = [(n, d) for n, t in zip(rows.names, rows.tables, strict=True) for d in t.dropped]
    if by == "id":
        known = set(rows.ids)
        return tuple({d.id: d for _, d in entries if d.id not in known}.values())
    return tuple(
        Dropped(f"{table}:{d.id}" if d.id in repeated else d.id, d.reason) for table, d in entries
    )


def _merged_rows(
    rows: _Rows, groups: list[list[int]], names: list[str], by: str
) -> tuple[MergedRow, ...]:
    merged = []
    for name, group in zip(names, groups, strict=True):
        if len(group) == 1:
            continue
        same = {row: min(c) for c in identical(rows.crystals, group) for row in c}
        for row in group[1:]:
            similar = "identical" if same[row] == same[group[0]] else "similar"
            merged.append(
                MergedRow(
                    id=name,
                    kept_table=rows.names[rows.table_of[group[0]]],
                    kept_id=rows.ids[group[0]],
                    table=rows.names[rows.table_of[row]],
                    row_id=rows.ids[row],
                    how="id" if by == "id" else similar,
                )
            )
    return tuple(merged)
