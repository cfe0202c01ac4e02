"""New properties and rows of a table by formulas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.properties import PropertySpec
from epitaxy.structures.expressions import evaluate, split_assignment
from epitaxy.structures.table import StructureTable

ATOMS = "n_atoms"
"""A name that formulas know beside the properties: atoms in the cell."""


def derive(
    table: StructureTable, formulas: Sequence[str], units: Mapping[str, str] | None = None
) -> StructureTable:
    """Return the table with properties that follow from others, in the given order.

    Args:
        table: B crystals.
        formulas: ``NAME = FORMULA`` each, as in ``e = (exx + eyy + ezz)/3``; see `evaluate`.
        units: name -> unit of the new properties.

    Raises:
        InputError: a formula is not understood, is a condition, or gives no number in any row.

    >>> from epitaxy.structures.reading import read_table
    >>> table = derive(read_table("demo:semiconductors"), ["twice = 2 * gap"], {"twice": "eV"})
    >>> table.properties["twice"].axis
    'twice (eV)'
    """
    for text in formulas:
        name, formula = split_assignment(text)
        values = _evaluate(formula, table)
        if values.dtype == bool:
            raise InputError(
                f"{formula!r} is a condition, not a number; use it with: data select --where."
            )
        values = np.where(np.isfinite(values), values, np.nan)
        if not np.isfinite(values).any():
            raise InputError(f"{text!r} gives no number in any of {len(table)} rows.")
        spec = PropertySpec(name=name, unit=(units or {}).get(name, ""), source=formula)
        table = table.with_property(spec, values)
    return table


def where(table: StructureTable, condition: str) -> StructureTable:
    """Return the rows in which a condition holds; where a value is not known it does not hold.

    Raises:
        InputError: the condition is not understood, is none, or holds nowhere.

    >>> from epitaxy.structures.reading import read_table
    >>> table = read_table("demo:semiconductors")
    >>> float(where(table, "gap > 3").values["gap"].min()) > 3
    True
    """
    holds = _evaluate(condition, table)
    if holds.dtype != bool:
        raise InputError(f"{condition!r} is no condition; compare, as in 'gap > 0.1'.")
    if not holds.any():
        raise InputError(f"{condition!r} holds in none of {len(table)} rows.")
    return table.select(holds).with_dropped(table.dropped)


def _evaluate(formula: str, table: StructureTable) -> np.ndarray:
    columns = {ATOMS: table.n_atoms.astype(np.float64), **table.values}
    classes = {name: spec.classes for name, spec in table.properties.items() if spec.classes}
    return evaluate(formula, columns, classes)
