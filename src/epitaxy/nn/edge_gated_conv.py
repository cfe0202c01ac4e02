"""The edge-gated convolution of ALIGNN in few passes over the edges, piece by piece in the cache.

Nodes are projected once and looked up per edge; gate, normalisation and sums over edges share one
function with a hand-written gradient. It stores one row per edge (the sum before normalisation) and
computes the rest again on the way back. On a CPU it walks through the edges in pieces that stay in
the cache, so that its many cheap steps do not each wait for main memory.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, linear, silu

from epitaxy.nn.norm import WeightedBatchNorm
from epitaxy.nn.segments import gathered_sum

PIECE = 1024
"""Edges handled at once on a CPU: a few arrays of this many rows fit into its second-level cache."""


EPSILON = 1e-6
"""Keeps the mean over no gates finite."""


class Piece(NamedTuple):
    """Edges ``rows`` all of whose targets are the nodes ``groups``."""

    rows: slice
    groups: slice


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
        self.total = copies.sum().clamp(min=1)  # there may be no edge at all

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
        wanted = np.arange(0, len(self) + PIECE, PIECE)
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


class _Moments:
    """Weighted mean and variance of rows that come piece by piece.

    Values are taken relative to the mean of the first piece, so that hardly anything cancels.
    """

    def __init__(self, edges: Edges) -> None:
        self.edges = edges
        self.parts: list[tuple[Tensor, Tensor]] = []
        self.origin: Tensor | None = None

    def add(self, m: Tensor, piece: Piece) -> None:
        copies = self.edges.copies[piece.rows]
        if self.origin is None:
            self.origin = copies @ m / copies.sum().clamp(min=1)
        d = m - self.origin
        self.parts.append((copies @ d, copies @ d.square_()))

    def mean_variance(self) -> tuple[Tensor, Tensor]:
        first, second = (torch.stack(part).sum(0) for part in zip(*self.parts, strict=True))
        offset = first / self.edges.total
        variance = second / self.edges.total - offset.square()
        assert self.origin is not None
        return self.origin + offset, variance.clamp_(min=0)


class _GatedEdges(torch.autograd.Function):
    """Gated mean over the neighbours of each node, and the new edge vectors.

    ``m_e = table[s_e] + table[n + t_e] + W y_e``, ``g_e = sigmoid(m_e)``,
    ``h_i = sum_e w_e g_e u_{s_e} / (sum_e w_e g_e + 1e-6)`` over the edges with target i, and
    ``y'_e = y_e + silu(BN(m_e))``, unless `norm` is None.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positional arguments
        ctx: Any,
        table: Tensor,
        neighbours: Tensor,
        rows: Tensor,
        matrix: Tensor,
        gamma: Tensor | None,
        beta: Tensor | None,
        norm: WeightedBatchNorm | None,
        edges: Edges,
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
        moving = norm is not None and norm.training
        mixed = torch.empty_like(rows)
        gated, gates = torch.empty_like(neighbours), torch.empty_like(neighbours)
        moments = _Moments(edges)
        across = matrix.to(rows.dtype).t()
        for piece in edges.pieces:
            m = embedding_bag(edges.terms[piece.rows], table, mode="sum")
            _add_product(m, rows[piece.rows], across)
            mixed[piece.rows] = m
            if moving:
                moments.add(m, piece)
            gate = m.sigmoid_()
            gates[piece.groups] = edges.sum_groups(gate, piece)
            gate *= neighbours.index_select(0, edges.source[piece.rows])
            gated[piece.groups] = edges.sum_groups(gate, piece)
        gates += EPSILON
        mean = gated.div_(gates)
        ctx.edges, ctx.moving = edges, moving
        if norm is None or gamma is None or beta is None:
            ctx.save_for_backward(neighbours, rows, matrix, mixed, mean, gates)
            return mean, None, None, None
        if moving:
            centre, variance = moments.mean_variance()
        else:
            centre, variance = norm.running_mean, norm.running_var
        inverse = torch.rsqrt(variance + norm.eps)
        new = torch.empty_like(rows)
        scale = gamma * inverse
        shift = beta - centre * scale
        for piece in edges.pieces:
            v = torch.addcmul(shift, mixed[piece.rows].to(shift.dtype), scale)
            new[piece.rows] = silu(v, inplace=True).add_(rows[piece.rows])
        ctx.save_for_backward(
            neighbours, rows, matrix, mixed, mean, gates, centre, inverse, scale, shift
        )
        ctx.mark_non_differentiable(centre, variance)
        return mean, new, centre, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        neighbours, rows, matrix, mixed, mean, gates, *saved = ctx.saved_tensors
        edges: Edges = ctx.edges
        dmean, dnew = grads[:2]
        assert dmean is not None
        dm, through = torch.empty_like(mixed), torch.empty_like(mixed)
        norm = _NormGradient(edges, mixed, dnew, dm, saved, ctx.moving) if saved else None
        n, width = neighbours.shape
        dgated = dmean / gates
        # A gate feels dgated * (u of its source - mean).
        pull = torch.cat([dgated, dgated * mean], dim=1)
        dtable = neighbours.new_empty(2 * n, width)
        for piece in edges.pieces:
            m = mixed[piece.rows].to(neighbours.dtype)
            pulled = pull.index_select(0, edges.target[piece.rows])
            pulled *= edges.weight[piece.rows, None]
            u = neighbours.index_select(0, edges.source[piece.rows])
            u.mul_(pulled[:, :width]).sub_(pulled[:, width:])
            gate = torch.sigmoid(m)
            through[piece.rows] = pulled[:, :width].mul_(gate)
            d = torch.ops.aten.sigmoid_backward(u, gate)
            if norm is not None:
                norm.add_to(d, m, piece)
            dm[piece.rows] = d
            dtable[n:][piece.groups] = edges.sum_groups(d, piece, weighted=False)
        dtable[:n] = gathered_sum(dm, *edges.by_source, None)
        dneighbours = gathered_sum(through, *edges.by_source, None).to(neighbours.dtype)
        drows = torch.mm(dm, matrix.to(dm.dtype), out=through)
        if dnew is not None:
            drows += dnew
        dmatrix = (dm.t() @ rows).to(matrix.dtype)
        dgamma, dbeta = (None, None) if norm is None else (norm.dgamma, norm.dbeta)
        return dtable, dneighbours, drows, dmatrix, dgamma, dbeta, None, None


