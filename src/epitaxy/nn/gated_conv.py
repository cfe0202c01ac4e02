"""The gated convolution of CGCNN in few passes over the bonds.

The published layer multiplies the concatenation of centre, neighbour and bond features with one
matrix, bond by bond. That product is a sum of three terms that repeat: one per atom as a centre,
one per atom as a neighbour, one per distinct bond length. They are computed once each and summed
per bond in a single pass; normalisation, gate and sum over bonds share one function with a
hand-written gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, softplus

from epitaxy.nn.edges import Edges
from epitaxy.nn.norm import WeightedBatchNorm
from epitaxy.nn.segments import gathered_sum

softplus_into: Callable[..., Tensor] = torch.ops.aten.softplus.out


class Grouping(NamedTuple):
    """Bonds sorted by something: group g holds the bonds ``order[offsets[g]:offsets[g + 1]]``."""

    order: Tensor
    """(E,) int64."""
    offsets: Tensor
    """(number of groups + 1,) int64."""

    @classmethod
    def of(cls, groups: Tensor, count: int) -> Grouping:
        """Group bonds by the (E,) numbers ``groups`` in ``range(count)``."""
        sizes = torch.bincount(groups, minlength=count)
        return cls(
            torch.argsort(groups, stable=True), torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        )


class BondKinds(NamedTuple):
    """Which expanded length each bond has."""

    kind: Tensor
    """(E,) int64 row of `basis`."""
    basis: Tensor
    """(L, U)."""


class Bonds(NamedTuple):
    """What a convolution needs to know of a batch: N atoms, E bonds, L distinct bond lengths."""

    edges: Edges
    """From neighbour to centre; `Edges.copies` counts the bonds of all equivalent atoms."""
    terms: Tensor
    """(E, 3) int64: rows of the table [centres; neighbours; lengths] that make up each bond."""
    groups: tuple[Grouping, Grouping, Grouping]
    """By centre, by neighbour, by length."""
    part: Tensor
    """(E,) part of all bonds that each one stands for."""
    shares: Tensor
    """(2 N + L,) part of all bonds in which each row of the table has a term."""
    basis: Tensor
    """(L, U) expanded bond lengths."""

    @classmethod
    def of(
        cls,
        source: Tensor,
        destination: Tensor,
        weight: Tensor,
        *,
        kinds: BondKinds,
        atom_weight: Tensor,
    ) -> Bonds:
        """Prepare the bonds of a batch; ``source``, the centre, ascends."""
        n_atoms, (kind, basis) = len(atom_weight), kinds
        sizes = torch.bincount(source, minlength=n_atoms)
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        terms = torch.stack([source, destination + n_atoms, kind + 2 * n_atoms], dim=1)
        copies = weight * atom_weight.index_select(0, source)
        part = copies / copies.sum().clamp(min=1)  # there may be no bond at all
        rows = 2 * n_atoms + len(basis)
        shares = torch.bincount(terms.flatten(), part.repeat_interleave(3), minlength=rows)
        edges = Edges(offsets, destination, source, weight=weight, copies=copies)
        by_centre, by_neighbour = Grouping(edges.order, offsets), Grouping(*edges.by_source)
        groups = (by_centre, by_neighbour, Grouping.of(kind, len(basis)))
        return cls(
            edges,
            terms,
            groups,
            part,
            shares.to(weight.dtype),
            basis,
        )


class _GatedSum(torch.autograd.Function):
    """``s_i = sum_e w_e sigmoid(f_e) softplus(c_e)`` with [f, c] = BatchNorm(y) (weighted).

    ``y_e`` is the sum of three rows, one of each of three tables (centres, neighbours, lengths); in
    training the statistics of y are returned too. What needs no other bond is done piece by piece,
    in the cache.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positional arguments
        ctx: Any,
        centres: Tensor,
        neighbours: Tensor,
        lengths: Tensor,
        bonds: Bonds,
        gamma: Tensor,
        beta: Tensor,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        moving: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Every large array that is not made, and every walk that is not taken, counts here.
        if moving:
            parts = torch.split(bonds.shares, [len(centres), len(neighbours), len(lengths)])
            mean = parts[0] @ centres + parts[1] @ neighbours + parts[2] @ lengths
        table = torch.cat([centres - mean, neighbours, lengths])
        y = embedding_bag(bonds.terms, table, mode="sum")
        if moving:
            variance = y.new_zeros(y.shape[1])
            for piece in bonds.edges.pieces:
                variance += bonds.part[piece.rows] @ y[piece.rows].square()
        inverse = torch.rsqrt(variance + eps)
        opened, core, summed = _gates(y, gamma * inverse, beta, bonds.edges)
        ctx.save_for_backward(y, opened, core, gamma, inverse)
        ctx.bonds, ctx.moving = bonds, moving
        ctx.mark_non_differentiable(mean, variance)
        return summed, mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y, opened, core, gamma, inverse = ctx.saved_tensors
        bonds: Bonds = ctx.bonds
        dz = torch.empty_like(y)
        dgamma, dbeta = y.new_zeros((2, y.shape[1]))
        for piece in bonds.edges.pieces:
            d = dz[piece.rows]
            _through_gates(
                bonds.edges.spread(grads[0], piece), opened[piece.rows], core[piece.rows], d
            )
            dbeta += d.sum(0)
            dgamma += (d * y[piece.rows]).sum(0)
        dgamma *= inverse
        if ctx.moving:
            # Every row moves mean and variance in proportion to its copies.
            for piece in bonds.edges.pieces:
                common = torch.addcmul(dbeta, y[piece.rows], dgamma * inverse)
                dz[piece.rows].addcmul_(common, bonds.part[piece.rows, None], value=-1)
        # The factor of the normalisation after the sums: there are fewer rows then.
        factor = gamma * inverse
        tables = [gathered_sum(dz, *group, None).mul_(factor) for group in bonds.groups]
        return *tables, None, dgamma, dbeta, None, None, None, None


