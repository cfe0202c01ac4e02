"""How long it takes to join the seven tables of Devi 2024 by structure, and what is found.

    python benchmarks/merging_tables.py DATASETS [--workers 2] [--copies 4] [--check]

Prints rows, crystals after the join, rows merged, conflicts, seconds and the largest memory of the
main process. ``--copies`` adds the rows again with elements exchanged in a cycle, so that each copy
is new materials in groups of the same sizes. ``--check`` compares all pairs of equal composition in
both directions with pymatgen alone, and counts test crystals that are in a training set.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import time
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from pymatgen.core.structure_matcher import StructureMatcher
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from epitaxy.structures.comparing import MatchRule
from epitaxy.structures.matching import identical, materials, same_material, stack
from epitaxy.structures.merging import merge_tables
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

TABLES = ("gv", "ph", "pz", "dc", "ebg", "fe", "bg")


class Pair(NamedTuple):
    """Two rows that match, whether in both directions, and the ratio of their volumes per atom."""

    one: int
    two: int
    symmetric: bool
    ratio: float


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


def all_pairs(table: StructureTable, groups: list[np.ndarray]) -> list[Pair]:
    """Return every pair of each group that matches in some direction."""
    matcher = StructureMatcher()
    found = []
    for rows in groups:
        cells = [table.structure(r).get_reduced_structure().get_primitive_structure() for r in rows]
        for i, j in combinations(range(len(rows)), 2):
            one, two = cells[i], cells[j]
            onto, back = (
                matcher.fit(*pair, skip_structure_reduction=True)
                for pair in ((one, two), (two, one))
            )
            if onto or back:
                volumes = [cell.volume / len(cell) for cell in (one, two)]
                ratio = max(volumes) / min(volumes)
                found.append(Pair(int(rows[i]), int(rows[j]), onto == back, ratio))
    return found


def check(tables: dict[str, StructureTable], workers: int) -> None:
    """Compare the materials with those of all pairs and no test before the matcher."""
    table = stack(list(tables.values()))
    classes = identical(table, range(len(table)))
    groups: dict[str, list[int]] = {}
    for members in classes:
        groups.setdefault(table.formulas[members[0]], []).append(members[0])
    several = [np.array(rows) for rows in groups.values() if len(rows) > 1]
    parts = [several[i::200] for i in range(200)]
    results = Parallel(n_jobs=workers)(delayed(all_pairs)(table, part) for part in parts)
    pairs = [pair for found in results for pair in found]
    edges = [(p.one, p.two) for p in pairs] + [(c[0], row) for c in classes for row in c[1:]]
    graph = coo_array((np.ones(len(edges)), np.array(edges).T), shape=(len(table), len(table)))
    count, labels = connected_components(graph, directed=False)
    ours = materials(table, workers=workers)
    both = len(set(zip(labels.tolist(), ours.tolist(), strict=True)))
    print(f"all pairs: {count} materials, ours {ours.max() + 1}, common refinement {both}")
    ratios = np.array([p.ratio for p in pairs])
    print(f"{len(pairs)} pairs match, {sum(not p.symmetric for p in pairs)} in one direction only")
    print(f"volume ratios: 99 % up to {np.quantile(ratios, 0.99):.2f}, all {ratios.max():.2f}")


def count_test_crystals(folder: Path) -> None:
    """Print how many test crystals of jarvis_2d are in its training rows."""
    table = read_table(folder / "jarvis_2d.parquet")
    split = json.loads((folder / "jarvis_2d.splits.json").read_text())
    train, test = (table.select(np.isin(table.row_numbers, split[k])) for k in ("train", "test"))
    for rule in (MatchRule(), MatchRule(lengths=0.05, sites=0.05, angles=1)):
        found = same_material(test, train, rule=rule)
        print(f"{found.sum()} of {len(test)} test crystals are in {len(train)} rows, {rule}")


def main() -> None:
    """Parse the command line and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--check", action="store_true")
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
    if options.check:
        count_test_crystals(options.datasets)
        check(tables, options.workers)


if __name__ == "__main__":
    main()
