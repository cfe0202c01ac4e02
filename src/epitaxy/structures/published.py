"""The scale on which a paper published a property, found from the values that it published."""

from __future__ import annotations

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.structures.table import StructureTable

SUFFIX = "_published"
"""A column NAME_published beside NAME holds the published values."""
EXACT = 1e-6
"""Largest deviation from an affine map, relative to the range of the published values."""


def published_unit(table: StructureTable, name: str) -> float:
    """Return how many units of property ``name`` make 1.0 on the published scale.

    The published values must be an affine map of the physical ones; errors on that scale are
    those in units divided by this number.

    Raises:
        InputError: there is no column of published values, it says too little, or it is no affine
            map.

    >>> from epitaxy.structures.reading import read_table
    >>> table = read_table("demo:semiconductors", target="gap")
    >>> spec = table.properties["gap"].model_copy(update={"name": "gap_published"})
    >>> table = table.with_property(spec, -1 + 2 * table.values["gap"] / 8)
    >>> round(published_unit(table, "gap"), 9)
    4.0
    """
    values, other = table.column(name), name + SUFFIX
    if other not in table.values:
        raise InputError(
            f"The published units of {name!r} need a column {other!r} with the published values, "
            f"but the table has only {', '.join(table.values)}; use the physical units."
        )
    published = table.column(other)
    both = np.isfinite(values) & np.isfinite(published)
    x, y = values[both], published[both]
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        raise InputError(
            f"The columns {name!r} and {other!r} have fewer than two different values in common; "
            "use the physical units."
        )
    shifted = x - x.mean()
    slope = float(shifted @ (y - y.mean()) / (shifted @ shifted))
    worst = float(np.abs(y - y.mean() - slope * shifted).max() / np.ptp(y))
    if worst > EXACT:
        raise InputError(
            f"The column {other!r} is no affine map of {name!r}: it deviates by {worst:.1g} of its "
            f"range ({EXACT:g} is allowed); use the physical units."
        )
    return 1 / abs(slope)
