"""Predictions and embeddings of whole tables."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from epitaxy.batches.loader import CrystalLoader
from epitaxy.core.progress import Progress
from epitaxy.graphs.store import build_graphs
from epitaxy.models.property_model import PropertyModel
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
    model: PropertyModel, table: StructureTable, *, cache: Path | None = None
) -> Predicted:
    """Build the graphs that the model was made for and predict every crystal of ``table``."""
    store = build_graphs(table, model.recipe, cache=cache)
    loader = CrystalLoader(store, np.arange(len(store)), batch_size=BATCH)
    values = predict_loader(model, loader, label="predicting")
    return Predicted(store.ids, values, (*table.dropped, *store.failures))


@torch.no_grad()
def embed_table(
    model: PropertyModel, table: StructureTable, *, cache: Path | None = None
) -> Predicted:
    """Return the crystal vectors instead of predictions: ``values`` is (B, width)."""
    model.eval()
    device = next(model.parameters()).device
    store = build_graphs(table, model.recipe, cache=cache)
    loader = CrystalLoader(store, np.arange(len(store)), batch_size=BATCH)
    parts = [torch.zeros((0, model.encoder.width))]
    parts += [model.encoder(batch.to(device)).crystal.cpu() for batch in loader.epoch()]
    values = torch.cat(parts).double().numpy()
    return Predicted(store.ids, values, (*table.dropped, *store.failures))
