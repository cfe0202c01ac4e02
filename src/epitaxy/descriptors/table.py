"""`describe_table`: the vectors of a descriptor for a whole table, computed once."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from epitaxy.core.errors import DiskError, InputError, unknown
from epitaxy.core.files import atomic_file
from epitaxy.core.hashing import content_hash
from epitaxy.core.parsing import parse_json
from epitaxy.descriptors import DESCRIPTORS
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")
JOIN = "+"
FORMAT = 1
"""Raise when the files or the meaning of a descriptor change; older files are then not read."""


class Vectors(NamedTuple):
    """What a descriptor says about B crystals."""

    values: np.ndarray
    """(B, F) float64; rows with a reason may hold anything."""
    reasons: Sequence[str]
    """Per crystal why it cannot be described (one sentence), empty where it can."""


class Descriptor(Protocol):
    """An entry of `DESCRIPTORS`.

    The vector of a crystal depends on this crystal alone, on neither the rest of the table nor the
    order of the atoms. Optional packages are imported only when a member is used.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the F features.

        Raises:
            InputError: an optional package is not installed.
        """

    @property
    def version(self) -> str:
        """What the values depend on besides the crystals: packages and their versions.

        Raises:
            InputError: an optional package is not installed.
        """

    def __call__(self, table: StructureTable, *, workers: int | None = None) -> Vectors:
        """Describe all crystals, in at most ``workers`` processes.

        Raises:
            InputError: an optional package is not installed.
        """


class Described(NamedTuple):
    """Vectors of the n crystals of a table that could be described."""

    ids: np.ndarray
    """(n,) dtype object holding str, in the order of the table."""
    values: np.ndarray
    """(n, F) float64, finite."""
    names: tuple[str, ...]
    """Names of the F features."""
    failures: tuple[Dropped, ...]
    """The other crystals, each with the reason."""


def describe_table(
    table: StructureTable, name: str, *, cache: Path | None = None, workers: int | None = None
) -> Described:
    """Compute the descriptor called ``name`` for all crystals, or read what was computed before.

    Args:
        table: the crystals.
        name: an entry of `DESCRIPTORS`, or several joined by ``+`` for all their features side by
            side, such as ``composition+geometry``.
        cache: folder that keeps the vectors, one file per (table, descriptor, versions of its
            packages); None keeps nothing.
        workers: processes; None takes one for small tables and up to eight for large ones.

    Raises:
        InputError: there is no such descriptor, one is named twice, the package that it needs is
            not installed, the folder cannot be written, or ``workers`` is below 1.

    >>> nacl = StructureTable.from_arrays(
    ...     ids=["NaCl"], lattices=[2.8 * (1 - np.eye(3))], atomic_numbers=[[11, 17]],
    ...     frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]]])
    >>> found = describe_table(nacl, "composition")
    >>> found.values[0, found.names.index("mean atomic number")]
    np.float64(14.0)
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers} is not allowed; give 1 or more, or None.")
    parts = joined_parts(name)
    if len(parts) > 1:
        return _joined([describe_table(table, p, cache=cache, workers=workers) for p in parts])
    descriptor: Descriptor = DESCRIPTORS[name]
    if cache is None:
        return _described(table, descriptor, workers)
    key = content_hash(FORMAT, descriptor.version)
    path = Path(cache) / f"{table.hash}-{name}-{key}.npz"
    known = _read(path)
    if known is None:
        known = _described(table, descriptor, workers)
        try:
            _write(path, known)
        except DiskError as error:
            logger.warning("%s The descriptors are not kept.", error)
    return known


def joined_parts(name: str) -> tuple[str, ...]:
    """Return the entries of `DESCRIPTORS` that a name joins by ``+``.

    Raises:
        InputError: one is not known, or is named twice.

    >>> joined_parts("composition+geometry")
    ('composition', 'geometry')
    """
    parts = tuple(name.split(JOIN))
    for number, part in enumerate(parts):
        if part not in DESCRIPTORS:
            raise unknown("descriptor", part, DESCRIPTORS)
        if part in parts[:number]:
            raise InputError(f"The descriptor {part!r} is named twice in {name!r}; name it once.")
    return parts


def feature_names(name: str) -> tuple[str, ...]:
    """Return the names of all features of a descriptor, or of several joined by ``+``.

    Raises:
        InputError: one is not known, is named twice, or lacks its package.
    """
    return tuple(feature for part in joined_parts(name) for feature in DESCRIPTORS[part].names)


def _joined(parts: Sequence[Described]) -> Described:
    """Put features side by side, for the crystals that have them all."""
    reasons = {d.id: d for part in reversed(parts) for d in part.failures}
    kept = [[str(i) not in reasons for i in part.ids] for part in parts]
    values = np.hstack([part.values[rows] for part, rows in zip(parts, kept, strict=True)])
    names = tuple(name for part in parts for name in part.names)
    return Described(parts[0].ids[kept[0]], values, names, tuple(reasons.values()))


def _described(table: StructureTable, descriptor: Descriptor, workers: int | None) -> Described:
    names = descriptor.names
    values, given = descriptor(table, workers=workers)
    reasons = list(given)
    for row in np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
        feature = names[np.flatnonzero(~np.isfinite(values[row]))[0]]
        reasons[row] = reasons[row] or f"The feature {feature!r} is not a finite number."
    good = np.array([not reason for reason in reasons], dtype=bool)
    pairs = zip(table.ids, reasons, strict=True)
    failures = tuple(Dropped(str(i), reason) for i, reason in pairs if reason)
    return Described(table.ids[good], np.asarray(values[good], np.float64), names, failures)


def _write(path: Path, described: Described) -> None:
    meta = {
        "ids": [str(i) for i in described.ids],
        "names": described.names,
        "failures": described.failures,
    }
    # As bytes: arrays of Python objects would be pickled.
    text = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, values=described.values, meta=text)


def _read(path: Path) -> Described | None:
    """Read a file of `_write`; None when there is none, or it is damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            values, meta = file["values"], parse_json(file["meta"].tobytes())
        ids = np.array(meta["ids"], dtype=object)
        names, failures = tuple(meta["names"]), tuple(Dropped(*f) for f in meta["failures"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    if values.shape != (len(ids), len(names)):
        return None
    return Described(ids, values, names, failures)
