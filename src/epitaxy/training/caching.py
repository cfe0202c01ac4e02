"""Frozen-prefix caching: what never trains is computed once per data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from epitaxy.batches.batch import CrystalBatch, scope_of
from epitaxy.batches.loader import CachedRows, CrystalLoader
from epitaxy.models.encoder import Encoder
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
    found = []
    taken = 0
    for loader in loaders:
        parts = _Parts()
        for host_batch in CrystalLoader(loader.store, loader.rows, batch_size=STEP).epoch():
            batch = host_batch.to(device)
            taken += parts.add(model.encoder, batch, model.encoder.prefix(batch, stop))
            if taken > CACHE_BYTES:
                return 0
        found.append(parts.joined())
    for loader, states in zip(loaders, found, strict=True):
        loader.cache_states(states)
    return stop


class _Parts:
    """States of batches, on the host."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Tensor]] = {}
        self.counts: dict[str, list[Tensor]] = {}

    def add(self, encoder: Encoder, batch: CrystalBatch, state: Mapping[str, Tensor]) -> int:
        """Take the state of a batch; return its bytes."""
        for name, rows in state.items():
            self.rows.setdefault(name, []).append(rows.cpu())
            counts = _per_crystal(scope_of(name), encoder.read(batch, name)).cpu()
            self.counts.setdefault(name, []).append(counts)
        return sum(rows.numel() * rows.element_size() for rows in state.values())

    def joined(self) -> dict[str, CachedRows]:
        """Return the states of all batches in one piece each."""
        return {
            name: CachedRows.of(torch.cat(rows), torch.cat(self.counts[name]).numpy())
            for name, rows in self.rows.items()
        }


def _per_crystal(scope: str, batch: CrystalBatch) -> Tensor:
    """Return how many rows each crystal has in a state, (B,)."""
    if scope == "crystal":
        return torch.ones(len(batch), dtype=torch.int64)
    if scope == "atoms":
        return torch.diff(batch.atom_offsets)
    first_bond = batch.bond_offsets[batch.atom_offsets]
    return torch.diff(batch.angles.offsets[first_bond] if scope == "angles" else first_bond)
