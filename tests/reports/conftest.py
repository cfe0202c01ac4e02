"""Synthetic run folders, as a training would leave them."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from epitaxy.results.history import HistoryWriter
from epitaxy.results.metrics import metrics
from epitaxy.results.predictions import make_predictions, write_predictions


def synthetic_predictions(seed=0, noise=0.3, sizes=(160, 30, 60), *, name="band_gap", unit="eV"):
    random = np.random.default_rng(7)
    frames = []
    for split, n, factor in zip(("train", "val", "test"), sizes, (0.4, 1.0, 1.1), strict=True):
        true = random.gamma(2.0, 1.2, n)
        error = np.random.default_rng([seed, n]).standard_t(4, n) * noise * factor
        half = 1.9 * noise * factor
        frames.append(
            make_predictions(
                ids=[f"mp-{split}-{i}" for i in range(n)],
                property_name=name,
                split=split,
                y_true=true,
                y_pred=true + error,
                y_lower=true + error - half if split == "test" else None,
                y_upper=true + error + half if split == "test" else None,
                unit=unit,
            )
        )
    return pd.concat(frames, ignore_index=True)


def write_run(folder, frame, *, title="Band gap from formation energy", epochs=60, properties=()):
    folder.mkdir(parents=True)
    config = {
        "title": title,
        "model": {"name": "cgcnn", "width": 64, "layers": 3},
        "training": {"epochs": epochs, "batch_size": 32, "learning_rate": 0.001},
        "strategy": "freeze-embedding",
        "split": "random:0",
        "seed": 0,
        "versions": {"epitaxy": "0.1.0", "torch": "2.8.0"},
        "hashes": {"table": "0f3c9a1b2d4e5f60", "recipe": "99aa88bb77cc66dd"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    write_predictions(frame, folder / "predictions.parquet")
    (folder / "metrics.json").write_text(json.dumps(metrics(frame)))
    random = np.random.default_rng(1)
    writer = HistoryWriter(folder / "history.csv", properties)
    for epoch in range(1, epochs + 1):
        train = 1.4 * np.exp(-epoch / 14) + 0.12
        val = 1.5 * np.exp(-epoch / 16) + 0.3 + 0.02 * random.normal() + 0.001 * epoch
        writer.append(
            epoch=epoch,
            train_loss=train**2,
            train_mae=train,
            val_loss=val**2,
            val_mae=val,
            val_maes={name: val / (k + 1) for k, name in enumerate(properties)},
            learning_rate=0.001,
            seconds=2.5,
        )
    dropped = [
        ("x-1", "two atoms are closer than 0.1 Å"),
        ("x-2", "no <label>"),
        ("x-3", "no <label>"),
    ]
    pd.DataFrame(dropped, columns=["id", "reason"]).to_csv(folder / "dropped.csv", index=False)
    plan = {
        "group": ["embedding", "conv 1", "conv 2", "readout", "head"],
        "weights": ["copied", "copied", "copied", "copied", "new"],
        "trainable": [False, False, True, True, True],
        "learning_rate_scale": [np.nan, np.nan, 0.1, 0.3, 1.0],
        "parameters": [5888, 24832, 24832, 8320, 129],
    }
    pd.DataFrame(plan).to_csv(folder / "plan.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def samples():
    """Makers of synthetic predictions and run folders."""
    return SimpleNamespace(predictions=synthetic_predictions, run=write_run)


@pytest.fixture
def predictions():
    return synthetic_predictions()
