"""The edge-gated convolution of ALIGNN in few passes over the edges, piece by piece in the cache.

Nodes are projected once and looked up per edge; gate, normalisation and sums over edges share one
function with a hand-written gradient. It stores one row per edge (the sum before normalisation) and
computes the rest again on the way back. On a CPU it walks through the edges in pieces that stay in
the cache, so that its many cheap steps do not each wait for main memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, linear, silu

from epitaxy.nn.edges import Edges
from epitaxy.nn.norm import NormKind, make_norm
from epitaxy.nn.norm_passes import (
    BatchNormed,
    NormPass,
    norm_silu,
    pass_through,
    see_gradients,
)
from epitaxy.nn.segments import gathered_sum

EPSILON = 1e-6
"""Keeps the mean over no gates finite."""


class _GatedEdges(torch.autograd.Function):
    """Gated mean over the neighbours of each node, and the new edge vectors.

    ``m_e = table[s_e] + table[n + t_e] + W y_e``, ``g_e = sigmoid(m_e)``,
    ``h_i = sum_e w_e g_e u_{s_e} / (sum_e w_e g_e + 1e-6)`` over the edges with target i, and
    ``y'_e = y_e + silu(norm(m_e))``, unless there is no norm.
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
        edges: Edges,
        norm: NormPass | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor | None]:
        # Without a way back, and with statistics that are known, one walk does everything.
        moving = isinstance(norm, BatchNormed)
        at_once = norm is not None and not moving and not keep
        mixed = rows.new_empty(rows.shape if not at_once else (0, 0))
        gated, gates = torch.empty_like(neighbours), torch.empty_like(neighbours)
        new = None if norm is None else torch.empty_like(rows)
        if norm is not None and gamma is not None and beta is not None and not moving:
            norm.settle(gamma, beta)
        across = matrix.to(rows.dtype).t()
        for piece in edges.pieces:
            m = embedding_bag(edges.terms[piece.rows], table, mode="sum")
            _add_product(m, rows[piece.rows], across)
            if not at_once:
                mixed[piece.rows] = m
            if isinstance(norm, BatchNormed):
                norm.see(m, piece.rows)
            elif norm is not None and new is not None:
                _activate(norm, m, rows, new, piece.rows)
            gate = m.sigmoid_()
            gates[piece.groups] = edges.sum_groups(gate, piece)
            gate *= neighbours.index_select(0, edges.source[piece.rows])
            gated[piece.groups] = edges.sum_groups(gate, piece)
        gates += EPSILON
        mean = gated.div_(gates)
        ctx.edges, ctx.norm = edges, norm
        ctx.save_for_backward(neighbours, rows, matrix, mixed, mean, gates)
        if isinstance(norm, BatchNormed) and new is not None:
            assert gamma is not None
            assert beta is not None
            norm.settle(gamma, beta)
            for piece in edges.pieces:
                m = mixed[piece.rows].to(neighbours.dtype)
                _activate(norm, m, rows, new, piece.rows)
        return mean, new

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        neighbours, rows, matrix, mixed, mean, gates = ctx.saved_tensors
        edges: Edges = ctx.edges
        norm: NormPass | None = ctx.norm
        dmean, dnew = grads
        assert dmean is not None
        dm, through = torch.empty_like(mixed), torch.empty_like(mixed)
        if isinstance(norm, BatchNormed) and dnew is not None:
            see_gradients(norm, mixed, dnew, dm)
        n, width = neighbours.shape
        dgated = dmean / gates
        # A gate feels dgated * (u of its source - mean).
        pull = torch.cat([dgated, dgated * mean], dim=1)
        dtable = neighbours.new_empty(2 * n, width)
        for piece in edges.pieces:
            m = mixed[piece.rows].to(neighbours.dtype)
            pulled = edges.spread(pull, piece)
            u = neighbours.index_select(0, edges.source[piece.rows])
            u.mul_(pulled[:, :width]).sub_(pulled[:, width:])
            gate = torch.sigmoid(m)
            through[piece.rows] = pulled[:, :width].mul_(gate)
            d = torch.ops.aten.sigmoid_backward(u, gate)
            if isinstance(norm, BatchNormed):
                norm.back(dm[piece.rows].to(m.dtype), m, piece.rows, d)
            elif norm is not None and dnew is not None:
                d += norm.through_silu(dnew[piece.rows].to(m.dtype), m)
            dm[piece.rows] = d
            dtable[n:][piece.groups] = edges.sum_groups(d, piece, weighted=False)
        dtable[:n] = gathered_sum(dm, *edges.by_source, None)
        dneighbours = gathered_sum(through, *edges.by_source, None).to(neighbours.dtype)
        drows = torch.mm(dm, matrix.to(dm.dtype), out=through)
        if dnew is not None:
            drows += dnew
        dmatrix = (dm.t() @ rows).to(matrix.dtype)
        dgamma, dbeta = (None, None) if norm is None else norm.gradients()
        return dtable, dneighbours, drows, dmatrix, dgamma, dbeta, None, None, None


