"""The gated convolution of CGCNN in few passes over the bonds.

The published layer multiplies the concatenation of centre, neighbour and bond features with one
matrix, bond by bond. That product is a sum of three terms that repeat: one per atom as a centre,
one per atom as a neighbour, one per distinct bond length. They are computed once each and summed
per bond in a single pass; normalisation, gate and sum over bonds share one function with a
hand-written gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, softplus

from epitaxy.nn.norm import WeightedBatchNorm
from epitaxy.nn.segments import gathered_sum


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

    terms: Tensor
    """(E, 3) int64: rows of the table [centres; neighbours; lengths] that make up each bond."""
    by_source: Grouping
    by_destination: Grouping
    by_length: Grouping
    source: Tensor
    """(E,) int64."""
    weight: Tensor
    """(E,) how many equal bonds of its atom each one stands for."""
    copies: Tensor
    """(E,) how many bonds of the crystal: `weight` for each of the equivalent atoms."""
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
        """Prepare the bonds of a batch; ``source`` ascends."""
        n, n_atoms, (kind, basis) = len(source), len(atom_weight), kinds
        by_source = Grouping.of(source, n_atoms)._replace(
            order=torch.arange(n, device=source.device)
        )
        terms = torch.stack([source, destination + n_atoms, kind + 2 * n_atoms], dim=1)
        copies = weight * atom_weight.index_select(0, source)
        rows = 2 * n_atoms + len(basis)
        counts = torch.bincount(terms.flatten(), copies.repeat_interleave(3), minlength=rows)
        total = copies.sum().clamp(min=1)  # there may be no bond at all
        return cls(
            terms,
            by_source,
            Grouping.of(destination, n_atoms),
            Grouping.of(kind, len(basis)),
            source,
            weight,
            copies,
            (counts / total).to(weight.dtype),
            basis,
        )


class _GatedSum(torch.autograd.Function):
    """``s_i = sum_e w_e sigmoid(f_e) softplus(c_e)`` with [f, c] = BatchNorm(y) (weighted).

    ``y_e`` is the sum of three rows, one of each of three tables (centres, neighbours, lengths); in
    training the statistics of y are returned too.
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
        z = torch.empty_like(y)
        if moving:
            total = bonds.copies.sum().clamp(min=1)
            variance = bonds.copies @ torch.mul(y, y, out=z) / total
        inverse = torch.rsqrt(variance + eps)
        scale = gamma * inverse
        torch.addcmul(beta, y, scale, out=z)
        half = z.shape[1] // 2
        core = softplus(z[:, half:])
        # One pass for the gate sigmoid(f) and for sigmoid(c), the derivative of softplus(c).
        opened = torch.sigmoid_(z)
        summed = gathered_sum(opened[:, :half] * core, *bonds.by_source, bonds.weight)
        ctx.save_for_backward(y, opened, core, gamma, inverse)
        ctx.bonds, ctx.moving = bonds, moving
        ctx.mark_non_differentiable(mean, variance)
        return summed, mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y, opened, core, gamma, inverse = ctx.saved_tensors
        bonds: Bonds = ctx.bonds
        out = grads[0].index_select(0, bonds.source).mul_(bonds.weight[:, None])
        half = out.shape[1]
        gate = opened[:, :half]
        dz = torch.empty_like(y)
        torch.mul(out, gate, out=dz[:, half:])
        # d softplus(c) = sigmoid(c); d sigmoid(f) = gate (1 - gate)
        torch.mul(dz[:, half:], core, out=dz[:, :half])
        dz[:, :half].addcmul_(dz[:, :half], gate, value=-1)
        dz[:, half:] *= opened[:, half:]
        work = dz * y
        dbeta, dgamma = dz.sum(0), work.sum(0) * inverse
        if ctx.moving:
            # Every row moves mean and variance in proportion to its copies.
            torch.addcmul(dbeta, y, dgamma * inverse, out=work)
            dz.addcmul_(work, (bonds.copies / bonds.copies.sum())[:, None], value=-1)
        # The factor of the normalisation after the sums: there are fewer rows then.
        factor = gamma * inverse
        tables = [
            gathered_sum(dz, *groups, None).mul_(factor)
            for groups in (bonds.by_source, bonds.by_destination, bonds.by_length)
        ]
        return *tables, None, dgamma, dbeta, None, None, None, None


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
            if norm.training and len(bonds.source):
                norm.update_statistics(mean, variance, bonds.copies.sum())
            return softplus(atoms + self.atom_norm(summed, atom_weight))

    def _tables(self, atoms: Tensor, basis: Tensor) -> list[Tensor]:
        """Return the terms of all bonds: (N, 2F) as centre, (N, 2F) as neighbour, (L, 2F)."""
        sizes = [self.width, self.width, basis.shape[1]]
        centre, neighbour, length = torch.split(self.linear.weight, sizes, dim=1)
        ours = torch.addmm(self.linear.bias, atoms, centre.t())
        rows = [ours, atoms @ neighbour.t(), basis @ length.t()]
        return [row.to(basis.dtype) for row in rows]
