"""Which run comes next, what is tried again, and what cannot be run any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from epitaxy.studies.tasks import Executor, Outcome, Task

ATTEMPTS = 2
"""How often a run may end with an error before it counts as failed."""
DEATHS = 5
"""How often its process may die: a run goes on from its last checkpoint, so that it is not the run
that is at fault when machines come and go."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a run."""

    id: str
    kind: Literal["started", "finished", "retried", "failed", "not run"]
    seconds: float = 0.0
    """Wall time of the attempt."""
    reason: str = ""


def schedule(
    tasks: Mapping[str, Task], needs: Mapping[str, tuple[str, ...]], executor: Executor
) -> Iterator[Event]:
    """Execute tasks, those that others need first, and tell what happens as it happens.

    A task that fails is tried once more, one whose process died more often; if it fails for good,
    those that need it are not run, and the rest goes on.

    Args:
        tasks: what is to be done, by id.
        needs: id -> ids of tasks that must succeed before; ids without a task count as done.
        executor: does the work.
    """
    queue = _Queue(tasks, needs)
    busy = 0
    while queue.ready or busy:
        while queue.ready and busy < executor.workers:
            chosen = queue.ready.pop(0)
            busy += 1
            yield Event(chosen, "started")
            executor.submit(tasks[chosen])
        outcome = executor.wait()
        busy -= 1
        yield from queue.settle(outcome)


class _Queue:
    """Tasks that can be started, and tasks that wait for others."""

    def __init__(self, tasks: Mapping[str, Task], needs: Mapping[str, tuple[str, ...]]) -> None:
        self._open = {i: {n for n in needs.get(i, ()) if n in tasks} for i in tasks}
        self.ready = [i for i in tasks if not self._open[i]]
        self._waiting = [i for i in tasks if self._open[i]]
        self._faults: Counter[str] = Counter()
        self._deaths: Counter[str] = Counter()

    def settle(self, outcome: Outcome) -> Iterator[Event]:
        """Decide what follows from an outcome."""
        if not outcome.reason:
            yield Event(outcome.id, "finished", outcome.seconds)
            self._release(outcome.id)
        elif self._may_try_again(outcome):
            self.ready.insert(0, outcome.id)
            yield Event(outcome.id, "retried", outcome.seconds, outcome.reason)
        else:
            yield Event(outcome.id, "failed", outcome.seconds, outcome.reason)
            yield from self._give_up(outcome.id)

    def _may_try_again(self, outcome: Outcome) -> bool:
        count, most = (self._deaths, DEATHS) if outcome.died else (self._faults, ATTEMPTS)
        count[outcome.id] += 1
        return count[outcome.id] < most

    def _release(self, done: str) -> None:
        """Make ready what waited for this task alone."""
        for i in [i for i in self._waiting if done in self._open[i]]:
            self._open[i].discard(done)
            if not self._open[i]:
                self._waiting.remove(i)
                # Before what was ready already: its data may still be in memory.
                self.ready.insert(0, i)

    def _give_up(self, failed: str) -> Iterator[Event]:
        """Take out what needs a failed task, directly or through others."""
        lost = [failed]
        for gone in lost:
            for i in [i for i in self._waiting if gone in self._open[i]]:
                self._waiting.remove(i)
                lost.append(i)
                yield Event(i, "not run", reason=f"it needs the run {gone}, which failed")
