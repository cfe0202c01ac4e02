"""Networks whose weights another network makes, anew for every row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

ROWS = 256
"""Rows whose generated matrices are in memory at once."""
LAYERS = 4
"""Generated layers."""
DEPTH = 4
"""Hidden layers of each generator."""
LAST = 0.1
"""Factor on the first weights of a generator's last layer."""


class _Bilinear(torch.autograd.Function):
    """``y_no = sum_ik x_ni t_nk W_(o)(ik)`` without ever having all products x_ni t_nk."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, t, weight)
        out = x.new_empty(len(x), len(weight))
        for rows in _pieces(len(x)):
            torch.mm(_products(x[rows], t[rows]), weight.t(), out=out[rows])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (out,) = grads
        x, t, weight = ctx.saved_tensors
        dx, dt, dweight = torch.empty_like(x), torch.empty_like(t), torch.zeros_like(weight)
        for rows in _pieces(len(x)):
            dweight.addmm_(out[rows].t(), _products(x[rows], t[rows]))
            dproducts = (out[rows] @ weight).view(-1, x.shape[1], t.shape[1])
            dx[rows] = torch.bmm(dproducts, t[rows, :, None])[:, :, 0]
            dt[rows] = torch.bmm(x[rows, None], dproducts)[:, 0]
        return dx, dt, dweight


def _pieces(n_rows: int) -> list[slice]:
    return [slice(i, i + ROWS) for i in range(0, n_rows, ROWS)]


def _products(x: Tensor, t: Tensor) -> Tensor:
    return (x[:, :, None] * t[:, None]).flatten(1)


class GeneratedLinear(nn.Module):
    """``y = W(z) x + b(z)`` where a network makes W and b from z, for every row its own.

    The rows of the generator's last layer are W (output by input), then b.

    Args:
        width: length of x, y, z and of the generator's hidden vectors.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(DEPTH))
        self.last = nn.Linear(width, width * width + width)
        with torch.no_grad():
            for layer in (*self.hidden, self.last):
                assert isinstance(layer, nn.Linear)
                layer.weight.normal_(std=(2 / width) ** 0.5)
            self.last.weight.mul_(LAST)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """(N, width), (N, width) -> (N, width)."""
        t = z
        for layer in self.hidden:
            t = torch.tanh(layer(t))
        square = self.width**2
        matrix, shift = torch.split(self.last.weight, [square, self.width])
        constant, last = torch.split(self.last.bias, [square, self.width])
        kept = self.last.weight.dtype
        with torch.autocast(x.device.type, enabled=False):
            x, t = x.to(kept), t.to(kept)
            y = _Bilinear.apply(x, t, matrix.reshape(self.width, -1))  # type: ignore[no-untyped-call]
            y = y + x @ constant.view(self.width, self.width).t()
            out: Tensor = torch.addmm(y + last, t, shift.t())
            return out


class Hypernetwork(nn.Module):
    """A network of `LAYERS` layers, tanh and layer norms, generated from z and applied to x.

    As in the code of Hoffmann et al., Digital Discovery 2, 1368 (2023); the layer norms are not
    affine.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GeneratedLinear(width) for _ in range(LAYERS))

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """(N, width), (N, width) -> (N, width)."""
        *inner, output = self.layers
        for layer in inner:
            x = torch.tanh(layer_norm(layer(z, x), x.shape[1:]))
        out: Tensor = output(z, x)
        return out
