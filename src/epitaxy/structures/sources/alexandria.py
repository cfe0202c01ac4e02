"""JSON files of the Alexandria database and of DCGAT: lists of pymatgen's ComputedStructureEntry.

J. Schmidt et al., Sci. Data 9, 64 (2022) and Mater. Today Phys. 48, 101560 (2024).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError, unknown
from epitaxy.structures.building import Crystal, Reading, TableBuilder, UnusableError
from epitaxy.structures.json_text import parse_json
from epitaxy.structures.parsing import crystal_from_object, read_text

FUNCTIONALS = {
    "pbe": "PBE",
    "ps": "PBEsol",
    "pbesol": "PBEsol",
    "scan": "SCAN",
    "r2scan": "r2SCAN",
}
"""How file names and users (``alexandria:scan@FILE``) call a functional."""
PLAIN = re.compile(r"alexandria(_[123]d)?_\d+", re.IGNORECASE)
"""Names of the files that say no functional: they are of PBE."""
ENDINGS = (".json", ".json.bz2", ".json.gz")
ID_KEYS = ("mat_id", "material_id", "id")
UNITS = {
    "e_above_hull": "eV/atom",
    "e_form": "eV/atom",
    "e_phase_separation": "eV/atom",
    "band_gap_ind": "eV",
    "band_gap_dir": "eV",
    "energy_total_per_atom": "eV/atom",
    "energy_corrected_per_atom": "eV/atom",
    "total_mag_per_atom": "µB/atom",
    "dos_ef_per_atom": "1/eV/atom",
    "volume_per_atom": "Å^3/atom",
}
LABELS = {
    "e_above_hull": "Distance to the hull",
    "e_form": "Formation energy",
    "e_phase_separation": "Energy of phase separation",
    "band_gap_ind": "Band gap",
    "band_gap_dir": "Direct band gap",
    "energy_total_per_atom": "Total energy",
    "energy_corrected_per_atom": "Corrected total energy",
    "total_mag_per_atom": "Magnetisation",
    "dos_ef_per_atom": "Density of states at the Fermi energy",
    "volume_per_atom": "Volume",
}
EXTENSIVE = frozenset({"energy_total", "energy_corrected", "total_mag", "dos_ef", "volume"})
"""Numbers of a whole cell: per atom they are properties of the material."""
NO_PROPERTIES = frozenset({"nsites", "spg", "location"})


def read(location: str) -> Reading:
    """Read a file of entries, or a folder of such files of one functional.

    The functional follows from the names of the files as they are published
    (``alexandria_ps_000.json.bz2`` is PBEsol, ``alexandria_scan_000.json.bz2`` SCAN,
    ``alexandria_000.json.bz2`` PBE); ``scan@PATH`` says it. What belongs to a whole cell is divided
    by its number of atoms (``energy_total`` becomes ``energy_total_per_atom``), and the volume per
    atom of the structure is added.

    Raises:
        InputError: a file holds no such entries, files are of different functionals, or no crystal
            can be used.
    """
    given, path = _functional_and_path(location)
    files = _files(path)
    named = {given or functional_of(file.name) for file in files}
    if len(named) > 1:
        raise InputError(
            f"The files of {str(path)!r} are of different functionals "
            f"({', '.join(name or 'not known' for name in sorted(named))}); keep each in a folder "
            "of its own, and join them by: epitaxy data merge."
        )
    (functional,) = named
    builder = TableBuilder(repr(path.name))
    for file in files:
        for entry in _entries(file):
            _add(builder, entry)
    total = len(builder.ids) + len(builder.dropped)
    said = functional or "not known (alexandria:FUNCTIONAL@PATH says it)"
    note = f"{total} computed entries in {len(files)} files, functional {said}."
    reading = builder.build(notes=[note])
    of_all = dict.fromkeys(reading.table.properties, functional)
    return reading.described(source="Alexandria", units=UNITS, labels=LABELS, functionals=of_all)


def functional_of(name: str) -> str:
    """Return the functional that a file name says, nothing where it says none.

    >>> functional_of("alexandria_ps_004.json.bz2"), functional_of("alexandria_2d_001.json.bz2")
    ('PBEsol', 'PBE')
    """
    stem = name.lower().split(".")[0]
    found = {FUNCTIONALS[word] for word in re.split(r"[^a-z0-9]+", stem) if word in FUNCTIONALS}
    if len(found) == 1:
        return found.pop()
    return "PBE" if PLAIN.fullmatch(stem) else ""


def _functional_and_path(location: str) -> tuple[str, Path]:
    path = Path(location).expanduser()
    name, sign, rest = location.partition("@")
    if path.exists() or not sign:
        return "", path
    if name.lower() not in FUNCTIONALS:
        raise unknown("functional", name, FUNCTIONALS)
    return FUNCTIONALS[name.lower()], Path(rest).expanduser()


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(f for f in path.iterdir() if f.name.lower().endswith(ENDINGS))
        if not found:
            raise InputError(f"The folder {str(path)!r} holds no {' or '.join(ENDINGS)} files.")
        return found
    return [path]


def _entries(file: Path) -> Sequence[Mapping[str, Any]]:
    data = parse_json(read_text(file), repr(str(file)))
    entries = data.get("entries") if isinstance(data, Mapping) else data
    if not isinstance(entries, list) or not all(
        isinstance(entry, Mapping) and "structure" in entry for entry in entries
    ):
        raise InputError(
            f"{str(file)!r} must hold computed entries with structures: a list, or 'entries' with "
            "a list."
        )
    return entries


def _add(builder: TableBuilder, entry: Mapping[str, Any]) -> None:
    data = entry.get("data") or {}
    row = len(builder.ids) + len(builder.dropped)
    names = [data[key] for key in ID_KEYS if data.get(key)] or [entry.get("entry_id")]
    name = str(names[0] or f"row-{row}")
    try:
        crystal = crystal_from_object(entry["structure"])
    except UnusableError as error:
        builder.add(name, row, error, {})
        return
    builder.add(name, row, crystal, _values(data, crystal))


def _values(data: Mapping[str, Any], crystal: Crystal) -> dict[str, Any]:
    n_atoms = len(crystal.atomic_numbers)
    found: dict[str, Any] = {}
    for key, value in data.items():
        if key in NO_PROPERTIES or key in ID_KEYS or isinstance(value, list | dict):
            continue
        if key in EXTENSIVE:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            found[f"{key}_per_atom"] = value / n_atoms if is_number else value
        else:
            found[key] = value
    found["volume_per_atom"] = float(abs(np.linalg.det(crystal.lattice))) / n_atoms
    return found
