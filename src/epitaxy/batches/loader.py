"""`CrystalLoader`: mini-batches of a graph store in a reproducible order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from epitaxy.batches.balance import draw_balanced
from epitaxy.batches.batch import CrystalBatch, collate, without_graphs
from epitaxy.core.seeds import generator
from epitaxy.graphs.store import GraphStore

KEEP_BONDS = 400_000
"""Collated batches are kept between passes while they have fewer bonds than this in all."""
MOST_BONDS = 8_000
"""Batches in a fixed order are cut short at this many bonds, so that large crystals do not fill the
memory; their results do not depend on it."""


class CrystalLoader:
    """Yields `CrystalBatch` objects; every crystal comes exactly once per epoch.

    The last, smaller batch is kept. The order of epoch e depends on (seed, e) alone, so a resumed
    run sees the same batches as an uninterrupted one.

    Args:
        store: graphs.
        rows: (n,) row numbers of the store.
        targets: (n, P) on the learning scale, NaN where not known; None for prediction.
        batch_size: crystals per batch, at most.
        shuffle: draw a new order each epoch.
        seed: seed of the order.
        temperature: with ``shuffle``, draw places of an epoch by property, see `draw_balanced`;
            None takes every crystal once.
    """

    def __init__(
        self,
        store: GraphStore,
        rows: np.ndarray,
        targets: np.ndarray | None = None,
        *,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        temperature: float | None = None,
    ) -> None:
        self.temperature = temperature
        self.store, self.rows, self.targets = store, np.asarray(rows), targets
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.cached: list[dict[str, Tensor]] | None = None
        self._kept: list[CrystalBatch] | None = None

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        if self.shuffle:
            return math.ceil(len(self.rows) / self.batch_size)
        return len(self._fixed_parts())

    def epoch(self, number: int = 0) -> Iterator[CrystalBatch]:
        """Yield the batches of epoch ``number``."""
        if not self.shuffle:
            yield from self._fixed()
            return
        drawing = generator(self.seed, f"order/{number}")
        if self.temperature is None or self.targets is None:
            order = drawing.permutation(len(self.rows))
        else:
            order = draw_balanced(np.isfinite(self.targets), self.temperature, drawing)
        for part in self._parts(order):
            yield self._collate(part)

    def _parts(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def _fixed_parts(self) -> list[np.ndarray]:
        """Cut the rows in their own order: no part has too many crystals or (but one) bonds."""
        parts: list[list[int]] = [[]]
        bonds = 0
        for position, more in enumerate(self.store.n_bonds[self.rows].tolist()):
            bonds += more
            if len(parts[-1]) == self.batch_size or (parts[-1] and bonds > MOST_BONDS):
                parts.append([])
                bonds = more
            parts[-1].append(position)
        return [np.array(part) for part in parts if part]

    def _fixed(self) -> Iterator[CrystalBatch]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[CrystalBatch] = []
        bonds = 0
        for part in self._fixed_parts():
            batch = self._collate(part)
            bonds += len(batch.bond_src)
            if bonds < KEEP_BONDS:
                kept.append(batch)
            yield batch
        if bonds < KEEP_BONDS:
            self._kept = kept

    def _collate(self, part: np.ndarray) -> CrystalBatch:
        targets = None if self.targets is None else self.targets[part]
        state: dict[str, Tensor] = {}
        if self.cached is not None:
            state = {
                scope: torch.cat([self.cached[i][scope] for i in part]) for scope in self.cached[0]
            }
        # Pooled vectors need no graph any more, and gathering one is all that would cost.
        pooled = set(state) == {"crystal"}
        graphs = without_graphs(len(part)) if pooled else self.store.gather(self.rows[part])
        return collate(graphs, targets, state)

    def cache_states(self, states: list[dict[str, Tensor]]) -> None:
        """Attach the cached prefix activations, one entry per crystal of `rows`."""
        self.cached, self._kept = states, None
