"""Mixtures of experts on the official folds of Matbench's ``matbench_phonons``.

    python scripts/matbench_phonons.py mp_phonons.parquet EXPERT EXPERT ... --runs RUNS --out folds.csv

The table is that of Chang, Wang and Ertekin (2022): rows in the order of Matbench, ``target`` the
natural logarithm of the highest phonon frequency in cm^-1. Experts are run folders, ``zoo:NAME`` or
``descriptors:NAME``. The error is that of the mean prediction of several seeds, which differ in
their validation rows too. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from epitaxy.core.memory import keep_freed_memory
from epitaxy.core.properties import PropertySpec
from epitaxy.recipes.mixture import mixture
from epitaxy.recipes.options import parse_assignments
from epitaxy.recipes.running import Run
from epitaxy.structures.reading import read_table
from epitaxy.structures.splits import matbench_folds
from epitaxy.structures.table import StructureTable

NAME = "frequency"


def frequencies(path: Path) -> StructureTable:
    """Return the table with the frequency in cm^-1, to be learned on a log scale."""
    table = read_table(path, target="target")
    spec = PropertySpec(name=NAME, unit="cm^-1", transform="log")
    return table.with_property(spec, np.exp(table.column("target")))


def fitted(options: argparse.Namespace, table: StructureTable, fold: int, seed: int) -> Run:
    """Train one mixture, or open it when it is finished."""
    given: dict[str, Any] = parse_assignments(options.set or [])
    return mixture(
        table,
        NAME,
        options.experts,
        options.runs / f"fold{fold}-{seed}",
        split=matbench_folds(table, seed=seed)[fold],
        aggregation=options.aggregation,
        gate=options.gate,
        strategy=options.strategy,
        strength=options.strength,
        hidden=options.hidden,
        seed=seed,
        training=given,
    )


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("experts", nargs="+")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--strategy", default="last-conv")
    parser.add_argument("--aggregation", default="add")
    parser.add_argument("--gate", default="scores")
    parser.add_argument("--strength", type=float, default=0.01)
    parser.add_argument("--hidden", type=int, nargs="+")
    parser.add_argument("--set", nargs="+", help="training settings, KEY=VALUE")
    parser.add_argument("--out", type=Path, help="CSV file for the errors of the folds")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    keep_freed_memory()
    table = frequencies(options.table)
    rows = []
    for fold in options.folds:
        runs = [fitted(options, table, fold, seed) for seed in range(options.seeds)]
        tests = [r.predictions[r.predictions["split"] == "test"].set_index("id") for r in runs]
        mean = pd.concat([test["y_pred"] for test in tests], axis=1).mean(axis=1)
        error = float((mean - tests[0]["y_true"]).abs().mean())
        single = float(np.mean([run.mae() for run in runs]))
        val = float(np.mean([run.mae("val") for run in runs]))
        rows.append({"fold": fold, "mae": error, "mae_of_one": single, "val_mae": val})
        print(rows[-1], flush=True)
        if options.out:
            pd.DataFrame(rows).to_csv(options.out, index=False)
    print(f"mean MAE {np.mean([row['mae'] for row in rows]):.2f} cm^-1")


if __name__ == "__main__":
    main()
