"""`StructureTable`: one row per crystal, packed arrays, one float column per property."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from epitaxy.core.elements import SYMBOLS
from epitaxy.core.errors import InputError, suggestion
from epitaxy.core.hashing import content_hash
from epitaxy.core.outputs import output_file
from epitaxy.core.properties import PropertySpec

if TYPE_CHECKING:
    from pymatgen.core import Structure

METADATA_KEY = b"epitaxy"


class Dropped(NamedTuple):
    """An entry that could not be used, and why (one sentence)."""

    id: str
    reason: str


@dataclass(frozen=True, eq=False)
class StructureTable:
    """Crystals in packed arrays; rows keep the order in which the source gave them.

    Shapes: B crystals, N atoms of all crystals together.

    >>> cscl = StructureTable.from_arrays(
    ...     ids=["CsCl"], lattices=[np.eye(3) * 4.12], atomic_numbers=[[55, 17]],
    ...     frac_coords=[[[0, 0, 0], [0.5, 0.5, 0.5]]], values={"gap": [8.3]})
    >>> len(cscl), cscl.formulas[0], cscl.values["gap"]
    (1, 'ClCs', array([8.3]))
    """

    ids: np.ndarray
    """(B,) unique identifiers, dtype object holding str."""
    offsets: np.ndarray
    """(B + 1,) int64: atoms of crystal b are rows ``offsets[b]:offsets[b + 1]``."""
    lattices: np.ndarray
    """(B, 3, 3) float64, rows are the lattice vectors in Å."""
    atomic_numbers: np.ndarray
    """(N,) uint8."""
    frac_coords: np.ndarray
    """(N, 3) float64 fractional coordinates."""
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Property name -> (B,) float64 in physical units, NaN where not known."""
    properties: Mapping[str, PropertySpec] = field(default_factory=dict)
    """Property name -> label, unit, transform, source."""
    texts: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name -> (B,) str of dtype object: columns without numbers, by which rows can be grouped."""
    dropped: tuple[Dropped, ...] = ()
    """What the source could not use."""
    source_rows: np.ndarray | None = None
    """(B,) int64 row of each crystal in the published source, where it has numbered rows."""

    def __post_init__(self) -> None:
        ids, counts = np.unique(self.ids.astype(str), return_counts=True)
        if len(ids) != len(self.ids):
            twice = ids[counts > 1]
            raise InputError(
                f"The id {str(twice[0])!r} stands in several rows ({len(twice)} ids are repeated); "
                "ids must be unique: rename them or remove the repeated rows."
            )

    @classmethod
    def from_arrays(
        cls,
        *,
        ids: Sequence[str],
        lattices: Sequence[Any],
        atomic_numbers: Sequence[Any],
        frac_coords: Sequence[Any],
        values: Mapping[str, Any] | None = None,
        properties: Mapping[str, PropertySpec] | None = None,
        dropped: Iterable[Dropped] = (),
    ) -> StructureTable:
        """Pack per-crystal sequences; properties without a `PropertySpec` get a bare one.

        Raises:
            InputError: two rows have the same id.
        """
        counts = [len(numbers) for numbers in atomic_numbers]
        columns = {k: np.asarray(v, dtype=np.float64) for k, v in (values or {}).items()}
        specs = {k: PropertySpec(name=k) for k in columns} | dict(properties or {})
        flat_coords = [np.asarray(c, dtype=np.float64).reshape(-1, 3) for c in frac_coords]
        flat_numbers = [np.asarray(a, dtype=np.uint8) for a in atomic_numbers]
        return cls(
            ids=np.array([str(i) for i in ids], dtype=object),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            lattices=np.asarray(lattices, dtype=np.float64).reshape(-1, 3, 3),
            atomic_numbers=np.concatenate([np.zeros(0, np.uint8), *flat_numbers]),
            frac_coords=np.concatenate([np.zeros((0, 3)), *flat_coords]),
            values=columns,
            properties=specs,
            dropped=tuple(dropped),
        )

    @classmethod
    def from_structures(
        cls, ids: Sequence[str], structures: Sequence[Structure], **kwargs: Any
    ) -> StructureTable:
        """Pack ordered pymatgen structures; keyword arguments as in `from_arrays`."""
        return cls.from_arrays(
            ids=ids,
            lattices=[s.lattice.matrix for s in structures],
            atomic_numbers=[s.atomic_numbers for s in structures],
            frac_coords=[s.frac_coords for s in structures],
            **kwargs,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> Structure:
        """Return row ``row`` as a pymatgen `Structure`, so that a table is a list of them."""
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return self.structure(row % len(self))

    @property
    def n_atoms(self) -> np.ndarray:
        """(B,) number of atoms per crystal."""
        return np.diff(self.offsets)

    @property
    def row_numbers(self) -> np.ndarray:
        """(B,) int64 rows of the source; published splits by row number refer to these."""
        return np.arange(len(self)) if self.source_rows is None else self.source_rows

    @cached_property
    def hash(self) -> str:
        """Hash of ids and structures (not of the properties)."""
        return content_hash(
            [str(i) for i in self.ids],
            self.offsets,
            self.lattices,
            self.atomic_numbers,
            self.frac_coords,
        )

    def structure(self, row: int) -> Structure:
        """Return row ``row`` as a pymatgen `Structure`."""
        from pymatgen.core import Structure

        atoms = slice(self.offsets[row], self.offsets[row + 1])
        numbers = [int(z) for z in self.atomic_numbers[atoms]]
        return Structure(self.lattices[row], numbers, self.frac_coords[atoms])

    @cached_property
    def formulas(self) -> tuple[str, ...]:
        """Reduced formula of every row, elements in alphabetical order (``'ClCs'``)."""
        return tuple(
            reduced_formula(self.atomic_numbers[a:b])
            for a, b in zip(self.offsets[:-1], self.offsets[1:], strict=True)
        )

    def select(self, rows: Sequence[int] | np.ndarray) -> StructureTable:
        """Return the table of the given row numbers, in the given order; nothing is dropped."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        counts = self.n_atoms[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        atoms = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], counts)
        return StructureTable(
            ids=self.ids[rows],
            offsets=offsets,
            lattices=self.lattices[rows],
            atomic_numbers=self.atomic_numbers[atoms],
            frac_coords=self.frac_coords[atoms],
            values={k: v[rows] for k, v in self.values.items()},
            properties=self.properties,
            texts={k: v[rows] for k, v in self.texts.items()},
            source_rows=self.row_numbers[rows],
        )

    def rows_of(self, ids: Iterable[str]) -> np.ndarray:
        """Return the row numbers of ``ids``, in that order.

        Raises:
            InputError: an id is not in the table.
        """
        index = {str(i): row for row, i in enumerate(self.ids)}
        wanted = [str(i) for i in ids]
        missing = [i for i in wanted if i not in index]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(wanted)} ids are not in the table, {missing[0]!r} first."
                f"{suggestion(missing[0], index)}"
            )
        return np.array([index[i] for i in wanted], dtype=np.int64)

    def column(self, name: str) -> np.ndarray:
        """Return the values of a property, (B,) float64 with NaN where not known.

        Raises:
            InputError: there is no such property, or not one finite value in it.
        """
        if name not in self.values:
            allowed = ", ".join(self.values) or "none"
            raise InputError(
                f"The table has no property {name!r}; it has: {allowed}."
                f"{suggestion(name, list(self.values))}"
            )
        values = np.asarray(self.values[name])
        if len(values) and not np.isfinite(values).any():
            raise InputError(
                f"Property {name!r} has no usable value in any of {len(values)} rows; "
                "check the column, or choose another target."
            )
        return values

    def with_property(self, spec: PropertySpec, values: Any) -> StructureTable:
        """Return the table with one property added or replaced; ``values`` has shape (B,)."""
        column = np.asarray(values, dtype=np.float64)
        if column.shape != (len(self),):
            raise InputError(
                f"Property {spec.name!r} has {column.size} values for {len(self)} rows."
            )
        return replace(
            self,
            values={**self.values, spec.name: column},
            properties={**self.properties, spec.name: spec},
        )

    def with_dropped(self, dropped: Iterable[Dropped]) -> StructureTable:
        """Return the table with its list of unusable entries replaced."""
        return replace(self, dropped=tuple(dropped))

    def to_parquet(self, path: str | Path) -> None:
        """Write the table with its property metadata; the reasons in `dropped` go along."""
        ends = pa.array(self.offsets, pa.int32())
        triple = pa.array(self.offsets * 3, pa.int32())
        columns = {
            "id": pa.array(self.ids.astype(str), pa.string()),
            "row": pa.array(self.row_numbers, pa.int64()),
            "lattice": pa.FixedSizeListArray.from_arrays(pa.array(self.lattices.ravel()), 9),
            "atomic_numbers": pa.ListArray.from_arrays(ends, pa.array(self.atomic_numbers)),
            "frac_coords": pa.ListArray.from_arrays(triple, pa.array(self.frac_coords.ravel())),
            **{k: pa.array(v, from_pandas=True) for k, v in self.values.items()},
            **{k: pa.array(v, pa.string()) for k, v in self.texts.items()},
        }
        metadata = {
            "properties": {k: s.model_dump() for k, s in self.properties.items()},
            "dropped": [list(d) for d in self.dropped],
        }
        table = pa.table(columns).replace_schema_metadata(
            {METADATA_KEY: json.dumps(metadata).encode()}
        )
        with output_file(path) as temporary:
            pq.write_table(table, temporary)


def reduced_formula(atomic_numbers: np.ndarray) -> str:
    """Return the reduced formula with elements in alphabetical order.

    >>> reduced_formula(np.array([22, 8, 8, 22, 8, 8]))
    'O2Ti'
    """
    numbers, counts = np.unique(atomic_numbers, return_counts=True)
    divisor = np.gcd.reduce(counts) if len(counts) else 1
    parts = sorted(
        (SYMBOLS[z], n // divisor) for z, n in zip(numbers.tolist(), counts.tolist(), strict=True)
    )
    return "".join(symbol + (str(n) if n > 1 else "") for symbol, n in parts)
