"""`Inputs`: graphs by several recipes, and fixed vectors, of the same crystals."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from epitaxy.batches.batch import CrystalBatch, collate
from epitaxy.core.lazy import Lazy
from epitaxy.descriptors.table import Described, describe_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.graphs.store import GraphStore, build_graphs
from epitaxy.structures.table import StructureTable

Needs = Mapping[str, GraphRecipe | str]
"""Name under which a model looks for it -> graphs by that recipe, or the name of a descriptor."""


class Inputs(GraphStore):
    """A graph store with more to read of the same crystals.

    A crystal of which something cannot be had counts as a failure.

    Args:
        store: graphs of the first recipe.
        others: graphs by other recipes.
        vectors: fixed vectors.
    """

    def __init__(
        self,
        store: GraphStore,
        others: Mapping[str, GraphStore],
        vectors: Mapping[str, Described],
    ) -> None:
        lost = {d.id: d for d in store.failures}
        failed = [f for more in others.values() for f in more.failures]
        failed += [f for more in vectors.values() for f in more.failures]
        lost = {d.id: d for d in failed} | lost
        super().__init__(store.recipe, store.ids, lost.values(), store.columns)
        usable = np.array([str(i) not in lost for i in self.ids], dtype=bool)
        self.others, self.vectors = others, vectors
        # Rows of each in the order of the first store; -1 where a crystal failed.
        self._rows_in = {name: np.full(len(self), -1) for name in (*others, *vectors)}
        for name, more in others.items():
            self._rows_in[name][usable] = more.subset(self.ids[usable]).rows
        for name, table in vectors.items():
            row_of = {str(i): row for row, i in enumerate(table.ids)}
            self._rows_in[name][usable] = [row_of[str(i)] for i in self.ids[usable]]

    def extras(self, rows: np.ndarray) -> Lazy[CrystalBatch | Tensor]:
        """Return the other graphs and the vectors of some rows; each is made when asked for."""
        makers = {name: partial(self._graphs, name, rows) for name in self.others}
        return Lazy(makers | {name: partial(self._table, name, rows) for name in self.vectors})

    def _graphs(self, name: str, rows: np.ndarray) -> CrystalBatch | Tensor:
        return collate(self.others[name].gather(self._rows_in[name][rows]))

    def _table(self, name: str, rows: np.ndarray) -> CrystalBatch | Tensor:
        return torch.from_numpy(np.float32(self.vectors_of(name, rows)))

    def vectors_of(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return the fixed vectors of some rows, (n, F) float64."""
        found: np.ndarray = self.vectors[name].values[self._rows_in[name][rows]]
        return found


def build_inputs(
    table: StructureTable, recipe: GraphRecipe, needs: Needs, *, cache: Path | None = None
) -> GraphStore:
    """Build (or reopen) everything that a model reads of the crystals of ``table``.

    Raises:
        InputError: a package for a descriptor is missing.
    """
    store = build_graphs(table, recipe, cache=cache)
    if not needs:
        return store
    others, vectors = {}, {}
    for name, need in needs.items():
        if isinstance(need, GraphRecipe):
            others[name] = build_graphs(table, need, cache=cache)
        else:
            vectors[name] = describe_table(table, need, cache=cache)
    return Inputs(store, others, vectors)
