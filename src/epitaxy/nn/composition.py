"""A network on the composition alone: which elements, and how much of each."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from epitaxy.nn.attention import HeadNetworks, Picks
from epitaxy.nn.segments import segment_attention


class Composition(NamedTuple):
    """The distinct elements of B crystals, M in all, and their ordered pairs, P in all."""

    numbers: Tensor
    """(M,) int64 atomic number."""
    fractions: Tensor
    """(M,) share of the crystal's atoms."""
    offsets: Tensor
    """(B + 1,) int64 elements of each crystal."""
    pairs: Picks
    """Of each pair the element itself and the other one."""
    pair_offsets: Tensor
    """(M + 1,) int64 pairs of each element with the others of its crystal."""

    @classmethod
    def of(cls, numbers: Tensor, weights: Tensor, offsets: Tensor) -> Composition:
        """Count the elements of crystals.

        Args:
            numbers: (N,) int64 atomic numbers, less than 128.
            weights: (N,) how many atoms each row stands for.
            offsets: (B + 1,) int64 rows of each crystal.
        """
        crystal = torch.repeat_interleave(torch.diff(offsets), output_size=len(numbers))
        n_crystals = len(offsets) - 1
        keys, entry = torch.unique(crystal * 128 + numbers, return_inverse=True)
        owner = keys // 128
        atoms = torch.zeros(len(keys), dtype=weights.dtype, device=weights.device)
        atoms = atoms.index_add(0, entry, weights)
        total = torch.zeros(n_crystals, dtype=weights.dtype, device=weights.device)
        total = total.index_add(0, owner, atoms)
        sizes = torch.bincount(owner, minlength=n_crystals)
        ends = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        # All elements of the crystal as partners of each, then without the element itself.
        partners = sizes[owner]
        itself = torch.repeat_interleave(partners)
        before = torch.cat([partners.new_zeros(1), partners.cumsum(0)])[:-1]
        other = torch.arange(len(itself), device=itself.device) + (ends[owner] - before)[itself]
        apart = itself != other
        pairs = Picks.of((itself[apart], len(keys)), (other[apart], len(keys)))
        counts = partners - 1
        pair_offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return cls(keys % 128, atoms / total[owner], ends, pairs, pair_offsets)


class _WeightedAttention(nn.Module):
    """Softmax over scores plus a learned multiple of the log of the fractions."""

    def __init__(self, inputs: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.scores = HeadNetworks(inputs, hidden, 1, 1, shift=False)
        self.power = nn.Parameter(torch.randn(1))

    def forward(
        self,
        table: Tensor,
        picks: Picks | None,
        *,
        rows: Tensor,
        fractions: Tensor,
        offsets: Tensor,
    ) -> Tensor:
        scores = self.scores([table] * len(self.scores.inputs), picks)
        scores = scores + (self.power * torch.log(fractions))[:, None, None]
        ones = torch.ones_like(fractions)
        return segment_attention(scores, rows, offsets, ones)[:, 0]


class CompositionNetwork(nn.Module):
    """ROOST (R. E. A. Goodall, A. A. Lee, Nat. Commun. 11, 6280 (2020)) with one head.

    Args:
        inputs: length of the element vectors.
        width: F, length of the crystal vectors.
        layers: rounds of messages between elements.
        hidden: length of the hidden vectors.
    """

    def __init__(self, inputs: int, *, width: int, layers: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(inputs, width - 1)
        self.attention = nn.ModuleList(
            _WeightedAttention((width, width), hidden) for _ in range(layers)
        )
        self.messages = nn.ModuleList(
            HeadNetworks((width, width), hidden, width, 1) for _ in range(layers)
        )
        self.pooling = _WeightedAttention((width,), hidden)

    def forward(self, elements: Tensor, composition: Composition) -> Tensor:
        """Return (B, F) from the vectors of all elements, (101, inputs)."""
        fractions, pairs = composition.fractions, composition.pairs
        rows = elements.index_select(0, composition.numbers)
        embedded = self.embedding(rows).to(fractions.dtype)
        q = torch.cat([embedded, fractions[:, None]], dim=1)
        of_other = fractions.index_select(0, pairs.terms[:, 1] - len(fractions))
        for attention, messages in zip(self.attention, self.messages, strict=True):
            sent = messages([q, q], pairs)
            q = q + attention(
                q, pairs, rows=sent, fractions=of_other, offsets=composition.pair_offsets
            )
        pooled: Tensor = self.pooling(
            q, None, rows=q[:, None], fractions=fractions, offsets=composition.offsets
        )
        return pooled
