"""JSON lists of JARVIS and ALIGNN: records with an ``atoms`` dictionary; plain, .gz or .zip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epitaxy.core.errors import InputError
from epitaxy.structures.building import Crystal, Reading, TableBuilder, UnusableError
from epitaxy.structures.json_text import parse_json
from epitaxy.structures.parsing import crystal_from_object, read_text, without_suffix

UNITS = {
    "optb88vdw_bandgap": "eV",
    "mbj_bandgap": "eV",
    "hse_gap": "eV",
    "formation_energy_peratom": "eV/atom",
    "ehull": "eV/atom",
    "exfoliation_energy": "meV/atom",
    "bulk_modulus_kv": "GPa",
    "shear_modulus_gv": "GPa",
}
FUNCTIONALS = {
    "optb88vdw_bandgap": "OptB88vdW",
    "optb88vdw_total_energy": "OptB88vdW",
    "formation_energy_peratom": "OptB88vdW",
    "ehull": "OptB88vdW",
    "exfoliation_energy": "OptB88vdW",
    "epsx": "OptB88vdW",
    "epsy": "OptB88vdW",
    "epsz": "OptB88vdW",
    "bulk_modulus_kv": "OptB88vdW",
    "shear_modulus_gv": "OptB88vdW",
    "mbj_bandgap": "TBmBJ",
    "mepsx": "TBmBJ",
    "mepsy": "TBmBJ",
    "mepsz": "TBmBJ",
    "hse_gap": "HSE06",
}
"""Of the columns of dft_2d and dft_3d."""
ID_KEYS = ("jid", "id", "material_id", "name", "filename")


def read(location: str) -> Reading:
    """Read a file of JARVIS records.

    Raises:
        InputError: the file is no JSON list of such records, or no crystal is usable.
    """
    origin = repr(Path(location).name)
    data = parse_json(read_text(location), origin)
    if not isinstance(data, list) or not all(isinstance(r, dict) for r in data):
        raise InputError(f"{origin} must hold a JSON list of records with 'atoms'.")
    return from_records(data, origin)


def from_records(records: Sequence[Mapping[str, Any]], origin: str) -> Reading:
    """Turn JARVIS records into a table; numbers at the top level are properties, 'na' is missing.

    Raises:
        InputError: there is no record, or no crystal is usable.
    """
    builder = TableBuilder(origin)
    id_key = next((k for k in ID_KEYS if records and k in records[0]), None)
    for row, record in enumerate(records):
        name = str(record.get(id_key) or f"row-{row}") if id_key else f"row-{row}"
        skipped = {"atoms", id_key}
        values = {k: v for k, v in record.items() if k not in skipped and _is_single(v)}
        builder.add(without_suffix(name), row, _crystal(record), values)
    note = f"JARVIS records: {len(records)}, ids in {id_key or 'order'!r}."
    reading = builder.build(notes=[note])
    return reading.described(source="JARVIS", units=UNITS, functionals=FUNCTIONALS)


def _crystal(record: Mapping[str, Any]) -> Crystal | UnusableError:
    if not isinstance(record.get("atoms"), Mapping):
        return UnusableError("the record has no 'atoms'")
    try:
        return crystal_from_object(record["atoms"])
    except UnusableError as error:
        return error


def _is_single(value: Any) -> bool:
    return not isinstance(value, list | dict)
