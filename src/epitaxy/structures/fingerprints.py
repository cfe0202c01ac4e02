"""Near-duplicates: crystals whose interatomic distances are nearly the same."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from epitaxy.structures.table import StructureTable

NEIGHBOURS = 48
"""Neighbours of an atom whose distances are compared; each element has its share of them."""
TOLERANCE = 0.03
"""Largest difference of a mean distance between near-duplicates, in units of the cube root of the
volume per atom (about 0.05 Å of carbon, 0.08 Å of an oxide)."""
VOLUME = 0.3
"""Weight of the logarithm of the volume per atom beside the distances: near-duplicates differ by
less than `TOLERANCE` / `VOLUME`, a tenth."""
CHUNK = 2_000_000
"""Most distances that are held in memory at a time."""


def near_duplicates(table: StructureTable) -> np.ndarray:
    """Number groups of rows that are nearly the same crystal, (B,) int64.

    Rows of one reduced formula are compared by `fingerprint`. Those that differ by less than
    `TOLERANCE` in every number are linked, and so are all rows of a chain of links.

    >>> twice = StructureTable.from_arrays(
    ...     ids=["small", "large", "other"], lattices=[np.eye(3) * 4.1, np.eye(3) * 4.2, np.eye(3)],
    ...     atomic_numbers=[[55, 17], [55, 17], [2]],
    ...     frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]], [[0.5, 0, 0], [0, 0.5, 0.5]], [[0, 0, 0]]])
    >>> near_duplicates(twice)
    array([0, 0, 1])
    """
    groups: dict[str, list[int]] = {}
    for row, formula in enumerate(table.formulas):
        groups.setdefault(formula, []).append(row)
    numbers = np.zeros(len(table), dtype=np.int64)
    used = 0
    for rows in groups.values():
        alike = np.zeros(1, np.int64)
        if len(rows) > 1:
            alike = linked(np.stack([fingerprint(table, row) for row in rows]), TOLERANCE)
        numbers[rows] = used + alike
        used += int(alike.max()) + 1
    return numbers


def fingerprint(table: StructureTable, row: int) -> np.ndarray:
    """Return what nearly equal crystals of one reduced formula share, (F,) float64.

    For each pair of elements the distances from an atom of the first to its nearest atoms of the
    second, in ascending order, are averaged over all atoms of the first; so are their standard
    deviations. Lengths are in units of the cube root of the volume per atom, whose logarithm stands
    first. Neither the choice of the cell nor the order of atoms counts, and moving atoms by d
    changes no mean by more than 2 d (average minimum distances, D. Widdowson et al., MATCH Commun.
    Math. Comput. Chem. 87, 529 (2022)).
    """
    atoms = slice(table.offsets[row], table.offsets[row + 1])
    numbers, coords = table.atomic_numbers[atoms], table.frac_coords[atoms]
    volume = abs(float(np.linalg.det(table.lattices[row]))) / len(numbers)
    lattice = table.lattices[row] / volume ** (1 / 3)
    parts = [np.array([VOLUME * np.log(volume)])]
    elements, counts = np.unique(numbers, return_counts=True)
    for element, count in zip(elements, counts.tolist(), strict=True):
        wanted = -(-NEIGHBOURS * count // len(numbers))
        near = _nearest(lattice, coords, coords[numbers == element], wanted)
        for centre in elements:
            mine = near[numbers == centre]
            parts += [mine.mean(axis=0), mine.std(axis=0)]
    return np.concatenate(parts)


def _nearest(
    lattice: np.ndarray, coords: np.ndarray, others: np.ndarray, wanted: int
) -> np.ndarray:
    """Return the distances from n atoms to the nearest of some atoms, ascending, (n, wanted).

    Args:
        lattice: (3, 3), rows are the lattice vectors.
        coords: (n, 3) fractional coordinates.
        others: (m, 3) fractional coordinates of the atoms to look for, in all cells.
        wanted: how many; an atom is not its own neighbour.
    """
    planes = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    radius = (3 * (wanted + 1) * abs(np.linalg.det(lattice)) / (4 * np.pi * len(others))) ** (1 / 3)
    while True:
        radius *= 1.25
        # Differences of coordinates are at most half a cell, which the images must cover as well.
        reach = np.ceil(radius / planes + 0.5).astype(int)
        shifts = np.stack(
            np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1
        ).reshape(-1, 3)
        found = []
        if len(shifts) * len(others) > wanted:
            size = max(1, CHUNK // (len(others) * len(shifts)))
            for start in range(0, len(coords), size):
                step = others[None] - coords[start : start + size, None]
                step -= np.round(step)
                vectors = (step @ lattice)[:, :, None] + shifts @ lattice
                squares = np.einsum("ijkl,ijkl->ijk", vectors, vectors)
                squares = squares.reshape(len(step), -1)
                squares[squares < 1e-8] = np.inf
                nearest = np.partition(squares, wanted - 1, axis=1)[:, :wanted]
                found.append(np.sqrt(np.sort(nearest, axis=1)))
            distances = np.concatenate(found)
            if distances[:, -1].max() <= radius:
                return distances


def linked(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Number the sets of points that chains of small steps connect, (n,) int64.

    A step is small when no coordinate changes by more than ``tolerance``. Sets are numbered in the
    order of their first point.

    >>> linked(np.array([[0.0, 0.0], [5.0, 0.0], [0.9, 0.9]]), 1.0)
    array([0, 1, 0])

    Memory grows with n, not with its square: along the first coordinate only a window is looked at.

    Args:
        points: (n, F).
        tolerance: length of a step.
    """
    order = np.argsort(points[:, 0], kind="stable")
    ordered = points[order]
    ends = np.searchsorted(ordered[:, 0], ordered[:, 0] + tolerance, side="right")
    labels: np.ndarray = np.arange(len(points))
    start = 0
    while start < len(points):
        stop = start + 1
        while stop < len(points) and (stop + 1 - start) * (ends[stop] - start) <= CHUNK // 10:
            stop += 1
        window = slice(start, int(ends[stop - 1]))
        close = cdist(ordered[start:stop], ordered[window], "chebyshev") <= tolerance
        one, two = np.nonzero(close)
        edges = (labels[start + one], labels[start + two])
        graph = coo_array((np.ones(len(one)), edges), shape=(len(points), len(points)))
        _, joined = connected_components(graph, directed=False)
        labels = joined[labels]
        start = stop
    back = np.empty_like(labels)
    back[order] = labels
    _, first, inverse = np.unique(back, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
