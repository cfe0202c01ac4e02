"""ALIGNN, the atomistic line graph neural network.

K. Choudhary and B. DeCost, npj Comput. Mater. 7, 185 (2021), with the sizes and conventions of the
released version 2023.4.1, which Devi et al., npj Comput. Mater. 10, 300 (2024) trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from epitaxy.batches.batch import CrystalBatch
from epitaxy.graphs.elements import element_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.encoder import DepthGroup, Encoder, Features, State
from epitaxy.models.heads import HeadConfig
from epitaxy.models.training_recipe import TrainingRecipe
from epitaxy.nn.bases import radial_basis
from epitaxy.nn.edge_gated_conv import EdgeGatedConv
from epitaxy.nn.edges import Edges
from epitaxy.nn.norm import Norm, NormKind, make_norm
from epitaxy.nn.norm_passes import norm_silu
from epitaxy.nn.segments import segment_mean

LENGTHS = (0.0, 8.0, 80)
"""First and last centre (Å) and number of radial basis functions of the bond length."""
COSINES = (-1.0, 1.0, 40)
"""The same for the cosine of an angle."""

FEW = (2000, {"epochs": 100, "learning_rate": 2e-3, "weight_decay": 1.0, "batch_size": 32})
"""Up to so many training rows, from scratch and in fine-tuning."""
SEVERAL = TrainingRecipe(
    {"epochs": 50, "learning_rate": 1e-3, "batch_size": 64},
    by_rows=(FEW,),
    weighing={"balance": "properties", "sampling_temperature": 2.0},
    encoder={"norm": "layer"},
    head={"hidden": (128,), "first": True},
)
DEFAULT = TrainingRecipe(
    {"epochs": 50, "learning_rate": 1e-3, "batch_size": 64},
    by_rows=(FEW,),
    encoder={"norm": "layer"},
    several=SEVERAL,
)
"""For hundreds of rows chosen by measurement (docs/results/devi2024.md)."""
DEVI_2024_MPT = TrainingRecipe(
    {
        "epochs": 200,
        "batch_size": 4,
        "optimiser": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 1e-2,
        "schedule": "one-cycle",
        "loss": "l1",
        "patience": 30,
    },
    weighing={"balance": "published"},
    fine_tuning={"epochs": 500, "batch_size": 16, "patience": None, "weights": "last"},
    encoder={"norm": "batch"},
    head={"hidden": (128, 128), "first": True},
    graph=GraphRecipe(rule="alignn-2023", bond_vectors=True, merge_tolerance=1e-6, canonical=False),
    scaling="min-max",
)
"""Multi-property pre-training of Devi 2024, and fine-tuning of its outcome.

Not repeated: the order of the file instead of a new one in each epoch; crystals without any label;
the best epoch by the sum of errors (here by their mean rank). The paper does not give the number of
epochs; its histories end after 47 to 54, 30 after the best one, on the rising slope of the rate.
"""
DEVI_2024 = TrainingRecipe(
    {
        "epochs": 500,
        "batch_size": 64,
        "optimiser": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 1e-5,
        "schedule": "one-cycle",
        "loss": "mse",
        "weights": "last",
    },
    by_rows=((9, {"batch_size": 1}), (90, {"batch_size": 2}), (900, {"batch_size": 16})),
    fine_tuning={"published_batchnorm": True},
    encoder={"norm": "batch"},
    graph=GraphRecipe(rule="alignn-2023", bond_vectors=True, merge_tolerance=1e-6),
    scaling="min-max",
    several=DEVI_2024_MPT,
)
"""Single-property work of Devi 2024. They pre-trained on 941 rows with the rate 1e-4.

