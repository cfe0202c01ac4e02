"""From single crystals of any origin to one checked `StructureTable`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.table import Dropped, StructureTable

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "none", "null", "-", "--", "?", "inf", "-inf"})
"""Texts that stand for "not known", in lower case."""
RESERVED = frozenset({"id", "row", "lattice", "atomic_numbers", "frac_coords"})
"""Columns of a table file that are never properties."""
UNNAMED = "unnamed"
"""How names begin that stand for an empty header; pandas writes its row numbers that way."""
TRUTH = {"true": 1.0, "false": 0.0}
SMALLEST_VOLUME = 1e-3
"""Å^3; a cell below this is flat."""
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")


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
    text_columns: Mapping[str, str] = field(default_factory=dict)
    """Columns that hold words instead of numbers, each with an example."""

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


def to_number(value: Any) -> float | None:
    """Return ``value`` as a finite float, NaN when it means "not known", None when it is text.

    >>> to_number("1.5"), to_number("1,5"), to_number("na"), to_number("cubic"), to_number(True)
    (1.5, 1.5, nan, None, 1.0)
    """
    if value is None:
        return math.nan
    if isinstance(value, str):
        text = value.strip().lower()
        if text in MISSING_WORDS:
            return math.nan
        if text in TRUTH:
            return TRUTH[text]
        value = text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text
    elif not np.isscalar(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else math.nan


def numeric_columns(
    columns: Mapping[str, Sequence[Any]],
) -> tuple[dict[str, np.ndarray], dict[str, str], list[str]]:
    """Sort raw columns into properties and texts.

    A column is a property when at least one entry is a number, or when all are missing; words in a
    property column count as missing.

    Returns:
        ``(values, texts, notes)``: name -> (B,) float64 with NaN where not known; name -> example
        of a text column; one sentence per column with missing or unreadable entries.
    """
    values, texts, notes = {}, {}, []
    for name, raw in columns.items():
        if name in RESERVED or name.lower().startswith(UNNAMED):
            continue
        numbers = [to_number(v) for v in raw]
        words = [v for v, n in zip(raw, numbers, strict=True) if n is None]
        column = np.array([math.nan if n is None else n for n in numbers])
        missing = int(np.isnan(column).sum())
        if words and missing == len(column):
            texts[name] = str(words[0])[:40]
            continue
        values[name] = column
        if missing:
            example = f", for example {str(words[0])[:40]!r}" if words else ""
            notes.append(f"Column {name!r}: {missing} of {len(column)} values missing{example}.")
    return values, texts, notes


class TableBuilder:
    """Collects crystals one by one; rows that cannot be used keep their reason."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.ids: list[str] = []
        self.rows: list[int] = []
        self.crystals: list[Crystal] = []
        self.dropped: list[Dropped] = []
        self._raw: dict[str, list[Any]] = {}

    def add(
        self, name: str, row: int, crystal: Crystal | UnusableError, values: Mapping[str, Any]
    ) -> None:
        """Add the crystal called ``name`` from row ``row``, or its failure."""
        if isinstance(crystal, UnusableError):
            self.dropped.append(Dropped(name, str(crystal)))
            return
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

    def build(self, *, notes: Iterable[str] = (), unnamed: bool = False) -> Reading:
        """Check all crystals and pack those that pass.

        Raises:
            InputError: no crystal can be used, or ids are repeated.
        """
        values, texts, value_notes = numeric_columns(self._raw)
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
            values=values,
            dropped=self.dropped,
        )
        return Reading(table, (*notes, *value_notes), unnamed=unnamed, text_columns=texts)


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


def crystal_faults(
    offsets: np.ndarray, lattices: np.ndarray, atomic_numbers: np.ndarray, frac_coords: np.ndarray
) -> dict[int, str]:
    """Return row -> reason for crystals that no graph can be made of (packed arrays)."""
    faults: dict[int, str] = {}
    owner = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    bad_number = (atomic_numbers < 1) | (atomic_numbers > 118)
    for atom in np.flatnonzero(bad_number):
        reason = f"atomic number {int(atomic_numbers[atom])} does not exist; allowed: 1 to 118"
        faults.setdefault(int(owner[atom]), reason)
    for row in np.unique(owner[~np.isfinite(frac_coords).all(axis=1)]):
        faults.setdefault(int(row), "a coordinate is not a finite number")
    for row in np.flatnonzero(~np.isfinite(lattices).all(axis=(1, 2))):
        faults.setdefault(int(row), "the lattice holds a value that is not a finite number")
    with np.errstate(invalid="ignore"):
        volumes = np.abs(np.linalg.det(lattices)) if len(lattices) else np.zeros(0)
    for row in np.flatnonzero(volumes < SMALLEST_VOLUME):
        reason = f"the lattice is singular (volume {volumes[row]:.2g} Å^3); give a periodic cell"
        faults.setdefault(int(row), reason)
    for row in np.flatnonzero(np.diff(offsets) == 0):
        faults.setdefault(int(row), "the structure has no atoms")
    return faults
