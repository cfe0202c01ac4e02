"""Reasons for which a crystal cannot be described, found before anything is computed."""

from __future__ import annotations

import numpy as np

from epitaxy.structures.table import StructureTable

MAX_ATOMIC_NUMBER = 100
"""Data of the elements end at fermium."""
MIN_VOLUME = 0.1
"""Å^3 per atom; a tenth of the densest matter anybody computes."""
MIN_DISTANCE = 0.01
"""Å between atoms; nearer ones are one atom entered twice."""
SEARCH_RADIUS = 10.0
"""Å; about as far as any descriptor looks."""
MAX_IMAGES = 1e6
"""Images of atoms within the search; a very flat or skewed cell would need more."""
TOO_NEAR = f"Two atoms are less than {MIN_DISTANCE} Å apart; remove atoms that are entered twice."


def composition_reasons(table: StructureTable, last: int = MAX_ATOMIC_NUMBER) -> list[str]:
    """Return per crystal why its composition cannot be used, empty where it can.

    Args:
        table: the crystals.
        last: largest atomic number of which something is known.

    >>> water = StructureTable.from_arrays(ids=["a", "b"], lattices=[np.eye(3)] * 2,
    ...     atomic_numbers=[[1, 1, 8], []], frac_coords=[np.zeros((3, 3)), []])
    >>> composition_reasons(water)
    ['', 'The crystal has no atoms; check its source.']
    """
    reasons = [
        "" if n else "The crystal has no atoms; check its source." for n in table.n_atoms.tolist()
    ]
    numbers = table.atomic_numbers
    foreign = np.flatnonzero((numbers == 0) | (numbers > last))
    rows = np.searchsorted(table.offsets, foreign, side="right") - 1
    for row, number in zip(rows.tolist(), numbers[foreign].tolist(), strict=True):
        reasons[row] = (
            f"Atomic number {number} has no element data (1 to {last} have); leave this crystal "
            "out."
        )
    return reasons


def structure_reasons(table: StructureTable, last: int = MAX_ATOMIC_NUMBER) -> list[str]:
    """Return per crystal why its structure cannot be used; arguments as `composition_reasons`."""
    reasons = composition_reasons(table, last)
    crystal = np.repeat(np.arange(len(table)), table.n_atoms)
    wild = np.bincount(crystal, ~np.isfinite(table.frac_coords).all(axis=1), len(table)) > 0
    wild |= ~np.isfinite(table.lattices).all(axis=(1, 2))
    lattices = np.where(wild[:, None, None], np.eye(3), table.lattices)
    volume = np.abs(np.linalg.det(lattices))
    flat = volume < MIN_VOLUME * table.n_atoms
    faces = np.linalg.norm(np.cross(lattices[:, [1, 2, 0]], lattices[:, [2, 0, 1]]), axis=2)
    # Face over volume is one over height.
    with np.errstate(divide="ignore", invalid="ignore"):
        per_axis = 2 * SEARCH_RADIUS * faces / volume[:, None] + 1
    skewed = table.n_atoms * per_axis.prod(axis=1) > MAX_IMAGES
    for row, reason in enumerate(reasons):
        if not reason and wild[row]:
            reasons[row] = (
                "A lattice vector or coordinate is not a finite number; check its source."
            )
        elif not reason and flat[row]:
            reasons[row] = (
                f"The cell has {volume[row]:.3g} Å^3 for {table.n_atoms[row]} atoms, less than "
                f"{MIN_VOLUME} Å^3 each; check the lattice vectors and their unit (Å)."
            )
        elif not reason and skewed[row]:
            reasons[row] = (
                "The cell is so flat or skewed that too many of its images are near one "
                "atom; give the Niggli-reduced cell."
            )
    return reasons
