"""`PropertyModel`: an encoder, one head per property, and where it all comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from epitaxy.batches.batch import CrystalBatch
from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models import encoder_kind
from epitaxy.models.encoder import DepthGroup, Encoder
from epitaxy.models.heads import Head, HeadConfig
from epitaxy.models.limits import MOST_PARTS, check_size


class Outputs(NamedTuple):
    """What a model says of B crystals on the learning scale."""

    prediction: Tensor
    """(B, P)."""
    log_widths: Tensor | None
    """(B, P) logs of the widths of the errors, None unless every head has them."""


class PropertyModel(nn.Module):
    """Predicts one or several properties of crystals.

    Args:
        architecture: name of the encoder in the registry.
        encoder: the network up to the crystal vector.
        heads: property name -> head; the order is that of the outputs.
        provenance: free JSON: data, parents, versions.
    """

    def __init__(
        self,
        architecture: str,
        encoder: Encoder,
        heads: Mapping[str, Head],
        provenance: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = encoder
        # A dot would be read as a path by ModuleDict, so heads are stored in a list.
        self.names = tuple(heads)
        self.heads = nn.ModuleList(heads.values())
        self.provenance = provenance or {}
        self.frozen_modules: Sequence[nn.Module] = ()
        """Modules that stay in evaluation mode while the rest trains (see `transfer`), as long as
        none of their parameters does."""

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode, except what is frozen: its statistics must not move."""
        super().train(mode)
        for module in self.frozen_modules:
            if not any(parameter.requires_grad for parameter in module.parameters()):
                module.eval()
        return self

    @property
    def recipe(self) -> GraphRecipe:
        """The graph recipe that prediction must repeat."""
        return self.encoder.recipe

    def head(self, name: str) -> Head:
        """Return the head of property ``name``."""
        module = self.heads[self.names.index(name)]
        assert isinstance(module, Head)
        return module

    @property
    def specs(self) -> dict[str, PropertySpec]:
        """Property name -> label and unit."""
        return {name: self.head(name).spec for name in self.names}

    def scaler(self, name: str) -> TargetScaler:
        """Return the target scaler of property ``name``."""
        return self.head(name).scaler

    def depth_groups(self) -> Sequence[DepthGroup]:
        """Groups of the encoder, then ``head-hidden`` (if any) and ``head-output``."""
        heads = [self.head(name) for name in self.names]
        hidden = tuple(layer for head in heads for layer in head.mlp.hidden)
        groups = list(self.encoder.depth_groups())
        if hidden:
            groups.append(DepthGroup("head-hidden", hidden, frozenset({"head"})))
        output = tuple(head.mlp.output for head in heads)
        output += tuple(head.log_width for head in heads if head.log_width is not None)
        return [*groups, DepthGroup("head-output", output, frozenset({"head", "output"}))]

    def forward(self, batch: CrystalBatch, *, start: int = 0) -> Tensor:
        """Return (B, P) on the learning scale.

        ``start`` is the first depth group of the encoder to run; beyond the last one the batch's
        cached crystal vectors are taken.
        """
        crystal = self._crystal(batch, start)
        return torch.stack([head(crystal) for head in self.heads], dim=1)

    def outputs(self, batch: CrystalBatch, *, start: int = 0) -> Outputs:
        """Return predictions as `forward`, and the widths of their errors where there are any."""
        heads = [self.head(name) for name in self.names]
        if any(head.log_width is None for head in heads):
            return Outputs(self(batch, start=start), None)
        crystal = self._crystal(batch, start)
        predicted, widths = zip(*(head.with_log_width(crystal) for head in heads), strict=True)
        return Outputs(torch.stack(predicted, dim=1), torch.stack(widths, dim=1))

    def _crystal(self, batch: CrystalBatch, start: int) -> Tensor:
        """Return the crystal vectors, (B, width)."""
        if start > len(self.encoder.depth_groups()):
            return batch.state["crystal"]
        crystal: Tensor = self.encoder(batch, start=start).crystal
        return crystal

    def to_physical(self, scaled: Tensor) -> Tensor:
        """(B, P) on the learning scale -> physical units, float64."""
        columns = [
            self.scaler(name).inverse(scaled[:, p].double()) for p, name in enumerate(self.names)
        ]
        return torch.stack(columns, dim=1)

    def settings(self) -> dict[str, Any]:
        """Return everything but the weights, JSON-serialisable."""
        return {
            "architecture": self.architecture,
            "encoder": self.encoder.settings(),
            "recipe": self.recipe.model_dump(),
            "heads": {name: self.head(name).settings() for name in self.names},
            "provenance": self.provenance,
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> PropertyModel:
        """Rebuild a model (with fresh weights) from what `settings` returned.

        Raises:
            InputError: it would be larger than any network may be.
        """
        check_size(settings["encoder"])
        if len(settings["heads"]) > MOST_PARTS:
            raise InputError(
                f"The model has {len(settings['heads'])} heads; at most {MOST_PARTS} are allowed."
            )
        recipe = GraphRecipe(**settings["recipe"])
        encoder = encoder_kind(settings["architecture"]).rebuild(settings["encoder"], recipe)
        heads = {
            name: Head(
                encoder.width,
                PropertySpec(**head["spec"]),
                TargetScaler(**head["scaler"]),
                HeadConfig(**head["config"]),
            )
            for name, head in settings["heads"].items()
        }
        return cls(settings["architecture"], encoder, heads, dict(settings["provenance"]))
