"""Which run comes next, what is tried again, and what cannot be run any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from epitaxy.studies.tasks import Executor, Outcome, Task

ATTEMPTS = 2
"""How often a run is tried before it counts as failed."""


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

    A task that fails is tried once more; if it fails again, those that need it are not run, and the
    rest goes on.

    Args:
        tasks: what is to be done, by id.
        needs: id -> ids of tasks that must succeed before; ids without a task count as done.
        executor: does the work.
    """
    open_needs = {i: {n for n in needs.get(i, ()) if n in tasks} for i in tasks}
    ready = [i for i in tasks if not open_needs[i]]
    waiting = {i: task for i, task in tasks.items() if open_needs[i]}
    attempts = dict.fromkeys(tasks, 0)
    busy = 0
    while ready or busy:
        while ready and busy < executor.workers:
            chosen = ready.pop(0)
            attempts[chosen] += 1
            busy += 1
            yield Event(chosen, "started")
            executor.submit(tasks[chosen])
        outcome = executor.wait()
        busy -= 1
        if outcome.reason and attempts[outcome.id] < ATTEMPTS:
            ready.insert(0, outcome.id)
            yield Event(outcome.id, "retried", outcome.seconds, outcome.reason)
        elif outcome.reason:
            yield Event(outcome.id, "failed", outcome.seconds, outcome.reason)
            yield from _give_up(outcome, waiting, open_needs)
        else:
            yield Event(outcome.id, "finished", outcome.seconds)
            for i in list(waiting):
                open_needs[i].discard(outcome.id)
                if not open_needs[i]:
                    del waiting[i]
                    # Before what was ready already: its data may still be in memory.
                    ready.insert(0, i)


def _give_up(
    outcome: Outcome, waiting: dict[str, Task], open_needs: Mapping[str, set[str]]
) -> Iterator[Event]:
    """Take out of ``waiting`` all that needs a failed run, directly or through others."""
    lost = [outcome.id]
    for failed in lost:
        for i in [i for i in waiting if failed in open_needs[i]]:
            del waiting[i]
            lost.append(i)
            yield Event(i, "not run", reason=f"it needs the run {failed}, which failed")
