"""Packed graphs on disk: one folder of ``.npy`` files, opened by memory mapping."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from epitaxy.core.files import atomic_folder, readable_disk_errors, write_json
from epitaxy.core.parsing import read_json
from epitaxy.graphs.chunk import COLUMNS, RAYS, Chunk
from epitaxy.graphs.recipe import RANKED, GraphRecipe
from epitaxy.structures.table import Dropped

FORMAT = 2
"""Raise when the stored arrays, a rule or the merging change; older folders are then rebuilt."""
LARGEST_META = 1 << 30
"""Bytes of ``meta.json``, which holds the ids."""


class Packed(NamedTuple):
    """What a graph store is made of."""

    ids: list[str]
    failures: list[Dropped]
    columns: Mapping[str, np.ndarray]


def column_names(recipe: GraphRecipe) -> list[str]:
    """Return the names of the arrays that a recipe yields."""
    names = [name for name in COLUMNS if name not in RAYS or recipe.bond_vectors]
    return [name for name in names if name != "bond_rank" or recipe.rule in RANKED]


def in_memory(chunks: Iterable[Chunk], recipe: GraphRecipe) -> Packed:
    """Join chunks to arrays in memory."""
    ids, failures = [], []
    lists = {name: [_empty(name)] for name in column_names(recipe)}
    for chunk in chunks:
        ids += chunk.ids
        failures += chunk.failures
        for name, parts in lists.items():
            parts.append(chunk.columns[name])
    return Packed(ids, failures, {name: np.concatenate(parts) for name, parts in lists.items()})


def write(folder: Path, chunks: Iterable[Chunk], recipe: GraphRecipe) -> None:
    """Append chunks to the files of ``folder`` as they come; all or nothing.

    Raises:
        InputError: the disk is full, or the place cannot be written.
    """
    ids, failures = [], []
    names = column_names(recipe)
    lengths = dict.fromkeys(names, 0)
    with atomic_folder(folder) as temporary, contextlib.ExitStack() as stack:
        files = {n: stack.enter_context((temporary / f"{n}.npy").open("wb")) for n in names}
        for name, file in files.items():
            _write_header(file, name, 0)
        for chunk in chunks:
            ids += chunk.ids
            failures += chunk.failures
            for name, file in files.items():
                file.write(chunk.columns[name].tobytes())
                lengths[name] += len(chunk.columns[name])
        for name, file in files.items():
            _write_header(file, name, lengths[name])
            file.close()
        meta = {
            "format": FORMAT,
            "recipe": recipe.model_dump(),
            "lengths": lengths,
            "ids": ids,
            "failures": failures,
        }
        write_json(temporary / "meta.json", meta)


def read(folder: Path, recipe: GraphRecipe) -> Packed | None:
    """Open a folder of graphs; None when there is none that is complete and of this format."""
    try:
        meta = read_json(folder / "meta.json", largest=LARGEST_META)
        if meta["format"] != FORMAT or meta["recipe"] != recipe.model_dump():
            return None
        columns = {name: _open(folder / f"{name}.npy", name) for name in column_names(recipe)}
        failures = [Dropped(*pair) for pair in meta["failures"]]
        lengths = {name: len(array) for name, array in columns.items()}
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    ends = {
        "atomic_numbers": "node_counts",
        "bond_dst": "bond_counts",
        "atom_class": "atom_counts",
        "ray_bond": "ray_counts",
    }
    whole = lengths == meta["lengths"] and len(columns["node_counts"]) == len(meta["ids"])
    whole = whole and all(
        lengths[name] == columns[counts].sum() for name, counts in ends.items() if name in columns
    )
    return Packed(meta["ids"], failures, columns) if whole else None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time build ``folder``; the others wait and then find it ready."""
    lock = folder.with_name(f".{folder.name}.lock")
    with readable_disk_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    with file:
        # Some network disks have no locks; then both build, and the later one is kept.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _empty(name: str) -> np.ndarray:
    dtype, shape = COLUMNS[name]
    return np.zeros((0, *shape), dtype)


def _write_header(file: IO[bytes], name: str, length: int) -> None:
    """Write the ``.npy`` header; NumPy leaves room for the length to grow in place."""
    dtype, shape = COLUMNS[name]
    file.seek(0)
    header = {"descr": dtype, "fortran_order": False, "shape": (length, *shape)}
    np.lib.format.write_array_header_1_0(file, header)


def _open(path: Path, name: str) -> np.ndarray:
    dtype, shape = COLUMNS[name]
    try:
        array: np.ndarray = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except ValueError:
        # An empty array cannot be mapped.
        array = np.load(path, allow_pickle=False)
    if array.dtype != np.dtype(dtype) or array.shape[1:] != shape:
        message = f"{path.name} does not hold {dtype} of shape {shape}"
        raise ValueError(message)
    return array
