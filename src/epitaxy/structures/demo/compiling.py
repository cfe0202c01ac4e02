"""From the list of facts to the table of crystals."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from epitaxy.core.properties import PropertySpec
from epitaxy.structures.building import Crystal
from epitaxy.structures.demo.prototypes import build, elements_of
from epitaxy.structures.table import StructureTable

FOLDER = Path(__file__).parent
FACTS = FOLDER / "facts.csv"
TABLE = FOLDER / "semiconductors.parquet"
EXAMPLES = ("InP-zincblende", "ZnO-wurtzite", "SrTiO3-perovskite")
"""Left out of the table: they are the example CIF files."""
GAP = PropertySpec(
    name="gap",
    label="Band gap (experimental, 300 K)",
    unit="eV",
    source="epitaxy demo data, compiled from textbook values",
    licence="MIT",
)


class Fact(NamedTuple):
    """One line of the list."""

    id: str
    """Formula and structure type, ``GaAs-zincblende``."""
    formula: str
    prototype: str
    lengths: dict[str, float]
    """``a``, ``b``, ``c`` in Å and ``beta`` in degrees, of the conventional cell."""
    internal: dict[str, float]
    """Free internal coordinates by name."""
    gap: float
    """Experimental band gap at room temperature in eV."""
    note: str

    def crystal(self) -> Crystal:
        """Build the primitive cell."""
        return build(
            self.prototype,
            elements_of(self.formula),
            lengths=self.lengths,
            internal=self.internal,
        )


def read_facts(path: str | Path = FACTS) -> list[Fact]:
    """Read the list of facts, in the order of the file."""
    with Path(path).open(encoding="utf-8", newline="") as lines:
        return [_fact(row) for row in csv.DictReader(lines)]


def _fact(row: dict[str, str]) -> Fact:
    pairs = [pair.split("=") for pair in row["internal"].split(";") if pair]
    return Fact(
        id=row["id"],
        formula=row["formula"],
        prototype=row["prototype"],
        lengths={k: float(row[k]) for k in ("a", "b", "c", "beta") if row[k]},
        internal={name: float(value) for name, value in pairs},
        gap=float(row["gap"]),
        note=row["note"],
    )


def compile_table(facts: Sequence[Fact]) -> StructureTable:
    """Build every crystal that is not an example; property ``gap`` in eV."""
    chosen = [fact for fact in facts if fact.id not in EXAMPLES]
    crystals = [fact.crystal() for fact in chosen]
    return StructureTable.from_arrays(
        ids=[fact.id for fact in chosen],
        lattices=[crystal.lattice for crystal in crystals],
        atomic_numbers=[crystal.atomic_numbers for crystal in crystals],
        frac_coords=[crystal.frac_coords for crystal in crystals],
        values={GAP.name: [fact.gap for fact in chosen]},
        properties={GAP.name: GAP},
    )
