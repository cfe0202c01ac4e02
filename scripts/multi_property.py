"""Multi-property pre-training against training from scratch and pair-wise transfer.

    python scripts/multi_property.py DATASETS --runs RUNS --model cgcnn --targets ph dc ebg

DATASETS is a folder with the tables and split files of Devi, Butler and Sai Gautam (2024). Their
seven tables are joined by structure. For each target three kinds of models are fine-tuned on, or
trained from, its published trials and scored on its published test rows: from scratch; from each of
the six other properties alone; and from one model of all six. No source ever sees a material that
occurs in the test rows (``--seen`` lets the models of six see them, with their other labels, as the
paper did; ``--variant NAME KEY=VALUE ...`` pre-trains them with other settings). Everything is trained
with two learning rates, and the one with the smaller validation error (mean over the trials) counts.
Finished runs are not repeated, interrupted ones continue.

The target ``jarvis_2d`` is their transfer to two-dimensional materials: models of ``fe``, ``bg``, ``gv`` (those of
the other targets) and of all seven properties (without the published test rows of the seven tables, so that the model
can be shipped with its errors on them); they may know its test crystals. Three seeds stand in for trials. A second
column is of the test crystals that are neither among its own training rows nor in the seven tables.
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
import yaml

from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train
from epitaxy.results.comparison import compare_trials
from epitaxy.structures.matching import same_material
from epitaxy.structures.merge_files import merge
from epitaxy.structures.published import published_unit
from epitaxy.structures.reading import read_table
from epitaxy.structures.selecting import select
from epitaxy.structures.table import StructureTable
from reproduce_devi2024 import nine_to_one

logger = logging.getLogger("multi_property")
NAMES = ("gv", "ph", "pz", "dc", "ebg", "fe", "bg")
MPT, SCRATCH = "all", "scratch"
LAYERS = "jarvis_2d"
LAYER_SOURCES = ("fe", "bg", "gv")


Predictions = list[pd.DataFrame]


class Settings(NamedTuple):
    """What differs between architectures."""

    encoder: dict[str, Any]
    pretraining: dict[str, Any]
    """Of one property and of several."""
    training: dict[str, Any]
    """From scratch."""
    rates: tuple[float | None, ...]
    """Learning rates that are tried from scratch; None is that of the recipe."""
    tuning: dict[str, Any]
    tuning_rates: tuple[float | None, ...]


MODELS = {
    "cgcnn": Settings({}, {"epochs": 60}, {}, (None, 1e-2), {}, (None, 3e-3)),
    "alignn": Settings(
        {"width": 64, "norm": "layer"},
        {"epochs": 12, "precision": "bf16", "batch_size": 64, "learning_rate": 1e-3},
        {"precision": "bf16"},
        (None,),
        {"precision": "bf16"},
        (None, 1e-3),
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
        self.parents: dict[str, Run] = {}
        """Name -> pre-trained model."""

    def data(self, name: str) -> Path:
        """Return the table of one property."""
        file: Path = self.options.datasets / f"{name}.parquet"
        return file

    def test(self, target: str) -> StructureTable:
        """Return the published test rows."""
        table = read_table(self.data(target), target="target")
        return select(table, f"{self.options.datasets / target}.splits.json:test")

    def split(self, target: str, trial: int) -> Any:
        """Return rows for training, validation and test."""
        file = self.options.datasets / f"{target}.splits.json"
        if target != LAYERS:
            return f"{file}:trials/{trial}/{self.options.size}"
        rows = json.loads(file.read_text(encoding="utf-8"))
        order = np.random.default_rng(trial).permutation(rows["train"]).tolist()
        cut = len(order) * 9 // 10
        return {"train": order[:cut], "val": order[cut:], "test": rows["test"]}

    def source(self, source: str, target: str) -> Run:
        """Pre-train on one other property, or on all, without the test crystals of the targets.

        All trials of a target share one source, and all targets those of one property.
        """
        name = f"{source}-for-{target if source == MPT else self.together}"
        if name not in self.parents:
            self.parents[name] = self.pretrained(source, target, name)
        return self.parents[name]

    def pretrained(self, source: str, target: str, name: str) -> Run:
        """Train the model of `source`, or open it when it is finished."""
        names = ["*"] if source == MPT else [source]
        tested = [target] if source == MPT else self.options.targets
        if source == MPT and target == LAYERS:
            tested = NAMES
        seen = source == MPT and self.options.seen
        return train(
            self.table,
            names,
            self.runs / f"{name}{self.of_all if source == MPT else ''}",
            model=self.options.model,
            encoder=self.settings.encoder,
            split=nine_to_one([str(i) for i in self.table.ids]),
            exclude_property=[target] if source == MPT and target in NAMES else [],
            exclude_like=[] if seen else [self.test(t) for t in tested if t != LAYERS],
            training={**self.settings.pretraining, **(self.variant if source == MPT else {})},
        )

    @cached_property
    def variant(self) -> dict[str, Any]:
        """Settings that differ in the pre-training on several properties."""
        pairs = (text.split("=", 1) for text in self.options.variant[1:])
        return {key: yaml.safe_load(value) for key, value in pairs}

    @property
    def of_all(self) -> str:
        """What is appended to the names of models of several properties."""
        parts = ["seen"] * self.options.seen + self.options.variant[:1]
        return "".join(f"-{part}" for part in parts)

    @cached_property
    def together(self) -> str:
        """The targets that share sources, as a name."""
        return "-".join(sorted(t for t in self.options.targets if t != LAYERS)) or LAYERS

    @cached_property
    def new_layers(self) -> set[str]:
        """Ids of the two-dimensional test crystals that no model has seen."""
        data = read_table(self.data(LAYERS), target="target")
        file = f"{self.options.datasets / LAYERS}.splits.json"
        test = select(data, f"{file}:test")
        known = same_material(test, select(data, f"{file}:train")) | same_material(test, self.table)
        logger.info("%d of %d test crystals are known.", known.sum(), len(test))
        return {str(i) for i in test.ids[~known]}

    def best(self, kind: str, target: str) -> tuple[list[Run], float | None]:
        """Return the runs of all trials with the learning rate that validates best."""
        tried = self.settings.rates if kind == SCRATCH else self.settings.tuning_rates
        tried = tried[:1] if self.options.one_rate else tried
        trials = range(1, self.options.trials + 1)
        found = [([self.fitted(kind, target, t, rate) for t in trials], rate) for rate in tried]
        return min(found, key=lambda pair: np.mean([run.mae("val") for run in pair[0]]))

    def fitted(self, kind: str, target: str, trial: int, rate: float | None) -> Run:
        """Train on one trial of the target, from scratch or from a source."""
        split = self.split(target, trial)
        out = self.runs / f"{target}-{kind}-{self.options.size}-{trial}"
        given = {}
        if rate is not None:
            out, given = out.with_name(f"{out.name}-{rate:g}"), {"learning_rate": rate}
        if kind == SCRATCH:
            return train(
                self.data(target),
                "target",
                out,
                model=self.options.model,
                encoder=self.settings.encoder,
                split=split,
                seed=trial if target == LAYERS else None,
                training={**self.settings.training, **given},
            )
        parent = self.source(kind, target)
        if kind == MPT:
            out = out.with_name(f"{out.name}{self.of_all}")
        return finetune(
            self.data(target),
            "target",
            parent.folder,
            out,
            split=split,
            seed=trial if target == LAYERS else None,
            training={**self.settings.tuning, **given},
        )

    def rows(self, target: str) -> Iterator[dict[str, Any]]:
        """Compare all kinds with training from scratch."""
        others = LAYER_SOURCES if target == LAYERS else [n for n in NAMES if n != target]
        kinds = [SCRATCH, *others, MPT]
        if self.options.kinds:
            kinds = [kind for kind in kinds if kind in self.options.kinds]
        both = ["target", "target_published"]
        unit = published_unit(read_table(self.data(target), target=both), "target")
        predictions: dict[str, list[pd.DataFrame]] = {}
        for kind in kinds:
            runs, rate = self.best(kind, target)
            predictions[kind] = [run.predictions for run in runs]
            before = None if kind == SCRATCH else predictions.get(SCRATCH)
            mae = float(np.mean([run.mae() for run in runs]))
            yield {
                "model": self.options.model,
                "target": target,
                "source": kind + (self.of_all if kind == MPT else ""),
                "trials": len(runs),
                "rate": rate or "recipe",
                "val_mae": float(np.mean([run.mae("val") for run in runs])),
                "mae": mae,
                "published_units": mae / unit,
                **compared(before, predictions[kind], ""),
                **self.of_new_layers(target, before, predictions[kind]),
            }

    def of_new_layers(
        self, target: str, scratch: Predictions | None, found: Predictions
    ) -> dict[str, float]:
        """Return the errors on the test crystals that no model has seen."""
        if target != LAYERS:
            return {}
        new = [frame[frame["id"].isin(self.new_layers)] for frame in found]
        first = scratch and [frame[frame["id"].isin(self.new_layers)] for frame in scratch]
        errors = [(f["y_pred"] - f["y_true"]).abs()[f["split"] == "test"].mean() for f in new]
        return {"mae_new": float(np.mean(errors)), **compared(first, new, "_new")}


def compared(scratch: Predictions | None, found: Predictions, name: str) -> dict[str, float]:
    """Return the change against training from scratch and its 95 % interval."""
    change, interval = math.nan, None
    if scratch:
        change, interval = compare_trials(scratch, found)
    low, high = interval or (math.nan, math.nan)
    return {f"change{name}": change, f"low{name}": low, f"high{name}": high}


def main() -> None:
    """Train what is missing, write and print the table."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--model", choices=list(MODELS), default="cgcnn")
    parser.add_argument(
        "--targets", nargs="+", choices=[*NAMES, LAYERS], default=["ph", "dc", "ebg"]
    )
    parser.add_argument("--only", nargs="+", help="of the targets those to do now")
    parser.add_argument("--kinds", nargs="+", choices=[SCRATCH, *NAMES, MPT])
    parser.add_argument("--size", type=int, default=800)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--one-rate", action="store_true", help="that of the recipe alone")
    parser.add_argument("--seen", action="store_true")
    parser.add_argument("--variant", nargs="+", default=[], metavar="NAME KEY=VALUE")
    parser.add_argument("--out", type=Path, help="CSV file for the table")
    options = parser.parse_args()
    study = Study(options)
    rows = []
    for target in options.only or options.targets:
        for row in study.rows(target):
            rows.append(row)
            logger.info("%s", json.dumps(row))
            if options.out:
                pd.DataFrame(rows).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
