"""From whatever the user names to a `StructureTable`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from epitaxy.core.errors import InputError, suggestion
from epitaxy.core.outputs import check_output
from epitaxy.structures.building import Crystal, Reading, TableBuilder, UnusableError
from epitaxy.structures.file_batches import parse_files
from epitaxy.structures.grouping import check_column, needs_column
from epitaxy.structures.parsing import is_structure_file, read_text, without_suffix
from epitaxy.structures.sources import SOURCES
from epitaxy.structures.sources.folder import structure_files
from epitaxy.structures.table import Dropped, StructureTable

logger = logging.getLogger("epitaxy")
FRAMES = (".xyz", ".extxyz")
HEAD_BYTES = 1 << 20
SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "tabular",
    ".tsv": "tabular",
    ".txt": "tabular",
    ".dat": "tabular",
    ".jsonl": "tabular",
    ".ndjson": "tabular",
    ".db": "ase",
    ".xyz": "xyz",
    ".extxyz": "xyz",
}
"""Ending of a file -> source; JSON files are told apart by their content."""


def read_table(
    data: str | Path | StructureTable,
    *,
    target: str | Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> StructureTable:
    """Read crystals and their properties from a file, a folder or a named source.

    Args:
        data: a Parquet, CSV, TSV, JSON, ASE or extended XYZ file, a folder of structure files with
            a CSV, a named source (``matminer:NAME``), or a table, which is returned as it is.
        target: the properties to keep, all when None.
        units: property -> unit, for example ``{"gap": "eV"}``.
        labels: property -> words for axes.

    Raises:
        InputError: the source cannot be read, holds no usable crystal, or lacks a target.
    """
    wanted = (target,) if isinstance(target, str) else tuple(target or ())
    if isinstance(data, StructureTable):
        reading = Reading(data)
    else:
        reading = read_source(str(data))
        _log(str(data), reading)
    table = _select_targets(reading, wanted)
    return _describe(table, units or {}, labels or {})


def read_grouped(
    data: str | Path | StructureTable, target: Sequence[str], group_by: str
) -> StructureTable:
    """Read crystals, the properties to learn, and behind them the column by which rows are grouped.

    Raises:
        InputError: as `read_table`, or there is no such grouping.
    """
    if not needs_column(group_by):
        return read_table(data, target=target)
    table = read_table(data)
    check_column(table, group_by)
    if group_by in table.texts:
        column = {group_by: table.texts[group_by]}
        return replace(read_table(table, target=target), texts=column)
    return read_table(table, target=list(dict.fromkeys([*target, group_by])))


def read_structures(paths: Sequence[str | Path]) -> StructureTable:
    """Read crystals for prediction from files, folders and tables; labels are not needed.

    What cannot be read is listed in ``dropped`` with its reason. Ids are file names without ending;
    where two are equal, both become the path.

    Raises:
        InputError: ``paths`` is empty, or nothing can be used.
    """
    builder = TableBuilder(", ".join(repr(str(p)) for p in paths[:3]))
    if not paths:
        raise InputError("No structures were given; name files, folders or tables of structures.")
    found: list[tuple[str, str, Crystal]] = []
    files: list[Path] = []
    for path in map(Path, paths):
        frames = path.suffix.lower() in FRAMES
        if path.is_dir() or (path.is_file() and is_structure_file(path) and not frames):
            files += _files_of(path, builder)
        else:
            found += _rows_of(str(path), builder)
    for path, crystal in zip(files, parse_files(files), strict=True):
        if isinstance(crystal, UnusableError):
            builder.dropped.append(Dropped(str(path), str(crystal)))
        else:
            found.append((_file_id(path), str(path), crystal))
    times = Counter(name for name, _, _ in found)
    for row, (name, full, crystal) in enumerate(found):
        builder.add(full if times[name] > 1 else name, row, crystal, {})
    table = builder.build().table
    logger.info("%d structures read, %d dropped.", len(table), len(table.dropped))
    return table


def read_source(data: str) -> Reading:
    """Read ``data`` by the source that `recognise` finds.

    Raises:
        InputError: nothing of that name exists, or the source cannot read it.
    """
    name, location = recognise(data)
    found: Reading | StructureTable = SOURCES[name](location)
    return Reading(found) if isinstance(found, StructureTable) else found


def recognise(data: str) -> tuple[str, str]:
    """Return ``(source, location)`` of what the user named.

    >>> recognise("matminer:matbench_phonons")
    ('matminer', 'matbench_phonons')

    Raises:
        InputError: nothing of that name exists, or the kind of file is not known.
    """
    path = Path(data).expanduser()
    if path.is_dir():
        return "folder", str(path)
    if path.is_file():
        return _recognise_file(path), str(path)
    prefix, _, rest = data.partition(":")
    if prefix in SOURCES:
        return prefix, rest
    near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise InputError(
        f"There is no file or folder {data!r} and no source of that name; give a table, a folder, "
        f"or NAME:SET with NAME one of {', '.join(sorted(SOURCES))}."
        f"{suggestion(path.name, near) or suggestion(prefix, SOURCES)}"
    )


def _recognise_file(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz").removesuffix(".zip").removesuffix(".bz2")
    suffix = Path(name).suffix
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"SQLite format 3"):
        return "ase"
    if head.startswith(b"PAR1"):
        return "parquet"
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    packed = path.suffix.lower() in {".gz", ".zip", ".bz2"}
    if suffix == ".json" or packed:
        return _recognise_json(path)
    if is_structure_file(path):
        raise InputError(
            f"{str(path)!r} is a single structure; give the folder of structures with a CSV of "
            "values, or use it for prediction."
        )
    raise InputError(
        f"The kind of {str(path)!r} is not known by its ending {path.suffix!r}; allowed: "
        f"{', '.join([*SUFFIXES, '.json'])} (also .gz, .bz2 and .zip), or a folder."
    )


def _recognise_json(path: Path) -> str:
    text = read_text(path)
    if '"nextid"' in text[-4096:] and text.lstrip().startswith("{"):
        return "ase"
    if text.lstrip().startswith("[") and '"lattice_mat"' in text[:HEAD_BYTES]:
        return "jarvis_json"
    if '"ComputedStructureEntry"' in text[:HEAD_BYTES]:
        return "alexandria"
    return "tabular"


def _select_targets(reading: Reading, wanted: Sequence[str]) -> StructureTable:
    """Keep the wanted properties; a column without a name takes the name that is asked for."""
    table = reading.table
    if not wanted:
        return table
    only = list(table.values)
    if reading.unnamed and len(wanted) == len(only) == 1 and wanted[0] not in only:
        spec = table.properties[only[0]].model_copy(update={"name": wanted[0]})
        return replace(
            table, values={wanted[0]: table.values[only[0]]}, properties={wanted[0]: spec}
        )
    for name in wanted:
        if name in table.texts:
            example = next(text for text in table.texts[name] if text)[:40]
            raise InputError(
                f"Column {name!r} holds text such as {example!r}, not numbers; choose another "
                "target or repair the column."
            )
        table.column(name)
    return replace(
        table,
        values={name: table.values[name] for name in wanted},
        properties={name: table.properties[name] for name in wanted},
        texts={},
    )


def _describe(
    table: StructureTable, units: Mapping[str, str], labels: Mapping[str, str]
) -> StructureTable:
    """Write units and labels into the property specifications."""
    specs = dict(table.properties)
    for key, given in (("unit", units), ("label", labels)):
        for name, text in given.items():
            if name not in specs:
                raise InputError(
                    f"A {key} was given for {name!r}, but the table has: {', '.join(specs)}."
                    f"{suggestion(name, specs)}"
                )
            specs[name] = specs[name].model_copy(update={key: text})
    return replace(table, properties=specs)


def _log(data: str, reading: Reading) -> None:
    table = reading.table
    for note in reading.notes:
        logger.info("%s", note)
    logger.info(
        "%s: %d crystals, %d dropped%s; properties: %s.",
        data,
        len(table),
        len(table.dropped),
        f" (first {table.dropped[0].id!r}: {table.dropped[0].reason})" if table.dropped else "",
        ", ".join(table.values) or "none",
    )


def _file_id(path: Path) -> str:
    bare = path.name.lower() in {"poscar", "contcar"}
    return path.resolve().parent.name if bare else without_suffix(path.name)


def _files_of(path: Path, builder: TableBuilder) -> list[Path]:
    if path.is_file():
        return [path]
    try:
        return structure_files(path)
    except InputError as error:
        builder.dropped.append(Dropped(str(path), str(error).rstrip(".")))
        return []


def _rows_of(path: str, builder: TableBuilder) -> list[tuple[str, str, Crystal]]:
    """Return ``(id, path and id, crystal)`` of every row of a table."""
    try:
        table = read_source(path).table
    except InputError as error:
        builder.dropped.append(Dropped(path, str(error).rstrip(".")))
        return []
    builder.dropped += table.dropped
    rows = []
    for row, name in enumerate(table.ids):
        atoms = slice(table.offsets[row], table.offsets[row + 1])
        numbers = table.atomic_numbers[atoms].astype("int64")
        crystal = Crystal(table.lattices[row], numbers, table.frac_coords[atoms])
        rows.append((str(name), f"{path}:{name}", crystal))
    return rows


def convert(
    data: str | Path | StructureTable,
    out: str | Path,
    *,
    target: str | Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> StructureTable:
    """Read anything that `read_table` reads and write it as one Parquet table.

    Raises:
        InputError: as `read_table`; or ``out`` does not end in .parquet, is read, or was not
            written by epitaxy and ``overwrite`` is not set.
    """
    check_output(out, endings=(".parquet",), inputs=[data], overwrite=overwrite)
    table = read_table(data, target=target, units=units, labels=labels)
    table.to_parquet(out)
    return table
