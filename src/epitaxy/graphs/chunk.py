"""From a piece of a structure table to packed graphs, and the reasons of crystals without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from epitaxy.graphs.elements import MAX_ATOMIC_NUMBER
from epitaxy.graphs.merge import Merged, merge
from epitaxy.graphs.ragged import offsets_of
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.rules import RULES
from epitaxy.graphs.search import Cells, Images, cell_heights
from epitaxy.structures.table import Dropped, StructureTable

MAX_BONDS = 1_000_000
"""Bonds of one crystal; more would not fit beside others on a device."""
MAX_NUMBER = 1e6
"""Largest coordinate (cells) and lattice component (Å); beyond, distances lose their digits."""
MAX_SHIFTS = 3e6
"""Pairs of atoms times lattice shifts to look at per atom; bounds the memory for skewed cells."""
MIN_VOLUME = 0.1
"""Å^3 per atom; a tenth of the densest matter anybody computes."""
MIN_DISTANCE = 0.01
"""Å between atoms; nearer ones are one atom entered twice."""

COLUMNS: dict[str, tuple[str, tuple[int, ...]]] = {
    "node_counts": ("<i8", ()),
    "bond_counts": ("<i8", ()),
    "atom_counts": ("<i8", ()),
    "atomic_numbers": ("|u1", ()),
    "atom_weight": ("<f4", ()),
    "n_bonds": ("<i4", ()),
    "atom_class": ("<i4", ()),
    "bond_dst": ("<i4", ()),
    "bond_length": ("<f4", ()),
    "bond_weight": ("<f4", ()),
    "bond_vector": ("<f4", (3,)),
}
"""Stored arrays: dtype and shape of one element. The first three have one element per crystal,
`atom_class` one per atom before merging; `bond_dst` and `atom_class` count within the crystal."""


class Chunk(NamedTuple):
    """Graphs of a piece of a table."""

    ids: list[str]
    failures: list[Dropped]
    columns: dict[str, np.ndarray]
    n_isolated: int
    """Atoms without any bond."""
    n_padded: int
    """Atoms whose list was filled up."""


def build_chunk(table: StructureTable, recipe: GraphRecipe) -> Chunk:
    """Build the graphs of all crystals of a (small) table that can have one."""
    reasons = _reasons_before(table, recipe)
    good = table.select(np.array([not r for r in reasons], dtype=bool))
    images = _search(good, recipe)
    failures = [Dropped(str(i), r) for i, r in zip(table.ids, reasons, strict=True) if r]
    reasons = _reasons_after(good, recipe, images)
    if any(reasons):
        failures += [Dropped(str(i), r) for i, r in zip(good.ids, reasons, strict=True) if r]
        good = good.select(np.array([not r for r in reasons], dtype=bool))
        images = _search(good, recipe)
    counts = images.counts
    n_padded = len(
        np.unique(np.repeat(np.arange(len(counts)), counts)[images.length > recipe.cutoff])
    )
    return Chunk(
        ids=[str(i) for i in good.ids],
        failures=failures,
        columns=_columns(good, recipe, images),
        n_isolated=int((counts == 0).sum()),
        n_padded=n_padded,
    )


def _search(table: StructureTable, recipe: GraphRecipe) -> Images:
    images: Images = RULES[recipe.rule](
        Cells(table.offsets, table.lattices, table.frac_coords), recipe
    )
    return images


def _crystal_of_atom(table: StructureTable) -> np.ndarray:
    return np.repeat(np.arange(len(table)), table.n_atoms)


def _reasons_before(table: StructureTable, recipe: GraphRecipe) -> list[str]:
    """Return a reason per crystal, empty where a graph can be built."""
    crystal, n, n_atoms = _crystal_of_atom(table), len(table), table.n_atoms
    numbers = table.atomic_numbers
    foreign = np.full(n, -1)
    wrong = (numbers > MAX_ATOMIC_NUMBER) | (numbers == 0)
    foreign[crystal[wrong]] = numbers[wrong]
    wild = ~(np.abs(table.frac_coords) <= MAX_NUMBER).all(axis=1)  # true for NaN, too
    sound = (np.abs(table.lattices) <= MAX_NUMBER).all(axis=(1, 2))
    sound &= np.bincount(crystal[wild], minlength=n) == 0
    volume, heights = cell_heights(np.where(sound[:, None, None], table.lattices, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        shifts = n_atoms * (2 * recipe.cutoff / heights + 1).prod(axis=1)
    most = MAX_BONDS // recipe.neighbours
    checks: list[tuple[np.ndarray, Callable[[int], str]]] = [
        (n_atoms == 0, lambda _: "The crystal has no atoms; check its source."),
        (
            foreign >= 0,
            lambda row: (
                f"Atomic number {foreign[row]} has no element features (1 to "
                f"{MAX_ATOMIC_NUMBER} have); leave this crystal out."
            ),
        ),
        (
            ~sound,
            lambda _: (
                "A lattice vector or coordinate is not a finite number, or is above "
                f"{MAX_NUMBER:g}; check its source."
            ),
        ),
        (
            volume < MIN_VOLUME * n_atoms,
            lambda row: (
                f"The cell has {volume[row]:.3g} Å^3 for {n_atoms[row]} atoms, less than "
                f"{MIN_VOLUME} Å^3 each; check the lattice vectors and their unit (Å)."
            ),
        ),
        (
            n_atoms > most,
            lambda row: (
                f"The crystal has {n_atoms[row]} atoms and would have more than "
                f"{MAX_BONDS} bonds; give a cell of at most {most} atoms."
            ),
        ),
        (
            shifts > MAX_SHIFTS,
            lambda _: (
                "The cell is so flat or skewed that too many of its images are near one "
                "atom; give the Niggli-reduced cell."
            ),
        ),
    ]
    reasons = [""] * n
    for failed, sentence in checks:
        for row in np.flatnonzero(failed).tolist():
            reasons[row] = reasons[row] or sentence(row)
    return reasons


def _reasons_after(table: StructureTable, recipe: GraphRecipe, images: Images) -> list[str]:
    """Return a reason per crystal that only its bonds reveal."""
    crystal = np.repeat(_crystal_of_atom(table), images.counts)
    reasons = [""] * len(table)
    if recipe.bond_vectors:
        for row in np.unique(crystal[images.length > recipe.cutoff]):
            reasons[row] = (
                f"An atom has fewer than {recipe.neighbours} neighbours within {recipe.cutoff:g} Å "
                "and bonds that fill the list have no direction; use the rule 'nearest'."
            )
    for row in np.unique(crystal[images.length < MIN_DISTANCE]):
        reasons[row] = (
            f"Two atoms are less than {MIN_DISTANCE} Å apart; remove atoms that are entered twice."
        )
    return reasons


def _columns(table: StructureTable, recipe: GraphRecipe, images: Images) -> dict[str, np.ndarray]:
    """Merge where the recipe asks for it, and number nodes and bonds within their crystal."""
    crystal = _crystal_of_atom(table)
    if recipe.bond_vectors or recipe.merge_tolerance == 0:
        atoms = np.arange(len(crystal))
        graph = Merged(
            atoms,
            np.ones(len(atoms)),
            atoms,
            images.counts,
            images.dst,
            images.length,
            np.ones(len(images.dst)),
        )
    else:
        graph = merge(crystal, table.atomic_numbers, images, recipe.merge_tolerance)
    crystal_of_node = crystal[graph.representative]
    node_counts = np.bincount(crystal_of_node, minlength=len(table))
    first_node = offsets_of(node_counts)[:-1]
    bond_counts = np.bincount(crystal_of_node, graph.n_bonds, minlength=len(table))
    bond_counts = bond_counts.astype(np.int64)
    columns = {
        "node_counts": node_counts,
        "bond_counts": bond_counts,
        "atom_counts": table.n_atoms,
        "atomic_numbers": table.atomic_numbers[graph.representative],
        "atom_weight": graph.weight,
        "n_bonds": graph.n_bonds,
        "atom_class": graph.node - first_node[crystal],
        "bond_dst": graph.bond_dst - np.repeat(first_node, bond_counts),
        "bond_length": graph.bond_length,
        "bond_weight": graph.bond_weight,
    }
    if recipe.bond_vectors:
        columns["bond_vector"] = _vectors(table, images)
    return {name: array.astype(COLUMNS[name][0]) for name, array in columns.items()}


def _vectors(table: StructureTable, images: Images) -> np.ndarray:
    """Return destination minus source, (E, 3), Å."""
    src = np.repeat(np.arange(len(table.frac_coords)), images.counts)
    delta = table.frac_coords[images.dst] - table.frac_coords[src] + images.shift
    lattices = table.lattices[_crystal_of_atom(table)[src]]
    vectors: np.ndarray = np.einsum("ei,eij->ej", delta, lattices)
    return vectors
