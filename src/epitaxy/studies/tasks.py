"""What a study asks of whatever executes its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from epitaxy.core.errors import InputError


@dataclass(frozen=True)
class Task:
    """One run, ready to be executed; everything in it can be written as JSON."""

    id: str
    verb: str
    arguments: Mapping[str, Any]
    out: str
    """Run folder."""


@dataclass(frozen=True)
class Outcome:
    """How the execution of a task ended."""

    id: str
    seconds: float
    """Wall time."""
    reason: str = ""
    """Why there is no finished run; empty when there is one."""
    died: bool = False
    """Whether its process died; tried again, the run goes on from its last checkpoint."""


class Executor(Protocol):
    """Executes tasks that do not depend on each other, each in a process that it may bring down.

    Made from a folder for what the processes say, and the keywords ``workers``, ``cpus``, ``gpus``
    and ``address`` of `run_study`; one that it cannot use is an `InputError`.

    A context manager: what is still going on when the block ends is stopped, and may be submitted
    again to another executor later, since runs continue where they were.
    """

    @property
    def workers(self) -> int:
        """How many tasks are executed at the same time; may change while tasks are under way."""

    def submit(self, task: Task) -> None:
        """Start a task; at most `workers` of them may be without an outcome."""

    def wait(self) -> Outcome:
        """Return the outcome of a task as soon as there is one; some task must be under way."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def check_counts(**counts: int | None) -> None:
    """Refuse numbers of workers or cores that are no counts; None stands for the default.

    Raises:
        InputError: one is not positive.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            one = name.removesuffix("s")
            raise InputError(f"There must be at least one {one}, but {name} = {count} came.")
