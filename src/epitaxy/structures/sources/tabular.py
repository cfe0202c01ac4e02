"""CSV, TSV, JSON and JSON-lines tables with a column of structures or of file names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epitaxy.core.errors import InputError
from epitaxy.structures.archives import STRUCTURE_SUFFIXES
from epitaxy.structures.building import Crystal, Reading, TableBuilder, UnusableError
from epitaxy.structures.choosing import ID_NAMES, choose_column
from epitaxy.structures.delimited import made_up_names, read_delimited
from epitaxy.structures.file_batches import parse_files
from epitaxy.structures.json_tables import KEYS_SHOWN, is_structure_dict, json_columns
from epitaxy.structures.numerals import to_number
from epitaxy.structures.parsing import (
    crystal_from_object,
    read_text,
    text_kind,
    without_suffix,
)

STRUCTURE_NAMES = (
    *("structure", "atoms", "final_structure", "structure_final", "relaxed_structure"),
    *("optimized_structure", "structures", "cif", "poscar", "file", "filename", "file_name"),
    *("cif_file", "structure_file", "path", *ID_NAMES),
)
"""Column names (lower case) that hold structures or their files, the best first."""
SAMPLE = 20
LONGEST_NAME = 240

Columns = Mapping[str, Sequence[Any]]


def read(location: str) -> Reading:
    """Read a table whose structures stand in a column, or in files that a column names.

    Raises:
        InputError: there is no such column, no row, or no usable crystal.
    """
    path = Path(location)
    text = read_text(path)
    origin = repr(path.name)
    if text.lstrip()[:1] in {"[", "{"}:
        columns: Columns = json_columns(text, path.name)
        return from_columns(columns, origin=origin, folder=path.parent)
    table = read_delimited(text, origin)
    columns = {name: table.column(name) for name in table.columns}
    return from_columns(
        columns,
        origin=origin,
        folder=path.parent,
        header=table.header,
        notes=[f"{origin}: {table.summary}."],
        delimiter=table.delimiter,
        units=table.units,
    )


def from_columns(
    columns: Columns,
    *,
    origin: str,
    folder: Path,
    header: bool = True,
    notes: Sequence[str] = (),
    delimiter: str = "",
    units: Mapping[str, str] | None = None,
) -> Reading:
    """Turn raw columns into a table: find ids and structures, convert, and check.

    Args:
        columns: name -> raw cells.
        origin: what to call the table in messages.
        folder: where files lie that a column names.
        header: whether the names stand in the file.
        notes: sentences for the log.
        delimiter: of a text table; empty for others.
        units: name -> unit, where the table says it.

    Raises:
        InputError: no column holds structures, there is no row, or no crystal is usable.
    """
    n_rows = len(next(iter(columns.values()), []))
    if not n_rows:
        raise InputError(f"{origin} holds 0 rows; give a table with at least one crystal.")
    structure_name = find_structure_column(columns, folder, origin)
    id_name = find_id_column(columns, structure_name)
    cells = columns[structure_name]
    ids = [_identifier(columns, id_name, cells, row) for row in range(n_rows)]
    values = {k: v for k, v in columns.items() if k not in {structure_name, id_name}}
    if not header:
        values = dict(zip(made_up_names(1 + len(values))[1:], values.values(), strict=True))
    builder = TableBuilder(origin)
    for row, crystal in enumerate(_crystals(cells, folder)):
        builder.add(ids[row], row, crystal, {k: v[row] for k, v in values.items()})
    found = f"structures in column {structure_name!r}, ids in {id_name or 'row order'!r}"
    return builder.build(
        notes=[*notes, f"{origin}: {found}."],
        unnamed=not header and len(values) == 1,
        delimiter=delimiter,
        units=units,
    )


def find_structure_column(columns: Columns, folder: Path, origin: str) -> str:
    """Return the column in which most of the first entries are structures or structure files.

    Raises:
        InputError: no column holds a structure.
    """
    scores = {}
    for name, cells in columns.items():
        sample = [c for c in cells if not _is_empty(c)][:SAMPLE]
        scores[name] = sum(is_structure_cell(c, folder) for c in sample) / max(len(sample), 1)
    if not any(scores.values()):
        shown = ", ".join(list(columns)[:KEYS_SHOWN])
        more = f" and {len(columns) - KEYS_SHOWN} more" if len(columns) > KEYS_SHOWN else ""
        raise InputError(
            f"No column of {origin} holds structures; its columns are {shown}{more}. One must hold "
            "CIF or POSCAR text, pymatgen JSON, or names of files beside the table."
        )
    written = {n: s for n, s in scores.items() if s and _holds_content(columns[n], folder)}
    return choose_column(written or scores, columns, STRUCTURE_NAMES, "hold the structures")


def find_id_column(columns: Columns, structure_name: str) -> str | None:
    """Return the column of identifiers, None when rows must be numbered.

    It has one of the usual names, or it is the first column and holds different words only.
    """
    lower = {name.lower(): name for name in columns if name != structure_name}
    usual = [lower[name] for name in ID_NAMES if name in lower]
    different = [name for name in usual if _all_different(columns[name])]
    named = next(iter([*different, *usual]), None)
    first = next(iter(columns))
    if named is not None or first == structure_name:
        return named
    words = {cell for cell in columns[first] if isinstance(cell, str) and to_number(cell) is None}
    return first if len(words) == len(columns[first]) else None


def _all_different(cells: Sequence[Any]) -> bool:
    names = [str(cell).strip() for cell in cells if not _is_empty(cell)]
    return len(set(names)) == len(cells)


def _is_empty(cell: Any) -> bool:
    unknown = isinstance(cell, float) and math.isnan(cell)
    return cell is None or unknown or (isinstance(cell, str) and not cell.strip())


def _holds_content(cells: Sequence[Any], folder: Path) -> bool:
    """Tell whether the cells are structures themselves and not names of files."""
    first = next((cell for cell in cells if not _is_empty(cell)), None)
    return is_structure_cell(first, folder) and _file(first, folder) is None


def is_structure_cell(cell: Any, folder: Path) -> bool:
    """Tell whether a cell is a structure, or names the file of one in ``folder``."""
    if not isinstance(cell, str):
        return hasattr(cell, "lattice") or is_structure_dict(cell)
    return text_kind(cell) is not None or _file(cell, folder) is not None


def _file(cell: Any, folder: Path) -> Path | None:
    """Return the file that a cell names, with or without its ending."""
    if not isinstance(cell, str) or not cell.strip() or "\n" in cell or len(cell) > LONGEST_NAME:
        return None
    for ending in ("", *STRUCTURE_SUFFIXES):
        path = folder / (cell.strip() + ending)
        if path.is_file():
            return path
    return None


def _identifier(columns: Columns, id_name: str | None, cells: Sequence[Any], row: int) -> str:
    if id_name is not None and not _is_empty(columns[id_name][row]):
        return without_suffix(str(columns[id_name][row]).strip())
    cell = cells[row]
    if isinstance(cell, str) and text_kind(cell) is None and cell.strip():
        return without_suffix(Path(cell.strip()).name)
    return f"row-{row}"


def _crystals(cells: Sequence[Any], folder: Path) -> list[Crystal | UnusableError]:
    files = {row: path for row, c in enumerate(cells) if (path := _file(c, folder)) is not None}
    parsed = dict(zip(files, parse_files(list(files.values())), strict=True))
    return [parsed[row] if row in parsed else _one(cell) for row, cell in enumerate(cells)]


def _one(cell: Any) -> Crystal | UnusableError:
    if _is_empty(cell):
        return UnusableError("the structure is missing")
    if isinstance(cell, str) and text_kind(cell) is None:
        return UnusableError(f"there is no file {cell.strip()[:80]!r} beside the table")
    try:
        return crystal_from_object(cell)
    except UnusableError as error:
        return error
