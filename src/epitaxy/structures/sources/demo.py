"""The data set that is shipped: ``demo:semiconductors``, and three crystals to predict."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from epitaxy.core.errors import unknown
from epitaxy.structures.building import Reading
from epitaxy.structures.sources import parquet

PACKAGE = "epitaxy.structures.demo"
TABLES = ("semiconductors",)


def read(location: str) -> Reading:
    """Read a shipped table by name; an empty name means ``semiconductors``.

    Raises:
        InputError: there is no such table.

    >>> read("semiconductors").table.properties["gap"].axis
    'Band gap (experimental, 300 K) (eV)'
    """
    name = location or TABLES[0]
    if name not in TABLES:
        raise unknown("demonstration table", name, TABLES)
    with as_file(files(PACKAGE) / f"{name}.parquet") as path:
        reading = parquet.read(str(path))
    return reading.noted(f"The shipped table {name!r} of {len(reading.table)} crystals.")


def example_files() -> list[Path]:
    """Return the shipped CIF files of crystals that are not in the table, by name.

    >>> [path.stem for path in example_files()]
    ['InP', 'SrTiO3', 'ZnO']
    """
    folder = files(PACKAGE) / "examples"
    return sorted(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".cif"))
