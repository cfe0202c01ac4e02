"""Frozen-prefix caching: what never trains is computed once per data set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.loader import CrystalLoader
from epitaxy.models.property_model import PropertyModel

STEP = 64
"""Crystals per pass of the frozen part."""
CACHE_BYTES = 2 * 1024**3
"""Cached activations may take this much memory in all."""


@torch.no_grad()
def cache_prefix(model: PropertyModel, loaders: Sequence[CrystalLoader], stop: int) -> int:
    """Compute the state below depth group ``stop`` for all crystals, and attach it to the loaders.

    Valid only for groups that never train: the frozen part runs in evaluation mode.

    Returns:
        ``stop``; or 0, with nothing attached, when the state would exceed `CACHE_BYTES`.
    """
    model.eval()
    device = next(model.parameters()).device
    found: list[list[dict[str, Tensor]]] = []
    taken = 0
    for loader in loaders:
        found.append([])
        for host_batch in CrystalLoader(loader.store, loader.rows, batch_size=STEP).epoch():
            batch = host_batch.to(device)
            state = model.encoder.prefix(batch, stop)
            taken += sum(rows.numel() * rows.element_size() for rows in state.values())
            if taken > CACHE_BYTES:
                return 0
            found[-1].extend(_split(state, batch))
    for loader, states in zip(loaders, found, strict=True):
        loader.cache_states(states)
    return stop


def _split(state: dict[str, Tensor], batch: CrystalBatch) -> list[dict[str, Tensor]]:
    """Cut a state into one per crystal, on the host."""
    atoms = torch.diff(batch.atom_offsets).tolist()
    first_bond = batch.bond_offsets[batch.atom_offsets]
    sizes = {"atoms": atoms, "bonds": torch.diff(first_bond).tolist(), "crystal": [1] * len(batch)}
    if "angles" in state:
        sizes["angles"] = torch.diff(batch.angles.offsets[first_bond]).tolist()
    pieces = {scope: torch.split(rows.cpu(), sizes[scope]) for scope, rows in state.items()}
    return [{scope: parts[b] for scope, parts in pieces.items()} for b in range(len(batch))]
