"""The gated convolution of CGCNN, computed bond by bond in as few passes as possible.

The published layer multiplies the concatenation of centre, neighbour and bond features with one
matrix. That product is split: the two atom parts are computed once per atom instead of once per
bond, which removes three quarters of the arithmetic; normalisation, gate and sum are one function
with a hand-written gradient.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from epitaxy.nn.norm import WeightedBatchNorm
from epitaxy.nn.segments import gathered_sum

# Beyond this argument softplus(x) = x to float32 precision, and exp(-x) is still representable.
LARGEST = 80.0


class Bonds(NamedTuple):
    """Bonds grouped by their source atom, and the same bonds grouped by destination.

    Shapes: N atoms, E bonds, U basis functions.
    """

    source: Tensor
    """(E,) int64, ascending."""
    destination: Tensor
    """(E,) int64."""
    offsets: Tensor
    """(N + 1,) int64: bonds of atom i are ``offsets[i]:offsets[i + 1]``."""
    incoming: Tensor
    """(E,) int64: bond numbers sorted by destination."""
    incoming_offsets: Tensor
    """(N + 1,) int64: bonds that end at atom i are ``incoming[a:b]``, a, b from here."""
    weight: Tensor
    """(E,) how many equal bonds each one stands for."""
    basis: Tensor
    """(E, U) expanded bond lengths."""


def _product(a: Tensor, b: Tensor, low: torch.dtype | None) -> Tensor:
    """Matrix product, in the autocast precision ``low`` where one is set."""
    return a @ b if low is None else (a.to(low) @ b.to(low)).to(a.dtype)


class _GatedSum(torch.autograd.Function):
    """``s_i = sum_e w_e sigmoid(f_e) softplus(c_e)`` with [f, c] = BatchNorm(y) (weighted)."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take positional arguments
        ctx: Any,
        centre: Tensor,
        neighbour: Tensor,
        bond_matrix: Tensor,
        bias: Tensor,
        gamma: Tensor,
        beta: Tensor,
        bonds: Bonds,
        fixed: tuple[Tensor, Tensor] | None,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        low = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        if centre.is_cuda and torch.is_autocast_enabled("cuda"):
            low = torch.get_autocast_dtype("cuda")
        y = _product(bonds.basis, bond_matrix.t(), low).add_(bias)
        y += centre.index_select(0, bonds.source)
        y += neighbour.index_select(0, bonds.destination)
        if fixed is None:
            total = bonds.weight.sum()
            mean = bonds.weight @ y / total
            y -= mean
            variance = bonds.weight @ y.square() / total
        else:
            mean, variance = fixed
            y -= mean
        inverse = torch.rsqrt(variance + eps)
        y *= inverse
        z = torch.addcmul(beta, y, gamma)
        half = z.shape[1] // 2
        gate = torch.sigmoid(z[:, :half])
        # softplus(c) = -log(sigmoid(-c)): one logarithm, and the sigmoid serves the gradient too.
        closed = torch.sigmoid_(z[:, half:].clamp_(max=LARGEST).neg_())
        core = torch.log(closed).neg_()
        order = torch.arange(len(bonds.source), device=y.device)
        summed = gathered_sum(gate * core, order, bonds.offsets, bonds.weight)
        ctx.save_for_backward(y, gate, closed, core, gamma, inverse)
        ctx.bonds, ctx.moving, ctx.low = bonds, fixed is None, low
        ctx.mark_non_differentiable(mean, variance)
        return summed, mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        y, gate, closed, core, gamma, inverse = ctx.saved_tensors
        bonds: Bonds = ctx.bonds
        out = grads[0].index_select(0, bonds.source).mul_(bonds.weight[:, None])
        half = out.shape[1]
        dz = torch.empty_like(y)
        torch.mul(out, gate, out=dz[:, half:])
        # d softplus(c) = sigmoid(c) = 1 - closed; d sigmoid(f) = gate (1 - gate)
        torch.mul(dz[:, half:], core, out=dz[:, :half])
        dz[:, :half].addcmul_(dz[:, :half], gate, value=-1)
        dz[:, half:].addcmul_(dz[:, half:], closed, value=-1)
        dbeta = dz.sum(0)
        dgamma = (dz * y).sum(0)
        if ctx.moving:
            # Every row moves mean and variance in proportion to its weight.
            share = (bonds.weight / bonds.weight.sum())[:, None]
            dz.sub_(share * torch.addcmul(dbeta, y, dgamma))
        dz *= gamma * inverse
        need = ctx.needs_input_grad
        order = torch.arange(len(bonds.source), device=y.device)
        return (
            gathered_sum(dz, order, bonds.offsets, None) if need[0] else None,
            gathered_sum(dz, bonds.incoming, bonds.incoming_offsets, None) if need[1] else None,
            _product(bonds.basis.t(), dz, ctx.low).t() if need[2] else None,
            dz.sum(0) if need[3] else None,
            dgamma,
            dbeta,
            None,
            None,
            None,
        )


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
        sizes = [self.width, self.width, bonds.basis.shape[1]]
        parts = torch.split(self.linear.weight, sizes, dim=1)
        centre, neighbour = (atoms @ torch.cat(parts[:2]).t()).chunk(2, dim=1)
        norm = self.bond_norm
        fixed = None if norm.training else (norm.running_mean, norm.running_var)
        summed, mean, variance = _GatedSum.apply(  # type: ignore[no-untyped-call]
            centre.to(parts[2].dtype),
            neighbour.to(parts[2].dtype),
            parts[2],
            self.linear.bias,
            norm.weight,
            norm.bias,
            bonds,
            fixed,
            norm.eps,
        )
        if fixed is None:
            norm.update_statistics(mean, variance, bonds.weight.sum())
        return softplus(atoms + self.atom_norm(summed, atom_weight))
