"""`demo`: transfer against scratch on the data and weights that the package ships."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from epitaxy.core.files import check_output_folder, write_json
from epitaxy.recipes.finetune import finetune
from epitaxy.recipes.predict import predict
from epitaxy.recipes.running import Run
from epitaxy.recipes.train import train
from epitaxy.reports.comparison_report import write_prediction_report
from epitaxy.results.comparison import Comparison, compare
from epitaxy.structures.reading import read_table
from epitaxy.structures.sources.demo import example_files
from epitaxy.structures.splits import kfold

logger = logging.getLogger("epitaxy")

DATA = "demo:semiconductors"
TARGET = "gap"
MODEL = "zoo:cgcnn-band-gap"
FOLDS = 5
NAMES = ("from scratch", "pre-trained and fine-tuned")
BUDGET: dict[str, Any] = {
    "epochs": 60,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "loss": "l1",
    "seed": 0,
}
"""Both models get the same epochs, batches, rate and rows."""


@dataclass(frozen=True)
class Demo:
    """What the demonstration found."""

    folder: Path
    scratch: tuple[Run, ...]
    transfer: tuple[Run, ...]
    comparison: Comparison
    examples: pd.DataFrame
    """Predictions of the example crystals by the transferred model of the first fold."""

    def text(self) -> str:
        """Return the result in words."""
        found = self.comparison
        assert found.change_interval is not None
        assert found.change_percent is not None
        low, high = found.change_interval
        gain = f"  gain {-found.change_percent:.0f} %: {-found.change:.3f} {found.unit}, "
        lines = [
            "",
            f"Experimental band gap of {found.n} semiconductors, {FOLDS}-fold cross-validation,",
            "crystals of one formula always in one fold:",
            f"  trained from scratch        test MAE {found.mae_first:.3f} {found.unit}",
            f"  pre-trained and fine-tuned  test MAE {found.mae_second:.3f} {found.unit}",
            gain + f"95 % interval {-high:.3f} to {-low:.3f} {found.unit}",
            "",
            "Three crystals that are not in the data set:",
        ]
        lines += [
            f"  {row.id:24s} {row.y_pred:.2f} {row.unit}" for row in self.examples.itertuples()
        ]
        report = self.folder / "comparison" / "comparison.html"
        return "\n".join(
            [*lines, "", f"Reports: {report} and {self.transfer[0].folder}/report.html"]
        )


def demo(out: str | Path = "demo-run") -> Demo:
    """Fine-tune the shipped model on the shipped semiconductors, against training from scratch.

    Five folds, so that every crystal is tested once; both models have the same budget.

    Args:
        out: folder to write: run folders ``scratch-K`` and ``transfer-K``, ``comparison``.

    Raises:
        InputError: ``out`` is not ours to write.
    """
    out = Path(out)
    check_output_folder(out / "transfer-1")
    table = read_table(DATA, target=TARGET)
    scratch, transfer = [], []
    for number, split in enumerate(kfold(table, k=FOLDS, seed=0), 1):
        logger.info("Fold %d of %d: from scratch, then from %s.", number, FOLDS, MODEL)
        scratch.append(
            train(table, TARGET, out / f"scratch-{number}", split=split, training=BUDGET)
        )
        transfer.append(
            finetune(table, TARGET, MODEL, out / f"transfer-{number}", split=split, training=BUDGET)
        )
    first, second = _tested(scratch), _tested(transfer)
    found = compare(first, second)
    write_prediction_report(first, second, out / "comparison", names=NAMES)
    examples = predict(transfer[0].folder, example_files(), out / "predictions.csv")
    write_json(out / "comparison.json", found.__dict__)
    return Demo(out, tuple(scratch), tuple(transfer), found, examples)


def _tested(runs: list[Run]) -> pd.DataFrame:
    """Join the test rows of all folds."""
    frames = [run.predictions for run in runs]
    return pd.concat([f[f["split"] == "test"] for f in frames], ignore_index=True)
