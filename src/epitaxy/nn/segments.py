"""Sums over groups of consecutive rows, without scatter operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

NOTHING = 1e-16
"""Added to the sum of a softmax, so that empty groups give zeros."""


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


def segment_attention(scores: Tensor, rows: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    """Sum the rows of each group with weights that are a softmax over the group's scores.

    The softmax is taken for every head, and for every channel where there is a score for each:
    ``sum_k p_k rows_k / (sum_k p_k + 1e-16)`` with ``p_k = weights_k exp(scores_k - max)``.

    Args:
        scores: (E, H, F), or (E, H, 1) for one score per head.
        rows: (E, H, F).
        offsets: (S + 1,) int64, group s is ``offsets[s]:offsets[s + 1]``.
        weights: (E,) how many equal rows each one stands for.

    Returns:
        (S, H, F); empty groups give zeros.

    >>> scores, rows = torch.zeros(3, 1, 1), torch.tensor([[[1.0]], [[3.0]], [[5.0]]])
    >>> segment_attention(scores, rows, torch.tensor([0, 2, 3]), torch.ones(3)).flatten().tolist()
    [2.0, 5.0]
    """
    # Sums over many rows would lose their digits in the precision of autocast.
    with torch.autocast(rows.device.type, enabled=False):
        scores, rows = scores.to(weights.dtype), rows.to(weights.dtype)
        group = torch.repeat_interleave(torch.diff(offsets), output_size=len(weights))
        shifted = scores - _largest(scores.detach(), group, len(offsets) - 1)
        shares = torch.exp(shifted)
        n, (_, heads, width) = len(offsets) - 1, rows.shape
        total = segment_sum(shares.flatten(1), offsets, weights).view(n, heads, -1)
        summed = segment_sum((shares * rows).flatten(1), offsets, weights)
        return summed.view(n, heads, width) / (total + NOTHING)


def _largest(scores: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Return for each row the largest score of its group, (E, H, F) -> (E, H, F)."""
    largest = scores.new_full((n_groups, *scores.shape[1:]), -torch.inf)
    # A maximum does not depend on the order, and here no other operation is as fast.
    largest.scatter_reduce_(0, group[:, None, None].expand_as(scores), scores, "amax")
    return largest.index_select(0, group)
