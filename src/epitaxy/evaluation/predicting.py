"""Predictions and embeddings of whole tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from epitaxy.batches.inputs import build_inputs
from epitaxy.batches.loader import CrystalLoader
from epitaxy.core.progress import Progress
from epitaxy.core.properties import PropertySpec
from epitaxy.models.property_model import PropertyModel
from epitaxy.results.predictions import make_predictions
from epitaxy.structures.table import Dropped, StructureTable

BATCH = 256
"""Crystals per batch in prediction; results do not depend on it."""


class Predicted(NamedTuple):
    """Predictions of the crystals that have a graph; B crystals, P properties."""

    ids: np.ndarray
    """(B,) str."""
    values: np.ndarray
    """(B, P) float64, physical units, in the order of ``model.names``."""
    dropped: tuple[Dropped, ...]
    """Crystals without a prediction, each with the reason."""


@torch.no_grad()
def predict_loader(
    model: PropertyModel, loader: CrystalLoader, *, start: int = 0, label: str = ""
) -> np.ndarray:
    """Predict the rows of an unshuffled loader, (n, P) float64 in physical units.

    ``start`` is the first depth group to run when the loader carries cached states.
    """
    model.eval()
    device = next(model.parameters()).device
    parts = [torch.zeros((0, len(model.names)), dtype=torch.float64)]
    with Progress(len(loader), label, enabled=bool(label)) as bar:
        for batch in loader.epoch():
            scaled = model(batch.to(device), start=start)
            parts.append(model.to_physical(scaled).cpu())
            bar.step()
    values: np.ndarray = torch.cat(parts).numpy()
    return values


def predict_table(
    model: PropertyModel,
    table: StructureTable,
    *,
    cache: Path | None = None,
    label: str = "predicting",
) -> Predicted:
    """Build the graphs that the model was made for and predict every crystal of ``table``.

    ``label`` stands before the progress; an empty one shows none.
    """
    store = build_inputs(table, model.recipe, model.encoder.needs, cache=cache)
    rows, failures = store.subset(table.ids)
    loader = CrystalLoader(store, rows, batch_size=BATCH)
    values = predict_loader(model, loader, label=label)
    return Predicted(store.ids[rows], values, (*table.dropped, *failures))


def prediction_frame(
    specs: Mapping[str, PropertySpec],
    ids: Sequence[str] | np.ndarray,
    split: str,
    values: np.ndarray,
    labels: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return predictions as the table of `results.predictions`, one row per crystal and property.

    Args:
        specs: P properties in the order of the columns of ``values``.
        ids: (B,).
        split: name of the part.
        values: (B, P) in physical units.
        labels: (B, P) in physical units, NaN where not known; None when none is known.
    """
    frames = [
        make_predictions(
            ids=ids,
            property_name=name,
            split=split,
            y_pred=values[:, p],
            y_true=None if labels is None else labels[:, p],
            unit=spec.unit,
        )
        for p, (name, spec) in enumerate(specs.items())
    ]
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()
def embed_table(
    model: PropertyModel, table: StructureTable, *, cache: Path | None = None
) -> Predicted:
    """Return the crystal vectors instead of predictions: ``values`` is (B, width)."""
    model.eval()
    device = next(model.parameters()).device
    store = build_inputs(table, model.recipe, model.encoder.needs, cache=cache)
    rows, failures = store.subset(table.ids)
    loader = CrystalLoader(store, rows, batch_size=BATCH)
    parts = [torch.zeros((0, model.encoder.width))]
    parts += [model.encoder(batch.to(device)).crystal.cpu() for batch in loader.epoch()]
    values = torch.cat(parts).double().numpy()
    return Predicted(store.ids[rows], values, (*table.dropped, *failures))
