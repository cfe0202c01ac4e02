"""What a model has learned: the values of which materials, so that nobody is scored on them.

A model that was pre-trained on a material knows something of it, and if it learned the very
property that is asked for, an error on that material says nothing about new ones.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from epitaxy.checkpoints.model_files import model_folder
from epitaxy.checkpoints.relations import EQUAL
from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file
from epitaxy.core.parsing import parse_json
from epitaxy.structures.polymorphs import UNTOLD, structure_keys
from epitaxy.structures.table import StructureTable

FILE = "learned.safetensors"
FINGERPRINT = "fingerprint.safetensors"
"""The same without values, for models that are given away."""
ABOUT = "about"
MOST_STRUCTURES = 2000
"""Rows up to which the structure of every crystal is noted; of larger tables only those that share
their composition, since finding the symmetry takes milliseconds."""
AMBIGUOUS = 3
"""So many crystals of a composition may be those that were learned, though fewer were."""


class Materials:
    """Crystals that are asked about; what is found of their structures is kept."""

    def __init__(self, table: StructureTable) -> None:
        self.table = table
        self._structures: dict[int, int] = {}

    def keys(self, salt: bytes = b"") -> np.ndarray:
        """Return the keys of the compositions, (n,)."""
        return composition_keys(self.table.formulas, salt)

    def structures(self, rows: np.ndarray, salt: bytes = b"") -> np.ndarray:
        """Return the keys of the structures of some rows."""
        new = [row for row in rows.tolist() if row not in self._structures]
        self._structures |= dict(zip(new, structure_keys(self.table, new).tolist(), strict=True))
        found = [self._structures[row] for row in rows.tolist()]
        return _salted_structures(np.array(found, dtype=np.uint32), salt)


@dataclass(frozen=True)
class Entry:
    """The labels of one property: one row per labelled crystal, by composition."""

    compositions: np.ndarray
    """(m,) keys, ascending."""
    structures: np.ndarray
    """(m,) keys, `UNTOLD` where not known."""
    values: np.ndarray | None
    """(m,) float32; None in a fingerprint."""
    salt: bytes = b""
    """Of the keys of a fingerprint."""

    def covers(self, materials: Materials, labels: np.ndarray) -> np.ndarray:
        """Tell of which labelled rows the material was learned, (n,) bool.

        A material is a composition, and of several crystals with one composition those count
        whose space group and cell are like those that were learned. Where still more than twice as
        many are as were learned, their values decide.
        """
        keys = materials.keys(self.salt)
        found: np.ndarray = np.isfinite(labels) & np.isin(keys, self.compositions)
        unique, counts = np.unique(keys[found], return_counts=True)
        for key in unique[counts > 1]:
            rows = np.flatnonzero(found & (keys == key))
            found[rows] = self._which(key, rows, materials, labels)
        return found

    def _which(
        self, key: int, rows: np.ndarray, materials: Materials, labels: np.ndarray
    ) -> np.ndarray:
        """Tell which rows of one composition were learned."""
        mine = self.compositions == key
        known, alike = self.structures[mine], np.ones(len(rows), dtype=bool)
        if (known != UNTOLD).all():
            asked = materials.structures(rows, self.salt)
            alike = np.isin(asked, known) | (asked == UNTOLD)
        if alike.sum() <= max(2 * int(mine.sum()), AMBIGUOUS):
            return alike
        if self.values is None:
            return np.zeros(len(rows), dtype=bool)
        near = np.isclose(labels[rows, None], self.values[mine], rtol=EQUAL, atol=0)
        return np.asarray(alike & near.any(axis=1))


@dataclass(frozen=True)
class Learned:
    """The labels of one model's training and validation rows, and of the models before it."""

    of: Mapping[str, Entry] = field(default_factory=dict)
    """By property; those of models before it under further names."""
    is_complete: bool = True
    """False where the model, or one before it, does not say what it has learned."""

    @classmethod
    def from_labels(
        cls,
        formulas: Sequence[str],
        labels: np.ndarray,
        names: Sequence[str],
        structures: np.ndarray | None = None,
    ) -> Learned:
        """Take over (n, P) labels, NaN where there is none, and (n,) `structure_keys`.

        >>> found = Learned.from_labels(["NaCl", "MgO"], np.array([[8.5], [np.nan]]), ["gap"])
        >>> len(found.of["gap"].values)
        1
        """
        keys = composition_keys(formulas)
        own = np.full(len(keys), UNTOLD, np.uint32) if structures is None else structures
        return cls({name: _entry(keys, own, labels[:, p]) for p, name in enumerate(names)})

    @classmethod
    def of_table(cls, table: StructureTable, labels: np.ndarray, names: Sequence[str]) -> Learned:
        """Take over (n, P) labels of the crystals of a table, with their structures."""
        rows = np.arange(len(table))
        if len(table) > MOST_STRUCTURES:
            keys = composition_keys(table.formulas)
            unique, counts = np.unique(keys, return_counts=True)
            rows = np.flatnonzero(np.isin(keys, unique[counts > 1]))
        structures = np.full(len(table), UNTOLD, np.uint32)
        structures[rows] = structure_keys(table, rows)
        return cls.from_labels(table.formulas, labels, names, structures)

    def __or__(self, other: Learned) -> Learned:
        """Join what two models learned.

        Two properties of one name stay apart, since they need not be the same quantity.
        """
        joined = dict(self.of)
        for name, entry in other.of.items():
            free, number = name, 2
            while free in joined and not _equal(joined[free], entry):
                free, number = f"{name} ({number})", number + 1
            joined[free] = entry
        return Learned(joined, self.is_complete and other.is_complete)

    def write(self, folder: Path) -> None:
        """Write ``learned.safetensors``: arrays of each property."""
        _write(self, folder / FILE)

    def write_fingerprint(self, folder: Path) -> None:
        """Write ``fingerprint.safetensors``, which tells of a material whether it was learned.

        Compositions and structures are hashed with a key that stands in the file, and there are no
        values. Who has the file can ask of any composition that comes to mind whether it is among
        them, and of which property; it cannot be listed otherwise.
        """
        hidden = {name: _hidden(entry) for name, entry in self.of.items()}
        _write(Learned(hidden, self.is_complete), folder / FINGERPRINT)

    def knows(self, formulas: Sequence[str]) -> np.ndarray:
        """Tell of which compositions any value was learned, (n,) bool."""
        found = np.zeros(len(formulas), dtype=bool)
        for entry in self.of.values():
            found |= np.isin(composition_keys(formulas, entry.salt), entry.compositions)
        return found


