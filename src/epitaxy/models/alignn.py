"""ALIGNN: atomistic line graph neural network.

K. Choudhary and B. DeCost, npj Comput. Mater. 7, 185 (2021); sizes and conventions of the released
version 2023.4.1, which Devi et al., npj Comput. Mater. 10, 300 (2024) trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from epitaxy.batches.batch import CrystalBatch
from epitaxy.graphs.elements import element_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.encoder import DepthGroup, Encoder, Features, State
from epitaxy.nn.edge_gated_conv import EdgeGatedConv, Edges
from epitaxy.nn.norm import WeightedBatchNorm
from epitaxy.nn.segments import segment_mean

RECIPE = GraphRecipe(rule="symmetric", bond_vectors=True)


class Embedding(nn.Module):
    """Linear, batch norm, SiLU: (N, in) -> (N, out)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = WeightedBatchNorm(outputs)

    def forward(self, rows: Tensor, weights: Tensor) -> Tensor:
        """``weights`` (N,) counts equal rows."""
        mapped = self.linear(rows)
        return nn.functional.silu(self.norm(mapped.to(self.norm.weight.dtype), weights))


class ALIGNN(Encoder):
    """Messages between atoms along bonds, and between bonds along angles.

    >>> sum(p.numel() for p in ALIGNN().parameters())
    4025472
    """

    def __init__(
        self,
        *,
        width: int = 256,
        embedding: int = 64,
        alignn_layers: int = 4,
        gcn_layers: int = 4,
        recipe: GraphRecipe | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe or RECIPE
        self.width, self.embedding = width, embedding
        table = torch.tensor(element_table(), dtype=torch.float32)
        self.register_buffer("elements", table, persistent=False)
        self.register_buffer("lengths", torch.linspace(0, 8, 80, dtype=torch.float64), persistent=False)
        self.register_buffer("cosines", torch.linspace(-1, 1, 40, dtype=torch.float64), persistent=False)
        self.atom_embedding = Embedding(table.shape[1], width)
        self.bond_embedding = nn.ModuleList([Embedding(80, embedding), Embedding(embedding, width)])
        self.angle_embedding = nn.ModuleList([Embedding(40, embedding), Embedding(embedding, width)])
        self.bond_convs = nn.ModuleList(EdgeGatedConv(width) for _ in range(alignn_layers))
        self.angle_convs = nn.ModuleList(
            EdgeGatedConv(width, updates_edges=t + 1 < alignn_layers) for t in range(alignn_layers)
        )
        self.gcn_convs = nn.ModuleList(
            EdgeGatedConv(width, updates_edges=t + 1 < gcn_layers) for t in range(gcn_layers)
        )

    def settings(self):
        return {"width": self.width, "embedding": self.embedding, "alignn_layers": len(self.bond_convs), "gcn_layers": len(self.gcn_convs)}

    def depth_groups(self):
        groups = [DepthGroup("embedding", (self.atom_embedding, self.bond_embedding, self.angle_embedding))]
        for t,(a,b) in enumerate(zip(self.bond_convs,self.angle_convs),1):
            groups.append(DepthGroup(f"alignn-{t}", (a,b)))
        for t,a in enumerate(self.gcn_convs,1):
            groups.append(DepthGroup(f"gcn-{t}", (a,)))
        return groups

    def advance(self, group, state, batch):
        bonds, angles = self._edges(batch)
        dtype = self.atom_embedding.linear.weight.dtype
        if group == 0:
            x = self.atom_embedding(self.elements.to(dtype).index_select(0, batch.atomic_numbers), batch.atom_weight.to(dtype))
            y = _rbf(batch.bond_length.to(dtype), self.lengths.to(dtype))
            for layer in self.bond_embedding: y = layer(y, bonds.copies)
            z = _rbf(batch.angles.cosine.to(dtype), self.cosines.to(dtype))
            for layer in self.angle_embedding: z = layer(z, angles.copies)
            if torch.is_autocast_enabled(x.device.type):
                z = z.to(torch.get_autocast_dtype(x.device.type))
            return {"atoms": x, "bonds": y, "angles": z}
        x, y, z = state["atoms"], state["bonds"], state.get("angles")
        k = len(self.bond_convs)
        low = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else y.dtype
        if group <= k:
            x, m = self.bond_convs[group-1](x, y.to(low), bonds, batch.atom_weight.to(dtype))
            y, z = self.angle_convs[group-1](m.to(x.dtype), z, angles, bonds.copies)
        else:
            x, y = self.gcn_convs[group-k-1](x, y.to(low), bonds, batch.atom_weight.to(dtype))
            z = None
            y = None if y is None else y.to(x.dtype)
        new = {"atoms": x}
        if y is not None: new["bonds"] = y
        if z is not None: new["angles"] = z
        return new

    def features(self, state, batch):
        atoms = state["atoms"]
        return Features(atoms, segment_mean(atoms, batch.atom_offsets, batch.atom_weight.to(atoms.dtype)))

    def _edges(self, batch):
        dtype = self.atom_embedding.linear.weight.dtype
        key = f"alignn_edges {dtype}"
        if key not in batch.__dict__:
            w = batch.bond_weight.to(dtype)
            copies = w * batch.atom_weight.to(dtype).index_select(0, batch.bond_src)
            bonds = Edges(batch.bond_offsets, batch.bond_dst, batch.bond_src, weight=w, copies=copies)
            a = batch.angles
            aw = a.weight.to(dtype)
            angles = Edges(a.offsets, a.source, a.target, weight=aw, copies=aw * copies.index_select(0, a.target))
            batch.__dict__[key] = bonds, angles
        return batch.__dict__[key]


def _rbf(x, centres):
    gamma = 1 / (centres[1] - centres[0])
    return (x[:, None] - centres).square_().mul_(-gamma).clamp_(min=-60).exp_()
