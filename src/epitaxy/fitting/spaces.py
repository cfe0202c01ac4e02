"""Hyperparameters that may be tuned, with the ranges in which they are sought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from epitaxy.fitting.candidates.family import GIVEN, Candidate
from epitaxy.fitting.learners import boosting, extra_trees, kernel, mlp
from epitaxy.recipes.finetune import DEFAULTS as FINE_TUNING
from epitaxy.recipes.mixture import DEFAULTS as MIXING
from epitaxy.training.config import TrainingConfig


@dataclass(frozen=True)
class Range:
    """A number to be chosen; ``start`` is the untuned one."""

    low: float
    high: float
    start: float
    whole: bool = False


Space = Mapping[str, Range]
"""Keyword argument of a learner, or setting of a training -> where its logarithm is sought."""

_BOOSTING: Space = {
    "rate": Range(0.015, 0.2, boosting.RATE),
    "leaves": Range(4, 31, boosting.LEAVES, whole=True),
    "share": Range(0.1, 1.0, boosting.SHARE),
    "shrinkage": Range(1e-3, 30.0, 1e-3),
}


def _training(rate: float) -> Space:
    return {
        "learning_rate": Range(1e-4, 1e-2, rate),
        "weight_decay": Range(1e-4, 0.3, 1e-2),
        "epochs": Range(30, 120, 90, whole=True),
    }


SPACES: Mapping[str, Space] = {
    "kernel": {
        "penalty": Range(0.3, 100.0, kernel.PENALTY),
        "tube": Range(0.003, 0.3, kernel.TUBE),
        "width": Range(0.3, 6.0, kernel.WIDTH),
    },
    "extra-trees": {
        "leaf": Range(1, 8, 1, whole=True),
        "share": Range(0.1, 1.0, extra_trees.SHARE),
    },
    "mlp": {
        "rate": Range(3e-4, 1e-2, mlp.RATE),
        "decay": Range(1e-2, 1.0, mlp.DECAY),
        "epochs": Range(20, 120, mlp.EPOCHS, whole=True),
    },
    "boosting": _BOOSTING,
    "boosting-l1": _BOOSTING,
    "head": _training(FINE_TUNING["learning_rate"]),
    "finetune": _training(FINE_TUNING["learning_rate"]),
    "mixture": _training(MIXING["learning_rate"]),
    "scratch": _training(TrainingConfig().learning_rate),
}
"""Name of a shallow learner, or of a family of networks -> its hyperparameters. The strength of
ridge is absent: its own leave-one-out errors choose it in every training."""
DEARER: Mapping[str, float] = {"kernel": 2.0, "extra-trees": 1.3, "boosting": 1.3}
"""Mean time of a training in the space over that of the untuned one, where it is not about 1."""


def space_key(candidate: Candidate) -> str:
    """Return under which name the hyperparameters of a candidate stand in `SPACES`, if at all."""
    return str(candidate.settings.get("learner", candidate.family))


def space_of(candidate: Candidate) -> dict[str, Range]:
    """Return the hyperparameters of a candidate, to be sought from its own untuned ones."""
    given = candidate.settings.get(GIVEN, {})
    return {
        name: replace(found, start=given.get(name, found.start))
        for name, found in SPACES[space_key(candidate)].items()
    }
