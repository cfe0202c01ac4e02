"""Why no graph can be made of a crystal."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from epitaxy.core.elements import SYMBOLS
from epitaxy.structures.closeness import CLOSEST, close_pairs

SMALLEST_VOLUME = 1e-3
"""Å^3; a cell below this is flat."""
LONGEST = 1000.0
"""Å; a longer lattice vector is a mistake of units or of writing."""
FARTHEST = 1e6
"""Cells; beyond this a fractional coordinate has lost its decimals."""


def crystal_faults(
    offsets: np.ndarray, lattices: np.ndarray, atomic_numbers: np.ndarray, frac_coords: np.ndarray
) -> dict[int, str]:
    """Return row -> reason for crystals that no graph can be made of (packed arrays)."""
    faults: dict[int, str] = {}
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    bad_number = (atomic_numbers < 1) | (atomic_numbers > 118)
    for atom in np.flatnonzero(bad_number):
        reason = f"atomic number {int(atomic_numbers[atom])} does not exist; allowed: 1 to 118"
        faults.setdefault(int(owner[atom]), reason)
    for row in np.unique(owner[~np.isfinite(frac_coords).all(axis=1)]):
        faults.setdefault(int(row), "a coordinate is not a finite number")
    far = np.abs(np.nan_to_num(frac_coords, posinf=0, neginf=0)).max(axis=1, initial=0) > FARTHEST
    for row in np.unique(owner[far]):
        faults.setdefault(int(row), f"a coordinate lies more than {FARTHEST:g} cells away")
    for row in np.flatnonzero(~np.isfinite(lattices).all(axis=(1, 2))):
        faults.setdefault(int(row), "the lattice holds a value that is not a finite number")
    with np.errstate(invalid="ignore", over="ignore"):
        lengths = np.linalg.norm(lattices, axis=2).max(axis=1, initial=0)
        volumes = np.abs(np.linalg.det(lattices)) if len(lattices) else np.zeros(0)
    for row in np.flatnonzero(lengths > LONGEST):
        reason = f"a lattice vector is {lengths[row]:.3g} Å long; allowed: up to {LONGEST:g} Å"
        faults.setdefault(int(row), reason)
    for row in np.flatnonzero(volumes < SMALLEST_VOLUME):
        reason = f"the lattice is singular (volume {volumes[row]:.2g} Å^3); give a periodic cell"
        faults.setdefault(int(row), reason)
    for row in np.flatnonzero(np.diff(offsets) == 0):
        faults.setdefault(int(row), "the structure has no atoms")
    return faults | _too_close(faults, offsets, lattices, atomic_numbers, frac_coords)


def _too_close(
    faults: Mapping[int, str],
    offsets: np.ndarray,
    lattices: np.ndarray,
    atomic_numbers: np.ndarray,
    frac_coords: np.ndarray,
) -> dict[int, str]:
    """Return row -> reason for crystals without other faults whose atoms are too near."""
    rows = np.setdiff1d(np.arange(len(lattices)), list(faults))
    kept = np.isin(np.repeat(np.arange(len(lattices)), np.diff(offsets)), rows)
    ends = np.concatenate([[0], np.cumsum(np.diff(offsets)[rows])]).astype(np.int64)
    numbers = atomic_numbers[kept]
    found = {}
    for at, pair in close_pairs(ends, lattices[rows], frac_coords[kept]).items():
        one, two = (SYMBOLS[int(numbers[ends[at] + atom])] for atom in (pair.one, pair.two))
        who = f"atoms {pair.one + 1} ({one}) and {pair.two + 1} ({two}) are"
        if pair.one == pair.two:
            who = f"atom {pair.one + 1} ({one}) and its own image are"
        found[int(rows[at])] = (
            f"{who} {pair.distance:.2g} Å apart; no two atoms are nearer than {CLOSEST:g} Å"
        )
    return found
