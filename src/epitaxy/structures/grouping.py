"""Rows that must stay together when a table is divided."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from epitaxy.core.elements import SYMBOLS
from epitaxy.core.errors import InputError, suggestion
from epitaxy.core.seeds import generator
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")
AUTO, FORMULA, STRUCTURE, NONE = "auto", "formula", "structure", "none"
ENOUGH = 20
"""Groups with which parts and folds of any size can be drawn; of few rows, half as many."""
LARGEST = 1 / 3
"""Part of all rows that one group may have: a fold should not be much larger than the others."""
FEWEST = 3
"""Groups without which there are no three parts."""


class Grouping(NamedTuple):
    """Which of n rows stay together."""

    by: str
    """formula, system, prototype, structure, none, or the name of a column."""
    labels: list[str]
    """(n,): rows with equal labels are a group."""
    sentence: str
    """What was chosen and why."""

    @property
    def sizes(self) -> list[int]:
        """Rows of each group, the largest first."""
        return sorted(Counter(self.labels).values(), reverse=True)

    @property
    def kind(self) -> str:
        """What the groups are, in words."""
        words = {
            FORMULA: "compositions",
            "system": "chemical systems",
            "prototype": "prototypes",
            STRUCTURE: "different structures",
            NONE: "rows",
        }
        return words.get(self.by, f"different values of {self.by!r}")


def choose_grouping(table: StructureTable, by: str = AUTO, *, fewest: int = FEWEST) -> Grouping:
    """Decide which rows stay together, and say so where it is not the formula.

    ``auto`` takes the reduced formula where there are enough compositions, as in most tables; else
    the structure, so that only near-duplicates stay together; where that gives too few groups,
    too, the first of both with ``fewest`` groups; and else none.

    Args:
        table: n crystals.
        by: ``auto``, or as in `group_labels`.
        fewest: groups without which the table cannot be divided.

    Raises:
        InputError: as `group_labels`.
    """
    chosen = _chosen(table, fewest) if by == AUTO else _asked(table, by)
    if chosen.by == NONE and by == AUTO:
        logger.warning("%s", chosen.sentence)
    elif chosen.by != FORMULA:
        logger.info("%s", chosen.sentence)
    return chosen


def group_labels(table: StructureTable, by: str) -> list[str]:
    """Return a label for each of n rows; rows with equal labels are a group.

    Args:
        table: n crystals.
        by: ``formula`` (reduced), ``system`` (the elements, ``Cl-Na``), ``prototype`` (as in
            `prototypes`), ``structure`` (as in `near_duplicates`), ``none``, or a column of the
            table, of which equal values are a group.

    Raises:
        InputError: there is no such grouping and no such column, or it has missing values.

    >>> salts = StructureTable.from_arrays(
    ...     ids=["a", "b"], lattices=[np.eye(3)] * 2, atomic_numbers=[[11, 17], [11, 11, 17, 17]],
    ...     frac_coords=[np.zeros((2, 3)), np.zeros((4, 3))], values={"batch": [1, 2]})
    >>> group_labels(salts, "system"), group_labels(salts, "batch")
    (['Cl-Na', 'Cl-Na'], ['1.0', '2.0'])
    """
    return KINDS[by](table) if by in KINDS else _of_column(table, by)


def needs_column(by: str) -> bool:
    """Tell whether a grouping is by a column of the table.

    >>> needs_column("auto"), needs_column("batch")
    (False, True)
    """
    return by != AUTO and by not in KINDS


def check_column(table: StructureTable, by: str) -> None:
    """Make sure that a table has the column by which it is to be grouped.

    Raises:
        InputError: there is no such grouping and no such column.
    """
    columns = [*table.values, *table.texts]
    if by not in columns:
        allowed = [AUTO, *KINDS]
        raise InputError(
            f"There is no grouping {by!r} and no column of that name; --group-by takes "
            f"{', '.join(allowed)}, or a column: {', '.join(columns) or 'there is none'}."
            f"{suggestion(by, [*allowed, *columns])}"
        )


def shuffled_groups(keys: Iterable[Hashable], seed: int, purpose: str) -> list[list[int]]:
    """Return lists of positions with equal key, in a random order."""
    groups: dict[Hashable, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    listed = list(groups.values())
    return [listed[i] for i in generator(seed, purpose).permutation(len(listed))]


def fill(
    groups: list[list[int]], wanted: int, keep: int = 1
) -> tuple[list[list[int]], list[list[int]]]:
    """Take groups, in order, as long as they fit into ``wanted`` rows; at least one is taken.

    ``keep`` groups are left for other parts, where one is taken already.

    >>> fill([[0, 1], [2], [3, 4, 5]], 2)
    ([[0, 1]], [[2], [3, 4, 5]])

    Returns:
        ``(taken, left)``.
    """
    taken: list[list[int]] = []
    left: list[list[int]] = []
    room = wanted
    for group in groups:
        fits = len(group) <= room and (not taken or len(groups) - len(taken) > keep)
        (taken if fits else left).append(group)
        room -= len(group) if fits else 0
    if wanted and not taken and len(left) > 1:
        smallest = min(left, key=len)
        left.remove(smallest)
        taken.append(smallest)
    return taken, left


def flat(groups: list[list[int]]) -> list[int]:
    """Return all rows of some groups in ascending order."""
    return sorted(row for group in groups for row in group)


def _chosen(table: StructureTable, fewest: int) -> Grouping:
    n = len(table)
    formula = Grouping(FORMULA, list(table.formulas), "")
    sizes = formula.sizes
    told = f"Rows are grouped by formula: {len(sizes)} compositions of {n} crystals."
    formula = formula._replace(sentence=told)
    if _is_enough(sizes):
        return formula
    structure = Grouping(STRUCTURE, group_labels(table, STRUCTURE), "")
    if len(structure.sizes) == len(sizes) >= fewest:
        return formula
    why = _why(formula)
    if _is_enough(structure.sizes) or len(sizes) < fewest <= len(structure.sizes):
        told = f"Rows are grouped by structure (near-duplicates stay together): {why}"
        return structure._replace(sentence=f"{told}; {_sizes(structure)}.")
    if len(sizes) >= fewest:
        return formula
    told = f"Rows are not grouped: {why}, nearly all of one structure; errors are for more of these"
    return Grouping(NONE, group_labels(table, NONE), f"{told}.")


def _is_enough(sizes: Sequence[int]) -> bool:
    rows = sum(sizes)
    return len(sizes) >= min(ENOUGH, rows / 2) and sizes[0] <= max(1.0, LARGEST * rows)


def _why(formula: Grouping) -> str:
    """Return why the formula is no good grouping."""
    (commonest, times), n = Counter(formula.labels).most_common(1)[0], len(formula.labels)
    if times == n:
        return f"all {n} crystals have the composition {commonest}"
    if times > LARGEST * n:
        return f"{times} of {n} crystals have the composition {commonest}"
    return f"the {n} crystals have {len(formula.sizes)} compositions only"


def _asked(table: StructureTable, by: str) -> Grouping:
    found = Grouping(by, group_labels(table, by), "Rows are not grouped, as was asked for.")
    if by == NONE:
        return found
    return found._replace(sentence=f"Rows are grouped by {by}: {_sizes(found)}.")


def _sizes(grouping: Grouping) -> str:
    sizes = grouping.sizes
    return f"there are {len(sizes)} {grouping.kind}, the largest of {sizes[0]} rows"


def _of_formula(table: StructureTable) -> list[str]:
    return list(table.formulas)


def _of_system(table: StructureTable) -> list[str]:
    ends = zip(table.offsets[:-1], table.offsets[1:], strict=True)
    elements = (np.unique(table.atomic_numbers[a:b]).tolist() for a, b in ends)
    return ["-".join(sorted(SYMBOLS[z] for z in present)) for present in elements]


def _of_prototype(table: StructureTable) -> list[str]:
    from epitaxy.structures.symmetry import prototypes

    return prototypes(table)


def _of_structure(table: StructureTable) -> list[str]:
    # Here, because importing scipy takes longer than most commands.
    from epitaxy.structures.fingerprints import near_duplicates

    return [f"structure {number}" for number in near_duplicates(table).tolist()]


def _of_nothing(table: StructureTable) -> list[str]:
    return [str(name) for name in table.ids]


def _of_column(table: StructureTable, name: str) -> list[str]:
    check_column(table, name)
    is_text = name in table.texts
    column = table.texts[name] if is_text else table.values[name]
    missing = int((column == "").sum() if is_text else (~np.isfinite(column)).sum())
    if missing:
        raise InputError(
            f"{missing} of {len(column)} crystals have no value in the column {name!r}, by which "
            "rows are to be grouped; fill them in, or group by something else."
        )
    return [str(value) for value in column.tolist()]


KINDS: dict[str, Callable[[StructureTable], list[str]]] = {
    FORMULA: _of_formula,
    "system": _of_system,
    "prototype": _of_prototype,
    STRUCTURE: _of_structure,
    NONE: _of_nothing,
}
"""What rows can be grouped by, beside the columns of their table."""
