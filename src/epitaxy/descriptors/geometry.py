"""`geometry`: distances to the nearest neighbours of the atoms, and the volume they have."""

from __future__ import annotations

import numpy as np

from epitaxy.core.progress import track
from epitaxy.descriptors.checks import MIN_DISTANCE, TOO_NEAR, structure_reasons
from epitaxy.descriptors.composition import element_property
from epitaxy.descriptors.packages import versions
from epitaxy.descriptors.table import Vectors
from epitaxy.structures.table import StructureTable

RANKS = np.array([1, 2, 3, 4, 6, 8, 12])
"""Neighbours whose distance is kept, counted from the nearest."""
STATISTICS = ("mean", "deviation", "minimum", "maximum")
REACH = 1.6
"""Farthest bond, in distances to the nearest neighbour; its weight would be below 1e-6."""
SEARCHED = 40
"""Neighbours per atom that the first search would find in a liquid of the same density."""
WIDER = 1.3
"""Factor on the radius of a search that found too little."""


class Geometry:
    """Sizes and surroundings; needs no optional package.

    Of every atom: distances to neighbours (Å), and over its bonds of length d, weighted by
    exp(1 - (d / nearest)^6): effective coordination number (the sum of weights), mean difference
    of electronegativity and mean reduced mass (u). Of these, mean, standard deviation (of the
    population), minimum and maximum over the atoms. Of the crystal: volume per atom (Å^3), mass
    density (u/Å^3), and the volume of spheres of the atomic radii over that of the cell.

    Source: R. Hoppe, Z. Kristallogr. 150, 23 (1979), for the weights; element data of pymatgen.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the 43 features."""
        of_atoms = [f"distance to neighbour {rank}" for rank in RANKS]
        of_atoms += ["coordination number", "electronegativity difference", "reduced mass"]
        of_crystal = ["volume per atom", "mass density", "packing of atomic radii"]
        return (*(f"{statistic} {a}" for statistic in STATISTICS for a in of_atoms), *of_crystal)

    @property
    def version(self) -> str:
        """Version of pymatgen, where the element data come from."""
        return versions("pymatgen-core")

    def __call__(self, table: StructureTable, *, workers: int | None = None) -> Vectors:
        """Describe one crystal after the other; ``workers`` is not used."""
        del workers
        reasons = structure_reasons(table)
        values = np.full((len(table), len(self.names)), np.nan)
        rows = np.flatnonzero([not reason for reason in reasons])
        for row in track(rows.tolist(), len(rows), "geometry features"):
            center, other, distance = _neighbours(table, row)
            if distance.min() < MIN_DISTANCE:
                reasons[row] = TOO_NEAR
                continue
            atoms = slice(table.offsets[row], table.offsets[row + 1])
            numbers = table.atomic_numbers[atoms]
            volume = abs(np.linalg.det(table.lattices[row]))
            of_atoms = _surroundings(numbers, center, other, distance)
            parts = [of_atoms.mean(0), of_atoms.std(0), of_atoms.min(0), of_atoms.max(0)]
            values[row] = np.concatenate([*parts, _sizes(numbers, volume)])
        return Vectors(values, reasons)


GEOMETRY = Geometry()


def _neighbours(table: StructureTable, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ``(center, other, distance)`` of enough neighbours, by center and then distance."""
    structure = table.structure(row)
    n = len(structure)
    radius = (SEARCHED * structure.volume / n * 3 / (4 * np.pi)) ** (1 / 3)
    while True:
        center, other, _, distance = structure.get_neighbor_list(radius, exclude_self=True)
        if np.bincount(center, minlength=n).min() >= RANKS[-1]:
            order = np.lexsort((distance, center))
            nearest = distance[order][np.searchsorted(center[order], np.arange(n))]
            if radius >= REACH * nearest.max():
                return center[order], other[order], distance[order]
        radius *= WIDER


def _surroundings(
    numbers: np.ndarray, center: np.ndarray, other: np.ndarray, distance: np.ndarray
) -> np.ndarray:
    """Return (N, 10) for the N atoms of one crystal."""
    start = np.searchsorted(center, np.arange(len(numbers)))
    ranked = distance[start[:, None] + RANKS - 1]
    ratio = distance / ranked[center, 0]
    weight = np.where(ratio < REACH, np.exp(1 - np.minimum(ratio, REACH) ** 6), 0.0)
    negativity = element_property("electronegativity")[numbers]
    mass = element_property("atomic mass")[numbers]
    difference = np.abs(negativity[center] - negativity[other])
    reduced = mass[center] * mass[other] / (mass[center] + mass[other])
    coordination = np.bincount(center, weight)
    means = [np.bincount(center, weight * of_bonds) for of_bonds in (difference, reduced)]
    return np.column_stack([ranked, coordination, *(total / coordination for total in means)])


def _sizes(numbers: np.ndarray, volume: float) -> np.ndarray:
    """Return volume per atom, mass density and the filled part of the volume."""
    mass, radius = element_property("atomic mass")[numbers], element_property("atomic radius")
    spheres = 4 / 3 * np.pi * radius[numbers] ** 3
    return np.array([volume / len(numbers), mass.sum() / volume, spheres.sum() / volume])
