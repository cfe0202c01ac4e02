"""Data sets of matminer, ``matminer:NAME``, by its own loader; kept as Parquet afterwards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.files import cache_folder
from epitaxy.structures.building import Reading
from epitaxy.structures.caching import cached
from epitaxy.structures.sources.materials_project import structures_of
from epitaxy.structures.sources.tabular import from_columns

if TYPE_CHECKING:
    from pandas import DataFrame

UNITS = {
    "last phdos peak": "cm^-1",
    "exfoliation_en": "meV/atom",
    "log10(G_VRH)": "log10(GPa)",
    "log10(K_VRH)": "log10(GPa)",
    "gap pbe": "eV",
    "gap opt": "eV",
    "gap tbmbj": "eV",
    "gap gllbsc": "eV",
    "gap expt": "eV",
    "band_gap": "eV",
    "expt_gap": "eV",
    "e_form": "eV/atom",
    "e_form expt": "eV/atom",
    "e_form mp": "eV/atom",
    "e_form oqmd": "eV/atom",
    "expt_form_e": "eV/atom",
    "uncertainty": "eV/atom",
    "eij_max": "C/m^2",
    "bulk modulus": "GPa",
    "shear modulus": "GPa",
    "volume": "Å^3",
} | {f"{modulus}_{average}": "GPa" for modulus in "GK" for average in ("Reuss", "VRH", "Voigt")}
"""Column -> unit; most sets describe theirs in words only."""
PER_CELL = frozenset({"castelli_perovskites", "matbench_perovskites"})
"""Sets whose ``e_form`` is that of the whole cell of five atoms."""
PROJECT_IDS = ("likely_mpid", "mpid", "material_id")
"""Columns with ids of the Materials Project, by which structures can be had."""
COMBINED = "expt_formation_enthalpy_combined"
"""Both sets of measured formation enthalpies, one row per material; the first set counts."""
ENTHALPIES = {
    "expt_formation_enthalpy": ("mpid", "e_form expt"),
    "expt_formation_enthalpy_kingsbury": ("likely_mpid", "expt_form_e"),
}
"""Set -> its columns of ids and of enthalpies."""


def read(location: str) -> Reading:
    """Load the matminer data set called ``location``.

    Sets without structures get them from the Materials Project by the ids that they hold; their
    rows without an id are dropped, and rows are numbered without them.

    Raises:
        InputError: matminer is not installed, has no such set, or the set has no structures and
            none can be had.
    """
    return cached(f"matminer-{location}", lambda: from_frame(_frame(location), location))


def from_frame(frame: DataFrame, name: str) -> Reading:
    """Convert matminer's data frame: a column of pymatgen structures, others with numbers.

    Raises:
        InputError: no column holds structures or ids of the Materials Project.
    """
    columns = {str(c): frame[c].tolist() for c in frame.columns}
    if all(isinstance(i, str) for i in frame.index) and "id" not in columns:
        columns = {"id": [str(i) for i in frame.index], **columns}
    notes = []
    ids = next((c for c in PROJECT_IDS if c in columns), None)
    if "structure" not in columns and ids is not None:
        columns, notes = _with_structures(columns, ids, name)
    reading = from_columns(columns, origin=f"matminer:{name}", folder=Path(), notes=notes)
    units = UNITS | ({"e_form": "eV/cell"} if name in PER_CELL else {})
    return reading.described(source=f"matminer:{name}", units=units)


def _with_structures(
    columns: dict[str, list[Any]], ids: str, name: str
) -> tuple[dict[str, list[Any]], list[str]]:
    """Add a column of structures to the rows that have an id."""
    kept = [row for row, cell in enumerate(columns[ids]) if isinstance(cell, str) and cell.strip()]
    if not kept:
        raise InputError(f"'matminer:{name}' holds neither structures nor ids to get them by.")
    columns = {key: [cells[row] for row in kept] for key, cells in columns.items()}
    structures = structures_of(columns[ids], f"'matminer:{name}'")
    columns["structure"] = [structures.get(cell) for cell in columns[ids]]
    times = Counter(columns[ids])
    rows = zip(columns[ids], range(len(kept)), strict=True)
    named = [cell if times[cell] == 1 else f"{cell}-row-{row}" for cell, row in rows]
    note = f"matminer:{name}: {len(kept)} rows have an id of the Materials Project."
    return {"id": named, **columns}, [note]


def _frame(name: str) -> DataFrame:
    if name != COMBINED:
        return _load(name)
    from pandas import DataFrame

    found: dict[str, float] = {}
    for part, (ids, enthalpy) in ENTHALPIES.items():
        frame = _load(part)
        for cell, value in zip(frame[ids], frame[enthalpy], strict=True):
            if isinstance(cell, str) and cell.strip() and value == value:  # noqa: PLR0124 - not NaN
                found.setdefault(cell, float(value))
    return DataFrame({"mpid": list(found), "e_form expt": list(found.values())})


def _load(name: str) -> DataFrame:
    try:
        from matminer.datasets import get_available_datasets, load_dataset
    except ImportError as error:
        raise InputError(
            f"Reading 'matminer:{name}' needs the package matminer; install it with "
            "pip install 'epitaxy[matminer]'."
        ) from error
    known = list(get_available_datasets(print_format=None))
    if name not in known:
        raise unknown("matminer data set", name, known)
    frame: DataFrame = load_dataset(name, data_home=str(cache_folder() / "matminer"))
    return frame
