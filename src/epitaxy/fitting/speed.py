"""How fast this machine is, so that a plan in seconds means seconds here."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from epitaxy.core.files import cache_folder, write_json
from epitaxy.core.hashing import content_hash
from epitaxy.core.seeds import generator

logger = logging.getLogger("epitaxy")
REFERENCE = 0.0044
"""Seconds of the processor that the workload takes on the machine of the measurements."""
ROUNDS = 80
GRID = 2.0
"""Factors are powers of it: a machine takes up to 1.25 times its own shortest time when others are
busy (benchmarks/fit_speed.py), and shall give the same plan."""


def machine_factor() -> float:
    """Return the seconds here for one second of the machine of the measurements, a power of 2.

    Measured once for a machine and kept in the cache folder.
    """
    file = cache_folder() / "speed" / f"{_machine()}.json"
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["factor"])
    except (OSError, ValueError, KeyError, TypeError):
        found = rounded(workload_seconds() / REFERENCE)
    write_json(file, {"factor": found})
    logger.info("This machine takes %g times the time of that of the measurements.", found)
    return found


def rounded(ratio: float) -> float:
    """Return the nearest power of `GRID`.

    >>> [rounded(ratio) for ratio in (0.8, 1.3, 1.6)]
    [1.0, 1.0, 2.0]
    """
    return float(GRID ** round(math.log(ratio, GRID)))


def workload_seconds(rounds: int = ROUNDS) -> float:
    """Return the seconds of the processor of a fixed workload on one thread, less than a second.

    Of each of its parts the shortest of several times counts: other processes can only lengthen it.
    """
    import torch
    from threadpoolctl import threadpool_limits

    parts = _parts()
    lowest = [math.inf] * len(parts)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            for _ in range(rounds):
                for number, part in enumerate(parts):
                    began = time.thread_time()
                    part()
                    lowest[number] = min(lowest[number], time.thread_time() - began)
    finally:
        torch.set_num_threads(before)
    return sum(lowest)


def _parts() -> list[Callable[[], object]]:
    """Return what trainings do: matrix products, grouped sums, sorting, calls of small tensors."""
    import torch

    random = generator(0, "workload")
    matrix = random.normal(size=(256, 256))
    rows = torch.from_numpy(random.normal(size=(4000, 64)))
    weights = torch.from_numpy(random.normal(size=(64, 64)))
    groups = torch.from_numpy(random.integers(0, 500, 4000))
    product, sums = torch.empty(4000, 64, dtype=torch.float64), torch.zeros(500, 64).double()
    values, small = random.normal(size=20_000), torch.ones(8, 8)

    def grouped() -> None:
        torch.mm(rows, weights, out=product)
        sums.zero_().index_add_(0, groups, product.sigmoid_())

    def calls() -> None:
        for _ in range(1000):
            torch.add(small, small, alpha=0.5)

    return [lambda: matrix @ matrix @ matrix, grouped, lambda: np.argsort(values), calls]


def _machine() -> str:
    """Return a name of the kind of processor, the number of cores, and the libraries."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return content_hash(model, os.cpu_count(), version("numpy"), version("torch"))
