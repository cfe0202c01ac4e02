"""`FixedVectors`: a descriptor table in the place of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.inputs import Needs
from epitaxy.descriptors.table import joined_parts
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.encoder import DepthGroup, Encoder, Features, State

COMPOSITIONAL = frozenset({"composition", "magpie"})
"""Descriptors that read the formula alone."""
FARTHEST = 10.0
"""Standardised descriptors are cut here: a crystal unlike all others must not blow up a network."""
ROUNDING, SMALLEST = 1e-6, 1e-9
"""Relative and absolute spread up to which a feature is constant."""


def column_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and spread of (n, F) training rows; the spread is infinite where there is none.

    What differs by rounding alone (of float32 embeddings, or of distances that are equal by
    symmetry) must not be blown up to a feature.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    constant = spread <= np.maximum(ROUNDING * np.abs(mean), SMALLEST)
    return mean, np.where(constant, np.inf, spread)


class FixedVectors(Encoder):
    """Standardised descriptors of crystals; nothing in it trains.

    Args:
        descriptor: name in the registry of descriptors, or several joined by ``+``.
        width: how many numbers it has.
        recipe: graph recipe; no graph is read.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, *, descriptor: str, width: int, recipe: GraphRecipe | None = None) -> None:
        super().__init__()
        self.recipe = recipe or GraphRecipe()
        self.descriptor, self.width = descriptor, width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, values: np.ndarray) -> None:
        """Take mean and spread of the training rows, (n, width); constant columns become zero."""
        mean, scale = column_statistics(values)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))

    @property
    def table(self) -> str:
        """Name under which a batch holds the vectors."""
        return f"descriptor {self.descriptor}"

    @property
    def needs(self) -> Needs:
        """The table."""
        return {self.table: self.descriptor}

    @property
    def reads_lengths(self) -> bool:
        """Whether the descriptor is more than the composition."""
        return not COMPOSITIONAL.issuperset(joined_parts(self.descriptor))

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild it."""
        return {"descriptor": self.descriptor, "width": self.width}

    def depth_groups(self) -> Sequence[DepthGroup]:
        """Return one group without parameters."""
        modules: tuple[nn.Module, ...] = (self,)
        return [DepthGroup("vectors", modules, frozenset({"embedding"}))]

    def advance(self, group: int, state: State, batch: CrystalBatch) -> State:
        """Look the vectors up and standardise them."""
        del group, state  # there is one group, and it reads nothing but the table
        values = batch.extras[self.table]
        assert isinstance(values, Tensor)
        standard = (values.to(self.mean.dtype) - self.mean) / self.scale
        return {"crystal": standard.clamp(-FARTHEST, FARTHEST)}

    def features(self, state: State, batch: CrystalBatch) -> Features:
        """Return the vectors; there are none of atoms."""
        del batch  # not read
        crystal = state["crystal"]
        return Features(crystal.new_zeros((0, self.width)), crystal)
