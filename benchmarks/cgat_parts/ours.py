"""Worker that times this project's CGAT at the widths of the paper.

python ours.py CRYSTALS.npz --batch 16 --threads 1 --bonds 512 [--merged]
"""

# ruff: noqa: D102 - the methods are described in alignn_parts/worker.py
from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from worker import Crystals, serve

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.loader import CrystalLoader
from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.store import build_graphs
from epitaxy.models.cgat import CGAT
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.property_model import PropertyModel
from epitaxy.structures.table import StructureTable
from epitaxy.training.config import TrainingConfig
from epitaxy.training.losses import make_loss
from epitaxy.training.optimisers import make_optimiser
from epitaxy.transfer.plan import apply_plan, make_plan


class Ours:
    """The network of the recipe ``released``, trained as `epitaxy.training.loop` does."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        recipe = CGAT.training_recipe("released")
        config = TrainingConfig(**{**recipe.training, "batch_size": options.batch})
        size = {**recipe.encoder, "bond_width": options.bonds}
        size["hidden"] = int((2 * size["width"] + options.bonds) / 1.5)
        self.graphs = recipe.graph
        assert self.graphs is not None
        if options.merged:
            size["receiver"] = "owner"
            self.graphs = self.graphs.model_copy(update={"merge_tolerance": 1e-3})
        encoder = CGAT(**size, recipe=self.graphs)
        head = Head(
            encoder.width, PropertySpec(name="y"), TargetScaler(), HeadConfig(**recipe.head)
        )
        self.model = PropertyModel("cgat", encoder, {"y": head})
        groups = apply_plan(self.model, make_plan("full", self.model.depth_groups()), seed=0)
        self.loss, self.optimiser = make_loss(config, 1), make_optimiser(config, groups)
        self.epoch = 0

    def build(self, crystals: Crystals) -> dict[str, float]:
        table = StructureTable.from_arrays(
            ids=[str(row) for row in range(len(crystals.lattices))],
            lattices=crystals.lattices,
            atomic_numbers=crystals.numbers,
            frac_coords=crystals.coordinates,
        )
        began = time.perf_counter()
        self.store = build_graphs(table, self.graphs, workers=1, progress=False)
        rate = len(table) / (time.perf_counter() - began)
        targets = np.asarray(crystals.targets)[:, None]
        rows = np.arange(len(self.store))
        size = self.options.batch
        self.loader = CrystalLoader(self.store, rows, targets, batch_size=size, shuffle=True)
        return {"1": rate}

    def counts(self) -> dict[str, float]:
        return {"parameters": sum(p.numel() for p in self.model.parameters())}

    def batches(self) -> Iterator[tuple[CrystalBatch, int]]:
        self.epoch += 1
        for batch in self.loader.epoch(self.epoch):
            yield batch, len(batch)

    def train(self, batch: CrystalBatch) -> None:
        assert batch.targets is not None
        self.optimiser.zero_grad(set_to_none=True)
        self.loss(self.model(batch), batch.targets).backward()
        self.optimiser.step()

    def infer(self, batch: CrystalBatch) -> None:
        self.model(batch)

    def mode(self, *, training: bool) -> None:
        self.model.train(training)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("crystals")
    parser.add_argument("--merged", action="store_true")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--bonds", type=int, required=True)
    options = parser.parse_args()
    serve(lambda: Ours(options), options.crystals, options.threads)


if __name__ == "__main__":
    main()