Not repeated: the last incomplete batch, which they left out in training and in validation; the
decay of the normalisation scales in the embeddings; one seed, hence the same initial weights, for
all runs; and the extremes of the target, which they took from all data (here: from the training
rows)."""


class Embedding(nn.Module):
    """Linear, normalisation, SiLU: (N, inputs) -> (N, outputs)."""

    def __init__(self, inputs: int, outputs: int, norm: NormKind) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm: Norm = make_norm(norm, outputs)

    def forward(self, rows: Tensor, weights: Tensor) -> Tensor:
        """``weights`` (N,) counts equal rows."""
        return norm_silu(self.linear(rows), self.norm, weights)


class ALIGNN(Encoder):
    """Messages between atoms along bonds, and between bonds along the angles they make.

    Args:
        width: length of atom, bond and angle vectors.
        embedding: width of the hidden layer that embeds lengths and cosines.
        alignn_layers: convolutions on bonds, each followed by one on angles.
        gcn_layers: convolutions on bonds alone, at the end.
        norm: ``batch`` (as published) or ``layer``.
        recipe: graph recipe; must keep bond vectors.

    The published network has 1,024 parameters more, which never receive a gradient (Devi 2024: two
    normalisations whose results are not read).

    >>> sum(p.numel() for p in ALIGNN().parameters())
    4025472
    """

    default_recipe = GraphRecipe(rule="symmetric", bond_vectors=True)
    default_head = HeadConfig(hidden=(), act="silu", first=False)
    recipes: ClassVar[Mapping[str, TrainingRecipe]] = {"default": DEFAULT, "published": DEVI_2024}
    bonds_per_thread = 400
    lengths: Tensor
    cosines: Tensor
    elements: Tensor

    def __init__(
        self,
        *,
        width: int = 256,
        embedding: int = 64,
        alignn_layers: int = 4,
        gcn_layers: int = 4,
        norm: NormKind = "batch",
        recipe: GraphRecipe | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe or self.default_recipe
        self.check_graphs(self.recipe)
        self.width, self.embedding, self.norm = width, embedding, norm
        table = torch.tensor(element_table(), dtype=torch.float32)
        # Constants of the architecture, not weights: they are rebuilt, never stored.
        self.register_buffer("elements", table, persistent=False)
        for name, (first, last, count) in (("lengths", LENGTHS), ("cosines", COSINES)):
            centres = torch.linspace(first, last, count, dtype=torch.float64)
            self.register_buffer(name, centres, persistent=False)
        self.atom_embedding = Embedding(table.shape[1], width, norm)
        self.bond_embedding = self._two_layers(LENGTHS[2])
        self.angle_embedding = self._two_layers(COSINES[2])
        self.bond_convs = nn.ModuleList(EdgeGatedConv(width, norm) for _ in range(alignn_layers))
        # Nobody reads the angles after the last ALIGNN layer, nor the bonds after the last of all.
        self.angle_convs = nn.ModuleList(
            EdgeGatedConv(width, norm if t < alignn_layers else None, nodes_norm=norm)
            for t in range(1, alignn_layers + 1)
        )
        self.gcn_convs = nn.ModuleList(
            EdgeGatedConv(width, norm if t < gcn_layers else None, nodes_norm=norm)
            for t in range(1, gcn_layers + 1)
        )

    def _two_layers(self, inputs: int) -> nn.ModuleList:
        return nn.ModuleList(
            [
                Embedding(inputs, self.embedding, self.norm),
                Embedding(self.embedding, self.width, self.norm),
            ]
        )

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild the network."""
        return {
            "width": self.width,
            "embedding": self.embedding,
            "alignn_layers": len(self.bond_convs),
            "gcn_layers": len(self.gcn_convs),
            "norm": self.norm,
        }

    def depth_groups(self) -> Sequence[DepthGroup]:
        """Return the embeddings, bonds-1, angles-1, ..., gcn-1, ...; tagged by what they act on."""
        first = frozenset({"embedding"})
        two, three = frozenset({"conv", "two-body"}), frozenset({"conv", "three-body"})
        groups = [
            DepthGroup("atom-embedding", (self.atom_embedding,), first),
            DepthGroup("bond-embedding", (self.bond_embedding,), first),
            DepthGroup("angle-embedding", (self.angle_embedding,), first),
        ]
        pairs = zip(self.bond_convs, self.angle_convs, strict=True)
        for t, (bonds, angles) in enumerate(pairs, 1):
            groups.append(DepthGroup(f"bonds-{t}", (bonds,), two))
            groups.append(DepthGroup(f"angles-{t}", (angles,), three))
        return groups + [
            DepthGroup(f"gcn-{t}", (conv,), two) for t, conv in enumerate(self.gcn_convs, 1)
        ]

    def advance(self, group: int, state: State, batch: CrystalBatch) -> State:
        """Run an embedding (groups 0 to 2) or a convolution."""
        graph = self._graph(batch)
        if group == 0:
            # Atoms of one element share a row of the table, but not one of the normalisation.
            rows = self.elements.to(graph.dtype).index_select(0, batch.atomic_numbers)
            return {"atoms": self.atom_embedding(rows, graph.atom_weight).to(graph.dtype)}
        if group == 1:
            return {**state, "bonds": self._expanded(batch.bond_length, graph.bonds, self.lengths)}
        if group == 2:
            cosine = batch.angles.cosine
            return {**state, "angles": self._expanded(cosine, graph.angles, self.cosines)}
        layer = group - 3
        if layer >= 2 * len(self.bond_convs):
            conv = self.gcn_convs[layer - 2 * len(self.bond_convs)]
            return self._along_bonds(conv, state, graph)
        if layer % 2 == 0:
            return self._along_bonds(self.bond_convs[layer // 2], state, graph)
        conv = self.angle_convs[layer // 2]
        bonds, angles = conv(state["bonds"], state["angles"], graph.angles, graph.bonds.copies)
        new = {**state, "bonds": bonds, "angles": angles}
        return {scope: rows for scope, rows in new.items() if rows is not None}

    def features(self, state: State, batch: CrystalBatch) -> Features:
        """Mean over the atoms of each crystal."""
        atoms, weight = state["atoms"], self._graph(batch).atom_weight
        return Features(atoms, segment_mean(atoms, batch.atom_offsets, weight))

    def _along_bonds(self, conv: nn.Module, state: State, graph: _Graph) -> State:
        atoms, bonds = conv(state["atoms"], state["bonds"], graph.bonds, graph.atom_weight)
        new = {"atoms": atoms, "bonds": bonds, "angles": state.get("angles")}
        return {scope: rows for scope, rows in new.items() if rows is not None}

    def _expanded(self, values: Tensor, edges: Edges, centres: Tensor) -> Tensor:
        layers = self.bond_embedding if centres is self.lengths else self.angle_embedding
        rows = radial_basis(values.to(edges.copies.dtype), centres.to(edges.copies.dtype))
        for layer in layers:
            rows = layer(rows, edges.copies)
        return rows

    def _graph(self, batch: CrystalBatch) -> _Graph:
        dtype = self.atom_embedding.linear.weight.dtype
        # All layers of one pass share this, and several networks may look at one batch.
        key = f"alignn_graph {dtype}"
        if key not in batch.__dict__:
            batch.__dict__[key] = _Graph.of(batch, dtype)
        graph: _Graph = batch.__dict__[key]
        return graph


class _Graph(NamedTuple):
    """A batch as two graphs: atoms joined by bonds, and bonds joined by angles."""

    bonds: Edges
    angles: Edges
    atom_weight: Tensor
    dtype: torch.dtype

    @classmethod
    def of(cls, batch: CrystalBatch, dtype: torch.dtype) -> _Graph:
        atom_weight, weight = batch.atom_weight.to(dtype), batch.bond_weight.to(dtype)
        copies = weight * atom_weight.index_select(0, batch.bond_src)
        # A stored bond leads away from its atom; messages come in along it.
        bonds = Edges(
            batch.bond_offsets, batch.bond_dst, batch.bond_src, weight=weight, copies=copies
        )
        pairs = batch.angles
        weight = pairs.weight.to(dtype)
        angles = Edges(
            pairs.offsets,
            pairs.source,
            pairs.target,
            weight=weight,
            copies=weight * copies.index_select(0, pairs.target),
        )
        return cls(bonds, angles, atom_weight, dtype)
