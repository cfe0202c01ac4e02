"""What families of shallow learners share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.seeds import child_seed
from epitaxy.evaluation.shallow import ShallowModel, limits, stacked, standardised
from epitaxy.fitting.candidates.family import TUNED, Candidate, Task
from epitaxy.fitting.learners import LEARNERS
from epitaxy.fitting.learners.costs import seconds
from epitaxy.fitting.problem import Problem
from epitaxy.models.fixed_vectors import column_statistics

MODEL = "model.safetensors"
QUICK = ("kernel", "kernel-wide", "ridge")
ALL = ("extra-trees", *QUICK, "mlp", "boosting", "boosting-l1")
Proposals = Callable[[Problem], Sequence[tuple[str, tuple[str, ...], tuple[str, ...]]]]
"""Problem -> (features in words, blocks, learners)."""


@dataclass(frozen=True)
class ShallowFamily:
    """Some blocks of features, each with some learners."""

    name: str
    transfers: bool
    proposals: Proposals
    is_network: bool = False

    def propose(self, problem: Problem) -> list[Candidate]:
        """Return every set of blocks with every learner meant for it."""
        return [
            Candidate(
                f"{words} + {learner}" if words else learner,
                self.name,
                {"learner": learner, "blocks": list(blocks)},
            )
            for words, blocks, learners in self.proposals(problem)
            for learner in learners
        ]

    def seconds(self, candidate: Candidate, problem: Problem, rows: int, epochs: int = 0) -> float:
        """Return the expected time of a training, which has no epochs."""
        del epochs
        width = sum(problem.blocks[name].shape[1] for name in candidate.settings["blocks"])
        return seconds(candidate.settings["learner"], rows, width)

    def train(self, task: Task, problem: Problem, folder: Path) -> np.ndarray:
        """Fit on the rows inside, predict those outside."""
        settings, rows = task.candidate.settings, problem.inside(task.held)
        seed = child_seed(problem.seed, f"{task.candidate.name}/{task.held}") % 2**31
        model = fit_shallow(
            problem.select(rows),
            problem.labels[rows],
            blocks=settings["blocks"],
            learner=settings["learner"],
            transform=task.transform,
            seed=seed,
            hyperparameters=settings.get(TUNED),
        )
        if task.keeps_model:
            model.save(folder / MODEL)
        return model(problem.select(problem.outside(task.held)))


def fit_shallow(
    features: dict[str, np.ndarray],
    labels: np.ndarray,
    *,
    blocks: Sequence[str],
    learner: str,
    transform: str,
    seed: int,
    hyperparameters: Mapping[str, float] | None = None,
) -> ShallowModel:
    """Fit a learner on named blocks of (n, F) features and (n,) labels in physical units.

    ``hyperparameters`` are keyword arguments of the learner, see `spaces.SPACES`.
    """
    scaler = TargetScaler.fit(labels, name="target", transform=transform)  # type: ignore[arg-type]
    scaled = scaler.forward(labels)
    raw = stacked(features, blocks)
    centre, scale = column_statistics(raw)
    inputs = standardised(raw, centre, scale)
    learned = LEARNERS[learner](inputs, scaled, seed, **(hyperparameters or {}))
    return ShallowModel(tuple(blocks), centre, scale, learned, scaler, limits(scaled))
