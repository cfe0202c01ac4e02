"""`fit` on published splits, beside the published mixture of experts (Chang, Wang and Ertekin 2022).

    python scripts/fit_published_splits.py DATASETS --runs RUNS --out fit_splits.csv

DATASETS is a folder with the Parquet tables and split files of the paper's tasks. Training and validation rows go
through `fit`, the test rows are predicted with what it hands over; they take no part in any choice. Sources that have
learned a value of the task, of whatever row, are left out. Finished fits are not repeated.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.checkpoints.model_files import named_models
from epitaxy.fitting.fit import fit
from epitaxy.fitting.leaks import usable_sources
from epitaxy.recipes.evaluate import evaluate
from epitaxy.structures.reading import read_table
from epitaxy.structures.splits import resolve_split
from reproduce_chang2022 import PUBLISHED

logger = logging.getLogger("fit_published_splits")
TASKS = ("jarvis_2d_gap_opt", "mp_poly_total", "piezoelectric_tensor")


def fitted(options: argparse.Namespace, task: str, seed: int) -> dict[str, Any]:
    """Fit one split, and return the error on its test rows beside the one that was told."""
    began = time.monotonic()
    table = read_table(options.datasets / f"{task}.parquet", target="target")
    split = resolve_split(f"{options.datasets / task}.splits.json:seed{seed}", table, seed=seed)
    usable = usable_sources(named_models(options.sources), table, "target", most=0)
    found = fit(
        table.select(np.sort(table.rows_of([*split.train, *split.val]))),
        "target",
        options.runs / f"{task}-{seed}",
        budget=options.budget,
        candidates=options.candidates,
        sources=list(usable.models.values()),
        threads=options.threads,
        seed=seed,
    )
    test = table.select(table.rows_of(split.test))
    return {
        "task": task,
        "seed": seed,
        "test_mae": float(evaluate(found.folder, test, "target")["mae"]),
        "told": found.mae,
        "told_plain_folds": (found.score["plain_folds"] or {}).get("mae"),
        "transfer": found.score["transfer"],
        "seconds": round(time.monotonic() - began),
    }


def summary(rows: pd.DataFrame) -> str:
    """Return means and sample standard deviations over the seeds beside the published ones."""
    lines = ["| task | seeds | test MAE | published mixture |", "|---|---|---|---|"]
    for task, group in rows.groupby("task", sort=False):
        mean, std = PUBLISHED[str(task)]["mixture"]
        ours = group["test_mae"]
        lines.append(
            f"| {task} | {len(group)} | {ours.mean():.3f} ± {ours.std():.3f} | "
            f"{mean:.3f} ± {std:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Fit what is missing, write and print the table."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("epitaxy").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--budget", help="as of epitaxy fit; the default depends on the rows")
    parser.add_argument("--candidates", default="all")
    parser.add_argument("--sources", default="zoo:*")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="CSV file for the table")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for task in options.tasks:
        for seed in options.seeds:
            rows.append(fitted(options, task, seed))
            logger.info("%s", rows[-1])
            if options.out:
                pd.DataFrame(rows).to_csv(options.out, index=False)
    logger.info("\n%s", summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
