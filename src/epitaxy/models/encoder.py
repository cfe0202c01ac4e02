"""The contract of every architecture: a crystal graph in, atom and crystal vectors out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.inputs import Needs
from epitaxy.core.errors import InputError, unknown
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.heads import HeadConfig
from epitaxy.models.training_recipe import TrainingRecipe

State = dict[str, Tensor]
"""Activations between two depth groups: ``atoms`` (N, F), ``bonds`` (E, F), ``angles`` (A, F),
``crystal`` (B, F)."""


class Features(NamedTuple):
    """What an encoder knows of a batch."""

    atoms: Tensor
    """(N, width); one row per graph node."""
    crystal: Tensor
    """(B, width)."""


@dataclass(frozen=True)
class DepthGroup:
    """A named slice of the network; groups are ordered from input to output."""

    name: str
    modules: tuple[nn.Module, ...]
    tags: frozenset[str] = frozenset()

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield every parameter of the group."""
        for module in self.modules:
            yield from module.parameters()

    def buffers(self) -> Iterator[Tensor]:
        """Yield every buffer (normalisation statistics) of the group."""
        for module in self.modules:
            yield from module.buffers()


class Encoder(nn.Module, ABC):
    """Base class of encoders.

    A network is a chain of depth groups: `begin` makes the first state, `advance` runs one group,
    `features` reads the last state. Everything written for "all models" (strategies, layer-wise
    rates, frozen-prefix caching, mixtures) uses only these members.
    """

    default_recipe: ClassVar[GraphRecipe] = GraphRecipe()
    """Graphs of a new network of this kind."""
    default_head: ClassVar[HeadConfig] = HeadConfig()
    """Head of a new network of this kind."""
    recipes: ClassVar[Mapping[str, TrainingRecipe]] = {"default": TrainingRecipe()}
    """How such a network is trained, by name; there is always a ``default``."""
    bonds_per_thread: ClassVar[int] = 4000
    """Bonds of a batch below which one more thread costs more than it brings."""
    recipe: GraphRecipe
    """How crystals become the graphs that this network was made for."""
    width: int
    """Length of the feature vectors."""

    @classmethod
    def training_recipe(cls, name: str, *, several: bool = False) -> TrainingRecipe:
        """Return the recipe of that name, for one property or for ``several`` together.

        Raises:
            InputError: the architecture has none.
        """
        if name not in cls.recipes:
            raise unknown("recipe", name, cls.recipes)
        recipe = cls.recipes[name]
        return (recipe.several or recipe) if several else recipe

    @classmethod
    def check_graphs(cls, recipe: GraphRecipe) -> None:
        """Refuse graphs that lack what such a network computes with.

        Raises:
            InputError: as said.
        """
        if cls.default_recipe.bond_vectors and not recipe.bond_vectors:
            raise InputError(
                f"The model {cls.__name__} needs graphs with bond_vectors=True, but graphs of the "
                f"rule {recipe.rule!r} without them came; give bond_vectors=True and the rule "
                f"{cls.default_recipe.rule!r}, or leave the graphs to the model."
            )

    @property
    def needs(self) -> Needs:
        """What the network reads beside the graphs of its recipe, see `CrystalBatch.extras`."""
        return {}

    @classmethod
    def rebuild(cls, settings: Mapping[str, Any], recipe: GraphRecipe) -> Encoder:
        """Return a network with fresh weights from what `settings` returned."""
        return cls(**settings, recipe=recipe)

    @property
    def reads_lengths(self) -> bool:
        """Whether features depend on bond lengths, not only on elements and on who is near."""
        return True

    def read(self, batch: CrystalBatch, name: str) -> CrystalBatch:
        """Return the graph to which the state ``name`` belongs."""
        del name  # there is but one graph
        return batch

    def penalty(self) -> Tensor | None:
        """Return what the last forward pass adds to the loss; None for nothing."""
        return None

    def spread(self, devices: Sequence[torch.device]) -> None:
        """Share the network out over several devices; what it returns is on the first.

        Raises:
            InputError: it is no mixture, of which every expert could be somewhere else.
        """
        raise InputError(
            f"The experts of a mixture can be on {len(devices)} devices, but {type(self).__name__} "
            "is one network; give one device."
        )

    def gate_weights(self) -> dict[str, float]:
        """Return the weight of every expert by name, 0 where it does not count; {} without any."""
        return {}

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild the network (JSON-serialisable)."""

    @abstractmethod
    def depth_groups(self) -> Sequence[DepthGroup]:
        """Return the groups from input to output; they cover every parameter exactly once."""

    @abstractmethod
    def advance(self, group: int, state: State, batch: CrystalBatch) -> State:
        """Run depth group number ``group`` on ``state``."""

    @abstractmethod
    def features(self, state: State, batch: CrystalBatch) -> Features:
        """Read the features off the last state (pooling; no parameters)."""

    def forward(self, batch: CrystalBatch, *, start: int = 0) -> Features:
        """Encode a batch, from depth group ``start`` on the batch's cached state."""
        state = dict(batch.state)
        for group in range(start, len(self.depth_groups())):
            state = self.advance(group, state, batch)
        return self.features(state, batch)

    def prefix(self, batch: CrystalBatch, stop: int) -> State:
        """Return the state after the first ``stop`` depth groups; pooled when that is all."""
        groups = len(self.depth_groups())
        state: State = {}
        for group in range(min(stop, groups)):
            state = self.advance(group, state, batch)
        if stop > groups:
            return {"crystal": self.features(state, batch).crystal}
        return state
