"""Multi-property pre-training against training from scratch and pair-wise transfer.

    python scripts/multi_property.py DATASETS --runs RUNS --model cgcnn --targets ph dc ebg

DATASETS is a folder with the tables and split files of Devi, Butler and Sai Gautam (2024). Their
seven tables are joined by structure. For each target three kinds of models are fine-tuned on, or
trained from, its published trials and scored on its published test rows: from scratch; from each of
the six other properties alone; and from one model of all six. No source ever sees a material that
occurs in the test rows (``--seen`` lets the models of six see them, with their other labels, as the
paper did). Finished runs are not repeated, interrupted ones continue.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train
from epitaxy.results.comparison import compare_trials
from epitaxy.structures.merge_files import merge
from epitaxy.structures.published import published_unit
from epitaxy.structures.reading import read_table
from epitaxy.structures.selecting import select
from epitaxy.structures.table import StructureTable
from reproduce_devi2024 import nine_to_one

logger = logging.getLogger("multi_property")
NAMES = ("gv", "ph", "pz", "dc", "ebg", "fe", "bg")
MPT, SCRATCH = "all", "scratch"


class Settings(NamedTuple):
    """What differs between architectures."""

    encoder: dict[str, Any]
    pretraining: dict[str, Any]
    """Of one property and of several."""
    training: dict[str, Any]
    """From scratch."""
    tuning: dict[str, Any]


MODELS = {
    "cgcnn": Settings({}, {"epochs": 100}, {}, {}),
    "alignn": Settings(
        {"width": 64, "norm": "layer"},
        {"epochs": 12, "precision": "bf16", "batch_size": 64, "learning_rate": 1e-3},
        {"precision": "bf16"},
        {"precision": "bf16"},
    ),
}


class Study:
    """The runs of one architecture."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.settings = options, MODELS[options.model]
        self.runs: Path = options.runs / options.model
        self.all = options.runs / "all.parquet"
        if not self.all.is_file():
            options.runs.mkdir(parents=True, exist_ok=True)
            files = [f"{name}={options.datasets / name}.parquet" for name in NAMES]
            merge(files, self.all, keep="first")
        self.table = read_table(self.all)
        self.parents: dict[tuple[str, str], Run] = {}
        """(source, target) -> pre-trained model."""

    def data(self, name: str) -> Path:
        """Return the table of one property."""
        file: Path = self.options.datasets / f"{name}.parquet"
        return file

    def test(self, target: str) -> StructureTable:
        """Return the published test rows."""
        table = read_table(self.data(target), target="target")
        return select(table, f"{self.options.datasets / target}.splits.json:test")

    def source(self, source: str, target: str) -> Run:
        """Pre-train on one other property, or on all, without the test crystals of the target.

        All trials of a target share one source.
        """
        if (source, target) not in self.parents:
            self.parents[source, target] = self.pretrained(source, target)
        return self.parents[source, target]

    def pretrained(self, source: str, target: str) -> Run:
        """Train the model of `source`, or open it when it is finished."""
        seen = source == MPT and self.options.seen
        names = ["*"] if source == MPT else [source]
        return train(
            self.table,
            names,
            self.runs / f"{source}-for-{target}{'-seen' if seen else ''}",
            model=self.options.model,
            encoder=self.settings.encoder,
            split=nine_to_one([str(i) for i in self.table.ids]),
            exclude_property=[target] if source == MPT else [],
            exclude_like=[] if seen else [self.test(target)],
            training=self.settings.pretraining,
        )

    def fitted(self, kind: str, target: str, trial: int) -> Run:
        """Train on one trial of the target, from scratch or from a source."""
        split = f"{self.options.datasets / target}.splits.json:trials/{trial}/{self.options.size}"
        out = self.runs / f"{target}-{kind}-{self.options.size}-{trial}"
        if kind == SCRATCH:
            return train(
                self.data(target),
                "target",
                out,
                model=self.options.model,
                encoder=self.settings.encoder,
                split=split,
                training=self.settings.training,
            )
        parent = self.source(kind, target)
        if kind == MPT and self.options.seen:
            out = out.with_name(f"{out.name}-seen")
        tuning = self.settings.tuning
        return finetune(
            self.data(target), "target", parent.folder, out, split=split, training=tuning
        )

    def rows(self, target: str) -> Iterator[dict[str, Any]]:
        """Compare all kinds with training from scratch."""
        kinds = [SCRATCH, *(n for n in NAMES if n != target), MPT]
        if self.options.kinds:
            kinds = [kind for kind in kinds if kind in self.options.kinds]
        trials = range(1, self.options.trials + 1)
        unit = published_unit(
            read_table(self.data(target), target=["target", "target_published"]), "target"
        )
        predictions: dict[str, list[pd.DataFrame]] = {}
        for kind in kinds:
            runs = [self.fitted(kind, target, trial) for trial in trials]
            predictions[kind] = [run.predictions for run in runs]
            change, low, high = math.nan, math.nan, math.nan
            if kind != SCRATCH and SCRATCH in predictions:
                change, interval = compare_trials(predictions[SCRATCH], predictions[kind])
                low, high = interval or (math.nan, math.nan)
            mae = float(np.mean([run.mae() for run in runs]))
            yield {
                "model": self.options.model,
                "target": target,
                "source": kind + ("-seen" if kind == MPT and self.options.seen else ""),
                "trials": len(runs),
                "val_mae": float(np.mean([run.mae("val") for run in runs])),
                "mae": mae,
                "published_units": mae / unit,
                "change": change,
                "low": low,
                "high": high,
            }


def main() -> None:
    """Train what is missing, write and print the table."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--model", choices=list(MODELS), default="cgcnn")
    parser.add_argument("--targets", nargs="+", choices=NAMES, default=["ph", "dc", "ebg"])
    parser.add_argument("--kinds", nargs="+", choices=[SCRATCH, *NAMES, MPT])
    parser.add_argument("--size", type=int, default=800)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--seen", action="store_true")
    parser.add_argument("--out", type=Path, help="CSV file for the table")
    options = parser.parse_args()
    study = Study(options)
    rows = []
    for target in options.targets:
        for row in study.rows(target):
            rows.append(row)
            logger.info("%s", json.dumps(row))
            if options.out:
                pd.DataFrame(rows).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
