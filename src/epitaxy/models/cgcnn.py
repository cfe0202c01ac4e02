"""CGCNN (Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018)) as released and as used by Chang.

The crystal vector is the plain mean over atoms; the softplus before the first dense layer
belongs to the head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from epitaxy.batches.batch import CrystalBatch
from epitaxy.graphs.elements import element_table
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.encoder import DepthGroup, Encoder, Features, State
from epitaxy.models.training_recipe import FEW, TrainingRecipe
from epitaxy.nn.bases import gaussian_expansion
from epitaxy.nn.gated_conv import BondKinds, Bonds, GatedConv
from epitaxy.nn.segments import segment_mean

SEVERAL = TrainingRecipe(
    weighing={"balance": "properties", "sampling_temperature": 2.0},
    head={"hidden": (64,)},
)
CHANG_2022 = TrainingRecipe(
    {
        "epochs": 1000,
        "batch_size": 250,
        "optimiser": "sgd",
        "learning_rate": 0.02,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "cosine",
        "schedule_epochs": 1000,
        "minimum_rate": 1e-5,
        "loss": "mse",
        "patience": 500,
    },
    fine_tuning={
        "optimiser": "adam",
        "learning_rate": 0.01,
        "minimum_rate": 0.0,
        "patience": 501,
    },
    graph=GraphRecipe(rule="cgcnn"),
)
"""Chang, Wang and Ertekin (2022), as in their code: single task, and transfer, which they did with
the strategy ``last-conv``."""


class CGCNN(Encoder):
    """Crystal graph convolutional network on element properties and bond lengths.

    Args:
        width: length of the atom vectors (64 in every published checkpoint).
        layers: number of convolutions (4).
        step: spacing and width of the Gaussian centres in Å.
        recipe: graph recipe; its cutoff sets the last Gaussian centre.

    >>> sum(p.numel() for p in CGCNN().parameters())
    94528
    """

    recipes: ClassVar[Mapping[str, TrainingRecipe]] = {
        "default": TrainingRecipe(by_rows=FEW, several=SEVERAL),
        "published": CHANG_2022,
    }
    centres: Tensor
    elements: Tensor

    def __init__(
        self,
        *,
        width: int = 64,
        layers: int = 4,
        step: float = 0.2,
        recipe: GraphRecipe | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe or GraphRecipe()
        self.width, self.step = width, step
        count = round(self.recipe.cutoff / step) + 1
        centres = torch.arange(count, dtype=torch.float64) * step
        table = torch.tensor(element_table(), dtype=torch.float32)
        # Constants of the recipe, not weights: they are rebuilt, never stored.
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("elements", table, persistent=False)
        self.embedding = nn.Linear(table.shape[1], width)
        self.convs = nn.ModuleList(GatedConv(width, count) for _ in range(layers))

    def settings(self) -> dict[str, Any]:
        """Return the keyword arguments that rebuild the network."""
        return {"width": self.width, "layers": len(self.convs), "step": self.step}

    def depth_groups(self) -> Sequence[DepthGroup]:
        """Return embedding, conv-1 ... conv-T."""
        convs = [
            DepthGroup(f"conv-{t}", (conv,), frozenset({"conv", "two-body"}))
            for t, conv in enumerate(self.convs, 1)
        ]
        return [DepthGroup("embedding", (self.embedding,), frozenset({"embedding"})), *convs]

    def advance(self, group: int, state: State, batch: CrystalBatch) -> State:
        """Run the embedding (group 0) or a convolution; the state is the atom vectors."""
        if group == 0:
            # Atoms of one element share a row: embed the table, then look it up.
            embedded = self.embedding(self.elements.to(self.embedding.weight.dtype))
            return {"atoms": embedded.index_select(0, batch.atomic_numbers)}
        atoms = self.convs[group - 1](state["atoms"], self._bonds(batch), batch.atom_weight)
        return {"atoms": atoms}

    def features(self, state: State, batch: CrystalBatch) -> Features:
        """Mean over the atoms of each crystal."""
        atoms = state["atoms"]
        return Features(atoms, segment_mean(atoms, batch.atom_offsets, batch.atom_weight))

    def _bonds(self, batch: CrystalBatch) -> Bonds:
        dtype = self.embedding.weight.dtype
        # Several networks may look at one batch: the key says for whom the expansion is.
        key = f"cgcnn_bonds {len(self.centres)} {self.step} {dtype}"
        if key not in batch.__dict__:
            lengths, kind = torch.unique(batch.bond_length, return_inverse=True)
            basis = gaussian_expansion(lengths.to(dtype), self.centres.to(dtype), self.step)
            # All layers of one pass share this: it is kept on the batch.
            batch.__dict__[key] = Bonds.of(
                batch.bond_src,
                batch.bond_dst,
                batch.bond_weight.to(dtype),
                kinds=BondKinds(kind, basis),
                atom_weight=batch.atom_weight.to(dtype),
            )
        bonds: Bonds = batch.__dict__[key]
        return bonds
