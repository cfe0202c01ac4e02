"""Data sets of JARVIS, ``jarvis:NAME``, by its own loader; kept as Parquet afterwards."""

from __future__ import annotations

from typing import Any

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.files import cache_folder
from epitaxy.structures.building import Reading
from epitaxy.structures.caching import cached
from epitaxy.structures.sources.jarvis_json import from_records


def read(location: str) -> Reading:
    """Load the JARVIS data set called ``location`` (dft_2d, dft_3d, ...).

    Raises:
        InputError: jarvis-tools is not installed, has no such set, or no crystal is usable.
    """

    def convert() -> Reading:
        reading = from_records(_load(location), f"jarvis:{location}")
        return reading.described(source=f"jarvis:{location}", units={})

    return cached(f"jarvis-{location}", convert)


def _load(name: str) -> list[dict[str, Any]]:
    try:
        from jarvis.db.figshare import data, get_db_info
    except ImportError as error:
        raise InputError(
            f"Reading 'jarvis:{name}' needs the package jarvis-tools; install it with "
            "pip install 'epitaxy[jarvis]'."
        ) from error
    if name not in get_db_info():
        raise unknown("JARVIS data set", name, get_db_info())
    folder = cache_folder() / "jarvis"
    folder.mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = data(dataset=name, store_dir=str(folder))
    return records
