"""Time of an epoch of mixtures of many CGCNNs, by how many of them count.

    python benchmarks/mixture.py TABLE.parquet SPLITS.json:KEY EXPERT EXPERT ... --k 1 2 4 18

Prints wall and processor seconds per epoch (training and validation together, median after two
epochs to warm up), with the hyperparameters of Chang 2022 and one thread, as the program runs.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
from pathlib import Path

import torch

from epitaxy.core.memory import keep_freed_memory
from epitaxy.recipes.mixture import mixture
from epitaxy.results.history import read_history


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("split")
    parser.add_argument("experts", nargs="+")
    parser.add_argument("--target", default="target")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 2, 4, 18])
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    keep_freed_memory()
    print("| experts | k | s per epoch | minimum |\n|---|---|---|---|")
    for k in options.k:
        with tempfile.TemporaryDirectory() as folder:
            run = mixture(
                options.table,
                options.target,
                options.experts,
                Path(folder) / "run",
                k=k,
                split=options.split,
                recipe="published",
                epochs=options.epochs,
            )
            seconds = read_history(run.folder / "history.csv")["seconds"].tolist()[2:]
        median = statistics.median(seconds)
        print(f"| {len(options.experts)} | {k} | {median:.3f} | {min(seconds):.3f} |", flush=True)


if __name__ == "__main__":
    main()
