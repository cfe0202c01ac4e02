"""Data sets of matminer, ``matminer:NAME``, by its own loader; kept as Parquet afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.files import cache_folder
from epitaxy.structures.building import Reading
from epitaxy.structures.caching import cached
from epitaxy.structures.sources.tabular import from_columns

if TYPE_CHECKING:
    from pandas import DataFrame

UNITS = {
    "last phdos peak": "cm^-1",
    "exfoliation_en": "meV/atom",
    "log10(G_VRH)": "log10(GPa)",
    "log10(K_VRH)": "log10(GPa)",
    "gap pbe": "eV",
    "e_form": "eV/atom",
}
"""Units of the columns of Matbench; the other sets describe theirs in words."""


def read(location: str) -> Reading:
    """Load the matminer data set called ``location``.

    Raises:
        InputError: matminer is not installed, has no such set, or the set has no structures.
    """
    return cached(f"matminer-{location}", lambda: from_frame(_load(location), location))


def from_frame(frame: DataFrame, name: str) -> Reading:
    """Convert matminer's data frame: one column of pymatgen structures, others with numbers.

    Raises:
        InputError: no column holds structures.
    """
    columns = {str(c): frame[c].tolist() for c in frame.columns}
    if all(isinstance(i, str) for i in frame.index) and "id" not in columns:
        columns = {"id": [str(i) for i in frame.index], **columns}
    reading = from_columns(columns, origin=f"matminer:{name}", folder=Path())
    return reading.described(source=f"matminer:{name}", units=UNITS)


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
