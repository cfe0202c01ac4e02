"""Learning rates of CGCNN, fine-tuned or from scratch, compared on rows that no test uses.

    python benchmarks/defaults_transfer.py DATASETS TARGET --from RUN --rates 1e-3 3e-3 --runs RUNS

Trains on trials 1 to 3 of TARGET (Devi 2024, 800 rows, best validation epoch) and scores on all
rows of the pool that a trial did not draw. RUN is a pre-trained model, for example one that
scripts/multi_property.py made; without it models are trained from scratch. Everything else is the
default recipe. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run, without_reports
from epitaxy.recipes.train import train
from epitaxy.structures.reading import read_table
from epitaxy.structures.splits import resolve_split

TRIALS = (1, 2, 3)


def pool_split(options: argparse.Namespace, trial: int) -> dict[str, list[str]]:
    """Return the rows of a trial, with what it left of the pool in place of the test rows."""
    table = read_table(options.datasets / f"{options.target}.parquet", target="target")
    file = options.datasets / f"{options.target}.splits.json"
    drawn = resolve_split(f"{file}:trials/{trial}/800", table, seed=0)
    used = {*drawn.train, *drawn.val, *drawn.test}
    left = [str(i) for i in table.ids if str(i) not in used]
    return {"train": list(drawn.train), "val": list(drawn.val), "test": left}


def fitted(options: argparse.Namespace, rate: float, trial: int) -> Run:
    """Train one model, or open it when it is finished."""
    data, split = options.datasets / f"{options.target}.parquet", pool_split(options, trial)
    source = options.source
    name = f"{options.target}-{source.name if source else 'scratch'}-{rate:g}-{trial}"
    out, training = options.runs / name, {"learning_rate": rate}
    if source:
        return finetune(data, "target", source, out, split=split, training=training)
    return train(data, "target", out, split=split, training=training)


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("target")
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3, 3e-3])
    parser.add_argument("--runs", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| rate | validation MAE | MAE on the rest of the pool | of each trial |\n|---|---|---|---|"
    )
    with without_reports():
        for rate in options.rates:
            runs = [fitted(options, rate, trial) for trial in TRIALS]
            val, left = ([run.mae(part) for run in runs] for part in ("val", "test"))
            each = ", ".join(f"{error:.4g}" for error in left)
            print(f"| {rate:g} | {np.mean(val):.4g} | {np.mean(left):.4g} | {each} |", flush=True)


if __name__ == "__main__":
    main()
