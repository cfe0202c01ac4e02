"""What every timed process has in common; needs numpy and torch only.

A worker reads one command per line from standard input (``graphs``, ``train``, ``infer``,
``counts``) and answers with one line of JSON. Whatever a package prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

MIB = 2**20


class Crystals(NamedTuple):
    """The crystals to be timed, as the main process has written them."""

    lattices: Any
    """(n, 3, 3) float64, Å."""
    numbers: list[Any]
    """n arrays of atomic numbers."""
    coordinates: list[Any]
    """n arrays (atoms, 3), fractional."""
    targets: Any
    """(n,) float64, standardised."""


class Contender(Protocol):
    """One way to build, train and run ALIGNN."""

    def build(self, crystals: Crystals) -> dict[str, float]:
        """Build all graphs; return crystals per second by number of processes ("1", "2")."""

    def counts(self) -> dict[str, float]:
        """Return the atoms, bonds and angles of all crystals, not merged."""

    def batches(self) -> Iterable[tuple[Any, int]]:
        """Yield every batch once, with its number of crystals, from the package's own loader."""

    def train(self, batch: Any) -> None:
        """Do one training step."""

    def infer(self, batch: Any) -> None:
        """Predict."""

    def mode(self, *, training: bool) -> None:
        """Switch between training and evaluation."""


def read_crystals(path: str) -> Crystals:
    import numpy as np

    with np.load(path) as found:
        cuts = np.cumsum(found["counts"])[:-1]
        return Crystals(
            found["lattices"],
            np.split(found["numbers"], cuts),
            np.split(found["coordinates"], cuts),
            found["targets"],
        )


def resident() -> float:
    """Return the memory in use now, MiB (nan where the system does not tell)."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MIB
    return float("nan")


def forget_peak() -> None:
    """Let the peak start anew, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """Return the largest memory in use since `forget_peak`, MiB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def passes(contender: Contender, step: Callable[[Any], None]) -> dict[str, float]:
    """Run every batch once; time waiting for batches and computing apart."""
    loading = computing = 0.0
    crystals = 0
    processor = time.process_time()
    began = time.perf_counter()
    for batch, size in contender.batches():
        arrived = time.perf_counter()
        step(batch)
        done = time.perf_counter()
        loading += arrived - began
        computing += done - arrived
        crystals += size
        began = done
    processor = time.process_time() - processor
    return {
        "loading": loading,
        "computing": computing,
        "processor": processor,
        "crystals": crystals,
    }


def training(contender: Contender, *, warm: bool) -> dict[str, float]:
    """Time one epoch of training, after one step to warm up if ``warm``."""
    contender.mode(training=True)
    if warm:
        contender.train(next(iter(contender.batches()))[0])
    return passes(contender, contender.train)


def inference(contender: Contender, *, warm: bool) -> dict[str, float]:
    """Time one pass without gradients."""
    import torch

    contender.mode(training=False)
    with torch.no_grad():
        if warm:
            contender.infer(next(iter(contender.batches()))[0])
        return passes(contender, contender.infer)


def serve(make: Callable[[], Contender], crystals: str, threads: int) -> None:
    """Answer commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    data = read_crystals(crystals)
    contender = make()
    memory = {"imports": resident()}
    warm = set()
    for line in sys.stdin:
        command = line.strip()
        answer: dict[str, float]
        if command == "graphs":
            answer = contender.build(data)
        elif command == "counts":
            answer = contender.counts()
        elif command == "train":
            if command not in warm:
                memory["graphs"] = resident()
                forget_peak()
            answer = training(contender, warm=command not in warm)
            if command not in warm:
                memory["peak"] = peak()
            answer |= memory
        elif command == "infer":
            answer = inference(contender, warm=command not in warm)
        else:
            raise ValueError(command)
        warm.add(command)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
