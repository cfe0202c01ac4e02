"""How the default training settings were chosen: by validation error, on published splits.

    python benchmarks/defaults.py DATASETS --tasks mp_phonons jarvis_2d_gap_opt --runs RUNS
    python benchmarks/defaults.py DATASETS --rows 50 200 --model cgcnn --runs RUNS

With ``--rows`` the training part is cut to so many random rows, and batch sizes are compared.
DATASETS is a folder with the tables and split files of the tasks. Each line is the mean over three
splits; the test column was not used for choosing.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from epitaxy.models import ENCODERS
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train
from epitaxy.structures.reading import read_table
from epitaxy.structures.splits import Split, resolve_split

SOURCE = "zoo:cgcnn-formation-energy"
TRIED: dict[str, dict[str, Any]] = {
    "fine-tuned, rate 1e-3, MSE": {"source": SOURCE, "loss": "mse"},
    "fine-tuned, rate 1e-3, L1 (default)": {"source": SOURCE, "loss": "l1"},
    "fine-tuned, rate 3e-3, L1": {"source": SOURCE, "loss": "l1", "learning_rate": 3e-3},
    "fine-tuned, rate 1e-3, L1, batch 32": {"source": SOURCE, "loss": "l1", "batch_size": 32},
    "from scratch, rate 3e-3, MSE": {"loss": "mse"},
    "from scratch, rate 3e-3, L1 (default)": {"loss": "l1"},
    "from scratch, rate 1e-2, L1": {"loss": "l1", "learning_rate": 1e-2},
}
BATCHES: dict[str, dict[str, Any]] = {
    f"from scratch, batch {size}": {"batch_size": size} for size in (64, 32, 16, 8)
}


def run(options: argparse.Namespace, task: str, name: str, seed: int, rows: int | None) -> Run:
    """Train one model, or open it when it is finished."""
    settings = {**TRIED, **BATCHES}[name] | {"seed": seed}
    source = settings.pop("source", None)
    data = read_table(options.datasets / f"{task}.parquet", target="target")
    split = resolve_split(f"{options.datasets / task}.splits.json:seed{seed}", data, seed=seed)
    slug = "".join(c if c.isalnum() else "-" for c in name)
    if rows is not None:
        order = np.random.default_rng(seed).permutation(np.array(split.train, dtype=object))
        split = Split(tuple(map(str, order[:rows])), split.val, split.test)
        slug = f"{options.model}-{rows}-{slug}"
    out = options.runs / f"{task}-{slug}-{seed}"
    if source is None:
        return train(data, "target", out, model=options.model, split=split, training=settings)
    return finetune(data, "target", source, out, split=split, training=settings)


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["mp_phonons", "jarvis_2d_gap_opt"])
    parser.add_argument("--runs", type=Path, default=Path("runs/defaults"))
    parser.add_argument("--rows", nargs="+", type=int, help="compare batch sizes on few rows")
    parser.add_argument("--model", choices=list(ENCODERS), default="cgcnn", help="of few rows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| task | training | validation MAE | test MAE |")
    print("|---|---|---|---|")
    tried = TRIED if options.rows is None else BATCHES
    for task, rows, name in product(options.tasks, options.rows or [None], tried):
        runs = [run(options, task, name, seed, rows) for seed in (0, 1, 2)]
        errors = [fmean(r.mae(part) for r in runs) for part in ("val", "test")]
        what = name if rows is None else f"{options.model}, {rows} rows, {name}"
        print(f"| {task} | {what} | {errors[0]:.4f} | {errors[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
