"""How like crystals are within groups and across them, and what `fit` tells of either question.

``near_inside``, ``near_outside``: mean difference of the target from the crystal with the nearest
fingerprint in the same group and in another one. With ``--halves N`` a fit of half of the table is
compared with its error on the other half, which is drawn by groups, or by rows, so that
near-duplicates of the training are in it.

    python benchmarks/grouping.py TABLE.parquet --target NAME --halves 2
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from epitaxy.fitting.fit import fit
from epitaxy.recipes.predict import predict
from epitaxy.structures import fingerprints
from epitaxy.structures.grouping import group_labels
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable

TOLERANCES = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07)


def groups_by_tolerance(table: StructureTable, target: str) -> None:
    """Write a line for each tolerance; the table must have one composition."""
    points = np.stack([fingerprints.fingerprint(table, row) for row in range(len(table))])
    distances, values = cdist(points, points, "chebyshev"), table.column(target)
    np.fill_diagonal(distances, np.inf)
    sys.stdout.write("tolerance groups largest near_inside near_outside\n")
    for tolerance in TOLERANCES:
        labels = fingerprints.linked(points, tolerance)
        same = labels[:, None] == labels
        shown = [f"{tolerance:.3f}", f"{labels.max() + 1}", f"{np.bincount(labels).max()}"]
        for near in (same, ~same):
            masked = np.where(near, distances, np.inf)
            some = np.isfinite(masked).any(axis=1)
            difference = np.abs(values - values[masked.argmin(axis=1)])[some]
            shown.append(f"{difference.mean():.4f}")
        sys.stdout.write(" ".join(shown) + "\n")
    shuffled = np.random.default_rng(0).permutation(values)
    sys.stdout.write(f"random pairs: {np.abs(values - shuffled).mean():.4f}\n")


def halves(table: StructureTable, target: str, budget: str, seed: int) -> None:
    """Write what fits of half of the table tell, and their error on the other half."""
    rng = np.random.default_rng(seed)
    groups = np.array(group_labels(table, "structure"))
    names = rng.permutation(np.unique(groups))
    by_rows = rng.permutation(len(table)) < len(table) // 2
    by_groups = np.isin(groups, names[: len(names) // 2])
    for how, inside, by in (
        ("groups", by_groups, "structure"),
        ("rows", by_rows, "structure"),
        ("rows", by_rows, "none"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "run"
            given = table.select(inside)
            done = fit(given, target, place, budget=budget, candidates="descriptors", group_by=by)
            new = table.select(~inside)
            found = predict(place, new).set_index("id")["y_pred"].loc[new.ids].to_numpy()
            error = float(np.abs(found - new.column(target)).mean())
        low, high = done.interval
        sys.stdout.write(
            f"held back {how}, --group-by {by}, seed {seed}: {done.mae:.4f} "
            f"({low:.4f} to {high:.4f}), held back {error:.4f}\n"
        )


def main() -> None:
    """Measure one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--target", required=True)
    parser.add_argument("--halves", type=int, default=0, help="number of draws")
    parser.add_argument("--budget", default="30s")
    options = parser.parse_args()
    table = read_table(options.data)
    groups_by_tolerance(table, options.target)
    for seed in range(options.halves):
        halves(table, options.target, options.budget, seed)


if __name__ == "__main__":
    main()
