"""Graph building: crystals per second, against CGCNN's way with pymatgen, in the same run.

    python benchmarks/graphs.py FOLDER [--workers 2] [--sample 300]

FOLDER holds ph.parquet, gv.parquet and fe.parquet (columns id, lattice, atomic_numbers,
frac_coords). Of fe the first 1,000 rows are taken.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pymatgen.core import Structure

from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import build_graphs
from epitaxy.structures.table import StructureTable

COLUMNS = ["id", "lattice", "atomic_numbers", "frac_coords"]
CENTRES = np.arange(0, 8.2, 0.2)


def load(folder: Path) -> StructureTable:
    parts = [pq.read_table(folder / f"{name}.parquet", columns=COLUMNS) for name in ("ph", "gv")]
    parts.append(pq.read_table(folder / "fe.parquet", columns=COLUMNS).slice(0, 1000))
    rows = pa.concat_tables(parts).to_pydict()
    return StructureTable.from_arrays(
        ids=[f"{row}/{name}" for row, name in enumerate(rows["id"])],
        lattices=rows["lattice"],
        atomic_numbers=rows["atomic_numbers"],
        frac_coords=rows["frac_coords"],
    )


def as_cgcnn_does(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours within 8 Å, sorted, the first twelve, expanded in 41 Gaussians."""
    found = structure.get_all_neighbors(8.0, include_index=True)
    index, distance = [], []
    for near in found:
        nearest = sorted(near, key=lambda n: n.nn_distance)[:12]
        pad = 12 - len(nearest)
        index.append([n.index for n in nearest] + [0] * pad)
        distance.append([n.nn_distance for n in nearest] + [9.0] * pad)
    expanded = np.exp(-((np.array(distance)[..., None] - CENTRES) ** 2) / 0.2**2)
    return np.array(index), expanded.astype(np.float32)


def with_arrays(structure: Structure) -> tuple[np.ndarray, np.ndarray]:
    """The same with pymatgen's array interface, which makes no object per neighbour."""
    centre, index, _, distance = structure.get_neighbor_list(8.0)
    order = np.lexsort((distance, centre))
    counts = np.bincount(centre, minlength=len(structure))
    place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[place < 12]
    expanded = np.exp(-((distance[order, None] - CENTRES) ** 2) / 0.2**2)
    return index[order], expanded.astype(np.float32)


def many(build: Callable[[Structure], object], structures: list[Structure]) -> None:
    for structure in structures:
        build(structure)


def reference(
    build: Callable[[Structure], object], structures: list[Structure], workers: int
) -> tuple[float, float]:
    many(build, structures[:5])
    start = time.perf_counter()
    many(build, structures)
    one = len(structures) / (time.perf_counter() - start)
    with ProcessPoolExecutor(workers) as pool:
        pieces = [structures[k :: 2 * workers] for k in range(2 * workers)]
        list(pool.map(partial(many, build), [p[:2] for p in pieces]))
        start = time.perf_counter()
        list(pool.map(partial(many, build), pieces))
        return one, len(structures) / (time.perf_counter() - start)


def rate(table: StructureTable, recipe: GraphRecipe, workers: int) -> float:
    start = time.perf_counter()
    build_graphs(table, recipe, workers=workers, progress=False)
    return len(table) / (time.perf_counter() - start)


def gather_milliseconds(table: StructureTable) -> float:
    store = build_graphs(table, GraphRecipe(), progress=False)
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, len(store), 250) for _ in range(20)]
    start = time.perf_counter()
    for rows in batches:
        store.gather(rows)
    return (time.perf_counter() - start) / len(batches) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sample", type=int, default=300)
    given = parser.parse_args()
    table = load(given.folder)
    print(f"{len(table)} crystals, {len(table.atomic_numbers)} atoms")
    rows = np.random.default_rng(0).choice(len(table), given.sample, replace=False)
    structures = list(map(table.structure, rows))
    base = reference(as_cgcnn_does, structures, given.workers)
    arrays = reference(with_arrays, structures, given.workers)
    recipes = {
        "nearest": GraphRecipe(),
        "nearest, not merged": GraphRecipe(merge_tolerance=0),
        "cgcnn": GraphRecipe(rule="cgcnn"),
        "cgcnn, not merged": GraphRecipe(rule="cgcnn", merge_tolerance=0),
    }
    line = "{:24s} {:>10} {:>12} {:>8} {:>8}".format
    print(line("crystals per second", "1 process", f"{given.workers} processes", "ratio", "ratio"))

    def show(name: str, rates: tuple[float, float]) -> None:
        ratios = (f"{r / b:.1f}" for r, b in zip(rates, base, strict=True))
        print(line(name, *(f"{r:.0f}" for r in rates), *ratios))

    show("pymatgen, CGCNN's way", base)
    show("pymatgen, arrays", arrays)
    build_graphs(table.select(range(200)), GraphRecipe(), workers=1, progress=False)
    for name, recipe in recipes.items():
        show(name, (rate(table, recipe, 1), rate(table, recipe, given.workers)))
    print(f"gather of 250 crystals: {gather_milliseconds(table):.2f} ms")


if __name__ == "__main__":
    main()
