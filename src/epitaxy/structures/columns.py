"""From the raw columns of a table to properties with units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from epitaxy.core.properties import PropertySpec
from epitaxy.structures.numerals import to_number, understand_columns
from epitaxy.structures.units import split_headers

RESERVED = frozenset({"id", "row", "lattice", "atomic_numbers", "frac_coords"})
"""Columns of a table file that are never properties."""
UNNAMED = "unnamed"
"""How names begin that stand for an empty header; pandas writes its row numbers that way."""
_ROW_NUMBERS = re.compile(r"(?i)unnamed.*|__index_level_\d+__|index|level_\d+|")


def is_index(name: str, cells: Sequence[Any]) -> bool:
    """Tell whether a column is the nameless index that pandas writes along.

    >>> is_index("__index_level_0__", [7, 8]), is_index("index", [0, 1]), is_index("index", [2, 9])
    (True, True, False)
    """
    lower = name.lower()
    if lower.startswith((UNNAMED, "__index_level_")) or not lower:
        return True
    counted = [to_number(cell) for cell in cells]
    return bool(_ROW_NUMBERS.fullmatch(lower)) and counted in (
        [float(i) for i in range(len(counted))],
        [float(i + 1) for i in range(len(counted))],
    )


class Properties(NamedTuple):
    """What the raw columns of a table were understood as."""

    values: dict[str, np.ndarray]
    """Name -> (B,) float64, NaN where not known."""
    specs: dict[str, PropertySpec]
    refused: dict[str, str]
    """Name -> why the column holds no values."""
    notes: list[str]
    """One sentence per column with missing or unreadable entries."""
    headers: dict[str, str]
    """Header in the file -> name, where they differ."""


def properties_of(
    columns: Mapping[str, Sequence[Any]],
    *,
    delimiter: str = "",
    units: Mapping[str, str] | None = None,
) -> Properties:
    """Sort raw columns into properties, classes and texts; units move from headers to properties.

    Args:
        columns: header -> cells.
        delimiter: of the text table; empty where there is none.
        units: header -> unit, known from elsewhere in the file.
    """
    raw = {
        name: cells
        for name, cells in columns.items()
        if name not in RESERVED and not is_index(name, cells)
    }
    found = Properties({}, {}, {}, [], {})
    names = split_headers(list(raw))
    for header, column in understand_columns(raw, delimiter).items():
        name, unit = names[header]
        if name != header:
            found.headers[header] = name
        if column.note:
            found.notes.append(column.note)
        if column.values is None:
            found.refused[name] = column.refusal
            continue
        unit = (units or {}).get(header) or unit or column.unit
        found.values[name] = column.values
        found.specs[name] = PropertySpec(name=name, unit=unit, classes=column.classes)
        if column.classes:
            found.notes.append(f"Column {name!r} is a class ({', '.join(column.classes[:5])}).")
    return found
