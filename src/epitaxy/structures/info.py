"""What is in a table, in a few lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from epitaxy.structures.reading import read_table
from epitaxy.structures.table import Dropped, StructureTable
from epitaxy.structures.understanding import count_elements

SHOWN = 10


@dataclass(frozen=True)
class PropertyInfo:
    """Statistics of one property in physical units (NaN when no value is known)."""

    name: str
    unit: str
    functional: str
    n: int
    missing: int
    minimum: float
    mean: float
    maximum: float


@dataclass(frozen=True)
class DataInfo:
    """Summary of a `StructureTable`."""

    n_rows: int
    elements: tuple[str, ...]
    atoms_per_cell: tuple[int, float, int]
    """Smallest, mean and largest number of atoms."""
    n_formulas: int
    n_sharing_formula: int
    """Rows whose reduced formula occurs more than once."""
    properties: tuple[PropertyInfo, ...]
    dropped: tuple[Dropped, ...]

    def text(self) -> str:
        """Return the summary for people."""
        low, mean, high = self.atoms_per_cell
        lines = [
            f"rows           {self.n_rows}",
            f"dropped        {len(self.dropped)}",
            f"elements       {len(self.elements)}: {' '.join(self.elements)}",
            f"atoms per cell {low} to {high}, mean {mean:.1f}",
            f"formulas       {self.n_formulas}, {self.n_sharing_formula} rows share theirs",
        ]
        for p in self.properties:
            unit = f" {p.unit}" if p.unit else ""
            functional = f", {p.functional}" if p.functional else ""
            lines.append(
                f"property       {p.name}: n {p.n}, missing {p.missing}, min {p.minimum:.4g}, "
                f"mean {p.mean:.4g}, max {p.maximum:.4g}{unit}{functional}"
            )
        lines += [f"dropped        {d.id}: {d.reason}" for d in self.dropped[:SHOWN]]
        if len(self.dropped) > SHOWN:
            lines.append(f"dropped        ... and {len(self.dropped) - SHOWN} more")
        return "\n".join(lines)


def data_info(data: str | Path | StructureTable) -> DataInfo:
    """Summarise anything that `read_table` reads.

    Raises:
        InputError: as `read_table`.
    """
    table = read_table(data)
    formulas = Counter(table.formulas)
    return DataInfo(
        n_rows=len(table),
        elements=tuple(sorted(count_elements(table))),
        atoms_per_cell=(
            int(table.n_atoms.min()),
            float(table.n_atoms.mean()),
            int(table.n_atoms.max()),
        ),
        n_formulas=len(formulas),
        n_sharing_formula=sum(n for n in formulas.values() if n > 1),
        properties=tuple(_property_info(table, name) for name in table.values),
        dropped=table.dropped,
    )


def _property_info(table: StructureTable, name: str) -> PropertyInfo:
    values = table.values[name]
    known = values[np.isfinite(values)]
    low, mean, high = (known.min(), known.mean(), known.max()) if len(known) else (np.nan,) * 3
    return PropertyInfo(
        name=name,
        unit=table.properties[name].unit,
        functional=table.properties[name].functional,
        n=len(known),
        missing=len(values) - len(known),
        minimum=float(low),
        mean=float(mean),
        maximum=float(high),
    )
