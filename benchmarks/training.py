"""Time of an epoch and peak memory of building graphs and training CGCNN.

    python benchmarks/training.py TABLE.parquet --target NAME --train 445 --val 95 --batch 250

Prints wall and processor seconds per epoch (training and validation together; median and minimum
after two epochs to warm up) for the published graph rule, merged and not, and the default rule.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from epitaxy.batches.loader import CrystalLoader
from epitaxy.batches.scalers import TargetScaler
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import GraphStore, build_graphs
from epitaxy.models.cgcnn import CGCNN
from epitaxy.models.heads import Head
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.running import make_fabric
from epitaxy.results.history import read_history
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable
from epitaxy.training.config import TrainingConfig
from epitaxy.training.loop import Job, fit
from epitaxy.training.losses import make_loss
from epitaxy.training.optimisers import make_optimiser
from epitaxy.transfer.plan import apply_plan, make_plan

RECIPES = {
    "published rule, not merged": GraphRecipe(rule="cgcnn", merge_tolerance=0.0),
    "published rule, merged": GraphRecipe(rule="cgcnn"),
    "default rule, merged": GraphRecipe(),
}


def epochs(
    table: StructureTable, store: GraphStore, target: str, options: argparse.Namespace
) -> tuple[list[float], float]:
    """Train and return wall seconds of each epoch and processor seconds per epoch."""
    labels = table.values[target]
    scaler = TargetScaler.fit(labels[: options.train], name=target)
    scaled = scaler.forward(labels)[:, None]
    torch.manual_seed(0)
    head = Head(64, table.properties[target], scaler)
    model = PropertyModel("cgcnn", CGCNN(recipe=store.recipe), {target: head})
    config = TrainingConfig(
        epochs=options.epochs,
        batch_size=options.batch,
        optimiser="sgd",
        learning_rate=0.02,
        weight_decay=0.0,
        loss="mse",
        schedule="cosine",
    )
    stop = options.train + options.val
    parts = {"train": np.arange(options.train), "val": np.arange(options.train, stop)}
    loaders = {
        part: CrystalLoader(
            store, rows, scaled[rows], batch_size=options.batch, shuffle=part == "train"
        )
        for part, rows in parts.items()
    }
    groups = apply_plan(model, make_plan("full", model.depth_groups()), seed=0)
    job = Job(model, make_optimiser(config, groups), make_loss(config, 1), **loaders, config=config)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        fit(job, make_fabric(config, Path(folder)), Path(folder))
        processor = (time.process_time() - began) / options.epochs
        history = read_history(Path(folder) / "history.csv")
    return history["seconds"].tolist()[2:], processor


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--target", default="target")
    parser.add_argument("--train", type=int, default=445)
    parser.add_argument("--val", type=int, default=95)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--epochs", type=int, default=22)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=list(RECIPES), help="one recipe instead of all")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = read_table(options.table, target=options.target)
    print("| graphs | nodes | bonds | s per epoch, median | minimum | processor s per epoch |")
    print("|---|---|---|---|---|---|")
    for name, recipe in RECIPES.items():
        if options.only not in {None, name}:
            continue
        store = build_graphs(table, recipe, progress=False)
        seconds, processor = epochs(table, store, options.target, options)
        print(
            f"| {name} | {store.n_nodes.sum():,} | {store.n_bonds.sum():,} | "
            f"{statistics.median(seconds):.4f} | {min(seconds):.4f} | {processor:.4f} |",
            flush=True,
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"\npeak memory {peak:.2f} GiB, largest worker {children:.2f} GiB")


if __name__ == "__main__":
    main()