class _NormGradient:
    """Gradient of ``silu(BN(m))``, statistics included, in two passes over the edges."""

    def __init__(
        self,
        edges: Edges,
        mixed: Tensor,
        dnew: Tensor | None,
        dv: Tensor,
        saved: list[Tensor],
        moving: bool,  # noqa: FBT001
    ) -> None:
        """Fill ``dv`` with the gradient of the norm's output, and sum it up."""
        assert dnew is not None
        self.centre, self.inverse, self.scale, shift = saved
        self.edges, self.dv, self.moving = edges, dv, moving
        sums = []
        for piece in edges.pieces:
            m = mixed[piece.rows].to(shift.dtype)
            v = torch.addcmul(shift, m, self.scale)
            d = torch.ops.aten.silu_backward(dnew[piece.rows].to(v.dtype), v)
            dv[piece.rows] = d
            sums.append((d.sum(0), (m - self.centre).mul_(d).sum(0)))
        first, second = (torch.stack(part).sum(0) for part in zip(*sums, strict=True))
        self.dbeta, self.dgamma = first, second * self.inverse
        slope = self.dgamma * self.inverse
        self.slope, self.level = slope, self.dbeta - self.centre * slope

    def add_to(self, d: Tensor, m: Tensor, piece: Piece) -> None:
        """Add the gradient of m to ``d``."""
        dv = self.dv[piece.rows].to(d.dtype)
        if self.moving:
            # Every row moves mean and variance in proportion to its copies.
            share = (self.edges.copies[piece.rows] / self.edges.total)[:, None]
            dv = dv.addcmul(torch.addcmul(self.level, m, self.slope), share, value=-1)
        d.addcmul_(dv, self.scale)


def _add_product(m: Tensor, rows: Tensor, across: Tensor) -> None:
    if rows.dtype == m.dtype:
        m.addmm_(rows, across)
    else:
        m += rows @ across


class EdgeGatedConv(nn.Module):
    """Edge-gated graph convolution (K. Choudhary and B. DeCost, npj Comput. Mater. 7, 185 (2021)).

    For an edge from s to t: ``m = A x_s + B x_t + C y``, gate ``g = sigmoid(m)``; then
    ``x_i <- x_i + silu(BN(D x_i + sum g (U x_s) / (sum g + 1e-6)))`` over the edges to i, and
    ``y <- y + silu(BN(m))``. Rows 0..F-1 of ``nodes.weight`` are A, then B, U and D.

    Args:
        width: F, length of node and edge vectors.
        updates_edges: whether new edge vectors are wanted; the last layer's are never read.
    """

    def __init__(self, width: int, *, updates_edges: bool = True) -> None:
        super().__init__()
        self.width = width
        self.nodes = nn.Linear(width, 4 * width)
        self.edges = nn.Linear(width, width)
        self.node_norm = WeightedBatchNorm(width)
        self.edge_norm = WeightedBatchNorm(width) if updates_edges else None

    def forward(
        self, nodes: Tensor, rows: Tensor, edges: Edges, node_weight: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return new node vectors (n, F) and edge vectors (E, F), or None for these.

        ``node_weight`` (n,) counts equal nodes; the dtype of ``rows`` is that of the products.
        """
        table, neighbours, own = self._project(nodes)
        norm = self.edge_norm
        with torch.autocast(nodes.device.type, enabled=False):
            mean, new, centre, variance = _GatedEdges.apply(  # type: ignore[no-untyped-call]
                table,
                neighbours,
                rows,
                self.edges.weight,
                None if norm is None else norm.weight,
                None if norm is None else norm.bias,
                norm,
                edges,
            )
            if norm is not None and norm.training and len(edges):
                norm.update_statistics(centre, variance, edges.total)
            updated = nodes + silu(self.node_norm(own + mean, node_weight))
        return updated, new

    def _project(self, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return A x and B x + biases (2n, F), U x (n, F), D x (n, F)."""
        weights = self.nodes.weight.chunk(4)
        biases = list(self.nodes.bias.chunk(4))
        biases[1] = biases[1] + self.edges.bias
        a, b, u, d = (
            linear(nodes, weight, bias).to(nodes.dtype)
            for weight, bias in zip(weights, biases, strict=True)
        )
        return torch.cat([a, b]), u, d
