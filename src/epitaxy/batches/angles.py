"""The line graph of a batch: pairs of bonds at one atom, made on the device, never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Rays(NamedTuple):
    """The surroundings of each node, see `epitaxy.graphs.store.RayArrays`: R rays, E bonds."""

    offsets: Tensor
    """(N + 1,) int64: rays of node i."""
    bond: Tensor
    """(R,) int64 the bond that stands for the ray."""
    direction: Tensor
    """(R, 3) float32 unit vector away from the node."""
    partner: Tensor
    """(R,) int64 ray with which this one makes no angle, or -1."""
    mirror: Tensor
    """(E,) int64 ray at the destination of each bond that leads back along it."""
    tolerance: float
    """Cosines whose difference is below this may be merged; 0 merges nothing."""

    def map(self, change: Callable[[Tensor], Tensor]) -> Rays:
        """Apply a function to every tensor."""
        return Rays(
            offsets=change(self.offsets),
            bond=change(self.bond),
            direction=change(self.direction),
            partner=change(self.partner),
            mirror=change(self.mirror),
            tolerance=self.tolerance,
        )


class Angles(NamedTuple):
    """Pairs (source, target) of bonds, grouped by target: A pairs, E bonds.

    The target ends at the atom where the source starts. Messages run against the stored direction
    of bonds, from the source, over this atom, to the target.
    """

    offsets: Tensor
    """(E + 1,) int64: pairs that act upon bond e."""
    source: Tensor
    """(A,) int64 bond."""
    target: Tensor
    """(A,) int64 bond, ascending."""
    cosine: Tensor
    """(A,) cosine of the angle between the two bonds; 1 for a bond and itself."""
    weight: Tensor
    """(A,) how many equal pairs this one stands for."""


def make_angles(rays: Rays, bond_offsets: Tensor, bond_dst: Tensor) -> Angles:
    """Pair every bond with all bonds of the atom at its end (ALIGNN's line graph).

    The pairs of an atom are one dense block, (bonds in) x (bonds out); pairs of the same two bonds
    with equal angles are then merged into one with a weight.
    """
    n_rays = torch.diff(rays.offsets)
    counts = n_rays.index_select(0, bond_dst)
    ends = counts.cumsum(0)
    target = torch.repeat_interleave(counts)
    total = len(target)
    first = rays.offsets.index_select(0, bond_dst) - ends + counts
    ray = torch.arange(total, device=target.device) + first.index_select(0, target)
    back = rays.mirror.index_select(0, target)
    directions = rays.direction
    products = directions.index_select(0, ray) * directions.index_select(0, back)
    cosine = products.sum(1).clamp_(-1.0, 1.0)
    if bool((rays.partner >= 0).any()):
        kept = rays.partner.index_select(0, back) != ray
        target, ray, cosine = target[kept], ray[kept], cosine[kept]
    source = rays.bond.index_select(0, ray)
    weight = torch.ones_like(cosine)
    if rays.tolerance > 0:
        target, source, cosine, weight = _merge(
            target, source, cosine, rays.tolerance, bond_offsets.index_select(0, bond_dst)
        )
    sizes = torch.bincount(target, minlength=len(bond_dst))
    offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    return Angles(offsets, source, target, cosine, weight)


def _merge(
    target: Tensor, source: Tensor, cosine: Tensor, tolerance: float, first_bond: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Merge pairs with the same bonds and the same cosine, up to the tolerance."""
    # A rounded cosine may fall on either side of a boundary: then two pairs stay apart, which
    # costs a little time and changes nothing.
    steps = round(2 / tolerance) + 2
    local = source - first_bond.index_select(0, target)
    n_local = int(local.max()) + 1 if len(local) else 1
    level = ((cosine + 1) / tolerance).round().long()
    key = (target * n_local + local) * steps + level
    found, group, counts = torch.unique(key, return_inverse=True, return_counts=True)
    total = torch.bincount(group, cosine.double(), minlength=len(found))
    pair = found // steps
    merged_target = pair // n_local
    merged_source = pair % n_local + first_bond.index_select(0, merged_target)
    return merged_target, merged_source, (total / counts).to(cosine), counts.to(cosine)
