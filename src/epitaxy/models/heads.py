"""`Head`: crystal features to one property; owns the scaler and the unit."""

from __future__ import annotations

import copy
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor, nn

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.nn.mlp import MLP


class HeadConfig(BaseModel):
    """Shape of the network between the crystal vector and the number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[PositiveInt, ...] = (32,)
    """Widths of the hidden layers; (32,) is CGCNN's, (32, 32) that of Chang 2022."""
    act: str = "softplus"
    """Activation: softplus, silu, relu, none."""
    first: bool = True
    """Apply the activation to the crystal vector before the first layer."""


class Head(nn.Module):
    """Maps crystal vectors (B, width) to one property on the learning scale (B,)."""

    def __init__(
        self,
        width: int,
        spec: PropertySpec,
        scaler: TargetScaler,
        config: HeadConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = config or HeadConfig()
        self.spec, self.scaler = spec, scaler
        self.mlp = MLP(width, self.config.hidden, act=self.config.act, first=self.config.first)

    def forward(self, crystal: Tensor) -> Tensor:
        """(B, width) -> (B,) on the learning scale."""
        out: Tensor = self.mlp(crystal)
        return out

    @torch.no_grad()
    def on_scale(self, scaler: TargetScaler) -> Head:
        """Return a copy that predicts the same physical values on another learning scale.

        Raises:
            InputError: the scales differ by more than shift and factor.
        """
        if scaler.transform != self.scaler.transform:
            raise InputError(
                f"The head of {self.spec.name!r} was learned on the scale "
                f"{self.scaler.transform!r} and cannot be carried to {scaler.transform!r}; use the "
                "same transform, or a strategy without 'inherit-head'."
            )
        made = copy.deepcopy(self)
        made.scaler = scaler
        factor = self.scaler.scale / scaler.scale
        made.mlp.output.weight.mul_(factor)
        made.mlp.output.bias.mul_(factor).add_((self.scaler.shift - scaler.shift) / scaler.scale)
        return made

    def settings(self) -> dict[str, Any]:
        """Return everything but the weights, JSON-serialisable."""
        return {
            "spec": self.spec.model_dump(),
            "scaler": self.scaler.model_dump(),
            "config": self.config.model_dump(mode="json"),
        }
