"""Processes on this machine, each of which executes many runs, one after the other."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from epitaxy.core.errors import InputError
from epitaxy.core.processes import Worker
from epitaxy.studies.tasks import Outcome, Task, check_counts

MEMORY = 2 * 1024**3
"""Bytes that a worker is supposed to need, where the user does not say how many there shall be."""
COMMAND = (sys.executable, "-m", "epitaxy.studies.worker")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalExecutor:
    """Worker processes that speak JSON over pipes; one that dies is replaced.

    Args:
        folder: where each worker writes its messages, ``worker-N.txt``.
        workers: number of processes; by default one per core (or per ``cpus``), or fewer where
            memory is short.
        cpus: threads of each process; by default its share of the cores, unless OMP_NUM_THREADS
            says otherwise.
        gpus: graphics cards of a run; this executor does not share them out.
        address: of a cluster, of which this executor knows nothing.

    Raises:
        InputError: ``workers`` or ``cpus`` is not positive, or ``gpus`` or ``address`` is given.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int | None = None,
        cpus: int | None = None,
        gpus: float = 0.0,
        address: str | None = None,
    ) -> None:
        check_counts(workers=workers, cpus=cpus)
        if gpus or address:
            given = f"address {address!r}" if address else f"{gpus:g} gpus a run"
            raise InputError(
                f"The executor 'local' takes this machine as it is, but {given} came; leave that "
                "out, or use the executor 'ray'."
            )
        cores = len(os.sched_getaffinity(0))
        self.folder = folder
        most = max(1, cores // (cpus or 1))
        self.workers = workers or max(1, min(most, available_memory() // MEMORY))
        # One number for all: a library with threads of its own would be in the way of the others.
        share = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // self.workers))
        threads = str(cpus) if cpus else share
        self._environment = {**os.environ, **dict.fromkeys(THREADS, threads)}
        self._slots: list[_Worker | None] = [None] * self.workers

    def submit(self, task: Task) -> None:
        """Give a task to a process that has nothing to do, which is started if there is none."""
        slot = min(
            (n for n, worker in enumerate(self._slots) if worker is None or worker.task is None),
            key=lambda n: self._slots[n] is None,
        )
        worker = self._slots[slot]
        if worker is None:
            file = self.folder / f"worker-{slot + 1}.txt"
            worker = self._slots[slot] = _Worker(file, self._environment)
        worker.start(task)

    def wait(self) -> Outcome:
        """Return the next outcome; a process that died while it worked has failed."""
        with selectors.DefaultSelector() as selector:
            for slot, worker in enumerate(self._slots):
                if worker is not None and worker.task is not None:
                    selector.register(worker.answers, selectors.EVENT_READ, (slot, worker))
            found: tuple[int, _Worker] = selector.select()[0][0].data
        slot, worker = found
        outcome = worker.outcome()
        if outcome is None:
            self._slots[slot] = None
            return worker.epitaph()
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._slots:
            if worker is not None:
                worker.stop()


class _Worker:
    """One process."""

    def __init__(self, messages: Path, environment: Mapping[str, str]) -> None:
        messages.parent.mkdir(parents=True, exist_ok=True)
        self.messages = messages
        with messages.open("a", encoding="utf-8") as file:
            self.worker = Worker(COMMAND, environment=environment, messages=file)
        self.answers = self.worker.answers
        self.task: Task | None = None
        self.began = 0.0

    def start(self, task: Task) -> None:
        self.task, self.began = task, time.monotonic()
        self.worker.send(asdict(task))

    def outcome(self) -> Outcome | None:
        """Return what the process answers, None when it has died."""
        answer = self.worker.receive()
        if answer is None:
            return None
        assert self.task is not None
        outcome = Outcome(self.task.id, time.monotonic() - self.began, answer["reason"])
        self.task = None
        return outcome

    def epitaph(self) -> Outcome:
        """Return the outcome of the task that was under way when the process died."""
        assert self.task is not None
        try:
            # Its answers end a moment before it does.
            code = self.worker.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            code = 0
        self.stop()
        how = f"exit code {code}"
        if code < 0:
            how = signal.Signals(-code).name
        reason = f"its process ended with {how}, see {self.messages}"
        if code == -signal.SIGKILL:
            reason += "; where memory is short, fewer workers help"
        return Outcome(self.task.id, time.monotonic() - self.began, reason, died=True)

    def stop(self) -> None:
        """End the process; a run that it is in the middle of can be continued."""
        self.worker.stop()


def available_memory() -> int:
    """Return the bytes of memory that new processes may use."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
