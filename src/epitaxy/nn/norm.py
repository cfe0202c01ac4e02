"""Normalisation of rows that stand for several equal ones."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from epitaxy.core.errors import unknown

NormKind = Literal["batch", "layer"]
"""``batch`` normalises a feature over all rows, ``layer`` a row over its features."""


class WeightedBatchNorm(nn.Module):
    """`torch.nn.BatchNorm1d` for rows with multiplicities.

    With weights w the statistics are those of a batch in which row i is repeated w_i times, so
    merged graphs train exactly like unmerged ones. With unit weights it is BatchNorm1d.

    Shape: rows (N, F), weights (N,) -> (N, F).

    >>> norm = WeightedBatchNorm(1)
    >>> out = norm(torch.tensor([[0.0], [4.0]]), torch.tensor([3.0, 1.0]))
    >>> [round(x, 3) for x in out.flatten().tolist()]
    [-0.577, 1.732]
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def reset_parameters(self) -> None:
        """Forget weights and statistics, as a new norm has them."""
        with torch.no_grad():
            for ones, zeros in ((self.weight, self.bias), (self.running_var, self.running_mean)):
                ones.fill_(1.0)
                zeros.zero_()

    def update_statistics(self, mean: Tensor, variance: Tensor, total: Tensor) -> None:
        """Move the running statistics; ``variance`` is the population one, ``total`` = sum w."""
        with torch.no_grad():
            unbiased = variance * (total / (total - 1).clamp(min=1))
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return (scale, shift) of evaluation mode, each (F,): ``y = x * scale + shift``."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def forward(self, rows: Tensor, weights: Tensor) -> Tensor:
        """(N, F), (N,) -> (N, F)."""
        if not self.training:
            scale, shift = self.affine()
            return torch.addcmul(shift, rows, scale)
        # Sums over many rows would lose their digits in the precision of autocast.
        with torch.autocast(rows.device.type, enabled=False):
            rows = rows.to(self.weight.dtype)
            weights = weights.to(rows.dtype)
            total = weights.sum()
            mean = weights @ rows / total
            centred = rows - mean
            variance = weights @ centred.square() / total
        self.update_statistics(mean, variance, total)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias, centred, scale)


class RowNorm(nn.LayerNorm):
    """`torch.nn.LayerNorm` with the signature of `WeightedBatchNorm`; weights change nothing."""

    def forward(self, rows: Tensor, weights: Tensor | None = None) -> Tensor:
        """(N, F), (N,) -> (N, F)."""
        del weights
        return super().forward(rows.to(self.weight.dtype))


Norm = WeightedBatchNorm | RowNorm


def make_norm(kind: NormKind, width: int) -> Norm:
    """Return the norm called ``kind`` for vectors of length ``width``.

    Raises:
        InputError: there is none of that name.
    """
    if kind not in get_args(NormKind):
        raise unknown("norm", kind, get_args(NormKind))
    return WeightedBatchNorm(width) if kind == "batch" else RowNorm(width)
