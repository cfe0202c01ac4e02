"""`Gate`: how much each of several networks counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class Gate(nn.Module):
    """One trainable score per expert; softmax over the ``k`` largest (Chang 2022).

    All scores start at one. Of equal scores those of the first experts are taken, so that the
    choice depends on no library.

    Args:
        experts: m, number of scores.
        k: how many experts count.
        inputs: length of vectors on which the scores also depend, linearly and at first not at
            all; 0 for scores that are the same for all crystals, as published.

    >>> gate = Gate(4, 2)
    >>> gate.chosen()
    [0, 1]
    >>> gate(gate.chosen()).tolist()
    [0.5, 0.5]
    """

    def __init__(self, experts: int, k: int, inputs: int = 0) -> None:
        super().__init__()
        self.k = k
        self.scores = nn.Parameter(torch.ones(experts))
        self.slopes = nn.Parameter(torch.zeros(experts, inputs)) if inputs else None

    def chosen(self) -> list[int]:
        """Return the numbers of the experts that count, ascending."""
        order = torch.sort(self.scores.detach(), descending=True, stable=True).indices
        return sorted(order[: self.k].tolist())

    def forward(self, chosen: list[int], inputs: Tensor | None = None) -> Tensor:
        """Return the weights of the chosen experts: (k,), or (B, k) with ``inputs`` (B, F)."""
        scores = self.scores[chosen]
        if self.slopes is not None:
            assert inputs is not None
            scores = scores + linear(inputs, self.slopes[chosen])
        return scores.softmax(-1)

    def weights(self) -> Tensor:
        """Return the weights of all experts for an input of zeros, (m,); 0 where not chosen."""
        with torch.no_grad():
            chosen = self.chosen()
            all_weights = torch.zeros_like(self.scores)
            all_weights[chosen] = self.scores[chosen].softmax(-1)
        return all_weights


def concentration(weights: Tensor) -> Tensor:
    """Return (a.a - 1)^2, averaged over the rows of (..., k) weights; 0 for a single expert.

    Source: Chang 2022, the regulariser of the gate.

    >>> concentration(torch.tensor([0.5, 0.5])).item()
    0.25
    """
    return ((weights * weights).sum(-1) - 1).square().mean()
