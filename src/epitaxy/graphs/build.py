"""Chunks of a table in several processes, in order and with bounded memory."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import numpy as np

from epitaxy.core.progress import Progress
from epitaxy.graphs.chunk import Chunk, build_chunk
from epitaxy.graphs.recipe import GraphRecipe
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")

CHUNK_ATOMS = 8_000
"""Atoms handled in one NumPy pass; more would not be faster."""
PARALLEL_ATOMS = 100_000
"""Tables with fewer atoms are built before a second process would be of use."""
MAX_WORKERS = 8
AHEAD = 2
"""Chunks per process that may be under way or waiting to be stored."""

SHOWN = 5
"""Ids that a warning names."""


def chunks(
    table: StructureTable, recipe: GraphRecipe, *, workers: int | None, progress: bool
) -> Iterator[Chunk]:
    """Yield the graphs of a table piece by piece, in the order of its rows."""
    pieces = np.split(np.arange(len(table)), _cuts(table.n_atoms))
    workers = min(workers or _default_workers(len(table.atomic_numbers)), len(pieces))
    isolated: list[str] = []
    n_padded = 0
    with Progress(len(table), "graphs", enabled=progress) as bar:
        for chunk in _built(table, recipe, pieces, workers):
            isolated += chunk.isolated
            n_padded += chunk.n_padded
            yield chunk
            bar.step(len(chunk.ids) + len(chunk.failures))
    if isolated:
        crystals = list(dict.fromkeys(isolated))
        more = f" and {len(crystals) - SHOWN} more" if len(crystals) > SHOWN else ""
        logger.warning(
            "%d atom(s) have no neighbour within %g Å and no bonds, in %s%s.",
            *(len(isolated), recipe.cutoff, ", ".join(crystals[:SHOWN]), more),
        )
    if n_padded and recipe.rule == "cgcnn":
        logger.warning(
            "%d atom(s) have fewer than %d neighbours within %g Å; their lists are filled up with "
            "bonds of %g Å to the first atom, as CGCNN does.",
            n_padded,
            recipe.neighbours,
            recipe.cutoff,
            recipe.cutoff + 1,
        )


def _cuts(n_atoms: np.ndarray) -> np.ndarray:
    """Return where to cut so that pieces have about `CHUNK_ATOMS` atoms."""
    number = np.cumsum(n_atoms) // CHUNK_ATOMS
    return np.flatnonzero(np.diff(number)) + 1


def _default_workers(n_atoms: int) -> int:
    # Only Linux copies a process safely enough to do it unasked.
    if n_atoms < PARALLEL_ATOMS or sys.platform != "linux":
        return 1
    return min(len(os.sched_getaffinity(0)), MAX_WORKERS)


def _built(
    table: StructureTable, recipe: GraphRecipe, pieces: list[np.ndarray], workers: int
) -> Iterator[Chunk]:
    if workers == 1:
        for rows in pieces:
            yield build_chunk(table.select(rows), recipe)
        return
    method = "fork" if sys.platform == "linux" else None
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        pending: deque[Future[Chunk]] = deque()
        for rows in pieces:
            pending.append(pool.submit(build_chunk, table.select(rows), recipe))
            if len(pending) >= AHEAD * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
