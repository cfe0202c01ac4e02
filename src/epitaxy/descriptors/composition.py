"""`composition`: statistics of element data over the elements of a crystal."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from epitaxy.descriptors.checks import MAX_ATOMIC_NUMBER, composition_reasons
from epitaxy.descriptors.packages import versions
from epitaxy.descriptors.table import Vectors
from epitaxy.structures.table import StructureTable

ELEMENT_DATA: dict[str, str] = {
    "atomic number": "Z",
    "period": "row",
    "group": "group",
    "Mendeleev number": "mendeleev_no",
    "atomic mass": "atomic_mass",
    "electronegativity": "X",
    "atomic radius": "atomic_radius",
    "van der Waals radius": "van_der_waals_radius",
    "ionic radius": "average_ionic_radius",
    "ionisation energy": "ionization_energy",
    "electron affinity": "electron_affinity",
    "lowest oxidation state": "min_oxidation_state",
    "highest oxidation state": "max_oxidation_state",
    "molar volume": "molar_volume",
    "melting point": "melting_point",
    "boiling point": "boiling_point",
}
"""Property -> attribute of pymatgen's ``Element``: u, Pauling's scale, Å, eV, cm^3/mol, K."""
SUBSHELLS = "spdf"
"""Electrons outside the noble-gas core, by subshell, are four more properties."""
STATISTICS = ("mean", "deviation", "minimum", "maximum", "range", "mode")
"""Mean and mean absolute deviation are weighted by atomic fractions; the mode is the value of the
most frequent element, the smallest one where several are equally frequent."""
NORMS = (2, 3, 5, 7, 10)


class Composition:
    """Element statistics and norms of the atomic fractions; needs no optional package.

    Where an element has no value of a property, the mean of all elements that have one stands for
    it.

    Source: L. Ward, A. Agrawal, A. Choudhary and C. Wolverton, npj Comput. Mater. 2, 16028 (2016),
    for the choice of statistics; element data of pymatgen.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the 126 features: 6 statistics of 20 properties, and 6 norms."""
        properties = [*ELEMENT_DATA, *(f"valence {shell} electrons" for shell in SUBSHELLS)]
        statistics = [f"{statistic} {p}" for statistic in STATISTICS for p in properties]
        return (*statistics, "number of elements", *(f"{p}-norm of fractions" for p in NORMS))

    @property
    def version(self) -> str:
        """Version of pymatgen, where the element data come from."""
        return versions("pymatgen-core")

    def __call__(self, table: StructureTable, *, workers: int | None = None) -> Vectors:
        """Describe all crystals in one NumPy pass; ``workers`` is not used."""
        del workers
        reasons = composition_reasons(table)
        good = np.array([not reason for reason in reasons], dtype=bool)
        values = np.full((len(table), len(self.names)), np.nan)
        values[good] = _statistics(table.select(good))
        return Vectors(values, reasons)


COMPOSITION = Composition()


def _statistics(table: StructureTable) -> np.ndarray:
    """Return (B, F) for crystals that have atoms, all of known elements."""
    crystal = np.repeat(np.arange(len(table)), table.n_atoms)
    keys, counts = np.unique(
        crystal * (MAX_ATOMIC_NUMBER + 1) + table.atomic_numbers, return_counts=True
    )
    crystal, numbers = np.divmod(keys, MAX_ATOMIC_NUMBER + 1)
    start = np.searchsorted(crystal, np.arange(len(table)))
    data = element_data()[numbers]
    # Counts over counts: a supercell has the same fractions to the last bit.
    fraction = (counts / table.n_atoms[crystal])[:, None]
    mean = np.add.reduceat(fraction * data, start)
    deviation = np.add.reduceat(fraction * np.abs(data - mean[crystal]), start)
    low, high = np.minimum.reduceat(data, start), np.maximum.reduceat(data, start)
    frequent = counts == np.maximum.reduceat(counts, start)[crystal]
    mode = np.minimum.reduceat(np.where(frequent[:, None], data, np.inf), start)
    n_elements = np.add.reduceat(np.ones_like(fraction), start)
    norms = [np.add.reduceat(fraction**p, start) ** (1 / p) for p in NORMS]
    return np.hstack([mean, deviation, low, high, high - low, mode, n_elements, *norms])


@cache
def element_data() -> np.ndarray:
    """Return the properties by atomic number, (101, 20) float64, read-only; row 0 is NaN.

    >>> element_data()[8, :3]
    array([ 8.,  2., 16.])
    """
    from pymatgen.core.periodic_table import Element

    readers: list[Callable[[Any], Any]] = [
        *(_attribute(name) for name in ELEMENT_DATA.values()),
        *(_electrons(shell) for shell in SUBSHELLS),
    ]
    data = np.full((MAX_ATOMIC_NUMBER + 1, len(readers)), np.nan)
    with warnings.catch_warnings():
        # pymatgen warns of every value that it does not have.
        warnings.simplefilter("ignore")
        for z in range(1, MAX_ATOMIC_NUMBER + 1):
            found = [read(Element.from_Z(z)) for read in readers]
            data[z] = [np.nan if value is None else float(value) for value in found]
    data[1:] = np.where(np.isnan(data[1:]), np.nanmean(data[1:], axis=0), data[1:])
    data.setflags(write=False)
    return data


def element_property(name: str) -> np.ndarray:
    """Return one property of `ELEMENT_DATA` by atomic number, (101,) float64.

    >>> element_property("electronegativity")[[8, 11]]
    array([3.44, 0.93])
    """
    values: np.ndarray = element_data()[:, list(ELEMENT_DATA).index(name)]
    return values


def _attribute(name: str) -> Callable[[Any], Any]:
    return lambda element: getattr(element, name)


def _electrons(shell: str) -> Callable[[Any], Any]:
    """Count electrons as in ``[Ar].3d6.4s2``."""
    pattern = re.compile(rf"\d{shell}(\d+)")
    return lambda element: sum(map(int, pattern.findall(element.electronic_structure)))
