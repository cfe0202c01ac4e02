"""Pairs of atoms that are nearer than atoms can be."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

CLOSEST = 0.5
"""Å; the shortest bond there is, of H2, has 0.74 Å."""
SHIFTS = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=np.float64)
BLOCK = 1 << 20
"""Pairs that are looked at together."""


class Pair(NamedTuple):
    """Two atoms of a crystal (numbers within it), or an atom and its own image."""

    one: int
    two: int
    distance: float
    """Å."""


def close_pairs(
    offsets: np.ndarray, lattices: np.ndarray, frac_coords: np.ndarray
) -> dict[int, Pair]:
    """Return row -> a pair nearer than `CLOSEST`, for the rows that have one.

    Args:
        offsets: (B + 1,) int64, atoms of row b are ``offsets[b]:offsets[b + 1]``.
        lattices: (B, 3, 3) in Å, rows are vectors, not singular.
        frac_coords: (N, 3), finite.

    >>> close_pairs(np.array([0, 2]), np.eye(3)[None] * 4, np.array([[0, 0, 0.98], [0, 0, 0.01]]))
    {0: Pair(one=0, two=1, distance=0.12)}
    """
    if not len(lattices):
        return {}
    # Within a cell whose planes are further apart than 2 x 0.5 Å, a short vector has components
    # below one half, so that the nearest image is the one that rounding finds.
    heights = 1 / np.linalg.norm(np.linalg.inv(lattices), axis=1)
    narrow = heights.min(axis=1) <= 2 * CLOSEST
    found = {int(row): pair for row in np.flatnonzero(narrow) if (pair := _within(
        lattices[row], frac_coords[offsets[row] : offsets[row + 1]]))}  # fmt: skip
    counts = np.where(narrow, 0, np.diff(offsets))
    owner = np.repeat(np.arange(len(counts)), np.diff(offsets))
    atoms = np.flatnonzero(~narrow[owner]) if narrow.any() else np.arange(len(owner))
    if len(atoms):
        found |= _sweep(atoms, owner[atoms], offsets, lattices, frac_coords, heights)
    return {row: found[row] for row in sorted(found)}


def _sweep(  # noqa: PLR0917 - packed arrays that belong together
    atoms: np.ndarray,
    owner: np.ndarray,
    offsets: np.ndarray,
    lattices: np.ndarray,
    frac_coords: np.ndarray,
    heights: np.ndarray,
) -> dict[int, Pair]:
    """Sort the atoms of every crystal along its first vector and compare neighbours."""
    frac = frac_coords[atoms] % 1
    window = CLOSEST / heights[owner, 0]
    wrapped = np.flatnonzero(frac[:, 0] < window)
    atoms = np.concatenate([atoms, atoms[wrapped]])
    owner = np.concatenate([owner, owner[wrapped]])
    along = np.concatenate([frac[:, 0], frac[wrapped, 0] + 1])
    window = np.concatenate([window, window[wrapped]])
    frac = np.concatenate([frac, frac[wrapped]])
    order = np.lexsort((along, owner))
    atoms, owner, along, window, frac = (a[order] for a in (atoms, owner, along, window, frac))
    found: dict[int, Pair] = {}
    left = np.arange(len(atoms))
    for step in range(1, len(atoms)):
        left = left[left + step < len(atoms)]
        near = (owner[left] == owner[left + step]) & (
            along[left + step] - along[left] <= window[left]
        )
        left = left[near]
        if not len(left):
            break
        for begin in range(0, len(left), BLOCK):
            one = left[begin : begin + BLOCK]
            delta = frac[one] - frac[one + step]
            delta -= np.round(delta)
            length = np.sqrt((np.einsum("ni,nij->nj", delta, lattices[owner[one]]) ** 2).sum(1))
            for k in np.flatnonzero((length < CLOSEST) & (atoms[one] != atoms[one + step])):
                row = int(owner[one[k]])
                first, second = sorted((int(atoms[one[k]]), int(atoms[one[k] + step])))
                pair = Pair(
                    first - int(offsets[row]),
                    second - int(offsets[row]),
                    round(float(length[k]), 4),
                )
                if row not in found or pair.distance < found[row].distance:
                    found[row] = pair
    return found


def _within(lattice: np.ndarray, frac: np.ndarray) -> Pair | None:
    """Find the nearest pair, images included, in a cell that may be very flat or narrow."""
    from pymatgen.core.lattice import Lattice
    from scipy.spatial import cKDTree

    reduced = Lattice(lattice).get_lll_reduced_lattice().matrix
    lengths = np.linalg.norm(SHIFTS @ reduced, axis=1)
    lengths[len(SHIFTS) // 2] = np.inf
    if lengths.min() < CLOSEST:
        return Pair(0, 0, round(float(lengths.min()), 4))
    if len(frac) < 2:
        return None
    inside = (frac @ lattice @ np.linalg.inv(reduced)) % 1 @ reduced
    images = (inside[:, None] + SHIFTS @ reduced).reshape(-1, 3)
    distances, which = cKDTree(images).query(inside, k=2)
    one = int(distances[:, 1].argmin())
    if distances[one, 1] >= CLOSEST:
        return None
    first, second = sorted((one, int(which[one, 1]) // len(SHIFTS)))
    return Pair(first, second, round(float(distances[one, 1]), 4))
