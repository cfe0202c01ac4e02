"""How the default training settings were chosen: by validation error, on published splits.

    python benchmarks/defaults.py DATASETS --tasks mp_phonons jarvis_2d_gap_opt --runs RUNS

DATASETS is a folder with the tables and split files of the tasks. Each line is the mean over three
splits; the test column was not used for choosing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train

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


def run(options: argparse.Namespace, task: str, name: str, seed: int) -> Run:
    """Train one model, or open it when it is finished."""
    settings = {**TRIED[name], "seed": seed}
    source = settings.pop("source", None)
    data = options.datasets / f"{task}.parquet"
    split = f"{options.datasets / task}.splits.json:seed{seed}"
    slug = "".join(c if c.isalnum() else "-" for c in name)
    out = options.runs / f"{task}-{slug}-{seed}"
    if source is None:
        return train(data, "target", out, split=split, training=settings)
    return finetune(data, "target", source, out, split=split, training=settings)


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--tasks", nargs="+", default=["mp_phonons", "jarvis_2d_gap_opt"])
    parser.add_argument("--runs", type=Path, default=Path("runs/defaults"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| task | training | validation MAE | test MAE |")
    print("|---|---|---|---|")
    for task in options.tasks:
        for name in TRIED:
            runs = [run(options, task, name, seed) for seed in (0, 1, 2)]
            errors = [fmean(r.mae(part) for r in runs) for part in ("val", "test")]
            print(f"| {task} | {name} | {errors[0]:.4f} | {errors[1]:.4f} |", flush=True)


if __name__ == "__main__":
    main()
