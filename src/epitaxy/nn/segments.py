"""Sums over groups of consecutive rows, without scatter operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


def gathered_sum(rows: Tensor, order: Tensor, offsets: Tensor, weights: Tensor | None) -> Tensor:
    """Sum ``weights[k] * rows[order[k]]`` over k in ``offsets[s]:offsets[s + 1]`` for each s.

    One pass over memory, no intermediate copy and no atomics (the embedding-bag kernel), so it
    is both faster than ``index_add_`` and reproducible. Not differentiable by itself.

    Args:
        rows: (E, F).
        order: (K,) int64 row numbers.
        offsets: (S + 1,) int64.
        weights: (K,) of the dtype of ``rows``, or None for ones.

    Returns:
        (S, F); empty groups give zeros.
    """
    if rows.shape[0] == 0:
        return rows.new_zeros((len(offsets) - 1, rows.shape[1]))
    return embedding_bag(
        order, rows, offsets, mode="sum", include_last_offset=True, per_sample_weights=weights
    )


class _SegmentSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(offsets, weights)
        order = torch.arange(rows.shape[0], device=rows.device)
        return gathered_sum(rows, order, offsets, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        offsets, weights = ctx.saved_tensors
        spread = torch.repeat_interleave(
            grads[0], torch.diff(offsets), dim=0, output_size=weights.shape[0]
        )
        return spread * weights[:, None], None, None


def segment_sum(rows: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of each group of consecutive rows, differentiable in ``rows``.

    Args:
        rows: (N, F).
        offsets: (B + 1,) int64, group b is ``offsets[b]:offsets[b + 1]``.
        weights: (N,).

    Returns:
        (B, F).

    >>> rows = torch.tensor([[1.0], [2.0], [4.0]])
    >>> segment_sum(rows, torch.tensor([0, 2, 3]), torch.tensor([1.0, 1.0, 0.5])).tolist()
    [[3.0], [2.0]]
    """
    summed: Tensor = _SegmentSum.apply(rows, offsets, weights.to(rows.dtype))  # type: ignore[no-untyped-call]
    return summed


def segment_mean(rows: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of each group of consecutive rows; arguments as in `segment_sum`."""
    ones = weights.new_ones((weights.shape[0], 1)).to(rows.dtype)
    totals = segment_sum(ones, offsets, weights)
    return segment_sum(rows, offsets, weights) / totals
