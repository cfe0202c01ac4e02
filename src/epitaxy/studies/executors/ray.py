"""A Ray cluster, of this machine alone or of many that share a file system."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
import warnings
from contextlib import redirect_stderr
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from epitaxy.core.errors import InputError
from epitaxy.studies.tasks import Outcome, Task, check_counts

logger = logging.getLogger("epitaxy")
HERE = "local"
"""What Ray calls a cluster of its own on this machine."""
CACHE = "EPITAXY_CACHE"
LINGERING = 120.0
"""Seconds for which a run waits for the process that had it before: after the loss of a head, the
other machines of a cluster work on for about a minute."""
GLANCE = 2.0
"""Seconds between looks at the cluster while nothing ends."""
CALLS = 3
"""How often a head that does not answer is called; later Ray would end this process by itself."""


class RayExecutor:
    """Runs as tasks of Ray, each with the cores and graphics cards that it declares.

    Ray starts a process per run, or takes one that has finished another. All machines need the same
    installation, and the study folder, the data and the current folder under the same paths. The
    graph store is that of each machine: ``$EPITAXY_CACHE`` as it was set where ``ray start`` was
    called, else as here.

    Args:
        folder: where each process writes its messages, ``ray-MACHINE-PROCESS.txt``.
        workers: runs at the same time; by default as many as the machines can take.
        cpus: cores of a run, which are also its threads; 1 by default.
        gpus: graphics cards of a run; with 0.5, two runs share one.
        address: of the cluster, ``auto`` for the one that this machine belongs to; by default
            ``$RAY_ADDRESS``, and without that a cluster is started here and stopped at the end.

    Raises:
        InputError: a number is out of range, Ray is not installed, the cluster does not answer, or
            none of its machines has what a run needs.
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
        if gpus < 0:
            raise InputError(f"A run cannot have {gpus:g} gpus; give 0 or more.")
        self.folder, self._most = folder, workers
        self._needs = {"CPU": float(cpus or 1), "GPU": float(gpus)}
        self._ray = _ray()
        self._is_ours = _connect(self._ray, address or os.environ.get("RAY_ADDRESS") or HERE)
        self._watch = Watch(str(self._ray.get_runtime_context().gcs_address))
        self._watch.start()
        self._under_way: dict[Any, tuple[str, float]] = {}
        options = {"num_cpus": cpus or 1, "num_gpus": gpus, "max_retries": 0}
        self._remote = self._ray.remote(execute_here).options(**options)
        if not self._capacity():
            found = self._described()
            self._leave()
            raise InputError(
                f"No machine of the Ray cluster has the {_words(self._needs)} of a run: {found}."
            )

    @property
    def workers(self) -> int:
        """How many runs the machines can take now, at most what was asked for."""
        capacity = max(1, self._capacity())
        return capacity if self._most is None else min(self._most, capacity)

    def submit(self, task: Task) -> None:
        """Start a task on a machine that has what it needs."""
        place = Place(str(Path.cwd()), str(self.folder), os.environ.get(CACHE))
        reference = self._remote.remote(asdict(task), place)
        self._under_way[reference] = (task.id, time.monotonic())

    def wait(self) -> Outcome:
        """Return the next outcome; a process or machine that was lost counts as died.

        Raises:
            InputError: the head of the cluster is gone.
        """
        ready: list[Any] = []
        while not ready:
            if self._watch.is_lost:
                raise InputError(self._watch.sentence)
            ready, _ = self._ray.wait(list(self._under_way), num_returns=1, timeout=GLANCE)
            if not ready and not self._capacity():
                logger.warning("No machine of the Ray cluster can take runs now; waiting for one.")
        identity, began = self._under_way.pop(ready[0])
        try:
            answer = self._ray.get(ready[0])
        except self._ray.exceptions.RayError as error:
            kind, said = type(error).__name__, " ".join(str(error).split())
            reason = f"its process was lost ({kind}: {said}), see {self.folder}"
            return Outcome(identity, time.monotonic() - began, reason, died=True)
        return Outcome(identity, answer["seconds"], answer["reason"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._watch.is_lost:
            for reference in self._under_way:
                self._ray.cancel(reference, force=True)
            self._leave()

    def _leave(self) -> None:
        self._watch.over.set()
        if self._is_ours:
            self._ray.shutdown()

    def _capacity(self) -> int:
        """Return how many runs fit on the machines that are there, whole runs on each."""
        return sum(fitting(node["Resources"], self._needs) for node in self._machines())

    def _machines(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]

    def _described(self) -> str:
        of_each = [
            f"{node['NodeManagerHostname']} has "
            + _words({kind: node["Resources"].get(kind, 0.0) for kind in self._needs})
            for node in self._machines()
        ]
        return "; ".join(of_each) or "there is none"


class Watch(threading.Thread):
    """Looks after the head of a cluster, and says when it is gone.

    A thread, since a process that has lost its head may hang in any call of Ray until Ray ends it.

    Args:
        address: of the head, ``HOST:PORT``.
    """

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.address, self.over, self.is_lost = address, threading.Event(), False
        self.sentence = (
            f"The head of the Ray cluster at {address} does not answer any more; start it again "
            "and give the same command: runs go on from their last checkpoints."
        )

    def run(self) -> None:
        """Call the head until the executor ends."""
        while not self.over.wait(GLANCE):
            if not answers(self.address, CALLS) and not self.over.is_set():
                self.is_lost = True
                logger.error(self.sentence)
                return


class Place(NamedTuple):
    """Where the study was started."""

    current: str
    """Folder to which paths are relative."""
    messages: str
    """Folder for what processes say."""
    cache: str | None
    """``$EPITAXY_CACHE``."""


def fitting(has: dict[str, float], needs: dict[str, float]) -> int:
    """Return how many runs a machine can take at the same time.

    >>> fitting({"CPU": 16, "GPU": 1}, {"CPU": 4, "GPU": 0.5})
    2
    """
    return int(min(has.get(kind, 0.0) // number for kind, number in needs.items() if number))


def answers(address: str, calls: int = 1) -> bool:
    """Tell whether somebody listens at ``HOST:PORT``; asked several times, a second apart.

    >>> answers("127.0.0.1:1")
    False
    """
    host, _, port = address.rpartition(":")
    for call in range(calls):
        time.sleep(float(call > 0))
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
        except OSError:
            continue
        return True
    return False


def execute_here(task: dict[str, Any], place: Place) -> dict[str, Any]:
    """Execute a task in a process of Ray; return why it failed, or nothing, and its wall time."""
    from epitaxy.studies.worker import execute, prepare

    began = time.monotonic()
    if place.cache is not None:
        os.environ.setdefault(CACHE, place.cache)
    try:
        os.chdir(place.current)
        Path(place.messages).mkdir(parents=True, exist_ok=True)
        name = f"ray-{socket.gethostname()}-{os.getpid()}.txt"
        with (Path(place.messages) / name).open("a", encoding="utf-8") as file:
            handler = prepare(file)
            with redirect_stderr(file), warnings.catch_warnings(action="ignore"):
                _wait_for_others(Path(task["out"]))
                reason = execute(task)
            logger.removeHandler(handler)
    except OSError as error:
        reason = f"{socket.gethostname()} cannot read or write what the study needs: {error}"
    return {"reason": reason, "seconds": time.monotonic() - began}


def _wait_for_others(out: Path) -> None:
    """Wait while a process that nobody listens to any more still has the run."""
    lock = out.with_name(f".{out.name}.lock")
    end = time.monotonic() + LINGERING
    while lock.exists() and time.monotonic() < end:
        with lock.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(1.0)
            else:
                return


def _ray() -> Any:
    """Import Ray.

    Raises:
        InputError: it is not installed.
    """
    # Nobody is told that it is used; read when it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(
            f"The executor 'ray' needs a package that is not installed ({error.name}); run: "
            "pip install 'epitaxy[ray]'."
        ) from error
    return ray


def _connect(ray: Any, address: str) -> bool:
    """Join a cluster, or start one; tell whether it must be left at the end.

    Raises:
        InputError: the cluster does not answer.
    """
    if ray.is_initialized():
        return False
    settings: dict[str, Any] = {"include_dashboard": False} if address == HERE else {}
    try:
        with warnings.catch_warnings(action="ignore"):
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **settings)
    except Exception as error:  # what Ray raises here is often an Exception and no more
        said = " ".join(str(error).split())
        raise InputError(
            f"There is no Ray cluster at {address!r} ({said}); start one with 'ray start --head', "
            "or leave the address out for one of this machine alone."
        ) from error
    return True


def _words(resources: dict[str, float]) -> str:
    """Write what a machine has.

    >>> _words({"CPU": 4.0, "GPU": 0.0})
    '4 CPU and 0 GPU'
    """
    return " and ".join(f"{number:g} {kind}" for kind, number in resources.items())
