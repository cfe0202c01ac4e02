"""Structures of OPTIMADE, the common interface of materials databases.

C. W. Andersen et al., Sci. Data 8, 217 (2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from epitaxy.structures.building import Crystal, UnusableError
from epitaxy.structures.occupancy import check_occupancy
from epitaxy.structures.species import element_of

NEEDED = ("lattice_vectors", "cartesian_site_positions", "species_at_sites")


def is_optimade(data: Mapping[str, Any]) -> bool:
    """Tell whether a dictionary is an entry of OPTIMADE, or the attributes of one."""
    attributes = data.get("attributes", data)
    return isinstance(attributes, Mapping) and set(NEEDED) <= set(attributes)


def crystal_from_optimade(data: Mapping[str, Any]) -> Crystal:
    """Convert an entry or its attributes.

    Raises:
        UnusableError: it is no ordered crystal.
    """
    entry = data.get("attributes", data)
    if any(entry[key] is None for key in NEEDED):
        raise UnusableError("the entry gives no positions")
    periodic = [bool(d) for d in entry.get("dimension_types") or (1, 1, 1)]
    if not any(periodic):
        raise UnusableError("it is not periodic (dimension_types 0, 0, 0), a molecule")
    lattice = np.array(entry["lattice_vectors"], dtype=np.float64)
    if lattice.shape != (3, 3):
        raise UnusableError(f"the lattice has shape {lattice.shape}, not (3, 3)")
    species = {kind["name"]: kind for kind in entry.get("species") or ()}
    numbers = [_number(name, species.get(name)) for name in entry["species_at_sites"]]
    positions = np.array(entry["cartesian_site_positions"], dtype=np.float64).reshape(-1, 3)
    if len(positions) != len(numbers):
        raise UnusableError(f"{len(numbers)} species and {len(positions)} positions disagree")
    try:
        coords = np.linalg.solve(lattice.T, positions.T).T
    except np.linalg.LinAlgError as error:
        raise UnusableError("the lattice is singular; give a periodic cell") from error
    times = sum(periodic)
    note = "" if all(periodic) else f"periodic in {times} of 3 directions, read as a crystal"
    return Crystal(lattice, np.array(numbers, dtype=np.int64), coords, note)


def _number(name: str, kind: Mapping[str, Any] | None) -> int:
    if kind is None:
        return element_of(name)
    symbols = kind["chemical_symbols"]
    amounts = kind.get("concentration") or [1.0] * len(symbols)
    if len(symbols) != 1:
        raise UnusableError(
            f"partial occupancy on site {name!r} ({', '.join(symbols)}): give an ordered cell"
        )
    check_occupancy(name, f"{amounts[0]:g}", float(amounts[0]))
    return element_of(symbols[0])
