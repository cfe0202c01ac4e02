"""`springs`: vibrations of the crystal if every two neighbours were joined by a spring."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import spglib

from epitaxy.core.progress import track
from epitaxy.descriptors.checks import MIN_DISTANCE, TOO_NEAR, structure_reasons
from epitaxy.descriptors.composition import element_property
from epitaxy.descriptors.packages import versions
from epitaxy.descriptors.table import Vectors
from epitaxy.structures.table import StructureTable

POWERS = (8, 10)
"""A spring of length d has the stiffness (2 Å / d)^power mdyn/Å along, `ACROSS` of it across."""
UNIT_LENGTH = 2.0
ACROSS = 0.1
CUTOFF = 6.0
"""Å; the stiffness is below 2e-4 there."""
WAVENUMBER = 1302.79
"""cm^-1 of 1 mdyn/Å and 1 u: sqrt(k / m) / (2 pi c)."""
LEAST = 1.0
"""cm^-1; lower frequencies count as this, so that their logarithm exists."""
RULES = 2
"""Grows with every change of the numbers; stored features are then computed again."""
SYMPREC = 1e-3
"""Å, for the primitive cell."""
HALVES = np.array(list(product((0.0, 0.5), repeat=3)))
"""Wave vectors in reciprocal lattice vectors; with any choice of the cell they are the same."""
FEW_ATOMS = 128
"""In larger cells only the wave vector 0 is taken: many others fold onto it."""
MOST_ATOMS = 1000
FRACTIONS = (0.05, 0.125, 0.25, 0.5)


class Springs:
    """Logarithms of frequencies (cm^-1) of a network of springs; needs no optional package.

    The stiffness of a spring depends on its length alone, so the frequencies say what masses and
    distances do to vibrations. For either law of stiffness: the two highest frequencies at the
    zone centre; of the frequencies at the centre and at the half reciprocal vectors the highest,
    those that 5, 12.5, 25 and 50 % exceed, the mean, and the lowest of the highest at each; and
    maximum and mean over frequencies of single atoms among neighbours at rest.

    Source: M. Born and K. Huang, Dynamical Theory of Crystal Lattices (1954), for the dynamical
    matrix; the laws of stiffness are ours.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the 22 features."""
        exceeded = [f"frequency that {100 * f:g} % exceed" for f in FRACTIONS]
        centre = ["highest frequency at zone centre", "second highest frequency at zone centre"]
        of_atoms = ["highest frequency of an atom", "mean frequency of atoms"]
        names = [*centre, "highest frequency", *exceeded, "mean frequency"]
        names += ["lowest of the highest frequencies", *of_atoms]
        return tuple(f"{name}, power {power}" for power in POWERS for name in names)

    @property
    def version(self) -> str:
        """Versions of the rules here, and of what finds neighbours and primitive cells."""
        return f"{RULES}; {versions('pymatgen-core', 'spglib')}"

    def __call__(self, table: StructureTable, *, workers: int | None = None) -> Vectors:
        """Describe one crystal after the other; ``workers`` is not used."""
        del workers
        reasons = structure_reasons(table)
        values = np.full((len(table), len(self.names)), np.nan)
        rows = np.flatnonzero([not reason for reason in reasons])
        for row in track(rows.tolist(), len(rows), "spring features"):
            bonds = _bonds(table, row)
            if len(bonds.masses) > MOST_ATOMS:
                reasons[row] = (
                    f"The primitive cell has {len(bonds.masses)} atoms, more than the {MOST_ATOMS} "
                    "whose vibrations are computed; leave 'springs' out."
                )
            elif bonds.length.size and bonds.length.min() < MIN_DISTANCE:
                reasons[row] = TOO_NEAR
            else:
                values[row] = np.concatenate([_vibrations(bonds, power) for power in POWERS])
        return Vectors(values, reasons)


SPRINGS = Springs()


class _Bonds(NamedTuple):
    """Springs of one primitive cell with n atoms; every spring comes once from either end."""

    masses: np.ndarray
    """(n,) u."""
    center: np.ndarray
    """(E,) int64."""
    other: np.ndarray
    """(E,) int64."""
    image: np.ndarray
    """(E, 3) lattice vectors added to ``other``."""
    length: np.ndarray
    """(E,) Å."""
    direction: np.ndarray
    """(E, 3) unit vector."""


def _bonds(table: StructureTable, row: int) -> _Bonds:
    from pymatgen.core import Structure

    structure = table.structure(row)
    cell = (structure.lattice.matrix, structure.frac_coords, structure.atomic_numbers)
    found = None if _is_primitive(*cell) else spglib.find_primitive(cell, symprec=SYMPREC)
    if found is not None:
        lattice, coords, numbers = found
        structure = Structure(lattice, numbers, coords)
    center, other, image, length = structure.get_neighbor_list(CUTOFF, exclude_self=True)
    coords = structure.frac_coords
    vector = (coords[other] + image - coords[center]) @ structure.lattice.matrix
    masses = element_property("atomic mass")[np.array(structure.atomic_numbers)]
    direction = vector / np.maximum(length, 1e-12)[:, None]
    return _Bonds(masses, center, other, image, length, direction)


def _is_primitive(lattice: np.ndarray, coords: np.ndarray, numbers: Sequence[int]) -> bool:
    """Tell quickly whether no translation but those of the lattice is a symmetry; False if unsure.

    spglib finds all symmetries, which takes most of the time of a crystal.
    """
    kinds, counts = np.unique(np.array(numbers), return_counts=True)
    if np.gcd.reduce(counts) == 1:
        return True
    if len(numbers) > FEW_ATOMS:
        return False
    same = np.equal.outer(numbers, numbers)
    first, *others = coords[np.array(numbers) == kinds[counts.argmin()]]
    apart = coords[:, None] - coords[None]
    for other in others:
        vector = apart + (other - first)
        near = np.linalg.norm((vector - np.round(vector)) @ lattice, axis=-1) < 2 * SYMPREC
        if (near & same).any(axis=1).all():
            return False
    return True


def _vibrations(bonds: _Bonds, power: float) -> np.ndarray:
    """Return the 11 features of one law of stiffness."""
    n = len(bonds.masses)
    along = bonds.direction[:, :, None] * bonds.direction[:, None, :]
    stiffness = (UNIT_LENGTH / np.maximum(bonds.length, 1e-12)) ** power
    springs = stiffness[:, None, None] * ((1 - ACROSS) * along + ACROSS * np.eye(3))
    own = _sums(springs / bonds.masses[bonds.center, None, None], bonds.center, n)
    waves = HALVES if n <= FEW_ATOMS else HALVES[:1]
    frequencies = _frequencies(_matrices(bonds, own, springs, waves))
    centre, of_all = frequencies[0], np.sort(frequencies, axis=None)[::-1]
    of_atoms = _frequencies(own)
    features = [
        centre[-1],
        centre[-2],
        of_all[0],
        *(of_all[int(fraction * len(of_all))] for fraction in FRACTIONS),
        frequencies.mean(),
        frequencies[:, -1].min(),
        of_atoms.max(),
        of_atoms.mean(),
    ]
    return np.log(np.maximum(features, LEAST))


def _matrices(bonds: _Bonds, own: np.ndarray, springs: np.ndarray, waves: np.ndarray) -> np.ndarray:
    """Return the dynamical matrices of W wave vectors, (W, 3n, 3n)."""
    n = len(own)
    root = np.sqrt(bonds.masses)
    coupling = springs / (root[bonds.center] * root[bonds.other])[:, None, None]
    # At half reciprocal vectors the phases are 1 and -1, by whether the lattice vectors are odd.
    odd = bonds.image.astype(np.int64) % 2
    pair = bonds.center * n + bonds.other
    sums = _sums(coupling, pair * len(HALVES) + odd @ (4, 2, 1), n * n * len(HALVES))
    phases = np.cos(2 * np.pi * waves @ (2 * HALVES).T)
    matrices = -np.einsum("wk,pkab->wpab", phases, sums.reshape(n * n, len(HALVES), 3, 3))
    matrices = matrices.reshape(len(waves), n, n, 3, 3)
    matrices[:, np.arange(n), np.arange(n)] += own
    found: np.ndarray = matrices.transpose(0, 1, 3, 2, 4).reshape(len(waves), 3 * n, 3 * n)
    return found


def _sums(tensors: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Add (E, 3, 3) tensors by group, (count, 3, 3)."""
    flat = tensors.reshape(len(tensors), 9)
    columns = [np.bincount(groups, weights=column, minlength=count) for column in flat.T]
    return np.stack(columns, axis=-1).reshape(count, 3, 3)


def _frequencies(matrices: np.ndarray) -> np.ndarray:
    """Return the frequencies of dynamical matrices, cm^-1."""
    frequencies: np.ndarray = WAVENUMBER * np.sqrt(np.maximum(np.linalg.eigvalsh(matrices), 0))
    return frequencies
