"""Some rows of a table, named by a list of ids or by a file with one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from epitaxy.core.errors import InputError
from epitaxy.core.files import file_and_key
from epitaxy.core.parsing import parse_json
from epitaxy.core.tables import original_text
from epitaxy.structures.split_files import descend, members
from epitaxy.structures.table import StructureTable

Rows = str | Path | Sequence[str] | Sequence[int]
"""Ids or row numbers of the source, or a file with them."""


def select_ids(rows: Rows, table: StructureTable) -> tuple[str, ...]:
    """Return the ids that are meant.

    Args:
        rows: ids, or whole numbers (`StructureTable.row_numbers`); or a text file with one id per
            line, a JSON file with a list, or ``FILE.json:a/b`` for a list inside a file of splits.
        table: where they must occur; ids that it dropped are left out.

    Raises:
        InputError: the file cannot be understood, or something is not in the table.
    """
    if not isinstance(rows, str | Path):
        return members(list(rows), table)
    name = str(rows)
    found = file_and_key(name)
    if found is None:
        raise InputError(
            f"There is no file {name!r} with ids; give a text file with one id per line, a JSON "
            "file with a list, or FILE.json:KEY."
        )
    return members(_read(*found), table)


def select(table: StructureTable, rows: Rows) -> StructureTable:
    """Return the table of some rows, in the order in which they are named.

    Raises:
        InputError: as `select_ids`; or nothing is left.
    """
    ids = select_ids(rows, table)
    if not ids:
        raise InputError("The selection names no row; name at least one.")
    return table.select(table.rows_of(ids))


def _read(path: Path, key: str) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if not path.name.lower().endswith(".json"):
            return [original_text(line.strip()) for line in text.splitlines() if line.strip()]
        content = parse_json(text)
    except (OSError, ValueError) as error:
        raise InputError(f"The file of ids {str(path)!r} cannot be read: {error}.") from error
    found = descend(content, key, str(path))
    if not isinstance(found, list):
        known = ", ".join(list(found)[:6]) if isinstance(found, dict) else ""
        raise InputError(
            f"The file {str(path)!r} holds no list of ids {'at ' + key if key else 'at its top'}; "
            f"name one as FILE.json:KEY{', keys are: ' + known if known else ''}."
        )
    return found
