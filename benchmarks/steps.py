"""Processor seconds of a training step and a prediction of every architecture.

    python benchmarks/steps.py TABLE.parquet --target NAME

Default encoders and heads, one thread, the same crystals, 64 at a time, in turn; medians
over batches after one to warm up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.loader import CrystalLoader
from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.store import build_graphs
from epitaxy.models import ENCODERS
from epitaxy.models.heads import Head
from epitaxy.models.property_model import PropertyModel
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable


def timed(work: Callable[[CrystalBatch], object], batches: list[CrystalBatch]) -> float:
    """Return the median processor seconds of a batch, the first left out."""
    seconds = []
    for batch in batches:
        began = time.process_time()
        work(batch)
        seconds.append(time.process_time() - began)
    return median(seconds[1:])


def measured(name: str, settings: dict[str, int], table: StructureTable) -> str:
    """Return one row of the table."""
    encoder = ENCODERS[name](**settings)
    store = build_graphs(table, encoder.recipe, progress=False, workers=1)
    head = Head(encoder.width, PropertySpec(name="y"), TargetScaler(), encoder.default_head)
    model = PropertyModel(name, encoder, {"y": head})
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    labels = np.zeros((len(store), 1))
    loader = CrystalLoader(store, np.arange(len(store)), labels, batch_size=64, shuffle=False)
    batches = list(loader.epoch(0))

    def step(batch: CrystalBatch) -> None:
        optimiser.zero_grad()
        (model(batch) - batch.targets).abs().mean().backward()
        optimiser.step()

    training = timed(step, batches)
    model.eval()
    with torch.inference_mode():
        predicting = timed(model, batches)
    parameters = sum(p.numel() for p in encoder.parameters())
    what = " ".join([name, *(f"{key}={value}" for key, value in settings.items())])
    return f"| {what} | {parameters:,} | {training:.3f} | {predicting:.3f} |"


def main() -> None:
    """Parse the command line and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--batches", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = read_table(options.table, target=options.target)
    table = table.select(np.random.default_rng(0).permutation(len(table))[: 64 * options.batches])
    print(f"{len(table)} crystals, {len(table.atomic_numbers) / len(table):.1f} atoms each")
    print("| encoder | parameters | training step, s | prediction, s |\n|---|---|---|---|")
    shapes: list[tuple[str, dict[str, int]]] = [(name, {}) for name in ENCODERS]
    for name, settings in [*shapes, ("cgat", {"width": 64})]:
        print(measured(name, settings, table), flush=True)


if __name__ == "__main__":
    main()
