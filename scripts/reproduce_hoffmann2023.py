"""Transfer between fidelities as in Hoffmann, Schmidt, Botti and Marques (2023), on small real data.

    python scripts/reproduce_hoffmann2023.py DATASETS --runs RUNS --out results.csv

DATASETS is a folder with `devi2024` and `chang2022`. Experiments:

- ``bg-ebg``: PBE band gaps -> experimental ones, on one fixed 80/10/10 split, target sizes 50 to all;
- ``opt-tbmbj``: OptB88vdW -> TBmBJ gaps of two-dimensional materials (120 rows), published splits, one per seed;
- ``bg-opt``: PBE gaps of bulk materials -> OptB88vdW gaps of two-dimensional ones (522 rows), published splits.

Strategies: ``none`` (from scratch), ``regression-head`` and ``full``; with ``, source scale`` behind it the mean and spread of
the source's labels are kept, as in the authors' code, instead of fitted to the target rows. Validation and test rows are
the same for all sizes, and no source sees a material of the test rows. Smaller subsets are contained in larger ones.

The table has one row per run: model, source, strategy, property, source_size (training rows; 0 from scratch), target_size
(training rows), seed, mae, unit, seconds; `epitaxy scaling` reads it. Finished runs are not repeated, interrupted ones continue.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from epitaxy.core.files import atomic_file
from epitaxy.recipes.exclusions import without_rows
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run, without_reports
from epitaxy.recipes.train import train
from epitaxy.results.history import read_history
from epitaxy.structures.reading import read_table
from epitaxy.structures.splits import Split, random_split, resolve_split
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("reproduce_hoffmann2023")
NONE = "none"
KEPT = ", source scale"
STRATEGIES = (NONE, "regression-head", "full", "regression-head" + KEPT, "full" + KEPT)
MODELS = ("cgat", "cgcnn")
SOURCE_EPOCHS = {"cgat": 25, "cgcnn": 60}
"""Fewer than the recipes have, for thousands of larger crystals."""
SIZES = (50, 100, 200, 500, 1000, 2000)
SPLIT_SEED = 0
"""Of the split that all seeds of an experiment share."""


class Experiment(NamedTuple):
    """From which table to which."""

    source: str
    target: str
    seeds: int
    published: bool
    """The target has one published split per seed, whose training rows are all used."""
    apart: bool = False
    """The source has no material of the target at all, so that one source serves all splits."""


EXPERIMENTS = {
    "bg-ebg": Experiment("devi2024/bg", "devi2024/ebg", 3, published=False),
    "opt-tbmbj": Experiment(
        "chang2022/jarvis_2d_gap_opt", "chang2022/jarvis_2d_gap_tbmbj", 5, published=True
    ),
    "bg-opt": Experiment(
        "devi2024/bg", "chang2022/jarvis_2d_gap_opt", 5, published=True, apart=True
    ),
}


class Study:
    """The runs of one experiment."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options, self.experiment = name, options, EXPERIMENTS[name]
        self.short = [Path(p).name for p in (self.experiment.source, self.experiment.target)]
        self.sources: dict[int, StructureTable] = {}

    @cached_property
    def target(self) -> StructureTable:
        """The costly table."""
        return read_table(
            self.options.datasets / f"{self.experiment.target}.parquet", target="target"
        )

    def split(self, seed: int) -> Split:
        """Return the rows that all strategies and sizes of a seed share."""
        if not self.experiment.published:
            return random_split(self.target, seed=SPLIT_SEED)
        file = self.options.datasets / f"{self.experiment.target}.splits.json"
        return resolve_split(f"{file}:seed{seed}", self.target, seed=seed)

    def subset(self, seed: int, size: int) -> Split:
        """Return the split with ``size`` training rows; subsets of a seed are nested."""
        whole = self.split(seed)
        order = np.random.default_rng(seed).permutation(np.array(whole.train, dtype=object))
        return Split(tuple(map(str, order[:size])), whole.val, whole.test)

    def sizes(self, seed: int) -> list[int]:
        """Return the numbers of training rows; a size beyond all rows means all."""
        rows = len(self.split(seed).train)
        wanted = [rows] if self.experiment.published else self.options.sizes
        return sorted({min(size, rows) for size in wanted})

    @property
    def own_source(self) -> bool:
        """Each seed has a source of its own."""
        return self.experiment.published and not self.experiment.apart

    def source_table(self, seed: int) -> StructureTable:
        """Return the cheap table without the materials of the test rows, in random order."""
        key = seed if self.own_source else SPLIT_SEED
        if key not in self.sources:
            cheap = self.options.datasets / f"{self.experiment.source}.parquet"
            tested = self.target
            if not self.experiment.apart:
                tested = tested.select(tested.rows_of(self.split(seed).test))
            rest = without_rows(read_table(cheap, target="target"), like=[tested])
            order = np.random.default_rng(SPLIT_SEED).permutation(len(rest))
            self.sources[key] = rest.select(order).with_dropped(rest.dropped)
        return self.sources[key]

    def pretrained(self, model: str, seed: int, size: int) -> Run:
        """Train on the cheap rows, nine tenths for training; seeds share it where they can."""
        table = self.source_table(seed)
        ids = [str(i) for i in table.ids[:size]]
        cut = math.ceil(0.9 * len(ids))
        name = f"{self.name}-{model}-source-{len(ids)}"
        if self.own_source:
            name += f"-{seed}"
        return train(
            table.select(np.arange(len(ids))),
            "target",
            self.options.runs / name,
            model=model,
            split={"train": ids[:cut], "val": ids[cut:]},
            unit="eV",
            training={"epochs": self.options.source_epochs or SOURCE_EPOCHS[model]},
        )

    def fitted(self, model: str, strategy: str, seed: int, size: int, source: int) -> Run:
        """Train on the costly rows, from scratch or from a source."""
        words = f"{strategy.replace(KEPT, '-kept')}{'' if strategy == NONE else f'-of-{source}'}"
        out = self.options.runs / f"{self.name}-{model}-{words}-{size}-{seed}"
        common: dict[str, Any] = {
            "split": self.subset(seed, size),
            "unit": "eV",
            "training": {"epochs": self.options.epochs} if self.options.epochs else {},
            "seed": seed,
        }
        if strategy == NONE:
            return train(self.target, "target", out, model=model, **common)
        parent = self.pretrained(model, seed, source).folder
        scaling = "source" if strategy.endswith(KEPT) else None
        plan = strategy.removesuffix(KEPT)
        return finetune(
            self.target, "target", parent, out, strategy=plan, scaling=scaling, **common
        )

    def rows(self, model: str) -> Iterator[dict[str, Any]]:
        """Return one row per run."""
        for seed in self.options.seeds or range(self.experiment.seeds):
            for size in self.sizes(seed):
                for strategy in self.options.strategies:
                    yield from self._of_sources(model, strategy, seed, size)

    def _of_sources(
        self, model: str, strategy: str, seed: int, size: int
    ) -> Iterator[dict[str, Any]]:
        scratch = strategy == NONE
        available = 0 if scratch else len(self.source_table(seed))
        wanted = [0] if scratch else self.options.source_sizes or [available]
        for source in sorted({min(n, available) for n in wanted}):
            run = self.fitted(model, strategy, seed, size, source)
            yield {
                "experiment": self.name,
                "model": model,
                "source": NONE if scratch else self.short[0],
                "strategy": strategy,
                "property": self.short[1],
                "source_size": math.ceil(0.9 * source),
                "target_size": size,
                "seed": seed,
                "mae": run.mae(),
                "val_mae": run.mae("val"),
                "unit": "eV",
                "seconds": float(read_history(run.folder / "history.csv")["seconds"].sum()),
            }


def main(arguments: list[str] | None = None) -> None:
    """Train what is missing and write the table after every run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="CSV file for the table")
    parser.add_argument("--experiments", nargs="+", choices=list(EXPERIMENTS), default=["bg-ebg"])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(STRATEGIES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), help="of bg-ebg")
    parser.add_argument("--source-sizes", nargs="+", type=int, help="rows of the source [all]")
    parser.add_argument("--seeds", nargs="+", type=int, help="which [0 to 2, or 0 to 4]")
    parser.add_argument("--epochs", type=int, help="on the target [as in the recipes]")
    parser.add_argument("--source-epochs", type=int, help="[25 of cgat, 60 of cgcnn]")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.runs.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with without_reports():
        for name in options.experiments:
            study = Study(name, options)
            for model in options.models:
                for row in study.rows(model):
                    rows.append(row)
                    logger.info("%s", json.dumps(row))
                    with atomic_file(options.out) as temporary:
                        pd.DataFrame(rows).to_csv(temporary, index=False)


if __name__ == "__main__":
    main()
