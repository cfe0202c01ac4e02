"""What a family of candidates is, and a single training of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from epitaxy.core.hashing import content_hash
from epitaxy.fitting.folds import Held
from epitaxy.fitting.problem import Problem

TUNED = "tuned"
"""Setting of a candidate: hyperparameters that replace those of its learner or its training."""
GIVEN = "given"
"""Setting of a candidate: settings of its training that differ from those of the verb."""


@dataclass(frozen=True)
class Candidate:
    """One way of learning the property."""

    name: str
    """In words, unique."""
    family: str
    """Name in the registry of families."""
    settings: dict[str, Any] = field(default_factory=dict, compare=False)
    """What its training reads beside the problem; JSON."""


@dataclass(frozen=True)
class Task:
    """One training of a candidate: a function of the problem and of what stands here."""

    candidate: Candidate
    held: Held
    """Folds that it does not see, and predicts."""
    transform: str = "identity"
    """Learning scale of the target."""
    epochs: int = 0
    """Length of the training of a network."""

    def key(self, problem: Problem) -> str:
        """Return the name of the folder of its results."""
        content = asdict(self) | {"held": list(self.held)}
        return content_hash(problem.key, content)

    @property
    def keeps_model(self) -> bool:
        """Whether the model may become part of the answer: it saw all, or all but one fold."""
        return len(self.held) <= 1


class Family(Protocol):
    """An entry of `FAMILIES`."""

    transfers: bool
    """Whether it uses what other models have learned."""
    is_network: bool
    """Whether it is trained in epochs."""

    def propose(self, problem: Problem) -> Sequence[Candidate]:
        """Return its candidates, the most promising first."""

    def seconds(self, candidate: Candidate, problem: Problem, rows: int, epochs: int = 0) -> float:
        """Return the expected seconds of a training on so many rows, on one core.

        Only networks have epochs. It depends on the problem alone, never on a clock.
        """

    def train(self, task: Task, problem: Problem, folder: Path) -> np.ndarray:
        """Train; return the predictions of the rows held out, (m,) in physical units.

        Where `Task.keeps_model`, the model is written into ``folder``: ``model.safetensors`` of a
        `ShallowModel`, or the folder ``run`` of a network.
        """
