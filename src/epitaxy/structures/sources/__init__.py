"""One file per source of crystals, and the table of their names.

A source is a function ``read(location: str) -> Reading`` (see `epitaxy.structures.building`).
``location`` is a path, or for a named source the text behind the colon: ``matminer:NAME`` calls the
source ``matminer`` with ``"NAME"``; a bare name (``demo``) calls it with an empty text.
"""

from __future__ import annotations

from epitaxy.core.registry import Registry

SOURCES = Registry(
    "source",
    {
        "parquet": "epitaxy.structures.sources.parquet:read",
        "demo": "epitaxy.structures.sources.demo:read",
        "tabular": "epitaxy.structures.sources.tabular:read",
        "folder": "epitaxy.structures.sources.folder:read",
        "archive": "epitaxy.structures.sources.folder:read_archive",
        "ase": "epitaxy.structures.sources.ase_database:read",
        "xyz": "epitaxy.structures.sources.ase_database:read_frames",
        "jarvis_json": "epitaxy.structures.sources.jarvis_json:read",
        "alexandria": "epitaxy.structures.sources.alexandria:read",
        "mp": "epitaxy.structures.sources.materials_project:read",
        "matminer": "epitaxy.structures.sources.matminer_source:read",
        "jarvis": "epitaxy.structures.sources.jarvis_source:read",
    },
)
"""Name -> reader; the name is also the prefix that the user may write: ``folder:PATH``."""
