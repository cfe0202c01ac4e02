"""What merging saves for ALIGNN, and how far it moves the predictions of a trained model.

    python benchmarks/merging_angles.py DATASETS RUN

For each table, with and without merging: atoms, bonds and angles per crystal, milliseconds to build
the graphs with one process, bytes kept per crystal; and the largest change of a prediction of RUN
(an ALIGNN run) in per cent of the standard deviation of its predictions.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from epitaxy.batches.batch import collate
from epitaxy.checkpoints.model_files import load_model
from epitaxy.evaluation.predicting import predict_table
from epitaxy.graphs.store import build_graphs
from epitaxy.models.property_model import PropertyModel
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

TABLES = ("ph", "dc", "gv", "pz", "fe", "bg")
BATCH = 64


def report(model: PropertyModel, table: StructureTable, tolerance: float) -> tuple[str, np.ndarray]:
    """Return a part of a line, and the (B,) predictions."""
    model.encoder.recipe = model.recipe.model_copy(update={"merge_tolerance": tolerance})
    began = time.perf_counter()
    store = build_graphs(table, model.recipe, workers=1, progress=False)
    each = 1e3 * (time.perf_counter() - began) / len(table)
    rows = range(0, len(store), BATCH)
    angles = sum(
        len(collate(store.gather(np.arange(i, min(i + BATCH, len(store))))).angles.source)
        for i in rows
    )
    size = sum(column.nbytes for column in store.columns.values()) / len(store)
    numbers = (
        f"{store.n_nodes.mean():.1f} | {store.n_bonds.mean():.0f} | {angles / len(store):.0f} | "
        f"{each:.2f} | {size:.0f}"
    )
    return numbers, predict_table(model, table).values[:, 0]


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("run", help="run folder of an ALIGNN model")
    parser.add_argument("--rows", type=int, default=300, help="crystals of each table")
    options = parser.parse_args()
    model = load_model(options.run)
    print("| table | tolerance | atoms | bonds | angles | ms | bytes | largest change, % |")
    print("|---|---|---|---|---|---|---|---|")
    for name in TABLES:
        table = read_table(options.datasets / f"{name}.parquet", target="target")
        table = table.select(np.linspace(0, len(table) - 1, options.rows).astype(int))
        plain, reference = report(model, table, 0.0)
        print(f"| {name} | 0 | {plain} | - |", flush=True)
        for tolerance in (1e-6, 1e-4):
            numbers, found = report(model, table, tolerance)
            moved = 100 * np.abs(found - reference).max() / reference.std()
            print(f"| {name} | {tolerance:g} | {numbers} | {moved:.2g} |", flush=True)


if __name__ == "__main__":
    main()
