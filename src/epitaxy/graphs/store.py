"""`GraphStore`: packed graphs of a whole table, and batches of them in one gather."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitaxy.core.errors import DiskError, InputError, suggestion
from epitaxy.graphs.build import chunks
from epitaxy.graphs.cache import Packed, in_memory, locked, read, write
from epitaxy.graphs.chunk import Chunk
from epitaxy.graphs.ragged import offsets_of, ranges
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")


class GraphArrays(NamedTuple):
    """Graphs of B crystals, joined: N nodes, E bonds."""

    n_atoms: np.ndarray
    """(B,) int64 nodes per crystal (after merging)."""
    atomic_numbers: np.ndarray
    """(N,) uint8."""
    atom_weight: np.ndarray
    """(N,) float32 equivalent atoms that the node stands for."""
    n_bonds: np.ndarray
    """(N,) int64 bonds that start at each node; bonds are grouped by their source."""
    bond_dst: np.ndarray
    """(E,) int64 destination node, numbered within these arrays."""
    bond_length: np.ndarray
    """(E,) float32, Å."""
    bond_weight: np.ndarray
    """(E,) float32 equal bonds that this one stands for."""
    rays: RayArrays | None = None
    """Only with ``recipe.bond_vectors``."""
    bond_rank: np.ndarray | None = None
    """(E,) uint8 number of the shell, from 1; only from rules that number them."""


class RayArrays(NamedTuple):
    """What the angles between bonds follow from: R rays, the bonds of each node in true directions.

    A merged bond has lost its direction. The rays keep the surroundings of each node's
    representative atom: a ray is one bond as it was before merging.
    """

    n_rays: np.ndarray
    """(N,) int64 rays that start at each node; rays are grouped by node."""
    ray_bond: np.ndarray
    """(R,) int64 the bond that stands for the ray, numbered within these arrays."""
    ray_direction: np.ndarray
    """(R, 3) float32 unit vector away from the node."""
    ray_partner: np.ndarray
    """(R,) int64 the opposite ray of a bond between images of one atom, where the recipe leaves
    this pair out; -1 elsewhere."""
    bond_mirror: np.ndarray
    """(E,) int64 ray at the destination of each bond that leads back along it."""
    tolerance: float
    """Cosines whose difference is below this may be merged."""


class Subset(NamedTuple):
    """Where some ids stand in a store."""

    rows: np.ndarray
    """(n,) int64 row of each id that has a graph, in the order asked for."""
    missing: tuple[Dropped, ...]
    """The ids that have none, with the reason."""


class GraphStore:
    """Graphs of all crystals of a table that have one, in packed, perhaps memory-mapped arrays."""

    def __init__(
        self,
        recipe: GraphRecipe,
        ids: Iterable[str],
        failures: Iterable[Dropped],
        columns: Mapping[str, np.ndarray],
    ) -> None:
        self.ids = np.array(list(ids), dtype=object)
        """(B,) str."""
        self.recipe = recipe
        self.failures = tuple(failures)
        """Crystals without a graph, each with the reason."""
        self.columns = columns
        """Stored arrays by name, see `epitaxy.graphs.chunk.COLUMNS`."""
        self.node_offsets = offsets_of(columns["node_counts"])
        self.bond_offsets = offsets_of(columns["bond_counts"])
        self.atom_offsets = offsets_of(columns["atom_counts"])
        self.ray_offsets = offsets_of(columns["ray_counts"]) if "ray_counts" in columns else None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_nodes(self) -> np.ndarray:
        """(B,) int64 nodes per crystal, after merging."""
        return np.diff(self.node_offsets)

    @property
    def n_bonds(self) -> np.ndarray:
        """(B,) int64 bonds per crystal, after merging."""
        return np.diff(self.bond_offsets)

    @property
    def n_atoms(self) -> np.ndarray:
        """(B,) int64 atoms per crystal, before merging."""
        return np.diff(self.atom_offsets)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {str(i): row for row, i in enumerate(self.ids)}

    @cached_property
    def _reason_of(self) -> dict[str, Dropped]:
        return {d.id: d for d in self.failures}

    def subset(self, ids: Iterable[str]) -> Subset:
        """Return the rows of ``ids`` and, apart, those that have no graph.

        Raises:
            InputError: an id was not in the table from which the store was built.
        """
        rows, missing = [], []
        for name in map(str, ids):
            # A crystal can have a graph and yet lack something else that is read of it.
            if name in self._reason_of:
                missing.append(self._reason_of[name])
            elif name in self._row_of:
                rows.append(self._row_of[name])
            else:
                raise InputError(
                    f"The id {name!r} is not among the {len(self) + len(self.failures)} crystals "
                    f"of these graphs; check the ids.{suggestion(name, self._row_of)}"
                )
        return Subset(np.array(rows, dtype=np.int64), tuple(missing))

    def _checked(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        given = np.asarray(rows)
        given = np.flatnonzero(given) if given.dtype == bool else given.astype(np.int64)
        if given.size and not 0 <= given.min() <= given.max() < len(self):
            message = f"rows from {given.min()} to {given.max()} of {len(self)} graphs"
            raise IndexError(message)
        return given

    def gather(self, rows: np.ndarray | Sequence[int]) -> GraphArrays:
        """Join the graphs of the given rows, in the given order (repeats are allowed).

        Raises:
            IndexError: a row is negative or too large.
        """
        rows = self._checked(rows)
        n_nodes = self.node_offsets[rows + 1] - self.node_offsets[rows]
        n_bonds = self.bond_offsets[rows + 1] - self.bond_offsets[rows]
        nodes = ranges(self.node_offsets[rows], n_nodes)
        bonds = ranges(self.bond_offsets[rows], n_bonds)
        first = np.repeat(offsets_of(n_nodes)[:-1], n_bonds)
        column = self.columns
        return GraphArrays(
            n_atoms=n_nodes,
            atomic_numbers=column["atomic_numbers"][nodes],
            atom_weight=column["atom_weight"][nodes],
            n_bonds=column["n_bonds"][nodes].astype(np.int64),
            bond_dst=first + column["bond_dst"][bonds],
            bond_length=column["bond_length"][bonds],
            bond_weight=column["bond_weight"][bonds],
            rays=self._rays(rows, nodes, bonds) if self.ray_offsets is not None else None,
            bond_rank=column["bond_rank"][bonds] if "bond_rank" in column else None,
        )

    def _rays(self, rows: np.ndarray, nodes: np.ndarray, bonds: np.ndarray) -> RayArrays:
        assert self.ray_offsets is not None
        n_rays = self.ray_offsets[rows + 1] - self.ray_offsets[rows]
        n_bonds = self.bond_offsets[rows + 1] - self.bond_offsets[rows]
        rays = ranges(self.ray_offsets[rows], n_rays)
        first_ray, first_bond = offsets_of(n_rays)[:-1], offsets_of(n_bonds)[:-1]
        column = self.columns
        partner = column["ray_partner"][rays].astype(np.int64)
        return RayArrays(
            n_rays=column["n_rays"][nodes].astype(np.int64),
            ray_bond=np.repeat(first_bond, n_rays) + column["ray_bond"][rays],
            ray_direction=column["ray_direction"][rays],
            ray_partner=np.where(partner < 0, -1, partner + np.repeat(first_ray, n_rays)),
            bond_mirror=np.repeat(first_ray, n_bonds) + column["bond_mirror"][bonds],
            tolerance=self.recipe.merge_tolerance,
        )

    def node_of_atoms(self, rows: np.ndarray | Sequence[int]) -> np.ndarray:
        """Return the node of every atom of the gathered crystals, (sum of `n_atoms`,) int64.

        ``values[store.node_of_atoms(rows)]`` expands values per node of ``store.gather(rows)`` to
        the atoms of the table.
        """
        rows = self._checked(rows)
        n_nodes = self.node_offsets[rows + 1] - self.node_offsets[rows]
        n_atoms = self.atom_offsets[rows + 1] - self.atom_offsets[rows]
        atoms = ranges(self.atom_offsets[rows], n_atoms)
        first = np.repeat(offsets_of(n_nodes)[:-1], n_atoms)
        nodes: np.ndarray = first + self.columns["atom_class"][atoms]
        return nodes


def build_graphs(
    table: StructureTable,
    recipe: GraphRecipe,
    *,
    cache: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> GraphStore:
    """Build the graphs of all crystals of ``table``, or reopen those built before.

    Args:
        table: the crystals.
        recipe: which bonds they get.
        cache: folder that keeps graphs, one sub-folder per (table, recipe); None keeps them in
            memory only, as does a folder that cannot be written.
        workers: processes; None takes one for small tables and up to eight for large ones.
        progress: show how many crystals are done.

    Raises:
        InputError: ``workers`` is below 1.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers} is not allowed; give 1 or more, or None.")
    build = partial(chunks, table, recipe, workers=workers, progress=progress)
    packed = None
    if cache is not None:
        try:
            packed = _kept(Path(cache) / f"{table.hash}-{recipe.hash}", build, recipe)
        except DiskError as error:
            logger.warning("%s The graphs are kept in memory only.", error)
    return GraphStore(recipe, *(packed or in_memory(build(), recipe)))


def _kept(folder: Path, build: Callable[[], Iterable[Chunk]], recipe: GraphRecipe) -> Packed | None:
    """Return the graphs of a folder, built there if need be; None if that does not last.

    Raises:
        DiskError: the folder cannot be written.
    """
    packed = read(folder, recipe)
    if packed is None:
        with locked(folder):
            packed = read(folder, recipe)
            if packed is None:
                write(folder, build(), recipe)
                packed = read(folder, recipe)
    return packed
