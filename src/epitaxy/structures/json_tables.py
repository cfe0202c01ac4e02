"""The usual layouts of tables in JSON as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epitaxy.core.errors import InputError
from epitaxy.structures.choosing import ID_NAMES
from epitaxy.structures.json_text import parse_json
from epitaxy.structures.optimade import is_optimade

Table = dict[str, list[Any]]
WRAPPERS = (
    *("data", "entries", "results", "records", "materials", "structures", "docs", "items"),
    *("documents", "response", "crystals"),
)
"""Keys under which a table is kept inside a larger answer."""
STRUCTURE_KEYS = frozenset({"sites", "lattice_mat", "atoms"})
OPTIMADE_DESCRIPTION = frozenset(
    {"nelements", "nsites", "nperiodic_dimensions", "space_group_it_number", "_mp_stability"}
)
"""Numbers of OPTIMADE that describe the structure itself."""
KEYS_SHOWN = 10


def json_columns(text: str, name: str) -> Table:
    """Read records, lines, columns, columns/index/data, ``{id: ...}`` or an answer of OPTIMADE.

    A file ``name`` with one structure is a table of one row, called like the file.

    Raises:
        InputError: the text is no JSON, or not a table.
    """
    origin = repr(name)
    try:
        data = parse_json(text, origin)
    except InputError:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2 or not lines[0].rstrip().endswith(("}", "]")):
            raise
        data = [parse_json(line, f"Line {i} of {origin}") for i, line in enumerate(lines, 1)]
    if isinstance(data, Mapping) and is_structure_dict(data):
        return {"id": [Path(name).stem], "structure": [data]}
    return _table(data, origin)


def is_structure_dict(cell: Any) -> bool:
    """Tell whether a value is a structure of pymatgen, JARVIS or OPTIMADE."""
    if not isinstance(cell, dict):  # a composition of pymatgen is a mapping, too
        return False
    inner = cell.get("structure", {})
    return (
        bool(STRUCTURE_KEYS & set(cell))
        or is_optimade(cell)
        or (isinstance(inner, Mapping) and bool(STRUCTURE_KEYS & set(inner)))
    )


def _table(data: Any, origin: str) -> Table:  # noqa: PLR0911 - one per layout
    if isinstance(data, Mapping) and data:
        if {"columns", "data"} <= set(data):
            return _split_layout(data, origin)
        inner = _unwrapped(data)
        if inner is not None:
            return _table(inner, origin)
        if all(isinstance(value, Mapping) for value in data.values()):
            return _nested(data)
        if all(isinstance(value, list) for value in data.values()):
            return _equal_lengths(data, origin)
    if data in ([], {}):
        return {}
    if isinstance(data, list):
        if all(isinstance(record, Mapping) for record in data):
            return _records(data)
        if all(isinstance(cell, str) for cell in data):
            return {"structure": list(data)}
    keys = list(data) if isinstance(data, Mapping) else []
    more = f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else ""
    listed = f" (keys: {', '.join(map(str, keys[:KEYS_SHOWN]))}{more})" if keys else ""
    raise InputError(
        f"{origin} is JSON but no table{listed}; give a list of records, a dictionary of columns, "
        "or {id: structure}."
    )


def _split_layout(data: Mapping[str, Any], origin: str) -> Table:
    rows, names = data["data"], [str(name) for name in data["columns"]]
    if not isinstance(rows, list) or any(
        not isinstance(row, list) or len(row) != len(names) for row in rows
    ):
        raise InputError(f"The rows of {origin} do not have the {len(names)} cells of 'columns'.")
    index = data.get("index", range(len(rows)))
    named = {"id": list(index)} if any(isinstance(i, str) for i in index) else {}
    return named | {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _unwrapped(data: Mapping[str, Any]) -> Any:
    """Return the table inside an answer, None where there is none."""
    lists = [key for key, value in data.items() if isinstance(value, list)]
    for key in WRAPPERS:
        value = data.get(key)
        if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            lengths = [len(data[other]) for other in lists if other != key]
            if len(value) not in lengths:
                return value
        if isinstance(value, Mapping) and len(data) == 1 and not is_structure_dict(value):
            return value
    return None


def _nested(data: Mapping[str, Mapping[str, Any]]) -> Table:
    """Read a dictionary of dictionaries: of structures, of records, or of columns."""
    if all(
        is_structure_dict(value) and "structure" not in value and "atoms" not in value
        for value in data.values()
    ):
        return {"id": list(data), "structure": list(data.values())}
    by_row = any(_is_record(value) for value in data.values())
    if by_row:
        table = _records(list(data.values()))
        keys = [str(key) for key in data]
    else:
        first = next(iter(data.values()))
        table = {str(name): [cells.get(key) for key in first] for name, cells in data.items()}
        keys = [str(key) for key in first]
    if any(name.lower() in ID_NAMES[:9] for name in table) and all(k.isdecimal() for k in keys):
        return table
    return {"id": keys} | {name: cells for name, cells in table.items() if name != "id"}


def _is_record(value: Mapping[str, Any]) -> bool:
    """Tell whether a dictionary describes one crystal: its values are of different kinds."""
    kinds = {
        "number" if isinstance(cell, int | float) else type(cell).__name__
        for cell in value.values()
        if cell is not None
    }
    return len(kinds) > 1


def _records(data: Sequence[Mapping[str, Any]]) -> Table:
    if all(is_optimade(record) and "attributes" in record for record in data):
        data = [_flattened(record) for record in data]
    elif all("sites" in record or "lattice_vectors" in record for record in data):
        return {"structure": list(data)}
    names = list(dict.fromkeys(str(name) for record in data for name in record))
    return {name: [record.get(name) for record in data] for name in names}


def _flattened(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of OPTIMADE with its numbers beside its structure."""
    numbers = {
        key: value
        for key, value in entry["attributes"].items()
        if key not in OPTIMADE_DESCRIPTION and isinstance(value, int | float | bool)
    }
    return {"id": entry.get("id"), "structure": entry["attributes"], **numbers}


def _equal_lengths(data: Mapping[str, list[Any]], origin: str) -> Table:
    lengths = {len(cells) for cells in data.values()}
    if len(lengths) > 1:
        raise InputError(
            f"The columns of {origin} have {sorted(lengths)[:KEYS_SHOWN]} entries; make them equal."
        )
    return {str(name): cells for name, cells in data.items()}
