"""Edges of a graph, grouped by target and cut into pieces that stay in the cache."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from epitaxy.nn.segments import gathered_sum

PIECE = 2048
"""Edges that each thread of a CPU handles at once: a few arrays of as many rows stay cached."""


class Piece(NamedTuple):
    """Edges ``rows`` all of whose targets are the nodes ``groups``."""

    rows: slice
    groups: slice


def piece_rows() -> int:
    """Return how many rows all threads handle at once on a CPU."""
    return PIECE * torch.get_num_threads()


def row_pieces(rows: Tensor) -> list[slice]:
    """Cut (N, F) into runs of rows that stay in the cache; into one on a GPU, at least one."""
    size = piece_rows() if rows.device.type == "cpu" else max(len(rows), 1)
    return [slice(i, i + size) for i in range(0, max(len(rows), 1), size)]


class Edges:
    """Directed edges between n nodes, grouped by their target: E edges.

    Args:
        offsets: (n + 1,) int64: edges that act upon node i.
        source: (E,) int64.
        target: (E,) int64, ascending.
        weight: (E,) how many equal edges of its target each one stands for.
        copies: (E,) how many edges of the whole crystal.
    """

    def __init__(
        self, offsets: Tensor, source: Tensor, target: Tensor, *, weight: Tensor, copies: Tensor
    ) -> None:
        self.offsets, self.source, self.target = offsets, source, target
        self.weight, self.copies = weight, copies
        self.n_nodes = len(offsets) - 1

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def terms(self) -> Tensor:
        """(E, 2) rows of the table [as source; as target] that belong to each edge."""
        return torch.stack([self.source, self.target + self.n_nodes], dim=1)

    @cached_property
    def by_source(self) -> tuple[Tensor, Tensor]:
        """Edges sorted by source (E,), and where those of each node begin (n + 1,)."""
        sizes = torch.bincount(self.source, minlength=self.n_nodes)
        order = torch.argsort(self.source, stable=True)
        return order, torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])

    @cached_property
    def order(self) -> Tensor:
        """(E,) int64: 0, 1, 2, ..."""
        return torch.arange(len(self), device=self.source.device)

    @cached_property
    def pieces(self) -> list[Piece]:
        """Runs of whole groups that fit into the cache; everything at once on a GPU."""
        if self.source.device.type != "cpu":
            return [Piece(slice(0, len(self)), slice(0, self.n_nodes))]
        offsets = self.offsets.numpy()
        size = piece_rows()
        wanted = np.arange(0, len(self) + size, size)
        groups = np.unique(np.append(np.searchsorted(offsets[:-1], wanted), self.n_nodes))
        groups[0] = 0
        rows = offsets[groups]
        return [
            Piece(slice(int(a), int(b)), slice(int(g), int(h)))
            for a, b, g, h in zip(rows[:-1], rows[1:], groups[:-1], groups[1:], strict=True)
        ]

    def sum_groups(self, values: Tensor, piece: Piece, *, weighted: bool = True) -> Tensor:
        """Sum rows of a piece (E', F) over each of its groups, (n', F)."""
        offsets = self.offsets[piece.groups.start : piece.groups.stop + 1] - piece.rows.start
        weights = self.weight[piece.rows] if weighted else None
        return gathered_sum(values, self.order[: len(values)], offsets, weights)

    def spread(self, values: Tensor, piece: Piece) -> Tensor:
        """Give each edge of a piece the row of its target, times its weight: (n, F) -> (E', F)."""
        # As a sum of one row each, look-up and product are one pass.
        singles = self.order[: piece.rows.stop - piece.rows.start]
        return embedding_bag(
            self.target[piece.rows],
            values,
            singles,
            mode="sum",
            per_sample_weights=self.weight[piece.rows],
        )
