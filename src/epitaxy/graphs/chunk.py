"""From a piece of a structure table to packed graphs, and the reasons of crystals without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from epitaxy.graphs.elements import MAX_ATOMIC_NUMBER
from epitaxy.graphs.merge import BondPairs, Merged, Rays, merge
from epitaxy.graphs.ragged import offsets_of, ranges
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.rules import RULES
from epitaxy.graphs.search import Cells, Images, cell_heights
from epitaxy.structures.table import Dropped, StructureTable

MAX_BONDS = 1_000_000
"""Bonds of one crystal; more would not fit beside others on a device."""
MAX_NUMBER = 1e6
"""Largest coordinate (cells) and lattice component (Å); beyond, distances lose their digits."""
MAX_SHIFTS = 1e6
"""Pairs of atoms times lattice shifts to look at per atom; bounds the memory for skewed cells, and
`epitaxy.graphs.search` numbers the images of an atom with 20 bits."""
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
    "bond_rank": ("|u1", ()),
    "ray_counts": ("<i8", ()),
    "n_rays": ("<i4", ()),
    "bond_mirror": ("<i4", ()),
    "ray_bond": ("<i4", ()),
    "ray_partner": ("<i4", ()),
    "ray_direction": ("<f4", (3,)),
}
"""Stored arrays: dtype and shape of one element. Names with ``_counts`` have one element per
crystal, `atom_class` one per atom before merging; numbers of nodes, bonds and rays count within the
crystal."""
RAYS = frozenset({"ray_counts", "n_rays", "bond_mirror"}) | {c for c in COLUMNS if "ray_" in c}
"""The arrays that only recipes with bond vectors have."""


class Chunk(NamedTuple):
    """Graphs of a piece of a table."""

    ids: list[str]
    failures: list[Dropped]
    columns: dict[str, np.ndarray]
    isolated: list[str]
    """Ids of the crystals with atoms without any bond, once per such atom."""
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
        isolated=[str(good.ids[row]) for row in _crystal_of_atom(good)[counts == 0]],
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
    if recipe.rule == "alignn-2023":
        # This rule goes on until every atom has neighbours, unless the search is hopeless.
        for row in np.unique(_crystal_of_atom(table)[images.counts == 0]):
            reasons[row] = (
                "The search for its neighbours by the rule 'alignn-2023' is too long; wrap the "
                "coordinates into the cell, or use the rule 'symmetric'."
            )
    if recipe.rule == "cgat":
        for row in np.unique(_crystal_of_atom(table)[images.counts < recipe.neighbours]):
            reasons[row] = (
                f"An atom has fewer than {recipe.neighbours} neighbours within {recipe.cutoff:g} "
                "Å, which the rule 'cgat' demands; use the rule 'shells'."
            )
    for row in np.unique(crystal[images.length < MIN_DISTANCE]):
        reasons[row] = (
            f"Two atoms are less than {MIN_DISTANCE} Å apart; remove atoms that are entered twice."
        )
    return reasons


def _columns(table: StructureTable, recipe: GraphRecipe, images: Images) -> dict[str, np.ndarray]:
    """Merge where the recipe asks for it, and number nodes and bonds within their crystal."""
    crystal = _crystal_of_atom(table)
    directions = _directions(table, images) if recipe.bond_vectors else None
    if recipe.merge_tolerance == 0:
        graph = _unmerged(images, with_rays=recipe.bond_vectors)
    else:
        pairs = None if directions is None else bond_pairs(images, directions, recipe)
        graph = merge(crystal, table.atomic_numbers, images, recipe.merge_tolerance, pairs)
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
    if graph.bond_rank is not None:
        columns["bond_rank"] = graph.bond_rank
    if graph.rays is not None and directions is not None:
        columns |= _ray_columns(graph.rays, bond_counts, crystal_of_node, images)
        columns["ray_direction"] = directions[graph.rays.image]
        if not excludes_itself(recipe):
            columns["ray_partner"] = np.full(len(graph.rays.image), -1)
    return {name: array.astype(COLUMNS[name][0]) for name, array in columns.items()}


def _unmerged(images: Images, *, with_rays: bool) -> Merged:
    atoms, bonds = np.arange(len(images.counts)), np.arange(len(images.dst))
    rays = None
    if with_rays:
        assert images.reverse is not None
        rays = Rays(bonds, images.counts, bonds, images.reverse)
    ones = np.ones(len(bonds))
    weights = np.ones(len(atoms))
    return Merged(
        *(atoms, weights, atoms, images.counts, images.dst, images.length, ones, rays, images.rank)
    )


def excludes_itself(recipe: GraphRecipe) -> bool:
    """Tell whether a bond between images of one atom makes no angle with its own continuation.

    The straight angle between a bond and the same bond one cell on counts like every other, or the
    choice of the cell would matter; the original leaves it out.
    """
    return recipe.rule == "alignn-2023"


def bond_pairs(images: Images, directions: np.ndarray, recipe: GraphRecipe) -> BondPairs:
    """Return all pairs of a bond and the bonds at its end, with the angle there."""
    assert images.reverse is not None
    counts = images.counts[images.dst]
    target = np.repeat(np.arange(len(images.dst)), counts)
    source = ranges(offsets_of(images.counts)[images.dst], counts)
    if excludes_itself(recipe):
        other = source != target
        target, source = target[other], source[other]
    cosine = np.einsum("ak,ak->a", directions[source], directions[images.reverse[target]])
    return BondPairs(source, target, cosine)


def _ray_columns(
    rays: Rays, bond_counts: np.ndarray, crystal_of_node: np.ndarray, images: Images
) -> dict[str, np.ndarray]:
    """Number rays and their bonds within their crystal."""
    assert images.reverse is not None
    crystal_of_ray = np.repeat(crystal_of_node, rays.counts)
    ray_counts = np.bincount(crystal_of_ray, minlength=len(bond_counts))
    first_ray = offsets_of(ray_counts)[:-1]
    place = np.full(len(images.dst), -1)
    place[rays.image] = np.arange(len(rays.image))
    origin = np.repeat(np.arange(len(images.counts)), images.counts)
    own = images.dst[rays.image] == origin[rays.image]
    partner = place[images.reverse[rays.image]] - first_ray[crystal_of_ray]
    return {
        "ray_counts": ray_counts,
        "n_rays": rays.counts,
        "bond_mirror": rays.mirror - np.repeat(first_ray, bond_counts),
        "ray_bond": rays.bond - offsets_of(bond_counts)[:-1][crystal_of_ray],
        "ray_partner": np.where(own, partner, -1),
    }


def _directions(table: StructureTable, images: Images) -> np.ndarray:
    """Return unit vectors from source to destination, (E, 3)."""
    vectors = images.vector
    if vectors is None:
        src = np.repeat(np.arange(len(table.frac_coords)), images.counts)
        delta = table.frac_coords[images.dst] - table.frac_coords[src] + images.shift
        lattices = table.lattices[_crystal_of_atom(table)[src]]
        vectors = np.einsum("ei,eij->ej", delta, lattices)
    directions: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions
