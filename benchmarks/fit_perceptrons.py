"""Errors of the learner `mlp` beside other learners and the perceptrons of scikit-learn.

Five folds of compositions on up to ``--rows`` crystals of each table, descriptors and embeddings
of `epitaxy fit`. Printed is the error over the lowest of each table, the mean over the tables, and
seconds of processor time of a training on the last table.

    python benchmarks/fit_perceptrons.py TABLE.parquet TABLE.parquet ...
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from epitaxy.evaluation.shallow import standardised
from epitaxy.fitting.candidates.shallow import fit_shallow
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.learners import mlp
from epitaxy.models.fixed_vectors import column_statistics
from shallow_folds import Blocks, described

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "kernel": ("kernel", {}),
    "kernel-wide": ("kernel-wide", {}),
    "extra-trees": ("extra-trees", {}),
    "mlp": ("mlp", {}),
    "mlp, 30 epochs": ("mlp", {"epochs": 30}),
    "mlp, 120 epochs": ("mlp", {"epochs": 120}),
    "mlp, rate 1e-3": ("mlp", {"rate": 1e-3}),
    "mlp, rate 6e-3": ("mlp", {"rate": 6e-3}),
    "mlp, decay 0.01": ("mlp", {"decay": 0.01}),
    "mlp, decay 1": ("mlp", {"decay": 1.0}),
}


def of_scikit_learn(blocks: Blocks, labels: np.ndarray) -> Callable[[Blocks], np.ndarray]:
    """Train as many networks of the same widths, with its own optimiser settings."""
    from sklearn.neural_network import MLPRegressor

    features = np.hstack(list(blocks.values()))
    centre, scale = column_statistics(features)
    mean, spread = labels.mean(), labels.std()
    given = standardised(features, centre, scale), (labels - mean) / spread
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        members = [
            MLPRegressor(hidden_layer_sizes=mlp.HIDDEN, batch_size=mlp.BATCH, random_state=k).fit(
                *given
            )
            for k in range(mlp.MEMBERS)
        ]

    def predict(new: Blocks) -> np.ndarray:
        scaled = standardised(np.hstack(list(new.values())), centre, scale)
        return mean + spread * np.mean([member.predict(scaled) for member in members], axis=0)

    return predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--target", default="target")
    parser.add_argument("--rows", type=int, default=700)
    parser.add_argument("--sources", default="zoo:*")
    given = parser.parse_args()
    torch.set_num_threads(1)
    errors: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    for path in given.tables:
        table = described(path, given.target, given.rows, given.sources)
        blocks = list(table.blocks)
        ways: dict[str, Any] = {
            name: partial(
                fit_shallow, blocks=blocks, learner=learner, transform="identity", seed=0,
                hyperparameters=settings,
            )
            for name, (learner, settings) in SETTINGS.items()
        }  # fmt: skip
        for name, learn in (ways | {"scikit-learn": of_scikit_learn}).items():
            began = time.process_time()
            errors.setdefault(path.stem, {})[name] = table.error(learn)
            seconds[name] = (time.process_time() - began) / FOLDS
    frame = pd.DataFrame(errors)
    frame = frame / frame.min()
    frame["mean"] = frame.mean(axis=1)
    frame["seconds"] = pd.Series(seconds)
    print(frame.sort_values("mean").round(3).to_string())


if __name__ == "__main__":
    main()
