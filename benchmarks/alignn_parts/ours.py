"""Worker that times this project.

python ours.py CRYSTALS.npz --precision 32 --batch 64 --threads 2 [--unmerged]
"""

# ruff: noqa: D102 - the methods are described in worker.py
from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from worker import Crystals, serve

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.loader import CrystalLoader
from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.store import build_graphs
from epitaxy.models import ENCODERS
from epitaxy.models.heads import Head
from epitaxy.models.property_model import PropertyModel
from epitaxy.recipes.running import make_fabric
from epitaxy.structures.table import StructureTable
from epitaxy.training.config import TrainingConfig
from epitaxy.training.losses import make_loss
from epitaxy.training.optimisers import make_optimiser
from epitaxy.transfer.plan import apply_plan, make_plan


class Ours:
    """The default network on its default graphs, trained as `epitaxy.training.loop` does."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        config = TrainingConfig(
            batch_size=options.batch,
            learning_rate=1e-3,
            precision=options.precision,
            device="cpu",
        )
        encoder = ENCODERS[options.model]()
        self.recipe = encoder.recipe
        if options.rule:
            self.recipe = self.recipe.model_copy(update={"rule": options.rule})
        if options.unmerged:
            self.recipe = self.recipe.model_copy(update={"merge_tolerance": 0.0})
        head = Head(encoder.width, PropertySpec(name="target"), TargetScaler())
        self.model = PropertyModel(options.model, encoder, {"target": head})
        self.fabric = make_fabric(config, Path(tempfile.gettempdir()))
        groups = apply_plan(self.model, make_plan("full", self.model.depth_groups()), seed=0)
        self.loss = make_loss(config, 1)
        self.fabric.setup_module(self.model)
        self.optimiser: Any = self.fabric.setup_optimizers(make_optimiser(config, groups))
        self.epoch = 0

    def build(self, crystals: Crystals) -> dict[str, float]:
        self.table = self.repeated(crystals, 1)
        # Building some hundred takes too little time to measure.
        times = max(1, -(-2000 // len(self.table)))
        many = self.repeated(crystals, times)
        rates = {}
        for workers in (1, 2):
            began = time.perf_counter()
            build_graphs(many, self.recipe, workers=workers, progress=False)
            rates[str(workers)] = len(many) / (time.perf_counter() - began)
        self.store = build_graphs(self.table, self.recipe, workers=1, progress=False)
        self.loader = CrystalLoader(
            self.store,
            np.arange(len(self.store)),
            np.asarray(crystals.targets)[:, None],
            batch_size=self.options.batch,
            shuffle=True,
        )
        return rates

    @staticmethod
    def repeated(crystals: Crystals, times: int) -> StructureTable:
        """Return the crystals as a table, several times over."""
        return StructureTable.from_arrays(
            ids=[str(row) for row in range(times * len(crystals.lattices))],
            lattices=np.tile(crystals.lattices, (times, 1, 1)),
            atomic_numbers=crystals.numbers * times,
            frac_coords=crystals.coordinates * times,
        )

    def counts(self) -> dict[str, float]:
        recipe = self.recipe.model_copy(update={"merge_tolerance": 0.0})
        store = build_graphs(self.table, recipe, workers=1, progress=False)
        sizes = {"atoms": int(store.n_nodes.sum()), "bonds": int(store.n_bonds.sum())}
        if self.options.model == "alignn":
            loader = CrystalLoader(store, np.arange(len(store)), batch_size=self.options.batch)
            sizes["angles"] = sum(len(batch.angles.source) for batch in loader.epoch())
        return sizes

    def batches(self) -> Iterator[tuple[CrystalBatch, int]]:
        self.epoch += 1
        for batch in self.loader.epoch(self.epoch):
            yield batch, len(batch)

    def predict(self, batch: CrystalBatch) -> torch.Tensor:
        assert batch.targets is not None
        with self.fabric.autocast():
            prediction: torch.Tensor = self.model(batch)
        return prediction.to(batch.targets.dtype)

    def train(self, batch: CrystalBatch) -> None:
        assert batch.targets is not None
        self.optimiser.zero_grad(set_to_none=True)
        self.fabric.backward(self.loss(self.predict(batch), batch.targets))
        self.optimiser.step()

    def infer(self, batch: CrystalBatch) -> None:
        self.predict(batch)

    def mode(self, *, training: bool) -> None:
        self.model.train(training)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("crystals")
    parser.add_argument("--model", default="alignn")
    parser.add_argument("--rule", help="another rule of the graphs than the model's own")
    parser.add_argument("--precision", choices=["32", "bf16"], default="32")
    parser.add_argument("--unmerged", action="store_true")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    serve(lambda: Ours(options), options.crystals, options.threads)


if __name__ == "__main__":
    main()
