"""CSV, TSV, JSON and JSON-lines tables with a column of structures or of file names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epitaxy.core.errors import InputError
from epitaxy.structures.building import (
    Crystal,
    Reading,
    TableBuilder,
    UnusableError,
    to_number,
)
from epitaxy.structures.delimited import made_up_names, read_delimited
from epitaxy.structures.file_batches import parse_files
from epitaxy.structures.parsing import (
    STRUCTURE_SUFFIXES,
    crystal_from_object,
    read_text,
    text_kind,
    without_suffix,
)

ID_NAMES = (
    *("id", "identifier", "material_id", "mp_id", "mpid", "mp-id", "task_id", "jid"),
    *("structure_id", "cif_id", "name", "file", "filename", "file_name", "cif_file"),
)
"""Column names (lower case) that hold identifiers, the best first."""
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
    )


def from_columns(
    columns: Columns,
    *,
    origin: str,
    folder: Path,
    header: bool = True,
    notes: Sequence[str] = (),
) -> Reading:
    """Turn raw columns into a table: find ids and structures, convert, and check.

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
        notes=[*notes, f"{origin}: {found}."], unnamed=not header and len(values) == 1
    )


def find_structure_column(columns: Columns, folder: Path, origin: str) -> str:
    """Return the column in which most of the first entries are structures or structure files.

    Raises:
        InputError: no column holds a structure.
    """
    scores = {}
    for name, cells in columns.items():
        sample = [c for c in cells if c not in (None, "")][:SAMPLE]
        scores[name] = sum(_is_structure(c, folder) for c in sample) / max(len(sample), 1)
    best = max(scores, key=lambda name: scores[name])
    if not scores[best]:
        raise InputError(
            f"No column of {origin} holds structures; its columns are {', '.join(columns)}. One "
            "must hold CIF or POSCAR text, pymatgen JSON, or names of files beside the table."
        )
    return best


def find_id_column(columns: Columns, structure_name: str) -> str | None:
    """Return the column of identifiers, None when rows must be numbered.

    It has one of the usual names, or it is the first column and holds different words only.
    """
    lower = {name.lower(): name for name in columns if name != structure_name}
    named = next((lower[name] for name in ID_NAMES if name in lower), None)
    first = next(iter(columns))
    if named is not None or first == structure_name:
        return named
    words = {cell for cell in columns[first] if isinstance(cell, str) and to_number(cell) is None}
    return first if len(words) == len(columns[first]) else None


def json_columns(text: str, name: str) -> dict[str, list[Any]]:
    """Read the usual JSON layouts of tables: records, lines, columns, or columns/index/data.

    A file ``name`` with one structure is a table of one row, called like the file.

    Raises:
        InputError: the text is no JSON, or not a table.
    """
    origin = repr(name)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        try:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError:
            raise InputError(f"{origin} is no valid JSON: {error}.") from error
    if isinstance(data, dict) and {"columns", "data"} <= set(data):
        index = data.get("index", range(len(data["data"])))
        named = {"id": list(index)} if any(isinstance(i, str) for i in index) else {}
        return named | {c: [row[i] for row in data["data"]] for i, c in enumerate(data["columns"])}
    if isinstance(data, dict) and "sites" in data:
        return {"id": [Path(name).stem], "structure": [data]}
    if isinstance(data, dict) and all(isinstance(v, dict) for v in data.values()):
        rows: dict[str, Any] = next(iter(data.values()), {})
        return {name: [cells.get(key) for key in rows] for name, cells in data.items()}
    if isinstance(data, dict) and all(isinstance(v, list) for v in data.values()):
        return _equal_lengths(data, origin)
    if isinstance(data, list) and all(isinstance(v, dict) for v in data):
        return _records(data)
    raise InputError(
        f"{origin} is JSON but no table; give a list of records, or a dictionary of columns."
    )


def _records(data: list[dict[str, Any]]) -> dict[str, list[Any]]:
    if data and all("sites" in record for record in data):
        return {"structure": list(data)}
    names = list(dict.fromkeys(name for record in data for name in record))
    return {name: [record.get(name) for record in data] for name in names}


def _equal_lengths(data: dict[str, list[Any]], origin: str) -> dict[str, list[Any]]:
    lengths = {len(cells) for cells in data.values()}
    if len(lengths) > 1:
        raise InputError(
            f"The columns of {origin} have {sorted(lengths)} entries; make them equal."
        )
    return data


def _is_structure(cell: Any, folder: Path) -> bool:
    if not isinstance(cell, str):
        return hasattr(cell, "lattice") or (
            isinstance(cell, Mapping) and bool({"sites", "lattice_mat", "atoms"} & set(cell))
        )
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
    if id_name is not None and columns[id_name][row] not in (None, ""):
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
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return UnusableError("the structure is missing")
    if isinstance(cell, str) and text_kind(cell) is None:
        return UnusableError(f"there is no file {cell.strip()[:80]!r} beside the table")
    try:
        return crystal_from_object(cell)
    except UnusableError as error:
        return error
