"""Frozen-prefix caching: what never trains is computed once per data set."""

from __future__ import annotations

import torch
from torch import Tensor

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.loader import CrystalLoader
from epitaxy.models.property_model import PropertyModel


@torch.no_grad()
def cache_prefix(model: PropertyModel, loader: CrystalLoader, stop: int) -> None:
    """Compute the state below depth group ``stop`` for all crystals of ``loader``, and attach it.

    Valid only for groups that never train: the frozen part runs in evaluation mode.
    """
    model.eval()
    device = next(model.parameters()).device
    states: list[dict[str, Tensor]] = []
    plain = CrystalLoader(loader.store, loader.rows, batch_size=256)
    for host_batch in plain.epoch():
        batch = host_batch.to(device)
        state = model.encoder.prefix(batch, stop)
        states.extend(_split(state, batch))
    loader.cache_states(states)


def _split(state: dict[str, Tensor], batch: CrystalBatch) -> list[dict[str, Tensor]]:
    """Cut a state into one per crystal, on the host."""
    atoms = torch.diff(batch.atom_offsets).tolist()
    bonds = torch.diff(batch.bond_offsets[batch.atom_offsets]).tolist()
    sizes = {"atoms": atoms, "bonds": bonds, "crystal": [1] * len(batch)}
    pieces = {scope: torch.split(rows.cpu(), sizes[scope]) for scope, rows in state.items()}
    return [{scope: parts[b] for scope, parts in pieces.items()} for b in range(len(batch))]
