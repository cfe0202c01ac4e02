"""`CrystalBatch`: the tensors of one mini-batch, bonds grouped by atom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epitaxy.batches.angles import Angles, Rays, make_angles
from epitaxy.core.lazy import mapped
from epitaxy.graphs.store import GraphArrays


@dataclass(frozen=True, eq=False)
class CrystalBatch:
    """Crystals as one disjoint graph. Shapes: B crystals, N atoms, E bonds, P properties.

    After merging (see `GraphRecipe`) a row may stand for several equal atoms or bonds; the weights
    count them. Bonds of an atom are consecutive, atoms of a crystal are consecutive.
    """

    atomic_numbers: Tensor
    """(N,) int64."""
    atom_weight: Tensor
    """(N,) float32."""
    atom_offsets: Tensor
    """(B + 1,) int64: atoms of crystal b are ``atom_offsets[b]:atom_offsets[b + 1]``."""
    bond_offsets: Tensor
    """(N + 1,) int64: bonds that start at atom i."""
    bond_src: Tensor
    """(E,) int64, ascending."""
    bond_dst: Tensor
    """(E,) int64."""
    bond_length: Tensor
    """(E,) float32, Å."""
    bond_weight: Tensor
    """(E,) float32."""
    bond_rank: Tensor | None = None
    """(E,) int64 number of the shell, from 1; None unless the rule of the graphs numbers them."""
    rays: Rays | None = None
    """What angles follow from; None unless the recipe keeps bond vectors."""
    targets: Tensor | None = None
    """(B, P) float32 on the learning scale, NaN where not known."""
    state: Mapping[str, Tensor] = field(default_factory=dict)
    """Cached activations of a frozen prefix: ``atoms`` (N, F), ``bonds`` (E, F), ``angles`` (A, F)
    or ``crystal`` (B, F); empty when the network runs from its input."""
    extras: Mapping[str, CrystalBatch | Tensor] = field(default_factory=dict)
    """What else a model reads of the same crystals: graphs by other recipes, and vectors (B, F)."""

    def __len__(self) -> int:
        return len(self.atom_offsets) - 1

    @cached_property
    def incoming(self) -> tuple[Tensor, Tensor]:
        """Bond numbers sorted by destination (E,), and where each atom's begin (N + 1,)."""
        order = torch.argsort(self.bond_dst, stable=True)
        counts = torch.bincount(self.bond_dst, minlength=len(self.atomic_numbers))
        return order, torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    @cached_property
    def angles(self) -> Angles:
        """Pairs of bonds at one atom, made when first asked for, on the device of the batch."""
        assert self.rays is not None
        return make_angles(self.rays, self.bond_offsets, self.bond_dst)

    def to(self, device: torch.device | str) -> CrystalBatch:
        """Return the batch on ``device`` (itself when it is there already)."""
        if self.atomic_numbers.device == torch.device(device):
            return self
        return self.changed(lambda t: t.to(device, non_blocking=True))

    def double(self) -> CrystalBatch:
        """Return the batch with all real numbers in float64 (for tests of exactness)."""
        return self.changed(lambda t: t.double() if t.is_floating_point() else t)

    def changed(self, change: Callable[[Tensor], Tensor]) -> CrystalBatch:
        """Return the batch with every tensor changed; what is lazy stays so."""
        changed: dict[str, Any] = {
            f.name: change(value)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        if self.rays is not None:
            changed["rays"] = self.rays.map(change)

        def extra(value: CrystalBatch | Tensor) -> CrystalBatch | Tensor:
            return change(value) if isinstance(value, Tensor) else value.changed(change)

        return replace(
            self, **changed, state=mapped(self.state, change), extras=mapped(self.extras, extra)
        )


def collate(
    arrays: GraphArrays,
    targets: np.ndarray | None = None,
    state: Mapping[str, Tensor] | None = None,
    extras: Mapping[str, CrystalBatch | Tensor] | None = None,
) -> CrystalBatch:
    """Turn gathered arrays of B crystals into one batch; ``targets`` is (B, P) or None."""

    def offsets(counts: np.ndarray) -> Tensor:
        total = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=total[1:])
        return torch.from_numpy(total)

    rays, rank = arrays.rays, arrays.bond_rank
    return CrystalBatch(
        atomic_numbers=torch.from_numpy(arrays.atomic_numbers.astype(np.int64)),
        atom_weight=torch.from_numpy(arrays.atom_weight),
        atom_offsets=offsets(arrays.n_atoms),
        bond_offsets=offsets(arrays.n_bonds),
        bond_src=torch.from_numpy(np.repeat(np.arange(len(arrays.n_bonds)), arrays.n_bonds)),
        bond_dst=torch.from_numpy(arrays.bond_dst.astype(np.int64)),
        bond_length=torch.from_numpy(arrays.bond_length),
        bond_weight=torch.from_numpy(arrays.bond_weight),
        bond_rank=None if rank is None else torch.from_numpy(rank.astype(np.int64)),
        rays=None
        if rays is None
        else Rays(
            offsets(rays.n_rays),
            torch.from_numpy(rays.ray_bond),
            torch.from_numpy(rays.ray_direction),
            torch.from_numpy(rays.ray_partner),
            torch.from_numpy(rays.bond_mirror),
            rays.tolerance,
        ),
        targets=None if targets is None else torch.from_numpy(np.float32(targets)),
        state=state or {},
        extras=extras or {},
    )


def scope_of(name: str) -> str:
    """Return what the rows of a state stand for.

    >>> scope_of("atoms"), scope_of("some expert/atoms")
    ('atoms', 'atoms')
    """
    return name.rpartition("/")[2]


def without_graphs(n_crystals: int) -> GraphArrays:
    """Return the arrays of crystals of which no atom is needed (their vectors are cached)."""
    whole, real = np.zeros(0, np.int64), np.zeros(0, np.float32)
    return GraphArrays(
        n_atoms=np.zeros(n_crystals, np.int64),
        atomic_numbers=np.zeros(0, np.uint8),
        atom_weight=real,
        n_bonds=whole,
        bond_dst=whole,
        bond_length=real,
        bond_weight=real,
    )
