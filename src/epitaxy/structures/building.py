"""From single crystals of any origin to one checked `StructureTable`."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.columns import properties_of
from epitaxy.structures.faults import crystal_faults
from epitaxy.structures.numerals import to_number
from epitaxy.structures.table import Dropped, StructureTable

SHOWN = 3
"""Ids that a note names."""
_SNAPSHOT = re.compile(r"(?<=.)#\d+$")


class UnusableError(Exception):
    """One crystal cannot be used; the message is the reason that goes into ``dropped``."""


class Crystal(NamedTuple):
    """One ordered crystal of N atoms."""

    lattice: np.ndarray
    """(3, 3) float64, rows are the lattice vectors in Å."""
    atomic_numbers: np.ndarray
    """(N,) int64."""
    frac_coords: np.ndarray
    """(N, 3) float64."""
    note: str = ""
    """What was assumed in reading it, for the log."""


@dataclass(frozen=True)
class Reading:
    """What a source gives: the table, and what was understood while reading it."""

    table: StructureTable
    notes: tuple[str, ...] = ()
    """Sentences for the log."""
    unnamed: bool = False
    """The only property has a made-up name, because the file has no header."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Columns that hold no numbers, each with the reason in a sentence."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Header in the file -> name of the property, where they differ."""

    def noted(self, note: str) -> Reading:
        """Return the same reading with one more note."""
        return replace(self, notes=(*self.notes, note))

    def described(
        self,
        *,
        source: str,
        units: Mapping[str, str],
        labels: Mapping[str, str] | None = None,
        functionals: Mapping[str, str] | None = None,
    ) -> Reading:
        """Return the same reading with what is known of its properties written into them."""
        given = {"unit": units, "label": labels or {}, "functional": functionals or {}}
        specs = {
            name: spec.model_copy(
                update={"source": source}
                | {key: known[name] for key, known in given.items() if name in known}
            )
            for name, spec in self.table.properties.items()
        }
        return replace(self, table=replace(self.table, properties=specs))


class TableBuilder:
    """Collects crystals one by one; rows that cannot be used keep their reason."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.ids: list[str] = []
        self.rows: list[int] = []
        self.crystals: list[Crystal] = []
        self.dropped: list[Dropped] = []
        self._raw: dict[str, list[Any]] = {}
        self._assumed: dict[str, list[str]] = {}

    def add(
        self, name: str, row: int, crystal: Crystal | UnusableError, values: Mapping[str, Any]
    ) -> None:
        """Add the crystal called ``name`` from row ``row``, or its failure."""
        if isinstance(crystal, UnusableError):
            self.dropped.append(Dropped(name, str(crystal)))
            return
        name = unicodedata.normalize("NFC", name)
        if crystal.note:
            self._assumed.setdefault(crystal.note, []).append(name)
        for key in values:
            # a property that appears late was missing in all rows before
            self._raw.setdefault(key, [None] * len(self.ids))
        for key, column in self._raw.items():
            column.append(values.get(key))
        self.ids.append(name)
        self.rows.append(row)
        self.crystals.append(crystal)

    def drop_all(self, names: Iterable[str], reason: str) -> None:
        """Add entries that have no crystal at all, for one common reason."""
        self.dropped += [Dropped(name, reason) for name in names]

    def build(
        self,
        *,
        notes: Iterable[str] = (),
        unnamed: bool = False,
        delimiter: str = "",
        units: Mapping[str, str] | None = None,
    ) -> Reading:
        """Check all crystals and pack those that pass.

        Args:
            notes: sentences for the log.
            unnamed: the only property has a made-up name.
            delimiter: of the text table from which the values come; empty where there is none.
            units: header -> unit.

        Raises:
            InputError: no crystal can be used, or one structure stands there with several values.
        """
        numbered = self._number_repeats()
        found = properties_of(self._raw, delimiter=delimiter, units=units)
        counts = [len(c.atomic_numbers) for c in self.crystals]
        empty = [np.zeros(0, np.int64)], [np.zeros((0, 3))]
        table = pack(
            origin=self.origin,
            ids=self.ids,
            source_rows=np.array(self.rows, dtype=np.int64),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            lattices=np.array([c.lattice for c in self.crystals]).reshape(-1, 3, 3),
            atomic_numbers=np.concatenate(empty[0] + [c.atomic_numbers for c in self.crystals]),
            frac_coords=np.concatenate(empty[1] + [c.frac_coords for c in self.crystals]),
            values=found.values,
            properties=found.specs,
            dropped=self.dropped,
        )
        assumed = [
            f"{len(names)} crystal{'s' * (len(names) > 1)} ({', '.join(names[:SHOWN])}"
            f"{', ...' * (len(names) > SHOWN)}): {note}."
            for note, names in self._assumed.items()
        ]
        return Reading(
            table,
            (*notes, *numbered, *assumed, *found.notes),
            unnamed=unnamed,
            refused=found.refused,
            headers=found.headers,
        )

    def _number_repeats(self) -> list[str]:
        """Give snapshots of one id names of their own, and leave out rows that stand there twice.

        Raises:
            InputError: one structure stands there under one id with different values.
        """
        times = Counter(self.ids)
        if len(times) == len(self.ids):
            return []
        first: dict[tuple[str, bytes], int] = {}
        taken, copies, numbers = set(times), [], Counter[str]()
        for position, name in enumerate(self.ids):
            if times[name] == 1:
                continue
            key = (name, _fingerprint(self.crystals[position]))
            if key in first:
                self._check_equal(name, first[key], position)
                copies.append(position)
                continue
            first[key] = position
            numbers[name] += 1
            while numbers[name] > 1 and (new := snapshot_id(name, numbers[name])) in taken:
                numbers[name] += 1
            if numbers[name] > 1:
                self.ids[position] = new
                taken.add(new)
        self.drop_all([self.ids[p] for p in copies], "the same row stands there twice")
        for kept in (self.ids, self.rows, self.crystals, *self._raw.values()):
            for position in reversed(copies):
                del kept[position]
        several = [name for name, n in numbers.items() if n > 1]
        if not several:
            return []
        note = (
            f"{len(several)} ids stand for several structures, which were numbered: the second of "
            f"{several[0]!r} is {snapshot_id(several[0], 2)!r}."
        )
        return [note]

    def _check_equal(self, name: str, one: int, two: int) -> None:
        for key, column in self._raw.items():
            a, b = to_number(column[one]), to_number(column[two])
            if a is None or b is None:
                same = bool(column[one] == column[two])
            else:
                same = a == b or (np.isnan(a) and np.isnan(b))
            if not same:
                raise InputError(
                    f"The id {name!r} of {self.origin} stands twice with the same structure but "
                    f"{key!r} is {column[one]} and {column[two]}; keep one of the rows, or give "
                    "them ids of their own."
                )


