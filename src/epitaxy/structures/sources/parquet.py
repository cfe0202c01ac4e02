"""Parquet tables: our own, and plain ones with the same four structural columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.building import Reading, pack
from epitaxy.structures.choosing import ID_NAMES
from epitaxy.structures.columns import RESERVED, Properties, is_index, properties_of
from epitaxy.structures.sources.tabular import from_columns, is_structure_cell
from epitaxy.structures.table import METADATA_KEY, Dropped
from epitaxy.structures.units import split_headers

INDEX = "__index_level_0__"
"""How pandas calls an index without a name."""
SAMPLE = 1000
STRUCTURAL = ("id", "lattice", "atomic_numbers", "frac_coords")


def read(location: str) -> Reading:
    """Read a Parquet table; every numeric column beside the structural ones is a property.

    Raises:
        InputError: the file is damaged, a structural column is missing, or lengths disagree.
    """
    try:
        # An open file, because a relative path with a colon would be taken for an address.
        with Path(location).open("rb") as file:
            table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"Could not read {location!r} as a Parquet table: {error}.") from error
    table = _with_id(table)
    missing = [name for name in STRUCTURAL if name not in table.column_names]
    if missing:
        return _foreign(table, location, missing[0])
    _check_ids(table, location)
    offsets, numbers = _flatten(table, "atomic_numbers", np.int64)
    lattice_offsets, lattices = _flatten(table, "lattice", np.float64)
    coord_offsets, coords = _flatten(table, "frac_coords", np.float64)
    _check_lengths(location, "lattice", np.diff(lattice_offsets), np.full(len(table), 9))
    _check_lengths(location, "frac_coords", np.diff(coord_offsets), 3 * np.diff(offsets))
    properties, dropped = _metadata(table)
    found = _properties(table, properties)
    packed = pack(
        origin=repr(location),
        ids=[str(i) for i in table["id"].to_pylist()],
        source_rows=_rows(table),
        offsets=offsets,
        lattices=lattices.reshape(-1, 3, 3),
        atomic_numbers=numbers,
        frac_coords=coords.reshape(-1, 3),
        values=found.values,
        properties=found.specs | {k: s for k, s in properties.items() if k in found.values},
        dropped=dropped,
    )
    notes = (f"Parquet table of {len(table)} rows.", *found.notes)
    return Reading(packed, notes, refused=found.refused, headers=found.headers)


def _with_id(table: pa.Table) -> pa.Table:
    """Give the column that names the rows the name ``id``, the index of pandas included."""
    if "id" in table.column_names:
        return table
    lower = {name.lower(): name for name in table.column_names}
    named = next((lower[name] for name in (*ID_NAMES, INDEX) if name in lower), None)
    return table.rename_columns(["id" if n == named else n for n in table.column_names])


def _foreign(table: pa.Table, location: str, missing: str) -> Reading:
    """Read a table whose structures stand in a column as text or dictionaries.

    Raises:
        InputError: no column holds structures either.
    """
    folder = Path(location).parent
    first = table.slice(0, 1).to_pylist()
    if not any(is_structure_cell(cell, folder) for row in first for cell in row.values()):
        raise InputError(
            f"The Parquet table {location!r} has no column {missing!r}; it needs "
            f"{', '.join(STRUCTURAL)} and has {', '.join(table.column_names)}."
        )
    return from_columns(table.to_pydict(), origin=repr(location), folder=folder)


def _check_ids(table: pa.Table, location: str) -> None:
    if table["id"].null_count:
        raise InputError(
            f"{table['id'].null_count} rows of {location!r} have no id; give every row one."
        )


def _rows(table: pa.Table) -> np.ndarray:
    """Return the row numbers of the published source, (B,) int64; 0, 1, ... if there are none."""
    if "row" in table.column_names:
        column = table["row"]
        if pa.types.is_integer(column.type) and not column.null_count:
            return np.asarray(column.to_numpy(), dtype=np.int64)
    return np.arange(len(table))


def _flatten(table: pa.Table, name: str, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(offsets (B + 1,), flat values)`` of a list column; nothing is looped over."""
    column = table[name]
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_fixed(kind)):
        raise InputError(f"Column {name!r} must hold lists of numbers, not {kind}.")
    if not (pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)):
        raise InputError(f"Column {name!r} must hold lists of numbers, not of {kind.value_type}.")
    counts = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    flat = pc.list_flatten(column)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return offsets, _numbers(flat).astype(dtype)


def _is_fixed(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """Return a numeric column as NumPy; empty entries of integers become 0, of floats NaN."""
    if column.null_count and pa.types.is_integer(column.type):
        column = pc.fill_null(column, 0)
    return np.asarray(column.to_numpy())


def _check_lengths(location: str, name: str, found: np.ndarray, expected: np.ndarray) -> None:
    wrong = np.flatnonzero(found != expected)
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"Row {row} of {location!r} has {found[row]} numbers in {name!r} where "
            f"{expected[row]} belong ({len(wrong)} rows are like that); repair the table."
        )


def _properties(table: pa.Table, known: Mapping[str, PropertySpec]) -> Properties:
    """Read every column that holds numbers, classes or numbers as text."""
    found = properties_of({
        column.name: table[column.name].to_pylist()
        for column in table.schema
        if pa.types.is_boolean(column.type) or _is_text(column.type)
    })  # fmt: skip
    numeric = [
        column.name
        for column in table.schema
        if (pa.types.is_integer(column.type) or pa.types.is_floating(column.type))
        and column.name not in RESERVED
    ]
    names = split_headers(numeric)
    for header in numeric:
        column = table[header]
        name, unit = (header, "") if header in known else names[header]
        if header not in known and is_index(header, column.slice(0, SAMPLE).to_pylist()):
            continue
        numbers = pc.cast(column, pa.float64()).to_numpy().astype(np.float64)
        found.values[name] = np.where(np.isfinite(numbers), numbers, np.nan)
        found.specs[name] = PropertySpec(name=name, unit=unit)
        if name != header:
            found.headers[header] = name
        lost = int(np.isnan(found.values[name]).sum())
        if lost:
            found.notes.append(f"Column {header!r}: {lost} of {len(numbers)} values missing.")
    return found


def _is_text(kind: pa.DataType) -> bool:
    dictionary = pa.types.is_dictionary(kind)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or dictionary)


def _metadata(table: pa.Table) -> tuple[dict[str, PropertySpec], list[Dropped]]:
    raw = (table.schema.metadata or {}).get(METADATA_KEY)
    if raw is None:
        return {}, []
    data = json.loads(raw)
    specs = {name: PropertySpec(**spec) for name, spec in data["properties"].items()}
    return specs, [Dropped(*entry) for entry in data["dropped"]]
