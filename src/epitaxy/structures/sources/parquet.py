"""Parquet tables: our own, and plain ones with the same four structural columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from epitaxy.core.errors import InputError
from epitaxy.core.parsing import parse_json
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.building import RESERVED, Reading, pack, text_column
from epitaxy.structures.table import METADATA_KEY, Dropped

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
        table.validate(full=True)  # also that texts are texts
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"Could not read {location!r} as a Parquet table: {error}.") from error
    missing = [name for name in STRUCTURAL if name not in table.column_names]
    if missing:
        raise InputError(
            f"The Parquet table {location!r} has no column {missing[0]!r}; it needs "
            f"{', '.join(STRUCTURAL)} and has {', '.join(table.column_names)}."
        )
    _check_ids(table, location)
    offsets, numbers = _flatten(table, "atomic_numbers", np.int64)
    lattice_offsets, lattices = _flatten(table, "lattice", np.float64)
    coord_offsets, coords = _flatten(table, "frac_coords", np.float64)
    _check_lengths(location, "lattice", np.diff(lattice_offsets), np.full(len(table), 9))
    _check_lengths(location, "frac_coords", np.diff(coord_offsets), 3 * np.diff(offsets))
    values, notes = _properties(table)
    texts = {
        column.name: text_column(table[column.name].fill_null("").to_pylist())
        for column in table.schema
        if column.name not in RESERVED and _is_text(column.type)
    }
    properties, dropped = _metadata(table)
    packed = pack(
        origin=repr(location),
        ids=[str(i) for i in table["id"].to_pylist()],
        source_rows=_rows(table),
        offsets=offsets,
        lattices=lattices.reshape(-1, 3, 3),
        atomic_numbers=numbers,
        frac_coords=coords.reshape(-1, 3),
        values=values,
        texts=texts,
        properties={name: spec for name, spec in properties.items() if name in values},
        dropped=dropped,
    )
    return Reading(packed, notes=(f"Parquet table of {len(table)} rows.", *notes))


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


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


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


def _properties(table: pa.Table) -> tuple[dict[str, np.ndarray], list[str]]:
    values, notes = {}, []
    for column in table.schema:
        kind = column.type
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if column.name in RESERVED or not (numeric or pa.types.is_boolean(kind)):
            continue
        numbers = pc.cast(table[column.name], pa.float64()).to_numpy().astype(np.float64)
        values[column.name] = np.where(np.isfinite(numbers), numbers, np.nan)
        lost = int(np.isnan(values[column.name]).sum())
        if lost:
            notes.append(f"Column {column.name!r}: {lost} of {len(numbers)} values missing.")
    return values, notes


def _metadata(table: pa.Table) -> tuple[dict[str, PropertySpec], list[Dropped]]:
    raw = (table.schema.metadata or {}).get(METADATA_KEY)
    if raw is None:
        return {}, []
    data = parse_json(raw)
    specs = {name: PropertySpec(**spec) for name, spec in data["properties"].items()}
    return specs, [Dropped(*entry) for entry in data["dropped"]]
