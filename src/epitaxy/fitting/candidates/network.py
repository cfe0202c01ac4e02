"""What families of networks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.seeds import child_seed
from epitaxy.fitting.candidates.family import TUNED, Candidate, Task
from epitaxy.fitting.problem import Problem
from epitaxy.recipes.running import Run, without_reports

START = 0.8
"""Seconds of a training before its first epoch and after its last one."""
FORWARD = 0.25
"""Time of embedding a crystal once, over that of an epoch of training all of the network."""
NETWORK = "run"
"""Folder of the run below that of a task."""


@dataclass(frozen=True)
class NetworkFamily:
    """Ways of training a network that differ in their settings."""

    name: str
    transfers: bool
    proposals: Callable[[Problem], Sequence[tuple[str, dict[str, Any]]]]
    """Problem -> (words, settings); the most promising first."""
    start: Callable[..., Run]
    """``(settings, table, target, out, **options)``: trains and returns the run."""
    per_crystal: Callable[[dict[str, Any], Problem], float]
    """Settings and problem -> seconds per crystal and epoch."""
    frozen: Callable[[dict[str, Any], Problem], float] = lambda *_: 0.0
    """Settings and problem -> seconds per crystal and epoch that it would take to train what is
    frozen, which in fact runs only once."""
    per_step: float = 4e-3
    """Seconds per step of the optimiser, whatever the size of the batch."""
    is_network: bool = True

    def propose(self, problem: Problem) -> list[Candidate]:
        """Return its candidates, the most promising first."""
        return [Candidate(w, self.name, settings) for w, settings in self.proposals(problem)]

    def seconds(self, candidate: Candidate, problem: Problem, rows: int, epochs: int = 0) -> float:
        """Return the expected time of a training."""
        once = FORWARD * self.frozen(candidate.settings, problem) * len(problem.table)
        steps = rows / batch_size(rows)
        epoch = self.per_crystal(candidate.settings, problem) * rows + self.per_step * steps
        return START + once + epochs * epoch

    def train(self, task: Task, problem: Problem, folder: Path) -> np.ndarray:
        """Train on the rows inside for a fixed number of epochs, predict those outside.

        The last weights count, so nothing depends on the rows outside; their labels are not even
        given, see `Problem.blinded`.
        """
        rows = len(problem.inside(task.held))
        with without_reports():
            run = self.start(
                task.candidate.settings,
                problem.blinded(task.held, task.transform),
                problem.target,
                folder / NETWORK,
                split=problem.split(task.held),
                epochs=task.epochs,
                batch_size=batch_size(rows),
                weights="last",
                device="cpu",
                seed=child_seed(problem.seed, f"{task.candidate.name}/{task.held}") % 2**31,
                **task.candidate.settings.get(TUNED, {}),
            )
        frame = run.predictions
        frame = frame[frame["split"] == "val"].set_index("id")
        ids = problem.table.ids[problem.outside(task.held)].astype(str)
        return frame["y_pred"].loc[list(ids)].to_numpy(np.float64)


def batch_size(rows: int) -> int:
    """Return a power of two that gives about 16 steps per epoch, between 8 and 64.

    >>> [batch_size(n) for n in (50, 300, 5000)]
    [8, 16, 64]
    """
    return int(2 ** np.clip(np.floor(np.log2(max(rows / 16, 1))), 3, 6))
