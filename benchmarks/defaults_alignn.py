"""Training settings of ALIGNN for small sets, compared on rows that no test uses.

    python benchmarks/defaults_alignn.py DATASETS --runs RUNS

Trains on the 720 training rows of trial 1 of ``ph`` (Devi 2024) and scores the weights of the last
epoch on its 80 validation rows and all rows of the training pool that the trial did not draw. With
``--parent RUN`` a trained ALIGNN is fine-tuned instead.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.train import train

COMMON: dict[str, Any] = {
    "epochs": 50,
    "batch_size": 32,
    "learning_rate": 1e-3,
    "weight_decay": 1e-2,
    "precision": "bf16",
    "weights": "last",
    "encoder": {"norm": "batch"},
}
CHOICES: dict[str, dict[str, Any]] = {
    "rate-1e-3": {},
    "rate-1e-3-log-target": {"transform": "log"},
    "rate-1e-3-decay-0.3": {"weight_decay": 0.3},
    "rate-2e-3": {"learning_rate": 2e-3},
    "rate-4e-3": {"learning_rate": 4e-3},
    "rate-2e-3-decay-1": {"learning_rate": 2e-3, "weight_decay": 1.0},
    "rate-2e-3-decay-0.3": {"learning_rate": 2e-3, "weight_decay": 0.3},
}
LAYER_NORM: dict[str, Any] = {"learning_rate": 2e-3, "encoder": {"norm": "layer"}}
CHOICES |= {
    f"layer-norm-{name}": {**LAYER_NORM, **changes}
    for name, changes in {
        "decay-0.3": {"weight_decay": 0.3},
        "decay-0.3-mse": {"weight_decay": 0.3, "loss": "mse"},
        "decay-0.3-epochs-100": {"weight_decay": 0.3, "epochs": 100},
        "decay-3": {"weight_decay": 3.0},
        "rate-4e-3-decay-1": {"weight_decay": 1.0, "learning_rate": 4e-3},
        "decay-1": {"weight_decay": 1.0},
        "decay-1-epochs-100": {"weight_decay": 1.0, "epochs": 100},
    }.items()
}

FINE_TUNING: dict[str, Any] = {
    "epochs": 50,
    "batch_size": 32,
    "precision": "bf16",
    "weights": "last",
}
FINE_TUNING |= {"weight_decay": 1.0, "learning_rate": 2e-3}
TUNED: dict[str, dict[str, Any]] = {
    "rate-2e-3": {},
    "rate-5e-4": {"learning_rate": 5e-4},
    "rate-2e-3-new-head": {"strategy": "full+new-head"},
}


def pool_split(datasets: Path, name: str) -> dict[str, list[int]]:
    """Return training rows of trial 1, and as validation all other rows that are not tested."""
    file = json.loads((datasets / f"{name}.splits.json").read_text(encoding="utf-8"))
    rows = pq.read_table(datasets / f"{name}.parquet", columns=["row"])["row"].to_pylist()
    drawn = file["trials"]["1"]["800"]
    rest = sorted(set(rows) - set(file["test"]) - set(drawn))
    return {"train": drawn[:720], "val": drawn[720:] + rest}


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--data", default="ph")
    parser.add_argument("--parent", type=Path, help="run folder of a trained ALIGNN")
    parser.add_argument("--only", nargs="+", choices=[*CHOICES, *TUNED])
    options = parser.parse_args()
    split = pool_split(options.datasets, options.data)
    table = options.datasets / f"{options.data}.parquet"
    choices = TUNED if options.parent else CHOICES
    print("| settings | validation MAE | training MAE |\n|---|---|---|")
    for name in options.only or choices:
        settings: dict[str, Any] = {"split": split, **choices[name]}
        if options.parent:
            out = options.runs / f"{options.data}-{options.parent.name}-{name}"
            run = finetune(table, "target", options.parent, out, **{**FINE_TUNING, **settings})
        else:
            out = options.runs / f"{options.data}-{name}"
            run = train(table, "target", out, model="alignn", **{**COMMON, **settings})
        print(f"| {name} | {run.mae('val'):.4g} | {run.mae('train'):.4g} |", flush=True)


if __name__ == "__main__":
    main()
