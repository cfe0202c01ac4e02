"""How CGAT is trained: on a laptop, as the paper says, and as the released code does."""

from __future__ import annotations

from typing import Any

from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.models.training_recipe import FEW, TrainingRecipe

SEVERAL = TrainingRecipe(
    {"epochs": 100, "learning_rate": 1e-3, "batch_size": 64},
    weighing={"balance": "properties", "sampling_temperature": 2.0},
    head={"hidden": (128,)},
)
DEFAULT = TrainingRecipe(
    {"epochs": 100, "learning_rate": 1e-3, "batch_size": 64},
    by_rows=FEW,
    several=SEVERAL,
)
TRAINING: dict[str, Any] = {
    "epochs": 390,
    "batch_size": 512,
    "optimiser": "adamw",
    "learning_rate": 1.25e-4,
    "weight_decay": 1e-6,
    "schedule": "triangular",
    "schedule_epochs": 130,
    "loss": "l1",
}
CARRIED = {"schedule_epochs": 70}
SIZE = {"width": 128, "heads": 6, "layers": 5, "composition_layers": 3, "composition_hidden": 256}
HEAD = {
    "hidden": (1024, 1024, 512, 512, 256, 256, 128),
    "act": "relu",
    "first": False,
    "residual": "rezero",
}
SHELLS = GraphRecipe(rule="cgat", neighbours=24, cutoff=18.0)
PUBLISHED = TrainingRecipe(
    TRAINING,
    fine_tuning=CARRIED,
    encoder={**SIZE, "bond_width": 512, "hidden": 512, "bonds": "attention"},
    head=HEAD,
    graph=SHELLS,
)
"""The equations and numbers of Hoffmann et al., Digital Discovery 2, 1368 (2023).

Not repeated, here and below: one seed, hence the same initial weights, for all runs; the last
incomplete batch left out in validation and test; validation in every second epoch only; decay of
biases; and, unless ``elements`` is set
to ``matscholar``, their vectors of the elements.
"""
RELEASED = TrainingRecipe(
    TRAINING,
    fine_tuning=CARRIED,
    encoder={**SIZE, "bond_width": 128, "hidden": 256, "receiver": "neighbour"},
    head=HEAD,
    graph=SHELLS.model_copy(update={"merge_tolerance": 0.0}),
)
"""The network of their code, which ignores the width of the bonds that the paper gives and the
attention over bonds."""
RECIPES = {"default": DEFAULT, "published": PUBLISHED, "released": RELEASED}
