"""Folders of structure files with a table of values, such as ``id_prop.csv`` folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from epitaxy.core.errors import InputError
from epitaxy.structures.building import Reading, TableBuilder
from epitaxy.structures.delimited import Delimited, made_up_names, read_delimited
from epitaxy.structures.file_batches import parse_files
from epitaxy.structures.parsing import is_structure_file, read_text, without_suffix

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".dat")
USUAL_NAME = "id_prop.csv"
NO_FILE, NO_ROW = "no structure file for this row", "no row in"
"""How the reasons begin for which rows and files without a partner are left out."""


def read(location: str) -> Reading:
    """Read the structure files of a folder and match them with the rows of its table.

    Files without a row and rows without a file are listed in ``dropped``.

    Raises:
        InputError: there are no structure files, no table or several, or nothing matches.
    """
    folder = Path(location)
    files = structure_files(folder)
    table_path = find_table(folder)
    known = aliases(files, folder)
    table = read_delimited(read_text(table_path), repr(table_path.name), known)
    id_name = _id_column(table, known, files, table_path.name)
    ids, paths, lost_rows = _match(table.column(id_name), known, table_path.name)
    builder = TableBuilder(repr(str(folder)))
    names = [name for name in table.columns if name != id_name]
    cells = [table.column(name) for name in names]
    if not table.header:
        names = list(made_up_names(len(table.columns))[1:])
    for (row, name), crystal in zip(ids.items(), parse_files(paths), strict=True):
        values = {k: column[row] for k, column in zip(names, cells, strict=True)}
        builder.add(name, row, crystal, values)
    lost_files = sorted(set(files) - set(paths))
    builder.drop_all(lost_rows, f"{NO_FILE} of {table_path.name}")
    lost_names = (structure_name(f, folder) for f in lost_files)
    builder.drop_all(lost_names, f"{NO_ROW} {table_path.name}")
    note = (
        f"{table_path.name}: {table.summary}, ids in {id_name!r}; {len(paths)} rows matched, "
        f"{len(lost_rows)} rows without a file{_first(lost_rows)}, {len(lost_files)} files "
        f"without a row{_first([f.name for f in lost_files])}."
    )
    return builder.build(notes=[note], unnamed=not table.header and len(names) == 1)


def structure_files(folder: Path) -> list[Path]:
    """Return the structure files of a folder, sorted; its subfolders count if it has none itself.

    Raises:
        InputError: there is none.
    """
    files = sorted(f for f in folder.iterdir() if f.is_file() and is_structure_file(f))
    if not files:
        files = sorted(f for f in folder.rglob("*") if f.is_file() and is_structure_file(f))
    if not files:
        raise InputError(
            f"The folder {str(folder)!r} holds no structure files; give a folder of .cif, .vasp, "
            ".poscar, POSCAR*, .xyz or .extxyz files."
        )
    return files


def find_table(folder: Path) -> Path:
    """Return the table of values in a folder: ``id_prop.csv``, or the only table there.

    Raises:
        InputError: there is no table, or there are several.
    """
    if (folder / USUAL_NAME).is_file():
        return folder / USUAL_NAME
    tables = sorted(
        f for f in folder.iterdir() if f.suffix.lower() in TABLE_SUFFIXES and f.is_file()
    )
    tables = [t for t in tables if t.suffix.lower() == ".csv"] or tables
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
        for name in {path.name, stem, bare, str(path.relative_to(folder))}:
            known[name].append(path)
    return dict(known)


def _id_column(
    table: Delimited, known: dict[str, list[Path]], files: Sequence[Path], table_name: str
) -> str:
    matches = {
        name: sum(cell in known or without_suffix(cell) in known for cell in table.column(name))
        for name in table.columns
    }
    best = max(matches, key=lambda name: matches[name])
    if not matches[best]:
        raise InputError(
            f"No row of {table_name} belongs to one of {len(files)} structure files: the first row "
            f"is {table.rows[0][0]!r}, the first file {files[0].name!r}; the ids must be the file "
            "names, with or without their ending."
        )
    return best


def _match(
    cells: Sequence[str], known: dict[str, list[Path]], table_name: str
) -> tuple[dict[int, str], list[Path], list[str]]:
    """Return ``(row -> id, their files, ids without a file)``.

    Raises:
        InputError: an id fits several files.
    """
    ids, paths, lost = {}, [], []
    for row, cell in enumerate(cells):
        fitting = known.get(cell) or known.get(without_suffix(cell), [])
        if len(fitting) > 1:
            raise InputError(
                f"The id {cell!r} of {table_name} fits several files: "
                f"{', '.join(f.name for f in fitting[:3])}; write the full file name."
            )
        if fitting:
            ids[row] = without_suffix(cell)
            paths.append(fitting[0])
        else:
            lost.append(cell or f"row-{row}")
    return ids, paths, lost


def _first(names: Sequence[str]) -> str:
    return f" (first {names[0]!r})" if names else ""
