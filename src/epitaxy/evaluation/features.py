"""Crystal features from within an encoder, after any of its depth groups."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.inputs import build_inputs
from epitaxy.batches.loader import CrystalLoader
from epitaxy.core.errors import InputError
from epitaxy.core.progress import Progress
from epitaxy.evaluation.predicting import BATCH, Predicted
from epitaxy.models.property_model import PropertyModel
from epitaxy.structures.table import StructureTable
from epitaxy.transfer.plan import group_index, make_plan

LAST_CONV = "last-conv"
"""The strategy that decides which depth groups count as fixed (Chang 2022)."""


def last_frozen_group(model: PropertyModel) -> str:
    """Return the name of the deepest depth group that the strategy ``last-conv`` leaves frozen.

    For CGCNN with four convolutions this is ``conv-3``.

    Raises:
        InputError: the model has no convolution.
    """
    plan = make_plan(LAST_CONV, model.depth_groups())
    return plan.rows[plan.first_trainable() - 1].group


@torch.no_grad()
def table_features(
    model: PropertyModel,
    table: StructureTable,
    *,
    group: str | None = None,
    cache: Path | None = None,
) -> Predicted:
    """Return one feature vector per crystal: ``values`` is (B, width), in the order of ``table``.

    The atoms after a depth group are pooled as the encoder pools those after its last one. Where
    the head of the model has an activation in front of its first layer (softplus for CGCNN), it is
    applied, since that is how the model reads crystal vectors.

    Args:
        model: its encoder makes the features.
        table: the crystals.
        group: name of a depth group of the encoder; by default `last_frozen_group`.
        cache: folder that keeps graphs, see `build_graphs`.

    Raises:
        InputError: the encoder has no group of that name, or no atom vectors after it.
    """
    model.eval()
    encoder = model.encoder
    stop = group_index(encoder.depth_groups(), group or last_frozen_group(model)) + 1
    device = next(model.parameters()).device
    store = build_inputs(table, model.recipe, encoder.needs, cache=cache)
    rows, failures = store.subset(table.ids)
    loader = CrystalLoader(store, rows, batch_size=BATCH)
    parts: list[Tensor] = []
    with Progress(len(loader), "features") as bar:
        for batch in loader.epoch():
            parts.append(_pooled(model, batch.to(device), stop).cpu())
            bar.step()
    # Vectors inside a network may have another length than its last ones.
    values = torch.cat(parts or [torch.zeros((0, encoder.width))]).double().numpy()
    return Predicted(store.ids[rows], values, (*table.dropped, *failures))


def _pooled(model: PropertyModel, batch: CrystalBatch, stop: int) -> Tensor:
    """Return (B, width) after the first ``stop`` depth groups, as the head reads them."""
    state = model.encoder.prefix(batch, stop)
    if "atoms" not in state:
        raise InputError(
            f"The model {model.architecture!r} has no atom vectors from which features could be "
            "made; give a single network (cgcnn, alignn, cgat)."
        )
    mlp = model.head(model.names[0]).mlp
    crystal = model.encoder.features(state, batch).crystal
    found: Tensor = mlp.act(crystal) if mlp.first else crystal
    return found
