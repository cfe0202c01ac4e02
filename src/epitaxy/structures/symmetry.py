"""Prototypes: crystals of equal symmetry, whatever their elements."""

from __future__ import annotations

import warnings
from collections import Counter
from math import gcd
from typing import Any

import spglib

from epitaxy.structures.table import StructureTable

SYMPREC = 0.1
"""Å by which atoms of a relaxed crystal may miss their symmetric places."""


def prototypes(table: StructureTable) -> list[str]:
    """Return the prototype of each row.

    It is the anonymous formula, the number of the space group, and for each element the
    multiplicities and site symmetries of its Wyckoff positions. These do not depend on the choice
    of the origin, as the letters of the positions do.

    >>> import numpy as np
    >>> caesium_chloride = StructureTable.from_arrays(
    ...     ids=["a", "b"], lattices=[np.eye(3) * 4.1, np.eye(3) * 3.9],
    ...     atomic_numbers=[[55, 17], [47, 12]],
    ...     frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]], [[0.5, 0.5, 0.5], [0, 0, 0]]])
    >>> prototypes(caesium_chloride)
    ['AB 221: 1 -3mm; 1 -3mm', 'AB 221: 1 -3mm; 1 -3mm']
    """
    return [_prototype(table, row) for row in range(len(table))]


def _prototype(table: StructureTable, row: int) -> str:
    atoms = slice(table.offsets[row], table.offsets[row + 1])
    numbers = table.atomic_numbers[atoms].tolist()
    counts = Counter(numbers)
    common = gcd(*counts.values())
    cell: Any = (table.lattices[row], table.frac_coords[atoms], numbers)
    # A warning tells that a failure will not be None in the next version.
    with warnings.catch_warnings(action="ignore"):
        found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
    sites: dict[int, str] = dict.fromkeys(counts, "")
    if found is not None:
        # Orbits of the given cell, counted in the conventional one.
        scale = len(found.std_types) / len(numbers)
        orbits = Counter(found.crystallographic_orbits.tolist())
        for z in counts:
            mine = [(n, first) for first, n in orbits.items() if numbers[first] == z]
            texts = [f"{round(n * scale)} {_site(found, first)}" for n, first in mine]
            sites[z] = ", ".join(sorted(texts))
    ordered = sorted(counts, key=lambda z: (counts[z] // common, sites[z]))
    name = "".join(
        chr(ord("A") + k) + (str(counts[z] // common) if counts[z] > common else "")
        for k, z in enumerate(ordered)
    )
    group = "no symmetry found" if found is None else str(found.number)
    return f"{name} {group}: " + "; ".join(sites[z] for z in ordered)


def _site(found: spglib.SpglibDataset, atom: int) -> str:
    """Return the site symmetry with its signs in a fixed order, as the axes may be exchanged."""
    return "".join(sorted(found.site_symmetry_symbols[atom].replace(".", "")))
