"""Which rows are the same material: `materials` within one table, `same_material` between two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from epitaxy.core.hashing import content_hash
from epitaxy.structures.comparing import DEFAULT_RULE, Block, MatchRule, matching_pairs
from epitaxy.structures.table import StructureTable


def materials(
    table: StructureTable, *, rule: MatchRule = DEFAULT_RULE, workers: int | None = None
) -> np.ndarray:
    """Number the materials of a table; rows with the same number are the same material.

    Two rows are joined when `rule` finds them equal, in either direction, and so are all rows of a
    chain of joined rows. Which rows belong together does not depend on their order.

    Args:
        table: B crystals.
        rule: what counts as equal.
        workers: processes; by default one per core (at most 8) when the work is worth it.

    Returns:
        (B,) int64 numbers from 0, in the order in which the materials first appear.

    >>> twice = StructureTable.from_arrays(
    ...     ids=["small", "large", "other"], lattices=[np.eye(3) * 4.1, np.eye(3) * 4.2, np.eye(3)],
    ...     atomic_numbers=[[55, 17], [55, 17], [2]],
    ...     frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]], [[0.5, 0, 0], [0, 0.5, 0.5]], [[0, 0, 0]]])
    >>> materials(twice)
    array([0, 0, 1])
    """
    classes = identical(table, _repeated(table.formulas))
    blocks = [Block(rows, None, 0, len(rows)) for rows in _per_formula(table, classes)]
    edges = [(rows[0], row) for rows in classes for row in rows[1:]]
    edges += matching_pairs(table, blocks, rule, workers)
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(len(table), len(table)))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbers: np.ndarray = rank[inverse]
    return numbers


def same_material(
    table: StructureTable,
    other: StructureTable,
    *,
    rule: MatchRule = DEFAULT_RULE,
    workers: int | None = None,
) -> np.ndarray:
    """Tell which rows of ``table`` are the same material as any row of ``other``.

    Each row is compared with the rows of ``other`` only, so that the answer for it does not depend
    on the rest of ``table``.

    Args:
        table: B crystals that are asked about.
        other: the crystals to look for, for example the rows that a model is tested on.
        rule: what counts as equal.
        workers: processes; by default one per core (at most 8) when the work is worth it.

    Returns:
        (B,) bool.
    """
    both = stack([table, other])
    formulas = both.formulas
    shared = set(formulas[: len(table)]) & set(formulas[len(table) :])
    rows = [row for row, formula in enumerate(formulas) if formula in shared]
    found = np.zeros(len(both), dtype=bool)
    known = np.arange(len(both)) >= len(table)
    classes = identical(both, rows)
    representatives = np.zeros(len(both), dtype=bool)
    for members in classes:
        representatives[members[0]] = known[members].any()
        found[members] = representatives[members[0]]
    blocks = []
    for block in _per_formula(both, classes):
        side = representatives[block]
        if side.any() and not side.all():
            blocks.append(Block(block, side, 0, len(block)))
    for pair in matching_pairs(both, blocks, rule, workers):
        found[list(pair)] = True
    for members in classes:
        found[members] = found[members[0]]
    return found[: len(table)]


def stack(tables: Sequence[StructureTable]) -> StructureTable:
    """Put the structures of several tables into one, without properties; ids are row numbers."""
    counts = np.concatenate([table.n_atoms for table in tables])
    return StructureTable(
        ids=np.arange(len(counts)).astype(str).astype(object),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        lattices=np.concatenate([table.lattices for table in tables]),
        atomic_numbers=np.concatenate([table.atomic_numbers for table in tables]),
        frac_coords=np.concatenate([table.frac_coords for table in tables]),
    )


def row_hash(table: StructureTable, row: int) -> str:
    """Return a hash of the cell and the atoms of one row as they are written."""
    atoms = slice(table.offsets[row], table.offsets[row + 1])
    return content_hash(table.lattices[row], table.atomic_numbers[atoms], table.frac_coords[atoms])


def identical(table: StructureTable, rows: Iterable[int]) -> list[list[int]]:
    """Collect rows with the same cell and atoms up to rounding (about 0.001 Å).

    Every row of ``rows`` stands in one list; the first of a list does not depend on the order.
    """
    classes: dict[tuple[bytes, ...], list[int]] = {}
    for row in rows:
        classes.setdefault(_rounded(table, row), []).append(row)
    return [
        sorted(c, key=lambda row: row_hash(table, row)) if len(c) > 1 else c
        for c in classes.values()
    ]


def _rounded(table: StructureTable, row: int) -> tuple[bytes, ...]:
    """Return what identical rows share: orientation, order of atoms and noise do not count."""
    atoms = slice(table.offsets[row], table.offsets[row + 1])
    lattice, numbers = table.lattices[row], table.atomic_numbers[atoms]
    lengths = np.linalg.norm(lattice, axis=1)
    cosines = (lattice @ lattice.T / np.outer(lengths, lengths))[[0, 0, 1], [1, 2, 2]]
    # Adding 0 turns -0 into 0.
    shape = np.concatenate([np.round(lengths, 3), np.round(cosines, 4)]) + 0.0
    coords = np.round(table.frac_coords[atoms], 4) % 1 + 0.0
    order = np.lexsort((*coords.T, numbers))
    return shape.tobytes(), numbers[order].tobytes(), coords[order].tobytes()


def _repeated(formulas: Sequence[str]) -> list[int]:
    """Return the rows whose formula stands in more than one row."""
    _, inverse, counts = np.unique(
        np.array(formulas, dtype=str), return_inverse=True, return_counts=True
    )
    rows: list[int] = np.flatnonzero(counts[inverse] > 1).tolist()
    return rows


def _per_formula(table: StructureTable, classes: list[list[int]]) -> list[np.ndarray]:
    """Return the first row of each class in blocks of equal formula."""
    blocks: dict[str, list[int]] = {}
    for members in classes:
        blocks.setdefault(table.formulas[members[0]], []).append(members[0])
    return [np.array(rows) for rows in blocks.values() if len(rows) > 1]
