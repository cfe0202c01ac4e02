"""Comparing the structures of blocks of rows, in several processes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from joblib import Parallel, cpu_count, delayed

from epitaxy.core.errors import InputError
from epitaxy.core.progress import Progress
from epitaxy.structures.table import StructureTable

if TYPE_CHECKING:
    from pymatgen.core import Structure

logger = logging.getLogger("epitaxy")
PARALLEL_FROM = 400
"""Below this many rows to compare, starting worker processes takes longer than comparing."""
MOST_WORKERS = 8
TASK_ROWS = 100
"""Rows of small blocks that are sent to a worker together."""
TASK_PAIRS = 10_000
"""A block with more pairs is divided among several tasks."""
SLACK = 1.001
"""Room for rounding in comparisons that must never exclude a match."""
UNREADABLE = (ArithmeticError, IndexError, RuntimeError, ValueError)
"""What pymatgen raises for cells that it cannot reduce."""


@dataclass(frozen=True)
class MatchRule:
    """How much two structures of equal composition may differ and be the same material.

    The primitive cells are scaled to equal volume and laid upon each other; the defaults of
    lengths, sites and angles are those of pymatgen's ``StructureMatcher``.

    Raises:
        InputError: a tolerance is not positive, or ``volume`` is below 1.
    """

    lengths: float = 0.2
    """Largest relative difference of the lattice vectors."""
    sites: float = 0.3
    """Largest shift of an atom, in units of the cube root of the volume per atom."""
    angles: float = 5.0
    """Largest difference of the angles of the lattice, in degrees."""
    volume: float = 1.3
    """Largest ratio of the volumes per atom, before the scaling."""

    def __post_init__(self) -> None:
        for name in ("lengths", "sites", "angles"):
            if not getattr(self, name) > 0:
                raise InputError(f"Tolerance {name} = {getattr(self, name)!r} must be above 0.")
        if not self.volume >= 1:
            raise InputError(f"Tolerance volume = {self.volume!r} must be at least 1.")


DEFAULT_RULE = MatchRule()


class Block(NamedTuple):
    """Rows of one formula, of which every one from ``start`` on meets all rows before it."""

    rows: np.ndarray
    side: np.ndarray | None
    """(rows,) bool: only rows of different sides meet; None: all meet."""
    start: int
    stop: int

    @property
    def cost(self) -> int:
        """Cells to reduce and pairs to look at, which take about as long."""
        return self.stop + (self.stop * (self.stop - 1) - self.start * (self.start - 1)) // 2


def matching_pairs(
    table: StructureTable, blocks: list[Block], rule: MatchRule, workers: int | None
) -> list[tuple[int, int]]:
    """Return pairs of matching rows of blocks, enough of them to connect all that match.

    Args:
        table: crystals.
        blocks: rows that are compared with each other.
        rule: what counts as equal.
        workers: processes; by default one per core when the work is worth it.
    """
    n_rows = sum(len(block.rows) for block in blocks)
    if workers is None:
        workers = min(cpu_count(), MOST_WORKERS) if n_rows > PARALLEL_FROM else 1
    tasks = list(_tasks(blocks))
    parts = (_part(table, task) for task in tasks)
    if workers <= 1:
        results = (_compare(*part, rule) for part in parts)
    else:
        # joblib's processes start clean and use one thread each when there is one per core
        pool = Parallel(n_jobs=workers, return_as="generator")
        results = pool(delayed(_compare)(*part, rule) for part in parts)
    pairs: list[tuple[int, int]] = []
    unreadable: set[int] = set()
    costs = [sum(block.cost for block in task) for task in tasks]
    with Progress(sum(costs), "comparing structures") as bar:
        for (found, failed), cost in zip(results, costs, strict=True):
            pairs += found
            unreadable.update(failed)
            bar.step(cost)
    if unreadable:
        logger.warning(
            "%d structure(s) could not be reduced and count as materials of their own, unless "
            "another row is identical.",
            len(unreadable),
        )
    return pairs


def _tasks(blocks: list[Block]) -> Iterator[list[Block]]:
    """Yield pieces of work, the longest first."""
    small: list[Block] = []
    for block in sorted(blocks, key=lambda b: -len(b.rows)):
        n = len(block.rows)
        parts = -(-n * (n - 1) // 2 // TASK_PAIRS)
        if parts > 1:
            # Row k meets k rows, so equal shares of the pairs end at square roots.
            cuts = np.round(n * np.sqrt(np.arange(parts + 1) / parts)).astype(int).tolist()
            for start, stop in pairwise(cuts):
                yield [block._replace(start=start, stop=stop)]
        else:
            small.append(block)
            if sum(len(b.rows) for b in small) >= TASK_ROWS:
                yield small
                small = []
    if small:
        yield small


def _part(
    table: StructureTable, blocks: list[Block]
) -> tuple[StructureTable, np.ndarray, list[Block]]:
    """Return ``(small table, its rows in the large one, blocks)``: all that a worker needs."""
    rows = np.concatenate([block.rows[: block.stop] for block in blocks])
    return table.select(rows), rows, blocks


def _compare(
    table: StructureTable, names: np.ndarray, blocks: list[Block], rule: MatchRule
) -> tuple[list[tuple[int, int]], list[int]]:
    """Return ``(pairs that match, rows that cannot be compared)``; runs in a worker."""
    pairs: list[tuple[int, int]] = []
    failed: list[int] = []
    begin = 0
    for block in blocks:
        rows = range(begin, begin + block.stop)
        begin += block.stop
        reduced = [_reduced(table, row) for row in rows]
        failed += [int(names[r]) for r, s in zip(rows, reduced, strict=True) if s is None]
        found = _compare_block(reduced, block, rule)
        pairs += [(int(names[rows[i]]), int(names[rows[j]])) for i, j in found]
    return pairs, failed


def _reduced(table: StructureTable, row: int) -> Structure | None:
    """Return the reduced primitive cell as the matcher makes it, atoms sorted by element."""
    try:
        structure = table.structure(row).get_reduced_structure(reduction_algo="niggli")
        # By number: the default, electronegativity, is not known of noble gases.
        return structure.get_primitive_structure().get_sorted_structure(_atomic_number)
    except UNREADABLE:
        return None


def _atomic_number(site: Any) -> int:
    number: int = site.specie.Z
    return number


def _compare_block(
    structures: list[Structure | None], block: Block, rule: MatchRule
) -> list[tuple[int, int]]:
    """Return pairs ``i < j`` that match, enough of them to connect all that do."""
    from pymatgen.core.structure_matcher import StructureMatcher

    matcher = StructureMatcher(
        ltol=rule.lengths, stol=rule.sites, angle_tol=rule.angles, scale=True
    )
    invariants = _Invariants.of(structures)
    labels = np.arange(len(structures))
    pairs = []
    for j in range(block.start, block.stop):
        onto, back = invariants.possible(j, rule)
        possible = onto | back
        if block.side is not None:
            possible &= block.side[:j] != block.side[j]
        for i in np.flatnonzero(possible).tolist():
            # What is connected already needs no second proof; between two sides every row of a
            # connected set has a match on the other side.
            if labels[i] == labels[j]:
                continue
            one, two = structures[i], structures[j]
            # The matcher is not quite symmetric; without asking both ways the order would count.
            if (onto[i] and matcher.fit(one, two, skip_structure_reduction=True)) or (
                back[i] and matcher.fit(two, one, skip_structure_reduction=True)
            ):
                pairs.append((i, j))
                labels[labels == labels[j]] = labels[i]
    return pairs


class _Invariants(NamedTuple):
    """What tells without matching that two of n structures cannot match."""

    sizes: np.ndarray
    """(n,) atoms of the primitive cell, which the matcher wants equal."""
    volumes: np.ndarray
    """(n,) volume per atom in Å³."""
    minima: np.ndarray
    """(n, 3) lengths of the reduced cell, scaled to volume 1."""

    @classmethod
    def of(cls, structures: list[Structure | None]) -> _Invariants:
        """Compute the invariants; those of None exclude every match."""
        made = cls(
            np.full(len(structures), -1),
            np.full(len(structures), np.nan),
            np.full((len(structures), 3), np.nan),
        )
        for k, structure in enumerate(structures):
            if structure is not None:
                made.sizes[k] = len(structure)
                made.volumes[k] = structure.volume / len(structure)
                made.minima[k] = np.sort(structure.lattice.lengths) / structure.volume ** (1 / 3)
        return made

    def possible(self, j: int, rule: MatchRule) -> tuple[np.ndarray, np.ndarray]:
        """Return for all i < j whether i may be mapped onto j, and j onto i: two (j,) bool.

        The lengths of a reduced cell are the smallest possible ones of three independent lattice
        vectors. The matcher maps a lattice by choosing three of its vectors, each at most
        ``1 + rule.lengths`` times as long as a vector of the other cell, so the minima of the
        mapped lattice can exceed those of the other by this factor only.
        """
        ratio = self.volumes[:j] / self.volumes[j]
        equal = (self.sizes[:j] == self.sizes[j]) & (np.maximum(ratio, 1 / ratio) <= rule.volume)
        factor = SLACK * (1 + rule.lengths)
        onto = (self.minima[:j] <= factor * self.minima[j]).all(axis=1)
        back = (self.minima[j] <= factor * self.minima[:j]).all(axis=1)
        return equal & onto, equal & back
