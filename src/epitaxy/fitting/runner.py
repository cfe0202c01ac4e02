"""Doing the tasks: each is a folder of files, so that a killed run goes on where it was."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file
from epitaxy.core.progress import Progress
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Candidate, Task
from epitaxy.fitting.pace import PER_TASK, Pace
from epitaxy.fitting.problem import Problem, open_problem
from epitaxy.fitting.workshop import Workshop

logger = logging.getLogger("epitaxy")
PROBLEM, TASKS = "problem", "tasks"
FAILED = "failed.txt"
HELD = "held.npy"
"""Written last: a folder that has it is complete."""
SHORT = 1.0
"""Planned seconds for which no processes are started."""
GLANCE = 0.25
"""Seconds between looks at the clock."""
START_UP = 4.0
"""Seconds in which a process starts."""
Tail = Callable[[Sequence[Candidate]], float]
"""Candidates -> planned seconds on one core of what must be done when these have competed."""


@dataclass
class Runner:
    """Does tasks in the processes of a workshop and remembers them in ``folder``."""

    problem: Problem
    folder: Path
    workshop: Workshop
    pace: Pace = field(default_factory=Pace)
    title: str = ""
    """Said before what is being done."""
    was_stopped: bool = False
    """Whether the deadline left out tasks."""

    def folder_of(self, task: Task) -> Path:
        """Return where the results of a task are, or will be."""
        return self.folder / TASKS / task.key(self.problem)

    def predictions(self, task: Task) -> np.ndarray:
        """Return the predictions of a finished task for ``problem.outside(task.held)``."""
        found: np.ndarray = np.load(self.folder_of(task) / HELD, allow_pickle=False)
        return found

    def has_failed(self, task: Task) -> bool:
        """Tell whether a task could not be trained, or was not before the deadline."""
        return not self.is_done(task) or (self.folder_of(task) / FAILED).is_file()

    def is_done(self, task: Task) -> bool:
        """Tell whether the results of a task are there."""
        return (self.folder_of(task) / HELD).is_file()

    def do(
        self, tasks: Iterable[Task], label: str, *, note: str = "", tail: Tail | None = None
    ) -> None:
        """Do those of the tasks that are not done yet, the longest first.

        With a deadline they are done in the given order, and it ends them where there is a
        ``tail``; processes in the middle of one are killed.
        """
        missing = self._missing(tasks)
        if not missing:
            return
        label = self.title + label
        logger.info("%s: %d trainings%s.", label, len(missing), f"; {note}" if note else "")
        work = sum(self.seconds(task) + PER_TASK for task in missing)
        done = 0
        with Progress(len(missing), label, work=work) as bar:
            for task in self._done(missing, tail):
                bar.step(note=note, work=self.seconds(task) + PER_TASK)
                done += 1
        if done < len(missing):
            self.stop(f"{label[:1].lower()}{label[1:]} ({done} of {len(missing)} trainings done)")

    def do_quietly(self, tasks: Iterable[Task], tail: Tail) -> bool:
        """Do those of the tasks that are not done yet; tell whether all are done."""
        missing = self._missing(tasks)
        return sum(1 for _ in self._done(missing, tail)) == len(missing)

    def stop(self, what: str) -> None:
        """Take note that the deadline ended something."""
        self.was_stopped = True
        self.pace.left_out.append(what)

    def seconds(self, task: Task) -> float:
        """Return the planned seconds of a task on one core."""
        family = FAMILIES[task.candidate.family]
        rows = len(self.problem.inside(task.held))
        return float(family.seconds(task.candidate, self.problem, rows, task.epochs))

    def has_time_for(self, planned: float) -> bool:
        """Tell whether so many planned seconds on one core can still be spent."""
        return self.pace.spare(planned / self.workshop.size) > 0

    def _missing(self, tasks: Iterable[Task]) -> list[Task]:
        """Return the tasks that are not done yet, each once, in the order of their doing."""
        missing = [t for t in dict.fromkeys(tasks) if not self.is_done(t)]
        if self.pace.deadline is None:
            return sorted(missing, key=lambda task: -self.seconds(task))
        # All trainings of a candidate one after the other: half of them would be of no use.
        place: dict[str, int] = {}
        for task in missing:
            place.setdefault(task.candidate.name, len(place))
        return sorted(missing, key=lambda task: place[task.candidate.name])

    def _done(self, missing: Sequence[Task], tail: Tail | None) -> Iterator[Task]:
        """Do the tasks; yield each when it is done."""
        waiting, begun = deque(missing), dict[str, Candidate]()

        def may_begin() -> bool:
            task = waiting[0]
            if tail is not None and self.pace.deadline is not None:
                longest = self.workshop.size * self.seconds(task)
                competing = [*begun.values(), task.candidate]
                if not self.has_time_for(longest + tail(competing)):
                    waiting.clear()
                    return False
            begun[task.candidate.name] = task.candidate
            return True

        if self._stays_here(missing):
            while waiting and may_begin():
                yield self._here(waiting.popleft())
            return
        while waiting or not self.workshop.is_idle:
            while waiting and self.workshop.has_room and may_begin():
                self.workshop.begin(self.folder, waiting.popleft())
            for task, seconds in self.workshop.ended(GLANCE):
                self.pace.note(self.seconds(task), seconds)
                yield task
            if tail is not None and self._must_end(tail([*begun.values()])):
                self.workshop.stop()
                return

    def _must_end(self, tail: float) -> bool:
        """Tell whether what is under way must be ended, so that the tail is done in time.

        What is short is waited for: to start processes again takes longer.
        """
        longest = max((self.seconds(task) for task in self.workshop.under_way), default=0.0)
        if longest > START_UP:
            return not self.has_time_for(tail + self.workshop.size * START_UP)
        return not self.has_time_for(0.0)

    def _stays_here(self, missing: Sequence[Task]) -> bool:
        """Tell whether no processes are needed: for one at a time that nothing may have to end."""
        if self.workshop.size == 1 and self.pace.deadline is None:
            return True
        short = sum(self.seconds(task) for task in missing) < SHORT
        return short and not self.workshop.has_begun

    def _here(self, task: Task) -> Task:
        thread_pools()
        began = time.monotonic()
        do_task(self.folder, task)
        self.pace.note(self.seconds(task), time.monotonic() - began)
        return task


@cache
def thread_pools() -> Any:
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
        with thread_pools().limit(limits=1):
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
