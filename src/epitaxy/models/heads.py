"""`Head`: crystal features to one property; owns the scaler and the unit."""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from torch import Tensor, nn

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.properties import PropertySpec
from epitaxy.models.limits import MOST_LAYERS, WIDEST
from epitaxy.nn.mlp import MLP, Residual

Width = Annotated[int, Field(ge=1, le=WIDEST)]


class HeadConfig(BaseModel):
    """Shape of the network between the crystal vector and the number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: tuple[Width, ...] = Field(default=(32,), max_length=MOST_LAYERS)
    """Widths of the hidden layers; (32,) is CGCNN's, (32, 32) that of Chang 2022."""
    act: str = "softplus"
    """Activation: softplus, silu, relu, none."""
    first: bool = True
    """Apply the activation to the crystal vector before the first layer."""
    residual: Residual = "none"
    """Hidden layers add their input (plain), the rest times a learned factor (rezero, that of
    Hoffmann 2023)."""
    log_width: bool = False
    """A second output, the log of the width of the error; robust losses add and learn it."""

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        # Runs from before there were widths keep their hash.
        if not self.log_width:
            fields.pop("log_width", None)
        return fields


class Head(nn.Module):
    """Maps crystal vectors (B, width) to one property on the learning scale (B,)."""

    log_width: nn.Linear | None
    """Second output, None without."""

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
        self.mlp = MLP(width, **self.config.model_dump(exclude={"log_width"}))
        self.log_width = (
            nn.Linear(self.mlp.output.in_features, 1) if self.config.log_width else None
        )

    def forward(self, crystal: Tensor) -> Tensor:
        """(B, width) -> (B,) on the learning scale."""
        out: Tensor = self.mlp(crystal)
        return out

    def with_log_width(self, crystal: Tensor) -> tuple[Tensor, Tensor]:
        """(B, width) -> prediction (B,) and log of the width of its error (B,), learning scale."""
        assert self.log_width is not None
        inner = self.mlp.inner(crystal)
        return self.mlp.output(inner).squeeze(-1), self.log_width(inner).squeeze(-1)

    def add_log_width(self) -> None:
        """Give the head a second output with fresh weights, unless it has one."""
        if self.log_width is None:
            self.config = self.config.model_copy(update={"log_width": True})
            like = self.mlp.output.weight
            layer = nn.Linear(self.mlp.output.in_features, 1)
            self.log_width = layer.to(device=like.device, dtype=like.dtype)

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
        if self.log_width is not None:
            self.log_width.bias.add_(math.log(factor))

    def settings(self) -> dict[str, Any]:
        """Return everything but the weights, JSON-serialisable."""
        return {
            "spec": self.spec.model_dump(),
            "scaler": self.scaler.model_dump(),
            "config": self.config.model_dump(mode="json"),
        }