def composition_keys(formulas: Sequence[str], salt: bytes = b"") -> np.ndarray:
    """Return a key of each reduced formula, (n,): uint32, or uint64 with a salt.

    >>> composition_keys(["NaCl"]).dtype, composition_keys(["NaCl"], b"salt").dtype
    (dtype('uint32'), dtype('uint64'))
    """
    plain = np.array([zlib.crc32(str(f).encode()) for f in formulas], dtype=np.uint32)
    return _salted(plain, salt) if salt else plain


def read_learned(model: str | Path) -> Learned:
    """Return what a run folder or zoo model has learned, as far as it says.

    Raises:
        InputError: there is no such model, or its file is damaged.
    """
    folder = model_folder(model)
    found = [folder / name for name in (FILE, FINGERPRINT) if (folder / name).is_file()]
    if not found:
        return Learned(is_complete=False)
    verified(found[0])
    try:
        with safe_open(found[0], "np") as file:
            about = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return _parsed(arrays, about)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{str(found[0])!r} cannot be read ({error}); copy the model again."
        ) from error


def all_learned(models: Iterable[str | Path]) -> Learned:
    """Return what several models have learned together."""
    joined = Learned()
    for model in models:
        joined |= read_learned(model)
    return joined


def _write(learned: Learned, path: Path) -> None:
    arrays = {}
    for name, entry in learned.of.items():
        arrays[f"{name}/compositions"] = entry.compositions
        arrays[f"{name}/structures"] = entry.structures
        if entry.values is not None:
            arrays[f"{name}/values"] = entry.values
    salts = {name: entry.salt.hex() for name, entry in learned.of.items() if entry.salt}
    # One entry: safetensors writes several in any order.
    about = {ABOUT: json.dumps({"salts": salts, "complete": learned.is_complete})}
    with atomic_file(path) as temporary:
        temporary.write_bytes(save(arrays, about))


def _parsed(arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> Learned:
    note = parse_json(about.get(ABOUT, "{}"))
    salts = note.get("salts", {})
    entries = {}
    for name in sorted({key.rpartition("/")[0] for key in arrays}):
        keys = arrays[f"{name}/compositions"]
        entries[name] = Entry(
            keys,
            arrays.get(f"{name}/structures", np.full(len(keys), UNTOLD, np.uint32)),
            arrays.get(f"{name}/values"),
            bytes.fromhex(salts.get(name, "")),
        )
    return Learned(entries, bool(note.get("complete", True)))


def _entry(keys: np.ndarray, structures: np.ndarray, values: np.ndarray) -> Entry:
    """Return labelled rows once each, by composition, structure and value."""
    known = np.isfinite(values)
    kinds = [("key", np.uint32), ("structure", np.uint32), ("value", np.float32)]
    rows = np.empty(int(known.sum()), dtype=kinds)
    rows["key"], rows["structure"], rows["value"] = keys[known], structures[known], values[known]
    rows = np.unique(rows)
    key, structure, value = (np.ascontiguousarray(rows[name]) for name, _ in kinds)
    return Entry(key, structure, value)


def _hidden(entry: Entry) -> Entry:
    """Return an entry without values and with salted keys."""
    if entry.salt:
        return entry
    # Of the content, so that the same model gives the same file; no label goes in.
    salt = blake2b(
        entry.compositions.tobytes() + entry.structures.tobytes(), digest_size=16
    ).digest()
    keys, structures = _salted(entry.compositions, salt), _salted_structures(entry.structures, salt)
    rows = np.unique(np.stack([keys, structures], axis=1), axis=0)
    return Entry(np.ascontiguousarray(rows[:, 0]), np.ascontiguousarray(rows[:, 1]), None, salt)


def _salted(keys: np.ndarray, salt: bytes) -> np.ndarray:
    hashes = (blake2b(key.tobytes(), key=salt, digest_size=8).digest() for key in keys)
    return np.frombuffer(b"".join(hashes), dtype=np.uint64)


def _salted_structures(structures: np.ndarray, salt: bytes) -> np.ndarray:
    if not salt:
        return structures
    salted = _salted(structures, salt)
    return np.where(structures == UNTOLD, np.uint64(UNTOLD), salted)


def _equal(one: Entry, other: Entry) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("compositions", "structures", "values", "salt")
    )
