"""What merging equivalent atoms and bonds saves, and how far it moves the result.

    python benchmarks/merging.py DATASETS

For each table and tolerance: atoms over nodes, bonds over merged bonds, and how far the band gaps
that the shipped model predicts (eV) move against graphs that are not merged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from epitaxy.checkpoints.model_files import load_model
from epitaxy.evaluation.predicting import predict_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import build_graphs
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

TABLES = ("ph", "gv", "fe", "jarvis_2d")
TOLERANCES = (1e-6, 1e-5, 1e-4, 1e-3)


def predictions(table: StructureTable, tolerance: float) -> np.ndarray:
    """Return the (B,) band gaps in eV that the shipped model predicts on graphs so merged."""
    model = load_model("zoo:cgcnn-band-gap")
    model.encoder.recipe = GraphRecipe(merge_tolerance=tolerance)
    return predict_table(model, table).values[:, 0]


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--rows", type=int, default=1000, help="crystals of each table")
    options = parser.parse_args()
    print("| table | tolerance | atoms | bonds | largest change, eV | 99 % below | median |")
    print("|---|---|---|---|---|---|---|")
    for name in TABLES:
        table = read_table(options.datasets / f"{name}.parquet", target="target")
        table = table.select(np.arange(min(options.rows, len(table))))
        plain = build_graphs(table, GraphRecipe(merge_tolerance=0.0), progress=False)
        reference = predictions(table, 0.0)
        for tolerance in TOLERANCES:
            store = build_graphs(table, GraphRecipe(merge_tolerance=tolerance), progress=False)
            moved = np.abs(predictions(table, tolerance) - reference)
            print(
                f"| {name} | {tolerance:g} | {plain.n_nodes.sum() / store.n_nodes.sum():.2f} | "
                f"{plain.n_bonds.sum() / store.n_bonds.sum():.2f} | {moved.max():.1e} | "
                f"{np.quantile(moved, 0.99):.1e} | "
                f"{np.median(moved):.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
