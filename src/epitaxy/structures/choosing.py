"""Which column of a table names its rows or holds its structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from epitaxy.core.errors import InputError
from epitaxy.structures.columns import is_index

ID_NAMES = (
    *("id", "identifier", "material_id", "mp_id", "mpid", "mp-id", "task_id", "jid"),
    *("structure_id", "cif_id", "name", "file", "filename", "file_name", "cif_file"),
)
"""Column names (lower case) that hold identifiers, the best first."""
ENOUGH = 0.5
"""A column with a fitting name counts if it fits at least this part of what the best one fits."""


def choose_column(
    scores: Mapping[str, float],
    columns: Mapping[str, Sequence[Any]],
    names: Sequence[str],
    purpose: str,
) -> str:
    """Return the column that fits, by its name where several do.

    Args:
        scores: column -> how many of its cells fit.
        columns: column -> cells.
        names: names in lower case that say what is meant, the best first.
        purpose: what the column is to do, for the message.

    Raises:
        InputError: several fit equally well, and no name says which is meant.

    >>> choose_column({"unnamed_0": 2, "material_id": 2}, {"unnamed_0": "01", "material_id": "10"},
    ...               ID_NAMES, "name the structures")
    'material_id'
    """
    fitting = {name: score for name, score in scores.items() if score > 0}
    named = {n: s for n, s in fitting.items() if not is_index(n, columns[n])} or fitting
    most = max(named.values())
    lower = {name.lower(): name for name, score in named.items() if score >= ENOUGH * most}
    for name in names:
        if name in lower:
            return lower[name]
    tied = [name for name, score in named.items() if score == most]
    different = [name for name in tied[1:] if list(columns[name]) != list(columns[tied[0]])]
    if different:
        raise InputError(
            f"The columns {tied[0]!r} and {different[0]!r} can both {purpose}; call the right one "
            f"{names[0]!r}, or remove the other."
        )
    return tied[0]
