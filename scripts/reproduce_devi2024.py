"""ALIGNN from scratch and fine-tuned on the trials of Devi, Butler and Sai Gautam (2024).

    python scripts/reproduce_devi2024.py DATASETS --runs RUNS --out results.csv

DATASETS is a folder with the paper's Parquet tables and split files. Everything uses this package's own recipe for
small sets (`TRAINING`), not the published 500 epochs, and is scored on the published test rows. Finished runs are
not repeated, interrupted ones continue; ``--only 'ph-scratch-*'`` picks some, so that several processes can share
the work.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run, read_run
from epitaxy.recipes.train import train
from epitaxy.results.comparison import compare_trials
from epitaxy.structures.published import published_unit
from epitaxy.structures.reading import read_table

logger = logging.getLogger("reproduce_devi2024")

TRAINING: dict[str, Any] = {"precision": "bf16"}
"""Everything else is the default recipe."""
PRETRAINING = {"bg": {**TRAINING, "epochs": 40}, "fe": {**TRAINING, "epochs": 16}}
"""Fewer epochs for the 1,000 larger crystals of the sources."""
COMPARING_PRECISION = {**TRAINING, "epochs": 30}
COMPARING_STRATEGIES = {**TRAINING, "epochs": 40}
STRATEGIES = (
    "full",
    "head",
    "new-head:linear",
    "new-head",
    "two-body",
    "three-body",
    "full+new-head",
    "freeze-to:atom-embedding+new-head:linear",
)
SCRATCH = {("ph", 800): 5, ("dc", 800): 3, ("gv", 800): 5, ("gv", 500): 3}
"""(data set, size) -> number of trials."""
TRANSFER = {("bg", "ph", 800): 3, ("fe", "gv", 500): 3}


class Experiment(NamedTuple):
    """One run: which rows, from which model, how."""

    data: str
    split: str
    parent: str | None = None
    strategy: str = "full"
    training: dict[str, Any] = TRAINING


def experiments() -> dict[str, Experiment]:
    """Return all runs by name, parents first."""
    runs = {
        f"{source}-pretrain": Experiment(source, "pretrain_1000", training=PRETRAINING[source])
        for source in ("bg", "fe")
    }
    for (data, size), trials in SCRATCH.items():
        for t in range(1, trials + 1):
            runs[f"{data}-scratch-{size}-{t}"] = Experiment(data, f"trials/{t}/{size}")
    for (source, data, size), trials in TRANSFER.items():
        for t in range(1, trials + 1):
            name = f"{data}-from-{source}-{size}-{t}"
            runs[name] = Experiment(data, f"trials/{t}/{size}", f"{source}-pretrain")
    for strategy in STRATEGIES:
        name = "dc-strategy-" + strategy.replace(":", "_")
        runs[name] = Experiment("dc", "trials/5/800", "bg-pretrain", strategy, COMPARING_STRATEGIES)
    for precision in ("32", "bf16"):
        for seed in range(3):
            training = {**COMPARING_PRECISION, "precision": precision, "seed": seed}
            name = f"ph-precision-{precision}-{seed}"
            runs[name] = Experiment("ph", "trials/1/800", training=training)
    return runs


def run(arguments: argparse.Namespace, name: str) -> Run:
    """Train one model, or open it when it is finished."""
    experiment = experiments()[name]
    data = arguments.datasets / f"{experiment.data}.parquet"
    file = arguments.datasets / f"{experiment.data}.splits.json"
    split: Any = f"{file}:{experiment.split}"
    if experiment.split == "pretrain_1000":
        split = nine_to_one(json.loads(file.read_text(encoding="utf-8"))["pretrain_1000"])
    common: dict[str, Any] = {"split": split, "training": experiment.training}
    out = arguments.runs / name
    if experiment.parent is None:
        return train(data, "target", out, model="alignn", **common)
    parent = arguments.runs / experiment.parent
    return finetune(data, "target", parent, out, strategy=experiment.strategy, **common)


def nine_to_one(rows: Sequence[int] | Sequence[str]) -> dict[str, list[Any]]:
    """Split rows 9 to 1 at random: they are sorted, and the last tenth would be other crystals."""
    order = np.random.default_rng(0).permutation(rows).tolist()
    cut = len(order) * 9 // 10
    return {"train": order[:cut], "val": order[cut:]}


def half_range(arguments: argparse.Namespace, data: str) -> float:
    """Return the physical units per published normalised unit."""
    file = arguments.datasets / f"{data}.parquet"
    return published_unit(read_table(file, target=["target", "target_published"]), "target")


def report(arguments: argparse.Namespace) -> str:
    """Compare finished transfers with training from scratch, as Markdown."""
    lines = ["| transfer | trials | from scratch | fine-tuned | change | 95 % interval | unit |"]
    lines.append("|---|---|---|---|---|---|---|")
    for (source, data, size), trials in TRANSFER.items():
        names = [
            (f"{data}-scratch-{size}-{t}", f"{data}-from-{source}-{size}-{t}")
            for t in range(1, trials + 1)
        ]
        done = [pair for pair in names if all((arguments.runs / n).is_dir() for n in pair)]
        if not done:
            continue
        scratch, tuned = ([read_run(arguments.runs / p[k]) for p in done] for k in (0, 1))
        before, after = ([r.predictions for r in runs] for runs in (scratch, tuned))
        change, interval = compare_trials(before, after)
        low, high = interval or (math.nan, math.nan)
        unit = scratch[0].metrics["test"]["target"]["unit"]
        means = [float(np.mean([r.mae() for r in runs])) for runs in (scratch, tuned)]
        lines.append(
            f"| {source} -> {data} {size} | {len(done)} | {means[0]:.4g} | {means[1]:.4g} | "
            f"{change:+.3g} | {low:+.3g} to {high:+.3g} | {unit} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Train what is missing and write all results."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--runs", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--out", type=Path, help="CSV file for the results of what was asked for")
    parser.add_argument("--only", nargs="+", default=["*"], help="names of runs, with wildcards")
    parser.add_argument("--threads", type=int, help="threads of torch")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    rows = []
    for name, experiment in experiments().items():
        if not any(fnmatch.fnmatch(name, pattern) for pattern in arguments.only):
            continue
        done = run(arguments, name)
        numbers = done.metrics["test"] if "test" in done.metrics else done.metrics["val"]
        found = numbers["target"]
        unit = half_range(arguments, experiment.data)
        seconds = float(pd.read_csv(done.folder / "history.csv")["seconds"].sum())
        rows.append(
            {
                "run": name,
                "part": "test" if "test" in done.metrics else "val",
                "n": found["n"],
                "mae": found["mae"],
                "unit": found["unit"],
                "mae_published_units": found["mae"] / unit,
                "r2": found["r2"],
                "seconds": seconds,
            }
        )
        logger.info("%s: MAE %.4g, %.4f published units", name, found["mae"], found["mae"] / unit)
        if arguments.out:
            pd.DataFrame(rows).to_csv(arguments.out, index=False)
    logger.info("Transfer against training from scratch:\n%s", report(arguments))


if __name__ == "__main__":
    main()
