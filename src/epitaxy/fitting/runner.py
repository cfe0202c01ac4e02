"""Doing the tasks: each is a folder of files, so that a killed run goes on where it was."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file, write_json
from epitaxy.core.progress import Progress
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Task
from epitaxy.fitting.problem import Problem, open_problem

logger = logging.getLogger("epitaxy")
PROBLEM, TASKS, STOPPED = "problem", "tasks", "stopped.json"
FAILED = "failed.txt"
HELD = "held.npy"
"""Written last: a folder that has it is complete."""


@dataclass
class Runner:
    """Does tasks in ``threads`` processes and remembers them in ``folder``."""

    problem: Problem
    folder: Path
    threads: int
    allowed: float
    """Seconds of clock after which no more optional tasks are begun."""
    title: str = ""
    """Said before what is being done."""
    started: float = field(default_factory=time.monotonic)

    def folder_of(self, task: Task) -> Path:
        """Return where the results of a task are, or will be."""
        return self.folder / TASKS / task.key(self.problem)

    def predictions(self, task: Task) -> np.ndarray:
        """Return the predictions of a finished task for ``problem.outside(task.held)``."""
        found: np.ndarray = np.load(self.folder_of(task) / HELD, allow_pickle=False)
        return found

    def has_failed(self, task: Task) -> bool:
        """Tell whether a finished task could not be trained."""
        return (self.folder_of(task) / FAILED).is_file()

    def is_done(self, task: Task) -> bool:
        """Tell whether the results of a task are there."""
        return (self.folder_of(task) / HELD).is_file()

    @property
    def is_late(self) -> bool:
        """Whether the clock has said stop; once said, it stays so for this run."""
        elapsed = time.monotonic() - self.started
        if not self.is_stopped and elapsed > self.allowed:
            write_json(self.folder / STOPPED, {"seconds": round(elapsed)})
        return self.is_stopped

    @property
    def is_stopped(self) -> bool:
        """Whether optional tasks were left out because of the clock."""
        return (self.folder / STOPPED).is_file()

    def do(self, tasks: Iterable[Task], label: str, *, note: str = "") -> None:
        """Do those of the tasks that are not done yet, the longest first."""
        missing = self._missing(tasks)
        if not missing:
            return
        label = self.title + label
        logger.info("%s: %d trainings%s.", label, len(missing), f"; {note}" if note else "")
        with Progress(len(missing), label) as bar:
            for _ in self._done(missing):
                bar.step(note=note)

    def do_quietly(self, tasks: Iterable[Task]) -> None:
        """Do those of the tasks that are not done yet, and say nothing."""
        missing = self._missing(tasks)
        for _ in self._done(missing) if missing else ():
            pass

    def _missing(self, tasks: Iterable[Task]) -> list[Task]:
        """Return the tasks that are not done yet, each once, the longest first."""
        missing = [t for t in dict.fromkeys(tasks) if not self.is_done(t)]
        return sorted(missing, key=lambda task: -self._seconds(task))

    def _seconds(self, task: Task) -> float:
        family = FAMILIES[task.candidate.family]
        rows = len(self.problem.inside(task.held))
        return float(family.seconds(task.candidate, self.problem, rows, task.epochs))

    def _done(self, missing: Sequence[Task]) -> Iterable[Task]:
        """Do the tasks; yield after each."""
        folder = self.folder
        if min(self.threads, len(missing)) == 1:
            return (do_task(folder, task) for task in missing)
        from joblib import Parallel, delayed

        workers = Parallel(n_jobs=self.threads, return_as="generator_unordered")
        found: Iterable[Task] = workers(delayed(do_task)(folder, task) for task in missing)
        return found


@cache
def _thread_pools() -> Any:
    """Return the thread pools of this process, for which all libraries are searched only once."""
    import sklearn.ensemble  # noqa: F401 - a pool that is loaded later would not be found
    import torch  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def do_task(folder: Path, task: Task) -> Task:
    """Do one task on one thread, so that its numbers do not depend on how many run beside it."""
    import torch

    problem = open_problem(folder / PROBLEM)
    place = folder / TASKS / task.key(problem)
    place.mkdir(parents=True, exist_ok=True)
    before, level = torch.get_num_threads(), logger.level
    torch.set_num_threads(1)
    logger.setLevel(logging.ERROR)
    try:
        with _thread_pools().limit(limits=1):
            found = FAMILIES[task.candidate.family].train(task, problem, place)
    except InputError as error:
        # One candidate that cannot learn this property must not end the comparison of the others.
        (place / FAILED).write_text(f"{error}\n", encoding="utf-8")
        found = np.full(len(problem.outside(task.held)), np.nan)
    finally:
        torch.set_num_threads(before)
        logger.setLevel(level)
    with atomic_file(place / HELD) as temporary, temporary.open("wb") as file:
        np.save(file, found, allow_pickle=False)
    return task
