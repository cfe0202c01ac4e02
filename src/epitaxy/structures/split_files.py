"""Files of splits: JSON with lists of ids or row numbers, in any depth."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from epitaxy.core.errors import InputError
from epitaxy.core.parsing import read_json
from epitaxy.structures.table import StructureTable

logger = logging.getLogger("epitaxy")


def read_split_file(path: Path) -> dict[str, Any]:
    """Read a JSON file of splits.

    Raises:
        InputError: the file is missing, is no JSON, or is no dictionary.
    """
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"Could not read the split file {str(path)!r}: {error}.") from error
    if not isinstance(data, dict):
        raise InputError(
            f"The split file {str(path)!r} holds a {type(data).__name__}; it must hold a "
            "dictionary with train, val and test."
        )
    return data


def descend(data: dict[str, Any], key: str, path: str) -> Any:
    """Return what stands at ``a/b/c`` in the content of a file of splits.

    Raises:
        InputError: nothing stands there.
    """
    node: Any = data
    for step in key.split("/") if key else ():
        if not isinstance(node, dict) or step not in node:
            has = ", ".join(node) if isinstance(node, dict) else "no further keys"
            raise InputError(f"The split file {path!r} has no {key!r}: at {step!r} it has {has}.")
        node = node[step]
    return node


def split_at(data: dict[str, Any], key: str, path: str) -> Any:
    """Return the split that stands at ``a/b/c`` in the content of a file of splits.

    Raises:
        InputError: nothing stands there, or it is no split.
    """
    node = descend(data, key, path)
    if isinstance(node, dict) and "train" not in node:
        examples = ", ".join(list(node)[:6]) or "none"
        raise InputError(
            f"The split file {path!r} has no 'train' {'at ' + key if key else 'at its top'}; "
            f"choose one of its keys as FILE:KEY, they are: {examples}."
        )
    return node


def members(entries: Any, table: StructureTable) -> tuple[str, ...]:
    """Turn ids (text) or source rows (whole numbers) into ids, without those that were dropped.

    Raises:
        InputError: it is no list, or names what is not in the table.
    """
    if not isinstance(entries, list | tuple):
        raise InputError("A part of a split must be a list of ids or row numbers.")
    if entries and all(isinstance(e, int) for e in entries):
        names = {int(n): str(i) for n, i in zip(table.row_numbers, table.ids, strict=True)}
        missing = [e for e in entries if e not in names]
        # dropped crystals have lost their row number, so only their number can be checked
        if len(missing) > len(table.dropped):
            raise InputError(
                f"{len(missing)} of {len(entries)} rows of the split are not in the table, row "
                f"{missing[0]} first; check that the split belongs to this data set."
            )
        chosen = tuple(names[e] for e in entries if e in names)
    else:
        gone = {d.id for d in table.dropped} - set(table.ids)
        chosen = tuple(str(e) for e in entries if str(e) not in gone)
        table.rows_of(chosen)
    if len(chosen) < len(entries):
        logger.warning("%d ids of the split were dropped.", len(entries) - len(chosen))
    return chosen
