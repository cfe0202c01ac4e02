"""The processes that train for a fit; they can be ended at any moment, and end with it."""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from epitaxy.core.errors import InputError
from epitaxy.core.processes import Worker
from epitaxy.fitting.candidates.family import Task

COMMAND = (sys.executable, "-m", "epitaxy.fitting.worker")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Done(NamedTuple):
    """A training that has ended."""

    task: Task
    seconds: float


class Workshop:
    """Up to ``size`` processes, started when there is something to do, each on one thread.

    A context manager: at its end the processes are ended.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._workers: list[Worker] = []
        self._under_way: dict[Worker, Task] = {}

    @property
    def has_begun(self) -> bool:
        """Whether there are processes, which take seconds to start."""
        return bool(self._workers)

    @property
    def under_way(self) -> list[Task]:
        """The trainings that were begun and have not ended."""
        return list(self._under_way.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way

    @property
    def has_room(self) -> bool:
        """Whether one more training may be begun."""
        return len(self._under_way) < self.size

    def begin(self, folder: Path, task: Task) -> None:
        """Begin a training for the fit whose trainings are kept in ``folder``."""
        free = [worker for worker in self._workers if worker not in self._under_way]
        if not free:
            environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
            free = [Worker(COMMAND, environment=environment)]
            self._workers += free
        self._under_way[free[0]] = task
        free[0].send({"folder": str(folder.absolute()), "task": asdict(task)})

    def ended(self, timeout: float | None = None) -> Iterator[Done]:
        """Yield the trainings that have ended, waiting for one of them at most ``timeout`` seconds.

        Raises:
            InputError: a process died, for want of memory as a rule.
            RuntimeError: a training failed by a fault of ours.
        """
        if not self._under_way:
            return
        with selectors.DefaultSelector() as selector:
            for worker in self._under_way:
                selector.register(worker.answers, selectors.EVENT_READ, worker)
            ready: Sequence[Worker] = [key.data for key, _ in selector.select(timeout)]
        for worker in ready:
            answer, task = worker.receive(), self._under_way.pop(worker)
            if answer is None:
                raise InputError(_epitaph(worker, task))
            if "fault" in answer:
                message = f"{task.candidate.name} failed in its process:\n{answer['fault']}"
                raise RuntimeError(message)
            yield Done(task, answer["seconds"])

    def stop(self) -> None:
        """End the processes; what they are doing is lost, but for what networks have saved."""
        for worker in self._workers:
            worker.stop()
        self._workers, self._under_way = [], {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _epitaph(worker: Worker, task: Task) -> str:
    code = worker.process.wait(timeout=10)
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return (
        f"The process that trained {task.candidate.name} ended with {how}; where memory is short, "
        "fewer --threads help. The same command continues where it was."
    )
