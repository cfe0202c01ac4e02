"""A key of the structure of a crystal, by which polymorphs of one composition are told apart."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from epitaxy.structures.table import StructureTable

SYMPREC = 0.05
"""Tolerance of the search for symmetry, Å: wide enough for relaxed and measured structures."""
UNTOLD = 0
"""Key of a crystal whose symmetry cannot be found."""


def structure_keys(table: StructureTable, rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return a key of composition, space group and size of the primitive cell, uint32.

    Args:
        table: crystals.
        rows: (n,) rows that are asked about.

    >>> table = StructureTable.from_arrays(ids=["a", "b"], lattices=[np.eye(3) * 4.1] * 2,
    ...     atomic_numbers=[[55, 17]] * 2, frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]],
    ...                                                 [[0, 0, 0], [0.5, 0.5, 0.4]]])
    >>> keys = structure_keys(table, [0, 1, 0])
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    return np.array([_key(table, int(row)) for row in rows], dtype=np.uint32)


def _key(table: StructureTable, row: int) -> int:
    atoms = slice(table.offsets[row], table.offsets[row + 1])
    parts = (table.lattices[row], table.frac_coords[atoms], table.atomic_numbers[atoms])
    lattice, coords, numbers = (part.tobytes() for part in parts)
    return _key_of(table.formulas[row], lattice, coords, numbers)


@lru_cache(maxsize=4096)
def _key_of(formula: str, lattice: bytes, coords: bytes, numbers: bytes) -> int:
    """Find the symmetry; trainings of one `fit` ask again and again for the same crystals."""
    # Of odd cells spglib complains on standard error; they have no key, which is enough.
    os.environ.setdefault("SPGLIB_WARNING", "OFF")
    from spglib import get_symmetry_dataset

    cell: Any = (
        np.frombuffer(lattice).reshape(3, 3),
        np.frombuffer(coords).reshape(-1, 3),
        np.frombuffer(numbers, dtype=np.uint8),
    )
    found = get_symmetry_dataset(cell, symprec=SYMPREC)
    if found is None:
        return UNTOLD
    primitive = len(set(found.mapping_to_primitive.tolist()))
    return zlib.crc32(f"{formula} {found.number} {primitive}".encode()) or 1
