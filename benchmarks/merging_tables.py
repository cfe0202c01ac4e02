"""How long it takes to join the seven tables of Devi 2024 by structure.

    python benchmarks/merging_tables.py DATASETS [--workers 2] [--copies 4]

Prints rows, crystals after the join, rows merged, conflicts, seconds and the largest memory of the
main process. ``--copies`` adds the rows again with elements exchanged in a cycle,
so that each copy is new materials in groups of the same sizes.
"""

from __future__ import annotations

import argparse
import logging
import resource
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from epitaxy.structures.merging import merge_tables
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

TABLES = ("gv", "ph", "pz", "dc", "ebg", "fe", "bg")


def read(folder: Path, name: str) -> StructureTable:
    """Return a table whose property is called like the table."""
    table = read_table(folder / f"{name}.parquet", target="target")
    spec = table.properties["target"].model_copy(update={"name": name})
    return replace(table, values={name: table.values["target"]}, properties={name: spec})


def exchanged(table: StructureTable, shift: int) -> StructureTable:
    """Return the table with element z replaced by z + shift, in a cycle of 100."""
    numbers = (table.atomic_numbers.astype(int) - 1 + shift) % 100 + 1
    ids = np.array([f"{name}+{shift}" for name in table.ids], dtype=object)
    return replace(table, ids=ids, atomic_numbers=numbers.astype(np.uint8))


def main() -> None:
    """Parse the command line and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--copies", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tables = {}
    for copy in range(options.copies):
        for name in TABLES:
            table = read(options.datasets, name)
            tables[f"{name}{copy}"] = exchanged(table, 7 * copy) if copy else table
    began = time.perf_counter()
    merged = merge_tables(tables, keep="first", workers=options.workers)
    seconds = time.perf_counter() - began
    how = Counter(row.how for row in merged.rows)
    print(f"rows {sum(map(len, tables.values()))}, crystals {len(merged.table)}")
    print(f"merged: identical {how['identical']}, similar {how['similar']}")
    print(f"conflicts {len(merged.conflicts)}: {Counter(c.property for c in merged.conflicts)}")
    print(f"{seconds:.0f} s with {options.workers} workers")
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory {kilobytes / 1024:.0f} MB")


if __name__ == "__main__":
    main()