def snapshot_id(name: str, number: int) -> str:
    """Return the id of the ``number``-th structure of one id.

    >>> snapshot_id("salt-1", 2)
    'salt-1#2'
    """
    return f"{name}#{number}"


def base_id(name: str) -> str:
    """Return the id without the number of a snapshot; rows with equal base ids belong together.

    >>> base_id("salt-1#2"), base_id("salt-1"), base_id("a#b")
    ('salt-1', 'salt-1', 'a#b')
    """
    return _SNAPSHOT.sub("", name)


def _fingerprint(crystal: Crystal) -> bytes:
    return b"".join(
        (np.round(a, 5) + 0.0).tobytes()
        for a in (crystal.lattice, crystal.atomic_numbers, crystal.frac_coords % 1)
    )


def pack(
    *,
    origin: str,
    ids: Sequence[str],
    source_rows: np.ndarray,
    offsets: np.ndarray,
    lattices: np.ndarray,
    atomic_numbers: np.ndarray,
    frac_coords: np.ndarray,
    values: Mapping[str, np.ndarray],
    properties: Mapping[str, PropertySpec] | None = None,
    dropped: Sequence[Dropped] = (),
) -> StructureTable:
    """Make a table of packed arrays (shapes as in `StructureTable`); bad crystals are dropped.

    Raises:
        InputError: there is no row, no crystal can be used, or ids are repeated.
    """
    if not len(ids) and not dropped:
        raise InputError(f"{origin} holds 0 rows; give a source with at least one crystal.")
    reasons = crystal_faults(offsets, lattices, atomic_numbers, frac_coords)
    dropped = [*dropped, *(Dropped(str(ids[row]), why) for row, why in sorted(reasons.items()))]
    if len(reasons) == len(ids):
        raise InputError(
            f"None of {len(dropped)} crystals of {origin} can be used; the first, "
            f"{dropped[0].id!r}: {dropped[0].reason}."
        )
    specs = {name: PropertySpec(name=name) for name in values}
    table = StructureTable(
        ids=np.array([str(i) for i in ids], dtype=object),
        offsets=offsets,
        lattices=lattices,
        atomic_numbers=np.where(
            np.isin(atomic_numbers, np.arange(1, 119)), atomic_numbers, 0
        ).astype(np.uint8),
        frac_coords=frac_coords,
        values=dict(values),
        properties=specs | dict(properties or {}),
        source_rows=source_rows,
    )
    good = np.setdiff1d(np.arange(len(ids)), list(reasons))
    return table.select(good).with_dropped(dropped)
