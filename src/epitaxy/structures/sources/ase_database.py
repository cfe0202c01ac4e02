"""ASE databases (.db, .json) and extended XYZ files of many frames."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.structures.building import Reading, TableBuilder, UnusableError
from epitaxy.structures.parsing import crystal_from_ase, read_text
from epitaxy.structures.xyz import atoms_of_frame, frame_texts

ID_KEYS = ("id", "name", "material_id", "mp_id", "jid", "uid", "structure_id")
"""Keys of a row or frame that name it, the best first."""


def read(location: str) -> Reading:
    """Read an ASE database; key-value pairs, numbers in ``data`` and energies are properties.

    Raises:
        InputError: the file is no ASE database, or no row is usable.
    """
    from ase.db import connect

    name = Path(location).name
    builder = TableBuilder(repr(name))
    try:
        with _quiet():
            entries = [
                (str(row.id), row.toatoms(), _row_values(row)) for row in connect(location).select()
            ]
    except Exception as error:  # the backends raise sqlite3, JSON and key errors alike
        raise InputError(f"Could not read {name!r} as an ASE database: {error}.") from error
    _add_all(builder, entries)
    return builder.build(notes=[f"ASE database of {len(entries)} rows."])


def read_frames(location: str) -> Reading:
    """Read an extended XYZ file; numbers in the comment lines are properties.

    Raises:
        InputError: no frame can be read, or none is usable.
    """
    path = Path(location)
    builder = TableBuilder(repr(path.name))
    entries: list[tuple[str, Any, dict[str, Any]]] = []
    with _quiet():
        for number, frame in enumerate(frame_texts(read_text(path))):
            name = f"{path.stem}-{number}"
            try:
                atoms = atoms_of_frame(frame)
            except UnusableError as error:
                entries.append((name, error, {}))
            else:
                entries.append((name, atoms, _frame_values(atoms)))
    if len(entries) == 1:
        entries = [(path.stem, *entries[0][1:])]
    _add_all(builder, entries)
    return builder.build(notes=[f"Extended XYZ file of {len(entries)} frames."])


def _add_all(builder: TableBuilder, entries: list[tuple[str, Any, dict[str, Any]]]) -> None:
    """Add all entries under the first key that names every one of them, or their number."""
    key = _naming_key([values for _, _, values in entries])
    for row, (number, atoms, values) in enumerate(entries):
        name = str(values.pop(key)) if key else number
        if isinstance(atoms, UnusableError):
            builder.add(name, row, atoms, values)
            continue
        try:
            builder.add(name, row, crystal_from_ase(atoms), values)
        except UnusableError as error:
            builder.add(name, row, error, values)


def _naming_key(values: list[dict[str, Any]]) -> str | None:
    for key in ID_KEYS:
        names = [v.get(key) for v in values]
        if None not in names and len(set(map(str, names))) == len(names):
            return key
    return None


def _row_values(row: Any) -> dict[str, Any]:
    energy = row.get("energy")
    found = {} if energy is None else {"energy": energy}
    return found | _scalars(row.data) | _scalars(row.key_value_pairs)


def _frame_values(atoms: Any) -> dict[str, Any]:
    results = atoms.calc.results if atoms.calc is not None else {}
    energy = {k: v for k, v in results.items() if k == "energy"}
    return energy | _scalars(atoms.info)


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if isinstance(v, str) or np.ndim(v) == 0}


def _quiet() -> warnings.catch_warnings[None]:
    # ASE warns about old file versions and unit conventions while it reads
    return warnings.catch_warnings(action="ignore")
