"""Normalisation of rows that come piece by piece, forth and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu

from epitaxy.nn.edges import row_pieces
from epitaxy.nn.norm import Norm, RowNorm, WeightedBatchNorm

silu_backward: Callable[[Tensor, Tensor], Tensor] = torch.ops.aten.silu_backward


class _ScaledAndShifted:
    """Rows times one vector plus another, ``gamma * (m - centre) * inverse + beta``."""

    centre: Tensor
    inverse: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, norm: WeightedBatchNorm) -> None:
        self.norm, self.dtype = norm, norm.weight.dtype
        self.sums: list[tuple[Tensor, Tensor]] = []

    def apply(self, m: Tensor) -> Tensor:
        """Normalise rows, (E', F) -> (E', F)."""
        return torch.addcmul(self.shift, m, self.scale)

    def see_gradient(self, dv: Tensor, m: Tensor) -> None:
        """Take the gradient of normalised rows and the rows before, (E', F)."""
        self.sums.append(((m - self.centre).mul_(dv).sum(0), dv.sum(0)))

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Return the gradients of weight and bias, (F,) each."""
        self.sums = [_total(self.sums)]
        first, second = self.sums[0]
        return first * self.inverse, second

    def _fix(self, gamma: Tensor, beta: Tensor, variance: Tensor) -> None:
        self.inverse = torch.rsqrt(variance + self.norm.eps)
        self.scale = gamma * self.inverse
        self.shift = beta - self.centre * self.scale


class BatchNormed(_ScaledAndShifted):
    """One pass through a `WeightedBatchNorm` in training: every row moves the statistics.

    Hence two walks each way: `see` all pieces, `settle`, then `apply`; and on the way back
    `see_gradient` of all pieces, then `back`. Values are taken relative to the mean of the first
    piece, so that hardly anything cancels in the variance.

    Args:
        norm: in training mode.
        copies: (E,) how many rows each one stands for; at least one row.
    """

    def __init__(self, norm: WeightedBatchNorm, copies: Tensor) -> None:
        super().__init__(norm)
        self.copies, self.total = copies, copies.sum().clamp(min=1)
        self.origin: Tensor | None = None

    def see(self, m: Tensor, piece: slice) -> None:
        """Take rows before normalisation, (E', F)."""
        copies = self.copies[piece]
        if self.origin is None:
            self.origin = copies @ m / copies.sum().clamp(min=1)
        d = m - self.origin
        self.sums.append((copies @ d, copies @ d.square_()))

    def settle(self, gamma: Tensor, beta: Tensor) -> None:
        """Compute and move the statistics; weight and bias are (F,)."""
        assert self.origin is not None
        first, second = _total(self.sums)
        offset = first / self.total
        self.centre = self.origin + offset
        variance = (second / self.total - offset.square()).clamp_(min=0)
        self.norm.update_statistics(self.centre, variance, self.total)
        self._fix(gamma, beta, variance)
        self.sums = []

    def back(self, dv: Tensor, m: Tensor, piece: slice, into: Tensor) -> None:
        """Add the gradient of the rows before normalisation to ``into``, (E', F)."""
        into.addcmul_(dv, self.scale)
        dgamma, dbeta = self.gradients()
        slope = dgamma * self.inverse
        level = (dbeta - self.centre * slope) * self.scale
        common = torch.addcmul(level, m, slope * self.scale)
        share = self.copies[piece] / self.total
        into.addcmul_(common, share[:, None], value=-1)


class FixedNormed(_ScaledAndShifted):
    """One pass through a `WeightedBatchNorm` with its running statistics."""

    def settle(self, gamma: Tensor, beta: Tensor) -> None:
        """Take the statistics; weight and bias are (F,)."""
        # A copy: the running statistics may move before the gradient is asked for.
        self.centre = self.norm.running_mean.clone()
        self._fix(gamma, beta, self.norm.running_var)

    def through_silu(self, dout: Tensor, m: Tensor) -> Tensor:
        """Return the gradient of the rows ``m`` from that of ``silu(norm(m))``, (E', F) each."""
        dv = silu_backward(dout, self.apply(m))
        self.see_gradient(dv, m)
        return dv.mul_(self.scale)


class RowNormed:
    """One pass through a `RowNorm`; every row for itself."""

    def __init__(self, norm: RowNorm) -> None:
        self.shape, self.eps, self.dtype = list(norm.normalized_shape), norm.eps, norm.weight.dtype
        self.sums: list[tuple[Tensor, Tensor]] = []

    def settle(self, gamma: Tensor, beta: Tensor) -> None:
        """Only weight and bias to remember."""
        self.gamma, self.beta = gamma, beta

    def apply(self, m: Tensor) -> Tensor:
        """Normalise each row."""
        normed: Tensor = torch.native_layer_norm(m, self.shape, self.gamma, self.beta, self.eps)[0]
        return normed

    def through_silu(self, dout: Tensor, m: Tensor) -> Tensor:
        """Normalise once more, then back through activation and norm."""
        normed, mean, inverse = torch.native_layer_norm(
            m, self.shape, self.gamma, self.beta, self.eps
        )
        found: tuple[Tensor, ...] = torch.ops.aten.native_layer_norm_backward(
            silu_backward(dout, normed),
            m,
            self.shape,
            mean,
            inverse,
            self.gamma,
            self.beta,
            [True, True, True],
        )
        dm, dgamma, dbeta = found
        self.sums.append((dgamma, dbeta))
        return dm

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Return the gradients of weight and bias."""
        return _total(self.sums)


NormPass = BatchNormed | FixedNormed | RowNormed
"""One pass through a norm. Only the first one has to see all rows before it can treat any; the
others settle at once, and go back with `through_silu` in one walk."""


def pass_through(norm: Norm, copies: Tensor) -> NormPass:
    """Return the state of one pass through ``norm`` of rows that stand for ``copies`` (N,)."""
    if isinstance(norm, RowNorm):
        return RowNormed(norm)
    # Without any row there is nothing to take statistics of.
    return BatchNormed(norm, copies) if norm.training and len(copies) else FixedNormed(norm)


class _NormSilu(torch.autograd.Function):
    """``silu(norm(rows))``, keeping the rows alone for the way back."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, gamma: Tensor, beta: Tensor, norm: NormPass) -> Tensor:
        pieces = row_pieces(rows)
        if isinstance(norm, BatchNormed):
            for piece in pieces:
                norm.see(rows[piece].to(norm.dtype), piece)
        norm.settle(gamma, beta)
        out = torch.empty_like(rows)
        for piece in pieces:
            out[piece] = silu(norm.apply(rows[piece].to(norm.dtype)), inplace=True)
        ctx.save_for_backward(rows)
        ctx.norm = norm
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (rows,) = ctx.saved_tensors
        norm: NormPass = ctx.norm
        dv = torch.empty_like(rows)
        if isinstance(norm, BatchNormed):
            see_gradients(norm, rows, grads[0], dv)
        for piece in row_pieces(rows):
            m = rows[piece].to(norm.dtype)
            if isinstance(norm, BatchNormed):
                d = torch.zeros_like(m)
                norm.back(dv[piece].to(norm.dtype), m, piece, d)
            else:
                d = norm.through_silu(grads[0][piece].to(norm.dtype), m)
            dv[piece] = d
        return dv, *norm.gradients(), None


def norm_silu(rows: Tensor, norm: Norm, copies: Tensor) -> Tensor:
    """``silu(norm(rows))``, (N, F) in their own precision; ``copies`` (N,) counts equal rows."""
    state = pass_through(norm, copies)
    out: Tensor = _NormSilu.apply(rows, norm.weight, norm.bias, state)  # type: ignore[no-untyped-call]
    return out


def see_gradients(norm: BatchNormed, rows: Tensor, dout: Tensor, dv: Tensor) -> None:
    """Write the gradient of ``norm(rows)`` to ``dv``, from that of its SiLU; show it the norm."""
    for piece in row_pieces(rows):
        m = rows[piece].to(norm.dtype)
        d = silu_backward(dout[piece].to(m.dtype), norm.apply(m))
        dv[piece] = d
        norm.see_gradient(d, m)


def _total(sums: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Add up pairs of (F,)."""
    first, second = (torch.stack(part).sum(0) for part in zip(*sums, strict=True))
    return first, second
