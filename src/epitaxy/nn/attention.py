"""Heads of attention: many small networks on the same input, which is made of rows of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, leaky_relu

from epitaxy.nn.gated_conv import Grouping
from epitaxy.nn.segments import gathered_sum

SLOPE = 0.01
"""Of the leaky ReLU below zero."""


class Picks(NamedTuple):
    """Which row of each of P tables belongs to each of E inputs."""

    terms: Tensor
    """(E, P) int64 rows of all tables on top of each other."""
    groups: tuple[Grouping, ...]
    """P; the inputs by row of each table."""

    @classmethod
    def of(cls, *columns: tuple[Tensor, int]) -> Picks:
        """Prepare the picks ``(rows (E,), length of the table)`` of every table."""
        terms, first = [], 0
        for rows, length in columns:
            terms.append(rows + first)
            first += length
        groups = tuple(Grouping.of(rows, length) for rows, length in columns)
        return cls(torch.stack(terms, dim=1), groups)


class _PickedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, picks: Picks, *tables: Tensor) -> Tensor:
        ctx.picks = picks
        return embedding_bag(picks.terms, torch.cat(tables), mode="sum")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        picks: Picks = ctx.picks
        out = grads[0].contiguous()
        return None, *(gathered_sum(out, *group, None) for group in picks.groups)


class HeadNetworks(nn.Module):
    """H networks ``V_n lrelu(W_n u + b_n) + c_n`` on the same input u (Hoffmann 2023, "FCNN").

    The input is a concatenation of rows of tables. Most rows are picked many times, so every table
    is multiplied with its part of W once, and the products are added for each input.

    Args:
        inputs: widths of the tables.
        hidden: length of the hidden vector of each head.
        outputs: length of what each head returns.
        heads: H.
        shift: whether there is a c; a softmax over the outputs would cancel it.
    """

    bias: nn.Parameter | None
    """(H, outputs)."""

    def __init__(
        self, inputs: Sequence[int], hidden: int, outputs: int, heads: int, *, shift: bool = True
    ) -> None:
        super().__init__()
        self.inputs, self.heads = list(inputs), heads
        self.first = nn.Linear(sum(inputs), heads * hidden)
        bound = hidden**-0.5
        self.weight = nn.Parameter(torch.empty(heads, outputs, hidden).uniform_(-bound, bound))
        bias = nn.Parameter(torch.empty(heads, outputs).uniform_(-bound, bound)) if shift else None
        self.register_parameter("bias", bias)

    def forward(self, tables: Sequence[Tensor], picks: Picks | None = None) -> Tensor:
        """Return (E, H, outputs) for the picked rows; without picks, for the only table."""
        dtype = self.first.weight.dtype
        parts = torch.split(self.first.weight, self.inputs, dim=1)
        products = [(table @ part.t()).to(dtype) for table, part in zip(tables, parts, strict=True)]
        products[0] = products[0] + self.first.bias
        if picks is None:
            (hidden,) = products
        else:
            hidden = _PickedSum.apply(picks, *products)  # type: ignore[no-untyped-call]
        hidden = leaky_relu(hidden, SLOPE).view(len(hidden), self.heads, self.weight.shape[2])
        out = torch.einsum("ehm,hom->eho", hidden, self.weight)
        return out if self.bias is None else out + self.bias