def _add_product(m: Tensor, rows: Tensor, across: Tensor) -> None:
    if rows.dtype == m.dtype:
        m.addmm_(rows, across)
    else:
        m += rows @ across


def _activate(norm: NormPass, m: Tensor, rows: Tensor, new: Tensor, piece: slice) -> None:
    """Write ``rows + silu(norm(m))`` to ``new``."""
    torch.add(silu(norm.apply(m), inplace=True), rows[piece], out=new[piece])


class EdgeGatedConv(nn.Module):
    """Edge-gated graph convolution (K. Choudhary and B. DeCost, npj Comput. Mater. 7, 185 (2021)).

    For an edge from s to t: ``m = A x_s + B x_t + C y``, gate ``g = sigmoid(m)``; then
    ``x_i <- x_i + silu(norm(D x_i + sum g (U x_s) / (sum g + 1e-6)))`` over the edges to i, and
    ``y <- y + silu(norm(m))``. The rows of ``nodes.weight`` are A, B, U and D; those of
    ``edges.weight`` are C.

    Args:
        width: F, length of node and edge vectors.
        norm: normalisation of the edges; None when nobody reads the new edge vectors.
        nodes_norm: normalisation of the nodes; that of the edges when it is left out.
    """

    def __init__(
        self, width: int, norm: NormKind | None = "batch", *, nodes_norm: NormKind | None = None
    ) -> None:
        super().__init__()
        self.nodes = nn.Linear(width, 4 * width)
        self.edges = nn.Linear(width, width)
        self.node_norm = make_norm(nodes_norm or norm or "batch", width)
        self.edge_norm = None if norm is None else make_norm(norm, width)

    def forward(
        self, nodes: Tensor, rows: Tensor, edges: Edges, node_weight: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return new node vectors (n, F) and edge vectors (E, F), or None for these.

        ``node_weight`` (n,) counts equal nodes. Under autocast, products are computed and edge
        vectors kept in its precision; gates, sums and statistics are not.
        """
        kind = nodes.device.type
        if torch.is_autocast_enabled(kind):
            rows = rows.to(torch.get_autocast_dtype(kind))
        nodes = nodes.to(self.node_norm.weight.dtype)
        table, neighbours, own = self._project(nodes)
        norm = None if self.edge_norm is None else pass_through(self.edge_norm, edges.copies)
        with torch.autocast(kind, enabled=False):
            mean, new = _GatedEdges.apply(  # type: ignore[no-untyped-call]
                table,
                neighbours,
                rows,
                self.edges.weight,
                None if self.edge_norm is None else self.edge_norm.weight,
                None if self.edge_norm is None else self.edge_norm.bias,
                edges,
                norm,
                torch.is_grad_enabled(),
            )
            return nodes + norm_silu(own + mean, self.node_norm, node_weight), new

    def _project(self, nodes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return A x and B x + biases (2n, F), U x (n, F), D x (n, F)."""
        biases = list(self.nodes.bias.chunk(4))
        biases[1] = biases[1] + self.edges.bias
        a, b, u, d = (
            linear(nodes, weight, bias).to(nodes.dtype)
            for weight, bias in zip(self.nodes.weight.chunk(4), biases, strict=True)
        )
        return torch.cat([a, b]), u, d