def _gates(y: Tensor, scale: Tensor, beta: Tensor, edges: Edges) -> tuple[Tensor, Tensor, Tensor]:
    """Return sigmoid(z) of z = scale y + beta, softplus(c) and the sums over bonds.

    Shapes: (E, 2F), (E, F), (N, F).
    """
    half = y.shape[1] // 2
    opened, core = torch.empty_like(y), y.new_empty((len(y), half))
    summed = y.new_zeros((edges.n_nodes, half))
    for piece in edges.pieces:
        z, c = opened[piece.rows], core[piece.rows]
        torch.addcmul(beta, y[piece.rows], scale, out=z)
        softplus_into(z[:, half:], out=c)
        # One pass for the gate sigmoid(f) and for sigmoid(c), the derivative of softplus(c).
        torch.sigmoid_(z)
        summed[piece.groups] = edges.sum_groups(z[:, :half] * c, piece)
    return opened, core, summed


def _through_gates(out: Tensor, opened: Tensor, core: Tensor, dz: Tensor) -> None:
    """Write the gradient of z (E, 2F) from that of the product of gate and core (E, F)."""
    half = out.shape[1]
    gate, df, dc = opened[:, :half], dz[:, :half], dz[:, half:]
    torch.mul(out, gate, out=dc)
    # d softplus(c) = sigmoid(c); d sigmoid(f) = gate (1 - gate)
    torch.mul(dc, core, out=df)
    df.addcmul_(df, gate, value=-1)
    dc *= opened[:, half:]


class GatedConv(nn.Module):
    """One convolution of CGCNN (Xie and Grossman 2018, Eq. 5, with the released batch norms).

    ``v_i <- softplus(v_i + BN(sum_j sigmoid(BN(z)_f) * softplus(BN(z)_c)))`` where z is a linear
    map of [v_i, v_j, u_ij]; rows 0..F-1 of ``linear`` are the filter f, rows F..2F-1 the core c.

    Args:
        width: F, length of the atom vectors.
        basis: U, number of basis functions of the bond length.
    """

    def __init__(self, width: int, basis: int) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(2 * width + basis, 2 * width)
        self.bond_norm = WeightedBatchNorm(2 * width)
        self.atom_norm = WeightedBatchNorm(width)

    def forward(self, atoms: Tensor, bonds: Bonds, atom_weight: Tensor) -> Tensor:
        """Return the new atom vectors, (N, F) -> (N, F)."""
        norm = self.bond_norm
        tables = self._tables(atoms, bonds.basis)
        # Sums over many rows would lose their digits in the precision of autocast.
        with torch.autocast(atoms.device.type, enabled=False):
            summed, mean, variance = _GatedSum.apply(  # type: ignore[no-untyped-call]
                *tables,
                bonds,
                norm.weight,
                norm.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.training,
            )
            if norm.training and len(bonds.edges):
                norm.update_statistics(mean, variance, bonds.edges.copies.sum())
            return softplus(atoms + self.atom_norm(summed, atom_weight))

    def _tables(self, atoms: Tensor, basis: Tensor) -> list[Tensor]:
        """Return the terms of all bonds: (N, 2F) as centre, (N, 2F) as neighbour, (L, 2F)."""
        sizes = [self.width, self.width, basis.shape[1]]
        centre, neighbour, length = torch.split(self.linear.weight, sizes, dim=1)
        ours = torch.addmm(self.linear.bias, atoms, centre.t())
        rows = [ours, atoms @ neighbour.t(), basis @ length.t()]
        return [row.to(basis.dtype) for row in rows]
