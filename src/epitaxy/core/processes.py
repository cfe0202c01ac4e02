"""Processes that do one job after the other, and end with whoever started them."""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of Linux."""


class Worker:
    """A process that reads jobs from its standard input and writes answers, as lines of JSON.

    Args:
        command: starts it; its program calls `serve`.
        environment: variables of the process.
        messages: where its standard error goes; by default to ours.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        messages: IO[str] | None = None,
    ) -> None:
        # A session of its own: Ctrl-C is for the program that started it, which then stops it.
        self.process = subprocess.Popen(  # noqa: S603 - a module of this package
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            env=environment,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.jobs: IO[bytes] = self.process.stdin
        self.answers: IO[bytes] = self.process.stdout

    def send(self, job: Any) -> None:
        """Give a job."""
        try:
            self.jobs.write(json.dumps(job).encode() + b"\n")
            self.jobs.flush()
        except BrokenPipeError:
            # It died while idle; `receive` finds its answers closed and says so.
            return

    def receive(self) -> Any:
        """Wait for the answer; None when the process has died."""
        line = self.answers.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def stop(self) -> None:
        """End the process at once, whatever it does."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.jobs, self.answers):
            try:
                pipe.close()
            except BrokenPipeError:
                continue


def serve(answer: Callable[[Any], Any]) -> None:
    """Answer jobs until whoever gives them has ended, however it did; never returns."""
    die_with_parent()
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(jobs,), daemon=True).start()
    while True:
        answers.write(json.dumps(answer(jobs.get())) + "\n")
        answers.flush()


def die_with_parent() -> None:
    """Let Linux end this process with the thread that started it; elsewhere `serve` does it.

    A closed standard input tells a process, too, but not while a library holds the interpreter.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def age() -> float:
    """Return the seconds since this process was created, imports included.

    Where the system does not tell, since this module was imported.
    """
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return time.monotonic() - _IMPORTED
    return uptime - ticks / os.sysconf("SC_CLK_TCK")


_IMPORTED = time.monotonic()


def _receive(jobs: queue.SimpleQueue[Any]) -> None:
    for line in iter(sys.stdin.readline, ""):
        jobs.put(json.loads(line))
    os._exit(0)
