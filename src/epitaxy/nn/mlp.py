"""Activations and small dense networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from epitaxy.core.errors import unknown

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "softplus": nn.Softplus,
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "none": nn.Identity,
}


def activation(name: str) -> nn.Module:
    """Return the activation called ``name``.

    Raises:
        InputError: there is none of that name.
    """
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


Residual = Literal["none", "plain", "rezero"]
"""Whether a hidden layer adds its input, and with a learned factor on the rest (``rezero``)."""


class ResidualLayer(nn.Module):
    """``alpha act(W x + b) + P x``; P is a linear map where the widths differ, else the identity.

    With ``rezero`` alpha is learned and 0 at first (T. Bachlechner et al., UAI 2021); else it is 1.
    """

    alpha: nn.Parameter | None
    """(1,)."""

    def __init__(self, inputs: int, outputs: int, act: nn.Module, *, rezero: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Linear(inputs, outputs, bias=False)
        self.register_parameter("alpha", nn.Parameter(torch.zeros(1)) if rezero else None)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        changed: Tensor = self.act(self.linear(x))
        kept: Tensor = self.shortcut(x)
        return kept + (changed if self.alpha is None else self.alpha * changed)


class MLP(nn.Module):
    """[activation,] Linear, activation, ..., Linear, from ``width`` through ``hidden`` to 1.

    Args:
        width: length of the input vectors.
        hidden: widths of the hidden layers; empty for one linear map.
        act: name of the activation.
        first: also apply the activation to the input (CGCNN does).
        residual: what makes of each hidden layer a `ResidualLayer`.

    Shape: (B, width) -> (B,).
    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int] = (),
        *,
        act: str = "softplus",
        first: bool = True,
        residual: Residual = "none",
    ) -> None:
        super().__init__()
        sizes = [width, *hidden]
        self.act = activation(act)
        self.first, self.residual = first, residual
        self.hidden = nn.ModuleList(self._layer(a, b) for a, b in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], 1)

    def _layer(self, inputs: int, outputs: int) -> nn.Module:
        if self.residual == "none":
            return nn.Linear(inputs, outputs)
        return ResidualLayer(inputs, outputs, self.act, rezero=self.residual == "rezero")

    def inner(self, x: Tensor) -> Tensor:
        """(B, width) -> (B, last hidden width): what the output layer reads."""
        if self.first:
            x = self.act(x)
        for layer in self.hidden:
            x = self.act(layer(x)) if self.residual == "none" else layer(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B,)."""
        out: Tensor = self.output(self.inner(x))
        return out.squeeze(-1)
