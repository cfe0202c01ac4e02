"""`TrainingRecipe`: a named set of settings with which an architecture is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from epitaxy.batches.scalers import Scaling
from epitaxy.graphs.recipe import GraphRecipe

FEW = ((500, {"batch_size": 16}),)
"""`TrainingRecipe.by_rows`: more steps than batches of 64 allow (docs/results/defaults.md)."""


@dataclass(frozen=True)
class TrainingRecipe:
    """Settings that take the place of the general ones; what the user gives replaces both.

    >>> recipe = TrainingRecipe({"batch_size": 64}, by_rows=((90, {"batch_size": 2}),))
    >>> recipe.settings(90), recipe.settings(91)
    ({'batch_size': 2}, {'batch_size': 64})
    """

    training: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `TrainingConfig`."""
    by_rows: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    """(largest number of training rows, settings that differ up to it), in ascending order."""
    weighing: Mapping[str, Any] = field(default_factory=dict)
    """Settings that weigh several properties against each other; fine-tuning, which is to one,
    has none of them."""
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ when a trained model is carried to other data."""
    encoder: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a new encoder."""
    head: Mapping[str, Any] = field(default_factory=dict)
    """Settings of new heads that differ from those of the architecture."""
    graph: GraphRecipe | None = None
    """Graphs of a new encoder; None stands for those that the architecture has by default."""
    scaling: Scaling = "standardise"
    """Scale of the target."""
    several: TrainingRecipe | None = None
    """Takes the place of this one where several properties are learned together, and where the
    outcome is fine-tuned; None where nothing differs."""

    def settings(self, rows: int, *, fine_tuning: bool = False) -> dict[str, Any]:
        """Return the settings of `TrainingConfig` for a number of training rows."""
        few: Mapping[str, Any] = next((given for most, given in self.by_rows if rows <= most), {})
        return {**self.training, **few, **(self.fine_tuning if fine_tuning else self.weighing)}
