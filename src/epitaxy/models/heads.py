"""`Head`: crystal features to one property; owns the scaler and the unit."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from torch import Tensor, nn

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.properties import PropertySpec
from epitaxy.nn.mlp import MLP, Residual


class HeadConfig(BaseModel):
    """Shape of the network between the crystal vector and the number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[PositiveInt, ...] = (32,)
    """Widths of the hidden layers; (32,) is CGCNN's, (32, 32) that of Chang 2022."""
    act: str = "softplus"
    """Activation: softplus, silu, relu, none."""
    first: bool = True
    """Apply the activation to the crystal vector before the first layer."""
    residual: Residual = "none"
    """Hidden layers add their input (plain), the rest times a learned factor (rezero, that of
    Hoffmann 2023)."""


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
        self.mlp = MLP(width, **self.config.model_dump())

    def forward(self, crystal: Tensor) -> Tensor:
        """(B, width) -> (B,) on the learning scale."""
        out: Tensor = self.mlp(crystal)
        return out

    @torch.no_grad()
    def rescale(self, before: TargetScaler) -> None:
        """Turn weights learned on the scale ``before`` into those of the same physical values.

        Both scales must have the same transform.
        """
        assert before.transform == self.scaler.transform
        now = self.scaler
        factor = before.scale / now.scale
        self.mlp.output.weight.mul_(factor)
        self.mlp.output.bias.mul_(factor).add_((before.shift - now.shift) / now.scale)

    def settings(self) -> dict[str, Any]:
        """Return everything but the weights, JSON-serialisable."""
        return {
            "spec": self.spec.model_dump(),
            "scaler": self.scaler.model_dump(),
            "config": self.config.model_dump(mode="json"),
        }
