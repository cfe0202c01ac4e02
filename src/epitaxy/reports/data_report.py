"""`data_report`: what is in a data set, on one page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.elements import NUMBERS
from epitaxy.core.files import atomic_folder
from epitaxy.reports.figures.crystal_systems import SYSTEMS, crystal_systems
from epitaxy.reports.figures.periodic_table import periodic_table
from epitaxy.reports.figures.property_violins import property_violins
from epitaxy.reports.page import PageFigure, page_figure, sortable, write_page
from epitaxy.structures.info import data_info
from epitaxy.structures.reading import read_table
from epitaxy.structures.table import StructureTable
from epitaxy.structures.understanding import count_elements

MOST_SYMMETRIES = 20_000
"""Of larger tables the crystal systems of so many rows are found, evenly over the table."""
SYMPREC = 0.01
"""How far atoms may be from their symmetric places, in Å."""
LAST_NUMBERS = (2, 15, 74, 142, 167, 194, 230)
"""Last space group of each crystal system, in the order of `SYSTEMS`."""
MOST_DROPPED = 100
"""Rows of the table of what was dropped."""


def data_report(data: str | Path | StructureTable, out: str | Path) -> Path:
    """Write a page on a data set, with ``figures/`` beside it.

    Args:
        data: anything that `read_table` reads.
        out: folder to write; it may be one that an earlier report wrote.

    Returns:
        The path of ``report.html``: numbers, the periodic table, crystal systems (found by spglib
        with a tolerance of 0.01 Å) and the distribution of every property.

    Raises:
        InputError: as `read_table`, or ``out`` is not ours to write.
    """
    table = read_table(data)
    info = data_info(table)
    low, mean, high = info.atoms_per_cell
    numbers = [
        ("crystals", f"{info.n_rows:,}"),
        ("formulas", f"{info.n_formulas:,}"),
        ("crystals that share their formula", f"{info.n_sharing_formula:,}"),
        ("elements", str(len(info.elements))),
        ("atoms per cell", f"{low} to {high}, mean {mean:.1f}"),
    ]
    properties = pd.DataFrame([vars(one) for one in info.properties])
    properties = properties.loc[:, ~(properties.astype(object) == "").all()]
    name = "Data" if isinstance(data, StructureTable) else Path(str(data)).name
    with atomic_folder(out) as folder:
        figures, notes = _figures(table, folder / "figures")
        write_page(
            folder / "report.html",
            "data.html",
            title=name,
            numbers=numbers,
            properties=sortable(properties) if len(properties) else None,
            figures=figures,
            notes=notes,
            n_dropped=len(info.dropped),
            dropped=sortable(
                pd.DataFrame([(d.id, d.reason) for d in info.dropped], columns=["id", "reason"])
                .head(MOST_DROPPED)
            ),
        )  # fmt: skip
    return Path(out) / "report.html"


def _figures(table: StructureTable, folder: Path) -> tuple[list[PageFigure], list[str]]:
    elements = element_counts(table)
    systems, n_tried = system_counts(table)
    notes = []
    if n_tried < len(table):
        notes.append(f"Crystal systems are those of {n_tried:,} crystals, evenly over the table.")
    if lost := n_tried - int(systems["crystals"].sum()):
        notes.append(f"The symmetry of {lost:,} crystals could not be found.")
    figures = [
        page_figure(
            periodic_table(elements, len(table)), folder / "periodic_table.png", elements,
            "How many crystals contain each element; colours go by the logarithm.", pdf=True,
        )
    ]  # fmt: skip
    if len(systems):
        caption = f"Crystal systems by space group, tolerance {SYMPREC} Å."
        path = folder / "crystal_systems.png"
        figures.append(page_figure(crystal_systems(systems), path, systems, caption, pdf=True))
    values = property_values(table)
    if len(values):
        caption = "Values of each property: the white line is the median, the bar the inner half."
        path = folder / "property_violins.png"
        figures.append(page_figure(property_violins(values), path, values, caption, pdf=True))
    return figures, notes


def element_counts(table: StructureTable) -> pd.DataFrame:
    """Return ``atomic_number`` and ``crystals``: how many crystals contain the element."""
    counts = {NUMBERS[symbol]: n for symbol, n in count_elements(table).items()}
    return pd.DataFrame(sorted(counts.items()), columns=["atomic_number", "crystals"])


def system_counts(table: StructureTable) -> tuple[pd.DataFrame, int]:
    """Return ``group``, ``system`` and ``crystals``, and how many crystals were looked at."""
    from spglib import get_symmetry_dataset

    n = min(len(table), MOST_SYMMETRIES)
    found: Counter[str] = Counter()
    for row in np.linspace(0, len(table) - 1, n).astype(int):
        atoms = slice(int(table.offsets[row]), int(table.offsets[row + 1]))
        cell: Any = table.lattices[row], table.frac_coords[atoms], table.atomic_numbers[atoms]
        dataset = get_symmetry_dataset(cell, symprec=SYMPREC)
        if dataset is not None:
            found[SYSTEMS[int(np.searchsorted(LAST_NUMBERS, dataset.number))]] += 1
    rows = [("all", system, found[system]) for system in SYSTEMS if found[system]]
    return pd.DataFrame(rows, columns=["group", "system", "crystals"]), n


def property_values(table: StructureTable) -> pd.DataFrame:
    """Return the known values of all properties: ``property``, ``unit``, ``group``, ``value``."""
    parts = [
        pd.DataFrame({"property": name, "unit": table.properties[name].unit, "value": values})
        for name, values in table.values.items()
    ]
    columns = ["property", "unit", "group", "value"]
    if not parts:
        return pd.DataFrame(columns=columns)
    frame = pd.concat(parts).assign(group="all").dropna(subset=["value"])
    return frame[columns].reset_index(drop=True)
