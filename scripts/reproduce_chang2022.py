"""Single-task training and pair-wise transfer of Chang, Wang and Ertekin (2022), Table 3.

    python scripts/reproduce_chang2022.py DATASETS EXTRACTOR --runs RUNS --out results.csv

DATASETS is a folder with the Parquet tables and split files of the paper's tasks, EXTRACTOR the published checkpoint
of formation energies (mp_eform). Hyperparameters are those of the authors' code (recipe "published" of CGCNN): single
task with SGD 0.02 and momentum 0.9, transfer with Adam 0.01 (head) and 0.005 (last convolution), cosine schedules over
1000 epochs, batch 250, patience 500, best validation epoch. Finished runs are not repeated, interrupted ones continue.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.importing import import_checkpoint
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train
from epitaxy.results.history import read_history

PUBLISHED: dict[str, dict[str, tuple[float, float, str]]] = {
    "mp_phonons": {"single": (0.126, 0.014, "ln(1/cm)"), "transfer": (0.110, 0.010, "ln(1/cm)")},
    "piezoelectric_tensor": {
        "single": (0.228, 0.033, "ln(1+C/m2)"),
        "transfer": (0.294, 0.097, "ln(1+C/m2)"),
    },
    "jarvis_2d_gap_opt": {"single": (0.693, 0.148, "eV"), "transfer": (0.698, 0.198, "eV")},
}
"""Five-seed mean and standard deviation of the test MAE (Table 3)."""


def run(arguments: argparse.Namespace, task: str, method: str, seed: int) -> Run:
    """Train one model, or open it when it is finished."""
    data = arguments.datasets / f"{task}.parquet"
    split = f"{arguments.datasets / task}.splits.json:seed{seed}"
    out = arguments.runs / f"{task}-{method}-{seed}"
    unit = PUBLISHED[task][method][2]
    if method == "single":
        return train(data, "target", out, split=split, unit=unit, recipe="published", seed=seed)
    return finetune(
        data,
        "target",
        arguments.runs / "mp_eform",
        out,
        strategy="last-conv",
        split=split,
        unit=unit,
        recipe="published",
        seed=seed,
    )


def record(task: str, method: str, seed: int, found: Run, seconds: float) -> dict[str, Any]:
    """Return the row of one run."""
    history = read_history(found.folder / "history.csv")
    best = history["val_mae"].idxmin()
    return {
        "task": task,
        "method": method,
        "seed": seed,
        "unit": PUBLISHED[task][method][2],
        "test_mae": found.mae("test"),
        "val_mae": found.mae("val"),
        "best_epoch": int(history["epoch"][best]),
        "epochs": len(history),
        "training_seconds": round(float(history["seconds"].sum()), 1),
        "wall_seconds": round(seconds, 1),
    }


def summary(rows: pd.DataFrame) -> str:
    """Return means and sample standard deviations over seeds beside the published ones."""
    lines = [
        "| task | method | seeds | test MAE | published | unit | within or better |",
        "|---|---|---|---|---|---|---|",
    ]
    for (task, method), group in rows.groupby(["task", "method"], sort=False):
        mean, std, unit = PUBLISHED[str(task)][str(method)]
        ours = group["test_mae"].mean()
        verdict = "yes" if ours <= mean + std else "no"
        lines.append(
            f"| {task} | {method} | {len(group)} | {ours:.3f} ± {group['test_mae'].std():.3f} | "
            f"{mean:.3f} ± {std:.3f} | {unit} | {verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("extractor", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/chang2022"))
    parser.add_argument("--out", type=Path, default=Path("chang2022.csv"))
    parser.add_argument("--tasks", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    parser.add_argument("--methods", nargs="+", default=["single", "transfer"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    torch.set_num_threads(1)
    import_checkpoint(
        arguments.extractor,
        arguments.runs / "mp_eform",
        property_name="formation_energy",
        unit="eV/atom",
    )
    rows = []
    for task in arguments.tasks:
        for method in arguments.methods:
            for seed in arguments.seeds:
                began = time.monotonic()
                found = run(arguments, task, method, seed)
                rows.append(record(task, method, seed, found, time.monotonic() - began))
                pd.DataFrame(rows).to_csv(arguments.out, index=False)
                print(rows[-1], flush=True)
    print(summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
