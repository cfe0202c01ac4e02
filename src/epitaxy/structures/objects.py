"""From objects of pymatgen and ASE, and paths, to a table in the given order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.structures.building import Crystal, TableBuilder, UnusableError
from epitaxy.structures.file_batches import parse_files
from epitaxy.structures.parsing import crystal_from_object
from epitaxy.structures.table import StructureTable

KINDS = "pymatgen structures, ASE atoms, or paths of structure files"


def table_of(crystals: Any) -> tuple[StructureTable, np.ndarray]:
    """Pack crystals in the order in which they come.

    Args:
        crystals: a `StructureTable`, or n pymatgen structures, ASE atoms or paths.

    Returns:
        The table, and (B,) the position of each of its rows among the n crystals. The ids of a
        list are the positions; what cannot be used is in ``dropped``.

    Raises:
        InputError: it is no such list, is empty, or no crystal can be used.
    """
    if isinstance(crystals, StructureTable):
        return crystals.with_dropped(()), np.arange(len(crystals))
    # A structure of pymatgen is a sequence, too: of its sites.
    listed = isinstance(crystals, Sequence | np.ndarray) and not hasattr(crystals, "frac_coords")
    if isinstance(crystals, str) or not (listed or hasattr(crystals, "to_list")):
        raise InputError(
            f"The crystals came as {type(crystals).__name__}; give a list of {KINDS}, or a "
            "StructureTable."
        )
    items = list(crystals)
    if not items:
        raise InputError(f"0 crystals came; give at least one of {KINDS}.")
    paths = {i: Path(item) for i, item in enumerate(items) if isinstance(item, str | Path)}
    parsed = dict(zip(paths, parse_files(list(paths.values())), strict=True))
    builder = TableBuilder("the list of crystals")
    for position, item in enumerate(items):
        crystal = parsed[position] if position in paths else _converted(item)
        builder.add(str(position), position, crystal, {})
    table = builder.build().table
    return table, table.row_numbers


def _converted(item: Any) -> Crystal | UnusableError:
    """Convert one object, or say why it cannot be used.

    Raises:
        InputError: it is no crystal at all.
    """
    if not (hasattr(item, "lattice") or hasattr(item, "get_cell")):
        raise InputError(f"A {type(item).__name__} is no crystal; give {KINDS}.")
    try:
        return crystal_from_object(item)
    except UnusableError as error:
        return error
