"""Activations and small dense networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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


class MLP(nn.Module):
    """[activation,] Linear, activation, ..., Linear, from ``width`` through ``hidden`` to 1.

    Args:
        width: length of the input vectors.
        hidden: widths of the hidden layers; empty for one linear map.
        act: name of the activation.
        first: also apply the activation to the input (CGCNN does).

    Shape: (B, width) -> (B,).
    """

    def __init__(
        self, width: int, hidden: Sequence[int] = (), *, act: str = "softplus", first: bool = True
    ) -> None:
        super().__init__()
        sizes = [width, *hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.output = nn.Linear(sizes[-1], 1)
        self.act = activation(act)
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) -> (B,)."""
        if self.first:
            x = self.act(x)
        for layer in self.hidden:
            x = self.act(layer(x))
        out: Tensor = self.output(x)
        return out.squeeze(-1)
