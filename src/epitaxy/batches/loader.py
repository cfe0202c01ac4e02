"""`CrystalLoader`: mini-batches of a graph store in a reproducible order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from epitaxy.batches.balance import draw_balanced, draw_by_bins
from epitaxy.batches.batch import CrystalBatch, collate, scope_of, without_graphs
from epitaxy.batches.inputs import Inputs
from epitaxy.core.lazy import Lazy
from epitaxy.core.seeds import generator
from epitaxy.graphs.ragged import offsets_of, ranges
from epitaxy.graphs.store import GraphStore

KEEP_BONDS = 400_000
"""Collated batches are kept between passes while they have fewer bonds than this in all."""
MOST_BONDS = 8_000
"""Batches in a fixed order are cut short at this many bonds, so that large crystals do not fill the
memory; their results do not depend on it."""


class CachedRows(NamedTuple):
    """Activations of n crystals in one piece."""

    values: Tensor
    """(N, F), those of a crystal being consecutive."""
    offsets: np.ndarray
    """(n + 1,) int64 where each crystal's begin."""

    @classmethod
    def of(cls, values: Tensor, counts: np.ndarray) -> CachedRows:
        """Join (N, F) rows with the number of rows of each crystal, (n,)."""
        return cls(values, offsets_of(counts))

    def take(self, crystals: np.ndarray) -> Tensor:
        """Return the rows of some crystals, in their order."""
        starts = self.offsets[crystals]
        rows = ranges(starts, self.offsets[crystals + 1] - starts)
        return self.values.index_select(0, torch.from_numpy(rows))


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
        bins: with ``shuffle``, draw by the only label, see `draw_by_bins`; None does not.
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
        bins: int | None = None,
    ) -> None:
        self.temperature, self.bins = temperature, bins
        self.store, self.rows, self.targets = store, np.asarray(rows), targets
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.cached: Mapping[str, CachedRows] = {}
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
        order = self._order(generator(self.seed, f"order/{number}"))
        for part in self._parts(order):
            yield self._collate(part)

    def _order(self, drawing: np.random.Generator) -> np.ndarray:
        if self.targets is not None and self.temperature is not None:
            return draw_balanced(np.isfinite(self.targets), self.temperature, drawing)
        if self.targets is not None and self.bins is not None:
            return draw_by_bins(self.targets[:, 0], self.bins, drawing)
        return drawing.permutation(len(self.rows))

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
        state = Lazy({name: partial(rows.take, part) for name, rows in self.cached.items()})
        # Pooled vectors need no graph any more, and gathering one is all that would cost.
        if self.cached and all(scope_of(name) == "crystal" for name in self.cached):
            return collate(without_graphs(len(part)), targets, state)
        rows = self.rows[part]
        extras = self.store.extras(rows) if isinstance(self.store, Inputs) else None
        return collate(self.store.gather(rows), targets, state, extras)

    def cache_states(self, states: Mapping[str, CachedRows]) -> None:
        """Attach the cached prefix activations of the crystals of `rows`."""
        self.cached, self._kept = states, None
