"""Folders of structure files with a table of values, such as ``id_prop.csv`` folders."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from epitaxy.core.errors import InputError
from epitaxy.structures.archives import is_companion, unpacked
from epitaxy.structures.building import (
    Crystal,
    Reading,
    TableBuilder,
    UnusableError,
    snapshot_id,
)
from epitaxy.structures.choosing import ID_NAMES, choose_column
from epitaxy.structures.delimited import Delimited, made_up_names, read_delimited
from epitaxy.structures.file_batches import parse_all
from epitaxy.structures.parsing import Part, is_structure_file, read_text, without_suffix
from epitaxy.structures.table import Dropped

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
SHEETS = (".xlsx", ".xls", ".ods", ".numbers")
USUAL_NAME = "id_prop.csv"
NO_FILE, NO_ROW = "no structure file for this row", "no row in"
"""How the reasons begin for which rows and files without a partner are left out."""


def read(location: str) -> Reading:
    """Read the structure files of a folder and match them with the rows of its table.

    Files without a row and rows without a file are listed in ``dropped``.

    Raises:
        InputError: there are no structure files, no table or several, or nothing matches.
    """
    return read_folder(Path(location), repr(str(Path(location))))


def read_archive(location: str) -> Reading:
    """Read a .zip or .tar archive (also packed) like the folder that it holds.

    Raises:
        InputError: as `read`; or the archive is damaged, too large, or leads outside of itself.
    """
    path = Path(location)
    with unpacked(path) as (folder, left_out):
        return read_folder(_only_folder(folder), repr(path.name), left_out)


def read_folder(folder: Path, origin: str, left_out: Sequence[Dropped] = ()) -> Reading:
    """Match the structure files of a folder with the rows of its table.

    Args:
        folder: where the files are, in subfolders or not.
        origin: what to call it in messages.
        left_out: what was dropped before.

    Raises:
        InputError: as `read`.
    """
    files, broken = structure_files(folder)
    table_path = find_table(folder)
    known = aliases(files, folder)
    table = read_delimited(read_text(table_path), repr(table_path.name), known)
    id_name = _id_column(table, known, files, table_path.name)
    matched, lost_rows = _match(table.column(id_name), known, table_path.name)
    builder = TableBuilder(origin)
    builder.dropped += [*left_out, *broken]
    used = sorted({match.path for match in matched})
    parts = dict(zip(used, map(numbered_parts, parse_all(used)), strict=True))
    names = [name for name in table.columns if name != id_name]
    cells = [table.column(name) for name in names]
    if not table.header:
        names = list(made_up_names(len(table.columns))[1:])
    for match in matched:
        values = {k: column[match.row] for k, column in zip(names, cells, strict=True)}
        found = parts[match.path].get(match.part)
        if found is None:
            lost_rows.append(match.name)
            continue
        builder.add(match.name, match.row, found, values)
    _drop_the_rest(builder, folder, files, matched, parts, table_path.name)
    lost_files = sorted(set(files) - set(used))
    builder.drop_all(lost_rows, f"{NO_FILE} of {table_path.name}")
    note = (
        f"{table_path.name}: {table.summary}, ids in {id_name!r}; {len(matched)} rows matched, "
        f"{len(lost_rows)} rows without a file{_first(lost_rows)}, {len(lost_files)} files "
        f"without a row{_first([f.name for f in lost_files])}."
    )
    return builder.build(
        notes=[note],
        unnamed=not table.header and len(names) == 1,
        delimiter=table.delimiter,
        units=table.units,
    )


def structure_files(folder: Path) -> tuple[list[Path], list[Dropped]]:
    """Return the structure files of a folder and its subfolders, and links that lead nowhere.

    Hidden files and the companions of macOS and Office do not count.

    Raises:
        InputError: there is none.
    """
    files: list[Path] = []
    broken: list[Dropped] = []
    seen: set[Path] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_companion(name))
        found = [Path(place) / name for name in names if not is_companion(name)]
        files += [path for path in found if is_structure_file(path) and path.is_file()]
        broken += [
            Dropped(str(path.relative_to(folder)), f"a link to {str(path.readlink())!r}, which "
                    "does not exist")
            for path in found
            if path.is_symlink() and not path.exists()
        ]  # fmt: skip
    if not files:
        raise InputError(
            f"The folder {str(folder)!r} holds no structure files; give a folder of .cif, .vasp, "
            ".poscar, POSCAR*, .xyz or .extxyz files."
        )
    return sorted(files), sorted(broken)


def numbered_parts(parts: Sequence[Part]) -> dict[int, Crystal | UnusableError]:
    """Number the structures of one file from 1; unreadable ones count if there is no other.

    Returns:
        Number -> crystal or reason; reasons beside usable crystals have negative numbers.
    """
    good = [part.crystal for part in parts if isinstance(part.crystal, Crystal)]
    bad = [part for part in parts if not isinstance(part.crystal, Crystal)]
    if not good:
        return {1: parts[0].crystal}
    numbered: dict[int, Crystal | UnusableError] = dict(enumerate(good, start=1))
    for number, part in enumerate(bad, start=1):
        numbered[-number] = UnusableError(f"block {part.name!r}: {part.crystal}")
    return numbered


def _drop_the_rest(  # noqa: PLR0917 - what one reading knows
    builder: TableBuilder,
    folder: Path,
    files: Sequence[Path],
    matched: Sequence[Match],
    parts: Mapping[Path, Mapping[int, Crystal | UnusableError]],
    table_name: str,
) -> None:
    """List the files, and the further structures of files, that no row names."""
    wanted = {(match.path, match.part) for match in matched}
    for path in files:
        name = structure_name(path, folder)
        if path not in parts:
            builder.drop_all([name], f"{NO_ROW} {table_name}")
            continue
        for number, found in parts[path].items():
            if number < 0:
                builder.drop_all([name], str(found))
            elif (path, number) not in wanted:
                builder.drop_all([snapshot_id(name, number)], f"{NO_ROW} {table_name}")


def _only_folder(folder: Path) -> Path:
    """Return the folder inside which everything lies."""
    entries = list(folder.iterdir())
    return _only_folder(entries[0]) if len(entries) == 1 and entries[0].is_dir() else folder


def find_table(folder: Path) -> Path:
    """Return the table of values in a folder: ``id_prop.csv``, or the only table there.

    Raises:
        InputError: there is no table, or there are several.
    """
    if (folder / USUAL_NAME).is_file():
        return folder / USUAL_NAME
    tables = sorted(
        f
        for f in folder.iterdir()
        if f.suffix.lower() in TABLE_SUFFIXES and f.is_file() and not is_companion(f.name)
    )
    tables = [t for t in tables if t.suffix.lower() == ".csv"] or tables
    sheets = [f.name for f in folder.iterdir() if f.suffix.lower() in SHEETS]
    sheets = [name for name in sheets if not is_companion(name)]
    if not tables and sheets:
        raise InputError(
            f"The table {sheets[0]!r} is a spreadsheet; save the sheet as CSV, as {USUAL_NAME}."
        )
    if len(tables) != 1:
        found = ", ".join(t.name for t in tables) or "none"
        raise InputError(
            f"The folder {str(folder)!r} must hold one table of ids and values (found: {found}); "
            f"name it {USUAL_NAME}."
        )
    return tables[0]


def structure_name(path: Path, folder: Path) -> str:
    """Return the id of a file: its name without ending, or its folder's name for a bare POSCAR.

    >>> structure_name(Path("d/mp-1/POSCAR"), Path("d")), structure_name(Path("d/a.cif"), Path("d"))
    ('mp-1', 'a')
    """
    if path.name.lower() in {"poscar", "contcar"} and path.parent != folder:
        return path.parent.name
    return without_suffix(path.name)


def aliases(files: Sequence[Path], folder: Path) -> dict[str, list[Path]]:
    """Map every text by which a table may call a file to the files it fits."""
    known: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        stem = structure_name(path, folder)
        bare = stem
        for prefix in ("POSCAR-", "POSCAR_", "POSCAR."):
            bare = bare.removeprefix(prefix)
        names = {path.name, stem, bare, str(path.relative_to(folder))}
        for name in {unicodedata.normalize("NFC", name) for name in names}:
            known[name].append(path)
    return dict(known)


def _id_column(
    table: Delimited, known: dict[str, list[Path]], files: Sequence[Path], table_name: str
) -> str:
    matches = {
        name: sum(bool(_fitting(cell, known)[0]) for cell in table.column(name))
        for name in table.columns
    }
    if not any(matches.values()):
        raise InputError(
            f"No row of {table_name} belongs to one of {len(files)} structure files: the first row "
            f"is {table.rows[0][0]!r}, the first file {files[0].name!r}; the ids must be the file "
            "names, with or without their ending."
        )
    columns = {name: table.column(name) for name in table.columns}
    return choose_column(matches, columns, ID_NAMES, f"name the structures of {table_name}")


class Match(NamedTuple):
    """A row of the table and its structure."""

    row: int
    name: str
    path: Path
    part: int
    """Which structure of the file, from 1."""


def _match(
    cells: Sequence[str], known: dict[str, list[Path]], table_name: str
) -> tuple[list[Match], list[str]]:
    """Return the rows with a file, and the ids of those without.

    Raises:
        InputError: an id fits several files.
    """
    matched, lost = [], []
    for row, cell in enumerate(cells):
        fitting, part = _fitting(cell, known)
        if len(fitting) > 1:
            raise InputError(
                f"The id {cell!r} of {table_name} fits several files: "
                f"{', '.join(_shown(path, fitting) for path in fitting[:3])}; write the full file "
                "name, with its folder where there are several."
            )
        if fitting:
            matched.append(Match(row, without_suffix(cell), fitting[0], part))
        else:
            lost.append(cell or f"row-{row}")
    return matched, lost


def _fitting(cell: str, known: dict[str, list[Path]]) -> tuple[list[Path], int]:
    """Return the files that a cell names and which of their structures: ``x#2`` is the second."""
    name = unicodedata.normalize("NFC", cell)
    found = known.get(name) or known.get(without_suffix(name), [])
    bare, sign, number = name.rpartition("#")
    if found or not sign or not number.isdecimal():
        return found, 1
    return known.get(bare) or known.get(without_suffix(bare), []), int(number[:9])


def _shown(path: Path, others: Sequence[Path]) -> str:
    alike = sum(other.name == path.name for other in others) > 1
    return f"{path.parent.name}/{path.name}" if alike else path.name


def _first(names: Sequence[str]) -> str:
    return f" (first {names[0]!r})" if names else ""
