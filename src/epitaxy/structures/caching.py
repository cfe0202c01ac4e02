"""Converted tables of named data sets, kept so that they are converted only once."""

from __future__ import annotations

import re
from collections.abc import Callable

from epitaxy.core.errors import DiskError
from epitaxy.core.files import cache_folder
from epitaxy.structures.building import Reading
from epitaxy.structures.sources import SOURCES


def cached(name: str, convert: Callable[[], Reading]) -> Reading:
    """Return the table kept under ``name``, or make it with ``convert`` and keep it."""
    path = cache_folder() / "tables" / f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.parquet"
    if path.is_file():
        kept: Reading = SOURCES["parquet"](str(path))
        return kept.noted(f"Read from the cache {str(path)!r}; remove the file to load it anew.")
    reading = convert()
    try:
        reading.table.to_parquet(path)
    except DiskError as error:
        return reading.noted(f"{error} The table is not kept.")
    return reading
